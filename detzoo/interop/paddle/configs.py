"""PaddleDetection's YAML configs with what they inherit from, as plain values: tags are data, and nothing is run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from detzoo.config import ConfigError
from detzoo.user_path import user_path

MOST_BYTES = 1 << 16  # of all files together; published configs have a tenth of it
MOST_MARKS = 10_000  # of a file: commas and the like, each of which PyYAML takes its time for
MOST_BRACKETS = 100  # in each other
MOST_FILES = 20  # that one config reads
MOST_VALUES = 50_000
MOST_DEPTH = 30
LONGEST_NUMBER = 40  # letters
SUFFIXES = (".yml", ".yaml")
_BASES = ("_BASE_", "_READER_")  # of all releases, and beside it of the static ones
_YAML = "tag:yaml.org,2002:"
_MERGE = f"{_YAML}merge"  # of the key `<<`
_PLAIN = {f"{_YAML}{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")}


def read_file(path: Path) -> dict[str, Any]:
    """The settings in a config file, merged with those of the files that it names as bases; later ones go before.

    ``!Tag {a: 1}`` is the dict ``{"type": "Tag", "a": 1}``.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it is no such config, or is too large; the message names the file.
    """
    if not _is_file(path):
        raise FileNotFoundError(f"no config file at {str(path)[:300]}")
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path} is no config of PaddleDetection, which is a .yml file; weights come after it")
    return _Reader().read(path, ())


def checked(values: Any) -> dict[str, Any]:
    """A copy of a config that was given as a dict.

    Raises:
        ConfigError: it is none, or is too large or nested too deeply.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"a config is a path or a dict, not {type(values).__name__}")
    return _Reader().copy(dict(values), "the config")


class _Reader:
    """Reads one config; what all its files cost together is bounded."""

    def __init__(self) -> None:
        self.bytes_left = MOST_BYTES
        self.files_left = MOST_FILES
        self.values_left = MOST_VALUES

    def read(self, path: Path, children: tuple[Path, ...]) -> dict[str, Any]:
        """The settings of a file; ``children`` are the files that led here."""
        here = path.resolve()
        if here in children:
            raise ConfigError(f"{path}: inherits from itself")
        self.files_left -= 1
        if self.files_left < 0:
            raise ConfigError(f"{path}: a config reads at most {MOST_FILES} files")
        values = self._parsed(path)
        inherited: dict[str, Any] = {}
        for key in _BASES:
            names = values.pop(key, [])
            for name in [names] if isinstance(names, str) else names if isinstance(names, list) else [None]:
                if not isinstance(name, str):
                    raise ConfigError(f"{path}: {key} is a path or a list of paths")
                base = path.parent / user_path(name)
                if base.suffix.lower() not in SUFFIXES or not _is_file(base):
                    raise ConfigError(
                        f"{path}: inherits from {name[:80]!r}, but there is no such file; keep PaddleDetection's "
                        "folder of configs together, or pass the merged config as a dict"
                    )
                inherited = merged(inherited, self.read(base, (here, *children)))
        return merged(inherited, values)

    def _parsed(self, path: Path) -> dict[str, Any]:
        self.bytes_left -= path.stat().st_size
        if self.bytes_left < 0:
            raise ConfigError(f"{path} is too large; a config and its bases have at most {MOST_BYTES} bytes")
        try:
            text = path.read_text(encoding="utf-8-sig")
            if sum(map(text.count, ",:-?&*")) > MOST_MARKS or _brackets(text) > MOST_BRACKETS:
                raise ConfigError(f"{path}: too many values, or brackets in each other, for a config")
            loader = yaml.SafeLoader(text)
            node = loader.get_single_node()
            values = {} if node is None else self._value(loader, node, str(path), 0)
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: this is not a text in UTF-8") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())[:300]}") from None
        except RecursionError:
            raise ConfigError(f"{path} is nested too deeply") from None
        if not isinstance(values, dict):
            raise ConfigError(f"{path} holds no settings such as `architecture: FasterRCNN`")
        return values

    def _count(self, name: str, depth: int) -> None:
        self.values_left -= 1
        if self.values_left < 0 or depth > MOST_DEPTH:
            raise ConfigError(f"{name}: more than {MOST_VALUES} values, or {MOST_DEPTH} in each other")

    def _value(self, loader: yaml.SafeLoader, node: yaml.Node, name: str, depth: int) -> Any:
        """What a node says; one that is named and used again counts each time."""
        self._count(name, depth)
        tag = node.tag
        kind = {} if tag in _PLAIN else {"type": self._tag(tag, name, node)}
        if isinstance(node, yaml.MappingNode):
            items: dict[str, Any] = {}
            taken: dict[str, Any] = {}  # from other dicts, where an own key does not say otherwise
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise ConfigError(f"{name}:{key.start_mark.line + 1}: a key that is no text")
                found = self._value(loader, value, name, depth + 1)
                if key.tag != _MERGE:
                    items[key.value] = found
                    continue
                for one in reversed(found if isinstance(found, list) else [found]):  # the first counts
                    if not isinstance(one, dict):
                        raise ConfigError(f"{name}:{key.start_mark.line + 1}: `<<` is a dict or a list of dicts")
                    taken |= one
            return {**taken, **kind, **items}
        if isinstance(node, yaml.SequenceNode):
            listed = [self._value(loader, value, name, depth + 1) for value in node.value]
            return {**kind, "args": listed} if kind else listed
        if kind:
            return {**kind, "args": node.value} if node.value else kind
        return self._scalar(loader, node, name)

    def _tag(self, tag: str, name: str, node: yaml.Node) -> str:
        if not tag.startswith("!") or len(tag) > 80:
            where = f"{name}:{node.start_mark.line + 1}"
            raise ConfigError(f"{where}: {tag[-80:]!r} is Python, or no part of PaddleDetection; nothing is run here")
        return tag[1:]

    def _scalar(self, loader: yaml.SafeLoader, node: Any, name: str) -> Any:
        kind, text = node.tag.removeprefix(_YAML), node.value
        if kind not in ("int", "float", "bool", "null"):
            return text
        if len(text) > LONGEST_NUMBER:
            raise ConfigError(f"{name}:{node.start_mark.line + 1}: a number without an end")
        try:
            return getattr(loader, f"construct_yaml_{kind}")(node)
        except (ValueError, KeyError, IndexError):
            raise ConfigError(f"{name}:{node.start_mark.line + 1}: {text!r} is no {kind}") from None

    def copy(self, value: Any, name: str, depth: int = 0) -> Any:
        """Dicts, lists, texts and numbers of a value, none shared."""
        self._count(name, depth)
        if isinstance(value, Mapping):
            return {str(key): self.copy(inner, name, depth + 1) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.copy(inner, name, depth + 1) for inner in value]
        if value is None or isinstance(value, str | bool | int | float):
            return value
        raise ConfigError(f"{name} holds a {type(value).__name__}, which no config file can")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _brackets(text: str) -> int:
    """How many brackets are open at once, at most."""
    depth = most = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth = depth + 1 if bracket in "[{" else max(0, depth - 1)
        most = max(most, depth)
    return most


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes``: dicts are merged key by key; all else, and what has a tag, is replaced."""
    result = dict(base)
    for key, value in changes.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and not {"type"} & (before.keys() | value.keys()):
            value = merged(before, value)
        result[key] = value
    return result


__all__ = ["SUFFIXES", "checked", "merged", "read_file"]
