"""What describes a YOLO data set: ``data.yaml``, Darknet's ``obj.data``, and lists of class names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.events import AliasEvent

from detzoo.data.problems import DataError, report
from detzoo.data.texts import read_lines, read_text

YAML = (".yaml", ".yml")
MOST_BYTES = 1 << 20  # twenty thousand names have about 400 kB
_MOST_CLASSES = 100_000


class _Loader(yaml.BaseLoader):
    """Every value a text: a class called ``no`` or ``1.0`` stays that. No aliases, with which a small file can stand
    for an endless one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(problem="aliases (*) are not read", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        known: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in known:  # the last would count, silently
                    problem = f"`{key.value[:40]}` is there twice; keep one"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                known.add(key.value)
        return super().construct_mapping(node, deep)


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a data set.

    Attributes:
        names: by their number in the label files; numbers may be missing.
        keypoints: whether key points follow each box in the label files.
    """

    names: dict[int, str]
    keypoints: bool = False


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings in a ``data.yaml``: texts, lists and dicts.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is too large, not text, not YAML, or holds no settings.
    """
    try:
        content = yaml.load(
            read_text(path, MOST_BYTES), Loader=_Loader
        )  # which makes nothing but texts, lists and dicts
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not valid YAML: {' '.join(str(error).split())[:300]}") from None
    except RecursionError:
        raise DataError(f"{path} is nested too deeply") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise DataError(f"{path} holds no settings such as `names: [cat, dog]` and `train: images/train`")
    return content


def read_classes(path: Path) -> Classes:
    """The classes that a ``data.yaml``, or a text file with one name per line, gives to the numbers from 0.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it names no classes, or not plainly; the message names the file.
    """
    if path.suffix.lower() in YAML:
        content = read_yaml(path)
        return Classes(_names(path, content.get("names")), isinstance(content.get("kpt_shape"), list))
    names = {number: name for number, name in enumerate(read_lines(path, MOST_BYTES)) if name}
    if not names:
        raise DataError(f"{path} names no classes; it should have one name per line, in the order of their numbers")
    return Classes(names)


def labels_of(path: Path, names: dict[int, str]) -> tuple[dict[str, int], dict[int, int]]:
    """Label of each name, by ascending number, and of each number: a name that occurs twice is one class."""
    label_of: dict[str, int] = {}
    twice = []
    for number in sorted(names):
        if names[number] in label_of:
            twice.append(names[number])
        label_of.setdefault(names[number], len(label_of))
    report(path, "occur more than once and count as one class", twice, len(names), "class names")
    return label_of, {number: label_of[name] for number, name in names.items()}


def _names(path: Path, given: Any) -> dict[int, str]:
    if isinstance(given, list):
        pairs = dict(enumerate(given))
    elif isinstance(given, dict):
        try:
            pairs = {int(number): name for number, name in given.items()}
        except (ValueError, TypeError):
            raise DataError(f"{path}: the keys of `names` should be numbers from 0, as in `0: cat`") from None
        if any(not 0 <= number < _MOST_CLASSES for number in pairs):
            raise DataError(f"{path}: the keys of `names` should be numbers from 0 to {_MOST_CLASSES - 1}")
    elif isinstance(given, str) and given.strip():
        raise DataError(f"{path}: `names` is {given[:40]!r}, but should be a list, as in `names: [cat, dog]`")
    else:
        pairs = {}
    if not pairs:
        raise DataError(f"{path} names no classes; it should have them in `names`, as in `names: [cat, dog]`")
    wrong = next((number for number, name in pairs.items() if not isinstance(name, str) or not name.strip()), None)
    if wrong is not None:
        raise DataError(f"{path}: the name of class {wrong} is {str(pairs[wrong])[:40]!r}, not a text")
    return {number: name.strip() for number, name in pairs.items()}


def read_darknet(path: Path) -> dict[str, str]:
    """The settings in Darknet's ``obj.data``: ``names = data/obj.names``, one a line.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is not text, or has no such lines.
    """
    pairs = [line.partition("=") for line in read_lines(path, MOST_BYTES) if "=" in line and not line.startswith("#")]
    if not pairs:
        raise DataError(f"{path} holds no settings such as `names = obj.names` and `train = train.txt`")
    return {key.strip().lower(): value.strip() for key, _, value in pairs}
