"""A method's raw head outputs, under the names and in the layout that the originals recorded them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from detzoo.methods.atss import ATSS
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
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
from detzoo.ops.roi_align import build_atlas
from detzoo.types import Images
from tests.parity import standin
from tests.parity.golden import Golden, thin
from tests.parity.raw_cascade import cascade_outputs
from tests.parity.raw_cornernet import corner_outputs
from tests.parity.raw_detr import detr_outputs
from tests.parity.raw_fcos import raw_fcos
from tests.parity.raw_masks import mask_logits

MASKED = 100  # first proposals of the batch whose masks are recorded


def raw_outputs(model: nn.Module, images: Images, features: Sequence[Tensor], golden: Golden) -> dict[str, np.ndarray]:
    """Thinned raw outputs by recorded name, ``raw.<part>.<level>``.

    Raises:
        TypeError: nothing is known of this method's outputs.
    """
    if isinstance(model, (ATSS, RetinaNet, RPNDetector, SSD)):
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
    if isinstance(model, (CascadeRCNN, CascadeMaskRCNN)):
        return cascade_outputs(model, images, features)
    if isinstance(model, (FasterRCNN, MaskRCNN)):
        return _two_stage(model, images, features)
    raise TypeError(f"no raw outputs are known of {type(model).__name__}")


def _of_given(model: FastRCNN, features: Sequence[Tensor], golden: Golden) -> dict[str, np.ndarray]:
    """Outputs for the stand-in proposals of all images, one after the other."""
    boxes = torch.stack([standin.proposals(index, *size) for index, size in enumerate(golden.sizes)])
    atlas = build_atlas(list(features[: model.roi_levels]), model.neck.strides[: model.roi_levels])
    return {f"raw.0.{i}": thin(part.flatten(2)) for i, part in enumerate(model.box_head(atlas, boxes))}


def _two_stage(model: FasterRCNN | MaskRCNN, images: Images, features: Sequence[Tensor]) -> dict[str, np.ndarray]:
    """Outputs for all proposals of all images, one after the other."""
    proposals = model.rpn.propose(model.rpn(features), images, training=False)
    atlas = build_atlas(list(features[: model.roi_levels]), model.neck.strides[: model.roi_levels])
    logits, offsets = (part.flatten(2)[proposals.valid] for part in model.box_head(atlas, proposals.boxes))
    outputs = {"raw.0.0": thin(logits), "raw.0.1": thin(offsets)}
    if isinstance(model, MaskRCNN):
        labels = torch.zeros_like(proposals.valid, dtype=torch.int64)
        logits = mask_logits(model.mask_head, lambda: model.crops(atlas, proposals.boxes, labels))
        outputs["raw.0.2"] = thin(logits[proposals.valid.flatten()][:MASKED])
    return outputs
