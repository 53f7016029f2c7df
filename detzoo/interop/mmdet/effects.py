"""What code that is not evaluated may do to the names of a config."""

from __future__ import annotations

import ast
from collections.abc import Container
from dataclasses import dataclass

# they reach every name of the file without naming it
_REACHING = {"globals", "locals", "vars", "exec", "eval", "compile", "setattr", "delattr", "__builtins__", "breakpoint"}
_REACHING_PARTS = {"__dict__", "__globals__", "__builtins__", "_getframe", "f_globals", "f_locals", "f_back"}

# calls of these change nothing that they are given
PURE = {
    *("print", "len", "range", "enumerate", "zip", "int", "float", "str", "bool", "abs", "round", "min", "max", "sum"),
    *("sorted", "reversed", "any", "all", "repr", "isinstance", "issubclass", "type", "open", "hash", "format", "id"),
    *("hasattr", "dict", "list", "tuple", "set", "frozenset", "bytes", "chr", "ord", "divmod", "pow", "callable"),
}
PURE_MODULES = {
    *("os", "datetime", "time", "math", "glob", "json", "pathlib", "platform", "socket", "getpass", "uuid", "sys"),
    *("copy", "re", "string", "logging", "warnings", "shutil", "yaml", "argparse"),
}


# names that are assigned in these are their own; a loop in an expression assigns no name outside but by :=
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.comprehension)


@dataclass(frozen=True)
class Effects:
    """What code may do to names.

    Attributes:
        assigned: names that it assigns.
        read: names that it reads.
        changes: whether it may change values, not only compute others.
        size: how much code it is.
    """

    assigned: frozenset[str]
    read: frozenset[str]
    changes: bool
    size: int


def effects(*nodes: ast.AST, own: Container[str] = ()) -> Effects:
    """What running ``nodes`` may do, functions that they define among them; ``own`` are the names of the file."""
    assigned: set[str] = set()
    read: set[str] = set()
    changes = False
    size = 0
    waiting = [(node, False) for node in nodes]
    while waiting:
        node, inside = waiting.pop()
        size += 1
        waiting.extend((child, inside or isinstance(node, _SCOPES)) for child in ast.iter_child_nodes(node))
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name):
                if not inside:
                    assigned.add(name)
            case ast.Attribute(ctx=ast.Load()) | ast.Subscript(ctx=ast.Load()):
                pass
            case ast.Attribute() | ast.Subscript() | ast.Starred(ctx=ast.Store()):
                changes = True
            case ast.AugAssign(target=target):
                changes = True  # of a list: its items
                read |= {inner.id for inner in ast.walk(target) if isinstance(inner, ast.Name)}
            case ast.Call(func=function, keywords=keywords):
                harmless = isinstance(function, ast.Name) and function.id in PURE and function.id not in own
                changes |= not harmless or any(one.arg == "key" for one in keywords)
            case ast.NamedExpr(target=ast.Name(id=name)):
                assigned.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                changes = True
                if not inside:
                    assigned.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names) if not inside:
                assigned.update((one.asname or one.name).split(".")[0] for one in names)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                assigned.update(names)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                assigned.add(name)
            case ast.MatchMapping(rest=str(name)):
                assigned.add(name)
    return Effects(frozenset(assigned), frozenset(read), changes, size)


def reaching(tree: ast.Module) -> tuple[str, int] | None:
    """The first word in a file with which code reaches names that it does not name, and its line.

    Looks at every node of a file, so it goes through their fields itself: `ast.walk` takes three times as long.
    """
    first: tuple[str, int] | None = None
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        kind = type(node)
        if kind is ast.Constant:
            continue
        word = _reaching_word(node) if kind is ast.Name or kind is ast.Attribute else None
        line = getattr(node, "lineno", 1)
        if word is not None and (first is None or line < first[1]):
            first = word, line
        for name in node._fields:
            value = getattr(node, name, None)
            if type(value) is list:
                waiting.extend(one for one in value if isinstance(one, ast.AST))
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                waiting.append(value)
    return first


def _reaching_word(node: ast.AST) -> str | None:
    match node:
        case ast.Name(id=name) if name in _REACHING:
            return name
        case ast.Attribute(attr=name) if name in _REACHING_PARTS:
            return name
        case ast.Attribute(value=ast.Name(id="sys"), attr="modules"):
            return "sys.modules"
    return None


__all__ = ["PURE", "PURE_MODULES", "Effects", "effects", "reaching"]
