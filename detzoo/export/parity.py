"""How far the results of an exported file are from those of the detector that it was made of."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detzoo.data.canvases import padded
from detzoo.data.resize import resize
from detzoo.detector import Detector
from detzoo.evaluate.inference import detect_on_host
from detzoo.evaluate.tta import parts_with
from detzoo.ops.boxes import pairwise_iou
from detzoo.typed import argument
from detzoo.types import Detections

SCORES, PIXELS = 1e-3, 0.5  # of a file in fp32, how far it may be off
SAME = 0.5  # IoU from which two boxes of a class may be one detection


@dataclass(frozen=True)
class Differences:
    """The largest differences over some pictures.

    Attributes:
        scores: between detections of both, and of one that only one has, by how much it is above what is left out.
        boxes: pixels of the network's input, between detections of both.
        masks: between detections of both: probability on the grid, or the part of the pixels that differ.
        detections: of the detector.
        alone: detections that only one of the two has.
        pictures: that were looked at.
    """

    scores: float = 0.0
    boxes: float = 0.0
    masks: float | None = None
    detections: int = 0
    alone: int = 0
    pictures: int = 0

    def within(self, scores: float = SCORES, pixels: float = PIXELS) -> bool:
        """Whether they are small enough."""
        return self.scores <= scores and self.boxes <= pixels

    def to_json(self, **more: Any) -> str:
        """As text, with ``more`` values."""
        return json.dumps({**more, **dataclasses.asdict(self)}, indent=2)

    def __str__(self) -> str:
        """One line."""
        if not self.detections and not self.alone:
            mend = f"name some of yours with {argument('pictures', 'photos')}"
            return f"nothing is found in {self.pictures} pictures, so that nothing was compared: {mend}"
        masks = "" if self.masks is None else f", masks by {self.masks:.2g}"
        alone = f", {self.alone} found by one of the two only" if self.alone else ""
        some = f"{self.detections} detections in {self.pictures} pictures: scores differ by {self.scores:.2g}"
        return f"{some}, boxes by {self.boxes:.2g} pixels{masks}{alone}"


def differences(detector: Detector, exported: Detector, pictures: Sequence[NDArray[np.uint8]]) -> Differences:
    """Of two detectors with the same input settings.

    Args:
        detector: in any mode.
        exported: the other.
        pictures: uint8 RGB ``(H, W, 3)``, seen one at a time, the last one twice at once.
    """
    total = Differences()
    settings = exported.config.input
    least = float(getattr(next(parts_with("detections", detector.config), None), "threshold", 0.0))
    for number, picture in enumerate(pictures, 1):
        images = [resize(picture, settings)[0]] * (1 if number < len(pictures) else 2)
        pixels, sizes = padded(images, settings)
        boxes = None
        if detector.takes_proposals:  # the picture and its quarters
            corners = [(x, y, x + side, y + side) for side in (1.0, 0.5) for x in (0, 0.5) for y in (0, 0.5)]
            parts = torch.tensor(corners).clamp(max=1)
            boxes = parts * sizes.flip(1).repeat(1, 2).unsqueeze(1)
        both = [detect_on_host(one, pixels, sizes, boxes) for one in (detector, exported)]
        found = (_compared(both[0], both[1], image, least) for image in range(len(images)))
        total = _larger(total, *found)
    return total


def _compared(one: Detections, two: Detections, image: int, least: float) -> Differences:
    """Of one image: each detection goes with the other's of its class that it overlaps most.

    What one of the two lacks may have been the next in its list, or at the ``least`` score.
    """
    found, other = one[image], two[image]
    floors = [float(whole.scores[image].min()) if whole.valid[image].all() else least for whole in (one, two)]
    overlap = pairwise_iou(found.boxes, other.boxes)
    near = (found.boxes.unsqueeze(1) - other.boxes).abs().amax(-1) <= PIXELS
    overlap[near] = 1.0  # also of boxes without an area, which overlap nothing
    overlap *= found.labels.unsqueeze(1) == other.labels
    pairs: list[tuple[int, int]] = []
    while overlap.numel() and float(overlap.max()) > SAME:
        row, column = divmod(int(overlap.argmax()), overlap.shape[1])
        pairs.append((row, column))
        overlap[row], overlap[:, column] = 0, 0
    mine, theirs = (torch.tensor([pair[side] for pair in pairs], dtype=torch.int64) for side in (0, 1))
    kept, partner = found.pick(mine), other.pick(theirs)
    alone = [_without(found, mine).scores - floors[1], _without(other, theirs).scores - floors[0]]
    masks = None
    if kept.crops is not None and partner.crops is not None:
        masks = _largest((kept.crops - partner.crops).abs())
    if kept.dense is not None and partner.dense is not None:
        masks = _largest((kept.dense ^ partner.dense).float().flatten(1).mean(1))
    return Differences(
        scores=max(_largest((kept.scores - partner.scores).abs()), *(_largest(some) for some in alone)),
        boxes=_largest((kept.boxes - partner.boxes).abs()),
        masks=masks,
        detections=len(found.scores),
        alone=sum(len(some) for some in alone),
        pictures=1,
    )


def _without(found: Detections, rows: Tensor) -> Detections:
    others = torch.ones(len(found.scores), dtype=torch.bool)
    others[rows] = False
    return found.pick(others)


def _largest(values: Tensor) -> float:
    return float(values.max()) if values.numel() else 0.0


def _larger(*some: Differences) -> Differences:
    masks = [one.masks for one in some if one.masks is not None]
    return Differences(
        scores=max(one.scores for one in some),
        boxes=max(one.boxes for one in some),
        masks=max(masks) if masks else None,
        detections=sum(one.detections for one in some),
        alone=sum(one.alone for one in some),
        pictures=sum(one.pictures for one in some),
    )
