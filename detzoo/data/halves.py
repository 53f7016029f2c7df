"""Words for the halves of a data set, train and val, in the names of files and folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from detzoo.data.problems import log
from detzoo.recipes.settings import Data, Split

Half = Literal["train", "val", "test"]

_HALVES: dict[str, Half] = {
    **dict.fromkeys(("train", "training", "trainval", "trainset", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "minival", "valset", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing", "testset", "tst"), "test"),
}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def half_of(name: str) -> Half | None:
    """The half that a name speaks of: ``instances_Train2017`` is ``train``; None: it speaks of none, or of several."""
    if is_train_and_val(name):
        return "train"
    found = halves_named(name)
    return next(iter(found)) if len(found) == 1 else None


def halves_named(name: str) -> set[Half]:
    """Every half that a name has a word for: ``trainval`` has both."""
    words = [word for word in map(str.lower, _WORD.findall(name)) if word in _HALVES]
    found: set[Half] = {_HALVES[word] for word in words}
    if "trainval" in words:
        found.add("val")
    return found


def is_train_and_val(name: str) -> bool:
    """Whether a name is of both together: ``trainval``, ``train_val``."""
    return halves_named(name) == {"train", "val"}


def is_half(name: str) -> bool:
    """Whether a name is such a word and no more, but for a year: ``Train``, ``val2017``."""
    return name.lower().rstrip("0123456789_-") in _HALVES


def data_of(
    kind: Literal["coco", "voc", "yolo", "wider_face"],
    root: Path,
    parts: Mapping[Half | None, Sequence[Split]],
    metric: Literal["coco", "lvis", "voc"] = "coco",
) -> Data | None:
    """Settings of the parts that were found for each half; None: nothing was.

    Where there is no ``val``, ``test`` takes its place. Parts of no half in particular are for training where there is
    no ``train``, and for validation too where they are all there is.
    """
    rest = parts.get(None, ())
    train, val = parts.get("train") or rest, parts.get("val") or parts.get("test") or ()
    if not train and not val:
        return None
    if not val and not parts.get("train"):
        val = rest
    above, joint = next(filter(None, (_of_both(_named(kind, part)) for part in train)), ("", ""))
    if joint and any(_named(kind, part).startswith(above) for part in parts.get("val", ())):
        log.warning(
            "%s: train is %s, of which val is a part by their names: the images of validation are trained on; name "
            "those without them train, beside it",
            root,
            joint,
        )
    return Data(kind=kind, root=str(root), train=tuple(train), val=tuple(val), metric=metric)


def by_half(found: Iterable[tuple[str, Split]]) -> dict[Half | None, list[Split]]:
    """Parts by the half that the name of each speaks of; ``trainval`` goes where there is ``train``, which is in it."""
    named = list(found)
    has_train = any(half_of(name) == "train" and not is_train_and_val(name) for name, _ in named)
    parts: dict[Half | None, list[Split]] = {}
    for name, part in named:
        if not (has_train and is_train_and_val(name)):
            parts.setdefault(half_of(name), []).append(part)
    return parts


def of_halves(found: Mapping[str, Split]) -> dict[Half | None, list[Split]]:
    """Parts by half from those of folders in one folder, where some are called by no more than such a word. The others
    are for training where there is no ``train``."""
    parts = by_half((name, part) for name, part in found.items() if is_half(name))
    rest = [part for name, part in found.items() if not is_half(name)]
    if parts and rest and "train" not in parts:
        parts[None] = rest
    return parts


def _named(kind: str, part: Split) -> str:
    """The path that tells the half of a part."""
    return part.images if kind == "yolo" else part.annotations


def _of_both(path: str) -> tuple[str, str] | None:
    """What is above the last name in a path that speaks of a half, and the path, where that is ``trainval``."""
    names = path.split("/")
    last = next((place for place in reversed(range(len(names))) if halves_named(names[place])), None)
    if last is None or not is_train_and_val(names[last]):
        return None
    return "/".join([*names[:last], ""]) if last else "", path


def folders_in(root: Path) -> list[str]:
    """Names of the folders in a folder, sorted; hidden ones left out."""
    try:
        with os.scandir(root) as entries:
            found = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return sorted(name for name in found if not name.startswith((".", "__MACOSX")))


def folder_called(root: Path, *names: str) -> str | None:
    """The folder in ``root`` that has the first of these names, in capitals or not."""
    there: dict[str, str] = {}
    for name in folders_in(root):
        there.setdefault(name.lower(), name)
    return next((there[name.lower()] for name in names if name.lower() in there), None)


def files_in(root: Path, suffixes: Iterable[str]) -> list[str]:
    """Names of the files in a folder with one of some suffixes, sorted; hidden ones left out."""
    wanted = tuple(suffixes)
    try:
        with os.scandir(root) as entries:
            found = [entry.name for entry in entries if entry.name.lower().endswith(wanted) and entry.is_file()]
    except OSError:
        return []
    return sorted(name for name in found if not name.startswith("."))
