"""The comment that stands beside each setting in its class, for those who read settings without the source."""

from __future__ import annotations

import ast
import functools
import inspect
import io
import textwrap
import tokenize
from typing import Any

from detzoo.config import Config


def explained(config: Config) -> dict[str, str]:
    """What the source says of each leaf setting, as ``{"a.b.c": text}``; those without a comment are left out."""
    found: dict[str, str] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Config):
            said = comments(type(value))
            for name, field in type(value).model_fields.items():
                if field.exclude:
                    continue
                path = f"{prefix}.{name}" if prefix else name
                if name in said:
                    found[path] = said[name]
                walk(path, getattr(value, name))

    walk("", config)
    return found


@functools.cache
def comments(kind: type[Config]) -> dict[str, str]:
    """The comment of each setting of a class, inherited ones included: behind it, or else on the lines above it."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, Config) and base is not Config:
            found |= _of_source(base)
    return found


def _of_source(kind: type[Config]) -> dict[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError):  # a class without a file, as from a console
        return {}
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    lines = source.splitlines()
    comment_at = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    for node in definition.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        own = [
            comment_at[line] for line in range(node.lineno, (node.end_lineno or node.lineno) + 1) if line in comment_at
        ]
        above: list[str] = []
        line = node.lineno - 1
        while line in comment_at and lines[line - 1].lstrip().startswith("#"):
            above.insert(0, comment_at[line])
            line -= 1
        text = " ".join([*above, *own])
        if text:
            found[node.target.id] = text
    return found


__all__ = ["comments", "explained"]
