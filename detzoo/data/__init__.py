"""Readers, transforms, samplers and the loader.

Two words are for programs, and imported when first used: `join` and `albumentations`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detzoo.data.own import join
    from detzoo.data.vary import albumentations

_HOMES = {"albumentations": "detzoo.data.vary", "join": "detzoo.data.own"}

__all__ = ["albumentations", "join"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'detzoo.data' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
