"""What travels through detzoo. Every shape, unit and coordinate origin is said here, once.

Letters: N images, G object slots, K detection slots, P proposal slots, H x W the padded canvas.
Boxes are ``x1, y1, x2, y2`` in pixels, continuous coordinates: the origin is the top left corner of the top
left pixel, so a box that covers a whole image is ``0, 0, W, H`` and its width is ``x2 - x1``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

import detzoo
from detzoo.ops.mask_windows import MaskWindows
from detzoo.ops.masks import paste

if TYPE_CHECKING:
    from pathlib import Path


class _Tensors:
    """Moves every tensor field of a dataclass at once."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """A copy with every tensor on ``device``."""
        return self._each(lambda value: value.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """A copy in memory from which a device reads faster; a `torch.utils.data.DataLoader` calls it."""
        return self._each(lambda value: value.pin_memory())

    def _each(self, change: Callable[[Any], Any]) -> Self:
        fields = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))  # type: ignore[arg-type]
        changed = {name: change(value) for name, value in fields if isinstance(value, (Tensor, MaskWindows, _Tensors))}
        return dataclasses.replace(self, **changed)  # type: ignore[type-var]


@dataclass(frozen=True, slots=True)
class Images(_Tensors):
    """A batch as the network takes it.

    Attributes:
        pixels: float32 ``[N, 3, H, W]``, normalized, zero-padded at right and bottom.
        sizes: int64 ``[N, 2]``, height and width of each image without padding.
        scales: float32 ``[N, 2]``, pixels here per pixel of the image file, down and across; None: 1. For methods that
            bound or round boxes in pixels of the file, as their originals do.
    """

    pixels: Tensor
    sizes: Tensor
    scales: Tensor | None = None

    def in_files(self) -> tuple[Tensor, Tensor]:
        """`scales`, or 1, as ``[N, 2]`` (down, across) and as boxes have them, ``[N, 1, 4]`` (x, y, x, y)."""
        scales = torch.ones_like(self.sizes, dtype=torch.float32) if self.scales is None else self.scales
        return scales, scales.flip(1).repeat(1, 2).unsqueeze(1)


def bucket(count: int, smallest: int = 4) -> int:
    """The number of slots for ``count`` objects: the next power of two, so that few shapes occur."""
    return max(smallest, 1 << (count - 1).bit_length() if count > 1 else 1)


@dataclass(frozen=True, slots=True)
class Targets(_Tensors):
    """Ground truth of a batch, padded to G slots per image.

    Attributes:
        boxes: float32 ``[N, G, 4]`` xyxy pixels of the network input; zero in unused slots.
        labels: int64 ``[N, G]``, 0-based class; zero in unused slots.
        valid: bool ``[N, G]``, slots that hold an object to be learned.
        ignore: bool ``[N, G]``, slots that hold a region to be left out (crowds, difficult objects); never also valid.
        masks: of the objects, on the padded canvas, or None. Held as windows: ``masks.shape`` is ``(N, G, H, W)``, but
            the memory is that of the objects' own areas; ``masks.dense()`` is bool ``[N, G, H, W]``.
        semantic: int64 ``[N, H', W']`` class map, 255 where nothing is known, or None. H' and W' are those of the
            canvas or an even part of them, as an eighth: of every 8 pixels the first.
        proposals: float32 ``[N, P, 4]`` precomputed boxes, or None.
        proposals_valid: bool ``[N, P]``, or None.
        shares: float32 ``[N, G]``, what an object counts, 0 to 1: its picture's share in a mixture of two; None: 1.
    """

    boxes: Tensor
    labels: Tensor
    valid: Tensor
    ignore: Tensor
    masks: MaskWindows | None = None
    semantic: Tensor | None = None
    proposals: Tensor | None = None
    proposals_valid: Tensor | None = None
    shares: Tensor | None = None

    @classmethod
    def pack(cls, items: Sequence[Mapping[str, Any]], slots: int | None = None) -> Self:
        """Pad one dict per image into a batch.

        Args:
            items: per image ``boxes`` (M, 4) xyxy pixels, ``labels`` (M,) int64, and where they exist ``masks``
                (M, H, W) bool on the padded canvas, or that image's `MaskWindows`, ``ignore`` (M,) bool, ``semantic``
                (H', W') integer, ``proposals`` (P, 4) and ``shares`` (M,), 1 in images without.
            slots: G; default the bucketed maximum of M.

        Raises:
            ValueError: no image, a length that differs from its boxes, an unknown key, masks on different canvases, or
                more objects than ``slots``.
        """
        if not items:
            raise ValueError("Targets.pack needs at least one image")
        for index, item in enumerate(items):
            _check_item(index, item)
        most = max(len(item["boxes"]) for item in items)
        count = bucket(most) if slots is None else slots
        if most > count:
            raise ValueError(f"{most} objects do not fit {count} slots")
        device = items[0]["boxes"].device
        boxes = _pad([item["boxes"].reshape(-1, 4).float() for item in items], count)
        exists = _pad([torch.ones(len(item["boxes"]), dtype=torch.bool, device=device) for item in items], count)
        empty = torch.zeros(0, dtype=torch.bool, device=device)
        ignore = _pad([item.get("ignore", empty).bool() for item in items], count)
        masks = semantic = proposals = proposals_valid = shares = None
        if any("masks" in item for item in items):
            height, width = next(item["masks"].shape[-2:] for item in items if "masks" in item)
            none = MaskWindows.of(torch.zeros(0, height, width, device=device))
            masks = MaskWindows.join([_windows(item.get("masks", none)) for item in items], count)
        if all("semantic" in item for item in items):
            semantic = torch.stack([item["semantic"].long() for item in items])
        if all("proposals" in item for item in items):
            proposals, proposals_valid = pad_boxes([item["proposals"] for item in items])
        if any("shares" in item for item in items):
            ones = (torch.ones(len(item["boxes"]), device=device) for item in items)
            shares = _pad([item.get("shares", one).float() for item, one in zip(items, ones, strict=True)], count)
        return cls(
            boxes=boxes,
            labels=_pad([item["labels"].reshape(-1).long() for item in items], count),
            valid=exists & ~ignore,
            ignore=ignore,
            masks=masks,
            semantic=semantic,
            proposals=proposals,
            proposals_valid=proposals_valid,
            shares=shares,
        )


_TARGET_KEYS = ("boxes", "labels", "masks", "ignore", "semantic", "proposals", "shares")


def _windows(masks: Tensor | MaskWindows) -> MaskWindows:
    return masks if isinstance(masks, MaskWindows) else MaskWindows.of(masks)


def _check_item(index: int, item: Mapping[str, Any]) -> None:
    for key in ("boxes", "labels"):
        if key not in item:
            raise ValueError(f"image {index} has no {key!r}")
    for key in item:
        if key not in _TARGET_KEYS:
            raise ValueError(f"image {index}: {key!r} is not one of {', '.join(_TARGET_KEYS)}")
    for key in ("labels", "masks", "ignore", "shares"):
        if key in item and len(item[key]) != len(item["boxes"]):
            raise ValueError(f"image {index} has {len(item['boxes'])} boxes but {len(item[key])} {key}")


def pad_boxes(boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Boxes ``(P_i, 4)`` of each image as float32 ``[N, P, 4]``, P bucketed, and bool ``[N, P]``: slots in use."""
    given = [some.reshape(-1, 4).float() for some in boxes]
    slots = bucket(max(len(some) for some in given))
    exists = [torch.ones(len(some), dtype=torch.bool, device=some.device) for some in given]
    return _pad(given, slots), _pad(exists, slots)


def _pad(rows: Sequence[Tensor], count: int) -> Tensor:
    out = rows[0].new_zeros((len(rows), count, *rows[0].shape[1:]))
    for index, row in enumerate(rows):
        out[index, : len(row)] = row
    return out


@dataclass(frozen=True, slots=True)
class Detections(_Tensors):
    """What a method found. Batched as a method returns them, or one image's after indexing; the leading N is then gone.

    Instance masks come in one of two forms: ``crops``, mask probabilities on a grid spanning each box (or what
    ``crop_boxes`` says), or ``dense`` canvas-sized masks. `masks` gives canvas-sized masks from either; a caller that
    only needs run lengths or a drawing reads ``crops`` and pays for the areas of the masks alone.

    Attributes:
        boxes: float32 ``[N, K, 4]`` xyxy pixels: of the network input from ``detect``, of the original image
            from ``predict``.
        scores: float32 ``[N, K]`` in [0, 1], sorted descending; 0 in unused slots.
        labels: int64 ``[N, K]`` 0-based class; 0 in unused slots.
        valid: bool ``[N, K]``, slots that hold a detection.
        crops: float32 ``[N, K, h, w]`` mask probabilities inside each box, or None.
        crop_boxes: float32 ``[N, K, 4]`` xyxy pixels, what crops span where that is not their boxes, or None.
        dense: bool ``[N, K, H, W]`` masks on the canvas, or None.
        canvas: ``(H, W)`` that `masks` are pasted on; None where there are no crops.
        mask_threshold: a pixel is inside where its pasted probability is at least this.
        classes: class names by label, or None. Set by ``predict``, as is what follows.
        picture: uint8 RGB array ``[H, W, 3]`` that one image's detections belong to, or None.
        path: file that the image came from, or None.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    valid: Tensor
    crops: Tensor | None = None
    crop_boxes: Tensor | None = None
    dense: Tensor | None = None
    canvas: tuple[int, int] | None = None
    mask_threshold: float = 0.5
    classes: tuple[str, ...] | None = None
    picture: Any = None
    path: str | Path | None = None

    def with_crops(self, crops: Tensor, images: Images, threshold: float) -> Detections:
        """These with mask probabilities ``crops [N, K, h, w]`` inside their boxes, for the canvas of ``images``.

        Pixels of at least ``threshold`` are inside.
        """
        height, width = images.pixels.shape[-2:]
        return dataclasses.replace(self, crops=crops, canvas=(height, width), mask_threshold=threshold)

    @property
    def batched(self) -> bool:
        """Whether there is a leading N."""
        return self.boxes.dim() == 3

    def __len__(self) -> int:
        """Images if batched, detections otherwise."""
        return len(self.boxes)

    def __getitem__(self, index: int) -> Detections:
        """Image ``index`` of a batch, without padding.

        Raises:
            TypeError: the result is one image's already.
            IndexError: there is no such image.
        """
        if not self.batched:
            raise TypeError("this is one image's result; read its boxes, scores, labels and masks")
        keep = self.valid[index]
        picked = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                picked[field.name] = value[index][keep]
        return dataclasses.replace(self, **picked)

    def pick(self, rows: Tensor) -> Detections:
        """Some of one image's detections: by a mask, bool ``[K]``, or by their numbers, int64 ``[M]``.

        Raises:
            TypeError: these are a batch.
        """
        if self.batched:
            raise TypeError("index the batch first: its images have different detections")
        fields = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return dataclasses.replace(self, **{name: value[rows] for name, value in fields if isinstance(value, Tensor)})

    @property
    def names(self) -> list[str]:
        """Class name of each detection of one image.

        Raises:
            TypeError: the result is a batch.
        """
        if self.batched:
            raise TypeError("index the batch first: names belong to one image")
        labels = self.labels.tolist()
        return [self.classes[label] if self.classes else str(label) for label in labels]

    @property
    def mask_boxes(self) -> Tensor:
        """What ``crops`` span: float32 ``[N, K, 4]`` xyxy pixels."""
        return self.boxes if self.crop_boxes is None else self.crop_boxes

    @property
    def masks(self) -> Tensor | None:
        """Bool ``[N, K, H, W]`` (one image: ``[K, H, W]``) on the canvas, or None for a detector without masks."""
        if self.dense is not None or self.crops is None:
            return self.dense
        if self.canvas is None:
            raise ValueError("mask crops need a canvas to be pasted on")
        crops, boxes = self.crops.flatten(0, -3), self.mask_boxes.reshape(-1, 4)
        pasted = paste(crops, boxes, self.canvas, self.mask_threshold)
        return pasted.reshape(*self.boxes.shape[:-1], *self.canvas)

    def result(self) -> detzoo.Result:
        """One image's detections as `detzoo.Result`, which draws, filters and writes them.

        Raises:
            TypeError: these are a batch.
        """
        return detzoo.Result(self)

    def plot(self, threshold: float = 0.0, **switches: Any) -> Any:
        """Short for ``result().plot(...)``: a PIL image with boxes, masks and names drawn on it."""
        return self.result().plot(threshold, **switches)

    def save(self, path: str | Path, threshold: float = 0.0, **switches: Any) -> Path:
        """Short for ``result().save(...)``: write `plot` to an image file and return its path."""
        return self.result().save(path, threshold, **switches)

    def to_dict(self) -> list[dict[str, Any]]:
        """Short for ``result().to_dict()``: one dict per detection."""
        return self.result().to_dict()

    def to_coco(self, image_id: int | str = 0, **ids: Any) -> list[dict[str, Any]]:
        """Short for ``result().to_coco(...)``: COCO result entries."""
        return self.result().to_coco(image_id, **ids)


@dataclass(frozen=True, slots=True)
class Batch(_Tensors):
    """What a loader yields: pixels still as they were decoded and resized, to be normalized on the device.

    Attributes:
        pixels: uint8 ``[N, 3, H, W]`` RGB, zero-padded at right and bottom.
        sizes: int64 ``[N, 2]`` height and width without padding.
        targets: ground truth in the same pixels.
        ids: the data set's image id of each image.
        original_sizes: int64 ``[N, 2]`` height and width of the image files.
        paths: the file of each image, or a name for a generated one.
        views: the same images at other scales, each as ``pixels`` and ``sizes`` of it.
    """

    pixels: Tensor
    sizes: Tensor
    targets: Targets
    ids: list[int | str]
    original_sizes: Tensor
    paths: list[str]
    views: tuple[tuple[Tensor, Tensor], ...] = ()
