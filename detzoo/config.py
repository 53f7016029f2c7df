"""Typed settings: strict models, JSON, `a.b.c=value` overrides and errors that name the mend."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from detzoo.paths import flat
from detzoo.suggest import LONGEST_NAME, unknown
from detzoo.user_path import user_path

_MOST_BYTES = 1 << 24  # of a settings file
_LONGEST_LIST = 1000
_MOST_LINES = 20  # of an error
_LONGEST_REASON = 500  # characters


TAGS = ("kind", "method")  # settings that tell members of a union apart


class ConfigError(ValueError):
    """A setting that does not exist or has a value that does not fit; the message names it and the nearest name."""


class Config(BaseModel):
    """Base of every settings class: frozen, only JSON values, unknown names refused with a suggestion.

    A renamed setting keeps loading when the class lists it in ``RENAMED = {"old": "new"}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)
    RENAMED: ClassVar[dict[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _accept_renamed_and_suggest(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        values = {cls.RENAMED.get(key, key): value for key, value in values.items()}
        for key, value in values.items():
            if key not in cls.model_fields:
                raise ValueError(unknown(key, cls.model_fields, f"setting of {cls.__qualname__}"))
            if isinstance(value, bool) and not _takes_bool(cls.model_fields[key].annotation):
                raise ValueError(f"{key} is neither true nor false: give its value")
        return values

    def replace(self, **changes: Any) -> Self:
        """A copy with these fields changed; unlike ``model_copy`` the result is validated.

        Raises:
            ConfigError: a field does not exist or a value does not fit.
        """
        current = {name: getattr(self, name) for name in type(self).model_fields}
        return validate(type(self), {**current, **changes})


def _takes_bool(annotation: Any) -> bool:
    """Whether a setting of this type may be true or false, which pydantic otherwise takes for 1 and 0."""
    return any(annotation is one for one in (bool, Any, True, False)) or any(map(_takes_bool, get_args(annotation)))


AnyConfig = TypeVar("AnyConfig", bound=Config)


def validate(kind: type[AnyConfig], values: Any) -> AnyConfig:
    """Build a config from plain values.

    Raises:
        ConfigError: naming every field that is wrong, one line each.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False, include_input=False)[:_MOST_LINES]:
            place = ".".join(_place(problem["loc"], values, problem["type"])) or kind.__qualname__
            lines.append(f"{place}: {problem['msg'].removeprefix('Value error, ')[:_LONGEST_REASON]}")
        if error.error_count() > _MOST_LINES:
            lines.append(f"and {error.error_count() - _MOST_LINES} more")
        raise ConfigError("\n".join(lines)) from None


def _place(steps: Sequence[str | int], values: Any, problem: str) -> list[str]:
    """Where in ``values`` something is wrong; steps that only tell members of a union apart are no part of that."""
    place, here = [], values
    for step in steps:
        if isinstance(here, Mapping):
            if step not in here and problem != "missing":
                continue
            here = here.get(step)
        elif isinstance(here, list | tuple):
            here = here[step] if isinstance(step, int) and step < len(here) else None
        place.append(str(step)[:LONGEST_NAME])
    return place


def kind_if_absent(kind: str) -> Callable[[Any], Any]:
    """For a union told apart by ``kind``: what gives settings without one this kind, the usual one."""

    def completed(values: Any) -> Any:
        return {"kind": kind, **values} if isinstance(values, dict) else values

    return completed


def to_json(config: Config, indent: int | None = 2) -> str:
    """JSON text of every setting, defaults included."""
    return config.model_dump_json(indent=indent)


def from_json(kind: type[AnyConfig], text: str) -> AnyConfig:
    """Inverse of `to_json`.

    Raises:
        ConfigError: the text is not JSON, or does not fit ``kind``.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:  # also of a number with thousands of digits
        raise ConfigError(f"not valid JSON: {error}") from None
    _check_lengths(values)
    return validate(kind, values)


def _check_lengths(values: Any) -> None:
    """Refuse long lists of anything but names: two characters of a file can describe a part with all its settings."""
    left = [values] if isinstance(values, dict | list) else []
    while left:
        one = left.pop()
        if isinstance(one, list) and len(one) > _LONGEST_LIST and not all(isinstance(item, str) for item in one):
            raise ConfigError(
                f"a list of {len(one)} entries is longer than any setting; up to {_LONGEST_LIST} are read"
            )
        left += [item for item in (one.values() if isinstance(one, dict) else one) if isinstance(item, dict | list)]


def load(kind: type[AnyConfig], path: str | Path) -> AnyConfig:
    """Read a JSON settings file.

    Raises:
        ConfigError: the file is missing or does not fit ``kind``; the message names the file.
    """
    try:
        file_path = user_path(path)
        if file_path.exists() and not file_path.is_file():
            raise ConfigError("it is a folder, a device or a pipe, and no file")
        with file_path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ConfigError(f"it has more than {_MOST_BYTES} bytes, which no settings need")
        return from_json(kind, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not valid JSON, which is UTF-8: {error}") from None
    except OSError as error:
        raise ConfigError(f"cannot read settings from {path}: {error.strerror}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def flatten(config: Config | Mapping[str, Any]) -> dict[str, Any]:
    """Every leaf setting of a config, or of its JSON form, as ``{"a.b.c": value}``, values as JSON has them."""
    return flat(config.model_dump(mode="json") if isinstance(config, Config) else config)


def override(config: AnyConfig, assignments: Iterable[str] | Mapping[str, Any]) -> AnyConfig:
    """Apply settings by their path.

    Args:
        config: stays as it is.
        assignments: ``a.b.c=value`` strings (value: JSON, or else a plain string), or ``{"a.b.c": value}``. A part of
            another ``kind`` starts from the defaults of that kind, wherever its own settings stand among these.

    Raises:
        ConfigError: a string without ``=``, an unknown name (with suggestions), or a value that does not fit.
    """
    values = config.model_dump(mode="json")
    found = assigned(assignments)
    fresh: list[Any] = []
    for path in sorted(found, key=lambda path: path.rpartition(".")[2] not in TAGS):
        _assign(values, config, path, found[path], fresh)
    _carry(values, config)
    return validate(type(config), values)


def _carry(values: dict[str, Any], config: Config) -> None:
    """Put what the program has passed in, and JSON leaves out, beside the JSON form of its ``config``."""
    for name, field in type(config).model_fields.items():
        inner = getattr(config, name)
        if field.exclude:
            values[name] = inner
        elif isinstance(inner, Config) and isinstance(values.get(name), dict):
            _carry(values[name], inner)


def assigned(assignments: Iterable[str] | Mapping[str, Any]) -> dict[str, Any]:
    """What `override` takes, as ``{"a.b.c": value}``; of a path that is there twice the last value.

    Raises:
        ConfigError: a string without ``=``.
    """
    if isinstance(assignments, str):
        raise ConfigError(f"overrides is a list of settings, as [{assignments!r}], or a dict")
    pairs = assignments.items() if isinstance(assignments, Mapping) else map(_parsed, assignments)
    found: dict[str, Any] = {}
    for path, value in pairs:
        found.pop(str(path), None)
        found[str(path)] = value
    return found


def paths_of(config: Config, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that are given by their last name only, as keywords are, by their whole path: ``epochs=3`` is
    ``{"schedule.epochs": 3}``. Where several end so, the one of the schedule or else of the data is meant.

    Raises:
        ConfigError: no setting ends so, or several of the model do; the message suggests some.
    """
    leaves = flatten(config)
    named = {}
    for word, value in settings.items():
        ending = [path for path in leaves if path == word or path.endswith(f".{word}")]
        for half in ("schedule.", "data."):
            inside = [path for path in ending if path.startswith(half)]
            if len(ending) > 1 and len(inside) == 1:
                ending = inside
        if len(ending) > 1:
            raise ConfigError(f"{word}={_shown(value)}: which of {', '.join(ending[:6])}? Say it in overrides")
        if not ending:
            raise ConfigError(
                unknown(word, sorted({path.rpartition(".")[2] for path in leaves}), "setting or argument")
            )
        named[ending[0]] = value
    return named


def _parsed(text: str) -> tuple[str, Any]:
    path, equals, raw = text.partition("=")
    if not equals:
        raise ConfigError(f"{text!r} is not of the form a.b.c=value")
    try:
        return path.strip(), json.loads(raw)
    except (json.JSONDecodeError, RecursionError):
        return path.strip(), raw


def _assign(values: dict[str, Any], config: Config, path: str, value: Any, fresh: list[Any]) -> None:
    """Set one dotted path in ``values``, the JSON form of ``config``; parts that begin anew are put into ``fresh``."""
    *parents, leaf = path.split(".")
    here: Any = values
    for depth, part in enumerate(parents):
        if not isinstance(here, dict) or part not in here:
            raise ConfigError(_unknown_path(config, ".".join(path.split(".")[: depth + 1]), here, path, value))
        if here[part] is None:
            here[part] = {}
            fresh.append(here[part])
        here = here[part]
    if isinstance(here, dict) and here.get(leaf, value) != value and leaf == _tag(config, parents):
        here.clear()  # a part of another kind has other settings
        fresh.append(here)
    elif not isinstance(here, dict) or not (
        leaf in here or set(here) <= set(TAGS) or any(here is one for one in fresh)
    ):
        raise ConfigError(_unknown_path(config, path, here, path, value))
    here[leaf] = value


def _tag(config: Config, path: Sequence[str]) -> str | None:
    """The setting that tells apart what may stand at a path, if several parts may."""
    owner: Any = config
    for part in path[:-1]:
        owner = getattr(owner, part, None)
    field = type(owner).model_fields.get(path[-1]) if path and isinstance(owner, Config) else None
    return field.discriminator if field and isinstance(field.discriminator, str) else None


def _unknown_path(config: Config, wrong: str, siblings: Any, path: str, value: Any) -> str:
    """The message for a path whose part up to ``wrong`` does not exist."""
    leaves = flatten(config)
    ending = [name for name in leaves if name.endswith(f".{path}")]
    if ending:  # lr for schedule.lr
        close = " or ".join(f"{name}={_shown(value)}" for name in ending[:3])
        return f"{path!r} is not a setting; did you mean {close}?"
    parent, _, leaf = wrong.rpartition(".")
    near = [f"{parent}.{name}" if parent else str(name) for name in siblings] if isinstance(siblings, dict) else []
    everywhere = [name for name in leaves if name.rpartition(".")[2] == leaf]
    return unknown(wrong, [*near, *everywhere], "setting")


def _shown(value: Any) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)


def suggestion(word: str, value: str | None, paths: Iterable[str]) -> str | None:
    """The setting that is meant by ``--word value``, as ``a.b.word=value``, or None.

    Args:
        word: without dashes in front.
        value: what followed, if anything did.
        paths: of the settings that exist.
    """
    leaf_of = {path: path.rpartition(".")[2] for path in paths}
    wanted = word.replace("-", "_")
    known = [path for path in leaf_of if path == wanted]
    if not known:
        close = difflib.get_close_matches(wanted, sorted(set(leaf_of.values())), n=1, cutoff=0.6)
        known = [path for path, leaf in leaf_of.items() if leaf in close]
    if not known:
        return None
    best = min(known, key=lambda path: (not path.startswith("schedule."), path.count(".")))
    return best if value is None else f"{best}={value}"


__all__ = [
    "Config",
    "ConfigError",
    "assigned",
    "flatten",
    "from_json",
    "load",
    "override",
    "paths_of",
    "suggestion",
    "to_json",
    "unknown",
    "validate",
]
