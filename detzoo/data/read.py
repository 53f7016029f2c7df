"""One split of a data set, whatever its format, with the classes that were asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from detzoo.config import ConfigError
from detzoo.data import coco, shapes, voc, wider_face, yolo
from detzoo.data.annotations import Annotations, concatenate, relabel
from detzoo.data.held_out import held_out, take_images
from detzoo.data.own import own_half
from detzoo.data.problems import DataError, log
from detzoo.recipes.settings import Data, Split
from detzoo.suggest import unknown

SplitName = Literal["train", "val"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
BOXES_ONLY = {"voc": "Pascal VOC", "wider_face": "WIDER Face"}  # kinds of data without masks, as users call them


def check_split(split: str) -> None:
    """Raises ConfigError: there is no such half; the message lists those there are."""
    if split not in SPLITS:
        raise ConfigError(f"split: {unknown(str(split), SPLITS, 'split')}; there are {', '.join(SPLITS)}")


def read_split(data: Data, split: SplitName, strict: bool = True) -> Annotations:
    """Read all parts of a split.

    The labels count along ``data.classes``, or else along the names in the training annotations, so that both splits
    agree; objects of other classes are left out.

    Args:
        data: the settings.
        split: which half.
        strict: refuse a name in ``data.classes`` that no annotation file of ``data`` has; else only warn, as when a
            detector of 80 classes is evaluated on annotations of 3.

    Raises:
        ConfigError: the split has no parts, or a class is unknown (the message suggests names).
        FileNotFoundError: a file or folder is missing.
        DataError: a file is broken.
    """
    parts = _parts(data, split)
    read = [_read(data, part, split, first) for part, first in zip(parts, _first_numbers(parts), strict=True)]
    here = _union([part.classes for part in read])
    if data.classes is not None:
        classes = list(data.classes)
        _check_classes(data, split, classes, here, strict)
    elif split == "train" or not data.train or data.val_fraction:
        classes = here
    else:
        classes = class_names(data, "train")
        known = set(classes)
        extra = [name for name in here if name not in known]
        if extra:
            log.warning("val: %d classes that training does not have are left out: %s", len(extra), ", ".join(extra))
    if not classes:
        raise DataError(f"{split} annotations in {data.root} name no classes")
    joined = concatenate([relabel(part, classes) for part in read])
    if data.val_fraction:
        joined = take_images(joined, held_out(joined, data.val_fraction) == (split == "val"))
    if split == "val" and len(read) > 1:
        _refuse_repeated_ids(joined)
    return joined


def class_names(data: Data, split: SplitName) -> list[str]:
    """The class names in a split's annotation files, in label order. Errors as `read_split`."""
    return _union([_names(data, part, split) for part in _parts(data, split)])


def _parts(data: Data, split: SplitName) -> tuple[Split, ...]:
    check_split(split)
    parts = data.parts(split)
    if not parts:
        if split == "train":
            hint = "; val=0.2 (--val 0.2) divides the images of data.val" if data.val else ""
            raise ConfigError(f"data.train is empty: there is nothing to train on{hint}")
        hint = "; split='train' (--split train) measures on the training images" if data.train else ""
        raise ConfigError(f"data.val is empty: there is nothing to evaluate on{hint}")
    return parts


def _first_numbers(parts: Sequence[Split]) -> list[int]:
    """The number of each part's first generated picture, so that several parts do not repeat each other."""
    return [sum(part.count for part in parts[:index]) for index in range(len(parts))]


def _read(data: Data, part: Split, split: SplitName, first: int) -> Annotations:
    path = Path(data.root) / part.annotations
    if data.kind == "shapes":
        if not part.count:
            raise ConfigError(f"data.{split}: a shapes split needs a count of at least 1")
        return shapes.read_shapes("train" if data.val_fraction else split, part.count, first)
    if data.kind == "own":
        found = own_half(data, split).annotations(data.workers)
        if data.masks and len(found.boxes) and not found.mask_kind.any():
            raise ConfigError(
                f"no item of {part.annotations} has masks: give them masks, bool (M, H, W), or take a method without "
                "masks, such as a faster_rcnn recipe"
            )
        return found
    if data.kind == "coco":
        return coco.read_coco(path, data.root, part.images, data.masks, data.skip_broken)
    if data.kind == "yolo":
        if not part.annotations:
            raise ConfigError(f"data.{split}: the annotations of a yolo split are the file that names the classes")
        return yolo.read_yolo(path, data.root, part.images, data.masks, data.skip_broken)
    if data.masks:
        raise ConfigError(
            f"{BOXES_ONLY[data.kind]} annotations have boxes only: take a method without masks, such as a faster_rcnn "
            "recipe, or convert them to COCO; data.masks=false reads the boxes"
        )
    if data.kind == "wider_face":
        return wider_face.read_wider_face(path, data.root, part.images, data.skip_broken)
    return voc.read_voc(path, data.root, part.images, data.skip_broken)


def _names(data: Data, part: Split, split: SplitName) -> list[str]:
    path = Path(data.root) / part.annotations
    if data.kind == "shapes":
        return list(shapes.SHAPES)
    if data.kind == "own":
        return list(own_half(data, split).classes)
    if data.kind == "yolo":
        return yolo.class_names(path)
    if data.kind == "wider_face":
        return list(wider_face.CLASSES)
    return coco.category_names(path) if data.kind == "coco" else voc.class_names(path, data.root, part.images)


def _union(lists: Sequence[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(name for part in lists for name in part))


def _check_classes(data: Data, split: SplitName, classes: Sequence[str], here: Sequence[str], strict: bool) -> None:
    twice = sorted(name for name, count in Counter(classes).items() if count > 1)
    if twice:
        more = f" and {len(twice) - 20} more" if len(twice) > 20 else ""
        raise ConfigError(f"data.classes names {', '.join(twice[:20])}{more} more than once")
    there = set(here)
    missing = [name for name in classes if name not in there]
    if not missing:
        return
    other: SplitName = "val" if split == "train" else "train"
    known = list(here)
    if strict and data.parts(other):
        known = _union([here, class_names(data, other)])
    everywhere = set(known)
    for name in missing:
        if strict and name not in everywhere:
            listed = f"; the annotations have {', '.join(known[:20])}{', ...' if len(known) > 20 else ''}"
            raise ConfigError(f"data.classes: {unknown(name, known, 'class of the annotations')}{listed}")
    log.warning("%s: no annotation names %s", split, ", ".join(missing))


def _refuse_repeated_ids(annotations: Annotations) -> None:
    ids = [annotations.image_id(image) for image in range(len(annotations))]
    if len(set(ids)) < len(ids):
        seen: set[int | str] = set()
        twice = next(number for number in ids if number in seen or seen.add(number))
        raise DataError(f"the val parts share image ids, e.g. {twice}: results could not be told apart; join the files")
