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
    kind: Literal["coco", "voc", "yolo"],
    root: Path,
    parts: Mapping[Half | None, Sequence[Split]],
    metric: Literal["coco", "voc"] = "coco",
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
    joint = next(
        (name for part in train if (name := _of_both(part.images if kind == "yolo" else part.annotations))), ""
    )
    if joint and parts.get("val"):
        log.warning(
            "%s: train is %s, of which val is a part by its name: the images of validation are trained on; write "
            "a list of the others, called train, beside it",
            root,
            joint,
        )
    return Data(kind=kind, root=str(root), train=tuple(train), val=tuple(val), metric=metric)


def _of_both(path: str) -> str:
    """``path`` where the last of its names that speaks of a half is ``trainval`` or the like; else nothing."""
    last = next((part for part in reversed(path.split("/")) if halves_named(part)), "")
    return path if is_train_and_val(last) else ""


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
