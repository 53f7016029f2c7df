"""The objects of a COCO file as columns; an odd one costs only itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detzoo.data.annotations import NO_MASK, POLYGONS, RLE
from detzoo.data.coco_ids import Index, identity
from detzoo.data.coco_masks import Outline, Plain, Size, area, box, outline, with_pixels
from detzoo.data.json_file import lenient, number, numbers_in
from detzoo.data.masks import encode_polygons
from detzoo.data.problems import DataError, report

_CHUNK = 4096
LARGEST_AREA = 1e10  # pixels, the end of COCO's last range of sizes


class _Object(msgspec.Struct, gc=False):
    image_id: int | float | str
    category_id: int | float | str
    id: int | float | str | None = None
    bbox: list[float | None] | None = None
    area: float | None = None
    iscrowd: int | bool | None = None
    ignore: int | bool | None = None


class _Masked(_Object, gc=False):
    segmentation: Plain = None


@dataclass(slots=True)
class _Found:
    """One object on its way into the columns."""

    number: int  # what to call it in a message
    image: int
    label: int
    item: _Object
    text: msgspec.Raw
    box: Sequence[float]
    shape: Any = None
    mask: Outline | None = None


@dataclass(slots=True)
class _Counts:
    """The numbers of objects with each kind of fault, for one warning each."""

    odd: list[str] = field(default_factory=list)
    no_image: list[int] = field(default_factory=list)
    no_category: list[int] = field(default_factory=list)
    boxed: list[int] = field(default_factory=list)


def read_objects(
    path: Path,
    raw: Sequence[msgspec.Raw],
    images: Index,
    row_of: NDArray[np.int64],
    categories: Index,
    label_of: NDArray[np.int64],
    sizes: NDArray[np.int32],
    masks: bool,
) -> tuple[dict[str, Any], NDArray[np.bool_]]:
    """The objects of known images and categories as the columns of `detzoo.data.annotations.Columns`.

    A box that is missing, broken or without area is taken from the object's mask, and so is an area that is left out.
    One counted warning per kind of fault.

    Args:
        path: the file, for messages.
        raw: the annotations, not decoded.
        images, categories: of the whole file.
        row_of: int64, row of each of ``images`` among those used, -1 for the others.
        label_of: int64, label of each of ``categories``.
        sizes: int32 ``[I, 2]`` height and width of the used images.
        masks: read the masks too.

    Returns:
        The columns, boxes float64 as the file has them and areas NaN where it has none; and whether each object gives
        a mask that is not just empty, usable or not.

    Raises:
        DataError: there are annotations but none can be understood.
    """
    reader = _Reader(masks)
    parts: dict[str, list[Any]] = {name: [] for name in _TYPES}
    counts = _Counts()
    rows, labels, shapes = row_of.tolist(), label_of.tolist(), [(height, width) for height, width in sizes.tolist()]
    for start in range(0, len(raw), _CHUNK):
        objects = []
        for place, text in enumerate(raw[start : start + _CHUNK], start):
            item = reader.read(text)
            if isinstance(item, str):
                counts.odd.append(f"number {place} ({item})")
                continue
            name = item.id if isinstance(item.id, int) and abs(item.id) < 2**63 else place + 1
            image, category = images.find(item.image_id), categories.find(item.category_id)
            if image is None:
                counts.no_image.append(name)
            elif rows[image] < 0:
                continue  # its picture is missing, which has been said
            elif category is None:
                counts.no_category.append(name)
            else:
                objects.append(_Found(name, rows[image], labels[category], item, text, _box(item.bbox)))
        _add_masks(objects, shapes, reader, counts)
        _append(parts, objects, masks)
    if counts.odd and len(counts.odd) == len(raw):
        raise DataError(f"{path}: none of the {len(raw)} annotations can be understood: annotation {counts.odd[0]}")
    for found, what in (
        (counts.odd, "cannot be understood and are left out"),
        (counts.no_image, "belong to an image id that is not in the file and are left out"),
        (counts.no_category, "belong to a category id that is not in the file and are left out"),
        (counts.boxed, "have a mask but no box with an area and get the box around it"),
    ):
        report(path, what, found, len(raw), "annotations")
    columns: dict[str, Any] = {
        name: np.concatenate(chunks).astype(_TYPES[name], copy=False)
        if chunks
        else np.zeros(_EMPTY.get(name, 0), _TYPES[name])
        for name, chunks in parts.items()
    }
    return columns, columns.pop("given")


class _Reader:
    """Decodes annotations: quickly where they are as they should be, patiently elsewhere."""

    def __init__(self, masks: bool) -> None:
        self.masks = masks
        self.decoder = msgspec.json.Decoder(_Masked if masks else _Object)

    def read(self, text: msgspec.Raw) -> _Object | str:
        """One annotation, or what is wrong with it."""
        try:
            return self.decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            try:
                return _mended(lenient(text))
            except ValueError as error:  # of ours, or what the reader says of text that is no JSON
                return str(error)

    def shape(self, found: _Found) -> Any:
        """The ``segmentation`` of an object."""
        if isinstance(found.item, _Masked):
            return found.item.segmentation
        try:
            return lenient(found.text).get("segmentation")
        except ValueError:
            return None


def _mended(value: Any) -> _Object:
    """An annotation with odd fields.

    Raises:
        ValueError: what cannot be understood.
    """
    if not isinstance(value, dict):
        raise ValueError(f"it is {_shown(value)}, not an object with fields")
    for key in ("image_id", "category_id"):
        if key not in value:
            raise ValueError(f"`{key}` is missing")
        if identity(value[key]) is None:
            raise ValueError(f"`{key}` is {_shown(value[key])}")
    name = value.get("id")
    return _Masked(
        image_id=value["image_id"],
        category_id=value["category_id"],
        id=name if isinstance(name, int) and not isinstance(name, bool) else None,
        bbox=_four(value.get("bbox")),
        area=number(value.get("area")),
        iscrowd=_flag(value, "iscrowd"),
        ignore=_flag(value, "ignore"),
        segmentation=value.get("segmentation"),
    )


def _four(value: Any) -> list[float | None] | None:
    """The four numbers of a box, also from text, from a list of one list, or by their names."""
    if isinstance(value, str):
        try:
            value = lenient(value.encode())
        except ValueError:  # no JSON
            value = numbers_in(value)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        names = next((names for names in _EDGES if value.keys() >= set(names)), ())
        value = [value[name] for name in names]
    return [number(edge) for edge in value] if isinstance(value, list) else None


_EDGES = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_FLAGS = {"": False, "false": False, "true": True, "no": False, "yes": True}


def _flag(value: dict[str, Any], key: str) -> bool:
    """Yes or no.

    Raises:
        ValueError: neither.
    """
    found = value.get(key)
    if found is None or isinstance(found, int):
        return bool(found)
    known = number(found)
    if known is not None:
        return bool(known)
    if isinstance(found, str) and found.strip().lower() in _FLAGS:
        return _FLAGS[found.strip().lower()]
    raise ValueError(f"`{key}` is {_shown(found)}")


def _shown(value: Any) -> str:
    """A JSON value in a few words."""
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, dict | list) else ""
    return text[:60] or ("an object with fields" if isinstance(value, dict) else "a list")


_NO_BOX = (np.nan,) * 4
_FARTHEST = 1e12  # pixels: what lies beyond is no place in a picture


def _box(edges: list[float | None] | None) -> Sequence[float]:
    if not edges or len(edges) != 4:
        return _NO_BOX
    return [edge if edge is not None and abs(edge) < _FARTHEST else np.nan for edge in edges]


def _has_area(edges: Sequence[float]) -> bool:
    return edges[2] > 0 and edges[3] > 0 and edges[0] == edges[0] and edges[1] == edges[1]  # NaN equals nothing


def _add_masks(objects: list[_Found], sizes: Sequence[Size], reader: _Reader, counts: _Counts) -> None:
    """Masks where they are asked for or something else has to be taken from them, and that something."""
    wanted = [found for found in objects if reader.masks or not _has_area(found.box) or not _is_area(found.item.area)]
    shapes: list[Size] = []
    for found in wanted:
        size = sizes[found.image]
        shapes.append(size)
        found.shape = reader.shape(found)
        found.mask = outline(found.shape, size)
    for found, mask, size in zip(wanted, with_pixels([found.mask for found in wanted], shapes), shapes, strict=True):
        found.mask = mask
        if mask is None:
            continue
        if not _has_area(found.box):
            found.box = box(mask, size)
            counts.boxed.append(found.number)
        if not _is_area(found.item.area):
            found.item.area = area(mask, size)


def _is_area(value: float | None) -> bool:
    return value is not None and 0 <= value <= LARGEST_AREA


_TYPES: dict[str, Any] = {
    "image": np.int64,
    "boxes": np.float64,
    "labels": np.int32,
    "areas": np.float64,
    "crowd": np.bool_,
    "ignore": np.bool_,
    "ids": np.int64,
    "mask_kind": np.uint8,
    "mask_lengths": np.int64,
    "masks": np.uint8,
    "given": np.bool_,
}
_EMPTY: dict[str, Any] = {"boxes": (0, 4)}


def _append(parts: dict[str, list[Any]], objects: list[_Found], masks: bool) -> None:
    """Add a chunk of objects to the columns."""
    corners = np.array([found.box for found in objects], dtype=np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    areas = [found.item.area if _is_area(found.item.area) else np.nan for found in objects]
    kinds, lengths, data = _encode([found.mask if masks else None for found in objects])
    parts["boxes"].append(corners)
    parts["ids"].append(np.array([found.number for found in objects], dtype=np.int64))
    parts["image"].append(np.array([found.image for found in objects], dtype=np.int64))
    parts["labels"].append(np.array([found.label for found in objects], dtype=np.int32))
    parts["areas"].append(np.array(areas, dtype=np.float64))
    parts["crowd"].append(np.array([bool(found.item.iscrowd) for found in objects], dtype=bool))
    parts["ignore"].append(np.array([bool(found.item.ignore) for found in objects], dtype=bool))
    parts["mask_kind"].append(kinds)
    parts["mask_lengths"].append(lengths)
    parts["masks"].append(data)
    parts["given"].append(np.array([bool(found.shape) for found in objects], dtype=bool))


def _encode(masks: Sequence[Outline | None]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]]:
    """Kind and length of each mask, and the bytes of all."""
    kinds = np.array([NO_MASK if found is None else POLYGONS if found.polygons else RLE for found in masks], np.uint8)
    buffer, polygon_lengths = encode_polygons(
        [found.polygons for found in masks if found is not None and found.polygons]
    )
    lengths = np.zeros(len(masks), dtype=np.int64)
    lengths[kinds == POLYGONS] = polygon_lengths
    runs = {place: found.runs for place, found in enumerate(masks) if found is not None and found.runs is not None}
    for place, data in runs.items():
        lengths[place] = len(data)
    out = np.empty(int(lengths.sum()), dtype=np.uint8)
    from_polygons = np.ones(len(out), dtype=bool)
    starts = np.cumsum(lengths) - lengths
    for place, data in runs.items():
        part = slice(int(starts[place]), int(starts[place]) + len(data))
        out[part] = np.frombuffer(data, dtype=np.uint8)
        from_polygons[part] = False
    out[from_polygons] = buffer
    return kinds, lengths, out
