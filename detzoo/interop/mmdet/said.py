"""How errors show what a config says, in a few words."""

from __future__ import annotations

import ast
from typing import Any

_WORDS: dict[type[ast.AST], str] = {
    ast.FunctionDef: "def",
    ast.ClassDef: "class",
    ast.AugAssign: "+=",
    ast.AnnAssign: "a name with a type",
    ast.IfExp: "if ... else",
    ast.BoolOp: "and / or",
    ast.Compare: "a comparison",
    ast.BinOp: "this operation",
    ast.UnaryOp: "this operation",
    ast.GeneratorExp: "a loop in a call",
    ast.SetComp: "a loop in a set",
    ast.Set: "a set",
    ast.NamedExpr: ":=",
}


def said(node: ast.AST) -> str:
    """How a file wrote a name; of anything else what it is."""
    if not isinstance(node, ast.Name | ast.Attribute):
        return _WORDS.get(type(node), type(node).__name__.lower())
    names: list[str] = []
    here: ast.AST = node
    while isinstance(here, ast.Attribute) and len(names) < 8:
        names.append(here.attr)
        here = here.value
    return ".".join([here.id if isinstance(here, ast.Name) else "...", *reversed(names)])[:60]


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


__all__ = ["said", "short"]
