"""Raw outputs of the cascades: class logits and masks averaged over the stages, offsets of the last one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from detzoo.blocks.cascade import refined
from detzoo.blocks.rpn import Proposals
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.ops.roi_align import build_atlas
from detzoo.types import Images
from tests.parity.golden import Golden, thin
from tests.parity.rois import mask_logits, tied_order
from tests.parity.ties import Cascade


def cascade_outputs(
    model: Cascade, images: Images, features: Sequence[Tensor], golden: Golden
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
        one = Proposals(*(part[image : image + 1] for part in proposals))
        rows = [part[image][one.valid[0]] for part in parts]
        order = tied_order(one, rows[0].numpy(), golden.arrays[f"raw.0.0.{image}"])
        outputs |= {f"raw.0.{number}.{image}": thin(row[order]) for number, row in enumerate(rows)}
    return outputs
