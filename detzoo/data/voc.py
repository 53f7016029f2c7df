"""Pascal VOC annotations: one XML file per image, and text files that list the images of a split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from detzoo.data.annotations import Annotations, Columns, arrange
from detzoo.data.boxes import check_boxes
from detzoo.data.files import Files
from detzoo.data.image_sizes import image_sizes
from detzoo.data.problems import DataError, report
from detzoo.data.texts import read_lines
from detzoo.data.voc_xml import Object, read_xml

PICTURE_FOLDERS = ("JPEGImages", "images", "Images", "jpegimages", "img", "imgs")
XML_FOLDERS = ("Annotations", "annotations", "xml", "xmls", "labels")
_SECOND_COLUMN = ("-1", "0", "1", "+1")  # lists of one class say whether an image has it: not, difficult only, or yes


@dataclass(slots=True)
class _Found:
    """The images of a split: name, picture below the root, and XML file of each."""

    names: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    xml: list[Path] = field(default_factory=list)
    _taken: set[str] = field(default_factory=set)

    def add(self, name: str, picture: str, pictures: Files, root: Path, xml: Path) -> None:
        """``picture`` is its path below the folder of pictures; of two with one name the second is called by it."""
        self.names.append(picture if name in self._taken else name)
        self._taken.add(name)
        self.pictures.append(_relative(pictures.folder / picture, root))
        self.xml.append(xml)

    def those(self, rows: Sequence[int]) -> _Found:
        """Some of them."""
        lists = ([each[row] for row in rows] for each in (self.names, self.pictures))
        return _Found(*lists, xml=[self.xml[row] for row in rows])


def read_voc(path: str | Path, root: str | Path = ".", images: str = "", skip_broken: bool = False) -> Annotations:
    """Read one split of a Pascal VOC data set. Difficult objects are marked ``ignore``.

    VOC counts pixels from 1 and means whole pixels: ``xmin, xmax`` becomes ``xmin - 1, xmax`` in detzoo's coordinates.
    What cannot be used is left out with one counted warning per kind.

    Args:
        path: text file with one image name per line, e.g. ``ImageSets/Main/train.txt``; or a folder of XML files, all
            of which are read.
        root: folder that `Annotations.files` are relative to.
        images: folder below ``root`` that holds the pictures, itself or in ``JPEGImages`` or ``images``. With a list
            it holds the XML files too: in ``Annotations``, or beside the pictures.
        skip_broken: leave out images whose size is neither stated nor can be read from their file.

    Returns:
        Annotations whose classes are the names that occur, sorted; category ids count from 1. An image's id is its
        name in the list.

    Raises:
        FileNotFoundError: the list or a folder is missing, or no listed image exists.
        DataError: the list is empty, an XML file is broken, or a size cannot be read; the message names the files.
    """
    path, root = Path(path), Path(root)
    home = root / images
    pictures = Files(_first_folder(home, PICTURE_FOLDERS))
    if not pictures.names:
        where = f"{home} or {PICTURE_FOLDERS[0]} in it" if pictures.folder == home else str(pictures.folder)
        raise FileNotFoundError(f"there are no pictures in {where}")
    found = _of_folder(path, root, pictures) if path.is_dir() else _of_list(path, root, home, pictures)
    stated: list[tuple[int, int] | None] = []
    objects: list[tuple[int, Object]] = []
    nameless, unsure = [], []
    for row, xml in enumerate(found.xml):
        sheet = read_xml(xml)
        stated.append(sheet.size)
        nameless += [xml.name for item in sheet.objects if not item.name]
        unsure += [f"{xml.name} ({item.unsure!r})" for item in sheet.objects if item.unsure]
        objects += [(row, item) for item in sheet.objects if item.name]
    total = len(objects) + len(nameless)
    report(path, "have no name and are left out", nameless, total, "objects")
    report(path, "have a <difficult> that says neither yes nor no and count as not difficult", unsure, total, "objects")
    classes = sorted({item.name for _, item in objects})
    sizes = image_sizes(path, root, found.pictures, stated, skip_broken)
    rows = np.cumsum([size is not None for size in sizes]) - 1
    objects = [(int(rows[row]), item) for row, item in objects if sizes[row] is not None]
    found = found.those([row for row, size in enumerate(sizes) if size is not None])
    return _assemble(path, found, [size for size in sizes if size is not None], objects, classes)


def class_names(path: str | Path, root: str | Path = ".", images: str = "") -> list[str]:
    """The names that occur in a split, sorted. Arguments and errors as `read_voc`."""
    return list(read_voc(path, root, images, skip_broken=True).classes)  # which are of all images, left out or not


def _first_folder(home: Path, names: Sequence[str]) -> Path:
    """The first of some folders that is there; ``home`` itself where none is."""
    return next((home / name for name in names if (home / name).is_dir()), home)


def _of_list(path: Path, root: Path, home: Path, pictures: Files) -> _Found:
    """The images that a list names."""
    lines = _names(path)
    chosen = {line: _picture(line, pictures) for line in set(lines)}
    counts = Counter(chosen[line] or line for line in lines)
    twice = [name for name, count in counts.items() if count > 1]
    report(path, "are listed more than once and count once", twice, len(lines), "images")
    present = list(dict.fromkeys(name for line in lines if (name := chosen[line])))
    if not present:
        raise FileNotFoundError(
            f"none of the {len(lines)} images of {path} is in {pictures.folder}, e.g. {_first_column(lines[0])}; "
            f"there are {len(pictures.names)} others, e.g. {pictures.names[0]}"
        )
    missing = [_first_column(line) for line in dict.fromkeys(lines) if not chosen[line]]
    report(path, f"are not in {pictures.folder} and are left out", missing, len(lines), "images")
    _report_ambiguous(path, present, pictures)
    sheets = Files(_first_folder(home, XML_FOLDERS), (".xml",))
    found, lacking = _Found(), []
    for picture in present:
        sheet = sheets.beside(picture)
        if sheet is None:
            lacking.append(picture)
        else:
            found.add(os.path.splitext(picture)[0], picture, pictures, root, sheets.folder / sheet)
    if not found.xml:
        expected = f"{os.path.splitext(present[0])[0]}.xml"
        raise FileNotFoundError(f"no image of {path} has an XML file in {sheets.folder}, e.g. {expected}")
    report(path, f"have no XML file in {sheets.folder} and are left out", lacking, len(lines), "images")
    return found


def _of_folder(path: Path, root: Path, pictures: Files) -> _Found:
    """The images that a folder of XML files describes."""
    sheets = Files(path, (".xml",))
    if not sheets.names:
        raise FileNotFoundError(f"there is no XML file in {path}")
    found, lacking, second = _Found(), [], []
    own = {sheet: pictures.beside(sheet) for sheet in sheets.names}
    described: dict[str, str] = {}  # the sheet of each picture: the one of its very name, before another that names it
    for sheet, picture in sorted(own.items(), key=_is_another_name):
        if picture is None:  # then it may say itself which picture it means
            named = read_xml(path / sheet).file_name
            picture = own[sheet] = pictures.find(named) if named else None
        if picture is not None:
            described.setdefault(picture, sheet)
    for sheet, picture in own.items():
        if picture is None:
            lacking.append(sheet)
        elif described[picture] != sheet:
            second.append(f"{sheet} ({picture} has {described[picture]})")
        else:
            found.add(os.path.splitext(sheet)[0], picture, pictures, root, path / sheet)
    if not found.xml:
        raise FileNotFoundError(
            f"no XML file in {path} has its picture in {pictures.folder}, e.g. {sheets.names[0]}; the pictures are "
            f"looked for in {', '.join(PICTURE_FOLDERS[:2])} and beside the XML files"
        )
    report(path, f"have no picture in {pictures.folder} and are left out", lacking, len(sheets.names), "XML files")
    report(path, "name a picture that has another XML file and are left out", second, len(sheets.names), "XML files")
    bare = [picture for picture in pictures.names if picture not in described]
    report(pictures.folder, f"have no XML file in {path} and are left out", bare, len(pictures.names), "pictures")
    _report_ambiguous(path, sorted(described), pictures)
    return found


def _is_another_name(pair: tuple[str, str | None]) -> int:
    """0 where a sheet is called as its picture, 1 where but for capitals, 2 where no picture is called so."""
    sheet, picture = pair
    return 2 if picture is None else int(os.path.splitext(sheet)[0] != os.path.splitext(picture)[0])


def _report_ambiguous(path: Path, chosen: Sequence[str], pictures: Files) -> None:
    twice = [name for name in chosen if pictures.is_ambiguous(os.path.splitext(name)[0])]
    report(
        path, "share their name with another picture of another suffix; this one counts", twice, len(chosen), "pictures"
    )


def _names(path: Path) -> list[str]:
    """The lines of a list that are not empty."""
    try:
        lines = [line for line in read_lines(path) if line]
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no image list {path}") from None
    if not lines:
        raise DataError(f"{path} lists no images; it should have one image name per line")
    return lines


def _picture(line: str, pictures: Files) -> str | None:
    """The picture that a line of a list means: the whole of it, or what stands before further columns."""
    for text in dict.fromkeys((line, _first_column(line), line.split(None, 1)[0])):
        found = pictures.find(text)
        if found:
            return found
    return None


def _first_column(line: str) -> str:
    """A line without the second column of a list of one class."""
    name, *rest = line.rsplit(None, 1)
    return name if rest and rest[0] in _SECOND_COLUMN else line


def _relative(file: Path, root: Path) -> str:
    return (file.relative_to(root) if file.is_relative_to(root) else file).as_posix()


def _assemble(
    path: Path,
    found: _Found,
    sizes: Sequence[tuple[int, int]],
    objects: Sequence[tuple[int, Object]],
    classes: Sequence[str],
) -> Annotations:
    label_of = {name: label for label, name in enumerate(classes)}
    image = np.array([row for row, _ in objects], dtype=np.int64)
    corners = np.array([item.corners for _, item in objects], dtype=np.float64).reshape(-1, 4)
    extents = np.array(sizes, dtype=np.int32)
    where = np.array([found.xml[row].name for row in image])
    boxes, keep = check_boxes(path, corners - (1, 1, 0, 0), extents[image], where)
    columns = Columns(
        image=image,
        boxes=boxes,
        labels=np.array([label_of[item.name] for _, item in objects], dtype=np.int32),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        crowd=np.zeros(len(objects), dtype=bool),
        ignore=np.array([item.difficult for _, item in objects], dtype=bool),
        ids=np.arange(1, len(objects) + 1),
        mask_kind=np.zeros(len(objects), dtype=np.uint8),
        mask_lengths=np.zeros(len(objects), dtype=np.int64),
        masks=np.zeros(0, dtype=np.uint8),
    )
    return arrange(columns, keep, classes, range(1, len(classes) + 1), found.names, found.pictures, extents)
