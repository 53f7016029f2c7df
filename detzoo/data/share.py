"""Arrays that several processes read from one file, mapped into memory."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import pickle
import tempfile
import weakref
from pathlib import Path
from typing import Any

_published: weakref.WeakKeyDictionary[Any, tuple[str, bytes, list[int]]] = weakref.WeakKeyDictionary()


def publish(owner: Any, value: Any) -> tuple[str, bytes, list[int]]:
    """Write the arrays within ``value`` to a temporary file, once per ``owner``, and say how to `attach` to it.

    The file is removed when ``owner`` is. A file rather than shared memory: containers often limit the latter to 64 MB.
    """
    if owner not in _published:
        buffers: list[pickle.PickleBuffer] = []
        payload = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        handle, path = tempfile.mkstemp(prefix="detzoo-", suffix=".arrays")
        weakref.finalize(owner, _remove, path, os.getpid())
        views = [buffer.raw() for buffer in buffers]
        with os.fdopen(handle, "wb") as file:
            for view in views:
                file.write(view)
                file.write(bytes(_padding(view.nbytes)))
        _published[owner] = (path, payload, [view.nbytes for view in views])
    return _published[owner]


def attach(path: str, payload: bytes, lengths: list[int]) -> Any:
    """The value given to `publish`, its arrays being read-only views of the mapped file."""
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if any(lengths) else b""
    view, start, buffers = memoryview(mapped), 0, []
    for length in lengths:
        buffers.append(view[start : start + length])
        start += length + _padding(length)
    return pickle.loads(payload, buffers=buffers)


def release_memory() -> None:
    """Give freed memory back to the system now; glibc would keep 100 MB and more after reading a large file."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # what other C libraries answer
        ctypes.CDLL(None).malloc_trim(0)


def _padding(length: int) -> int:
    return -length % 64  # keeps every array aligned


def _remove(path: str, process: int) -> None:
    if os.getpid() == process:  # a forked child must not take its parent's file away
        Path(path).unlink(missing_ok=True)
