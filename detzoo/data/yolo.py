"""YOLO labels: a text file per image, a line per object, in fractions of the image's width and height."""

from __future__ import annotations

import math
import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detzoo.data.annotations import NO_MASK, POLYGONS, Annotations, Columns, arrange
from detzoo.data.boxes import check_boxes
from detzoo.data.coco_masks import Outline, area, with_pixels
from detzoo.data.files import PICTURES, Files, has_suffix
from detzoo.data.halves import folder_called, is_half
from detzoo.data.image_sizes import image_sizes
from detzoo.data.masks import encode_polygons
from detzoo.data.problems import DataError, report
from detzoo.data.texts import read_lines
from detzoo.data.yolo_sets import labels_of, read_classes

FARTHEST = 2.0  # fractions of the image beyond which a number must mean something else, such as pixels
_CHUNK = 4096  # polygons that are encoded at once
_LARGEST_LABELS = 64 << 20


@dataclass(slots=True)
class _Objects:
    """The objects that were read, and lines that cannot be used, as ``file:line``."""

    images: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    outlines: list[tuple[int, tuple[int, int], list[float]]] = field(default_factory=list)  # row, size of its image
    encoded: list[tuple[NDArray[np.uint8], NDArray[np.int64]]] = field(default_factory=list)
    lines: int = 0
    malformed: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    no_fractions: list[str] = field(default_factory=list)
    sixth: list[str] = field(default_factory=list)
    tracked: list[str] = field(default_factory=list)
    either: list[str] = field(default_factory=list)

    def close_outlines(self, masks: bool, least: int = 1) -> None:
        """Areas of the outlines that wait for it, where there are so many, and their masks where asked for.

        Only what lies in the picture counts; an outline without a pixel is none.
        """
        if len(self.outlines) < least:
            return
        rows, sizes, points = zip(*self.outlines, strict=True)
        self.outlines = []
        kept = []
        for row, size, found in zip(rows, sizes, with_pixels([Outline([each]) for each in points], sizes), strict=True):
            if found is None:
                continue
            self.areas[row] = _area(found.polygons[0]) if _inside(self.boxes[row], size) else area(found, size)
            if masks:
                self.kinds[row] = POLYGONS
                kept.append(found.polygons)
        self.encoded.append(encode_polygons(kept))


def read_yolo(
    path: str | Path, root: str | Path = ".", images: str = "", masks: bool = False, skip_broken: bool = False
) -> Annotations:
    """Read one split of a YOLO data set.

    A line is ``class cx cy w h``, a box by its centre, or ``class x y x y x y ...``, an outline, whose extent is the
    box; all in fractions of the image's width and height. The labels of ``images/a.jpg`` are in ``labels/a.txt``, or
    beside the image. An image whose label file is empty or missing has no objects. What cannot be used is left out
    with one counted warning per kind, which names file and line.

    Args:
        path: what names the classes: ``data.yaml``, or a text file with one name per line.
        root: folder that `Annotations.files` are relative to.
        images: below ``root``, a folder of pictures, those in its folders included, or a text file that lists them.
        masks: read outlines as masks.
        skip_broken: leave out images whose size cannot be read.

    Returns:
        Annotations with every named class, by ascending number, which is the category id. An image's id is its path
        below ``root``. An area is that of the box, or of what the outline has in the picture.

    Raises:
        FileNotFoundError: a file or folder is missing, or no image has a label file.
        DataError: a file cannot be read, or there is no outline at all where masks are asked for; the message names
            it, and all images whose size cannot be read.
    """
    path, root = Path(path), Path(root)
    classes = read_classes(path)
    label_of, by_number = labels_of(path, classes.names)
    source = root / images
    pictures = _listed(source, root) if source.is_file() else _in_folder(source, root)
    measured = image_sizes(source, root, pictures, [None] * len(pictures), skip_broken)
    pictures = [picture for picture, size in zip(pictures, measured, strict=True) if size is not None]
    sizes = [size for size in measured if size is not None]
    beside = _LabelFiles()
    found, bare = _Objects(), []
    for row, picture in enumerate(pictures):
        labels = beside.of(root / picture)
        if labels is None:
            bare.append(picture)
        else:
            _read_labels(labels, row, sizes[row], by_number, classes.keypoints, masks, found)
    if len(bare) == len(pictures) and not beside.has_folder:
        looked = beside.looked(root / pictures[0])
        raise FileNotFoundError(f"no picture of {source} has a label file, e.g. {looked} for {pictures[0]}")
    report(source, "have no label file and count as images without objects", bare, len(pictures), "pictures")
    shared = beside.shared()
    report(
        source, "share their label file with another picture, and each has all of it", shared, len(pictures), "pictures"
    )
    strays, total = beside.strays()
    report(source, "have objects but no picture and are left out", strays, total, "label files")
    for lines, what in (
        (found.malformed, "are neither `class cx cy w h` nor an outline and are left out"),
        (found.unnamed, f"have a class number that {path.name} does not name and are left out"),
        (found.no_fractions, "have numbers far beyond 1, no fractions of width and height, and are left out"),
        (found.sixth, "have a sixth number, which is not used"),
        (found.tracked, "have a confidence and a track id behind the box, which are not used"),
        (found.either, "may be triangles, or boxes with a confidence and a track id, and count as triangles"),
    ):
        report(source, what, lines, found.lines, "lines")
    found.close_outlines(masks)
    return _assemble(source, list(label_of), sorted(_numbers(label_of, classes.names)), pictures, sizes, found, masks)


def class_names(path: str | Path) -> list[str]:
    """The names of the classes by ascending number. Errors as `read_yolo`."""
    return list(labels_of(Path(path), read_classes(Path(path)).names)[0])


def _numbers(label_of: Mapping[str, int], names: Mapping[int, str]) -> list[int]:
    """The least number of each class."""
    return [min(number for number, other in names.items() if other == name) for name in label_of]


def _in_folder(folder: Path, root: Path) -> list[str]:
    names = Files(folder).names
    if not names:
        raise FileNotFoundError(f"there are no pictures in {folder}")
    return [_relative(folder / name, root) for name in names]


def _listed(path: Path, root: Path) -> list[str]:
    """The pictures that a text file lists: by their path from it or from ``root``, or what is left of another
    machine's."""
    lines = [line for line in read_lines(path) if line]
    if not lines:
        raise DataError(f"{path} lists no images; it should have the path of one image per line")
    everywhere: Files | None = None
    found, missing = [], []
    for line in lines:
        name = line.replace("\\", "/")
        place = next((base / name for base in (path.parent, root) if (base / name).is_file()), None)
        if place is None:
            everywhere = everywhere or Files(root)
            other = everywhere.find(name)
            place = root / other if other is not None and not _loses_half(name, other) else None
        if place is None:
            missing.append(line)
        else:
            found.append(_relative(Path(os.path.normpath(place)), root))
    if not found:
        raise FileNotFoundError(f"none of the {len(lines)} images of {path} is there, e.g. {lines[0]}")
    report(path, "are not there and are left out", missing, len(lines), "images")
    counts = Counter(found)
    twice = [name for name, count in counts.items() if count > 1]
    report(path, "are listed more than once and count once", twice, len(lines), "images")
    return list(counts)


def _loses_half(name: str, found: str) -> bool:
    """Whether ``found`` is ``name`` without a folder that speaks of a half: then it is another image."""
    parts = [part for part in name.split("/") if part]
    return any(is_half(part) for part in parts[: -len(found.split("/"))])


def _relative(file: Path, root: Path) -> str:
    plain = Path(os.path.normpath(root))
    file = Path(os.path.normpath(file))
    return (file.relative_to(plain) if file.is_relative_to(plain) else file.absolute()).as_posix()


class _LabelFiles:
    """Finds the label file of each picture; every folder is listed once.

    Attributes:
        has_folder: whether there is a folder of labels for some picture, empty or not.
    """

    def __init__(self) -> None:
        self.has_folder = False
        self._by_folder: dict[Path, list[tuple[Path, dict[str, str]]]] = {}
        self._users: dict[Path, list[str]] = {}

    def of(self, picture: Path) -> Path | None:
        if picture.parent not in self._by_folder:
            folders = _label_folders(picture.parent)
            self.has_folder = self.has_folder or bool(folders)
            self._by_folder[picture.parent] = [(folder, _text_files(folder)) for folder in (*folders, picture.parent)]
        stem = unicodedata.normalize("NFC", picture.stem)
        for folder, files in self._by_folder[picture.parent]:
            name = files.get(stem) or files.get(stem.casefold())
            if name is not None:
                self._users.setdefault(folder / name, []).append(picture.name)
                return folder / name
        return None

    def shared(self) -> list[str]:
        """Pictures that have a label file together: ``a.jpg`` and ``a.png``, or, where one folder of labels lies beside
        several of pictures, ``train/a.jpg`` and ``val/a.jpg``."""
        beside: dict[Path, Counter[str]] = {}
        for home, folders in self._by_folder.items():
            for folder, _ in folders:
                if folder not in beside and _serves_beside(folder, home):
                    beside[folder] = Counter(map(_stem, Files(home.parent).names))
        return [
            name
            for file, names in self._users.items()
            for name in names
            if len(names) > 1 or beside.get(file.parent, Counter())[_stem(name)] > 1
        ]

    def strays(self) -> tuple[list[str], int]:
        """Label files with objects whose picture is not there, each with what else has its name; and the number of
        label files in the same folders."""
        stems: dict[Path, set[str]] = {}
        files: dict[Path, set[str]] = {}
        others: dict[Path, dict[str, str]] = {}
        for home, folders in self._by_folder.items():
            names = os.listdir(home)
            for folder, labels in folders:
                known = [name for name in names if has_suffix(name, PICTURES)]
                if _serves_beside(folder, home):
                    known = Files(home.parent).names
                stems.setdefault(folder, set()).update(map(_stem, known))
                files.setdefault(folder, set()).update(labels.values())
                others.setdefault(folder, {}).update({_stem(name): name for name in names if name not in files[folder]})
        strays = []
        for folder in files:
            for name in sorted(name for name in files[folder] if _stem(name) not in stems[folder]):
                if _has_objects(folder / name):
                    other = others[folder].get(_stem(name))
                    strays.append(f"{folder.name}/{name}" + (f" (but there is {other})" if other else ""))
        return strays, sum(map(len, files.values()))

    def looked(self, picture: Path) -> str:
        """Where a label file would be, for a message."""
        places = [folder / f"{picture.stem}.txt" for folder, _ in self._by_folder[picture.parent]]
        if len(places) == 1:
            swapped = _swapped(picture.parent, "labels")
            places.insert(0, (swapped or picture.parent / "labels") / f"{picture.stem}.txt")
        return " or ".join(str(place) for place in places)


def _serves_beside(folder: Path, home: Path) -> bool:
    """Whether a folder of labels may serve the folders of pictures beside ``home``, too."""
    return folder.parent == home.parent and folder not in (home, _swapped(home, folder.name))


def _stem(name: str) -> str:
    return unicodedata.normalize("NFC", os.path.splitext(os.path.basename(name))[0]).casefold()


def _has_objects(path: Path) -> bool:
    """Whether a text file has a line that could be an object; a list of pictures or classes has none."""
    try:
        return any(len(_values(line) or ()) >= 5 for line in read_lines(path, _LARGEST_LABELS) if line)
    except (DataError, OSError):
        return False


def _label_folders(folder: Path) -> list[Path]:
    """The folders of labels that belong to a folder of pictures: ``labels/train`` to ``images/train``, or those in it
    or beside it."""
    candidates = [_swapped(folder, word) for word in ("labels", "Labels", "LABELS")]
    for base in (folder, folder.parent):
        name = folder_called(base, "labels")
        candidates.append(base / name if name else None)
    return list(dict.fromkeys(place for place in candidates if place is not None and place.is_dir()))


def _swapped(folder: Path, word: str) -> Path | None:
    """A path with ``word`` for the last of its folders that is called ``images``."""
    parts = list(folder.parts)
    for place in reversed(range(len(parts))):
        if parts[place].lower() in ("images", "jpegimages"):
            return Path(*parts[:place], word, *parts[place + 1 :])
    return None


def _text_files(folder: Path) -> dict[str, str]:
    """The label files of a folder by the names of their pictures, and by those in small letters."""
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(".txt") and not name.startswith("."))
    stems = [(unicodedata.normalize("NFC", name[:-4]), name) for name in names]
    return {**{stem.casefold(): name for stem, name in reversed(stems)}, **dict(stems)}


def _read_labels(
    path: Path,
    row: int,
    size: tuple[int, int],
    by_number: Mapping[int, int],
    keypoints: bool,
    masks: bool,
    found: _Objects,
) -> None:
    """Add the objects of one image."""
    height, width = size
    lines = [(number, _values(line)) for number, line in enumerate(read_lines(path, _LARGEST_LABELS), 1) if line]
    kinds = set() if keypoints else {_is_outline(values) for _, values in lines if values is not None}
    for number, values in lines:
        found.lines += 1
        where = f"{path.parent.name}/{path.name}:{number}"
        if values is None or not (len(values) in (5, 6) or (len(values) >= 7 and (keypoints or len(values) % 2))):
            found.malformed.append(where)
            continue
        label = by_number.get(int(values[0]))
        if label is None:
            found.unnamed.append(where)
            continue
        outline = not keypoints and _is_outline(values)
        if outline is None and len(kinds - {None}) == 1:  # then it is what all others of the file are
            outline = True in kinds
        is_box = outline is False
        numbers = values[1:5] if is_box else values[1:]
        if max(map(abs, numbers)) > FARTHEST:
            found.no_fractions.append(where)
            continue
        if is_box and not keypoints and len(values) > 5:
            (found.sixth if len(values) == 6 else found.tracked).append(where)
        elif outline is None:
            found.either.append(where)
        if is_box:
            x, y, w, h = numbers
            box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
        else:
            points = [value * (height if place % 2 else width) for place, value in enumerate(numbers)]
            xs, ys = points[::2], points[1::2]
            box = (min(xs), min(ys), max(xs), max(ys))
            found.outlines.append((len(found.images), size, points))
        found.images.append(row)
        found.labels.append(label)
        found.boxes.append(box)
        found.areas.append(math.nan)
        found.where.append(where)
        found.kinds.append(NO_MASK)
    found.close_outlines(masks, _CHUNK)


def _values(line: str) -> list[float] | None:
    """The numbers of a line, the first of them whole; None: it has others."""
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        return None
    if not all(map(math.isfinite, values)) or values[0] != int(values[0]):
        return None
    return values


def _is_outline(values: Sequence[float]) -> bool | None:
    """Whether a line's numbers are an outline rather than a box; None: its last two could be the third point of a
    triangle, or a confidence and a track id."""
    if len(values) != 7:
        return len(values) > 7
    confidence, track = values[5:]
    if not 0 <= confidence <= 1 or track < 0 or track != int(track):
        return True
    return None if track <= 1 else False


def _inside(box: tuple[float, float, float, float], size: tuple[int, int]) -> bool:
    """Whether a box lies in a picture of this size."""
    return min(box[:2]) >= 0 and box[2] <= size[1] and box[3] <= size[0]


def _area(points: Sequence[float]) -> float:
    """The area that an outline encloses."""
    xs, ys = points[::2], points[1::2]
    after = zip([*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=True)
    return abs(sum(x * y2 - x2 * y for x, y, (x2, y2) in zip(xs, ys, after, strict=True))) / 2


def _assemble(
    source: Path,
    classes: Sequence[str],
    numbers: Sequence[int],
    pictures: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    found: _Objects,
    masks: bool,
) -> Annotations:
    count = len(found.images)
    image, extents = np.array(found.images, dtype=np.int64), np.array(sizes, dtype=np.int32)
    corners = np.array(found.boxes, dtype=np.float64).reshape(-1, 4)
    boxes, keep = check_boxes(source, corners, extents[image], np.array(found.where, dtype=object))
    kinds, areas = np.array(found.kinds, dtype=np.uint8), np.array(found.areas, dtype=np.float64)
    if masks and keep.any():
        bare = keep & (kinds == NO_MASK)
        if not (keep & (kinds == POLYGONS)).any():
            raise DataError(f"{source}: the labels have boxes only, but masks are asked for; set masks=false")
        names = [found.where[place] for place in np.flatnonzero(bare)]
        report(source, "have no outline in the picture and are ignored in training", names, int(keep.sum()), "objects")
    lengths = np.zeros(count, dtype=np.int64)
    lengths[kinds == POLYGONS] = np.concatenate([each for _, each in found.encoded]) if found.encoded else 0
    columns = Columns(
        image=image,
        boxes=boxes,
        labels=np.array(found.labels, dtype=np.int32),
        areas=np.where(np.isfinite(areas), areas, (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)).astype(np.float32),
        crowd=np.zeros(count, dtype=bool),
        ignore=np.zeros(count, dtype=bool),
        ids=np.arange(1, count + 1),
        mask_kind=kinds,
        mask_lengths=lengths,
        masks=np.concatenate([part for part, _ in found.encoded]) if found.encoded else np.zeros(0, dtype=np.uint8),
    )
    return arrange(columns, keep, classes, numbers, pictures, pictures, extents)
