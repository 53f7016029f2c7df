"""Values that only running a config would give: where they come from, and that nobody reads them by mistake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from detzoo.config import ConfigError

MEND = (
    "configs are read, not run: pass the config that MMDetection computed, work_dirs/NAME/NAME.py or a .pth that it "
    "saved, or write the value in its place"
)
REST = "**"  # a dict's key for all that may be in it beside what is known; its value is `Unknown`


class Unknown:
    """A value that only running the file would give.

    Attributes:
        why: file, line, and what is not evaluated.
        may_be: what it may be or hold: changing the value may change these.
        touches: names that calling it may change what they stand for.
        assigns: names that calling it may assign.
    """

    __slots__ = ("assigns", "may_be", "touches", "why")

    def __init__(
        self,
        why: str,
        may_be: tuple[Any, ...] = (),
        touches: frozenset[str] = frozenset(),
        assigns: frozenset[str] = frozenset(),
    ) -> None:
        self.why = why
        self.may_be = may_be
        self.touches = touches
        self.assigns = assigns

    def __repr__(self) -> str:
        return "an unknown value"

    def refused(self, place: str) -> ConfigError:
        """The error for reading it at ``place``, e.g. ``model.backbone.depth``."""
        return ConfigError(f"{place} is not known here, because of {self.why}; {MEND}")


class Settings(dict[Any, Any]):
    """A dict of a config in which reading an unknown value is an error.

    Attributes:
        place: where it stands, e.g. ``model.backbone``.
    """

    def __init__(self, values: dict[Any, Any], place: str = "") -> None:
        super().__init__(values)
        self.place = place

    def raw(self, key: Any) -> Any:
        """The value, `Unknown` where it is; None where it is absent."""
        return dict.get(self, key, dict.get(self, REST) if isinstance(dict.get(self, REST), Unknown) else None)

    def _known(self, key: Any, value: Any) -> Any:
        if isinstance(value, Unknown):
            raise value.refused(f"{self.place}.{key}" if self.place else str(key))
        return value

    def __getitem__(self, key: Any) -> Any:
        if key in self:
            return self._known(key, dict.__getitem__(self, key))
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        if dict.__contains__(self, key):
            return True
        self._known(key, self.raw(key))
        return False

    def get(self, key: Any, default: Any = None) -> Any:
        """The value, or ``default`` where it is known to be absent."""
        if key not in self:
            return default
        return self[key]

    def items(self) -> Iterator[tuple[Any, Any]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """All of it, each known."""
        return ((key, self._known(key, value)) for key, value in dict.items(self))

    def values(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """All of it, each known."""
        return (value for _, value in self.items())


def guarded(value: Any, place: str = "") -> Any:
    """A value of which every dict is `Settings`; a list with an unknown item is unknown."""
    if isinstance(value, dict):
        here = f"{place}." if place else ""
        return Settings({key: guarded(inner, f"{here}{key}") for key, inner in value.items()}, place)
    if isinstance(value, list | tuple):
        items = [guarded(inner, f"{place}.{index}") for index, inner in enumerate(value)]
        unknown = next((one for one in items if isinstance(one, Unknown)), None)
        return unknown if unknown is not None else type(value)(items)
    return value


__all__ = ["MEND", "REST", "Settings", "Unknown", "guarded"]
