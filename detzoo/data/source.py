"""What a user means by "my data": settings, a folder, a file, or the built-in shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from detzoo.config import ConfigError, load, validate
from detzoo.data.coco import first_images
from detzoo.data.problems import DataError
from detzoo.recipes.settings import Data, Split

# annotation file and image folder of training, then of validation; the first layout with either file is taken
_COCO_LAYOUTS = (
    ("annotations/instances_train2017.json", "train2017", "annotations/instances_val2017.json", "val2017"),
    ("annotations/instances_train2014.json", "train2014", "annotations/instances_val2014.json", "val2014"),
    ("train.json", "images", "val.json", "images"),
    ("train/_annotations.coco.json", "train", "valid/_annotations.coco.json", "valid"),
)
_VOC_TRAIN = "ImageSets/Main/train.txt"
_VOC_VALS = ("ImageSets/Main/val.txt", "ImageSets/Main/test.txt")
_SHAPES = re.compile(r"shapes(?::(\d+)/(\d+))?")


def as_data(data: Data | Mapping[str, Any] | str | Path) -> Data:
    """Settings for whatever names a data set. Masks are off, except for ``shapes``; classes are read from the files.

    Args:
        data: one of

            * `Data`, returned as it is, or a dict of its settings;
            * ``"shapes"``, generated images: 200 to train on and 50 to validate, or ``"shapes:400/80"``;
            * a folder in Pascal VOC layout (``Annotations``, ``ImageSets/Main``, ``JPEGImages``) or in COCO layout
              (``annotations/instances_train2017.json`` with ``train2017``, or ``train.json`` and ``val.json`` with
              ``images``, or ``train/_annotations.coco.json`` with its images beside it);
            * a COCO ``.json`` file, to validate on;
            * a ``.json`` file of these settings, whose ``root`` is relative to the file.

    Raises:
        FileNotFoundError: there is no such file or folder, or a COCO file's images are not found.
        ConfigError: a setting is wrong, or a folder has none of the layouts; the message lists what was looked for.
        DataError: a file is not JSON.
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, Mapping):
        return validate(Data, dict(data))
    match = _SHAPES.fullmatch(str(data))
    if match:
        train, val = (int(number) for number in match.groups(default="0"))
        return shapes_data(train, val) if match[1] else shapes_data()
    path = Path(data).expanduser()
    if path.is_dir():
        return _from_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}; data is a folder, a .json file, or 'shapes'")
    if path.suffix.lower() != ".json":
        raise ConfigError(f"{path}: data is a folder, a .json file, or 'shapes'")
    return _from_json(path)


def shapes_data(train: int = 200, val: int = 50) -> Data:
    """Settings of the generated data set with this many images."""
    return Data(kind="shapes", train=(Split(count=train),), val=(Split(count=val),), masks=True)


def _from_folder(root: Path) -> Data:
    if (root / "Annotations").is_dir() and (root / "ImageSets/Main").is_dir():
        train = [Split(annotations=_VOC_TRAIN)] if (root / _VOC_TRAIN).is_file() else []
        val = [Split(annotations=name) for name in _VOC_VALS if (root / name).is_file()][:1]
        if train or val:
            return Data(kind="voc", root=str(root), train=tuple(train), val=tuple(val), metric="voc")
    for train_file, train_images, val_file, val_images in _COCO_LAYOUTS:
        train = _part(root, train_file, train_images)
        val = _part(root, val_file, val_images)
        if train or val:
            return Data(kind="coco", root=str(root), train=train, val=val)
    looked = [name for layout in _COCO_LAYOUTS for name in layout[::2]]
    raise ConfigError(
        f"{root} has no layout that is known. Looked for Pascal VOC: Annotations/ with {_VOC_TRAIN}, "
        f"{' or '.join(_VOC_VALS)}; and COCO: {', '.join(looked)}. "
        "For any other layout name the files in data.train and data.val"
    )


def _part(root: Path, file: str, images: str) -> tuple[Split, ...]:
    if not (root / file).is_file():
        return ()
    return (Split(annotations=file, images=images if (root / images).is_dir() else ""),)


def _from_json(path: Path) -> Data:
    try:
        keys = msgspec.json.decode(path.read_bytes(), type=dict[str, msgspec.Raw]).keys()
    except msgspec.DecodeError as error:
        what = "is empty (0 bytes)" if not path.stat().st_size else f"is not a JSON object: {error}"
        raise DataError(f"{path} {what}") from None
    if "images" in keys:
        return _from_coco_file(path)
    if {"annotations", "categories"} & keys:
        raise DataError(f"{path} has COCO annotations but no `images`")
    settings = load(Data, path)
    return settings.replace(root=str(path.parent / settings.root))


def _from_coco_file(path: Path) -> Data:
    """A COCO file alone: its images are looked for in the usual places around it."""
    split = path.stem.removeprefix("instances_")
    folder, above = path.parent, path.parent.parent
    candidates = [folder, folder / "images", folder / split, above / split, above / "images", above]
    names = first_images(path)
    for candidate in candidates:
        if names and (candidate / names[0]).is_file():
            root = folder if candidate.is_relative_to(folder) else above
            images = candidate.relative_to(root).as_posix()
            part = Split(annotations=path.relative_to(root).as_posix(), images="" if images == "." else images)
            return Data(kind="coco", root=str(root), val=(part,))
    looked = ", ".join(str(candidate) for candidate in candidates)
    raise FileNotFoundError(f"{path}: its first image {names[0] if names else ''} is in none of {looked}")
