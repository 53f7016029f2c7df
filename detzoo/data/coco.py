"""COCO annotation files: boxes, polygons, run lengths, crowds and ignored objects."""

from __future__ import annotations

import mmap
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hotcoco.mask as rle_codec
import msgspec
import numpy as np
from numpy.typing import NDArray

from detzoo.data.annotations import NO_MASK, POLYGONS, RLE, Annotations, Columns, arrange
from detzoo.data.boxes import check_boxes
from detzoo.data.images import existing, image_size
from detzoo.data.masks import encode_polygons
from detzoo.data.problems import DataError, report
from detzoo.data.share import release_memory

Id = int | float | str  # other tools write 1.0 and "0001.jpg" too


class _Image(msgspec.Struct, gc=False):
    id: Id
    file_name: str
    height: float | None = None
    width: float | None = None


class _Category(msgspec.Struct):
    id: int
    name: str


class _Object(msgspec.Struct, gc=False):
    image_id: Id
    category_id: Id
    id: Id | None = None
    bbox: list[float | None] | None = None
    area: float | None = None
    iscrowd: int | bool | None = None
    ignore: int | bool | None = None


class _Runs(msgspec.Struct, gc=False):
    counts: str | list[int]
    size: list[int]


class _Masked(_Object, gc=False):
    segmentation: list[list[float | None]] | _Runs | None = None


class _Names(msgspec.Struct):
    categories: list[_Category] = []


class _Images(msgspec.Struct):
    images: list[_Image]


class _File(msgspec.Struct):
    images: list[_Image]
    annotations: list[msgspec.Raw] = []  # decoded a few thousand at a time: all at once would take gigabytes
    categories: list[_Category] = []


_CHUNK = 4096
_NOT_A_NUMBER = re.compile(rb"(?<=[\[,:\s])-?(?:NaN|Infinity)(?=[\s,\]}])")


def _contents(path: Path) -> Any:
    """The bytes of a file, mapped rather than read; unmapped when nothing refers to them any more."""
    try:
        with open(path, "rb") as file:
            if not path.stat().st_size:
                raise DataError(f"{path} is empty (0 bytes); it should be a COCO annotation file")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no annotation file {path}") from None


def _decode(path: Path, data: Any, kind: Any) -> Any:
    """Decode JSON, taking the ``NaN`` and ``Infinity`` that some programs write for null."""
    try:
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            mended, count = _NOT_A_NUMBER.subn(b"null", data)
            if not count:
                raise
            return msgspec.json.decode(mended, type=kind)
    except msgspec.ValidationError as error:
        raise DataError(f"{path} is not a COCO annotation file: {error}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid JSON: {error}") from None


def category_names(path: str | Path) -> list[str]:
    """The category names of a COCO file, by ascending category id, without reading its annotations.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file is empty, not JSON, or not COCO.
    """
    path = Path(path)
    return list(_labels(path, _decode(path, _contents(path), _Names).categories)[0])


def first_images(path: str | Path, count: int = 1) -> list[str]:
    """File names of the first images of a COCO file, to find the folder they are in. Errors as `category_names`."""
    path = Path(path)
    return [_slashes(image.file_name) for image in _decode(path, _contents(path), _Images).images[:count]]


def read_coco(path: str | Path, root: str | Path = ".", images: str = "", masks: bool = False) -> Annotations:
    """Read a COCO annotation file.

    What cannot be used (a box without area, an object of an image or category that does not exist, an image whose
    file is missing) is left out with one counted warning per kind.

    Args:
        path: the JSON file.
        root: folder that `Annotations.files` are relative to.
        images: folder below ``root`` that the file names are relative to.
        masks: read polygons and run lengths too.

    Returns:
        Annotations with every category of the file as a class, by ascending category id.

    Raises:
        FileNotFoundError: there is no such file, or no image of it is in the folder.
        DataError: the file is empty, not JSON, not COCO, or has no mask at all where masks are asked for.
    """
    path = Path(path)
    content = _decode(path, _contents(path), _File)
    row_of, records = _present(path, content.images, Path(root), images)
    files = [_below(images, record.file_name) for record in records]
    sizes = _sizes(records, Path(root), files)
    label_of, category_ids = _labels(path, content.categories)
    by_category = {category.id: label_of[category.name] for category in content.categories}
    dropped = {_plain(record.id) for record in content.images} - row_of.keys()
    columns, names = _columns(path, content.annotations, row_of, dropped, by_category, sizes, masks)
    del content  # and with it the mapped file
    boxes, keep = check_boxes(path, columns["boxes"], sizes[columns["image"]], names)
    widths = boxes[:, 2:] - boxes[:, :2]
    areas = columns.pop("areas")
    columns["areas"] = np.where(np.isfinite(areas), areas, widths.prod(axis=1)).astype(np.float32)
    columns["boxes"] = boxes
    if masks and len(keep):
        _check_masks(path, columns["mask_kind"], keep, names)
    ids = [_plain(record.id) for record in records]
    annotations = arrange(Columns(**columns), keep, list(label_of), category_ids, ids, files, sizes)
    del columns, boxes, areas, widths, row_of, records, files
    release_memory()
    return annotations


def _plain(value: Id) -> int | str:
    return (
        int(value)
        if isinstance(value, float) and value.is_integer()
        else str(value)
        if isinstance(value, float)
        else value
    )


def _slashes(name: str) -> str:
    return name.replace("\\", "/")


def _below(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{_slashes(name)}" if folder else _slashes(name)


def _present(path: Path, images: list[_Image], root: Path, folder: str) -> tuple[dict[int | str, int], list[_Image]]:
    """The images whose file is there, and the row of each image id."""
    if not images:
        raise DataError(f"{path} lists no images")
    there = existing(root, (_below(folder, image.file_name) for image in images))
    if not there.any():
        raise FileNotFoundError(
            f"none of the {len(images)} images of {path} is in {root / folder}, for example {images[0].file_name}; "
            "set the split's `images` to the folder that the file names are relative to"
        )
    missing = [image.file_name for image, found in zip(images, there, strict=True) if not found]
    report(path, f"are not in {root / folder} and are left out", missing, len(images), "images")
    row_of: dict[int | str, int] = {}
    records, twice = [], []
    for image, found in zip(images, there, strict=True):
        number = _plain(image.id)
        if number in row_of:
            twice.append(number)
        elif found:
            row_of[number] = len(records)
            records.append(image)
    report(path, "occur more than once; the first counts", twice, len(images), "image ids")
    return row_of, records


def _sizes(records: Sequence[_Image], root: Path, files: Sequence[str]) -> NDArray[np.int32]:
    """Height and width of each image, from its file where the annotations do not say."""
    sizes = np.array([[record.height or 0, record.width or 0] for record in records], dtype=np.int32)
    for row in np.flatnonzero((sizes <= 0).any(axis=1)).tolist():
        sizes[row] = image_size(root / files[row])
    return sizes


def _labels(path: Path, categories: list[_Category]) -> tuple[dict[str, int], list[int]]:
    """Label of each category name, by ascending id, and the ids."""
    label_of: dict[str, int] = {}
    ids, twice = [], []
    for category in sorted(categories, key=lambda category: category.id):
        if category.name in label_of:
            twice.append(category.name)
        else:
            label_of[category.name] = len(ids)
            ids.append(category.id)
    report(path, "occur more than once and count as one class", twice, len(categories), "category names")
    return label_of, ids


def _columns(
    path: Path,
    raw: list[msgspec.Raw],
    row_of: dict[int | str, int],
    dropped: set[int | str],
    by_category: dict[int, int],
    sizes: NDArray[np.int32],
    masks: bool,
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """The objects of known images and categories as columns, and their ids for messages."""
    decoder = msgspec.json.Decoder(_Masked if masks else _Object)
    parts: dict[str, list[Any]] = {name: [] for name in _TYPES}
    no_image: list[Any] = []
    no_category: list[Any] = []
    for start in range(0, len(raw), _CHUNK):
        objects = []
        for offset, text in enumerate(raw[start : start + _CHUNK]):
            try:
                item = decoder.decode(text)
            except msgspec.ValidationError as error:
                raise DataError(f"{path}: annotation number {start + offset}: {error}") from None
            number = item.id if isinstance(item.id, int) and abs(item.id) < 2**63 else start + offset + 1
            image, label = row_of.get(_plain(item.image_id)), by_category.get(item.category_id)  # type: ignore[arg-type]
            if image is None:
                if _plain(item.image_id) not in dropped:
                    no_image.append(number)
            elif label is None:
                no_category.append(number)
            else:
                objects.append((number, image, label, item))
        _append(parts, objects)
        if masks:
            _append_masks(parts, objects, sizes)
    report(path, "belong to an image id that is not in the file and are left out", no_image, len(raw), "annotations")
    report(
        path, "belong to a category id that is not in the file and are left out", no_category, len(raw), "annotations"
    )
    columns: dict[str, Any] = {
        name: np.concatenate(chunks).astype(_TYPES[name], copy=False)
        if chunks
        else np.zeros(_EMPTY.get(name, 0), _TYPES[name])
        for name, chunks in parts.items()
    }
    if not masks:
        count = len(columns["ids"])
        columns["mask_kind"], columns["mask_lengths"] = np.zeros(count, np.uint8), np.zeros(count, np.int64)
    return columns, columns["ids"]


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
}
_EMPTY: dict[str, Any] = {"boxes": (0, 4)}
_NO_BOX = (np.nan,) * 4


def _append(parts: dict[str, list[Any]], objects: list[tuple[int, int, int, _Object]]) -> None:
    """Add a chunk of objects to the columns that do not concern masks."""
    boxes = [item.bbox if item.bbox and len(item.bbox) == 4 else _NO_BOX for _, _, _, item in objects]
    corners = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    parts["boxes"].append(corners)
    parts["ids"].append(np.array([number for number, _, _, _ in objects], dtype=np.int64))
    parts["image"].append(np.array([image for _, image, _, _ in objects], dtype=np.int64))
    parts["labels"].append(np.array([label for _, _, label, _ in objects], dtype=np.int32))
    parts["areas"].append(np.array([item.area for _, _, _, item in objects], dtype=np.float64))
    parts["crowd"].append(np.array([bool(item.iscrowd) for _, _, _, item in objects], dtype=bool))
    parts["ignore"].append(np.array([bool(item.ignore) for _, _, _, item in objects], dtype=bool))


def _append_masks(parts: dict[str, list[Any]], objects: list[Any], sizes: NDArray[np.int32]) -> None:
    """Add a chunk of objects to the mask columns."""
    kinds = np.full(len(objects), NO_MASK, dtype=np.uint8)
    runs: dict[int, bytes] = {}
    polygons: list[Sequence[Sequence[float]]] = []
    for place, (_, image, _, item) in enumerate(objects):
        shape = item.segmentation
        if isinstance(shape, _Runs):
            data = _compress(shape, sizes[image])
            if data:
                runs[place], kinds[place] = data, RLE
        elif shape:
            usable = [polygon for polygon in shape if _usable(polygon)]
            if usable:
                polygons.append(usable)
                kinds[place] = POLYGONS
    buffer, polygon_lengths = encode_polygons(polygons)
    lengths = np.zeros(len(objects), dtype=np.int64)
    lengths[kinds == POLYGONS] = polygon_lengths
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
    parts["mask_kind"].append(kinds)
    parts["mask_lengths"].append(lengths)
    parts["masks"].append(out)


def _usable(polygon: list[float | None]) -> bool:
    return len(polygon) >= 6 and len(polygon) % 2 == 0 and None not in polygon


def _compress(runs: _Runs, size: NDArray[np.int32]) -> bytes | None:
    """COCO's compressed string of run lengths, or None if they do not fit the image."""
    height, width = size.tolist()
    if runs.size != [height, width]:
        return None
    try:
        if isinstance(runs.counts, str):
            counts = runs.counts.encode()
            rle_codec.area({"size": runs.size, "counts": counts})  # decodes and so checks them
            return counts
        if sum(runs.counts) != height * width or min(runs.counts) < 0:
            return None
        return rle_codec.fr_py_objects({"size": runs.size, "counts": runs.counts}, height, width)["counts"]
    except (ValueError, TypeError, OverflowError):
        return None


def _check_masks(path: Path, kinds: NDArray[np.uint8], keep: NDArray[np.bool_], names: NDArray[np.int64]) -> None:
    bare = keep & (kinds == NO_MASK)
    if bare.sum() == keep.sum() > 0:
        raise DataError(f"{path}: no object has a usable `segmentation`, but masks are asked for; set masks=false")
    report(
        path,
        "have no usable mask (none, fewer than 3 points, or run lengths of another size) and are ignored in training",
        names[bare].tolist(),
        int(keep.sum()),
        "objects",
    )
