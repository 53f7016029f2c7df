"""Config files with what they inherit from, merged into one dict of plain values."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from detzoo.config import ConfigError
from detzoo.interop.kinds import PACKAGES, kind_name
from detzoo.interop.mmdet.bases import base_file, base_module, base_names, named_bases
from detzoo.interop.mmdet.objects import plain_object
from detzoo.interop.mmdet.scope import BASE, LOST, Imported
from detzoo.interop.mmdet.statements import evaluate
from detzoo.interop.mmdet.syntax import MOST_BYTES, MOST_DEPTH, MOST_STEPS, Budget, parse
from detzoo.interop.unknowns import REST, Settings, Unknown, guarded
from detzoo.user_path import user_path

DELETE = "_delete_"  # of a dict: replaces the inherited one instead of changing it
MOST_FILES = 50  # that one config reads


def read_file(path: str | Path, configs: str | os.PathLike[str] | None = None) -> Settings:
    """The settings in a config file (``.py`` or ``.json``), merged with those of the files that it names as bases.

    Args:
        path: the file.
        configs: MMDetection's folder of configs, for bases that are not where the file says; None: that of an installed
            MMDetection, which is not imported.

    Returns:
        Them; what only running the file would give is unknown, and an error where it is read.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it is not a config, or is too large; the message names file and line.
    """
    path = user_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no config file at {path}")
    return guarded(_Reader(None if configs is None else user_path(configs)).read(path, ()))


def read_text(text: str, name: str) -> Settings:
    """The settings in a merged config, as a checkpoint carries it.

    Args:
        text: Python as MMDetection writes it.
        name: what errors call it.

    Raises:
        ConfigError: as `read_file`, or it inherits from a file.
    """
    reader = _Reader()
    tree = parse(text, name)
    if named_bases(tree, name):
        raise ConfigError(f"{name}: inherits from files that are not at hand; pass the path of the config file")
    return guarded(reader.plain(evaluate(tree, name, {}, reader.budget), name))


def checked(values: Any) -> Settings:
    """A copy of a config that was given as a dict, or as a ``Config`` of mmengine or mmcv.

    Returns:
        The settings; what is no plain value is unknown, and an error where it is read.

    Raises:
        ConfigError: it is none, is nested too deeply, or is too large.
    """
    if not isinstance(plain_object(values), dict):
        raise ConfigError(f"a config is a path, a dict or a Config of mmengine, not {type(values).__name__}")
    return guarded(_Reader().plain(values, "the config"))


class _Reader:
    """Reads one config; what all its files cost together is bounded."""

    def __init__(self, configs: Path | None = None) -> None:
        self.budget = Budget()
        self.configs = configs
        self.files = 0

    def read(self, path: Path, children: tuple[Path, ...]) -> dict[str, Any]:
        """The settings of a file; ``children`` are the files that led here."""
        here = path.resolve()
        if here in children:
            raise ConfigError(f"{path}: inherits from itself ({' <- '.join(one.name for one in (here, *children))})")
        self.files += 1
        if self.files > MOST_FILES:
            raise ConfigError(f"{path}: a config reads at most {MOST_FILES} files")
        text, name = _content(path), str(path)
        if path.suffix == ".json":
            values = _json(text, name)
            bases = base_names(values.pop(BASE, ()), name, 1)
            inherited = self._inherited(path, bases, (here, *children))
            if "{{" in text:
                tree = parse(f"content = {values!r}", name)
                values = evaluate(tree, name, inherited, self.budget)["content"]
        else:
            tree = parse(text, name)
            inherited = self._inherited(path, named_bases(tree, name), (here, *children))

            def load(module: str, level: int, line: int) -> dict[str, Any]:
                return self.read(base_module(path, module, level, self.configs), (here, *children))

            values = evaluate(tree, name, inherited, self.budget, load)
        return merged(self.plain(inherited, name), self.plain(values, name), name)

    def _inherited(self, path: Path, bases: tuple[str, ...], children: tuple[Path, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for base in bases:
            more = self.read(base_file(path, base, self.configs), children)
            both = sorted(name for name in result.keys() & more.keys() if not isinstance(more[name], Unknown))
            if both:
                raise ConfigError(f"{path}: {', '.join(both[:5])} comes from more than one of its bases")
            result.update(more)
        return result

    def plain(self, value: Any, name: str) -> dict[str, Any]:
        """A copy in which no dict or list is shared, and a list with an unknown item is unknown."""
        found = self._plain(value, name, ())
        return {REST: found} if isinstance(found, Unknown) else found

    def _plain(self, value: Any, name: str, place: tuple[str, ...]) -> Any:
        if len(place) > MOST_DEPTH:
            raise ConfigError(f"{name}: values are nested more than {MOST_DEPTH} deep")
        if not self.budget.spend():
            raise ConfigError(f"{name}: more than {MOST_STEPS} values")
        if isinstance(value, Unknown):
            return value
        if isinstance(value, Imported):
            if place[-1:] == ("type",) and value.package in PACKAGES:
                return kind_name(value.name)
            return Unknown(f"'{value.name[:80]}' in {name}, which is never imported here")
        value = plain_object(value)
        if isinstance(value, dict):
            return self._plain_dict(value, name, place)
        if isinstance(value, list | tuple):
            if value and value[0] is LOST:
                return value[1]
            items = [self._plain(inner, name, (*place, str(index))) for index, inner in enumerate(value)]
            unknown = next((one for one in items if isinstance(one, Unknown)), None)
            if unknown is not None:
                return unknown
            return items if isinstance(value, list) else tuple(items)
        if isinstance(value, str) and place[-1:] == ("type",):
            return kind_name(value)
        if value is None or isinstance(value, str | bool | int | float):
            return value
        where = ".".join(place) or "it"
        return Unknown(f"{where} in {name}, a {type(value).__name__}, which no config file can hold")

    def _plain_dict(self, value: dict[Any, Any], name: str, place: tuple[str, ...]) -> Any:
        if type(value) is dict and LOST in value:
            return value[LOST]
        made: dict[Any, Any] = {}
        for key, inner in dict.items(value):
            if not isinstance(key, str | int):
                where = ".".join(place) or "it"
                return Unknown(f"{where} in {name}, which has a key that is no text")
            made[key] = self._plain(inner, name, (*place, str(key)))
        return made


def merged(base: dict[str, Any], changes: dict[str, Any], name: str, place: str = "") -> dict[str, Any]:
    """``base`` with ``changes``: dicts are merged key by key, all else is replaced; what is unknown stays unknown.

    Raises:
        ConfigError: a dict would change something that is none, without ``_delete_=True``.
    """
    rest = changes.get(REST)
    result: dict[Any, Any] = dict.fromkeys(base, rest) if isinstance(rest, Unknown) else dict(base)
    for key, value in changes.items():
        if key == DELETE:
            continue
        where = f"{place}.{key}" if place else str(key)
        deletes = value.get(DELETE) if isinstance(value, dict) else False
        before = base.get(key, base.get(REST) if isinstance(base.get(REST), Unknown) else None)
        if not isinstance(value, dict):
            result[key] = _without_marks(value)
        elif isinstance(deletes, Unknown):
            result[key] = deletes
        elif deletes:
            result[key] = merged({}, value, name, where)
        elif isinstance(before, Unknown):
            result[key] = before
        elif key not in base:
            result[key] = merged({}, value, name, where)
        elif isinstance(rest, Unknown) or (isinstance(before, dict) and isinstance(value.get(REST), Unknown)):
            result[key] = rest if isinstance(rest, Unknown) else value[REST]  # it may be replaced or changed
        elif isinstance(base[key], dict):
            result[key] = merged(base[key], value, name, where)
        else:
            raise ConfigError(
                f"{name}: {where} is a dict, but the inherited value is a {type(base[key]).__name__}; "
                f"{DELETE}=True in the dict replaces it"
            )
    return result


def _without_marks(value: Any) -> Any:
    """``_delete_`` taken out of dicts in lists: there is nothing inherited to delete."""
    if isinstance(value, dict):
        return {key: _without_marks(inner) for key, inner in value.items() if key != DELETE}
    if isinstance(value, list | tuple):
        return type(value)(map(_without_marks, value))
    return value


def _content(path: Path) -> str:
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ConfigError(f"{path} has {size} bytes; a config has at most {MOST_BYTES}")
    if path.suffix in (".yml", ".yaml"):
        raise ConfigError(f"{path}: YAML is not read; save the config as .py or .json with mmengine (Config.dump)")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: this is not a text in UTF-8") from None


def _json(text: str, name: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name}: not valid JSON ({error})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{name}: a config is a dict")
    return values


__all__ = ["checked", "merged", "read_file", "read_text"]
