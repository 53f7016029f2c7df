"""What two-stage methods of PaddleDetection give and learn from, under the names of its recordings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from pycocotools import mask as coco
from torch import Tensor

from detzoo.blocks import roi_heads
from detzoo.blocks.assign import RoISamples
from detzoo.blocks.cascade import refined
from detzoo.blocks.rpn import Proposals, RawRPN, best_proposals, objectness
from detzoo.ops.boxes import pick
from detzoo.ops.roi_align import Atlas, build_atlas
from detzoo.types import Images
from tests.parity import standin
from tests.parity.golden import Golden

_LOSSES = {"loss_rpn_bbox": "loss_rpn_reg", "loss_cls": "loss_bbox_cls", "loss_bbox": "loss_bbox_reg"}
CORNERS = 32  # of an object's outline


def losses(ours: Mapping[str, float]) -> dict[str, float]:
    """Losses by their recorded names: the stage of a cascade stands at the end, and masks have none."""
    renamed = {}
    for name, value in ours.items():
        stage, _, loss = name.rpartition(".")
        loss = _LOSSES.get(loss, loss)
        renamed[loss if not stage or loss == "loss_mask" else f"{loss}_stage{stage[1:]}"] = value
    return renamed


def raw(model: Any, images: Images, features: Sequence[Tensor]) -> dict[str, Tensor]:
    """Outputs of the region proposals, of the heads for these, and for sixty stand-in boxes of each image."""
    scores, offsets = model.rpn(features)
    outputs = {f"raw.rpn_score.{level}": tensor for level, tensor in enumerate(scores)}
    outputs |= {f"raw.rpn_delta.{level}": tensor for level, tensor in enumerate(offsets)}
    proposals = _listed(model.rpn, (scores, offsets), images)
    for image, used in enumerate(proposals.valid):
        outputs[f"raw.rois.{image}"] = proposals.boxes[image, used]
    neck = getattr(model, "neck", model.backbone)
    atlas = build_atlas(list(features[: model.roi_levels]), neck.strides[: model.roi_levels])
    found, _ = _boxes(model, images, atlas, proposals.boxes)
    outputs["raw.bbox_prob"] = found[0].softmax(-1)[proposals.valid]
    outputs["raw.bbox_delta"] = found[1].flatten(2)[proposals.valid]
    fixed = torch.stack([standin.proposals(i, *size).double() for i, size in enumerate(images.sizes.tolist())])
    return outputs | {f"raw.fixed.{name}": value for name, value in _of_fixed(model, images, atlas, fixed).items()}


def _listed(rpn: Any, raw: RawRPN, images: Images) -> Proposals:
    """Proposals as the original lists them: level by level where no score decides which are kept."""
    ranked = rpn.propose(raw, images, training=False)
    anchors = rpn.anchors([level.shape[-2:] for level in raw[0]]).split([level[0].numel() for level in raw[0]])
    levels = [
        best_proposals(objectness([scores]), [offsets], some, images, rpn.config, training=False)
        for scores, offsets, some in zip(*raw, anchors, strict=True)
    ]
    boxes, scores, valid = (torch.cat(parts, 1) for parts in zip(*levels, strict=True))
    few = (valid.sum(1) <= ranked.valid.shape[1]).unsqueeze(1)
    order = valid.int().argsort(dim=1, descending=True, stable=True)[:, : ranked.valid.shape[1]]
    return Proposals(
        torch.where(few.unsqueeze(2), pick(boxes, order), ranked.boxes),
        torch.where(few, pick(scores, order), ranked.scores),
        torch.where(few, pick(valid, order), ranked.valid),
    )


def _boxes(model: Any, images: Images, atlas: Atlas, boxes: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
    if hasattr(model, "box_heads"):
        return refined(model.box_heads, lambda head, some: head(atlas, some), boxes, images, model.config.averaged)
    return model.box_head(atlas, boxes), boxes


def _of_fixed(model: Any, images: Images, atlas: Atlas, boxes: Tensor) -> dict[str, Tensor]:
    (logits, offsets), moved = _boxes(model, images, atlas, boxes)
    offsets = offsets.flatten(2).flatten(0, 1)
    if hasattr(model, "box_heads"):
        outputs = {"bbox_prob": logits.softmax(-1).flatten(0, 1), "bbox_delta_last": offsets}
        outputs |= {f"refined_rois.{image}": some for image, some in enumerate(moved)}
        outputs["roi_feat"] = model.box_heads[0].extractor(atlas, boxes)
    else:
        head = model.box_head
        pooled = head.pool(atlas, boxes)
        outputs = {"bbox_score": logits.flatten(0, 1), "bbox_delta": offsets, "bbox_feat": head.embed(pooled)[0]}
        outputs["roi_feat"] = head.extractor(atlas, boxes)
    if hasattr(model, "mask_head") or hasattr(model, "mask_heads"):
        outputs["mask_logits"] = _every_mask(model, atlas, boxes)
    return outputs


def _every_mask(model: Any, atlas: Atlas, boxes: Tensor) -> Tensor:
    """Mask logits ``[N * P, C, m, m]`` of every class, of which the head computes the asked one alone."""
    head = model.mask_heads[0] if hasattr(model, "mask_heads") else model.mask_head
    hidden: list[Tensor] = []
    handle = head.upsample.register_forward_hook(lambda _, __, output: hidden.append(output))
    model.crops(atlas, boxes, torch.zeros(boxes.shape[:2], dtype=torch.int64))
    handle.remove()
    return head.conv_logits(hidden[0])


def as_recorded(model: Any) -> None:
    """Have anchors be float32 numbers, as the original's are: a last digit shows where boxes grow much.

    Recordings of static cascades scale the last stage's offsets by 0.033333 and 0.066667, not by 1/30 and 2/30.
    """
    model.rpn.anchors.register_forward_hook(lambda _, __, anchors: anchors.float().to(anchors))
    for head in getattr(model, "box_heads", None) or [model.box_head]:
        for layer in head.shared_fcs[:1]:
            layer.register_forward_hook(_nothing_of_empty)
    last = model.box_heads[-1] if hasattr(model, "box_heads") else None
    if last is not None and last.config.in_files and getattr(model, "shares", None) is None:
        last.config = last.config.replace(stds=tuple(round(std, 6) for std in last.config.stds))


def _nothing_of_empty(layer: Any, given: tuple[Tensor], output: Tensor) -> Tensor:
    """What a head's first layer gives of RoIs without area, where the original was recorded on a CPU.

    There it pools numbers that are none, and its ReLU makes zeros of these; on a GPU it pools zeros, as we do. So it
    was recorded in training.
    """
    return output if layer.training else output * (given[0] != 0).any(1, keepdim=True)


@contextmanager
def learning(model: Any, golden: Golden) -> Iterator[dict[str, float]]:
    """Compares sampled RoIs, and has masks cut out of the outlines of the objects.

    The original rasterizes an outline on the grid of each RoI, we pool masks that were rasterized on the canvas.
    """
    differences: dict[str, float] = {}
    seen: list[RoISamples] = []
    heads = model.box_heads if hasattr(model, "box_heads") else [model.box_head]
    with ExitStack() as stack:
        for head in heads:
            stack.enter_context(patch.object(head, "sample", _remembering(head.sample, seen)))
        outlines = _outlines(golden, len(model.classes))

        def crop(masks: object, boxes: Tensor, index: Tensor, size: int) -> Tensor:
            rows = zip(outlines, boxes.tolist(), index.tolist(), strict=True)
            return torch.stack(
                [
                    torch.stack([_drawn(of[i], box, size) for box, i in zip(some, which, strict=True)])
                    for of, some, which in rows
                ]
            )

        stack.enter_context(patch.object(roi_heads, "crop_targets", crop))
        if getattr(model, "shares_rois", False):
            stack.enter_context(patch.object(model.mask_head, "learn", _mixed_up(model.mask_head.learn, golden)))
        yield differences
    for stage, samples in enumerate(seen):
        for image, _ in enumerate(golden.sizes):
            differences[f"target.bbox{stage}.{image}"] = _apart(
                golden, samples, f"target.bbox{stage}", image, len(model.classes)
            )


def recorded(golden: Golden) -> Golden:
    """A case of a static release, its detections as ours: class 0 is none, and boxes end behind their last pixel."""
    arrays = dict(golden.arrays)
    for image, _ in enumerate(golden.sizes):
        arrays[f"pred.{image}.labels"] = arrays[f"pred.{image}.labels"] - 1
        arrays[f"pred.{image}.boxes"] = arrays[f"pred.{image}.boxes"] + np.array([0.0, 0.0, 1.0, 1.0])
    return dataclasses.replace(golden, arrays=arrays)


def _mixed_up(learn: Any, golden: Golden) -> Any:
    """Has masks of the second image learn from features of the first one's RoIs, as the original does by mistake.

    On C4 it numbers positives in each image and looks the numbers up in the batch; published weights were trained with
    one image at a time.
    """

    def mixed(atlas: Atlas, samples: RoISamples, targets: object, positives: int, pooled: Tensor) -> Any:
        features = pooled.unflatten(0, (len(samples.boxes), -1))
        places = []  # our slots in the original's order, in which positives come first, too
        for image, ours in enumerate(samples.boxes):
            rois = torch.from_numpy(golden.arrays[f"target.bbox0.rois.{image}"]).view(-1, 4)
            places.append((rois[:, None] - ours).abs().amax(-1).argmin(1))
        count = int(samples.positive[1].sum())
        mixed = features.clone()
        mixed[1, places[1][:count]] = features[0, places[0][:count]]
        return learn(atlas, samples, targets, positives, mixed.flatten(0, 1))

    return mixed


def _remembering(sample: Any, seen: list[RoISamples]) -> Any:
    def remember(*arguments: Any) -> RoISamples:
        seen.append(sample(*arguments))
        return seen[-1]

    return remember


def _apart(golden: Golden, samples: RoISamples, name: str, image: int, classes: int) -> float:
    """How far the recorded RoIs are from the nearest of ours that learn the same, as a share of the canvas."""
    rois = torch.from_numpy(golden.arrays[f"{name}.rois.{image}"]).view(-1, 4)
    labels, slots = (torch.from_numpy(golden.arrays[f"{name}.{part}.{image}"]) for part in ("labels", "gt_inds"))
    used = samples.valid[image]
    ours, positive = samples.boxes[image, used], samples.positive[image, used]
    if len(ours) != len(rois):
        return math.inf
    learned = torch.where(positive, samples.labels[image, used], classes)
    same = (labels[:, None] == learned) & ((slots[:, None] == samples.slot[image, used]) | ~positive)
    apart = (rois[:, None] - ours).abs().amax(-1).masked_fill(~same, math.inf)
    return float(apart.amin(1).max().maximum(apart.amin(0).max())) / max(golden.canvas)


def _outlines(golden: Golden, classes: int) -> list[list[np.ndarray]]:
    """The outline of each object: a polygon ``[32, 2]`` around its box's middle."""
    turns = 2 * np.pi * np.arange(CORNERS) / CORNERS
    around = np.stack([np.cos(turns), np.sin(turns)], 1)
    targets = standin.targets(golden.canvas, golden.sizes, classes, False)
    boxes = targets.boxes.double().numpy()
    return [[(box[:2] + box[2:]) / 2 + (box[2:] - box[:2]) / 2 * around for box in some] for some in boxes]


def _drawn(outline: np.ndarray, box: Sequence[float], size: int) -> Tensor:
    low, high = np.array(box[:2]), np.array(box[2:])
    polygon = (outline - low) * (size / np.maximum(high - low, 0.1))
    polygons: Any = [polygon.flatten().tolist()]
    return torch.from_numpy(coco.decode(coco.merge(coco.frPyObjects(polygons, size, size)))).float()
