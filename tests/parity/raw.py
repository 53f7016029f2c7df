"""A method's raw head outputs, nested as the originals nest theirs.

Second stages are told by their parts, and most heads give theirs as the originals do, output by output and each level
by level: such methods need nothing here. Another is one entry of `OUTPUTS`: the same tensors in the nesting of the
original, whose places name the recorded ones, as ``raw.0.2`` is the third of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from detzoo.blocks.anchors import all_cells
from detzoo.blocks.assign import match
from detzoo.detector import Detector
from detzoo.types import Images
from tests.parity import raw_roi, standin
from tests.parity.golden import thin

# of a detector, images and the features that its heads see: tensors in nested tuples, lists and dicts
Outputs = Callable[[Any, Images, Sequence[Tensor]], Any]

OUTPUTS: dict[str, Outputs] = {
    # kinds of corners take turns: heat of both, offset of both, and so on, each of every stacked network
    "CentripetalNet": lambda model, images, features: _in_turn(*model.heads(features)),
    "CornerNet": lambda model, images, features: _in_turn(*model.heads(features)),
    # decoder layers come before images
    "DETR": lambda model, images, features: [
        part.transpose(0, 1) for part in model.heads(model.states(features, images))
    ],
    "DeformableDETR": lambda model, images, features: [
        part.transpose(0, 1) for part in model.heads(features, images)[0]
    ],
    "GFL": lambda model, images, features: model.head(features),
    "GridRCNN": raw_roi.classes_and_grids,
    "HTC": raw_roi.hybrid,
    "LD": lambda model, images, features: model.head(features),
    "MaskScoringRCNN": raw_roi.scored_masks,
    "PointRend": raw_roi.coarse_masks,
    "RepPoints": lambda model, images, features: _boxes_of_points(model, *model.heads(features)),
    "SCNet": raw_roi.hybrid,
    "SparseRCNN": raw_roi.stages,
    "YOLACT": lambda model, images, features: _masks_of_positives(model, images, features),
    "YOLOv3": lambda model, images, features: [model.maps(features)],
}


def raw_outputs(model: Detector, images: Images, features: Sequence[Tensor]) -> dict[str, np.ndarray]:
    """Thinned raw outputs by their recorded names."""
    outputs = OUTPUTS.get(type(model).__name__) or _of_parts(model)
    return {name: thin(tensor) for name, tensor in named("raw", outputs(model, images, features))}


def _of_parts(model: Detector) -> Outputs:
    """What methods have in common that are made of the same parts."""
    if hasattr(model, "box_heads"):
        return raw_roi.refined_boxes
    if hasattr(model, "box_head"):
        return raw_roi.boxes
    if hasattr(model, "rpn"):
        return lambda model, images, features: model.rpn(features, images.sizes)
    return lambda model, images, features: model.heads(features)


def named(name: str, nested: Any) -> Iterator[tuple[str, Tensor]]:
    """Tensors of nested tuples, lists and dicts, by their places."""
    if isinstance(nested, Tensor):
        yield name, nested
    elif isinstance(nested, dict | list | tuple):
        parts = nested.items() if isinstance(nested, dict) else enumerate(nested)
        for key, part in parts:
            yield from named(f"{name}.{key}", part)


def _boxes_of_points(model: Any, logits: Sequence[Tensor], first: object, refined: Sequence[Tensor]) -> Any:
    """Logits, and the boxes of the moved points."""
    return logits, [model.boxes(points) for points in refined]


def _masks_of_positives(model: Any, images: Images, features: Sequence[Tensor]) -> Any:
    """What the head predicts, and the whole masks of the anchors that the recorded objects make positive."""
    heads = model.heads(features)
    canvas = images.pixels.shape[-2], images.pixels.shape[-1]
    objects = standin.targets(canvas, [(h, w) for h, w in images.sizes.tolist()], len(model.classes), masks=False)
    positive = match(model.anchors([level.shape[-2:] for level in heads[0]]), None, objects, model.head.match).positive
    weights = all_cells(heads[2], model.mask_head.config.prototypes)
    masks = model.mask_head(features[0], weights).sigmoid()
    return heads, [[one[some].permute(1, 2, 0) for one, some in zip(masks, positive, strict=True)]]


def _in_turn(*kinds: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Output by output and kind by kind, each level by level, of kinds of levels of outputs."""
    outputs = len(kinds[0][0])
    return [[level[output] for level in kind] for output in range(outputs) for kind in kinds]
