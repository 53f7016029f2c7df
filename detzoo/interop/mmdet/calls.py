"""The calls in a config that are evaluated: of Python's own functions, and of dicts', lists' and texts' methods."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable
from typing import Any

from detzoo.interop.mmdet.effects import PURE, PURE_MODULES
from detzoo.interop.mmdet.literals import Literals
from detzoo.interop.mmdet.said import said
from detzoo.interop.mmdet.scope import NOT_RUN, Imported
from detzoo.interop.mmdet.syntax import MOST_BITS, MOST_ITEMS
from detzoo.interop.said import short
from detzoo.interop.unknowns import Unknown


class Calls(Literals):
    """Evaluates calls."""

    def call(self, node: ast.Call) -> Any:
        """The value of a call."""
        if isinstance(node.func, ast.Attribute):
            holder = self.value(node.func.value)
            given, named = self._arguments(node)
            if isinstance(holder, Imported):
                return self._of_import(node, f"{holder.name}.{node.func.attr}", given, named)
            return self._method(node, holder, node.func.attr, given, named)
        if isinstance(node.func, ast.Name) and node.func.id not in self.names and self.rest is None:
            name = node.func.id
            given, named = self._arguments(node)
            if name == "dict":
                return self._made_dict(node, given, named)
            why = next((one for one in (given, *named.values()) if isinstance(one, Unknown)), None)
            if name in _FUNCTIONS and isinstance(given, list) and why is None and not named:
                return self._applied(node, name, given)
            if name not in PURE:
                return self._left(node, given, named)
            return self._passed(node, given, named)
        function = self.value(node.func)
        given, named = self._arguments(node)
        if isinstance(function, Imported):
            return self._of_import(node, function.name, given, named)
        return self._left(node, given, named, function)

    def _arguments(self, node: ast.Call) -> tuple[list[Any] | Unknown, dict[str, Any]]:
        """The values of a call by place, and by name; what is not known of the names stands at `REST`."""
        given = self.items([self._of_loop(one) for one in node.args])
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value)
            if keyword.arg is None:
                before = dict(named)  # a name that is given twice is an error, so these stay
                self.update(named, self.mapping(node, value))
                named.update(before)
            else:
                named[keyword.arg] = value
        return given, named

    def _of_loop(self, node: ast.expr) -> ast.expr:
        """A loop in a call, as the list of what it gives."""
        if isinstance(node, ast.GeneratorExp):
            return ast.copy_location(ast.ListComp(node.elt, node.generators), node)
        return node

    def _left(self, node: ast.Call, *values: Any) -> Unknown:
        """A call that is not evaluated, and that may change all that it is given."""
        why = self.unknown(node, f"the call '{said(node.func)}(...)' {NOT_RUN}", *values)
        self.lose(values, why, node)
        return why

    def _passed(self, node: ast.Call, given: Any, named: dict[str, Any]) -> Unknown:
        """A call that is not evaluated and changes nothing; functions that it is given may be called."""
        values = [*(given if isinstance(given, list) else [given]), *named.values()]
        why = self.unknown(node, f"the call '{said(node.func)}(...)' {NOT_RUN}", *values)
        self.lose([one for one in values if isinstance(one, Unknown) and (one.touches or one.assigns)], why, node)
        return why

    def _of_import(self, node: ast.Call, name: str, given: Any, named: dict[str, Any]) -> Any:
        """A call of something imported, of which few are known."""
        if name in ("copy.deepcopy", "copy.copy") and isinstance(given, list) and len(given) == 1 and not named:
            return self._copied(node, given[0], {}, deep=name == "copy.deepcopy")
        texts = isinstance(given, list) and bool(given) and all(isinstance(one, str) for one in given)
        if name in ("os.path.join", "posixpath.join") and texts and not named:
            return self.bounded(node, posixpath.join(*given))
        if name.split(".")[0] in PURE_MODULES and name != "sys.setprofile":
            return self._passed(node, given, named)
        return self._left(node, given, named)

    def _copied(self, node: ast.AST, value: Any, made: dict[int, Any], deep: bool, depth: int = 0) -> Any:
        if not isinstance(value, dict | list | tuple):
            return value
        if id(value) in made:
            return made[id(value)]
        self.spend(node, 1 + len(value) // 8)
        if depth > MOST_BITS // 8:
            raise self.refused(node, "nested too deeply")
        copied: Any = {} if isinstance(value, dict) else []
        if not isinstance(value, tuple):
            made[id(value)] = copied

        def inner(one: Any) -> Any:
            return self._copied(node, one, made, deep, depth + 1) if deep else one

        if isinstance(value, dict):
            copied.update({key: inner(one) for key, one in value.items()})
            return copied
        copied.extend(map(inner, value))
        return copied if isinstance(value, list) else tuple(copied)

    def _made_dict(self, node: ast.AST, given: list[Any] | Unknown, named: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if isinstance(given, Unknown):
            self.update(made, given)
        elif len(given) > 1:
            raise self.refused(node, "dict takes one dict at most")
        elif given and isinstance(given[0], list | tuple) and self.lost(given[0]) is None:
            pairs = [one if isinstance(one, list | tuple) and len(one) == 2 else (None, one) for one in given[0]]
            made = self.paired(node, [(key, value) for key, value in pairs])
        elif given and isinstance(given[0], dict):
            self.update(made, self.mapping(node, given[0]))
        elif given:
            self.update(made, self.unknown(node, f"a dict of something else {NOT_RUN}", self.lost(given[0]), given[0]))
        self.update(made, named)
        return made

    def _method(self, node: ast.Call, holder: Any, name: str, given: Any, named: dict[str, Any]) -> Any:
        """The value of ``holder.name(...)``."""
        known = self.lost(holder) is None and isinstance(given, list)
        if known and isinstance(holder, dict) and name == "update":
            self.update(holder, self._made_dict(node, given, named))
            return None
        if known and isinstance(holder, dict) and name == "merge" and len(given) == 1 and not named:
            return self._merged(node, holder, given[0])
        if known and not named and not any(isinstance(one, Unknown) for one in given[:1]):
            methods = next((_METHODS[kind] for kind in (dict, list, str) if isinstance(holder, kind)), {})
            if name in methods:
                return methods[name](self, node, holder, given)
        if isinstance(holder, str):
            return self._passed(node, given, named)
        if known and isinstance(holder, list) and name == "append" and len(given) == 1 and not named:
            holder.append(given[0])
            return None
        return self._left(node, holder, given, named)

    def _merged(self, node: ast.Call, holder: dict[Any, Any], more: Any) -> Any:
        """``holder.merge(more)`` of mmengine: dicts in both are merged, all else is replaced."""
        if not isinstance(more, dict) or self._uncertain(node, holder) or self._uncertain(node, more):
            return self._left(node, holder, more)
        copied = self._copied(node, more, {}, deep=True)
        found = _merge(copied, self._copied(node, holder, {}, deep=True))
        holder.clear()
        holder.update(found)
        return None

    def _uncertain(self, node: ast.AST, value: Any) -> bool:
        """Whether some dict in a value may have other keys than are known."""
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if isinstance(one, dict):
                self.spend(node)
                if self.partly(one) is not None:
                    return True
                waiting.extend(one.values())
        return False

    def _get(self, node: ast.Call, holder: dict[Any, Any], given: list[Any]) -> Any:
        if 1 <= len(given) <= 2 and isinstance(given[0], str | int):
            if given[0] in holder:
                return holder[given[0]]
            why = self.partly(holder)
            return self.unknown(node, "", why, *given) if why is not None else (*given, None)[1]
        return self._left(node, holder, given)

    def _popped(self, node: ast.Call, holder: dict[Any, Any], given: list[Any]) -> Any:
        if 1 <= len(given) <= 2 and isinstance(given[0], str | int):
            if given[0] in holder:
                return holder.pop(given[0])
            if self.partly(holder) is not None:
                return self._left(node, holder, given)
            if len(given) == 2:
                return given[1]
        raise self.refused(node, f"there is no {short(given[0]) if given else 'name'} to take out")

    def _set_default(self, node: ast.Call, holder: dict[Any, Any], given: list[Any]) -> Any:
        if 1 <= len(given) <= 2 and isinstance(given[0], str | int) and self.partly(holder) is None:
            return holder.setdefault(*given)
        return self._left(node, holder, given)

    def _listed(self, node: ast.Call, holder: dict[Any, Any], given: list[Any]) -> Any:
        """``keys``, ``values``, ``items`` and ``copy`` of a dict."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        self.bounded(node, holder)
        if name == "copy" and not given:
            return dict(holder)
        why = self.partly(holder)
        if why is not None or given:
            return self.unknown(node, f"the call '{said(node.func)}(...)' {NOT_RUN}", why, holder)
        return list({"keys": holder.keys(), "values": holder.values(), "items": holder.items()}[name])

    def _inserted(self, node: ast.Call, holder: list[Any], given: list[Any]) -> Any:
        if len(given) == 2 and isinstance(given[0], int) and abs(given[0]) <= MOST_ITEMS:
            holder.insert(*given)
            self.bounded(node, holder)
            return None
        return self._left(node, holder, given)

    def _extended(self, node: ast.Call, holder: list[Any], given: list[Any]) -> Any:
        more = given[0] if len(given) == 1 else None
        if isinstance(more, list | tuple) and self.lost(more) is None:
            holder.extend(self.bounded(node, more))
            self.bounded(node, holder)
            return None
        return self._left(node, holder, given)

    def _appended(self, node: ast.Call, holder: list[Any], given: list[Any]) -> Any:
        if len(given) != 1:
            return self._left(node, holder, given)
        holder.append(given[0])
        return None

    def _taken_out(self, node: ast.Call, holder: list[Any], given: list[Any]) -> Any:
        if len(given) <= 1 and all(isinstance(one, int) and abs(one) <= MOST_ITEMS for one in given):
            self.bounded(node, holder)
            try:
                return holder.pop(*given)
            except IndexError:
                raise self.refused(node, "there is no item to take out") from None
        return self._left(node, holder, given)

    def _list_copied(self, node: ast.Call, holder: list[Any], given: list[Any]) -> Any:
        return self._left(node, holder, given) if given else list(self.bounded(node, holder))

    def _of_text(self, node: ast.Call, holder: str, given: list[Any]) -> Any:
        """Methods of texts that make it no longer."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        self.bounded(node, holder)
        try:
            if name == "split" and len(given) == 1 and isinstance(given[0], str):
                return self.bounded(node, holder.split(given[0]))
            if name == "join" and len(given) == 1 and isinstance(given[0], list | tuple):
                parts = given[0]
                if all(isinstance(one, str) for one in parts):
                    if sum(map(len, parts)) + len(holder) * len(parts) > MOST_ITEMS:
                        raise self.refused(node, f"longer than {MOST_ITEMS}")
                    return self.bounded(node, holder.join(self.bounded(node, parts)))
            elif name in _OF_TEXT and all(isinstance(one, str) for one in given):
                return _OF_TEXT[name](holder, *given)
        except (TypeError, ValueError):
            pass
        return self.unknown(node, f"the call '{said(node.func)}(...)' {NOT_RUN}", *given)

    def _applied(self, node: ast.Call, name: str, given: list[Any]) -> Any:
        if name == "range":
            if not 1 <= len(given) <= 3 or not all(isinstance(one, int) for one in given) or 0 in given[2:]:
                raise self.refused(node, "range takes one to three whole numbers")
            numbers = range(*given)
            if max(map(abs, given)) > MOST_BITS**2 or len(numbers) > MOST_ITEMS:
                raise self.refused(node, f"longer than {MOST_ITEMS}")
            return self.bounded(node, list(numbers))
        if any(self.partly(one) is not None for one in given):
            return self._passed(node, given, {})
        if name in ("list", "tuple") and not given:
            return [] if name == "list" else ()
        if name == "zip" and all(isinstance(one, list | tuple | str) for one in given):
            return self.bounded(node, list(zip(*(self.bounded(node, one) for one in given), strict=False)))
        if name in ("min", "max") and len(given) > 1:
            given = [given]
        if name == "round" and given and all(isinstance(one, int | float) for one in given[:1]) and _digits(given[1:]):
            return round(*given)
        if len(given) != 1 or isinstance(given[0], Imported) or name == "round":
            return self._passed(node, given, {})
        value = given[0]
        if name in ("int", "float", "str", "bool", "abs"):
            if value is not None and not isinstance(value, str | int | float):
                return self._passed(node, given, {})
            try:
                return self.bounded(node, _FUNCTIONS[name](value))
            except (TypeError, ValueError, OverflowError) as error:
                raise self.refused(node, f"{name} cannot take this ({error})") from None
        if name == "len" and isinstance(value, dict | str):
            return len(value)
        items = self.sequence(node, value)
        if isinstance(items, Unknown):
            return items
        self.bounded(node, items)
        if name in ("min", "max", "sum", "sorted"):
            numbers = bool(items) and all(isinstance(one, int | float) for one in items)
            texts = name != "sum" and bool(items) and all(isinstance(one, str) for one in items)
            if not numbers and not texts:
                return self._passed(node, given, {})
        return self.bounded(node, _FUNCTIONS[name](items))


def _digits(given: list[Any]) -> bool:
    """Whether a number can be rounded to what is given: nothing, or a few digits."""
    return not given or (len(given) == 1 and isinstance(given[0], int) and 0 <= given[0] < 20)


def _merge(a: Any, b: Any) -> Any:
    if not isinstance(a, dict):
        return a
    delete = a.pop("_delete_", False)
    if not isinstance(b, dict) or delete:
        b = {}
    return {**b, **{key: _merge(value, b.get(key)) for key, value in a.items()}}


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{one.__name__: one for one in (range, len, list, tuple, zip, int, float, str, bool, abs, round)},
    **{one.__name__: one for one in (min, max, sum, sorted)},
    "enumerate": lambda items: list(enumerate(items)),
    "reversed": lambda items: items[::-1],
}
_OF_TEXT: dict[str, Callable[..., Any]] = {
    one.__name__: one for one in (str.lower, str.upper, str.strip, str.lstrip, str.rstrip, str.startswith, str.endswith)
}
_METHODS: dict[type, dict[str, Callable[..., Any]]] = {
    dict: {
        "get": Calls._get,
        "pop": Calls._popped,
        "setdefault": Calls._set_default,
        **dict.fromkeys(("keys", "values", "items", "copy"), Calls._listed),
    },
    list: {
        "append": Calls._appended,
        "extend": Calls._extended,
        "insert": Calls._inserted,
        "pop": Calls._taken_out,
        "copy": Calls._list_copied,
    },
    str: dict.fromkeys(("split", "join", *_OF_TEXT), Calls._of_text),
}

__all__ = ["Calls"]
