"""The statements of a config file: which of them are evaluated, and what the others leave unknown."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from detzoo.interop.kinds import PACKAGES
from detzoo.interop.mmdet.calls import Calls
from detzoo.interop.mmdet.effects import PURE_MODULES, effects, reaching
from detzoo.interop.mmdet.literals import Changed
from detzoo.interop.mmdet.said import said
from detzoo.interop.mmdet.scope import BASE, NOT_RUN, Imported
from detzoo.interop.mmdet.syntax import Budget
from detzoo.interop.unknowns import REST, Unknown

# reads what a new-style config inherits from: the module, and how many dots are before it
Load = Callable[[str, int, int], dict[str, Any]]


def evaluate(
    tree: ast.Module, name: str, base: dict[str, Any], budget: Budget, load: Load | None = None
) -> dict[str, Any]:
    """What a config file assigns, by name.

    Args:
        tree: from `parse`.
        name: what errors call the file.
        base: what it inherits, seen there as ``_base_``; assignments to its items change it.
        budget: what may be spent.
        load: reads what ``with read_base()`` imports; None: the file is not at hand.

    Returns:
        The values; what is not evaluated is `Unknown`, and stands at `REST` where it may be any name.

    Raises:
        ConfigError: it does what MMDetection could not run either, or costs too much; the message names file and line.
    """
    return _Statements(name, base, budget, load).run(tree)


class _Statements(Calls):
    def __init__(self, name: str, base: dict[str, Any], budget: Budget, load: Load | None) -> None:
        super().__init__(name, base, budget)
        self.load = load
        self.modules: set[str] = set()  # names of modules and functions, which are no settings

    def run(self, tree: ast.Module) -> dict[str, Any]:
        reached = reaching(tree)
        for statement in tree.body:
            self._statement(statement)
        values = {key: value for key, value in self.names.items() if self._is_setting(key, value)}
        if reached is not None:
            word, line = reached
            self.rest = Unknown(f"{self.name}:{line}: '{word}' {NOT_RUN}")
            self.lose([self.base], self.rest, tree)
            values = {}
        if self.rest is not None:
            values[REST] = self.rest
        return values

    def _is_setting(self, name: str, value: Any) -> bool:
        """Whether MMDetection takes a name for a setting; not those of modules, functions and its own classes."""
        if isinstance(value, Imported) and value.package in (*PACKAGES, *PURE_MODULES):
            return False
        return name != BASE and not name.startswith("__") and name not in self.modules

    def _statement(self, node: ast.stmt) -> None:
        self.spend(node)
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) if name == BASE:
                pass  # read before, with the files that it names
            case ast.Assign(targets=targets, value=value):
                found = self.value(value)
                for target in targets:
                    self.assign(target, found)
            case ast.AnnAssign(target=target, value=value):
                if value is not None:
                    self.assign(target, self.value(value))
            case ast.AugAssign(target=target, op=kind, value=value):
                self._change(node, target, kind, self.value(value))
            case ast.Delete(targets=targets):
                for target in targets:
                    self._delete(target)
            case ast.Expr(value=value):
                self.value(value)
            case ast.Pass():
                pass
            case ast.Assert(test=test):
                self.value(test)
            case ast.If(test=test, body=body, orelse=other):
                self._branch(test, body, other)
            case ast.For(target=target, iter=items, body=body, orelse=[]) if not _jumps(body):
                self._repeat(node, target, items, body)
            case ast.Import(names=names):
                for one in names:
                    name = one.asname or one.name.split(".")[0]
                    self.names[name] = Imported(one.name if one.asname else name)
                    self.modules.add(name)
            case ast.ImportFrom(module=module, names=names, level=level):
                self._import_from(node, module or "", names, level)
            case ast.With(items=[ast.withitem(context_expr=ast.Call(func=ast.Name(id="read_base")))], body=body):
                self._read_bases(body)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._define(node)
            case _:
                self.skip(node, why=self.unknown(node, f"'{said(node)}' {NOT_RUN}"))

    def assign(self, target: ast.expr, value: Any) -> None:
        """Give a name, an item or an attribute a value."""
        if isinstance(target, ast.Name):
            self.names[target.id] = value
            self.modules.discard(target.id)
            return
        if isinstance(target, ast.Tuple | ast.List):
            self._unpack(target, value)
            return
        holder, key = self._place(target)
        why = self.lost(holder) or self.lost(key)
        if why is not None or key is None:
            self.lose([holder], self.unknown(target, f"'{said(target)}' {NOT_RUN}", why, value), target)
        elif self._has_place(holder, key):
            holder[key] = value
        else:
            raise self.refused(target, f"cannot assign to '{said(target)}'")

    def _has_place(self, holder: Any, key: Any) -> bool:
        if isinstance(holder, list):
            return isinstance(key, int) and -len(holder) <= key < len(holder)
        return isinstance(holder, dict) and isinstance(key, str | int)

    def _unpack(self, target: ast.Tuple | ast.List, value: Any) -> None:
        names = target.elts
        items = self.sequence(target, value)
        if isinstance(items, Unknown):
            for one in names:
                self.assign(one.value if isinstance(one, ast.Starred) else one, items)
            return
        items = list(self.bounded(target, items))
        star = next((index for index, one in enumerate(names) if isinstance(one, ast.Starred)), None)
        if star is not None and len(items) >= len(names) - 1:
            end = len(items) - (len(names) - 1 - star)
            items[star:end] = [items[star:end]]
        if len(items) != len(names):
            raise self.refused(target, f"{len(items)} values for {len(names)} names")
        for one, item in zip(names, items, strict=True):
            self.assign(one.value if isinstance(one, ast.Starred) else one, item)

    def _place(self, target: ast.expr) -> tuple[Any, Any]:
        """The dict or list that an assignment changes, and where; None: at a place that is not one item."""
        if isinstance(target, ast.Attribute):
            return self.value(target.value), target.attr
        if isinstance(target, ast.Subscript):
            holder = self.value(target.value)
            return holder, None if isinstance(target.slice, ast.Slice) else self.value(target.slice)
        raise self.refused(target, f"cannot assign to '{said(target)}'")

    def _change(self, node: ast.AST, target: ast.expr, kind: ast.operator, value: Any) -> None:
        """``target += value``, which changes a list itself."""
        before = self.value(target)
        if not isinstance(before, list) and self.lost(before) is None:
            self.assign(target, self.arithmetic(node, before, kind, value))
        elif isinstance(kind, ast.Add) and all(isinstance(one, list) and not self.lost(one) for one in (before, value)):
            before.extend(self.bounded(node, value))
            self.assign(target, self.bounded(node, before))
        else:
            why = self.unknown(node, f"this operation {NOT_RUN}", self.lost(value), before, value)
            self.lose([before, value], why, node)
            self.assign(target, why)

    def _delete(self, target: ast.expr) -> None:
        holder, key = (self.names, target.id) if isinstance(target, ast.Name) else self._place(target)
        why = self.lost(holder) or self.lost(key)
        if holder is not self.names and (why is not None or key is None):
            self.lose([holder], self.unknown(target, f"'del' {NOT_RUN}", why), target)
            return
        try:
            del holder[key]
        except (KeyError, IndexError, TypeError):
            if self.rest is not None if holder is self.names else self.partly(holder) is not None:
                return
            raise self.refused(target, f"there is no '{said(target)}' to delete") from None

    def _branch(self, test: ast.expr, body: list[ast.stmt], other: list[ast.stmt]) -> None:
        match test:
            case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()]):
                found: Any = False  # a config is never the program itself
            case _:
                found = self.truth(self.value(test))
        if isinstance(found, Unknown):
            self.skip(*body, *other, why=found)
            return
        for statement in body if found else other:
            self._statement(statement)

    def _repeat(self, node: ast.For, target: ast.expr, over: ast.expr, body: list[ast.stmt]) -> None:
        items = self.sequence(over, self.value(over))
        if isinstance(items, Unknown):
            self.skip(node, why=items)
            return
        for item in self.each(over, items):
            if isinstance(item, Changed):
                self.skip(node, why=item.why)
                return
            self.assign(target, item)
            for statement in body:
                self._statement(statement)

    def _import_from(self, node: ast.AST, module: str, names: list[ast.alias], level: int) -> None:
        full = "." * level + module
        for one in names:
            if one.name != "*":
                self.names[one.asname or one.name] = Imported(f"{full}.{one.name}" if module else full + one.name)
                continue
            self.import_all(self.unknown(node, f"'from {full} import *' {NOT_RUN}"))

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        word = "class" if isinstance(node, ast.ClassDef) else "def"
        why = self.unknown(node, f"'{word} {node.name[:60]}' {NOT_RUN}")
        found = effects(node, own=self.names)
        self.spend(node, found.size // 8)
        now: list[ast.AST] = [node] if isinstance(node, ast.ClassDef) else [*node.decorator_list, node.args]
        self.skip(*now, why=why)  # what runs before it is called
        self.names[node.name] = Unknown(why.why, (), found.read, found.assigned - {node.name})
        if word == "def" and not node.decorator_list:
            self.modules.add(node.name)

    def _read_bases(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if not isinstance(statement, ast.ImportFrom):
                self._statement(statement)
                continue
            if self.load is None:
                raise self.refused(statement, "inherits from files that are not at hand; pass the path of the config")
            found = self.load(statement.module or "", statement.level, statement.lineno)
            for one in statement.names:
                if one.name == "*":
                    self.update(self.names, found)
                    self.names[BASE] = self.base
                elif one.name in found or REST in found:
                    self.names[one.asname or one.name] = found.get(one.name, found.get(REST))
                else:
                    raise self.refused(statement, f"there is no '{one.name}' in {statement.module}")
            if REST in found:
                self.rest = self.names.pop(REST, None) or found[REST]


def _jumps(body: list[ast.stmt]) -> bool:
    """Whether a loop may end early or skip some of its body."""
    return any(isinstance(one, ast.Break | ast.Continue) for node in body for one in ast.walk(node))


__all__ = ["Load", "evaluate"]
