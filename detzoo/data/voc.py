"""Pascal VOC annotations: one XML file per image and text files that list the images of a split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from detzoo.data.annotations import Annotations, Columns, arrange
from detzoo.data.boxes import check_boxes
from detzoo.data.images import image_size
from detzoo.data.problems import DataError, report


class _Tree(ElementTree.TreeBuilder):
    """Refuses document type declarations: annotations have none, and entities declared there can fill the memory."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DataError("it declares a document type, which an annotation file has no use for and may be an attack")


def read_voc(path: str | Path, root: str | Path = ".", images: str = "") -> Annotations:
    """Read one split of a Pascal VOC data set. Difficult objects are marked ``ignore``.

    VOC counts pixels from 1 and means whole pixels: ``xmin, xmax`` becomes ``xmin - 1, xmax`` in detzoo's coordinates.
    What cannot be used is left out with one counted warning per kind.

    Args:
        path: text file with one image name per line, e.g. ``ImageSets/Main/train.txt``.
        root: folder that `Annotations.files` are relative to.
        images: folder below ``root`` that holds ``JPEGImages`` and ``Annotations``.

    Returns:
        Annotations whose classes are the names that occur, sorted; category ids count from 1.

    Raises:
        FileNotFoundError: the list or a folder is missing, or no listed image exists.
        DataError: the list is empty, or an XML file is broken; the message names it.
    """
    path, home = Path(path), Path(root) / images
    names = _names(path)
    pictures = _pictures(home / "JPEGImages")
    present = [name for name in names if name in pictures]
    if not present:
        raise FileNotFoundError(
            f"none of the {len(names)} images of {path} is in {home / 'JPEGImages'}, e.g. {names[0]}"
        )
    report(
        path,
        f"are not in {home / 'JPEGImages'} and are left out",
        [name for name in names if name not in pictures],
        len(names),
        "images",
    )
    annotated = [name for name in present if (home / "Annotations" / f"{name}.xml").is_file()]
    if not annotated:
        raise FileNotFoundError(f"no image of {path} has an XML file in {home / 'Annotations'}, e.g. {present[0]}.xml")
    lacking = sorted(set(present) - set(annotated))
    report(path, f"have no XML file in {home / 'Annotations'} and are left out", lacking, len(names), "images")
    sizes, objects, nameless = [], [], []
    for row, name in enumerate(annotated):
        size, found = _read_xml(home / "Annotations" / f"{name}.xml")
        sizes.append(size or image_size(pictures[name]))
        nameless += [f"{name}.xml" for label, _, _ in found if not label]
        objects += [(row, *item) for item in found if item[0]]
    report(path, "have no name and are left out", nameless, len(objects) + len(nameless), "objects")
    return _assemble(path, annotated, [_relative(pictures[name], Path(root)) for name in annotated], sizes, objects)


def class_names(path: str | Path, root: str | Path = ".", images: str = "") -> list[str]:
    """The names that occur in a split, sorted. Arguments and errors as `read_voc`."""
    return list(read_voc(path, root, images).classes)


def _names(path: Path) -> list[str]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no image list {path}") from None
    names = [line.split()[0] for line in lines if line.strip()]  # lists of one class have a second column
    if not names:
        raise DataError(f"{path} lists no images; it should have one image name per line")
    once = list(dict.fromkeys(names))
    if len(once) < len(names):
        twice = sorted({name for name in once if names.count(name) > 1})
        report(path, "are listed more than once and count once", twice, len(names), "images")
    return once


def _pictures(folder: Path) -> dict[str, Path]:
    """The file of each image name, whatever its extension."""
    try:
        files = sorted(os.listdir(folder))
    except OSError:
        raise FileNotFoundError(f"there is no image folder {folder}") from None
    return {os.path.splitext(file)[0]: folder / file for file in files}


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


def _read_xml(path: Path) -> tuple[tuple[int, int] | None, list[tuple[str, bool, list[float]]]]:
    """Height and width if stated, and each object's name, difficulty and 1-based box."""
    try:
        tree = ElementTree.parse(path, parser=ElementTree.XMLParser(target=_Tree())).getroot()
        size = tree.find("size")
        height, width = (int(_number(size, edge) or 0) for edge in ("height", "width")) if size is not None else (0, 0)
        objects = []
        for item in tree.findall("object"):
            box = item.find("bndbox")
            corners = [_number(box, edge) for edge in ("xmin", "ymin", "xmax", "ymax")]
            objects.append(((item.findtext("name") or "").strip(), bool(_number(item, "difficult") or 0), corners))
    except ElementTree.ParseError as error:
        what = "is empty (0 bytes)" if not path.stat().st_size else f"is not valid XML: {error}"
        raise DataError(f"{path} {what}") from None
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    return ((height, width) if height > 0 and width > 0 else None), objects


def _number(parent: ElementTree.Element | None, tag: str) -> float:
    """The number inside a child element; NaN where there is none."""
    text = parent.findtext(tag) if parent is not None else None
    return float(text) if text and text.strip() else float("nan")


def _assemble(
    path: Path,
    names: Sequence[str],
    files: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    objects: Sequence[tuple[int, str, bool, list[float]]],
) -> Annotations:
    classes = sorted({name for _, name, _, _ in objects})
    label_of = {name: label for label, name in enumerate(classes)}
    image = np.array([row for row, _, _, _ in objects], dtype=np.int64)
    corners = np.array([box for _, _, _, box in objects], dtype=np.float64).reshape(-1, 4)
    extents = np.array(sizes, dtype=np.int32)
    where = np.array([f"{names[row]}.xml" for row in image])
    boxes, keep = check_boxes(path, corners - (1, 1, 0, 0), extents[image], where)
    columns = Columns(
        image=image,
        boxes=boxes,
        labels=np.array([label_of[name] for _, name, _, _ in objects], dtype=np.int32),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        crowd=np.zeros(len(objects), dtype=bool),
        ignore=np.array([difficult for _, _, difficult, _ in objects], dtype=bool),
        ids=np.arange(1, len(objects) + 1),
        mask_kind=np.zeros(len(objects), dtype=np.uint8),
        mask_lengths=np.zeros(len(objects), dtype=np.int64),
        masks=np.zeros(0, dtype=np.uint8),
    )
    return arrange(columns, keep, classes, range(1, len(classes) + 1), names, files, extents)
