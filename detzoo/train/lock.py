"""One run per folder: a lock of the operating system, which ends with the process that holds it however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from detzoo.typed import argument

NAME = "training.lock"
_PLACE = 1 << 20  # on Windows a locked byte cannot be read, and the first ones say whose lock it is
_TAKEN = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}  # any other error: there are no locks here
_held: set[int] = set()  # descriptors of the locks of this process


class FolderInUse(FileExistsError):
    """Another run is going on in the folder; the message says which process that is."""


@contextmanager
def lock(folder: Path, say: Callable[[str], object]) -> Iterator[None]:
    """Be the only run in a folder, which is made where it is not there; the file of the lock is gone afterwards.

    Args:
        folder: of the run.
        say: is told where the file system has no locks; the run then goes on without.

    Raises:
        FolderInUse: a run is going on there.
        OSError: the folder cannot be made or written to.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    file = _acquire(path, say)
    _held.add(file)
    try:
        os.ftruncate(file, 0)
        os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        _held.discard(file)
        if sys.platform == "win32":  # where an open file cannot be removed
            os.close(file)
            with contextlib.suppress(OSError):
                path.unlink()
        else:
            path.unlink(missing_ok=True)
            os.close(file)
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only where nothing came of the run


def _acquire(path: Path, say: Callable[[str], object]) -> int:
    """A descriptor of the file that ``path`` is, locked."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(file)
        except OSError as error:
            if error.errno in _TAKEN:
                owner = path.read_text(errors="replace").strip() if path.exists() else ""
                os.close(file)
                raise FolderInUse(
                    f"a training is going on in {path.parent}{f' ({owner})' if owner else ''}; "
                    f"wait until it ends, stop it, or choose another {argument('out')}"
                ) from None
            say(f"{path.parent} is on a file system without locks: see to it that no other run writes there")
            return file
        # whoever had it before may have removed the file between our opening and locking it
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(file), path.stat()):
                return file
        os.close(file)


def _lock(file: int) -> None:
    """Lock without waiting."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, _PLACE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _let_go() -> None:
    """In a forked process, as one that loads images: it must not keep the lock when its parent is killed."""
    for file in _held:
        os.close(file)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


__all__ = ["FolderInUse", "lock"]
