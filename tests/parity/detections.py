"""Final results against recorded ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from detzoo.detector import Detector
from detzoo.ops.boxes import clip
from detzoo.types import Detections, Images
from tests.parity import standin
from tests.parity.golden import KEPT, Golden

# per image [M, 2]: the number of a recorded detection and that of ours
Pairs = dict[int, np.ndarray]
Found = Detections | Sequence[Detections]  # a batch, or its images


def detect(model: Detector, images: Images) -> Detections:
    """Detections of the recorded images, of the stand-in proposals where a method takes them."""
    if not model.takes_proposals:
        return model.detect(images)
    boxes = [standin.proposals(index, *size) for index, size in enumerate(images.sizes.tolist())]
    return model.detect(images, proposals=boxes)  # pyright: ignore[reportCallIssue] (only such a method has it)


def pair(golden: Golden, found: Found, reach_out: bool = False) -> tuple[Pairs, dict[str, float]]:
    """Every recorded detection with the nearest of ours of its class, and how far apart they are.

    Paired greedily, the best recorded score first. Far apart is the larger of the scores' difference and the boxes', as
    a share of the canvas' longer edge; infinitely, what has no counterpart. Recorded boxes may ``reach_out`` of the
    image, where ours end.
    """
    pairs: Pairs = {}
    differences: dict[str, float] = {}
    for image, count in enumerate(golden.found):
        boxes, scores, labels = (
            torch.from_numpy(golden.arrays[f"pred.{image}.{part}"]) for part in ("boxes", "scores", "labels")
        )
        if reach_out:
            boxes = clip(boxes.unsqueeze(0), torch.tensor([golden.sizes[image]]))[0]
        ours = found[image]
        apart = (boxes[:, None] - ours.boxes).abs().amax(-1) / max(golden.canvas)
        apart = apart.maximum((scores[:, None] - ours.scores).abs())
        apart[labels[:, None] != ours.labels] = torch.inf
        some = []
        for index in range(len(boxes)):
            nearest = int(apart[index].argmin()) if len(ours) else -1
            differences[f"pred.{image}.{index}"] = float(apart[index, nearest]) if len(ours) else math.inf
            if differences[f"pred.{image}.{index}"] < math.inf:
                some.append((index, nearest))
                apart[:, nearest] = torch.inf
        pairs[image] = np.array(some, dtype=np.int64).reshape(-1, 2)
        assert len(boxes) == min(count, KEPT)
        differences[f"pred.{image}: {len(ours)} detections, recorded {count}"] = math.inf if len(ours) != count else 0.0
    return pairs, differences


def mask_differences(golden: Golden, found: Found, pairs: Pairs) -> dict[str, float]:
    """Share of differing pixels of each recorded mask.

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
