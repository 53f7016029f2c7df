"""A method's raw head outputs, under the names and in the layout that the originals recorded them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detzoo.blocks.rpn import Proposals
from detzoo.methods.cornernet import CornerNet
from detzoo.methods.detr import DETR
from detzoo.methods.fast_rcnn import FastRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.fcos import FCOS
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.rpn import RPNDetector
from detzoo.methods.ssd import SSD
from detzoo.methods.yolov3 import YOLOv3
from detzoo.ops.roi_align import Atlas, build_atlas
from detzoo.types import Images
from tests.parity import standin
from tests.parity.golden import Golden, thin, thin_index
from tests.parity.raw_cornernet import corner_outputs
from tests.parity.raw_detr import detr_outputs
from tests.parity.raw_fcos import raw_fcos
from tests.parity.ties import TIE

MASKED = 100  # first proposals of the batch whose masks are recorded


def raw_outputs(model: nn.Module, images: Images, features: Sequence[Tensor], golden: Golden) -> dict[str, np.ndarray]:
    """Thinned raw outputs by recorded name, ``raw.<part>.<level>``.

    Raises:
        TypeError: nothing is known of this method's outputs.
    """
    if isinstance(model, (RetinaNet, RPNDetector, SSD)):
        parts = model.rpn(features) if isinstance(model, RPNDetector) else model.heads(features)
        return {f"raw.{p}.{i}": thin(level) for p, levels in enumerate(parts) for i, level in enumerate(levels)}
    if isinstance(model, FCOS):
        return raw_fcos(model, features)
    if isinstance(model, FastRCNN):
        return _of_given(model, features, golden)
    if isinstance(model, CornerNet):
        return corner_outputs(model, features)
    if isinstance(model, YOLOv3):
        return {f"raw.0.{i}": thin(level) for i, level in enumerate(model.maps(features))}
    if isinstance(model, DETR):
        return detr_outputs(model, images, features)
    if isinstance(model, (FasterRCNN, MaskRCNN)):
        return _two_stage(model, images, features, golden)
    raise TypeError(f"no raw outputs are known of {type(model).__name__}")


def _of_given(model: FastRCNN, features: Sequence[Tensor], golden: Golden) -> dict[str, np.ndarray]:
    """Outputs for the stand-in proposals of all images, one after the other."""
    boxes = torch.stack([standin.proposals(index, *size) for index, size in enumerate(golden.sizes)])
    atlas = build_atlas(list(features[: model.roi_levels]), model.neck.strides[: model.roi_levels])
    return {f"raw.0.{i}": thin(part.flatten(2)) for i, part in enumerate(model.box_head(atlas, boxes))}


def _two_stage(
    model: FasterRCNN | MaskRCNN, images: Images, features: Sequence[Tensor], golden: Golden
) -> dict[str, np.ndarray]:
    """Outputs for all proposals of all images, one after the other."""
    proposals = model.rpn.propose(model.rpn(features), images, training=False)
    atlas = build_atlas(list(features[: model.roi_levels]), model.neck.strides[: model.roi_levels])
    logits, offsets = (part.flatten(2)[proposals.valid] for part in model.box_head(atlas, proposals.boxes))
    order = _order(proposals, logits.numpy(), golden.arrays["raw.0.0"])
    outputs = {"raw.0.0": thin(logits[order]), "raw.0.1": thin(offsets[order])}
    if isinstance(model, MaskRCNN):
        logits = _mask_logits(model, atlas, proposals.boxes)[proposals.valid.flatten()]
        outputs["raw.0.2"] = thin(logits[order[:MASKED]])
    return outputs


def _order(proposals: Proposals, rows: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """Order of our proposals in which, among equal scores, each place has the row that fits the recorded one best."""
    order = np.arange(len(rows))
    index = thin_index(rows.size)
    if len(index) != len(recorded):
        return order
    scores = proposals.scores[proposals.valid].numpy()
    image = torch.where(proposals.valid)[0].numpy()
    roi, column = np.divmod(index, rows.shape[1])
    free = np.ones(len(rows), dtype=bool)
    for position in range(len(rows)):
        left = np.flatnonzero(free & (image == image[position]))
        distance = np.abs(scores[left] - scores[position])
        tied = left[distance <= max(TIE, distance.min())]
        here = roi == position
        gaps = np.abs(rows[tied][:, column[here]] - recorded[here]).sum(1)
        order[position] = tied[gaps.argmin()]
        free[order[position]] = False
    return order


def _mask_logits(model: MaskRCNN, atlas: Atlas, boxes: Tensor) -> Tensor:
    """``[N * P, C, h, w]`` for every class; the head computes the asked one only, so its last layer is applied here."""
    head = model.mask_head
    hidden: list[Any] = []
    handle = head.upsample.register_forward_hook(lambda _, __, output: hidden.append(output))
    model.crops(atlas, boxes, torch.zeros(boxes.shape[:2], dtype=torch.int64))
    handle.remove()
    return head.conv_logits(hidden[0])
