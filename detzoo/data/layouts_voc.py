"""Folders with Pascal VOC annotations, as VOC and other tools lay them out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from detzoo.config import ConfigError
from detzoo.data.files import PICTURES
from detzoo.data.halves import (
    Half,
    by_half,
    data_of,
    files_in,
    folder_called,
    folders_in,
    half_of,
    is_half,
    of_halves,
)
from detzoo.data.problems import DataError, log
from detzoo.data.texts import read_lines
from detzoo.data.voc import PICTURE_FOLDERS, XML_FOLDERS
from detzoo.recipes.settings import Data, Split

_Parts = dict[Half | None, list[Split]]
_PREFERRED = ("train", "trainval", "val", "test")  # of several lists for one half the first of these counts
_MOST_FOLDERS = 20


def voc_layout(root: Path) -> Data | None:
    """Settings of a folder in one of these layouts, or None:

    * lists in ``ImageSets/Main``: ``train.txt`` or ``trainval.txt``, ``val.txt`` or ``test.txt``, or one list of any
      name, for ``Annotations`` and ``JPEGImages``; or such a folder for each year, as in ``VOCdevkit``, with lists or
      without;
    * ``train``, ``valid`` or ``test`` with XML files beside the pictures, or with ``Annotations`` and ``images``;
    * ``Annotations`` and ``images`` with such folders inside;
    * ``Annotations`` with ``JPEGImages`` or ``images``, or XML files beside the pictures, without any halves.
    """
    for look in (_lists, _folders, _halves_inside, _whole):
        found = data_of("voc", root, look(root), metric="voc")
        if found is not None:
            return found
    return None


def _lists(root: Path, below: str = "") -> _Parts:
    home = root / below
    sheets = folder_called(home, *XML_FOLDERS[:2])
    if sheets is None:
        return {}
    places = [""] if files_in(home / sheets, (".xml",)) else []
    sets = folder_called(home, "ImageSets")
    if sets is not None:
        main = folder_called(home / sets, "Main")
        places = [*([f"{sets}/{main}"] if main else []), sets, *places]
    found: list[_Parts] = [
        {half: _splits(names, below, place) for half, names in _named(home / place, bool(place)).items()}
        for place in places
    ]
    return next((parts for parts in found if parts.keys() - {None}), next(filter(None, found), {}))


def _splits(names: Sequence[str], below: str, place: str) -> list[Split]:
    return [Split(annotations="/".join(filter(None, (below, place, name))), images=below) for name in names]


def _named(folder: Path, only_lists: bool) -> dict[Half | None, list[str]]:
    """The lists in a folder for each half: by words such as ``train`` alone, or else within other words, where its text
    files are lists only."""
    lists = files_in(folder, (".txt",))
    plain = [name for name in lists if is_half(name[:-4])]  # and not cat_train.txt, the list of one class
    halves: dict[Half | None, list[str]] = {}
    for name in plain:
        halves.setdefault(half_of(name[:-4]), []).append(name)
    halves = {half: _likeliest(folder, names) for half, names in halves.items()}
    if not only_lists:
        return halves
    others = [name for name in lists if name not in plain and not _is_of_one_class(folder / name)]
    if not plain:
        worded = [name for name in others if half_of(name[:-4])]
        for name in worded:
            halves.setdefault(half_of(name[:-4]), []).append(name)
        _refuse_several(folder, halves)
    rest = [name for name in others if half_of(name[:-4]) is None]
    if "train" not in halves and len(rest) == 1:
        halves[None] = rest
    elif "train" not in halves and halves and rest:
        log.warning("%s: left out, because there are several for training: %s", folder, ", ".join(rest))
    return halves


def _likeliest(folder: Path, names: Sequence[str]) -> list[str]:
    """Of several lists for one half that of a preferred word without a year, or else those of all years."""
    words = {name: name[:-4].lower().rstrip("0123456789_-") for name in names}
    ranked = sorted(names, key=lambda name: (*(words[name] != word for word in _PREFERRED), name))
    same = [name for name in ranked if words[name] == words[ranked[0]]]
    exact = [name for name in same if name[:-4].lower() == words[name]][:1]
    if exact and len(same) > 1:
        log.warning("%s: left out beside %s: %s", folder, exact[0], ", ".join(n for n in same if n not in exact))
    return exact or same


def _is_of_one_class(path: Path) -> bool:
    """Whether a list says for every image whether a class is in it."""
    try:
        return any(line.endswith((" -1", "\t-1")) for line in read_lines(path))
    except DataError:
        return False


def _refuse_several(folder: Path, halves: dict[Half | None, list[str]]) -> None:
    several = next((names for names in halves.values() if len(names) > 1), None)
    if several:
        raise ConfigError(
            f"{folder} has several lists that could be the same half: {', '.join(several)}. Call those that are meant "
            "train.txt and val.txt, or name them in data.train and data.val"
        )


def _folders(root: Path) -> _Parts:
    """``VOC2007`` and ``VOC2012`` in one folder, with lists or without, or ``train`` and ``val``: joined."""
    names = folders_in(root)[:_MOST_FOLDERS]
    whole = len(names) < 2 or folder_called(root, *XML_FOLDERS) is not None or bool(_whole(root))
    parts: _Parts = defaultdict(list)
    alone = []
    for name in names:
        lists = _lists(root, name)
        for half, splits in lists.items():
            parts[half or half_of(name)] += splits
        part = _unlisted(root, name) if not lists and (is_half(name) or not whole) else None
        if part is not None:
            alone.append((name, part))
    for half, splits in by_half(alone).items():
        parts[half] += splits
    if "train" in parts:
        parts["train"] += parts.pop(None, [])
    return parts


def _unlisted(root: Path, name: str) -> Split | None:
    """A folder of a data set, all of it."""
    sheets = folder_called(root / name, *(XML_FOLDERS if is_half(name) else XML_FOLDERS[:2]))
    if sheets is not None and files_in(root / name / sheets, (".xml",)):
        return Split(annotations=f"{name}/{sheets}", images=name)
    return Split(annotations=name, images=name) if is_half(name) and files_in(root / name, (".xml",)) else None


def _halves_inside(root: Path) -> _Parts:
    """``Annotations/train`` with ``images/train``."""
    sheets, pictures = folder_called(root, *XML_FOLDERS), folder_called(root, *PICTURE_FOLDERS)
    if sheets is None or pictures is None:
        return {}
    inside = set(folders_in(root / pictures))
    both = [name for name in folders_in(root / sheets) if name in inside and files_in(root / sheets / name, (".xml",))]
    parts = {name: Split(annotations=f"{sheets}/{name}", images=f"{pictures}/{name}") for name in both}
    return of_halves(parts)


def _whole(root: Path) -> _Parts:
    sheets = folder_called(root, *XML_FOLDERS)
    if sheets is not None and files_in(root / sheets, (".xml",)):
        return {None: [Split(annotations=sheets)]}
    for name in ("", *PICTURE_FOLDERS):  # labelImg saves beside the picture unless told otherwise
        if files_in(root / name, (".xml",)) and files_in(root / name, PICTURES):
            return {None: [Split(annotations=name or ".", images=name)]}
    return {}
