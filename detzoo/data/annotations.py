"""Annotations of a whole data set in a few flat arrays, cheap to hold and to share between processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class Strings:
    """Many strings in one bytes buffer: no Python object per entry, so forked workers never copy pages."""

    def __init__(self, values: list[str]) -> None:
        encoded = [value.encode() for value in values]
        self.ends = np.cumsum([len(value) for value in encoded], dtype=np.int64)
        self.buffer = np.frombuffer(b"".join(encoded), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> str:
        index = range(len(self))[index]
        start = self.ends[index - 1] if index else 0
        return self.buffer[start : self.ends[index]].tobytes().decode()


NO_MASK, POLYGONS, RLE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Annotations:
    """I images and M objects; the objects of image ``i`` are rows ``starts[i]:starts[i + 1]``.

    Attributes:
        classes: names by label.
        category_ids: int64 ``[C]``, the file's id of each label.
        image_ids: the file's id of each image: int64 ``[I]``, or `Strings` where ids are names.
        files: path of each image below the image folder; a generated image has a name only.
        sizes: int32 ``[I, 2]`` height and width; 0 where the file does not say.
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
    """

    classes: tuple[str, ...]
    category_ids: NDArray[np.int64]
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

    def __len__(self) -> int:
        return len(self.files)
