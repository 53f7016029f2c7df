"""Words for the halves of a data set, train and val, in the names of files and folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

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
    found: set[Half] = {_HALVES[word] for word in map(str.lower, _WORD.findall(name)) if word in _HALVES}
    if found == {"train", "val"}:
        return "train"
    return next(iter(found)) if len(found) == 1 else None


def is_half(name: str) -> bool:
    """Whether a name is such a word and no more, but for a year: ``Train``, ``val2017``."""
    return name.lower().rstrip("0123456789_-") in _HALVES


def data_of(
    kind: Literal["coco", "voc", "yolo"],
    root: Path,
    parts: Mapping[Half | None, Sequence[Split]],
    metric: Literal["coco", "voc"] = "coco",
) -> Data | None:
    """Settings of the parts that were found for each half; None: nothing was.

    Where there is no ``val``, ``test`` takes its place. Parts of no half in particular are for training and validation
    both, where they are all there is.
    """
    train, val = parts.get("train", ()), parts.get("val") or parts.get("test") or ()
    if not train and not val:
        train = val = parts.get(None, ())
    if not train and not val:
        return None
    return Data(kind=kind, root=str(root), train=tuple(train), val=tuple(val), metric=metric)


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
