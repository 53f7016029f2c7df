"""How errors show a value of a config, in a few words."""

from __future__ import annotations

from typing import Any


def short(value: Any) -> str:
    """A value; of long ones the beginning, of a dict its type."""
    if isinstance(value, dict):
        kind = value.get("type")
        return f"dict(type={kind[:60]!r}, ...)" if isinstance(kind, str) else "dict(...)"
    if isinstance(value, list | tuple):
        nested = any(isinstance(one, list | tuple) for one in value[:6])
        inner = "..." if nested else ", ".join(map(short, value[:6])) + (", ..." if len(value) > 6 else "")
        return f"[{inner}]"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a large number"
    return repr(value[:80]) if isinstance(value, str) else repr(value)


__all__ = ["short"]
