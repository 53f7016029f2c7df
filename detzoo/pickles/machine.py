"""A pickle read by a machine of our own: it builds containers and calls nothing but the rules in a table.

Python's unpickler imports what a pickle names and calls it. Here a name only looks up a rule, so a pickle can do what
the rules do and nothing else. What it may cost is bounded, too: the operations, what each of them costs, and the bytes
that are copied.
"""

from __future__ import annotations

import codecs
import mmap
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

MOST_STEPS = 1_000_000  # operations of one pickle; large models with their optimizer have some 200 thousand
MOST_BYTES = 1 << 28  # of one pickle; tensors stand beside it
LEAST_VIEW = 1 << 12  # bytes
COPIES = 2  # of each byte that an honest file has
CALL = 5  # steps that calling a rule counts for
PROTOCOLS = range(6)

# Keys are hashed and compared. The hash of a text is secret; those of numbers and tuples can be made to collide, so
# numbers have to be small and tuples few.
LONGEST_KEY = 1000  # characters
LARGEST_KEY = 1 << 53
MOST_TUPLE_KEYS = 1000
LONGEST_TUPLE_KEY = 8
LONGEST_WORD = 1000  # characters of a name or a number
LARGEST_MEMO = 1 << 32


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


Builder = Callable[["Machine", Any, Any], None]
Data = bytes | mmap.mmap


class Machine:
    """Reads one pickle after the other.

    Args:
        rules: by dotted name; a value that is no `Rule` stands for itself.
        builders: what gives values of a type their state; of other containers it is dropped, and the rest is refused.
        persistent: gives the value of a persistent id (of PyTorch: a storage).
        size: bytes of the file. The rules copy at most `COPIES` times as many: text to bytes, and bytes to an array.
        most: bytes of a pickle that are read.
        views: many bytes are not copied from the file but seen there.

    Attributes:
        place: where the next pickle begins, in bytes.
    """

    def __init__(
        self,
        rules: Mapping[str, Any],
        builders: Mapping[type, Builder],
        persistent: Callable[[Any], Any],
        size: int,
        most: int = MOST_BYTES,
        views: bool = False,
    ) -> None:
        self.rules = rules
        self.builders = builders
        self.persistent = persistent
        self.most = most
        self.views = views
        self.bytes_left = COPIES * size
        self.steps_left = MOST_STEPS
        self.tuple_keys_left = MOST_TUPLE_KEYS
        self.place = 0

    def run(self, data: Data, start: int = 0, end: int | None = None) -> Any:
        """The value of the pickle at ``start``, which ends before ``end``.

        Raises:
            CheckpointError: it names something that has no rule, is damaged, or costs too much.
        """
        self.data = data
        self.place = start
        self.end = min(len(data) if end is None else end, start + self.most)
        self.stack: list[Any] = []
        self.marks: list[int] = []  # where groups of values begin on the stack
        self.floor = 0  # the last of them
        self.memo: dict[int, Any] = {}
        try:
            return self._run()
        except CheckpointError:
            raise
        except Exception as error:  # whatever a damaged pickle can provoke: lookups, sizes, types, memory, NumPy
            raise CheckpointError(f"its pickle is damaged ({type(error).__name__}: {str(error)[:200]})") from None

    def _run(self) -> Any:
        data, end = self.data, self.end
        while self.place < end:
            code = data[self.place]
            self.place += 1
            self.work(1)
            if code == _STOP:
                return self.pop()
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise CheckpointError(f"its pickle uses the operation {bytes([code])!r}, which no weights need")
            operation(self)
        raise EOFError("it has no end")

    def work(self, steps: int) -> None:
        """Count operations, or what is like them.

        Raises:
            CheckpointError: they are too many.
        """
        self.steps_left -= steps
        if self.steps_left < 0:
            raise CheckpointError(f"its pickle has more than {MOST_STEPS} operations")

    def charge(self, size: int) -> None:
        """Count bytes that a rule copies.

        Raises:
            CheckpointError: more than the file holds, so the same ones over and over.
        """
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise CheckpointError("its pickle makes more data than the file holds")

    def key(self, key: Any) -> Any:
        """A key that is cheap to hash and to compare: a short text, a small number, or a tuple of a few of those.

        Raises:
            TypeError: it is none.
        """
        if isinstance(key, tuple) and len(key) <= LONGEST_TUPLE_KEY:
            self.tuple_keys_left -= 1
            if self.tuple_keys_left >= 0 and all(map(_is_cheap, key)):
                return key
        elif _is_cheap(key):
            return key
        raise TypeError(f"a {type(key).__name__} as a key")

    def take(self, size: int) -> bytes:
        """The next bytes."""
        start, self.place = self.place, self.place + size
        if size < 0 or self.place > self.end:
            raise EOFError("it is cut off")
        return self.data[start : self.place]

    def span(self, size: int) -> bytes | memoryview:
        """The next bytes, or where they are many and ``views`` is set, a view of them."""
        if not self.views or size < LEAST_VIEW:
            return self.take(size)
        start, self.place = self.place, self.place + size
        if self.place > self.end:
            raise EOFError("it is cut off")
        return memoryview(self.data)[start : self.place]

    def line(self, most: int = LONGEST_WORD) -> bytes:
        """The bytes up to the end of a line."""
        start, stop = self.place, self.data.find(b"\n", self.place, min(self.end, self.place + most + 1))
        if stop < 0:
            raise EOFError("a line without an end")
        self.place = stop + 1
        return self.data[start:stop]

    def pop(self) -> Any:
        """The value on top, taken off."""
        if len(self.stack) <= self.floor:
            raise IndexError("nothing where a value should be")
        return self.stack.pop()

    def top(self) -> Any:
        """The value on top, which stays."""
        if len(self.stack) <= self.floor:
            raise IndexError("nothing where a value should be")
        return self.stack[-1]

    def mark(self) -> None:
        """Begin a group."""
        self.floor = len(self.stack)
        self.marks.append(self.floor)

    def group(self) -> list[Any]:
        """The values above the last mark, taken off."""
        start = self.marks.pop()
        self.floor = self.marks[-1] if self.marks else 0
        group = self.stack[start:]
        del self.stack[start:]
        return group

    def push(self, value: Any) -> None:
        """Put a value on top."""
        self.stack.append(value)


def _is_cheap(key: Any) -> bool:
    if isinstance(key, str | bytes):
        return len(key) <= LONGEST_KEY
    return key is None or (isinstance(key, int | float) and -LARGEST_KEY < key < LARGEST_KEY)


def _number(form: str) -> Callable[[Machine], Any]:
    """Reads a number of fixed size."""
    layout = struct.Struct(form)
    return lambda machine: layout.unpack(machine.take(layout.size))[0]


_U1, _U2, _U4, _U8 = _number("<B"), _number("<H"), _number("<I"), _number("<Q")
_I4, _F8 = _number("<i"), _number(">d")


def _whole(machine: Machine, size: int) -> int:
    if size > LONGEST_WORD:
        raise ValueError(f"a number of {size} bytes")
    return int.from_bytes(machine.take(size), "little", signed=True)


def _line_of_whole(machine: Machine) -> int | bool:
    line = machine.line()
    if line in (b"00", b"01"):
        return line == b"01"
    return int(line.removesuffix(b"L"))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")  # a path that was not UTF-8 is no reason to refuse the weights beside it


_ESCAPED = re.compile(rb"""(?:[^\\]|\\[\\'"abfnrtv]|\\x[0-9a-fA-F]{2}|\\[0-3][0-7]{2})*""", re.DOTALL)


def _quoted(machine: Machine) -> str:
    line = machine.line(MOST_BYTES)
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1] or not _ESCAPED.fullmatch(line):
        raise ValueError("a text without its quotes")
    return codecs.escape_decode(line[1:-1])[0].decode("latin-1")


_PUSHED: dict[bytes, Callable[[Machine], Any]] = {
    b"I": _line_of_whole,
    b"L": _line_of_whole,
    b"J": _I4,
    b"K": _U1,
    b"M": _U2,
    b"\x8a": lambda machine: _whole(machine, _U1(machine)),
    b"\x8b": lambda machine: _whole(machine, _U4(machine)),
    b"F": lambda machine: float(machine.line()),
    b"G": _F8,
    b"S": _quoted,
    b"T": lambda machine: machine.take(_I4(machine)).decode("latin-1"),
    b"U": lambda machine: machine.take(_U1(machine)).decode("latin-1"),
    b"V": lambda machine: machine.line(MOST_BYTES).decode("raw-unicode-escape"),
    b"X": lambda machine: _text(machine.take(_U4(machine))),
    b"\x8c": lambda machine: _text(machine.take(_U1(machine))),
    b"\x8d": lambda machine: _text(machine.take(_U8(machine))),
    b"B": lambda machine: machine.span(_U4(machine)),
    b"C": lambda machine: machine.take(_U1(machine)),
    b"\x8e": lambda machine: machine.span(_U8(machine)),
    b"\x96": lambda machine: bytearray(machine.take(_U8(machine))),
    b"N": lambda machine: None,
    b"\x88": lambda machine: True,
    b"\x89": lambda machine: False,
    b")": lambda machine: (),
    b"]": lambda machine: [],
    b"}": lambda machine: {},
    b"\x8f": lambda machine: set(),
    b"t": lambda machine: tuple(machine.group()),
    b"\x85": lambda machine: (machine.pop(),),
    b"\x86": lambda machine: (machine.pop(), machine.pop())[::-1],
    b"\x87": lambda machine: (machine.pop(), machine.pop(), machine.pop())[::-1],
    b"l": lambda machine: machine.group(),
    b"d": lambda machine: _filled(machine, {}, machine.group()),
    b"\x91": lambda machine: frozenset(map(machine.key, machine.group())),
    b"2": lambda machine: machine.top(),
    b"h": lambda machine: machine.memo[_U1(machine)],
    b"j": lambda machine: machine.memo[_U4(machine)],
    b"g": lambda machine: machine.memo[_memo_line(machine)],
    b"c": lambda machine: _named(machine, _text(machine.line()), _text(machine.line())),
    b"\x93": lambda machine: _named(machine, *(machine.pop(), machine.pop())[::-1]),
    b"R": lambda machine: _made(machine, *(machine.pop(), machine.pop())[::-1]),
    b"\x81": lambda machine: _made(machine, *(machine.pop(), machine.pop())[::-1]),
    b"Q": lambda machine: machine.persistent(machine.pop()),
}


def _memo_line(machine: Machine) -> int:
    place = int(machine.line())
    if not 0 <= place < LARGEST_MEMO:
        raise ValueError("a place in memory that is none")
    return place


def _named(machine: Machine, module: Any, word: Any) -> Any:
    name = f"{module}.{word}" if _is_word(module) and _is_word(word) else "?"
    if name not in machine.rules:
        raise CheckpointError(f"its pickle names {name[:120]!r}, which is not among the harmless; nothing was run")
    return machine.rules[name]


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_WORD


def _made(machine: Machine, what: Any, arguments: Any) -> Any:
    machine.work(CALL)
    if isinstance(what, Inert):
        return what
    if not isinstance(what, Rule) or what.call is None or not isinstance(arguments, tuple):
        name = what.name if isinstance(what, Rule) else type(what).__name__
        raise CheckpointError(f"its pickle calls {name!r}, which makes nothing")
    return what.call(machine, arguments)


def _filled(machine: Machine, target: Any, pairs: list[Any]) -> Any:
    if isinstance(target, dict):
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[machine.key(key)] = value
    elif not isinstance(target, Inert):
        raise TypeError(f"{type(target).__name__} takes no keys")
    return target


def _set_item(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _filled(machine, machine.top(), [key, value])


def _set_items(machine: Machine) -> None:
    pairs = machine.group()
    _filled(machine, machine.top(), pairs)


def _extend(target: Any, values: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(values)
    elif not isinstance(target, Inert):
        raise TypeError(f"{type(target).__name__} takes no items")


def _append(machine: Machine) -> None:
    value = machine.pop()
    _extend(machine.top(), [value])


def _appends(machine: Machine) -> None:
    values = machine.group()
    _extend(machine.top(), values)


def _add_items(machine: Machine) -> None:
    values, target = machine.group(), machine.top()
    if isinstance(target, set):
        target.update(map(machine.key, values))
    elif not isinstance(target, Inert):
        raise TypeError(f"{type(target).__name__} takes no items")


def _build(machine: Machine) -> None:
    """Give an object its state: arrays their values; attributes of containers and stand-ins are dropped."""
    state, target = machine.pop(), machine.top()
    for kind, builder in machine.builders.items():
        if isinstance(target, kind):
            builder(machine, target, state)
            return
    if not isinstance(target, dict | Inert):
        raise CheckpointError(f"its pickle changes a {type(target).__name__}")


def _drop(machine: Machine) -> None:
    """Take off the value on top, or the mark."""
    if machine.marks and len(machine.stack) == machine.floor:
        machine.group()
    else:
        machine.pop()


def _protocol(machine: Machine) -> None:
    number = _U1(machine)
    if number not in PROTOCOLS:
        raise ValueError(f"protocol {number}")


def _remember(read: Callable[[Machine], int]) -> Callable[[Machine], None]:
    def remember(machine: Machine) -> None:
        place = read(machine)
        machine.memo[place] = machine.top()

    return remember


def _push(read: Callable[[Machine], Any]) -> Callable[[Machine], None]:
    return lambda machine: machine.push(read(machine))


_STOP = ord(".")
_OPERATIONS: dict[int, Callable[[Machine], object]] = {
    **{ord(code): _push(read) for code, read in _PUSHED.items()},
    ord("\x80"): _protocol,
    ord("\x95"): lambda machine: machine.take(8),  # a frame's size
    ord("("): Machine.mark,
    ord("0"): _drop,
    ord("1"): Machine.group,
    ord("p"): _remember(_memo_line),
    ord("q"): _remember(_U1),
    ord("r"): _remember(_U4),
    ord("\x94"): _remember(lambda machine: len(machine.memo)),
    ord("a"): _append,
    ord("e"): _appends,
    ord("s"): _set_item,
    ord("u"): _set_items,
    ord("\x90"): _add_items,
    ord("b"): _build,
}
