"""Weights as Paddle writes them: pickles of NumPy arrays, and one file per variable."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
NUMBERS = {"bool": 0, "int16": 1, "int32": 2, "int64": 3, "float16": 4, "float32": 5, "float64": 6, "uint8": 20}


class Named:
    """A tensor in a nested dict: a tuple of its name in the graph and its numbers."""

    def __init__(self, name: str, array: NDArray[Any]) -> None:
        self.name, self.array = name, array

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, ((self.name, self.array),)


def pdparams(path: Path, arrays: Arrays, protocol: int = 4, **more: Any) -> Path:
    """A ``.pdparams``; ``more`` stands beside the tensors."""
    names = {name: f"tensor_{number}.w_0" for number, name in enumerate(arrays)}
    content = {**arrays, "StructuredToParameterName@@": names, **more}
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def nested(path: Path, arrays: Arrays, **more: Any) -> Path:
    """A ``.pdparams`` of a dict of dicts, in which every tensor has its name beside it."""
    content = {"model": {name: Named(f"{name}_0", array) for name, array in arrays.items()}, **more}
    path.write_bytes(pickle.dumps(content, 4))
    return path


def described(array: NDArray[Any]) -> bytes:
    """Type and shape as Protocol Buffers write them."""
    message = bytes([8, NUMBERS[array.dtype.name]])
    for size in array.shape:
        message += b"\x10"
        while size > 127:
            message, size = message + bytes([size & 127 | 128]), size >> 7
        message += bytes([size])
    return message


def variable(array: NDArray[Any], message: bytes | None = None, levels: bytes = b"") -> bytes:
    """The file of one variable of a static model."""
    said = described(array) if message is None else message
    head = struct.pack("<IQ", 0, 1 if levels else 0) + (struct.pack("<Q", len(levels)) + levels if levels else b"")
    return head + struct.pack("<Ii", 0, len(said)) + said + np.ascontiguousarray(array).tobytes()


def folder(path: Path, arrays: Arrays) -> Path:
    """A static model: a folder with one file per variable."""
    path.mkdir()
    for name, array in arrays.items():
        (path / name).write_bytes(variable(array))
    return path


def tar(path: Path, files: Mapping[str, bytes], form: int = tarfile.GNU_FORMAT) -> Path:
    """An archive of files by their paths."""
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def static(path: Path, arrays: Arrays) -> Path:
    """A static model in an archive, in a folder of its own."""
    return tar(path, {f"model/{name}": variable(array) for name, array in arrays.items()})
