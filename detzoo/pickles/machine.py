"""A pickle read by a machine of our own: it builds containers and calls nothing but the rules in a table.

Python's unpickler imports what a pickle names and calls it. Here a name only looks up a rule, so a pickle can do what
the rules do and nothing else. What it may cost is bounded, too.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol, cast

MOST_STEPS = 1_000_000  # operations of one pickle; large models with their optimizer have some 200 thousand
COPIES = 2  # of each byte that an honest file has
PROTOCOLS = range(6)


class CheckpointError(ValueError):
    """A weights file that is damaged, unsafe, of another format, or made by a newer version; the message names it."""


class Rule:
    """What a name in a pickle stands for: ``call`` makes a value from arguments; None: it can only be passed on."""

    def __init__(self, name: str, call: Callable[[Machine, tuple[Any, ...]], Any] | None = None) -> None:
        self.name = name
        self.call = call


class Inert:
    """In place of an object that is not rebuilt: its name is kept, and what the pickle says of it is dropped."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}, not rebuilt>"


class Stream(Protocol):
    """What a pickle is read from: an open file, or mapped memory."""

    def read(self, size: int, /) -> bytes:
        """So many bytes, or what is left."""
        ...

    def readline(self) -> bytes:
        """Up to the end of a line."""
        ...


Builder = Callable[["Machine", Any, Any], None]


class _Mark:
    """Where a group of values begins on the stack."""


_MARK = _Mark()


class Machine:
    """Reads one pickle.

    Args:
        rules: by dotted name; a value that is no `Rule` stands for itself.
        builders: what gives values of a type their state; of other containers it is dropped, and the rest is refused.
        persistent: gives the value of a persistent id (of PyTorch: a storage).
        size: bytes of the file. The rules copy at most `COPIES` times as many: text to bytes, and bytes to an array.
    """

    def __init__(
        self,
        rules: Mapping[str, Any],
        builders: Mapping[type, Builder],
        persistent: Callable[[Any], Any],
        size: int,
    ) -> None:
        self.rules = rules
        self.builders = builders
        self.persistent = persistent
        self.left = COPIES * size
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: Stream) -> Any:
        """The value of the pickle that begins here; the stream then stands behind it.

        Raises:
            CheckpointError: it names something that has no rule, is damaged, or costs too much.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # odd escapes in texts
                return self._run(stream)
        except CheckpointError:
            raise
        except (ArithmeticError, AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"its pickle is damaged ({type(error).__name__}: {str(error)[:200]})") from None

    def _run(self, stream: Stream) -> Any:
        for step, (operation, argument, _) in enumerate(pickletools.genops(cast("IO[bytes]", stream)), 1):
            if step > MOST_STEPS:
                raise CheckpointError(f"its pickle has more than {MOST_STEPS} operations")
            if operation.name in _PUSHED:
                self.stack.append(argument)
            elif operation.name == "STOP":
                return self._pop()
            else:
                self._do(operation.name, argument)
        raise CheckpointError("its pickle is damaged: it has no end")

    def charge(self, size: int) -> None:
        """Count bytes that a rule copies.

        Raises:
            CheckpointError: more than the file holds, so the same ones over and over.
        """
        self.left -= size
        if self.left < 0:
            raise CheckpointError("its pickle makes more data than the file holds")

    def _pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value should be")
        return value

    def _group(self) -> list[Any]:
        """The values above the last mark."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise IndexError("no mark")
        group = self.stack[place + 1 :]
        del self.stack[place:]
        return group

    def _do(self, name: str, argument: Any) -> None:
        stack = self.stack
        match name:
            case "PROTO":
                if argument not in PROTOCOLS:
                    raise ValueError(f"protocol {argument}")
            case "FRAME":
                pass
            case "MARK":
                stack.append(_MARK)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "NONE":
                stack.append(None)
            case "NEWTRUE":
                stack.append(True)
            case "NEWFALSE":
                stack.append(False)
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                stack.append(tuple(self._group()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = tuple([self._pop() for _ in range(int(name[-1]))][::-1])
                stack.append(items)
            case "EMPTY_LIST":
                stack.append([])
            case "LIST":
                stack.append(self._group())
            case "APPEND":
                value = self._pop()
                self._extend(stack[-1], [value])
            case "APPENDS":
                values = self._group()
                self._extend(stack[-1], values)
            case "EMPTY_DICT":
                stack.append({})
            case "DICT":
                stack.append({})
                self._set(stack[-1], self._group_below())
            case "SETITEM":
                value, key = self._pop(), self._pop()
                self._set(stack[-1], [key, value])
            case "SETITEMS":
                values = self._group()
                self._set(stack[-1], values)
            case "EMPTY_SET":
                stack.append(set())
            case "ADDITEMS":
                values = self._group()
                self._add(stack[-1], values)
            case "FROZENSET":
                stack.append(frozenset(map(checked_key, self._group())))
            case "POP":
                stack.pop()
            case "POP_MARK":
                self._group()
            case "DUP":
                stack.append(stack[-1])
            case "GLOBAL":
                stack.append(self._named(".".join(str(argument).split(" ", 1))))
            case "STACK_GLOBAL":
                word, module = self._pop(), self._pop()
                stack.append(self._named(f"{module}.{word}" if isinstance(module, str) else "?"))
            case "REDUCE" | "NEWOBJ":
                arguments, what = self._pop(), self._pop()
                stack.append(self._made(what, arguments))
            case "BUILD":
                state = self._pop()
                self._build(stack[-1], state)
            case "BINPERSID":
                stack.append(self.persistent(self._pop()))
            case _:
                raise CheckpointError(f"its pickle uses {name}, which no weights need")

    def _group_below(self) -> list[Any]:
        """The group under the value on top, which stays."""
        value = self.stack.pop()
        group = self._group()
        self.stack.append(value)
        return group

    def _named(self, name: str) -> Any:
        if name not in self.rules:
            raise CheckpointError(f"its pickle names {name[:120]!r}, which is not among the harmless; nothing was run")
        return self.rules[name]

    def _made(self, what: Any, arguments: Any) -> Any:
        if isinstance(what, Inert):
            return what
        if not isinstance(what, Rule) or what.call is None or not isinstance(arguments, tuple):
            name = what.name if isinstance(what, Rule) else type(what).__name__
            raise CheckpointError(f"its pickle calls {name!r}, which makes nothing")
        return what.call(self, arguments)

    def _build(self, target: Any, state: Any) -> None:
        """Give an object its state: arrays their values; attributes of containers and stand-ins are dropped."""
        for kind, builder in self.builders.items():
            if isinstance(target, kind):
                builder(self, target, state)
                return
        if not isinstance(target, dict | Inert):
            raise CheckpointError(f"its pickle changes a {type(target).__name__}")

    def _extend(self, target: Any, values: list[Any]) -> None:
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Inert):
            raise TypeError(f"{type(target).__name__} takes no items")

    def _add(self, target: Any, values: list[Any]) -> None:
        if isinstance(target, set):
            target.update(map(checked_key, values))
        elif not isinstance(target, Inert):
            raise TypeError(f"{type(target).__name__} takes no items")

    def _set(self, target: Any, pairs: list[Any]) -> None:
        if isinstance(target, dict):
            for key, value in zip(pairs[::2], pairs[1::2], strict=True):
                target[checked_key(key)] = value
        elif not isinstance(target, Inert):
            raise TypeError(f"{type(target).__name__} takes no keys")


def checked_key(key: Any) -> Any:
    """A key that is a scalar, or a tuple of scalars: hashing tuples in tuples can take forever.

    Raises:
        TypeError: it is neither.
    """
    if key is None or isinstance(key, str | bytes | int | float):
        return key
    if isinstance(key, tuple) and all(one is None or isinstance(one, str | bytes | int | float) for one in key):
        return key
    raise TypeError(f"a {type(key).__name__} as a key")


_PUSHED = frozenset(
    (
        *("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
