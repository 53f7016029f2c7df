"""Raw outputs of the cascades: class logits and masks averaged over the stages, offsets of the last one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from detzoo.blocks.cascade import refined
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.ops.roi_align import build_atlas
from detzoo.types import Images
from tests.parity.golden import thin
from tests.parity.raw_masks import mask_logits


def cascade_outputs(
    model: CascadeRCNN | CascadeMaskRCNN, images: Images, features: Sequence[Tensor]
) -> dict[str, np.ndarray]:
    """``raw.0.<part>.<image>``: outputs for all proposals of each image."""
    proposals = model.rpn.propose(model.rpn(features), images, training=False)
    atlas = build_atlas(list(features[: model.roi_levels]), model.neck.strides[: model.roi_levels])
    (logits, offsets), boxes = refined(model.box_heads, atlas, proposals.boxes, images)
    parts = [logits, offsets.flatten(2)]
    if isinstance(model, CascadeMaskRCNN):
        labels = torch.zeros_like(proposals.valid, dtype=torch.int64)
        masks = [mask_logits(head, lambda head=head: head(atlas, boxes, labels)) for head in model.mask_heads]
        parts.append(torch.stack(masks).sigmoid().mean(0).unflatten(0, proposals.valid.shape))
    outputs = {}
    for image in range(len(images.pixels)):
        used = proposals.valid[image]
        outputs |= {f"raw.0.{number}.{image}": thin(part[image][used]) for number, part in enumerate(parts)}
    return outputs
