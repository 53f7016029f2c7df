"""Small detectors and batches that every test of a method can afford."""

from __future__ import annotations

from typing import Any

import torch

from detzoo.detector import Detector
from detzoo.recipes.recipe import METHODS
from detzoo.types import Images, Targets

CLASSES = ("disc", "box", "star")
CANVAS = (96, 128)

# shrinks what a method shares with the others; a method without such a part ignores the entry
SMALL: dict[str, Any] = {
    "backbone": {"depth": 18},
    "neck": {"out_channels": 32},
    "rpn": {"channels": 32, "train_candidates": 50, "train_proposals": 40, "candidates": 50, "proposals": 40},
    "box_head": {"fc_channels": 32, "samples": 32, "detections": 10},
    "mask_head": {"channels": 32, "convs": 1},
    "encoder": {"layers": 1, "heads": 2, "hidden": 32, "dropout": 0.0},
    "decoder": {"layers": 2, "heads": 2, "hidden": 32, "dropout": 0.0},
    "head": {"channels": 32, "convs": 1, "detections": 10},
}


def tiny(method: type[Detector], **changes: Any) -> Detector:
    """A small detector of three classes with fixed weights."""
    torch.manual_seed(0)
    kind: Any = method.__dict__["Config"]
    settings = kind().model_dump()
    for part, values in {**SMALL, **changes}.items():
        if part in settings:
            settings[part] = {**settings[part], **values}
    return method(kind.model_validate(settings), CLASSES)


def images(count: int = 2) -> Images:
    """Noise; the last image is smaller than the canvas."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(count, 3, *CANVAS, generator=generator)
    sizes = torch.tensor([CANVAS] * count)
    sizes[-1] = torch.tensor([80, 100])
    return Images(pixels, sizes)


def targets(*counts: int) -> Targets:
    """As many random objects with masks per image as ``counts`` says."""
    generator = torch.Generator().manual_seed(2)
    items = []
    for count in counts:
        corner = torch.rand(count, 2, generator=generator) * 40
        size = 16 + torch.rand(count, 2, generator=generator) * 36
        boxes = torch.cat([corner, corner + size], 1)
        masks = torch.zeros(count, *CANVAS, dtype=torch.bool)
        for mask, box in zip(masks, boxes.long().tolist(), strict=True):
            mask[box[1] : box[3], box[0] : box[2]] = True
        labels = torch.randint(len(CLASSES), (count,), generator=generator)
        items.append({"boxes": boxes, "labels": labels, "masks": masks})
    return Targets.pack(items)


METHOD_IDS = [method.__name__ for method in METHODS]
