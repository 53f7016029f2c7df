"""Which data set a folder holds, found by what is in it: the layouts of docs/data.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from detzoo.config import ConfigError
from detzoo.data.layouts_coco import coco_layout
from detzoo.data.layouts_voc import voc_layout
from detzoo.data.layouts_wider_face import wider_face_layout
from detzoo.data.layouts_yolo import described_yolo_layout, yolo_layout
from detzoo.recipes.settings import Data

_LAYOUTS: tuple[Callable[[Path], Data | None], ...] = (
    described_yolo_layout,
    wider_face_layout,
    voc_layout,
    coco_layout,
    yolo_layout,
)
_LOOKED_FOR = (
    "Pascal VOC: Annotations/ beside JPEGImages/ or images/, with ImageSets/Main/train.txt and val.txt or without "
    "lists, or XML files beside the pictures",
    "COCO: annotations/instances_train2017.json and train2017/, train.json and val.json with images/, "
    "train/_annotations.coco.json, or one .json file",
    "WIDER Face: wider_face_split/wider_face_train_bbx_gt.txt and WIDER_train/images/, and so for val",
    "YOLO: data.yaml, or images/ beside labels/ with the names of the classes in classes.txt",
)
_MOST_LISTED = 20


def data_in_folder(root: Path) -> Data:
    """Settings of the data set in a folder. A folder that holds nothing but one other folder stands for that one.

    Raises:
        ConfigError: no layout that is known, or files whose halves cannot be told apart; the message lists what there
            is and what was looked for.
        DataError: an annotation file is broken.
    """
    inner = root
    for _ in range(4):
        for layout in _LAYOUTS:
            found = layout(inner)
            if found is not None:
                return found
        only = _only_folder(inner)
        if only is None:
            break
        inner = only
    raise ConfigError(
        f"{root} has no layout that is known. It holds {_listed(inner, root)}. Looked for {'; '.join(_LOOKED_FOR)}. "
        "For any other layout name the files in data.train and data.val"
    )


def _only_folder(root: Path) -> Path | None:
    """The one folder in a folder, as archives leave it; files beside it, such as a README, do not matter."""
    names = [name for name in os.listdir(root) if not name.startswith((".", "__MACOSX"))]
    folders = [name for name in names if (root / name).is_dir()]
    return root / folders[0] if len(folders) == 1 else None


def _listed(inner: Path, root: Path) -> str:
    """What a folder holds, one level deep: folders first, with how many files of which kind they hold."""
    entries = sorted(os.listdir(inner), key=lambda name: (not (inner / name).is_dir(), name))
    words = [_described(inner, name) for name in entries[:_MOST_LISTED]]
    if len(entries) > _MOST_LISTED:
        words.append(f"{len(entries) - _MOST_LISTED} more")
    inside = f"{inner.relative_to(root).as_posix()}/ with " if inner != root else ""
    return inside + (", ".join(words) or "nothing")


def _described(folder: Path, name: str) -> str:
    if not (folder / name).is_dir():
        return name
    try:
        inside = os.listdir(folder / name)
    except OSError:
        return f"{name}/ (not readable)"
    return f"{name}/ ({_kinds(inside) or 'empty'})"


def _kinds(names: Sequence[str]) -> str:
    """``120 .jpg, 1 .json``, most frequent first."""
    counts: dict[str, int] = {}
    for name in names:
        kind = os.path.splitext(name)[1] or name
        counts[kind] = counts.get(kind, 0) + 1
    frequent = sorted(counts, key=lambda kind: (-counts[kind], kind))
    more = ", ..." if len(frequent) > 3 else ""
    return ", ".join(f"{counts[kind]} {kind}" if kind.startswith(".") else kind for kind in frequent[:3]) + more
