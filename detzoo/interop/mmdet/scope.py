"""The names of a config file while it is read, and what is not known of them."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from detzoo.config import ConfigError
from detzoo.interop.mmdet.effects import effects
from detzoo.interop.mmdet.syntax import MOST_BITS, MOST_ITEMS, MOST_STEPS, Budget
from detzoo.interop.unknowns import REST, Unknown

BASE = "_base_"
NOT_RUN = "is Python, which is never run here"


class Imported:
    """What an import statement gives a name, which is never imported: only its full name is known.

    Attributes:
        name: e.g. ``mmdet.models.RetinaNet``.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def package(self) -> str:
        """The first part of the name."""
        return self.name.split(".")[0]


class _Lost:
    """Key of a dict and item of a list that code may have changed anywhere, and that may still be in its hands."""


LOST = _Lost()


class Scope:
    """Names and their values.

    Attributes:
        name: of the file, as errors call it.
        base: what the file inherits, seen there as ``_base_``.
        names: what is assigned.
        rest: what other names may stand for; None: there are no others.
    """

    def __init__(self, name: str, base: dict[str, Any], budget: Budget) -> None:
        self.name = name
        self.budget = budget
        self.base = base
        self.names: dict[str, Any] = {BASE: base}
        self.rest: Unknown | None = None

    def refused(self, node: ast.AST, why: str) -> ConfigError:
        """The error for something that MMDetection could not run either, or that costs too much."""
        return ConfigError(f"{self.name}:{getattr(node, 'lineno', 1)}: {why}")

    def unknown(self, node: ast.AST, what: str, *values: Any) -> Unknown:
        """A value that is not evaluated; it may be or hold one of ``values``.

        One of them that is unknown is the reason.
        """
        reason = next((value for value in values if isinstance(value, Unknown)), None)
        why = reason.why if reason is not None else f"{self.name}:{getattr(node, 'lineno', 1)}: {what}"
        held = tuple(one for one in values if isinstance(one, dict | list | tuple | Unknown))
        return Unknown(why, held)

    def spend(self, node: ast.AST, count: int = 1) -> None:
        """Count steps.

        Raises:
            ConfigError: there are too many.
        """
        if not self.budget.spend(count):
            raise self.refused(node, f"the config takes more than {MOST_STEPS} steps")

    def bounded(self, node: ast.AST, value: Any) -> Any:
        """The value, if it is not too long; its length counts as steps, since it was or will be copied."""
        if isinstance(value, list | tuple | str | dict):
            if len(value) > MOST_ITEMS:
                raise self.refused(node, f"longer than {MOST_ITEMS}")
            self.spend(node, len(value) // 8)
        if isinstance(value, int) and value.bit_length() > MOST_BITS:
            raise self.refused(node, "the number is too large")
        return value

    def skip(self, *nodes: ast.AST, why: Unknown) -> Unknown:
        """Account for code that is not evaluated: names that it may assign, values that it may change.

        Returns:
            ``why``, which may now be whatever the code reads.
        """
        if not nodes:
            return why
        found = effects(*nodes, own=self.names)
        self.spend(nodes[0], found.size // 8)
        held = [self.names[name] for name in found.read if name in self.names]
        result = Unknown(why.why, (*why.may_be, *held))
        if found.changes:
            self.lose(held, why, nodes[0])
        for name in found.assigned:
            self.names[name] = Unknown(why.why, (result, self.names.get(name)))  # it may not be assigned at all
        if "*" in found.assigned:
            self.import_all(result)
        return result

    def import_all(self, why: Unknown) -> None:
        """Any name may have another value now: another file's names were imported."""
        self.names.pop("*", None)
        for name in self.names:
            if name != BASE:
                self.names[name] = Unknown(why.why, (self.names[name],))
        self.rest = why

    def lose(self, values: Iterable[Any], why: Unknown, node: ast.AST) -> None:
        """Values, with all in them, have been in the hands of code that is not evaluated."""
        waiting = list(values)
        seen: dict[int, Any] = {}  # the values, too: the number of one that is gone would be given to another
        while waiting:
            value = waiting.pop()
            if id(value) in seen or not isinstance(value, dict | list | tuple | Unknown):
                continue
            seen[id(value)] = value
            self.spend(node)
            if isinstance(value, Unknown):
                waiting.extend(value.may_be)
                waiting.extend(self.names[name] for name in value.touches if name in self.names)
                for name in value.assigns:
                    self.names[name] = Unknown(why.why, (self.names.get(name),))
            elif isinstance(value, tuple):
                waiting.extend(value)
            elif isinstance(value, list):
                waiting.extend(value)
                value[:] = [LOST, Unknown(why.why)]
            else:
                waiting.extend(value.values())
                if LOST not in value:
                    value.clear()
                    value[LOST] = Unknown(why.why)

    def lost(self, value: Any) -> Unknown | None:
        """Why nothing of a value is known, if so; an unknown value itself."""
        if isinstance(value, Unknown):
            return value
        if isinstance(value, Imported):
            return Unknown(f"'{value.name[:80]}' in {self.name}, which is never imported here")
        if isinstance(value, dict):
            return value.get(LOST)
        if isinstance(value, list) and len(value) == 2 and value[0] is LOST:
            return value[1]
        return None

    def partly(self, value: Any) -> Unknown | None:
        """As `lost`, and where a dict may have more keys than are known."""
        if isinstance(value, dict) and isinstance(value.get(REST), Unknown):
            return value[REST]
        return self.lost(value)

    def update(self, holder: dict[Any, Any], more: Any) -> None:
        """``holder.update(more)``, where ``more`` may be unknown."""
        why = self.partly(more)
        if self.lost(holder) is not None:
            return
        if why is not None:
            holder.clear()  # any key may have another value now
            holder[REST] = Unknown(why.why, (more,))
        if isinstance(more, dict) and self.lost(more) is None:
            holder.update({key: value for key, value in more.items() if not isinstance(value, Unknown) or key != REST})


def own_names(name: str) -> dict[str, str]:
    """What ``{{ fileDirname }}`` and the like stand for in a file."""
    path = Path(name).absolute()
    return {
        "fileDirname": str(path.parent),
        "fileBasename": path.name,
        "fileBasenameNoExtension": path.stem,
        "fileExtname": path.suffix,
    }


__all__ = ["BASE", "LOST", "NOT_RUN", "Imported", "Scope", "own_names"]
