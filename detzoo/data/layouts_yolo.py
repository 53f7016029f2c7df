"""Folders and files of YOLO data sets, as Ultralytics, Darknet and other tools lay them out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from detzoo.config import ConfigError
from detzoo.data.files import PICTURES, tails
from detzoo.data.halves import Half, data_of, files_in, folder_called, folders_in, half_of, is_half
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
    lacking = []
    names = _resolved(bases, content.get("names", "")) if darknet else path
    if names is None:
        raise FileNotFoundError(f"{path}: there is no file {content.get('names', '')} with the names of the classes")
    found: list[tuple[Half, list[Path]]] = []
    for half, keys in _KEYS:
        entries = [entry for key in keys for entry in _entries(path, key, content.get(key))]
        places = [(entry, _resolved(bases, entry)) for entry in entries]
        lacking += [f"{half}: {entry}" for entry, place in places if place is None]
        there = [place for _, place in places if place is not None]
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


def _resolved(bases: Sequence[Path], entry: str) -> Path | None:
    """The file or folder that an entry means. Roboflow writes ``../train/images`` for ``train/images``, and paths of
    another machine are taken as far as they are there."""
    name = entry.strip().replace("\\", "/")
    plain = "/".join(part for part in name.split("/") if part not in ("", ".", ".."))
    for base in bases:
        for candidate in (base / name, *(base / tail for tail in tails(plain))):
            if name and candidate.exists():
                return candidate
    return None


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
    return _first(
        (half_of(name), f"{pictures}/{name}")
        for name in filter(is_half, folders_in(root / pictures))
        if name.lower() in there
    )


def _halves(root: Path) -> _Parts:
    """``train/images`` with ``train/labels``, or ``train`` with label files beside its pictures."""
    found = []
    for name in filter(is_half, folders_in(root)):
        pictures, labels = folder_called(root / name, "images"), folder_called(root / name, "labels")
        if pictures is not None and labels is not None:
            found.append((half_of(name), f"{name}/{pictures}"))
        elif _has_labels_beside(root / name):
            found.append((half_of(name), name))
    return _first(found)


def _whole(root: Path) -> _Parts:
    pictures, labels = folder_called(root, "images"), folder_called(root, "labels")
    if pictures is not None and labels is not None and files_in(root / labels, (".txt",)):
        return {None: [Split(images=pictures)]}
    for name in ("", *([pictures] if pictures else [])):
        if _has_labels_beside(root / name):
            return {None: [Split(images=name)]}
    return {}


def _first(found: Iterable[tuple[Half | None, str]]) -> _Parts:
    parts: _Parts = {}
    for half, images in found:
        parts.setdefault(half, [Split(images=images)])
    return parts


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
