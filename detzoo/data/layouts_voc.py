"""Folders with Pascal VOC annotations, as VOC and other tools lay them out."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from detzoo.data.files import PICTURES
from detzoo.data.halves import Half, data_of, files_in, folder_called, folders_in, half_of, is_half
from detzoo.data.voc import PICTURE_FOLDERS, XML_FOLDERS
from detzoo.recipes.settings import Data, Split

_Parts = dict[Half | None, list[Split]]
_PREFERRED = ("train", "trainval", "val", "test")  # of several lists for one half the first of these counts


def voc_layout(root: Path) -> Data | None:
    """Settings of a folder in one of these layouts, or None:

    * lists in ``ImageSets/Main``: ``train.txt`` or ``trainval.txt``, ``val.txt`` or ``test.txt``, or one list of any
      name, for ``Annotations`` and ``JPEGImages``; or such a folder for each year, as in ``VOCdevkit``;
    * ``train``, ``valid`` or ``test`` with XML files beside the pictures, or with ``Annotations`` and ``images``;
    * ``Annotations`` and ``images`` with such folders inside;
    * ``Annotations`` with ``JPEGImages`` or ``images``, or XML files beside the pictures, without any halves.
    """
    for look in (_lists, _years, _folders_of_halves, _halves_inside, _whole):
        found = data_of("voc", root, look(root), metric="voc")
        if found is not None:
            return found
    return None


def _lists(root: Path, below: str = "") -> _Parts:
    home = root / below
    sets = folder_called(home, "ImageSets")
    if sets is None or folder_called(home, *XML_FOLDERS[:2]) is None:
        return {}
    main = folder_called(home / sets, "Main")
    folder = f"{sets}/{main}" if main else sets
    lists = files_in(home / folder, (".txt",))
    ranked = sorted(lists, key=lambda name: (*(name[:-4].lower() != word for word in _PREFERRED), name))
    parts: _Parts = {}
    for name in ranked:
        if is_half(name[:-4]):  # and not cat_train.txt, the list of one class
            path = f"{below}/{folder}/{name}" if below else f"{folder}/{name}"
            parts.setdefault(half_of(name[:-4]), [Split(annotations=path, images=below)])
    if not parts and len(lists) == 1:
        parts[None] = [
            Split(annotations=f"{below}/{folder}/{lists[0]}" if below else f"{folder}/{lists[0]}", images=below)
        ]
    return parts


def _years(root: Path) -> _Parts:
    """The lists of ``VOC2007`` and ``VOC2012`` in one folder, joined."""
    parts: _Parts = defaultdict(list)
    for name in folders_in(root)[:20]:
        for half, splits in _lists(root, name).items():
            if half is not None:
                parts[half] += splits
    return parts


def _folders_of_halves(root: Path) -> _Parts:
    parts: _Parts = {}
    for name in filter(is_half, folders_in(root)):
        sheets = folder_called(root / name, *XML_FOLDERS)
        if sheets is not None and files_in(root / name / sheets, (".xml",)):
            parts.setdefault(half_of(name), [Split(annotations=f"{name}/{sheets}", images=name)])
        elif files_in(root / name, (".xml",)):
            parts.setdefault(half_of(name), [Split(annotations=name, images=name)])
    return parts


def _halves_inside(root: Path) -> _Parts:
    """``Annotations/train`` with ``images/train``."""
    sheets, pictures = folder_called(root, *XML_FOLDERS), folder_called(root, *PICTURE_FOLDERS)
    parts: _Parts = {}
    if sheets is None or pictures is None:
        return parts
    inside = set(folders_in(root / pictures))
    for name in filter(is_half, folders_in(root / sheets)):
        if name in inside and files_in(root / sheets / name, (".xml",)):
            split = Split(annotations=f"{sheets}/{name}", images=f"{pictures}/{name}")
            parts.setdefault(half_of(name), [split])
    return parts


def _whole(root: Path) -> _Parts:
    sheets = folder_called(root, *XML_FOLDERS)
    if sheets is not None and files_in(root / sheets, (".xml",)):
        return {None: [Split(annotations=sheets)]}
    for name in ("", *PICTURE_FOLDERS):  # labelImg saves beside the picture unless told otherwise
        if files_in(root / name, (".xml",)) and files_in(root / name, PICTURES):
            return {None: [Split(annotations=name or ".", images=name)]}
    return {}
