"""Paddle's weights, opened without unpickling: ``.pdparams``, and old static models with one file per variable."""

from __future__ import annotations

import math
import mmap
import os
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detzoo.pickles.allowed import BUILDERS, MOST_DIMENSIONS, RULES, as_shape
from detzoo.pickles.files import mapped, mapping, state_dict
from detzoo.pickles.machine import CheckpointError, Machine, Rule

SUFFIXES = (".pdparams", ".tar")  # of published files
MOST_BYTES = 1 << 32  # of all tensors; the largest published model has a third of it
MOST_VARIABLES = 20_000  # of a static model, one file each; the largest published has 2400
LONGEST_NAME = 4096  # bytes of a path in an archive
_BLOCK = 512  # bytes of a tar archive's header; what follows is filled up to a multiple
_DROPPED = ("StructuredToParameterName@@", "UnpackBigParamInfor@@")  # names of the graph; how large tensors are cut
# of an optimizer's state: what stands in it, and how names of its tensors end
_OF_OPTIMIZERS = re.compile(r"^(LR_Scheduler|last_epoch|master_weights)$|_(velocity|moment\d)_\d+$")
_PROGRAM = ("__model__", ".")  # what is no variable begins so: the network as Paddle runs it, and hidden files
_EXPORTED = (".pdmodel", ".pdiparams", ".pdiparams.info", "__params__")  # how names of exported models' files end
_OF_EXPORTED = (
    "it is of a model that was exported for inference, in which weights have no names; pass the .pdparams, or the "
    "folder with one file per variable, that it was exported from"
)
# by the code of NumPy; two bytes without a sign are a bfloat16, which NumPy has not
_DTYPES = {
    **{"f2": torch.float16, "f4": torch.float32, "f8": torch.float64, "u2": torch.bfloat16, "b1": torch.bool},
    **{"i1": torch.int8, "i2": torch.int16, "i4": torch.int32, "i8": torch.int64, "u1": torch.uint8},
}
# by the number in a variable's description
_NUMBERED = {
    **{0: torch.bool, 1: torch.int16, 2: torch.int32, 3: torch.int64, 4: torch.float16, 5: torch.float32},
    **{6: torch.float64, 20: torch.uint8, 21: torch.int8, 22: torch.bfloat16},
}


def read(path: str | Path, most: int = MOST_BYTES) -> dict[str, Tensor]:
    """The tensors of a Paddle model by their names there, on the CPU. Nothing in the files is executed or imported.

    Args:
        path: a ``.pdparams``, or of a static model the folder, or the ``.tar``, with one file per variable.
        most: bytes that the file, or those of the folder together, may have.

    Raises:
        FileNotFoundError: nothing is at the path.
        CheckpointError: it is damaged, too large, no such file, or names what is not allowed; the message names it.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _folder(path, most)
        if not path.is_file():  # which a device and a pipe are not, linked ones neither
            beside = path.with_name(f"{path.name}.pdparams")
            raise FileNotFoundError(f"no weights file at {path}{f'; there is {beside}' if beside.is_file() else ''}")
        if path.name.endswith(_EXPORTED):
            raise CheckpointError(_OF_EXPORTED)
        _check_size(path.stat().st_size, most)
        data = mapping(path)
        return _archive(data) if data[257:262] == b"ustar" else _pickled(data)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise CheckpointError(f"it has {size} bytes, but such weights have {most} at most")


class _Array:
    """A NumPy array of a pickle, which becomes a tensor when it is given its state."""

    tensor: Tensor | None = None


def _fill(machine: Machine, array: _Array, state: Any) -> None:
    """The state of an array: version, shape, dtype, whether columns come first, bytes."""
    version, shape, dtype, columns_first, data = state
    if isinstance(data, str):  # Python 2 wrote bytes so
        data = data.encode("latin-1")
    if version != 1 or not isinstance(dtype, np.dtype) or not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError("an array of another kind")
    code = f"{dtype.kind}{dtype.itemsize}"
    if code not in _DTYPES:
        raise CheckpointError(f"its pickle has an array of {dtype.name[:20]}, which no weights are")
    if math.prod(as_shape(shape)) * dtype.itemsize != len(data):
        raise TypeError("an array without its bytes")
    machine.charge(len(data))
    if not len(data):
        array.tensor = torch.zeros(shape, dtype=_DTYPES[code])
        return
    flat = torch.frombuffer(bytearray(data), dtype=_DTYPES[code])
    array.tensor = flat.view(shape[::-1]).permute(*range(len(shape))[::-1]) if columns_first else flat.view(shape)


def _tuple(machine: Machine, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    (items,) = arguments
    if not isinstance(items, list | tuple):
        raise TypeError(f"a tuple of a {type(items).__name__}")
    machine.work(len(items))
    return tuple(items)


_RULES = {
    **RULES,
    "builtins.tuple": Rule("builtins.tuple", _tuple),
    **{
        name: Rule(name, lambda machine, arguments: _Array())
        for name in ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
    },
}
_BUILDERS = {np.dtype: BUILDERS[np.dtype], _Array: _fill}


def _pickled(data: mmap.mmap) -> dict[str, Tensor]:
    """The tensors of a ``.pdparams``: one pickle of a dict of arrays."""
    if data[:1] != b"\x80":
        raise CheckpointError(
            "it is neither a .pdparams nor a .tar of a static model; unpack a compressed archive and pass its folder"
        )

    def persistent(key: Any) -> None:
        raise ValueError("a tensor where none belongs")

    content = Machine(_RULES, _BUILDERS, persistent, len(data), len(data), views=True).run(data)
    if not isinstance(content, dict):
        raise CheckpointError("this file holds no state dict")
    if any(_OF_OPTIMIZERS.search(name) for name in content if isinstance(name, str)):
        raise CheckpointError("it is the state of an optimizer, which only training uses; pass the .pdparams beside it")
    found = {name: _plain(value) for name, value in content.items()}
    inner = next((found[name] for name in ("state_dict", "model") if isinstance(found.get(name), dict)), found)
    state = {name: value for name, value in inner.items() if name not in _DROPPED and isinstance(value, Tensor)}
    return state_dict(_joined(state, content.get("UnpackBigParamInfor@@", {})))


def _plain(value: Any, nested: bool = False) -> Any:
    """Arrays as tensors; where a dict is nested, each comes beside its name in the graph."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], _Array):
        value = value[1]
    if isinstance(value, _Array):
        return value.tensor
    return {name: _plain(one, True) for name, one in value.items()} if isinstance(value, dict) and not nested else value


def _joined(state: dict[str, Tensor], cut: Any) -> dict[str, Tensor]:
    """A state dict with tensors of more than a gigabyte, which old protocols hold in slices, made whole."""
    if not isinstance(cut, Mapping):
        raise CheckpointError("its list of large tensors is damaged")
    for name, said in cut.items():
        try:
            flat = torch.cat([state.pop(part).flatten() for part in said["slices"]])  # each slice once
            state[name] = flat.view(as_shape(tuple(int(one) for one in said["OriginShape"])))
        except (KeyError, TypeError, ValueError, RuntimeError):
            raise CheckpointError(f"its large tensor {str(name)[:100]!r} is not whole") from None
    return state


def _folder(path: Path, most: int) -> dict[str, Tensor]:
    """The variables in a folder, one file each."""
    files: dict[str, os.DirEntry[str]] = {}
    with os.scandir(path) as entries:
        for number, entry in enumerate(entries):
            if number >= MOST_VARIABLES:
                raise CheckpointError(f"it holds more than {MOST_VARIABLES} files, which no model has")
            if entry.name.startswith(_PROGRAM) or entry.is_dir(follow_symlinks=False):
                continue
            if not entry.is_file(follow_symlinks=False):
                raise CheckpointError(f"{entry.name} is a link or a device, which is not read")
            if entry.name.endswith(_EXPORTED):
                raise CheckpointError(_OF_EXPORTED)
            if entry.name.endswith((".pdparams", ".pdema", ".pdopt")):
                raise CheckpointError(f"it has {entry.name} in it, so it is no static model; pass a .pdparams itself")
            if not entry.stat().st_size:
                raise CheckpointError(f"{entry.name} is empty")
            files[entry.name] = entry
    _check_size(sum(entry.stat().st_size for entry in files.values()), most)
    return _variables((name, mapping(Path(files[name].path))) for name in sorted(files))


def _archive(data: mmap.mmap) -> dict[str, Tensor]:
    """The variables in a tar archive, one file each, all in one folder."""
    files: dict[str, tuple[int, int]] = {}
    folders: set[str] = set()
    for name, start, size in _entries(data):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise CheckpointError(f"{name[:100]!r} is a path out of the archive")
        if path.name.startswith(_PROGRAM):
            continue
        if path.name in files:
            raise CheckpointError(f"{path.name[:100]!r} is there twice")
        files[path.name] = start, size
        folders.add(str(path.parent))
    if len(folders) > 1:
        raise CheckpointError("its variables are in several folders; unpack it and pass one of them")
    return _variables((name, data, *place) for name, place in files.items())


def _entries(data: mmap.mmap) -> Iterator[tuple[str, int, int]]:
    """Name, first byte and size of each file in a tar archive."""
    place, count, longer = 0, 0, b""
    while place + _BLOCK <= len(data):
        block = data[place : place + _BLOCK]
        if not any(block):
            return
        count += 1
        if count > MOST_VARIABLES:
            raise CheckpointError(f"it holds more than {MOST_VARIABLES} files, which no model has")
        size, kind, start = _octal(block[124:136]), block[156:157], place + _BLOCK
        if _octal(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * ord(" ") or start + size > len(data):
            break
        place = start + -(-size // _BLOCK) * _BLOCK
        if kind in (b"L", b"x"):  # a longer name for the next file
            if size > LONGEST_NAME:
                raise CheckpointError("it has a name without an end")
            said = data[start : start + size]
            told = re.search(rb"(?:^|\n)\d{1,5} path=([^\n]*)\n", said)
            longer = said.rstrip(b"\0") if kind == b"L" else told[1] if told else b""
        elif kind in (b"0", b"\0"):
            name, folder = block[:100].rstrip(b"\0"), block[345:500].rstrip(b"\0") if block[262:263] == b"\0" else b""
            longer = longer or (folder + b"/" + name if folder else name)
            yield longer.decode("utf-8", "replace"), start, size
            longer = b""
        elif kind not in (b"5", b"g"):  # a folder, notes on all files
            raise CheckpointError("it has links or devices in it, which are not read")
    raise CheckpointError("it is damaged or cut off")


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]{1,12}", digits):
        raise CheckpointError("it is damaged or cut off")
    return int(digits, 8)


def _variables(files: Iterator[tuple[Any, ...]]) -> dict[str, Tensor]:
    state = {}
    for name, data, *place in files:
        start, size = place or (0, len(data))
        try:
            state[name] = _variable(data, start, start + size)
        except (TypeError, ValueError, struct.error) as error:
            raise CheckpointError(f"{name[:100]} is no variable of a static model, or damaged ({error})") from None
    if not state:
        raise CheckpointError("it holds no variables; pass the folder that has one file for each")
    return state


def _variable(data: mmap.mmap, start: int, end: int) -> Tensor:
    """A variable as Paddle's ``save`` wrote it: version, levels of detail, version, description, numbers."""

    def number(form: str) -> int:
        nonlocal start
        layout = struct.Struct(form)
        value, start = layout.unpack(data[start : min(end, start + layout.size)])[0], start + layout.size
        return value

    if number("<I") != 0:
        raise ValueError("of another version")
    levels = number("<Q")
    if levels > MOST_DIMENSIONS:
        raise ValueError("too many levels")
    for _ in range(levels):
        length = number("<Q")
        start += length
        if start > end:
            raise ValueError("cut off")
    if number("<I") != 0:
        raise ValueError("of another version")
    length = number("<i")
    if not 0 <= length <= 16 * MOST_DIMENSIONS or start + length > end:
        raise ValueError("cut off")
    dtype, shape = _described(data[start : start + length])
    start += length
    count = math.prod(shape)
    if count * dtype.itemsize != end - start:
        raise ValueError("its numbers are not as many as said")
    return mapped(data, start, dtype, count).view(shape)


def _described(message: bytes) -> tuple[torch.dtype, tuple[int, ...]]:
    """Type and shape in a description: pairs of a field's number and a number, as Protocol Buffers write them."""
    numbers: list[int] = []
    value = shift = 0
    for byte in message:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(value)
            value = shift = 0
    fields = list(zip(numbers[::2], numbers[1::2], strict=True))
    types = [value for field, value in fields if field == 0x08]
    if shift or len(types) != 1 or types[0] not in _NUMBERED or any(field not in (0x08, 0x10) for field, _ in fields):
        raise ValueError("a description that is none")
    return _NUMBERED[types[0]], as_shape(tuple(value for field, value in fields if field == 0x10))


__all__ = ["read"]
