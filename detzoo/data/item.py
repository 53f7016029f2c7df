"""What a program gives of one picture, looked at before it is used: pixels and a dict of its objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hotcoco.mask as rle_codec
import numpy as np
from numpy.typing import NDArray

from detzoo.data.annotations import NO_MASK, RLE, Columns
from detzoo.data.problems import DataError
from detzoo.suggest import unknown

WORDS = ("boxes", "labels", "masks", "ignore", "crowd", "area", "id")
_ALSO = {"iscrowd": "crowd", "image_id": "id", "areas": "area"}  # as torchvision's and COCO's targets call them


@dataclass(frozen=True, slots=True)
class Item:
    """One picture and its M objects.

    Attributes:
        pixels: uint8 RGB ``(H, W, 3)``.
        boxes: float32 ``(M, 4)`` xyxy pixels, within the picture.
        labels: int32 ``(M,)``.
        ignore, crowd: bool ``(M,)``, as in `detzoo.data.annotations.Annotations`.
        areas: float32 ``(M,)`` pixels: as given, else of the mask, else of the box.
        masks: bool ``(M, H, W)``, or None.
        id: of the picture, or None.
    """

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int32]
    ignore: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float32]
    masks: NDArray[np.bool_] | None
    id: int | str | None

    def target(self) -> dict[str, Any]:
        """The dict that it was made of, without the id."""
        words = {"boxes": self.boxes, "labels": self.labels, "ignore": self.ignore, "crowd": self.crowd}
        return {**words, "area": self.areas, **({} if self.masks is None else {"masks": self.masks})}

    def described(self) -> list[Any]:
        """All but pixels, masks as run lengths: what `columns_of` takes."""
        runs: list[bytes] | None = None
        if self.masks is not None:
            runs = [rle_codec.encode(np.asfortranarray(mask).view(np.uint8))["counts"] for mask in self.masks]
        size = self.pixels.shape[:2]
        return [self.id, size, self.boxes, self.labels, self.ignore, self.crowd, self.areas, runs]


def as_item(picture: Any, target: Any, classes: Sequence[str] | int, where: str, *, cut: bool = False) -> Item:
    """A picture and its objects as a program gives them.

    Args:
        picture: uint8 RGB array ``(H, W, 3)``.
        target: ``boxes`` (M, 4) xyxy pixels, ``labels`` (M,) 0-based, and where they exist ``masks`` (M, H, W) bool,
            ``ignore`` and ``crowd`` (M,) bool, ``area`` (M,), ``id``.
        classes: names of the labels, or their number.
        where: which item this is, for messages.
        cut: boxes that reach out of the picture are cut off, and objects of which nothing is left are left out.

    Raises:
        DataError: something does not fit; the message names the item and the mend.
    """
    pixels = np.asarray(picture)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        mend = "; picture.transpose(1, 2, 0) puts channels last" if pixels.ndim == 3 and pixels.shape[0] == 3 else ""
        raise DataError(f"{where}: the picture has the shape {pixels.shape}, not (H, W, 3){mend}")
    if pixels.dtype != np.uint8:
        raise DataError(f"{where}: the picture is {pixels.dtype}, not uint8 from 0 to 255 in RGB order; convert it")
    if not isinstance(target, Mapping):
        raise DataError(f"{where}: a {type(target).__name__} where a dict of boxes, labels, ... belongs")
    values = {_ALSO.get(word, word): value for word, value in target.items()}
    for word in values:
        if word not in WORDS:
            raise DataError(f"{where}: {unknown(str(word), WORDS, 'part of an item')}; it has {', '.join(WORDS)}")
    for word in ("boxes", "labels"):
        if word not in values:
            raise DataError(f"{where} has no {word}")
    boxes = _boxes(values["boxes"], pixels.shape[:2], where, cut)
    count = len(boxes)
    labels = _each(values["labels"], count, "iu", "whole numbers", "labels", where).astype(np.int64)
    number = classes if isinstance(classes, int) else len(classes)
    if count and not 0 <= labels.min() <= labels.max() < number:
        raise DataError(
            f"{where}: labels go from {labels.min()} to {labels.max()}; of {number} classes they are 0 to {number - 1}"
        )
    masks = None if values.get("masks") is None else _masks(values["masks"], (count, *pixels.shape[:2]), where)
    flags = [
        _each(values[word], count, "biu", "True or False", word, where).astype(bool) if word in values
        else np.zeros(count, dtype=bool)
        for word in ("ignore", "crowd")
    ]  # fmt: skip
    if "area" in values:
        areas = _each(values["area"], count, "fiu", "numbers", "area", where)
    elif masks is not None:
        areas = masks.sum((1, 2))
    else:
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    kept = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return Item(
        pixels=pixels,
        boxes=boxes[kept],
        labels=labels[kept].astype(np.int32),
        ignore=flags[0][kept],
        crowd=flags[1][kept],
        areas=areas[kept].astype(np.float32),
        masks=None if masks is None else masks[kept],
        id=_id(values.get("id"), where),
    )


def _boxes(given: Any, size: tuple[int, ...], where: str, cut: bool) -> NDArray[np.float32]:
    boxes = np.asarray(given)
    if boxes.size == 0:
        return np.zeros((0, 4), dtype=np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "fiu":
        raise DataError(f"{where}: boxes are {boxes.dtype} of the shape {boxes.shape}, not numbers of the shape (M, 4)")
    boxes = boxes.astype(np.float32)
    height, width = size
    inside = boxes.clip(0, np.array([width, height] * 2, dtype=np.float32))
    good = np.isfinite(boxes).all(1) & ((inside[:, 2:] > inside[:, :2]).all(1) | cut)
    if not good.all():
        first = int(np.argmin(good))
        shown = ", ".join(f"{value:g}" for value in boxes[first])
        raise DataError(
            f"{where}: box {first}, ({shown}), has no area within the picture of {height} x {width} pixels (height x "
            "width): boxes are left, top, right, bottom in pixels"
        )
    if not cut and min(size) > 2 and boxes.max() <= 1:
        raise DataError(f"{where}: no box goes beyond 1; boxes are in pixels: multiply them by width and height")
    return inside


def _each(given: Any, count: int, kinds: str, what: str, word: str, where: str) -> NDArray[Any]:
    """One value per object."""
    values = np.asarray(given)
    if not count and not values.size:
        return np.zeros(0, dtype=np.int64)
    if values.shape != (count,) or values.dtype.kind not in kinds:
        raise DataError(
            f"{where}: {word} are {values.dtype} of the shape {values.shape}, not {what} for each of {count} boxes, "
            f"({count},)"
        )
    return values


def _masks(given: Any, shape: tuple[int, ...], where: str) -> NDArray[np.bool_]:
    masks = np.asarray(given)
    if not shape[0] and not masks.size:
        return np.zeros(shape, dtype=bool)
    if masks.dtype != bool or masks.shape != shape:
        raise DataError(f"{where}: masks are {masks.dtype} of the shape {masks.shape}, not bool of the shape {shape}")
    return masks


def _id(given: Any, where: str) -> int | str | None:
    if given is None or isinstance(given, str):
        return given
    value = np.asarray(given)
    if value.size != 1 or value.dtype.kind not in "iu":
        raise DataError(f"{where}: its id is a text or a whole number, not {given!r:.60}")
    return int(value.reshape(-1)[0])


def columns_of(
    items: Sequence[Sequence[Any]],
) -> tuple[Columns, NDArray[np.int32], list[int | str | None]]:
    """Objects of items from `Item.described` as columns, the sizes ``[I, 2]`` of their pictures, and their ids."""
    ids, sizes, boxes, labels, ignore, crowd, areas, runs = (list(column) for column in zip(*items, strict=True))
    counts = [len(one) for one in boxes]
    encoded = [[b""] * count if some is None else some for some, count in zip(runs, counts, strict=True)]
    kinds = np.array([NO_MASK if some is None else RLE for some in runs], dtype=np.uint8)
    flat = [mask for some in encoded for mask in some]
    columns = Columns(
        image=np.repeat(np.arange(len(ids)), counts),
        boxes=np.concatenate(boxes),
        labels=np.concatenate(labels),
        areas=np.concatenate(areas),
        crowd=np.concatenate(crowd),
        ignore=np.concatenate(ignore),
        ids=np.arange(1, sum(counts) + 1),
        mask_kind=np.repeat(kinds, counts),
        mask_lengths=np.array([len(mask) for mask in flat], dtype=np.int64),
        masks=np.frombuffer(b"".join(flat), dtype=np.uint8),
    )
    return columns, np.array(sizes, dtype=np.int32).reshape(-1, 2), ids
