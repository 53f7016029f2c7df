"""One dict of another toolbox's config, of which every setting has to be accounted for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

from detzoo.config import ConfigError
from detzoo.interop.kinds import kind_name
from detzoo.interop.said import short
from detzoo.interop.unknowns import REST, Settings, Unknown, guarded

LARGEST = 1_000_000  # of whole numbers: channels, samples, pixels
LARGEST_NUMBER = 1e18
# of any section: its class; where training began; how boxes are wrapped in Python; memory
_OF_NO_RESULT = {"type", "_scope_", "init_cfg", "pretrained", "use_box_type", "inplace"}

Item = TypeVar("Item")


class Section:
    """A dict of a config, where it stands there, and which of its settings were read.

    Used as a context manager: at the end, a setting that nobody read is an error that names it with its path. A section
    that only ``training`` uses cannot change results: there, what has no counterpart becomes a note instead.

    Attributes:
        path: e.g. ``model.roi_head.bbox_head``.
        notes: what of training was not taken over; one list for the whole config.
    """

    def __init__(self, values: Any, path: str, notes: list[str], training: bool = False) -> None:
        if isinstance(values, Unknown):
            raise values.refused(path)
        if not isinstance(values, dict):
            raise ConfigError(f"{path} must be a dict, not {short(values)}")
        self._values = values if isinstance(values, Settings) else guarded(values, path)
        self.path = path
        self.notes = notes
        self.training = training
        self._read: set[Any] = set(_OF_NO_RESULT)

    def at(self, name: str) -> str:
        """The path of a setting."""
        return f"{self.path}.{name}" if self.path else name

    @property
    def values(self) -> Settings:
        """The settings as they stand; reading one that is unknown is an error."""
        return self._values

    @values.setter
    def values(self, values: dict[Any, Any]) -> None:
        """Other settings, where two spellings are made one."""
        self._values = values if isinstance(values, Settings) else guarded(values, self.path)

    def _given(self, name: str) -> Any:
        """A setting, None where it is absent.

        Raises:
            ConfigError: it is unknown, outside of training sections; there this is a note.
        """
        value = self._values.raw(name)
        if not isinstance(value, Unknown):
            return value
        refusal = value.refused(self.at(name))
        if not self.training:
            raise refusal
        self.notes.append(str(refusal))
        return None

    def __enter__(self) -> Section:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            for name in self.values:
                if name in self._read:
                    continue
                value = self._values.raw(name)
                if name == REST and isinstance(value, Unknown):
                    if not self.training:
                        raise value.refused(f"what else is in {self.path or 'it'}")
                    self.notes.append(str(value.refused(f"what else is in {self.path or 'it'}")))
                else:
                    self.differs(name, "is not known")

    def differs(self, name: str, why: str) -> None:
        """Refuse a setting, or note it where only training uses it.

        Raises:
            ConfigError: outside of training sections.
        """
        if not self.training:
            raise ConfigError(self._said(name, why))
        self.noted(name, why)

    def noted(self, name: str, why: str) -> None:
        """Note that training with this setting would differ."""
        self.notes.append(self._said(name, why))

    def _said(self, name: str, why: str) -> str:
        return f"{self.at(name)}={short(self._values.raw(name))} {why}"

    @property
    def kind(self) -> str:
        """The class that the section is for, without the name of the package."""
        kind = self._given("type")
        if not isinstance(kind, str):
            raise ConfigError(f"{self.path} has no type")
        return kind_name(kind)

    def kinds(self, *known: str) -> str:
        """`kind`, which has to be one of ``known``; where only training uses it the first stands for another.

        Raises:
            ConfigError: it is another, outside of training sections.
        """
        if self.kind in known:
            return self.kind
        self.differs("type", f"is not known here; {' and '.join(known)} {'is' if len(known) == 1 else 'are'}")
        return known[0]

    def has(self, name: str) -> bool:
        """Whether a setting is there and not None; one that is None counts as read."""
        value = self._given(name) if self.training else self._values.raw(name)
        if value is None:
            self._read.add(name)
            return False
        return True

    def take(self, name: str, default: Any = None) -> Any:
        """A setting as it stands; ``default`` where it is absent or None."""
        self._read.add(name)
        value = self._given(name)
        return default if value is None else value

    def ignore(self, *names: str) -> None:
        """Settings that cannot change what is computed; the caller says why."""
        self._read.update(names)

    def fixed(self, name: str, *good: Any) -> None:
        """A setting that has to be absent or one of ``good``."""
        value = self.take(name)
        if value is not None and not any(_same(value, one) for one in good):
            self.differs(name, f"has no counterpart; {' or '.join(map(short, good))} has")

    def needs(self, name: str, good: Any, left_out: Any) -> None:
        """A setting that has to be ``good``; where it is absent it is ``left_out``, which may be another."""
        value = self.take(name, left_out)
        if not _same(value, good):
            hint = "" if self.has(name) else f" (left out it is {short(left_out)})"
            self.differs(name, f"has no counterpart{hint}; {short(good)} has")

    def flag(self, name: str, default: bool) -> bool:
        """True or False."""
        value = self.take(name, default)
        return value if isinstance(value, bool) else self._bad(name, "True or False")

    def word(self, name: str, default: str | None = None) -> str:
        """A text; without a default it has to be there."""
        value = self.take(name, default)
        return value if isinstance(value, str) else self._bad(name, "a text")

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number; without a default it has to be there."""
        return self._number(name, self.take(name, default))

    def whole(self, name: str, default: int | None = None, most: int = LARGEST) -> int:
        """A whole number between -1 and ``most``; without a default it has to be there."""
        wanted = f"a whole number up to {most}"
        value = self._number(name, self.take(name, default), wanted)
        if value != int(value) or not -1 <= value <= most:
            self._bad(name, wanted)
        return int(value)

    def numbers(self, name: str, default: Sequence[float] | None = None, count: int | None = None) -> tuple[float, ...]:
        """Finite numbers, at most 64; ``count`` of them if given."""
        values = self.take(name, default)
        if not isinstance(values, list | tuple) or len(values) > 64 or (count is not None and len(values) != count):
            return self._bad(name, f"a list of {'' if count is None else f'{count} '}numbers")
        return tuple(self._number(name, value) for value in values)

    def wholes(self, name: str, default: Sequence[int] | None = None, count: int | None = None) -> tuple[int, ...]:
        """Whole numbers, at most 64; ``count`` of them if given."""
        values = self.numbers(name, default, count)
        if any(value != int(value) or abs(value) > LARGEST for value in values):
            self._bad(name, "a list of whole numbers")
        return tuple(int(value) for value in values)

    def each(self, name: str, read: Callable[[Section, str], Item], default: Any = None) -> tuple[Item, ...]:
        """What ``read`` makes of each item of a list of 1 to 64, as a setting that is called by its place."""
        values = self.take(name, default)
        if not isinstance(values, list | tuple) or not 1 <= len(values) <= 64:
            return self._bad(name, "a list of 1 to 64 items")
        items = {str(index): value for index, value in enumerate(values)}
        owner = Section(items, self.at(name), self.notes, self.training)
        return tuple(read(owner, place) for place in items)

    def section(self, name: str, default: dict[str, Any] | None = None, training: bool = False) -> Section:
        """A dict in this one; ``default`` where it is absent or None.

        Raises:
            ConfigError: it is absent and there is no default, or it is no dict.
        """
        values = self.take(name, default)
        if values is None:
            raise ConfigError(f"{self.at(name)} is missing")
        return Section(values, self.at(name), self.notes, training or self.training)

    def sections(self, name: str, training: bool = False) -> list[Section]:
        """The dicts in a list; one dict counts as a list of one."""
        values = self.take(name, [])
        if isinstance(values, dict):
            return [self.section(name, training=training)]
        if not isinstance(values, list | tuple):
            self._bad(name, "a list of dicts")
        training = training or self.training
        return [Section(one, f"{self.at(name)}.{index}", self.notes, training) for index, one in enumerate(values)]

    def nested(self, name: str, depth: int = 8) -> list[Section]:
        """`sections` of a list that may hold lists again, as those of data sets do."""
        values = self.take(name, [])
        lists = [isinstance(one, list | tuple) for one in values] if isinstance(values, list | tuple) else []
        if depth == 0 or not any(lists):
            return self.sections(name)
        flat = [inner for one in values for inner in (one if isinstance(one, list | tuple) else (one,))]
        return Section({name: flat}, self.path, self.notes, self.training).nested(name, depth - 1)

    def _number(self, name: str, value: Any, wanted: str = "a number") -> float:
        good = not isinstance(value, bool) and isinstance(value, int | float)
        if not good or not (-LARGEST_NUMBER < value < LARGEST_NUMBER):
            self._bad(name, wanted)
        return value

    def _bad(self, name: str, wanted: str) -> Any:
        value = self._values.raw(name)
        if value is None:
            raise ConfigError(f"{self.at(name)} is missing")
        raise ConfigError(f"{self.at(name)} must be {wanted}, not {short(value)}")


def _same(a: Any, b: Any) -> bool:
    """Equality, with lists equal to tuples, and True different from 1."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b and isinstance(a, bool) == isinstance(b, bool)


__all__ = ["LARGEST", "Section"]
