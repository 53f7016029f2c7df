"""Annotations of a whole data set in a few flat arrays, cheap to hold and to share between processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.context import get_spawning_popen
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detzoo.data import share
from detzoo.data.federated import Federated, joined


class Strings:
    """Many strings in one bytes buffer: no Python object per entry, so forked workers never copy pages."""

    def __init__(self, values: Sequence[str]) -> None:
        encoded = [value.encode(errors="surrogatepass") for value in values]
        self.ends = np.cumsum([len(value) for value in encoded], dtype=np.int64)
        self.buffer = np.frombuffer(b"".join(encoded), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> str:
        index = range(len(self))[index]
        start = self.ends[index - 1] if index else 0
        return self.buffer[start : self.ends[index]].tobytes().decode(errors="surrogatepass")


NO_MASK, POLYGONS, RLE = 0, 1, 2
_NUMBER = "\0"  # stands before an id that is a number among names


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Annotations:
    """I images and M objects; the objects of image ``i`` are rows ``starts[i]:starts[i + 1]``.

    Attributes:
        classes: names by label.
        category_ids: int64 ``[C]``, the file's id of each label; -1 for a class that the file does not have. Of type
            object where ids are names or have more than 64 bits.
        image_ids: the file's id of each image: int64 ``[I]``, or `Strings` where some are names; see `image_id`.
        files: path of each image below ``Data.root``; a generated image has a name only.
        sizes: int32 ``[I, 2]`` height and width.
        starts: int64 ``[I + 1]``.
        boxes: float32 ``[M, 4]`` xyxy pixels of the file, clipped to the image.
        labels: int32 ``[M]``.
        areas: float32 ``[M]`` pixels, as the file says (COCO: of the mask), else of the box.
        crowd: bool ``[M]``, COCO ``iscrowd``: a region of many objects, matched without penalty.
        ignore: bool ``[M]``, not to be learned nor counted (COCO ``ignore``, VOC ``difficult``).
        ids: int64 ``[M]``, the file's id of each object.
        mask_kind: uint8 ``[M]``: `NO_MASK`, `POLYGONS` or `RLE`.
        mask_ends: int64 ``[M]``, end of each object's bytes in ``mask_bytes``.
        mask_bytes: uint8 buffer, read through `detzoo.data.masks`.
        federated: which classes were looked for in which images; None: all in all.

    A worker process that is started afresh (not forked) maps the arrays from one temporary file instead of receiving
    a copy of its own.
    """

    classes: tuple[str, ...]
    category_ids: NDArray[np.int64] | NDArray[np.object_]
    image_ids: NDArray[np.int64] | Strings
    files: Strings
    sizes: NDArray[np.int32]
    starts: NDArray[np.int64]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int32]
    areas: NDArray[np.float32]
    crowd: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    ids: NDArray[np.int64]
    mask_kind: NDArray[np.uint8]
    mask_ends: NDArray[np.int64]
    mask_bytes: NDArray[np.uint8]
    federated: Federated | None = None

    def __len__(self) -> int:
        return len(self.files)

    def rows(self, image: int) -> slice:
        """The objects of one image."""
        return slice(int(self.starts[image]), int(self.starts[image + 1]))

    def image_of(self) -> NDArray[np.int64]:
        """int64 ``[M]``, the image of each object."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def image_id(self, image: int) -> int | str:
        """The file's id of one image as a plain value."""
        value = self.image_ids[image]
        if not isinstance(value, str):
            return int(value)
        return int(value[1:]) if value.startswith(_NUMBER) else value

    def memory(self) -> int:
        """Bytes that the arrays occupy."""
        arrays = [getattr(self, field.name) for field in dataclasses.fields(self)]
        if self.federated is not None:
            arrays += [self.federated.absent, self.federated.partial]
        arrays += [array for strings in arrays if isinstance(strings, Strings) for array in vars(strings).values()]
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if get_spawning_popen() is None:
            return _build, (fields,)
        return _attach, share.publish(self, fields)


def _build(fields: dict[str, Any]) -> Annotations:
    return Annotations(**fields)


def _attach(path: str, payload: bytes, lengths: list[int]) -> Annotations:
    return Annotations(**share.attach(path, payload, lengths))


@dataclass(frozen=True, slots=True)
class Columns:
    """Objects as a reader found them: the columns of `Annotations`, in the file's order, and their images.

    Attributes:
        image: int64 ``[M]`` row of each object's image.
        masks: encoded bytes of all masks, one after the other.
        mask_lengths: int64 ``[M]`` bytes of each mask.
    """

    image: NDArray[np.int64]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int32]
    areas: NDArray[np.float32]
    crowd: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    ids: NDArray[np.int64]
    mask_kind: NDArray[np.uint8]
    mask_lengths: NDArray[np.int64]
    masks: NDArray[np.uint8]


def arrange(
    columns: Columns,
    keep: NDArray[np.bool_],
    classes: Sequence[str],
    category_ids: Sequence[int | str],
    image_ids: Sequence[int | str],
    files: Sequence[str],
    sizes: NDArray[np.int32],
    federated: Federated | None = None,
) -> Annotations:
    """Annotations from columns: the kept objects, sorted by image, in the file's order within an image."""
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(columns.image[rows], kind="stable")]
    mask_bytes, mask_ends = take_bytes(columns.masks, np.cumsum(columns.mask_lengths), rows)
    counts = np.bincount(columns.image[rows], minlength=len(files))
    return Annotations(
        classes=tuple(classes),
        category_ids=_category_ids(category_ids),
        image_ids=_ids(image_ids),
        files=Strings(files),
        sizes=sizes,
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        boxes=columns.boxes[rows],
        labels=columns.labels[rows],
        areas=columns.areas[rows],
        crowd=columns.crowd[rows],
        ignore=columns.ignore[rows],
        ids=columns.ids[rows],
        mask_kind=columns.mask_kind[rows],
        mask_ends=mask_ends,
        mask_bytes=mask_bytes,
        federated=federated,
    )


def _ids(values: Sequence[int | str]) -> NDArray[np.int64] | Strings:
    if all(isinstance(value, int) and abs(value) < 2**63 for value in values):
        return np.array(values, dtype=np.int64)
    return Strings([value if isinstance(value, str) else f"{_NUMBER}{value}" for value in values])


def _category_ids(values: Sequence[int | str]) -> NDArray[np.int64] | NDArray[np.object_]:
    small = all(isinstance(value, int) and abs(value) < 2**63 for value in values)
    return np.array(values, dtype=np.int64) if small else np.array(values, dtype=object)


def take_bytes(
    buffer: NDArray[np.uint8], ends: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pieces ``rows`` of a buffer whose pieces end at ``ends``, joined in that order, and their new ends."""
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(ends) else ends
    lengths = (ends - starts)[rows]
    new_ends = np.cumsum(lengths, dtype=np.int64)
    out = np.empty(int(new_ends[-1]) if len(rows) else 0, dtype=np.uint8)
    step = 16384  # rows at a time: the index below has 8 bytes for every byte moved
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        begin = int(new_ends[first] - lengths[first])
        end = int(new_ends[part][-1])
        shift = np.repeat(starts[rows[part]] - (new_ends[part] - lengths[part]), lengths[part])
        out[begin:end] = buffer[np.arange(begin, end) + shift]
    return out, new_ends


def relabel(annotations: Annotations, classes: Sequence[str]) -> Annotations:
    """The same images with labels that count along ``classes``; objects of other classes are left out."""
    if tuple(classes) == annotations.classes:
        return annotations
    label_of = {name: label for label, name in enumerate(classes)}
    known = dict(zip(annotations.classes, annotations.category_ids.tolist(), strict=True))
    table = np.array([label_of.get(name, -1) for name in annotations.classes] or [-1], dtype=np.int32)
    labels = table[annotations.labels]
    rows = np.flatnonzero(labels >= 0)
    kept_before = np.concatenate([[0], np.cumsum(labels >= 0)]).astype(np.int64)
    mask_bytes, mask_ends = take_bytes(annotations.mask_bytes, annotations.mask_ends, rows)
    columns = {name: getattr(annotations, name)[rows] for name in PER_OBJECT}
    federated = annotations.federated and annotations.federated.of_classes(table, len(classes))
    return dataclasses.replace(
        annotations,
        **{**columns, "labels": labels[rows]},
        classes=tuple(classes),
        category_ids=_category_ids([known.get(name, -1) for name in classes]),
        starts=kept_before[annotations.starts],
        mask_bytes=mask_bytes,
        mask_ends=mask_ends,
        federated=federated,
    )


PER_OBJECT = ("boxes", "labels", "areas", "crowd", "ignore", "ids", "mask_kind")


def concatenate(parts: Sequence[Annotations]) -> Annotations:
    """Several annotated sets with the same classes as one."""
    if len(parts) == 1:
        return parts[0]
    images = [part.image_id(image) for part in parts for image in range(len(part))]
    files = [part.files[image] for part in parts for image in range(len(part))]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in PER_OBJECT}
    ids = zip(*(part.category_ids.tolist() for part in parts), strict=True)
    return Annotations(
        **columns,
        classes=parts[0].classes,
        category_ids=_category_ids([next((id for id in each if id != -1), -1) for each in ids]),
        image_ids=_ids(images),
        files=Strings(files),
        sizes=np.concatenate([part.sizes for part in parts]),
        starts=_join_ends([part.starts for part in parts], leading=True),
        mask_ends=_join_ends([part.mask_ends for part in parts], leading=False),
        mask_bytes=np.concatenate([part.mask_bytes for part in parts]),
        federated=joined([part.federated for part in parts], map(len, parts)),
    )


def _join_ends(parts: Sequence[NDArray[np.int64]], leading: bool) -> NDArray[np.int64]:
    """Running ends of consecutive buffers; ``leading``: each starts with a 0 that only the first keeps."""
    out: list[NDArray[np.int64]] = []
    base = 0
    for number, part in enumerate(parts):
        out.append(part[1 if leading and number else 0 :] + base)
        base += int(part[-1]) if len(part) else 0
    return np.concatenate(out)
