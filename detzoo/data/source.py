"""What a user means by "my data": settings, a folder, a file, or the built-in shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detzoo.config import ConfigError, load, validate
from detzoo.data.layouts import data_in_folder
from detzoo.data.layouts_coco import coco_file, top_level_keys
from detzoo.data.layouts_yolo import yolo_file
from detzoo.data.own import is_own, own_data
from detzoo.data.problems import DataError
from detzoo.data.yolo_sets import YAML
from detzoo.recipes.settings import Data, Split
from detzoo.user_path import user_path

_SHAPES = re.compile(r"shapes(?::(\d+)/(\d+))?")


def as_data(data: Any) -> Data:
    """Settings for whatever names a data set. Masks are off, except for ``shapes``; classes are read from the files.

    Args:
        data: one of

            * `Data`, returned as it is, or a dict of its settings;
            * ``"shapes"``, generated images: 200 to train on and 50 to validate, or ``"shapes:400/80"``;
            * a folder with Pascal VOC, COCO or YOLO files, laid out in one of the ways that docs/data.md lists. Where
              it is not divided into halves, ``train`` and ``val`` are the same images;
            * a COCO ``.json`` file, to validate on;
            * a ``data.yaml`` of a YOLO data set, or Darknet's ``obj.data``;
            * a ``.json`` file of these settings, whose ``root`` is relative to the file;
            * an object of the program with ``classes``, a length and items (see docs/own-parts.md), both to train and
              to validate on, or a pair of two, ``(train, val)``.

    Raises:
        FileNotFoundError: there is no such file or folder, or a COCO file's images are not found.
        ConfigError: a setting is wrong, or a folder has none of the layouts; the message lists what is there and what
            was looked for.
        DataError: a file is not JSON.
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, Mapping):
        return validate(Data, dict(data))
    if is_own(data):
        return own_data(data)
    if isinstance(data, tuple | list) and len(data) == 2 and all(map(is_own, data)):
        return own_data(*data)
    if not isinstance(data, str | Path):
        raise ConfigError(
            f"data is a folder, a .json or .yaml file, 'shapes', or an object with classes, a length and items: not a "
            f"{type(data).__name__} that has {_lacking(data)}"
        )
    match = _SHAPES.fullmatch(str(data))
    if match:
        train, val = (int(number) for number in match.groups(default="0"))
        return shapes_data(train, val) if match[1] else shapes_data()
    path = user_path(data)
    if path.is_dir():
        return data_in_folder(path)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file or folder {path}; data is a folder, a .json or .yaml file, 'shapes' or 'shapes:200/50'"
        )
    if path.suffix.lower() in (*YAML, ".data"):
        return yolo_file(path)
    if path.suffix.lower() != ".json":
        raise ConfigError(f"{path}: data is a folder, a .json or .yaml file, 'shapes' or 'shapes:200/50'")
    return _from_json(path)


def _lacking(data: object) -> str:
    return " and ".join(f"no {word}" for word in ("classes", "__len__", "__getitem__") if not hasattr(data, word))


def shapes_data(train: int = 200, val: int = 50) -> Data:
    """Settings of the generated data set with this many images."""
    return Data(kind="shapes", train=(Split(count=train),), val=(Split(count=val),), masks=True)


def _from_json(path: Path) -> Data:
    keys = top_level_keys(path)
    if keys is None:
        raise DataError(f"{path} is not a JSON object: it should be a COCO file, or settings")
    if "images" in keys:
        return coco_file(path)
    if {"annotations", "categories"} & keys:
        raise DataError(f"{path} has COCO annotations but no `images`")
    settings = load(Data, path)
    return settings.replace(root=str(path.parent / settings.root))
