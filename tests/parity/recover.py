"""The original's choice among proposals of equal score, found again by taking its steps in its order.

Needed once, when a case is imported: the recorded values follow from that choice but do not include it. The order of
equal scores is that of PyTorch's unstable sort, so this works on a processor like the recorder's (AVX-512); what it
finds is stored with the case, and `ties` checks on every run that it is a possible outcome.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import nms

from detzoo.blocks.rpn import RPN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.ops.boxes import clip, decode
from detzoo.types import Images
from tests.parity import standin
from tests.parity.golden import Golden, thin


@torch.no_grad()
def recovered_proposals(model: FasterRCNN | MaskRCNN, golden: Golden) -> list[np.ndarray]:
    """Of each image ``[P, 6]``: box, score and level.

    Per level the best are taken by one sort of all scores; then all levels are suppressed together, levels kept apart
    by shifting their boxes.

    Raises:
        RuntimeError: this machine does not give the recorded features bit for bit.
    """
    images = standin.images(golden.canvas, golden.sizes)
    logits, offsets = model.rpn(_exact_features(model, golden, images))
    anchors = model.rpn.anchors([level.shape[-2:] for level in logits])
    return [
        _one_image(
            model.rpn,
            [level[index].permute(1, 2, 0).reshape(-1).sigmoid() for level in logits],
            torch.cat([level[index].permute(1, 2, 0).reshape(-1, 4) for level in offsets]),
            anchors,
            images.sizes[index : index + 1],
        )
        for index in range(len(images.pixels))
    ]


def _exact_features(model: FasterRCNN | MaskRCNN, golden: Golden, images: Images) -> list[Tensor]:
    """What heads look at, as it was recorded: rows first, normalization after convolution, one thread or two."""
    model.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue] (torch's stubs lack this overload)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False  # keeps it from being folded; in evaluation it computes the same
    recorded = "neck" if golden.levels("neck") else "backbone"
    for threads in (1, 2):
        torch.set_num_threads(threads)
        features = model.neck(model.backbone(images.pixels))
        if all(np.array_equal(thin(level), golden.arrays[f"{recorded}.{i}"]) for i, level in enumerate(features)):
            return features
    raise RuntimeError("the recorded features do not come out bit for bit here; import on a machine with AVX-512")


def _one_image(rpn: RPN, levels: list[Tensor], moves: Tensor, anchors: Tensor, size: Tensor) -> np.ndarray:
    chosen, start = [], 0
    for scores in levels:
        order = torch.arange(len(scores))
        if len(scores) > rpn.config.candidates:  # smaller levels are not sorted at all
            order = scores.sort(descending=True).indices[: rpn.config.candidates]
        chosen.append(order + start)
        start += len(scores)
    index = torch.cat(chosen)
    scores = torch.cat(levels)[index]
    level = torch.cat([torch.full((len(order),), number) for number, order in enumerate(chosen)])
    boxes = clip(decode(anchors[index], moves[index], (1.0, 1.0, 1.0, 1.0))[None], size)[0]
    some = (boxes[:, 2:] - boxes[:, :2] > rpn.config.min_size).all(1)
    boxes, scores, level = boxes[some], scores[some], level[some]
    apart = boxes + (level * (boxes.max() + 1))[:, None]
    order = scores.sort(descending=True).indices
    falling = torch.arange(len(order), 0, -1, dtype=torch.float32)
    kept = order[nms(apart[order], falling, rpn.config.nms)][: rpn.config.proposals]
    return torch.cat([boxes[kept], scores[kept, None], level[kept, None]], 1).numpy()
