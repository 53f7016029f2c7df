"""Folders and files with COCO annotations, as COCO and other tools lay them out."""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from detzoo.config import ConfigError
from detzoo.data.coco import first_images, is_federated
from detzoo.data.file_names import usable
from detzoo.data.files import locate
from detzoo.data.halves import Half, data_of, files_in, folder_called, folders_in, half_of, halves_named
from detzoo.data.images import existing
from detzoo.data.json_file import contents, decode
from detzoo.data.problems import DataError, log, report
from detzoo.recipes.settings import Data, Split

# COCO's own files are half a gigabyte: found by name, they need not be opened to be recognized
_PUBLISHED = ("2017", "2014")
_PUBLISHED_HALVES: tuple[Half, ...] = ("train", "val")
_MEASURED: tuple[Half, ...] = ("val", "test")  # the first of these is measured
_IMAGE_FOLDERS = ("images", "JPEGImages", "data", "imgs", "img", "pictures")
_OBJECT = re.compile(rb"\s*\{")
_MOST_FILES = 40  # more .json files in one folder are one for each image, in another format
_MOST_FOLDERS = 30
_TRIED = 20  # images that are looked for to find their folder


@dataclass(frozen=True, slots=True)
class _File:
    """An annotation file: its path below the data set's folder, and the half that its name or its folder speaks of."""

    path: str
    half: Half | None


def coco_layout(root: Path) -> Data | None:
    """Settings of a folder with COCO files in it, in a folder in it, or in ``annotations``; None: there is none.

    The halves are told by the words train, val, valid, test, ... in the name of a file or else of its folder. The
    images of a file are looked for around it.

    Raises:
        ConfigError: there are several files and no telling which half they are.
        DataError: a file is broken.
        FileNotFoundError: the images of a file are not found.
    """
    parts: dict[Half | None, list[Split]] = defaultdict(list)
    for year in _PUBLISHED:
        for half in _PUBLISHED_HALVES:
            file, images = f"annotations/instances_{half}{year}.json", f"{half}{year}"
            if (root / file).is_file():
                images = images if (root / images).is_dir() else _folder_of_images(root, root / file, half)
                maps = f"stuffthingmaps/{half}{year}"  # as its archive of class maps unpacks
                semantic = maps if (root / maps).is_dir() else ""
                parts[half].append(Split(annotations=file, images=images, semantic=semantic))
        if parts:
            _warn_of_other_years(root, year, parts)
            return data_of("coco", root, parts)
    chosen = _chosen(root)
    for half, file in chosen.items():
        parts[half].append(Split(annotations=file.path, images=_folder_of_images(root, root / file.path, half)))
    if "train" in chosen and chosen["train"].half is None:
        for split in parts.get("val") or parts.get("test") or ():
            _report_shared(root, split, parts["train"][0])
    measured = next((chosen[half] for half in (*_MEASURED, *chosen) if half in chosen), None)
    return data_of("coco", root, parts, "coco" if measured is None else _metric(root / measured.path))


def coco_file(path: Path) -> Data:
    """Settings of a COCO file alone, to validate on: its images are looked for around it.

    Raises:
        FileNotFoundError: they are not found.
        DataError: the file is broken.
    """
    half = half_of(path.stem) or half_of(path.parent.name)
    root = path.parent if _find(path.parent, path, half) is not None else path.parent.parent
    images = _folder_of_images(root, path, half)
    part = Split(annotations=path.relative_to(root).as_posix(), images=images)
    return Data(kind="coco", root=str(root), val=(part,), metric=_metric(path))


def _metric(path: Path) -> Literal["coco", "lvis"]:
    return "lvis" if is_federated(path) else "coco"


def top_level_keys(path: Path) -> set[str] | None:
    """The keys of the object in a JSON file; None: it holds no object but, say, a list.

    Raises:
        DataError: the file is empty, or not JSON.
    """
    data = contents(path, "JSON object")
    if not _OBJECT.match(data):
        return None
    return set(decode(path, data, dict[str, msgspec.Raw], "JSON object"))


def is_coco(path: Path) -> bool:
    """Whether a JSON file has the keys of a COCO file. Errors as `detzoo.data.coco.category_names`."""
    keys = top_level_keys(path)
    return keys is not None and "images" in keys and bool({"annotations", "categories"} & keys)


def _chosen(root: Path) -> dict[Half | None, _File]:
    """The annotation file of each half. One of no half beside others is for training, where nothing else is."""
    by_half: dict[Half | None, list[_File]] = defaultdict(list)
    broken: list[DataError] = []
    for file in _preferred(list(_json_files(root))):
        try:
            if is_coco(root / file.path):
                by_half[file.half].append(file)
        except DataError as error:  # one that matters, or another tool's: the others tell
            broken.append(error)
    if not by_half and broken:
        raise broken[0]
    if None in by_half and len(by_half) > 1:
        rest = by_half.pop(None)
        by_half.setdefault("train", rest)
    if "val" in by_half:
        by_half.pop("test", None)  # it is not read, and its images need not be there
    several = next((files for files in by_half.values() if len(files) > 1), None)
    if several:
        listed = ", ".join(file.path for file in several)
        raise ConfigError(
            f"{root} has several COCO files that could be the same half: {listed}. Name those that are meant in "
            'data.train and data.val, e.g. data.train=\'[{"annotations": "FILE", "images": "FOLDER"}]\', or put train '
            "and val into their names"
        )
    return {half: files[0] for half, files in by_half.items()}


def _report_shared(root: Path, val: Split, train: Split) -> None:
    """Warn about images of validation in a file that is for training only because it is called nothing else."""
    trained = {_joined(train.images, name) for name in first_images(root / train.annotations, sys.maxsize)}
    names = [_joined(val.images, name) for name in first_images(root / val.annotations, sys.maxsize)]
    shared = [name for name in names if name in trained]
    report(root / val.annotations, f"are in {train.annotations} too, which trains", shared, len(names), "images")


def _warn_of_other_years(root: Path, taken: str, parts: Collection[Half | None]) -> None:
    """COCO divided the same images anew in 2017, so a half of another year cannot stand in for one that is missing."""
    for half in _PUBLISHED_HALVES:
        for year in _PUBLISHED:
            file = f"annotations/instances_{half}{year}.json"
            if half not in parts and year != taken and (root / file).is_file():
                log.warning(
                    "%s: is not read: the halves of %s divide the same images otherwise; name it in data.%s if meant",
                    root / file,
                    taken,
                    half,
                )


def _json_files(root: Path) -> Iterator[_File]:
    for folder in ("", *folders_in(root)[:100]):
        names = files_in(root / folder, (".json",))
        if len(names) <= _MOST_FILES:
            for name in names:
                path = f"{folder}/{name}" if folder else name
                yield _File(path, half_of(name.rpartition(".")[0]) or half_of(folder))


def _preferred(files: list[_File]) -> list[_File]:
    """COCO keeps captions and keypoints beside ``instances_``: where there is that word, the others are not meant."""
    instances = [file for file in files if "instances" in os.path.basename(file.path).lower()]
    return instances or files


def _folder_of_images(root: Path, path: Path, half: Half | None) -> str:
    found = _find(root, path, half)
    if found is None:
        names = first_images(path)
        folders = [str(root / folder) for folder in _folders_to_try(root, path, half)]
        looked = ", ".join(folders[:8]) + (f" and {len(folders) - 8} more folders" if len(folders) > 8 else "")
        others = [folder for folder in folders_in(root) if _is_of_another(folder, half)]
        passed = f"; not looked for in {', '.join(others)}, by name another half's" if others else ""
        raise FileNotFoundError(f"{path}: its first image {names[0] if names else ''} is in none of {looked}{passed}")
    return found


def _find(root: Path, path: Path, half: Half | None) -> str | None:
    """The folder below ``root`` that holds the images of an annotation file: by their paths, or else their names."""
    names = first_images(path, _TRIED)
    folders = _folders_to_try(root, path, half)
    for known in (names, [name.rpartition("/")[2] for name in names]):
        for folder in folders:
            if existing(root / folder, [name for name in known if usable(name)]).any():
                return folder
    return next((folder for folder in folders if any(locate(root / folder, "", names))), None)


def _folders_to_try(root: Path, path: Path, half: Half | None) -> list[str]:
    """Folders below ``root`` where the images of an annotation file may be, likeliest first.

    Never those of another half, whose images may have the same names, unless the file itself is in there.
    """
    own = path.parent.relative_to(root).as_posix() if path.parent != root else ""
    stem = path.stem.removeprefix("instances_")
    tried = [own]
    for base in dict.fromkeys((own, "")):
        inside = folders_in(root / base)
        same = [name for name in inside if name.lower() == stem.lower()]
        words = [name for name in inside if half is not None and half_of(name) == half]
        above = folder_called(root / base, *_IMAGE_FOLDERS)
        for name in (*same, *words):
            tried += [_joined(base, name), *(_joined(base, name, inner) for inner in _IMAGE_FOLDERS)]
        if above is not None:
            deeper = folders_in(root / base / above)
            words = [name for name in deeper if half is not None and half_of(name) == half]
            same = [name for name in deeper if name.lower() == stem.lower()]
            tried += [_joined(base, above, name) for name in (*same, *words, "")]
        tried.append(base)
    for name in folders_in(root)[:_MOST_FOLDERS]:  # wherever else they may be
        tried += [name, *(f"{name}/{inner}" for inner in folders_in(root / name)[:_MOST_FOLDERS])]
    inside = f"{own}/"
    apart = [folder for folder in tried if not _is_of_another(f"{folder}/".removeprefix(inside), half)]
    return list(dict.fromkeys(apart))


def _is_of_another(folder: str, half: Half | None) -> bool:
    """Whether a name in the path of a folder speaks of other halves than this one only."""
    return half is not None and any(words and half not in words for words in map(halves_named, folder.split("/")))


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)
