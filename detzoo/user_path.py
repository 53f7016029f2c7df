"""Paths as users write them."""

from __future__ import annotations

import os
from pathlib import Path


def user_path(path: str | os.PathLike[str]) -> Path:
    """``path`` with the home folder for a leading ``~`` or ``~name``; as it is where nobody has that name."""
    return Path(os.path.expanduser(path))
