"""COCO annotation files: boxes, polygons, run lengths, crowds and ignored objects.

The parts: `coco_objects` reads the annotations, `coco_masks` the forms of their outlines, `coco_ids` joins ids,
`files` finds the pictures, and `json_file` decodes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detzoo.data.annotations import NO_MASK, Annotations, Columns, arrange
from detzoo.data.boxes import check_boxes
from detzoo.data.coco_ids import Index, as_written, identity
from detzoo.data.coco_objects import read_objects
from detzoo.data.federated import IMAGE_LISTS, read_federated
from detzoo.data.file_names import below, slashes
from detzoo.data.files import locate, of_other_kind
from detzoo.data.image_sizes import image_sizes
from detzoo.data.json_file import contents, decode, lenient, not_unicode, number, refuse_key_twice
from detzoo.data.problems import NAMED, DataError, report
from detzoo.data.share import release_memory

_COCO = "COCO annotation file"
MOST_PIXELS = 2**32  # of one picture: COCO's run lengths count no further
LONGEST = 2**31 - 1  # pixels of an edge


class _Image(msgspec.Struct, gc=False):
    id: int | float | str
    file_name: str = ""
    height: float | None = None
    width: float | None = None
    coco_url: str = ""  # LVIS has no other name of the file
    neg_category_ids: Any = None
    not_exhaustive_category_ids: Any = None


class _Category(msgspec.Struct):
    id: int | float | str
    name: str
    frequency: Any = None


class _Names(msgspec.Struct):
    categories: list[msgspec.Raw] | None = None


class _Images(msgspec.Struct):
    images: list[msgspec.Raw]


class _Listing(_Images):
    categories: list[msgspec.Raw] | None = None


class _File(msgspec.Struct):
    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw] | None = None  # decoded a few thousand at a time: all at once would take gigabytes
    categories: list[msgspec.Raw] | None = None


def category_names(path: str | Path) -> list[str]:
    """The category names of a COCO file, by ascending category id, without reading its annotations.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file is empty, not JSON, or not COCO, or two categories have one id.
    """
    path = Path(path)
    data = contents(path, _COCO)
    categories = _categories(path, data, decode(path, data, _Names, _COCO).categories or [])
    Index(path, "category", [category.id for category in categories], [category.name for category in categories])
    return list(_labels(path, categories))


def first_images(path: str | Path, count: int = 1) -> list[str]:
    """File names of the first images of a COCO file, to find the folder they are in. Errors as `category_names`."""
    path = Path(path)
    data = contents(path, _COCO)
    return [
        slashes(image.file_name) for image in _images(path, data, decode(path, data, _Images, _COCO).images[:count])
    ]


def listed_ids(
    path: str | Path,
) -> tuple[list[tuple[str, int | str, tuple[int, int] | None]], dict[str, int | str]]:
    """File name, id and height and width (None: not stated) of each image, and the id of each category name, without
    reading the annotations.

    They are those that `read_coco` gives: ids as the file has them, and of a category name that occurs more than once
    the least. Errors as `category_names`, and two images with one id.
    """
    path = Path(path)
    data = contents(path, _COCO)
    content = decode(path, data, _Listing, _COCO)
    images = _images(path, data, content.images)
    Index(path, "image", [image.id for image in images], [image.file_name for image in images])
    categories = _categories(path, data, content.categories or [])
    Index(path, "category", [category.id for category in categories], [category.name for category in categories])
    label_of = _labels(path, categories)
    category_ids = dict(zip(label_of, _category_ids(categories, label_of), strict=True))
    return [(image.file_name, as_written(image.id), _stated(image)) for image in images], category_ids


def read_coco(
    path: str | Path, root: str | Path = ".", images: str = "", masks: bool = False, skip_broken: bool = False
) -> Annotations:
    """Read a COCO annotation file.

    What cannot be used (an annotation that cannot be understood, a box without area, an object of an image or category
    that does not exist, an image whose file is missing) is left out with one counted warning per kind. docs/data.md
    lists the forms that are understood. An id may be text on one side and a number on the other.

    Args:
        path: the JSON file.
        root: folder that `Annotations.files` are relative to.
        images: folder below ``root`` that the file names are relative to.
        masks: read polygons and run lengths too.
        skip_broken: leave out images whose size is neither stated nor can be read from their file.

    Returns:
        Annotations with every category of the file as a class, by ascending category id.

    Raises:
        FileNotFoundError: there is no such file, or no image of it is in the folder.
        DataError: the file is empty, not JSON, not COCO, has an id twice or a picture under two ids, or has no mask at
            all where masks are asked for; or a size cannot be read.
    """
    path = Path(path)
    data = contents(path, _COCO)
    content = decode(path, data, _File, _COCO)
    refuse_key_twice(path, data, _File.__struct_fields__)
    listed = _images(path, data, content.images)
    image_index = Index(path, "image", [image.id for image in listed], [image.file_name for image in listed])
    categories = _categories(path, data, content.categories or [])
    names = [category.name for category in categories]
    category_index = Index(path, "category", [category.id for category in categories], names)
    label_of = _labels(path, categories)
    files, row_of = _present(path, listed, Path(root), images)
    records = [image for image, row in zip(listed, row_of, strict=True) if row >= 0]
    _refuse_one_file_twice(path, records, files)
    known = _sizes(path, records, Path(root), files, skip_broken)
    used = np.array([size is not None for size in known])
    row_of = np.where((row_of >= 0) & used[row_of], (np.cumsum(used) - 1)[row_of], -1)
    records = [record for record, size in zip(records, known, strict=True) if size is not None]
    files = [file for file, size in zip(files, known, strict=True) if size is not None]
    sizes = np.array([size for size in known if size is not None], dtype=np.int32)
    labels = np.array([label_of[name] for name in names], dtype=np.int64)
    raw = content.annotations or []
    columns, given = read_objects(path, raw, image_index, row_of, category_index, labels, sizes, masks)
    del content, raw, data  # and with them the mapped file
    federated = read_federated(path, records, categories, category_index, labels)
    ids = columns["ids"]
    boxes, keep = check_boxes(path, columns["boxes"], sizes[columns["image"]], ids)
    widths = boxes[:, 2:] - boxes[:, :2]
    areas = columns.pop("areas")
    columns["areas"] = np.where(np.isfinite(areas), areas, widths.prod(axis=1)).astype(np.float32)
    columns["boxes"] = boxes
    if masks and len(keep):
        _check_masks(path, columns["mask_kind"], keep, given, ids)
    category_ids = _category_ids(categories, label_of)
    image_ids = [as_written(record.id) for record in records]
    annotations = arrange(Columns(**columns), keep, list(label_of), category_ids, image_ids, files, sizes, federated)
    del columns, boxes, areas, widths, row_of, listed, records, files, image_index
    release_memory()
    return annotations


def _images(path: Path, data: Any, raw: Sequence[msgspec.Raw]) -> list[_Image]:
    """The images of a file; those that cannot be understood are reported."""
    decoder = msgspec.json.Decoder(_Image)
    images: list[_Image] = []
    odd: list[str] = []
    for place, text in enumerate(raw):
        try:
            image = decoder.decode(text)
            image.file_name = image.file_name or _below_host(image.coco_url)
            if not image.file_name or identity(image.id) is None:
                image = _odd_image(lenient(text))
        except UnicodeDecodeError:
            raise not_unicode(path, data) from None
        except (msgspec.DecodeError, RecursionError):
            try:
                image = _odd_image(lenient(text))
            except ValueError as error:
                image = str(error)
        if isinstance(image, str):
            odd.append(f"number {place} ({image})")
        else:
            images.append(image)
    if odd and not images:
        raise DataError(f"{path} is not a {_COCO}: of {len(raw)} `images` none can be understood: {odd[0]}")
    report(path, "cannot be understood and are left out", odd, len(raw), "images")
    return images


def _odd_image(value: Any) -> _Image | str:
    """An image with odd fields, or what cannot be understood."""
    if not isinstance(value, dict):
        return "it is not an object with fields"
    if identity(value.get("id")) is None:
        return f"its `id` is {value.get('id', 'missing')!r:.60}"
    name, url = value.get("file_name"), value.get("coco_url")
    if not name and isinstance(url, str):
        name = _below_host(url)
    if not isinstance(name, str) or not name:
        return f"its `file_name` is {value.get('file_name', 'missing')!r:.60}"
    size = number(value.get("height")), number(value.get("width"))
    return _Image(value["id"], name, *size, "", *(value.get(key) for key in IMAGE_LISTS))


def _below_host(url: str) -> str:
    """The path in an address, as ``train2017/000000391895.jpg``."""
    return url.partition("://")[2].partition("/")[2]


def _categories(path: Path, data: Any, raw: Sequence[msgspec.Raw]) -> list[_Category]:
    """The categories of a file.

    Raises:
        DataError: one cannot be understood; without it objects would change their class.
    """
    decoder = msgspec.json.Decoder(_Category)
    found = []
    for place, text in enumerate(raw):
        try:
            category = decoder.decode(text)
        except UnicodeDecodeError:
            raise not_unicode(path, data) from None
        except (msgspec.DecodeError, RecursionError) as error:
            category = _odd_category(text) or error
        if isinstance(category, Exception) or identity(category.id) is None or not _is_text(category.name):
            why = (
                category
                if isinstance(category, Exception)
                else f"its id is {category.id!r}, its name {category.name!r}"
            )
            raise DataError(f"{path}: category number {place} cannot be understood: {why}")
        found.append(category)
    return found


def _odd_category(text: msgspec.Raw) -> _Category | None:
    """A category whose name is a number."""
    try:
        value = lenient(text)
    except ValueError:
        return None
    if not isinstance(value, dict) or isinstance(value.get("name"), bool) or isinstance(value.get("id"), bool):
        return None
    id, name = value.get("id"), value.get("name")
    return _Category(id, str(name)) if isinstance(id, int | float | str) and isinstance(name, int | str) else None


def _is_text(name: str) -> bool:
    """Whether a class can be called so: something to read, and nothing that cannot be written to a file."""
    return bool(name.strip()) and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _present(path: Path, images: Sequence[_Image], root: Path, folder: str) -> tuple[list[str], NDArray[np.int64]]:
    """The files of the images that are there, and for each image its row among those, or -1."""
    if not images:
        raise DataError(f"{path} lists no images")
    names = [image.file_name for image in images]
    found = locate(root, folder, names)
    files = [file for file in found if file is not None]
    missing = [name for name, file in zip(names, found, strict=True) if file is None]
    missing[:NAMED] = [_with_hint(root, folder, name) for name in missing[:NAMED]]
    if not files:
        raise FileNotFoundError(
            f"none of the {len(images)} images of {path} is in {root / folder}, for example {missing[0]}; "
            "set the split's `images` to the folder that the file names are relative to"
        )
    report(path, f"are not in {root / folder} and are left out", missing, len(images), "images")
    other = [
        f"{name} is {file}"
        for name, file in zip(names, found, strict=True)
        if file is not None and file not in (below(folder, name), slashes(name))
    ]
    report(path, "have other names in the file than on disk", other, len(images), "images")
    there = np.array([file is not None for file in found])
    return files, np.where(there, np.cumsum(there) - 1, -1)


def _with_hint(root: Path, folder: str, name: str) -> str:
    other = of_other_kind(root, folder, name)
    return name if other is None else f"{name} (but there is {other})"


def _refuse_one_file_twice(path: Path, records: Sequence[_Image], files: Sequence[str]) -> None:
    first_of: dict[str, _Image] = {}
    for record, file in zip(records, files, strict=True):
        first = first_of.setdefault(os.path.normpath(file), record)
        if first is not record:
            raise DataError(
                f"{path}: image ids {first.id!r} and {record.id!r} are both the picture {file} ({first.file_name!r}, "
                f"{record.file_name!r}): each would lack the other's objects; give all of them one image id"
            )


def _sizes(
    path: Path, records: Sequence[_Image], root: Path, files: Sequence[str], skip_broken: bool
) -> list[tuple[int, int] | None]:
    """Height and width of each image, from its file where the annotations do not say or cannot be right."""
    stated = [_stated(record) for record in records]
    impossible = [
        record.file_name
        for record, size in zip(records, stated, strict=True)
        if size is None and (record.height or 0) > 0 and (record.width or 0) > 0
    ]
    report(
        path, "state a height and width that cannot be and have those of their file", impossible, len(records), "images"
    )
    return image_sizes(path, root, files, stated, skip_broken)


def _stated(record: _Image) -> tuple[int, int] | None:
    """Height and width that the file gives for an image, where they can be."""
    height, width = record.height or 0, record.width or 0
    possible = 0 < height <= LONGEST and 0 < width <= LONGEST and height * width < MOST_PIXELS
    return (int(height), int(width)) if possible and height % 1 == width % 1 == 0 else None


def _labels(path: Path, categories: Sequence[_Category]) -> dict[str, int]:
    """Label of each category name, by ascending id."""
    label_of: dict[str, int] = {}
    twice = []
    for category in sorted(categories, key=_by_id):
        if category.name in label_of:
            twice.append(category.name)
        else:
            label_of[category.name] = len(label_of)
    report(path, "occur more than once and count as one class", twice, len(categories), "category names")
    return label_of


def _by_id(category: _Category) -> tuple[bool, Any]:
    """Numbers before names."""
    key = identity(category.id)
    return isinstance(key, str), key


def _category_ids(categories: Sequence[_Category], label_of: dict[str, int]) -> list[int | str]:
    """The id of each label; the least where a name occurs more than once."""
    ids: dict[str, Any] = {}
    for category in sorted(categories, key=_by_id):
        ids.setdefault(category.name, identity(category.id))
    return [ids[name] for name in label_of]


def is_federated(path: str | Path) -> bool:
    """Whether the first image of a COCO file lists classes that it does not show, as LVIS's do. Errors as
    `category_names`."""
    path = Path(path)
    data = contents(path, _COCO)
    first = _images(path, data, decode(path, data, _Images, _COCO).images[:1])
    return bool(first) and isinstance(first[0].neg_category_ids, list)


def _check_masks(
    path: Path,
    kinds: NDArray[np.uint8],
    keep: NDArray[np.bool_],
    given: NDArray[np.bool_],
    ids: NDArray[np.int64],
) -> None:
    bare = keep & (kinds == NO_MASK)
    if keep.any() and not (given & keep).any():
        raise DataError(f"{path}: no object has a `segmentation`, but masks are asked for; set masks=false")
    report(
        path,
        "have no usable mask (none, no pixel in the picture, fewer than 3 points, run lengths of another size, or an "
        "unknown form) and are ignored in training",
        ids[bare].tolist(),
        int(keep.sum()),
        "objects",
    )
