"""Settings by their paths, ``a.b.c``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Every leaf of nested settings as ``{"a.b.c": value}``; an empty mapping is a leaf, too."""
    found: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            found[prefix] = value

    walk("", dict(settings))
    return found
