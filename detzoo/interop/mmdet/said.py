"""How errors show what the Python of a config says, in a few words."""

from __future__ import annotations

import ast

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


__all__ = ["said"]
