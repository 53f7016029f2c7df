"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from detzoo.user_path import user_path


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a temporary file beside ``path``, then move it there in one step.

    When anything fails (a full disk, an interrupt) the previous file stays as it was and no temporary one is left.
    What a killed process leaves, `remove_leftovers` removes. The file gets the permissions that a new file of this
    user has, however ``write`` makes it.

    Raises:
        OSError: the file cannot be written; the message names the path.
    """
    path = user_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.touch()
        usual = temporary.stat().st_mode & 0o777
        write(temporary)
        # safetensors writes a file of its own, which only its owner can read, and moves it here
        if temporary.stat().st_mode & 0o777 != usual:
            temporary.chmod(usual)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(
            error.errno, f"could not write {path} ({error.strerror or error}); what was there is unchanged"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def check_folder(folder: str | Path) -> None:
    """Raise where a folder can be neither made nor written to, before anything is computed for it.

    Raises:
        NotADirectoryError: a file stands in its way.
        PermissionError: it, or the folder that it would be in, is not this user's to write to.
    """
    folder = user_path(folder).absolute()
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is a file, not a folder", str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "cannot be written to", str(there))


def remove_leftovers(folder: Path, names: Iterable[str]) -> None:
    """Remove what a killed process left beside files of these names; nobody may be writing them now."""
    ours = "|".join(re.escape(name) for name in names)
    left = re.compile(rf"\.({ours})\.[0-9a-f]{{32}}|\.tmp[A-Za-z0-9]{{6}}")  # the second: safetensors' own
    for path in folder.iterdir():
        if left.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


__all__ = ["check_folder", "remove_leftovers", "write_atomically"]
