"""Folders and files of YOLO data sets, as Ultralytics, Darknet and other tools lay them out."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

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
    halves_named,
    is_half,
    of_halves,
)
from detzoo.data.problems import DataError, log
from detzoo.data.yolo_sets import YAML, read_darknet, read_yaml
from detzoo.recipes.settings import Data, Split

_Parts = dict[Half | None, list[Split]]
_KEYS: tuple[tuple[Half, tuple[str, ...]], ...] = (
    ("train", ("train", "training")),
    ("val", ("val", "valid", "validation")),
    ("test", ("test",)),
)
_NAMES = ("classes.txt", "obj.names", "_darknet.labels", "predefined_classes.txt", "labels.txt", "names.txt")
_USUAL = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")


def yolo_file(path: Path) -> Data:
    """Settings of a ``data.yaml``, or of Darknet's ``obj.data``: which images, and what names their classes.

    The paths in it are taken from ``path`` in it, from the file's folder, or, of another machine's, as far as they are
    there.

    Raises:
        FileNotFoundError: the file, or everything that it names, is missing.
        DataError: it is not YAML, or names no images; the message names it.
    """
    darknet = path.suffix.lower() not in YAML
    content: dict[str, Any] = dict(read_darknet(path)) if darknet else read_yaml(path)
    bases = _bases(path, content.get("path"))
    parts: _Parts = {}
    names = _places(bases, [content.get("names", "")]).get(content.get("names", "")) if darknet else path
    if names is None:
        raise FileNotFoundError(f"{path}: there is no file {content.get('names', '')} with the names of the classes")
    named: list[tuple[Half, str]] = []
    for half, keys in _KEYS:
        for key in keys:
            named.extend((half, entry) for entry in _entries(path, key, content.get(key)))
    places = _places(bases, [entry for _, entry in named])
    lacking = [f"{half}: {entry}" for half, entry in named if entry not in places]
    found: list[tuple[Half, list[Path]]] = []
    for half, _ in _KEYS:
        there = [places[entry] for key, entry in named if key == half and entry in places]
        if there:
            found.append((half, there))
    if not found:
        what = f"nothing that it names is there: {', '.join(lacking)}" if lacking else "it names no images"
        error = FileNotFoundError if lacking else DataError
        raise error(f"{path}: {what}; it should have `train` and `val`, as in `train: images/train`")
    if lacking:
        log.warning("%s: left out, because they are not there: %s", path, ", ".join(lacking))
    root = next(
        (base for base in bases if all(_is_below(place, base) for _, there in found for place in there)), bases[-1]
    )
    for half, there in found:
        parts[half] = [Split(annotations=_below(names, root), images=_below(place, root)) for place in there]
    data = data_of("yolo", root, parts)
    assert data is not None  # something was found
    return data


def described_yolo_layout(root: Path) -> Data | None:
    """Settings of a folder with a ``data.yaml`` or ``obj.data``, or None.

    Raises:
        ConfigError: several such files.
        DataError, FileNotFoundError: as `yolo_file`.
    """
    found = _described(root)
    if len(found) > 1:
        raise ConfigError(
            f"{root} has several descriptions of data sets: {', '.join(found)}; say which, as in data=FILE"
        )
    return yolo_file(root / found[0]) if found else None


def yolo_layout(root: Path) -> Data | None:
    """Settings of a folder without a ``data.yaml`` in one of these layouts, or None:

    * ``images/train`` and ``labels/train``, or ``train/images`` and ``train/labels``;
    * ``train`` with label files beside the pictures;
    * ``images`` and ``labels``, or label files beside the pictures, without any halves.

    The names of the classes are in ``classes.txt`` or the like.

    Raises:
        ConfigError: nothing names the classes.
    """
    parts = _halves_inside(root) or _halves(root) or _whole(root)
    if not parts:
        return None
    folders = [root, *(root / part.images for splits in parts.values() for part in splits)]
    names = _names_file(root, folders)
    if names is None:
        lacking = next((name for name in _USUAL if name in files_in(root, YAML)), None)
        if lacking is not None:
            raise ConfigError(
                f"{root / lacking} has no `names`: write the names of the classes, as `names: [cat, dog]`"
            )
        raise ConfigError(
            f"{root} holds YOLO's labels, but nothing says what their classes are called: write the names into "
            f"{root / 'classes.txt'}, one a line, in the order of their numbers, or write a data.yaml with `names`"
        )
    named: _Parts = {
        half: [split.replace(annotations=_below(names, root)) for split in splits] for half, splits in parts.items()
    }
    return data_of("yolo", root, named)


def _described(root: Path) -> list[str]:
    """The files that describe the data set and its halves."""
    names = files_in(root, YAML)
    usual = next((name for name in _USUAL if name in names), None)
    if usual is None:
        found = [name for name in names if _describes(_settings_or_nothing(root / name))]
    else:  # where it has names only, the folders tell the halves
        found = [usual] if _describes(read_yaml(root / usual)) else []
    return found or [name for name in files_in(root, (".data",)) if "names" in _darknet_or_nothing(root / name)]


def _describes(content: dict[str, Any]) -> bool:
    """Whether these are the settings of a data set with its halves, and not those of something else."""
    return "names" in content and any(key in content for _, keys in _KEYS for key in keys)


def _darknet_or_nothing(path: Path) -> dict[str, str]:
    try:
        return read_darknet(path)
    except DataError:
        return {}


def _bases(path: Path, given: Any) -> list[Path]:
    """The folders that paths in a description may be relative to."""
    home = path.parent
    text = given.strip() if isinstance(given, str) and given.strip().lower() not in ("null", "~") else ""
    if not text:
        return [home]
    named = home / text.replace("\\", "/")
    return [named, home] if named.is_dir() and named.resolve() != home.resolve() else [home]


def _entries(path: Path, key: str, value: Any) -> list[str]:
    if value is None or value in ("", "null", "~"):
        return []
    entries = value if isinstance(value, list) else [value]
    wrong = next((entry for entry in entries if not isinstance(entry, str) or not entry.strip()), None)
    if wrong is not None:
        raise DataError(
            f"{path}: {key} should be a folder, a list file, or a list of those, but is {str(value)[:60]!r}"
        )
    return [entry.strip() for entry in entries]


def _places(bases: Sequence[Path], entries: Sequence[str]) -> dict[str, Path]:
    """The file or folder of each entry that is there. One that is found only without some of its folders counts where
    no other entry means the same."""
    parts = {entry: _parts_of(entry) for entry in entries}
    foreign = [parts[entry] for entry in entries if _is_absolute(entry)]
    same = itertools.takewhile(lambda names: len(set(names)) == 1, zip(*foreign, strict=False))
    shared = len(list(same)) if len(foreign) > 1 else 0
    found = {entry: _resolved(bases, entry, shared if _is_absolute(entry) else 0) for entry in parts}
    there = {entry: place for entry, place in found.items() if place is not None}
    meant = {(place.resolve(), tuple(parts[entry])) for entry, (place, _) in there.items()}
    claims = Counter(place for place, _ in meant)
    return {entry: place for entry, (place, exact) in there.items() if exact or claims[place.resolve()] == 1}


def _resolved(bases: Sequence[Path], entry: str, shared: int) -> tuple[Path, bool] | None:
    """The file or folder that an entry means, and whether it is where the entry says. Roboflow writes
    ``../train/images`` for ``train/images``; paths of another machine are taken as far as they are there, and so are
    those of lists.

    Folders that tell what is meant are kept: ``valid/images`` is not ``images``. The first ``shared`` do not tell.
    """
    name = entry.strip().replace("\\", "/")
    parts = _parts_of(entry)
    for base in bases:
        for place in (base / name, base.joinpath(*parts)):
            if parts and place.exists():
                return place, True
    for base, start in itertools.product(bases, range(1, len(parts))):
        lost, place = parts[:start], base.joinpath(*parts[start:])
        tells = any(map(halves_named, lost[shared:])) and not any(map(halves_named, parts[start:]))
        if tells or not place.exists():
            continue
        if _is_absolute(entry) or place.is_file() or lost[-1] == base.resolve().name:
            return place, False
    return None


def _parts_of(entry: str) -> list[str]:
    parts = [part for part in entry.strip().replace("\\", "/").split("/") if part not in ("", ".")]
    return list(itertools.dropwhile(lambda part: part == "..", parts))


def _is_absolute(entry: str) -> bool:
    """Whether it is a path from a root or a drive, of whatever system."""
    return PurePosixPath(entry.strip()).is_absolute() or bool(PureWindowsPath(entry.strip()).anchor)


def _is_below(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _below(path: Path, root: Path) -> str:
    """A path from ``root``, or an absolute one where it is elsewhere."""
    full, base = path.absolute().resolve(), root.absolute().resolve()
    relative = full.relative_to(base).as_posix() if full.is_relative_to(base) else full.as_posix()
    return "" if relative == "." else relative


def _halves_inside(root: Path) -> _Parts:
    """``images/train`` with ``labels/train``."""
    pictures, labels = folder_called(root, "images"), folder_called(root, "labels")
    if pictures is None or labels is None:
        return {}
    there = {name.lower() for name in folders_in(root / labels)}
    inside = folders_in(root / pictures)
    parts = of_halves({name: Split(images=f"{pictures}/{name}") for name in inside if name.lower() in there})
    bare = [name for name in inside if is_half(name) and name.lower() not in there]
    if parts and "train" not in parts and None not in parts and files_in(root / pictures, PICTURES):
        log.warning("%s: left out, because only those in its folders count: the pictures beside them", root / pictures)
    _say_bare(root, parts, {name: f"{pictures}/{name} (no {labels}/{name})" for name in bare})
    return parts


def _halves(root: Path) -> _Parts:
    """``train/images`` with ``train/labels``, or ``train`` with label files beside its pictures."""
    found, bare = [], {}
    for name in filter(is_half, folders_in(root)):
        pictures, labels = folder_called(root / name, "images"), folder_called(root / name, "labels")
        if pictures is not None and labels is not None:
            found.append((name, Split(images=f"{name}/{pictures}")))
        elif _has_labels_beside(root / name):
            found.append((name, Split(images=name)))
        elif pictures is not None or files_in(root / name, PICTURES):
            bare[name] = f"{name} (no labels)"
    parts = by_half(found)
    _say_bare(root, parts, bare)
    return parts


def _say_bare(root: Path, parts: _Parts, bare: Mapping[str, str]) -> None:
    """Name folders of pictures without labels, beside parts that have them; a test set may lack them."""
    lost = [text for name, text in bare.items() if not (half_of(name) == "test" and "val" in parts)]
    if parts and lost:
        log.warning("%s: left out, because there are no labels for it: %s", root, ", ".join(lost))


def _whole(root: Path) -> _Parts:
    pictures, labels = folder_called(root, "images"), folder_called(root, "labels")
    if pictures is not None and labels is not None and files_in(root / labels, (".txt",)):
        return {None: [Split(images=pictures)]}
    for name in ("", *([pictures] if pictures else [])):
        if _has_labels_beside(root / name):
            return {None: [Split(images=name)]}
    return {}


def _has_labels_beside(folder: Path) -> bool:
    """Whether text files are named as the pictures are, and something in the folder or above names classes."""
    texts = {name[:-4].lower() for name in files_in(folder, (".txt",))} - {name.rpartition(".")[0] for name in _NAMES}
    return any(name.rpartition(".")[0].lower() in texts for name in files_in(folder, PICTURES))


def _names_file(root: Path, folders: Sequence[Path]) -> Path | None:
    """The first file that names classes in some folders, or in ``labels`` of those or beside them."""
    places = [
        place
        for folder in folders
        for place in (folder, folder / "labels", folder.parent / "labels", folder.parent)
        if place.is_relative_to(root)
    ]
    for place in dict.fromkeys(places):
        for name in files_in(place, YAML):
            if "names" in _settings_or_nothing(place / name):
                return place / name
        known = {name.lower(): name for name in files_in(place, (".txt", ".names", ".labels"))}
        usual = next((known[name] for name in _NAMES if name in known), None)
        other = usual or next((known[name] for name in known if name.endswith(".names")), None)
        if other:
            return place / other
    return None


def _settings_or_nothing(path: Path) -> dict[str, Any]:
    try:
        return read_yaml(path)
    except DataError:
        return {}
