"""Final results against recorded ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from detzoo.detector import Detector
from detzoo.methods.fast_rcnn import FastRCNN
from detzoo.types import Detections, Images
from tests.parity import standin
from tests.parity.golden import KEPT, Golden

Pairs = dict[int, np.ndarray]


def detect(model: Detector, images: Images, golden: Golden) -> Detections:
    """Detections of the recorded images, of the stand-in proposals where a method takes them."""
    if isinstance(model, FastRCNN):
        return model.detect(images, proposals=[standin.proposals(i, *size) for i, size in enumerate(golden.sizes)])
    return model.detect(images)


def close_pairs(golden: Golden, found: Detections) -> tuple[Pairs, int]:
    """Recorded and our detections that agree, and how many there are of whichever side has more.

    Paired greedily with the nearest box of their class, the best recorded score first.

    Returns:
        Per image ``[M, 2]``, the number of a recorded detection and that of ours; and the total.
    """
    total, pairs = 0, {}
    for image in range(len(golden.sizes)):
        boxes, scores, labels = _recorded(golden, image)
        ours = found[image]
        apart = (boxes[:, None] - ours.boxes).abs().amax(-1) + (scores[:, None] - ours.scores).abs()
        apart[labels[:, None] != ours.labels] = torch.inf
        some = []
        for index, box in enumerate(boxes):
            best = int(apart[index].argmin()) if len(ours) else -1
            if best < 0 or apart[index, best].isinf():
                continue
            near = (ours.boxes[best] - box).abs() <= 0.05 + 1e-4 * box.abs()
            if near.all() and abs(float(ours.scores[best] - scores[index])) <= 1e-4:
                some.append((index, best))
                apart[:, best] = torch.inf
        pairs[image] = np.array(some, dtype=np.int64).reshape(-1, 2)
        total += max(len(boxes), min(len(ours), KEPT))
    return pairs, total


def mask_differences(golden: Golden, found: Detections, pairs: Pairs) -> dict[str, float]:
    """Share of differing pixels of each recorded mask of a detection that agrees.

    Boxes without area are left out: the original gives them a line of pixels (a division by zero that it replaces by
    the middle of the crop), detzoo an empty mask.
    """
    differences = {}
    for image, (height, width) in enumerate(golden.sizes):
        shape = golden.arrays[f"pred.{image}.masks_shape"]
        bits = np.unpackbits(golden.arrays[f"pred.{image}.masks"], count=int(np.prod(shape)))
        wanted = bits.reshape(shape).astype(bool)
        ours = found[image].masks
        assert ours is not None
        boxes = golden.arrays[f"pred.{image}.boxes"]
        for theirs, index in pairs[image]:
            if theirs < len(wanted) and (boxes[theirs, 2:] > boxes[theirs, :2]).all():
                mask = ours[index, :height, :width].numpy()
                either = max((wanted[theirs] | mask).sum(), 1)
                differences[f"pred.{image}.masks.{theirs}"] = float((wanted[theirs] ^ mask).sum() / either)
    return differences


def _recorded(golden: Golden, image: int) -> tuple[Tensor, Tensor, Tensor]:
    boxes, scores, labels = (golden.arrays[f"pred.{image}.{part}"] for part in ("boxes", "scores", "labels"))
    return torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(labels)
