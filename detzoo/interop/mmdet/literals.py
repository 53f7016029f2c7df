"""Values of a Python config file, without running it.

The file is parsed, and of its syntax tree only what published configs need is evaluated here, node by node: literals,
names, arithmetic, ``dict(...)``, attributes and items of what was assigned before, a few calls. There is no way from
here to an attribute of a Python object, to an import or to a function that is not in this file.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from detzoo.config import ConfigError, unknown
from detzoo.interop.mmdet.said import said, short

BASE = "_base_"

MOST_BYTES = 1 << 18  # of one file
MOST_STEPS = 100_000  # nodes evaluated, values copied; of a config with all it inherits from
MOST_ITEMS = 50_000  # of one list, and characters of one computed text
MOST_DEPTH = 60  # of expressions and of values in values
MOST_BITS = 1024  # of one whole number

_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")
_NEW_STYLE = "is a new-style config, which only Python can run; save its plain form with mmengine (Config.dump)"
_NOT_RUN = "is Python, which is never run here; write the value in its place"


class Budget:
    """What one config may cost, so that a hostile one is refused at once."""

    def __init__(self, steps: int = MOST_STEPS) -> None:
        self.steps = steps

    def spend(self, count: int = 1) -> bool:
        """Whether ``count`` more steps are left."""
        self.steps -= count
        return self.steps >= 0


def parse(text: str, name: str) -> ast.Module:
    """The syntax tree of a config file.

    Args:
        text: its content.
        name: what errors call it.

    Raises:
        ConfigError: it is too long, nested too deeply, or not Python; the message names file and line.
    """
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{name} has {len(text)} characters; a config has at most {MOST_BYTES}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in texts
            return ast.parse(text)
    except SyntaxError as error:
        raise ConfigError(f"{name}:{error.lineno or 1}: this is not Python ({error.msg})") from None
    except (RecursionError, MemoryError):
        raise ConfigError(f"{name}: nested too deeply") from None
    except ValueError as error:  # zero bytes
        raise ConfigError(f"{name}: this is not Python ({error})") from None


def evaluate(tree: ast.Module, name: str, base: dict[str, Any], budget: Budget) -> dict[str, Any]:
    """What a config file assigns, by name.

    Args:
        tree: from `parse`.
        name: what errors call the file.
        base: what it inherits, seen there as ``_base_``; assignments to its items change it.
        budget: what may be spent.

    Raises:
        ConfigError: it does something that is not evaluated, or costs too much; the message names file and line.
    """
    return _Evaluator(name, base, budget).run(tree)


def with_own_names(text: str, name: str) -> str:
    """A text in which ``{{ fileDirname }}`` and the like stand for the file's own name; other words stay."""
    own = _own_names(name)
    return _PLACEHOLDER.sub(lambda match: own.get(match[1].strip(), match[0]), text)


def _own_names(name: str) -> dict[str, str]:
    path = Path(name).absolute()
    return {
        "fileDirname": str(path.parent),
        "fileBasename": path.name,
        "fileBasenameNoExtension": path.stem,
        "fileExtname": path.suffix,
    }


class _Evaluator:
    def __init__(self, name: str, base: dict[str, Any], budget: Budget) -> None:
        self.name = name
        self.budget = budget
        self.base = base
        self.names: dict[str, Any] = {BASE: base}
        self.depth = 0

    def run(self, tree: ast.Module) -> dict[str, Any]:
        for statement in tree.body:
            self._statement(statement)
        return {key: value for key, value in self.names.items() if key != BASE and not key.startswith("__")}

    def refused(self, node: ast.AST, why: str) -> ConfigError:
        return ConfigError(f"{self.name}:{getattr(node, 'lineno', 1)}: {why}")

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) if name == BASE:
                pass  # read before, with the files that it names
            case ast.Assign(targets=targets, value=value):
                found = self.value(value)
                for target in targets:
                    self._assign(target, found)
            case ast.Delete(targets=targets):
                for target in targets:
                    self._delete(target)
            case ast.Expr(value=ast.Constant()):
                pass  # a text that explains
            case ast.Expr(value=ast.Call() as call):
                self.value(call)
            case ast.Pass():
                pass
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in ("mmengine", "mmdet"):
                raise self.refused(node, f"{self.name} {_NEW_STYLE}")
            case ast.With():
                raise self.refused(node, f"{self.name} {_NEW_STYLE}")
            case ast.Import() | ast.ImportFrom():
                raise self.refused(node, f"'import' {_NOT_RUN}")
            case _:
                raise self.refused(node, f"'{said(node)}' {_NOT_RUN}")

    def _assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.names[target.id] = value
            return
        holder, key = self._place(target)
        in_list = isinstance(holder, list) and isinstance(key, int) and -len(holder) <= key < len(holder)
        if not in_list and not (isinstance(holder, dict) and isinstance(key, str)):
            raise self.refused(target, f"cannot assign to '{said(target)}'")
        cast(Any, holder)[key] = value

    def _delete(self, target: ast.expr) -> None:
        holder, key = (self.names, target.id) if isinstance(target, ast.Name) else self._place(target)
        try:
            del holder[key]
        except (KeyError, IndexError, TypeError):
            raise self.refused(target, f"there is no '{said(target)}' to delete") from None

    def _place(self, target: ast.expr) -> tuple[Any, Any]:
        """The dict or list that an assignment changes, and where."""
        if isinstance(target, ast.Attribute):
            return self.value(target.value), target.attr
        if isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
            return self.value(target.value), self.value(target.slice)
        raise self.refused(target, f"cannot assign to '{said(target)}'")

    def value(self, node: ast.expr) -> Any:
        """The value of an expression."""
        if not self.budget.spend():
            raise self.refused(node, f"the config takes more than {MOST_STEPS} steps")
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
                return self._items(items)
            case ast.Tuple(elts=items):
                return tuple(self._items(items))
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
                return self._arithmetic(node, self.value(left), kind, self.value(right))
            case ast.UnaryOp(op=kind, operand=operand):
                return self._signed(node, kind, self.value(operand))
            case ast.JoinedStr(values=parts):
                return self._formatted(node, parts)
            case ast.ListComp(elt=item, generators=loops):
                return [self.value(item) for _ in self._loop(node, loops)]
            case ast.DictComp(key=key, value=item, generators=loops):
                return {self._key(key): self.value(item) for _ in self._loop(node, loops)}
            case ast.Call():
                return self._call(node)
        raise self.refused(node, f"'{said(node)}' {_NOT_RUN}")

    def _constant(self, node: ast.AST, value: Any) -> Any:
        if isinstance(value, str):
            return self._substituted(node, value) if "{{" in value else value
        if value is None or isinstance(value, bool | int | float):
            if isinstance(value, int) and value.bit_length() > MOST_BITS:
                raise self.refused(node, "the number is too large")
            return value
        raise self.refused(node, f"a config holds texts, numbers, True, False and None, not {type(value).__name__}")

    def _substituted(self, node: ast.AST, text: str) -> Any:
        """A text with ``{{ _base_.name }}`` or ``{{ fileDirname }}`` in it."""
        own = _own_names(self.name)

        def found(name: str) -> Any:
            name = name.strip()
            if name in own:
                return own[name]
            head, *rest = name.split(".")
            if head != BASE or not rest:
                raise self.refused(node, f"'{{{{{name}}}}}' is not replaced; write the value in its place")
            value: Any = self.base
            for part in rest:
                value = self._attribute(node, value, part)
            return value

        whole = _PLACEHOLDER.fullmatch(text.strip())
        if whole:
            return found(whole[1])
        result = _PLACEHOLDER.sub(lambda match: self._text(node, found(match[1])), text)
        return self._bounded(node, result)

    def _items(self, nodes: list[ast.expr]) -> list[Any]:
        items: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                more = self.value(node.value)
                if not isinstance(more, list | tuple):
                    raise self.refused(node, "only a list can be unpacked into a list")
                items.extend(self._bounded(node, more))
            else:
                items.append(self.value(node))
        return items

    def _dict(self, node: ast.AST, keys: list[ast.expr | None], values: list[ast.expr]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in zip(keys, values, strict=True):
            if key is None:
                made.update(self._mapping(node, self.value(value)))
            else:
                made[self._key(key)] = self.value(value)
        return made

    def _key(self, node: ast.expr) -> Any:
        key = self.value(node)
        if isinstance(key, str | int):
            return key
        raise self.refused(node, "a key is a text")

    def _mapping(self, node: ast.AST, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.refused(node, f"a dict is needed here, not {type(value).__name__}")
        return self._bounded(node, value)

    def _name(self, node: ast.AST, name: str) -> Any:
        if name in self.names:
            return self.names[name]
        if name in ("inf", "nan"):  # as mmengine writes these numbers
            return float(name)
        raise self.refused(node, unknown(name, self.names, "name that was assigned before"))

    def _attribute(self, node: ast.AST, holder: Any, name: str) -> Any:
        if isinstance(holder, dict):
            if name in holder:
                return holder[name]
            raise self.refused(node, unknown(name, map(str, holder), "setting there"))
        if isinstance(holder, list | tuple) and name.isdecimal() and len(name) < 9 and int(name) < len(holder):
            return holder[int(name)]
        raise self.refused(node, f"there is no '{name}'")

    def _subscript(self, node: ast.AST, holder: Any, place: ast.expr) -> Any:
        if isinstance(place, ast.Slice):
            bounds = [None if one is None else self.value(one) for one in (place.lower, place.upper, place.step)]
            if isinstance(holder, str | list | tuple) and all(one is None or isinstance(one, int) for one in bounds):
                try:
                    return self._bounded(node, holder[slice(*bounds)])
                except ValueError:  # a step of zero
                    pass
            raise self.refused(node, "this part cannot be taken")
        key = self.value(place)
        if isinstance(holder, dict | str | list | tuple):
            try:
                return holder[key]
            except (KeyError, IndexError, TypeError):
                pass
        raise self.refused(node, f"there is no item {short(key)}")

    def _arithmetic(self, node: ast.AST, left: Any, kind: ast.operator, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        operation = _OPERATORS.get(type(kind))
        if operation is not None and numbers:
            if isinstance(left, int) and isinstance(right, int) and _bits(left, kind, right) > MOST_BITS:
                raise self.refused(node, "the number is too large")
            try:
                result = operation(left, right)
            except (ArithmeticError, ValueError) as error:
                raise self.refused(node, f"this cannot be computed ({error})") from None
            if isinstance(result, int | float):
                return result
        elif isinstance(kind, ast.Add) and any(isinstance(left, one) and isinstance(right, one) for one in _JOINED):
            joined: Any = left
            return self._bounded(node, joined + right)
        elif isinstance(kind, ast.Mult) and isinstance(left, str | list | tuple) and isinstance(right, int):
            if len(left) * max(right, 0) > MOST_ITEMS:
                raise self.refused(node, f"longer than {MOST_ITEMS}")
            return self._bounded(node, left * right)
        raise self.refused(node, f"'{said(node)}' cannot be computed")

    def _signed(self, node: ast.AST, kind: ast.unaryop, value: Any) -> Any:
        if isinstance(kind, ast.Not):
            return not value
        if isinstance(value, int | float) and isinstance(kind, ast.USub | ast.UAdd):
            return -value if isinstance(kind, ast.USub) else +value
        raise self.refused(node, f"'{said(node)}' cannot be computed")

    def _formatted(self, node: ast.AST, parts: list[ast.expr]) -> str:
        pieces = []
        for part in parts:
            if isinstance(part, ast.FormattedValue):
                if part.format_spec is not None or part.conversion != -1:
                    raise self.refused(node, "only plain {name} is replaced in a text")
                pieces.append(self._text(node, self.value(part.value)))
            else:
                pieces.append(self._text(node, self.value(part)))
        return self._bounded(node, "".join(pieces))

    def _text(self, node: ast.AST, value: Any) -> str:
        if value is None or isinstance(value, str | bool | int | float):
            return str(value)
        raise self.refused(node, f"a {type(value).__name__} cannot be part of a text")

    def _loop(self, node: ast.AST, loops: list[ast.comprehension]) -> Iterator[None]:
        """Once for every turn of a comprehension, with its names set; they are gone, or as before, afterwards."""
        before = dict(self.names)
        yield from self._turns(node, loops)
        self.names = before

    def _turns(self, node: ast.AST, loops: list[ast.comprehension]) -> Iterator[None]:
        if not loops:
            yield
            return
        loop, *inner = loops
        if loop.ifs or loop.is_async:
            raise self.refused(node, f"'if' in a loop {_NOT_RUN}")
        for item in self._sequence(node, self.value(loop.iter)):
            if not self.budget.spend():
                raise self.refused(node, f"the config takes more than {MOST_STEPS} steps")
            self._bind(loop.target, item)
            yield from self._turns(node, inner)

    def _bind(self, target: ast.expr, item: Any) -> None:
        if isinstance(target, ast.Name):
            self.names[target.id] = item
        elif isinstance(target, ast.Tuple) and isinstance(item, tuple) and len(item) == len(target.elts):
            for inner, part in zip(target.elts, item, strict=True):
                self._bind(inner, part)
        else:
            raise self.refused(target, f"cannot assign to '{said(target)}'")

    def _sequence(self, node: ast.AST, value: Any) -> list[Any] | tuple[Any, ...]:
        if isinstance(value, list | tuple):
            return value
        raise self.refused(node, f"a list is needed, not {type(value).__name__}")

    def _call(self, node: ast.Call) -> Any:
        given = self._items(node.args)
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value)
            named.update(self._mapping(node, value) if keyword.arg is None else {keyword.arg: value})
        match node.func:
            case ast.Name(id="dict"):
                return self._made_dict(node, given, named)
            case ast.Name(id=name) if name in _FUNCTIONS and not named and name not in self.names:
                return self._bounded(node, self._applied(node, name, given))
            case ast.Attribute(value=holder, attr="update"):
                self._mapping(node, self.value(holder)).update(self._made_dict(node, given, named))
                return None
            case ast.Attribute(value=holder, attr="pop") if not named:
                return self._popped(node, self._mapping(node, self.value(holder)), given)
        raise self.refused(node, f"the call '{said(node.func)}(...)' {_NOT_RUN}")

    def _made_dict(self, node: ast.AST, given: list[Any], named: dict[str, Any]) -> dict[str, Any]:
        if len(given) > 1:
            raise self.refused(node, "dict takes one dict at most")
        return {**(self._mapping(node, given[0]) if given else {}), **named}

    def _popped(self, node: ast.AST, holder: dict[str, Any], given: list[Any]) -> Any:
        if given and isinstance(given[0], str) and len(given) <= 2 and (given[0] in holder or len(given) == 2):
            return holder.pop(*given)
        raise self.refused(node, f"there is no {short(given[0]) if given else 'name'} to take out")

    def _applied(self, node: ast.AST, name: str, given: list[Any]) -> Any:
        if name == "range":
            if not 1 <= len(given) <= 3 or not all(isinstance(one, int) for one in given) or 0 in given[2:]:
                raise self.refused(node, "range takes one to three whole numbers")
            numbers = range(*given)
            if max(map(abs, given)) > MOST_BITS**2 or len(numbers) > MOST_ITEMS:
                raise self.refused(node, f"longer than {MOST_ITEMS}")
            return list(numbers)
        if len(given) != 1:
            raise self.refused(node, f"{name} takes one value")
        value = given[0]
        if name in ("int", "float", "str"):
            try:
                if value is not None and not isinstance(value, str | int | float):
                    raise ValueError(type(value).__name__)
                return _FUNCTIONS[name](value)
            except (ValueError, OverflowError) as error:
                raise self.refused(node, f"{name} cannot take this ({error})") from None
        if name == "len" and isinstance(value, dict | str):
            return len(value)
        return _FUNCTIONS[name](self._sequence(node, value))

    def _bounded(self, node: ast.AST, value: Any) -> Any:
        """The value, if it is not too long; its length counts as steps, since it was or will be copied."""
        if isinstance(value, list | tuple | str | dict):
            if len(value) > MOST_ITEMS:
                raise self.refused(node, f"longer than {MOST_ITEMS}")
            if not self.budget.spend(len(value) // 8):
                raise self.refused(node, f"the config takes more than {MOST_STEPS} steps")
        if isinstance(value, int) and value.bit_length() > MOST_BITS:
            raise self.refused(node, "the number is too large")
        return value


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "range": range,
    "len": len,
    "list": list,
    "tuple": tuple,
    "enumerate": lambda items: list(enumerate(items)),
    "int": int,
    "float": float,
    "str": str,
}
_JOINED = (str, list, tuple)
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


__all__ = ["BASE", "MOST_BYTES", "MOST_DEPTH", "MOST_STEPS", "Budget", "evaluate", "parse", "with_own_names"]
