"""Values of a Python config file, without running it.

The file is parsed, and of its syntax tree only what configs need is evaluated here, node by node: literals, names,
arithmetic, ``dict(...)``, attributes and items of what was assigned before, a few calls. There is no way from here to
an attribute of a Python object, to an import or to a function that is not in this file. What is not evaluated is an
`Unknown` value, and so is all that it may have changed.
"""

from __future__ import annotations

import ast
import builtins
import operator
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

from detzoo.interop.mmdet.effects import effects
from detzoo.interop.mmdet.said import said
from detzoo.interop.mmdet.scope import BASE, NOT_RUN, Imported, Scope, own_names
from detzoo.interop.mmdet.syntax import MOST_BITS, MOST_DEPTH, MOST_ITEMS
from detzoo.interop.said import short
from detzoo.interop.unknowns import Unknown
from detzoo.suggest import unknown

_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")
_SCALARS = (str, bool, int, float, type(None))


def with_own_names(text: str, name: str) -> str:
    """A text in which ``{{ fileDirname }}`` and the like stand for the file's own name; other words stay."""
    own = own_names(name)
    return _PLACEHOLDER.sub(lambda match: own.get(match[1].strip(), match[0]), text)


class Changed:
    """In place of an item of a list that its loop changes, so that it is not known which items come."""

    def __init__(self, why: Unknown) -> None:
        self.why = why


class Literals(Scope):
    """Evaluates expressions."""

    depth = 0

    def value(self, node: ast.expr) -> Any:
        """The value of an expression."""
        self.spend(node)
        if self.depth >= MOST_DEPTH:
            raise self.refused(node, f"nested more than {MOST_DEPTH} deep")
        self.depth += 1
        try:
            return self._value(node)
        finally:
            self.depth -= 1

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return self._constant(node, value)
            case ast.List(elts=items):
                return self.items(items)
            case ast.Tuple(elts=items):
                found = self.items(items)
                return tuple(found) if isinstance(found, list) else found
            case ast.Dict(keys=keys, values=values):
                return self._dict(node, keys, values)
            case ast.Set(elts=[ast.Set(elts=[inner])]):  # {{_base_.name}}, as old configs write it
                return self.value(inner)
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.Attribute(value=holder, attr=attribute):
                return self._attribute(node, self.value(holder), attribute)
            case ast.Subscript(value=holder, slice=place):
                return self._subscript(node, self.value(holder), place)
            case ast.BinOp(left=left, op=kind, right=right):
                return self.arithmetic(node, self.value(left), kind, self.value(right))
            case ast.UnaryOp(op=kind, operand=operand):
                return self._signed(node, kind, self.value(operand))
            case ast.BoolOp(op=kind, values=values):
                return self._either(kind, values)
            case ast.Compare():
                return self._compared(node)
            case ast.IfExp(test=test, body=body, orelse=other):
                found = self.truth(self.value(test))
                if isinstance(found, Unknown):
                    return self.skip(body, other, why=found)
                return self.value(body if found else other)
            case ast.JoinedStr(values=parts):
                return self._formatted(node, parts)
            case ast.ListComp(elt=item, generators=loops):
                made: list[Any] = []
                why = self._loop(node, loops, lambda: made.append(self.value(item)))
                return made if why is None else why
            case ast.DictComp(key=key, value=item, generators=loops):
                pairs: list[tuple[Any, Any]] = []
                why = self._loop(node, loops, lambda: pairs.append((self.value(key), self.value(item))))
                return self.paired(node, pairs) if why is None else why
            case ast.Lambda(body=body):
                return Unknown(f"{self.name}:{node.lineno}: 'lambda' {NOT_RUN}", touches=effects(body).read)
            case ast.Call():
                return self.call(node)
        return self.skip(node, why=self.unknown(node, f"'{said(node)}' {NOT_RUN}"))

    @abstractmethod
    def call(self, node: ast.Call) -> Any:
        """The value of a call."""

    def _constant(self, node: ast.AST, value: Any) -> Any:
        if isinstance(value, str):
            return self._substituted(node, value) if "{{" in value else value
        if value is None or isinstance(value, bool | int | float):
            if isinstance(value, int) and value.bit_length() > MOST_BITS:
                raise self.refused(node, "the number is too large")
            return value
        return self.unknown(node, f"a config holds texts, numbers, True, False and None, not {type(value).__name__}")

    def _substituted(self, node: ast.AST, text: str) -> Any:
        """A text with ``{{ _base_.name }}`` or ``{{ fileDirname }}`` in it."""
        own = own_names(self.name)

        def found(name: str) -> Any:
            name = name.strip()
            if name in own:
                return own[name]
            head, *rest = name.split(".")
            if head != BASE or not rest:
                return self.unknown(node, f"'{{{{{name}}}}}' is not replaced")
            value: Any = self.base
            for part in rest:
                value = self._attribute(node, value, part)
            return value

        whole = _PLACEHOLDER.fullmatch(text.strip())
        if whole:
            return found(whole[1])
        return self._joined(
            node, [found(one) if index % 2 else one for index, one in enumerate(_PLACEHOLDER.split(text))]
        )

    def items(self, nodes: list[ast.expr]) -> list[Any] | Unknown:
        """The values of a list's items; unknown where it is not known how many they are."""
        items: list[Any] = []
        why: Unknown | None = None
        for node in nodes:
            if not isinstance(node, ast.Starred):
                items.append(self.value(node))
                continue
            more = self.value(node.value)
            if self.partly(more) is not None or not isinstance(more, list | tuple | dict | str):
                why = why or self.unknown(node, f"what is unpacked here {NOT_RUN}", self.partly(more), more)
                items.append(more)
            else:
                items.extend(self.bounded(node, more))
        return items if why is None else Unknown(why.why, (*why.may_be, items))

    def _dict(self, node: ast.AST, keys: list[ast.expr | None], values: list[ast.expr]) -> Any:
        made: dict[Any, Any] = {}
        for key, value in zip(keys, values, strict=True):
            if key is None:
                self.update(made, self.mapping(node, self.value(value)))
            else:
                self._put(node, made, self.value(key), self.value(value))
        return made

    def paired(self, node: ast.AST, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        """The dict of pairs of a key and a value."""
        made: dict[Any, Any] = {}
        for key, value in pairs:
            self._put(node, made, key, value)
        return made

    def _put(self, node: ast.AST, made: dict[Any, Any], key: Any, value: Any) -> None:
        if isinstance(key, str | int):
            made[key] = value
        else:
            self.update(made, self.unknown(node, "a key is a text", key, value))

    def mapping(self, node: ast.AST, value: Any) -> Any:
        """A value that has to be a dict, or may be one."""
        if self.lost(value) is not None:
            return self.lost(value)
        if not isinstance(value, dict):
            raise self.refused(node, f"a dict is needed here, not {type(value).__name__}")
        return self.bounded(node, value)

    def _name(self, node: ast.AST, name: str) -> Any:
        if name in self.names:
            return self.names[name]
        if name in ("inf", "nan"):  # as mmengine writes these numbers
            return float(name)
        if self.rest is not None:
            return Unknown(self.rest.why, self.rest.may_be)
        if name in _BUILT_IN:
            return self.unknown(node, f"'{name}' {NOT_RUN}")
        raise self.refused(node, unknown(name, self.names, "name that was assigned before"))

    def _attribute(self, node: ast.AST, holder: Any, name: str) -> Any:
        if isinstance(holder, Imported):
            return Imported(f"{holder.name}.{name}")
        why = self.lost(holder)
        if why is not None:
            return self.unknown(node, "", why, holder)
        if isinstance(holder, dict):
            if name in holder:
                return holder[name]
            if self.partly(holder) is not None or name in _METHODS:
                return self.unknown(node, f"'{said(node)}' {NOT_RUN}", self.partly(holder), holder)
            raise self.refused(node, unknown(name, map(str, holder), "setting there"))
        if isinstance(holder, list | tuple) and name.isdecimal() and len(name) < 9 and int(name) < len(holder):
            return holder[int(name)]
        return self.unknown(node, f"'{said(node)}' {NOT_RUN}", holder)

    def _subscript(self, node: ast.AST, holder: Any, place: ast.expr) -> Any:
        if isinstance(place, ast.Slice):
            return self._part(node, holder, place)
        key = self.value(place)
        why = self.lost(holder) or self.lost(key)
        if why is not None:
            return self.unknown(node, f"'{said(node)}' {NOT_RUN}", why, holder)
        if isinstance(holder, dict | str | list | tuple):
            try:
                return holder[key]
            except (KeyError, IndexError, TypeError):
                pass
        if self.partly(holder) is not None:
            return self.unknown(node, "", self.partly(holder))
        raise self.refused(node, f"there is no item {short(key)}")

    def _part(self, node: ast.AST, holder: Any, place: ast.Slice) -> Any:
        bounds = [None if one is None else self.value(one) for one in (place.lower, place.upper, place.step)]
        why = next((self.lost(one) for one in (holder, *bounds) if self.lost(one) is not None), None)
        if why is not None:
            return self.unknown(node, f"'{said(node)}' {NOT_RUN}", why, holder)
        if isinstance(holder, str | list | tuple) and all(one is None or isinstance(one, int) for one in bounds):
            try:
                return self.bounded(node, holder[slice(*bounds)])
            except ValueError:  # a step of zero
                pass
        raise self.refused(node, "this part cannot be taken")

    def arithmetic(self, node: ast.AST, left: Any, kind: ast.operator, right: Any) -> Any:
        """The value of an operation with two values."""
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        operation = _OPERATORS.get(type(kind))
        why = self.lost(left) or self.lost(right)
        if why is not None:
            return self.unknown(node, "", why, left, right)
        if operation is not None and numbers:
            if isinstance(left, int) and isinstance(right, int) and _bits(left, kind, right) > MOST_BITS:
                raise self.refused(node, "the number is too large")
            try:
                result = operation(left, right)
            except (ArithmeticError, ValueError) as error:
                raise self.refused(node, f"this cannot be computed ({error})") from None
            if isinstance(result, int | float):
                return result
            raise self.refused(node, f"'{said(node)}' cannot be computed")
        if isinstance(kind, ast.Add) and any(isinstance(left, one) and isinstance(right, one) for one in _JOINED):
            joined: Any = left
            return self.bounded(node, joined + right)
        if isinstance(kind, ast.Mult) and isinstance(left, str | list | tuple) and isinstance(right, int):
            if len(left) * max(right, 0) > MOST_ITEMS:
                raise self.refused(node, f"longer than {MOST_ITEMS}")
            return self.bounded(node, left * right)
        return self.unknown(node, f"'{said(node)}' {NOT_RUN}", left, right)

    def _signed(self, node: ast.AST, kind: ast.unaryop, value: Any) -> Any:
        if isinstance(kind, ast.Not):
            found = self.truth(value)
            return found if isinstance(found, Unknown) else not found
        if isinstance(value, int | float) and isinstance(kind, ast.USub | ast.UAdd):
            return -value if isinstance(kind, ast.USub) else +value
        return self.unknown(node, f"'{said(node)}' {NOT_RUN}", value)

    def truth(self, value: Any) -> bool | Unknown:
        """Whether Python takes a value for true."""
        why = self.lost(value)
        if why is None and isinstance(value, dict) and len(value) == 1:
            why = self.partly(value)
        return bool(value) if why is None else why

    def _either(self, kind: ast.boolop, nodes: list[ast.expr]) -> Any:
        for index, node in enumerate(nodes):
            value = self.value(node)
            found = self.truth(value)
            if isinstance(found, Unknown):
                why = Unknown(found.why, (value,))
                return self.skip(*nodes[index + 1 :], why=why)
            if found is isinstance(kind, ast.Or) or index == len(nodes) - 1:
                return value
        return None

    def _compared(self, node: ast.Compare) -> Any:
        values = [self.value(one) for one in (node.left, *node.comparators)]
        result = True
        for left, kind, right in zip(values, node.ops, values[1:], strict=False):
            why = self.lost(left) or self.lost(right)
            plain = isinstance(left, _SCALARS) and isinstance(right, _SCALARS)
            if why is None and isinstance(kind, ast.In | ast.NotIn) and isinstance(left, str | int | float):
                found = self._within(left, right)
                if found is not None:
                    result = result and found is isinstance(kind, ast.In)
                    continue
            compared = _COMPARISONS.get(type(kind))
            if isinstance(kind, ast.Is | ast.IsNot) and (left is None or right is None) and why is None:
                result = result and (left is right) is isinstance(kind, ast.Is)
            elif why is not None or not plain or compared is None:
                return self.unknown(node, f"'{said(node)}' {NOT_RUN}", why)
            else:
                try:
                    result = result and compared(left, right)
                except TypeError as error:
                    raise self.refused(node, str(error)) from None
        return result

    def _within(self, item: Any, holder: Any) -> bool | None:
        """Whether an item is in a list or a text, a key in a dict; None: this is not known."""
        if isinstance(holder, str):
            return item in holder if isinstance(item, str) else None
        if isinstance(holder, dict):
            return None if self.partly(holder) is not None and item not in holder else item in holder
        if isinstance(holder, list | tuple) and all(isinstance(one, _SCALARS) for one in holder):
            return item in self.bounded(ast.Pass(), holder)
        return None

    def _formatted(self, node: ast.AST, parts: list[ast.expr]) -> Any:
        pieces: list[Any] = []
        for part in parts:
            if isinstance(part, ast.FormattedValue):
                found = self.value(part.value)
                if part.format_spec is not None or part.conversion != -1:
                    found = self.skip(
                        *([part.format_spec] if part.format_spec else []),
                        why=self.unknown(node, "only plain {name} is replaced in a text", found),
                    )
                pieces.append(found)
            else:
                pieces.append(self.value(part))
        return self._joined(node, pieces)

    def _joined(self, node: ast.AST, pieces: list[Any]) -> Any:
        """The texts of values, one after the other."""
        for piece in pieces:
            if not isinstance(piece, _SCALARS):
                return self.unknown(node, f"a {type(piece).__name__} as part of a text {NOT_RUN}", self.lost(piece))
        return self.bounded(node, "".join(map(str, pieces)))

    def _loop(self, node: ast.AST, loops: list[ast.comprehension], turn: Callable[[], None]) -> Unknown | None:
        """Once for every turn of a comprehension, with its names set; they are gone, or as before, afterwards.

        Returns:
            Why it is not known what the turns are, if so.
        """
        targets = [one.id for loop in loops for one in ast.walk(loop.target) if isinstance(one, ast.Name)]
        self.spend(node, len(targets))
        before = {name: self.names[name] for name in targets if name in self.names}
        try:
            for why in self._turns(loops):
                if why is not None:
                    return self.skip(node, why=why)
                turn()
            return None
        finally:
            for name in targets:
                self.names.pop(name, None)
            self.names.update(before)

    def _turns(self, loops: list[ast.comprehension]) -> Iterator[Unknown | None]:
        if not loops:
            yield None
            return
        loop, *inner = loops
        items = self.sequence(loop.iter, self.value(loop.iter))
        if isinstance(items, Unknown) or loop.is_async:
            yield items if isinstance(items, Unknown) else self.unknown(loop.iter, f"'async' {NOT_RUN}")
            return
        for item in self.each(loop.iter, items):
            if isinstance(item, Changed):
                yield item.why
                return
            self.assign(loop.target, item)
            for test in loop.ifs:
                found = self.truth(self.value(test))
                if isinstance(found, Unknown):
                    yield found
                    return
                if not found:
                    break
            else:
                yield from self._turns(inner)

    @abstractmethod
    def assign(self, target: ast.expr, value: Any) -> None:
        """Give a name, an item or an attribute a value."""

    def sequence(self, node: ast.AST, value: Any) -> list[Any] | Unknown:
        """The items over which a loop goes; unknown where it is not known how many they are."""
        why = self.partly(value)
        if why is not None:
            return self.unknown(node, "", why, value)
        if isinstance(value, list):
            return value
        if isinstance(value, tuple | dict | str):
            return list(value)
        raise self.refused(node, f"a list is needed, not {type(value).__name__}")

    def each(self, node: ast.AST, items: list[Any]) -> Iterator[Any]:
        """The items for the turns of a loop; `Changed` where a turn made the list longer or shorter."""
        count = len(items)
        for index in range(count):
            self.spend(node)
            if self.lost(items) is not None or len(items) != count:
                yield Changed(self.unknown(node, f"a loop over what it changes {NOT_RUN}", self.lost(items)))
                return
            yield items[index]


_BUILT_IN = {*dir(builtins), "__file__"}
_METHODS = {*dir(dict), "merge"}
_JOINED = (str, list, tuple)
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


def _bits(left: int, kind: ast.operator, right: int) -> float:
    """At most so many bits has the result."""
    if isinstance(kind, ast.Pow):
        return left.bit_length() * right if right >= 0 else 0
    if isinstance(kind, ast.Mult):
        return left.bit_length() + right.bit_length()
    return max(left.bit_length(), right.bit_length()) + 1


__all__ = ["Changed", "Literals", "with_own_names"]
