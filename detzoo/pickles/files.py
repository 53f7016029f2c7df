"""PyTorch's weights files, opened without unpickling: the zip form, and the older one without an archive.

Storages are mapped, not read: a tensor costs memory only when it is used.
"""

from __future__ import annotations

import mmap
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from detzoo.pickles.allowed import BUILDERS, RULES, STORAGES, Storage
from detzoo.pickles.machine import MOST_BYTES, CheckpointError, Machine, Rule

MOST_LISTED = 1 << 22  # bytes of an archive's list of its entries: some 40 thousand
MOST_TENSORS = 100_000  # of a state dict
LONGEST_STORAGE = 200  # characters of its name
_MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of the older form
_LEGACY_PROTOCOL = 1001
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, ..., lengths of name and extra field
_COUNT = struct.Struct("<q")
_DTYPES: Mapping[str, torch.dtype] = STORAGES


def read(path: str | Path) -> Any:
    """The content of a ``.pth`` file: containers, numbers and tensors (on the CPU).

    Nothing in the file is executed or imported. Objects of training tools that are known to be harmless are replaced by
    a stand-in that keeps their name (`detzoo.pickles.allowed`); any other is refused. The tensors are private mappings
    of the file, which therefore must not change while they are in use.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, no PyTorch file, or names what is not allowed; the message names the file.
    """
    path = Path(path)
    if not path.is_file():  # which a device and a pipe are not, linked ones neither
        raise FileNotFoundError(f"no weights file at {path}")
    try:
        data = mapping(path)
        return _zipped(data) if data[:4] == b"PK\x03\x04" else _plain(data)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def mapping(path: Path) -> mmap.mmap:
    """A file in memory, of which only what is used is read; changes stay private.

    Raises:
        CheckpointError: it is empty, or too large.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise CheckpointError("it is empty")
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise CheckpointError(f"it is too large for this machine ({reason})") from None


def state_dict(content: Any) -> dict[str, Tensor]:
    """The weights in what `read` gave: the content itself, or its ``state_dict``, ``model`` or ``model_state``.

    Wrappers' prefix ``module.`` is taken off.

    Raises:
        CheckpointError: there is no dict of tensors.
    """
    state = content
    if isinstance(content, Mapping):
        state = next(
            (content[key] for key in ("state_dict", "model", "model_state") if isinstance(content.get(key), Mapping)),
            content,
        )
    if not isinstance(state, Mapping) or not state:
        raise CheckpointError("this file holds no state dict")
    if len(state) > MOST_TENSORS:
        raise CheckpointError(f"this file holds {len(state)} tensors; up to {MOST_TENSORS} are read")
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        raise CheckpointError("this file holds no state dict")
    prefix = "module." if all(name.startswith("module.") for name in state) else ""
    return {name.removeprefix(prefix): value for name, value in state.items()}


def _zipped(data: mmap.mmap) -> Any:
    """The content of a zip archive as `torch.save` writes it: ``<name>/data.pkl`` and ``<name>/data/<key>``."""
    entries = _entries(data)
    folders = [name.rpartition("/")[0] for name in entries if name.endswith("/data.pkl")]
    if len(folders) != 1 or f"{folders[0]}/constants.pkl" in entries:
        raise CheckpointError("it is a zip archive, but not one of weights")
    (folder,) = folders
    order = entries.get(f"{folder}/byteorder")
    if order is not None and data[order[0] : sum(order)] != b"little":
        raise CheckpointError("it was written with another byte order")
    storages: dict[str, Storage] = {}

    def persistent(key: Any) -> Storage:
        name, dtype, count = _described(key)
        if name not in storages:
            start, size = entries.get(f"{folder}/data/{name}", (0, -1))
            if size != count * dtype.itemsize:
                raise CheckpointError("a tensor's data is missing or has another size")
            storages[name] = Storage(mapped(data, start, dtype, count))
        elif storages[name].flat.dtype != dtype or storages[name].flat.numel() != count:
            raise CheckpointError("a tensor's data is described twice, differently")
        return storages[name]

    start, size = entries[f"{folder}/data.pkl"]
    if size > MOST_BYTES:
        raise CheckpointError(f"its pickle has {size} bytes; up to {MOST_BYTES} are read")
    return Machine(RULES, BUILDERS, persistent, size).run(data, start, start + size)


class _Listed:
    """An archive as `zipfile` reads it, which reads the list of entries at once: a list that is too long is refused."""

    def __init__(self, data: mmap.mmap) -> None:
        self.seek, self.tell, self.data = data.seek, data.tell, data

    def read(self, size: int = -1) -> bytes:
        if (len(self.data) - self.tell() if size < 0 else size) > MOST_LISTED:
            raise CheckpointError(f"its list of entries has more than {MOST_LISTED} bytes, which no weights need")
        return self.data.read(size)


def _entries(data: mmap.mmap) -> dict[str, tuple[int, int]]:
    """Where each entry of a zip archive begins, and its size. Entries of weights are not compressed."""
    try:
        with zipfile.ZipFile(cast(IO[bytes], _Listed(data))) as archive:
            listed = archive.infolist()
    except CheckpointError:
        raise
    except Exception as error:  # whatever a damaged list can provoke: texts, sizes, structures, memory
        raise CheckpointError(f"it is damaged or cut off ({str(error)[:100]})") from None
    entries = {}
    for entry in listed:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise CheckpointError("it is a compressed archive, which no weights file is")
        header = data[entry.header_offset : entry.header_offset + _LOCAL_HEADER.size]
        if len(header) != _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
            raise CheckpointError("it is damaged or cut off")
        _, name, extra = _LOCAL_HEADER.unpack(header)
        start = entry.header_offset + _LOCAL_HEADER.size + name + extra
        if entry.filename in entries or start + entry.file_size > len(data):
            raise CheckpointError("it is damaged or cut off")
        entries[entry.filename] = (start, entry.file_size)
    return entries


def _plain(data: mmap.mmap) -> Any:
    """The content of the older form: five pickles (the fourth is it, the fifth lists storages), then the storages."""
    magic = protocol = None
    place = 0
    try:
        magic, place = _plain_pickle(data, place)
        protocol, place = _plain_pickle(data, place)
    except CheckpointError:
        pass
    if magic != _MAGIC or protocol != _LEGACY_PROTOCOL:
        raise CheckpointError("it is no file that torch.save wrote, or is damaged")
    system, begin = _plain_pickle(data, place)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise CheckpointError("it was written with another byte order")
    found: dict[str, Storage] = {}

    def look(key: Any) -> Storage:
        name, dtype, count = _described(key)
        if name not in found:
            found[name] = Storage(torch.empty(count, dtype=dtype, device="meta"))
        elif found[name].flat.dtype != dtype or found[name].flat.numel() != count:
            raise CheckpointError("a tensor's data is described twice, differently")
        return found[name]

    # read twice, for where the storages are is only known behind it; both times count
    machine = Machine(RULES, BUILDERS, look, 2 * len(data))
    machine.run(data, begin)
    listed, place = _plain_pickle(data, machine.place)
    storages = _stored(data, place, listed, found)
    machine.persistent = lambda key: storages[_described(key)[0]]
    return machine.run(data, begin)


def _stored(data: mmap.mmap, place: int, listed: Any, found: Mapping[str, Storage]) -> dict[str, Storage]:
    """The storages, each a count and so many numbers, in the order that the last pickle lists them."""
    storages = {}
    if not isinstance(listed, list) or len(listed) != len(found) or not all(isinstance(one, str) for one in listed):
        raise CheckpointError("it is damaged: its list of tensors does not fit")
    if set(listed) != set(found):
        raise CheckpointError("it is damaged: its list of tensors does not fit")
    for name in listed:
        dtype, count = found[name].flat.dtype, found[name].flat.numel()
        start = place + _COUNT.size
        place = start + count * dtype.itemsize
        if place > len(data) or _COUNT.unpack(data[start - _COUNT.size : start]) != (count,):
            raise CheckpointError("it is damaged or cut off")
        storages[name] = Storage(mapped(data, start, dtype, count))
    return storages


def _plain_pickle(data: mmap.mmap, start: int) -> tuple[Any, int]:
    """The value of a pickle without tensors, and where it ends."""

    def persistent(key: Any) -> None:
        raise ValueError("a tensor where none belongs")

    machine = Machine({}, {}, persistent, 0)
    return machine.run(data, start), machine.place


def _described(key: Any) -> tuple[str, torch.dtype, int]:
    """Name, dtype and count of a storage from its persistent id: "storage", its class, name, device, count."""
    if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage" or not isinstance(key[1], Rule):
        raise ValueError("no storage where one belongs")
    if len(key) > 5 and key[5] is not None:
        raise CheckpointError("a tensor's data is a part of another's, which was given up in 2018")
    if (
        key[1].name not in _DTYPES
        or not isinstance(key[2], str)
        or len(key[2]) > LONGEST_STORAGE
        or type(key[4]) is not int
        or not 0 <= key[4] < 1 << 48
    ):
        raise ValueError("a storage that is none")
    return key[2], _DTYPES[key[1].name], key[4]


def mapped(data: mmap.mmap, start: int, dtype: torch.dtype, count: int) -> Tensor:
    """``count`` numbers that begin at a byte of the file; a copy where they are not aligned."""
    if count == 0:
        return torch.empty(0, dtype=dtype)
    if start % dtype.itemsize:
        return torch.frombuffer(bytearray(data[start : start + count * dtype.itemsize]), dtype=dtype)
    return torch.frombuffer(data, dtype=dtype, count=count, offset=start)


__all__ = ["mapped", "mapping", "read", "state_dict"]
