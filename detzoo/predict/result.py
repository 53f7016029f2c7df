"""What `predict` returns: the detections of one image, with whatever is done with them afterwards."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detzoo.arguments import fraction
from detzoo.data.images import read_image
from detzoo.drawing.draw import Style, draw, write
from detzoo.overwrite import ReadFiles
from detzoo.predict.adapters import to_fiftyone, to_supervision
from detzoo.predict.chosen_classes import chosen_labels
from detzoo.predict.outlines import mask_outlines
from detzoo.predict.plain_values import to_coco, to_dict
from detzoo.predict.showing import show
from detzoo.terminal import printable
from detzoo.types import Detections

INSTEAD = "save it under another name or in another folder"
MOST_KINDS = 10  # classes that a line of text counts


class Result:
    """The detections of one image, best first, on the CPU and in pixels of the image.

    ``len(result)`` is K. A number gives one `Detection`; a slice, a bool mask or numbers give a `Result` with some of
    the detections, as in ``result[:3]`` and ``result[result.scores > 0.5]``; a loop goes over `Detection` objects.

    Attributes:
        size: height and width of the image, or None where nothing says them.
    """

    __slots__ = ("_file", "_found", "_read", "size")

    def __init__(
        self,
        found: Detections,
        size: tuple[int, int] | None = None,
        *,
        read: ReadFiles | None = None,
        file: Path | None = None,
    ) -> None:
        """Wrap what was found in one image.

        Args:
            found: detections of one image, in its pixels; ``classes`` and ``picture`` or ``path`` make names and
                drawings possible.
            size: height and width of the image; default: those of the picture, or of the masks.
            read: files that `save` must not replace, besides the image itself.
            file: where ``path`` is, whatever becomes the current folder later; default: looked up now.

        Raises:
            TypeError: the detections are a batch.
        """
        if found.batched:
            raise TypeError("index the batch first: a result belongs to one image")
        found = found.to("cpu")
        self._found = found if bool(found.valid.all()) else found.pick(found.valid)
        self._read = read or ReadFiles()
        self._file = file or (None if found.path is None else Path(found.path).absolute())
        self.size = size or _size(found)

    @property
    def boxes(self) -> Tensor:
        """float32 ``(K, 4)``, x1 y1 x2 y2 in pixels of the image."""
        return self._found.boxes

    @property
    def scores(self) -> Tensor:
        """float32 ``(K,)`` from 0 to 1, falling."""
        return self._found.scores

    @property
    def labels(self) -> Tensor:
        """int64 ``(K,)``, the class of each as its place in ``classes``."""
        return self._found.labels

    @property
    def names(self) -> list[str]:
        """The class name of each detection; the number as text where there are no names."""
        return self._found.names

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Every class name that the detector knows, by label."""
        return self._found.classes

    @property
    def masks(self) -> Tensor | None:
        """bool ``(K, H, W)``, made when asked for; None for a detector without masks."""
        return self._found.masks

    @property
    def polygons(self) -> list[list[NDArray[np.float32]]] | None:
        """The outlines of each mask, along the edges of its pixels; None for a detector without masks.

        Per detection a list of arrays ``(P, 2)`` of x and y in pixels of the image, one for every part and every hole.
        A part's outline runs clockwise as seen, a hole's the other way.
        """
        return mask_outlines(self._found)

    @property
    def path(self) -> Path | None:
        """The file that the image came from; None for one from memory."""
        return None if self._found.path is None else Path(self._found.path)

    @property
    def image(self) -> Any:
        """The image, uint8 RGB ``(H, W, 3)``; that of a file is read again. None if there is neither."""
        if self._found.picture is not None or self._file is None:
            return self._found.picture
        return read_image(self._file)

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Detection]:
        return (self[row] for row in range(len(self)))

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Detection: ...

    @overload
    def __getitem__(self, index: slice | Sequence[Any] | Tensor | NDArray[Any]) -> Result: ...

    def __getitem__(self, index: Any) -> Detection | Result:
        """One detection by a number, some by a slice, a mask of bools or numbers.

        Raises:
            IndexError: there is no such detection, or a mask has another length.
            TypeError: it is none of these.
        """
        if isinstance(index, str):
            raise TypeError(f"a result has no {index!r}: for the detections of a class use filter(classes={index!r})")
        if isinstance(index, slice):
            return self._some(self.labels.new_tensor(_forward(index, len(self))))
        if not isinstance(index, Sequence | Tensor | np.ndarray) or getattr(index, "ndim", 1) == 0:
            number: Any = index
            row = operator.index(number)
            if not -len(self) <= row < len(self):
                raise IndexError(f"there is no detection {row}: the result has {len(self)}")
            return Detection(self._some(self.labels.new_tensor([row % len(self)])))
        return self._some(_picked(index, len(self)))

    def above(self, threshold: float) -> Result:
        """The detections that score at least ``threshold``.

        Raises:
            ValueError: the threshold is no number from 0 to 1.
        """
        return self._some(self.scores >= fraction("threshold", threshold))

    def filter(self, *, classes: Any = None, threshold: float = 0.0) -> Result:
        """The detections of some classes that score at least ``threshold``.

        Args:
            classes: names, numbers, or both; one or a list. None: all.
            threshold: the least score.

        Raises:
            ValueError: there is no such class (the message suggests one), or the threshold is not from 0 to 1.
        """
        some = self.above(threshold)
        if classes is None:
            return some
        wanted = chosen_labels(classes, self.classes)
        return some._some(torch.isin(some.labels, some.labels.new_tensor(wanted)))

    def plot(
        self,
        threshold: float = 0.0,
        *,
        boxes: bool = True,
        masks: bool = True,
        labels: bool = True,
        scores: bool = True,
        width: int | None = None,
        color_by: Literal["class", "instance"] = "class",
        font: str | Path | None = None,
    ) -> Any:
        """A PIL image with what was found drawn on it.

        Args:
            threshold: the least score of what is drawn.
            boxes: draw the frames.
            masks: tint the masks.
            labels: write the class names.
            scores: write the scores.
            width: pixels of a frame's line; default: by the size of the image.
            color_by: ``class`` or ``instance``: what has a colour of its own.
            font: a font file for the names; default: that in the environment variable DETZOO_FONT, else whichever on
                this machine has the letters.

        Raises:
            ValueError: there is no image to draw on, a number does not fit, or the font cannot be read.
        """
        style = Style(boxes, masks, labels, scores, width, color_by, font)
        return draw(self._found, self.image, fraction("threshold", threshold), style)

    def save(self, path: str | Path, threshold: float = 0.0, **switches: Any) -> Path:
        """Write what `plot` draws to an image file, whole or not at all, and return its path.

        Args:
            path: its suffix chooses the format.
            threshold: the least score of what is drawn.
            **switches: as for `plot`.

        Raises:
            OverwritesSource: the file is one that this call of `predict` read.
            ValueError: the suffix names no image format, or as for `plot`.
            OSError: the file cannot be written.
        """
        ReadFiles([self._file] if self._file else []).refuse(path, INSTEAD)
        self._read.refuse(path, INSTEAD)
        return write(lambda: self.plot(threshold, **switches), path)

    def show(self, threshold: float = 0.0, **switches: Any) -> None:
        """Show what `plot` draws: in the notebook, or in a window of the desktop's image viewer."""
        show(self.plot(threshold, **switches), title=self._where())

    def to_dict(self) -> list[dict[str, Any]]:
        """One dict per detection: ``box`` x1 y1 x2 y2, ``score``, ``label``, ``name``; ``mask``, COCO run lengths."""
        return to_dict(self._found)

    def to_json(self, indent: int | None = None) -> str:
        """What `to_dict` gives, as JSON text."""
        return json.dumps(self.to_dict(), indent=indent)

    def to_coco(
        self, image_id: int | str = 0, category_ids: Sequence[int | str] | Mapping[str, int | str] | None = None
    ) -> list[dict[str, Any]]:
        """COCO result entries: ``image_id``, ``category_id``, ``bbox`` x y width height, ``score``; ``segmentation``.

        Args:
            image_id: the data set's number of the image.
            category_ids: the data set's number of each class, by label or by name. None: COCO's own numbers (1 to 90)
                for a detector of COCO's 80 classes, and the labels, from 0, for any other.

        Raises:
            ValueError: a class has no number.
        """
        return to_coco(self._found, image_id, category_ids)

    def to_pandas(self) -> Any:
        """A pandas ``DataFrame``, a row per detection: name, label, score, x1, y1, x2, y2, path.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        try:
            import pandas  # pyright: ignore[reportMissingImports] (it need not be there)
        except ModuleNotFoundError:
            raise ModuleNotFoundError("to_pandas needs pandas: pip install pandas") from None
        columns = {"name": self.names, "label": self.labels.numpy(), "score": self.scores.numpy()}
        columns |= {name: self.boxes[:, place].numpy() for place, name in enumerate(("x1", "y1", "x2", "y2"))}
        path = None if self.path is None else str(self.path)
        return pandas.DataFrame(columns).assign(path=path)

    def to_supervision(self) -> Any:
        """A ``supervision.Detections``: boxes, masks, scores, labels, and the names as ``data["class_name"]``.

        Raises:
            ModuleNotFoundError: supervision is not installed.
        """
        return to_supervision(self)

    def to_fiftyone(self) -> Any:
        """A ``fiftyone.Detections``: boxes x y width height as parts of the image's, names, scores, masks in the boxes.

        Raises:
            ModuleNotFoundError: FiftyOne is not installed.
            ValueError: the size of the image is not known.
        """
        return to_fiftyone(self)

    def crops(self) -> list[NDArray[np.uint8]]:
        """What each box covers of the image, uint8 RGB ``(h, w, 3)``: every pixel that it touches, one at least.

        Raises:
            ValueError: there is no image to cut from.
        """
        image = self.image
        if image is None:
            raise ValueError("there is no picture to cut from: crops are those of a result of predict()")
        height, width = image.shape[:2]
        cuts = []
        for left, top, right, bottom in self.boxes.tolist():
            x, y = min(max(math.floor(left), 0), width - 1), min(max(math.floor(top), 0), height - 1)
            cuts.append(image[y : max(math.ceil(bottom), y + 1), x : max(math.ceil(right), x + 1)].copy())
        return cuts

    def counts(self) -> dict[str, int]:
        """How many of each class were found, the most frequent first."""
        names = self.names
        order = sorted(set(names), key=lambda name: (-names.count(name), name))
        return {name: names.count(name) for name in order}

    def summary(self) -> str:
        """What was found, most frequent first: ``3 person, 1 dog``; ``nothing``."""
        counts = [f"{count} {name}" for name, count in self.counts().items()]
        if len(counts) > MOST_KINDS:
            counts[MOST_KINDS:] = [f"{len(counts) - MOST_KINDS} more classes"]
        return printable(", ".join(counts) or "nothing")

    def __str__(self) -> str:
        size = f" {self.size[0]} x {self.size[1]}" if self.size else ""
        return f"{printable(self._where())}{size}: {self.summary()}"

    def __repr__(self) -> str:
        return f"<Result {self}>"

    def _where(self) -> str:
        return "image" if self.path is None else str(self.path)

    def _some(self, rows: Tensor) -> Result:
        return Result(self._found.pick(rows), self.size, read=self._read, file=self._file)


class Detection:
    """One of the detections of an image."""

    __slots__ = ("_alone",)

    def __init__(self, alone: Result) -> None:
        """Take it from a result with nothing else in it."""
        self._alone = alone

    @property
    def box(self) -> Tensor:
        """float32 ``(4,)``, x1 y1 x2 y2 in pixels of the image."""
        return self._alone.boxes[0]

    @property
    def score(self) -> float:
        """From 0 to 1."""
        return float(self._alone.scores[0])

    @property
    def label(self) -> int:
        """The class as its place in the detector's ``classes``."""
        return int(self._alone.labels[0])

    @property
    def name(self) -> str:
        """The class name."""
        return self._alone.names[0]

    @property
    def mask(self) -> Tensor | None:
        """bool ``(H, W)``, or None for a detector without masks."""
        masks = self._alone.masks
        return None if masks is None else masks[0]

    @property
    def polygons(self) -> list[NDArray[np.float32]] | None:
        """The mask's outlines, as in `Result.polygons`."""
        polygons = self._alone.polygons
        return None if polygons is None else polygons[0]

    def to_dict(self) -> dict[str, Any]:
        """``box``, ``score``, ``label``, ``name`` and ``mask`` as plain values; see `Result.to_dict`."""
        return self._alone.to_dict()[0]

    def __repr__(self) -> str:
        corners = " ".join(f"{value:.1f}" for value in self.box.tolist())
        return printable(f"<Detection {self.name} {self.score:.2f} at {corners}>")


def _size(found: Detections) -> tuple[int, int] | None:
    for shape in (
        None if found.picture is None else found.picture.shape[:2],
        found.canvas,
        None if found.dense is None else found.dense.shape[-2:],
    ):
        if shape is not None:
            return int(shape[0]), int(shape[1])
    return None


def _forward(index: slice, length: int) -> list[int]:
    """The numbers that a slice takes; tensors know no step backwards."""
    return list(range(*index.indices(length)))


def _picked(index: Sequence[Any] | Tensor | NDArray[Any], length: int) -> Tensor:
    """A checked mask ``(K,)``, or checked numbers."""
    given = np.asarray(index.cpu() if isinstance(index, Tensor) else index)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "biu"):
        raise TypeError("index a result by a number, a slice, a list of numbers, or a mask with one bool per detection")
    rows = torch.as_tensor(given, device="cpu")
    if rows.dtype == torch.bool:
        if len(rows) != length:
            raise IndexError(f"the mask has {len(rows)} values, but there are {length} detections")
        return rows
    rows = rows.long()
    outside = rows[(rows < -length) | (rows >= length)]
    if len(outside):
        raise IndexError(f"there is no detection {int(outside[0])}: the result has {length}")
    return rows
