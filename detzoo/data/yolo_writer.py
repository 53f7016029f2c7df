"""Any annotations as a YOLO data set: ``data.yaml``, pictures, and a text file of fractions for each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from detzoo.data.annotations import NO_MASK, POLYGONS, Annotations
from detzoo.data.images import image_size, read_image
from detzoo.data.masks import decode_polygons
from detzoo.data.problems import report


def write_yolo(halves: Mapping[str, Annotations], root: str | Path, out: str | Path, masks: bool = True) -> Path:
    """Write annotated images as a YOLO data set: ``data.yaml``, ``images/HALF/`` and ``labels/HALF/``.

    What `detzoo.data.yolo.read_yolo` reads back is the same to a thousandth of a pixel, outlines to the fifth of a
    pixel that they are kept in. YOLO has no crowds, no ignored objects and no outlines in several pieces: the first two
    are left out, the pieces are joined by lines there and back; of a mask in run lengths only the box is written. Each
    is counted in a warning. The box of an object with an outline is the outline's.

    Args:
        halves: annotations by ``train``, ``val`` or ``test``, with the same classes.
        root: folder that their `Annotations.files` are relative to.
        out: folder to write; pictures are copied into it.
        masks: write outlines where there are some.

    Returns:
        The path of ``data.yaml``, which `detzoo.train` and `detzoo.evaluate` take.

    Raises:
        ValueError: the halves have other classes, or there are none.
        FileExistsError: ``out`` holds a ``data.yaml`` already.
        FileNotFoundError: a picture is missing.
    """
    root, out = Path(root), Path(out)
    classes = {each.classes for each in halves.values()}
    if len(classes) != 1:
        raise ValueError(f"the halves should have the same classes, but have {len(classes)} different lists of them")
    file = out / "data.yaml"
    if file.exists():
        raise FileExistsError(f"{file} is there already; choose another folder")
    for half, each in halves.items():
        _write_half(each, root, out, half, masks)
    names = dict(enumerate(classes.pop()))
    content = {**{half: f"images/{half}" for half in halves}, "names": names}
    file.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return file


def _stems(wanted: Sequence[str]) -> list[str]:
    """A name for each picture, its own where no earlier one has it; capitals do not tell names apart."""
    taken, found = {stem.casefold() for stem in wanted}, []
    first: set[str] = set()
    for stem in wanted:
        name = stem
        if stem.casefold() in first:
            name = next(other for other in (f"{stem}_{n}" for n in count(1)) if other.casefold() not in taken)
            taken.add(name.casefold())
        first.add(stem.casefold())
        found.append(name)
    return found


def _write_half(annotations: Annotations, root: Path, out: Path, half: str, masks: bool) -> None:
    pictures, labels = out / "images" / half, out / "labels" / half
    pictures.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    left_out = annotations.crowd | annotations.ignore
    several: list[int] = []
    for image, stem in enumerate(_stems([Path(file).stem for file in annotations.files])):
        source = root / annotations.files[image]
        height, width = annotations.sizes[image].tolist()
        if image_size(source) == (height, width):
            shutil.copyfile(source, pictures / f"{stem}{source.suffix}")
        else:  # annotated as it is stored, before its EXIF turn, which readers of YOLO make
            Image.fromarray(read_image(source, (height, width))).save(pictures / f"{stem}.png")
        rows = np.arange(len(annotations.boxes))[annotations.rows(image)]
        lines = [_line(annotations, row, height, width, masks, several) for row in rows.tolist() if not left_out[row]]
        (labels / f"{stem}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    total, ids = len(annotations.boxes), annotations.ids
    report(out / half, "are crowds or ignored and are not written", ids[left_out].tolist(), total, "objects")
    report(out / half, "have outlines in several pieces, joined by lines", ids[several].tolist(), total, "objects")
    if masks:
        bare = ~left_out & (annotations.mask_kind != NO_MASK) & (annotations.mask_kind != POLYGONS)
        report(out / half, "have a mask in run lengths and are written as boxes", ids[bare].tolist(), total, "objects")


def _line(annotations: Annotations, row: int, height: int, width: int, masks: bool, several: list[int]) -> str:
    """One object as a line of a label file."""
    if masks and annotations.mask_kind[row] == POLYGONS:
        start = annotations.mask_ends[row - 1] if row else 0
        pieces = decode_polygons(annotations.mask_bytes[start : annotations.mask_ends[row]])
        if len(pieces) > 1:
            several.append(row)
        numbers: NDArray[Any] = (_joined(pieces) / (width, height)).reshape(-1)
    else:
        x0, y0, x1, y1 = annotations.boxes[row].astype(np.float64).tolist()
        numbers = np.array([(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height])
    return " ".join([str(int(annotations.labels[row])), *(f"{number:.9g}" for number in numbers.tolist())])


def _joined(pieces: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """One outline of several: from the first point of one to the next, around it, and the same way back."""
    if len(pieces) == 1:
        return pieces[0]
    around = [np.concatenate([piece, piece[:1]]) for piece in pieces]
    back = [piece[:1] for piece in reversed(pieces[:-1])]
    return np.concatenate([*around, *back])
