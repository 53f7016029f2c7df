"""Raw outputs of second stages, for the proposals that they find or the stand-in ones, in the originals' nesting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from detzoo.blocks.assign import pick
from detzoo.blocks.cascade import refined
from detzoo.blocks.roi_heads import MaskHead
from detzoo.ops.roi_align import Atlas, build_atlas
from detzoo.types import Images
from tests.parity import standin

MASKED = 100  # first proposals of the batch whose masks are recorded


def boxes(model: Any, images: Images, features: Sequence[Tensor]) -> list[list[Any]]:
    """Class logits, offsets and the first masks' logits of all proposals, one image after the other."""
    atlas, proposals, valid = _pooled(model, images, features)
    logits, moves = model.box_head(atlas, proposals)
    outputs: list[Any] = [logits[valid], _told(moves[valid])]
    if hasattr(model, "mask_head"):
        draw = getattr(model, "crops", model.mask_head)
        drawn = _every_class(model.mask_head, lambda: draw(atlas, proposals, _no_class(valid)))
        outputs.append(drawn[valid.flatten()][:MASKED])
    return [outputs]


def scored_masks(model: Any, images: Images, features: Sequence[Tensor]) -> list[list[Tensor]]:
    """What `boxes` gives, and of the first masks, each of the class of the best logit, the IoUs of every class."""
    atlas, proposals, valid = _pooled(model, images, features)
    labels = model.box_head(atlas, proposals)[0][..., :-1].argmax(-1)
    pooled = model.mask_head.pool(atlas, proposals)
    masks = model.mask_head.crops(atlas, proposals, labels, pooled)
    last: list[Tensor] = []
    handle = model.mask_iou_head.fc_mask_iou.register_forward_hook(lambda _, __, output: last.append(output))
    model.mask_iou_head(pooled, masks, labels)
    handle.remove()
    return [[*boxes(model, images, features)[0], last[0][valid.flatten()][:MASKED]]]


def classes_and_grids(model: Any, images: Images, features: Sequence[Tensor]) -> list[list[Any]]:
    """Class logits of all proposals, and heat maps of the first: evaluation draws those of one kind alone."""
    atlas, proposals, valid = _pooled(model, images, features)
    logits = model.box_head(atlas, proposals)[0]
    exchanged = model.grid_head(model.grid_head.extractor(atlas, proposals))[0]
    maps = exchanged[valid.flatten()][:MASKED]
    return [[logits[valid], {"fused": maps, "unfused": maps}]]


def coarse_masks(model: Any, images: Images, features: Sequence[Tensor]) -> list[list[Tensor]]:
    """Class logits and offsets of all proposals, and the first coarse masks' logits."""
    atlas, proposals, valid = _pooled(model, images, features)
    outputs = [part.flatten(2)[valid] for part in model.box_head(atlas, proposals)]
    return [[*outputs, model.coarse(features[0], proposals)[valid.flatten()][:MASKED]]]


def refined_boxes(model: Any, images: Images, features: Sequence[Tensor]) -> list[list[Any]]:
    """Of a cascade, image by image: class logits and mask probabilities averaged over the stages, the last offsets."""
    atlas, proposals, valid = _pooled(model, images, features)
    (logits, offsets), moved = refined(model.box_heads, lambda head, some: head(atlas, some), proposals, images)
    parts: list[Any] = [_by_image(logits, valid), [_told(moves) for moves in _by_image(offsets, valid)]]
    if hasattr(model, "mask_heads"):
        masks = [
            _every_class(head, lambda head=head: head(atlas, moved, _no_class(valid))) for head in model.mask_heads
        ]
        parts.append(_by_image(torch.stack(masks).sigmoid().mean(0).unflatten(0, valid.shape), valid))
    return [parts]


def hybrid(model: Any, images: Images, features: Sequence[Tensor]) -> list[list[list[Tensor]]]:
    """`refined_boxes` with one mask: probabilities of the last of several heads, or logits of a single one."""
    _, proposals, valid = _pooled(model, images, features)
    maps, *_ = model._maps(features)
    (logits, offsets), moved = model.refined(maps, proposals, images)
    several = hasattr(model, "mask_heads")
    head = model.mask_heads[-1] if several else model.mask_head
    masks = _every_class(head, lambda: model.crops(maps, moved, _no_class(valid)))
    masks = masks.sigmoid() if several else masks
    parts = [logits, offsets.flatten(2), masks.unflatten(0, valid.shape)]
    return [[_by_image(part, valid) for part in parts]]


def stages(model: Any, images: Images, features: Sequence[Tensor]) -> list[list[list[dict[str, Any]]]]:
    """What every stage makes of the learned proposals, and what it is to learn from the stand-in objects.

    That the stages follow each other is left to the detections: the recorded outputs are of each alone.
    """
    atlas = build_atlas(list(features[: model.settings.roi_levels]), model.neck.strides[: model.settings.roi_levels])
    canvas = (images.pixels.shape[2], images.pixels.shape[3])
    targets = standin.targets(canvas, images.sizes.tolist(), len(model.classes), False)
    outputs = []
    for stage in model.stages:
        last: list[Tensor] = []
        handle = stage.attention_norm.register_forward_hook(lambda _, __, output, last=last: last.append(output))
        logits, boxes, known = model.look(stage, atlas, *model.proposals(images))
        handle.remove()
        slots = model.match(logits.unsqueeze(1), boxes.unsqueeze(1), images, targets).flatten(1)
        matched = (slots >= 0).unsqueeze(-1)
        wanted = pick(targets.boxes, slots.clamp(min=0)) * matched
        learned = [slots, torch.ones_like(slots), wanted, matched.expand_as(wanted)]  # the first is not recorded
        outputs.append(
            {
                "cls_score": logits,
                "decoded_bboxes": boxes.flatten(0, 1),
                "object_feats": known,
                "attn_feats": last[0],
                "detached_cls_scores": list(logits),
                "detached_proposals": list(boxes),
                "bbox_targets": [part.flatten(0, 1).double() for part in learned],
            }
        )
    return [[[output] for output in outputs]]


def _pooled(model: Any, images: Images, features: Sequence[Tensor]) -> tuple[Atlas, Tensor, Tensor]:
    """What RoIs are pooled from, and the boxes that are looked at, with which of their slots are used."""
    levels = slice(getattr(model, "roi_levels", None))
    strides = getattr(model, "neck", model.backbone).strides
    atlas = build_atlas(list(features[levels]), strides[levels])
    if model.takes_proposals:
        given = torch.stack([standin.proposals(i, *size) for i, size in enumerate(images.sizes.tolist())])
        return atlas, given, torch.ones(given.shape[:2], dtype=torch.bool)
    proposals = model.rpn.propose(model.rpn(features), images, training=False)
    return atlas, proposals.boxes, proposals.valid


def _by_image(part: Tensor, valid: Tensor) -> list[Tensor]:
    return [of_image[used] for of_image, used in zip(part, valid, strict=True)]


def _told(moves: Tensor) -> Tensor | list[Tensor]:
    """Offsets of P boxes, ``[P, O]``; of their sides the logits of the buckets and the offsets from these."""
    return moves.flatten(1) if moves.dim() == 3 else [part.flatten(1) for part in moves.unbind(-2)]


def _no_class(valid: Tensor) -> Tensor:
    return torch.zeros_like(valid, dtype=torch.int64)


def _every_class(head: MaskHead, draw: Callable[[], object]) -> Tensor:
    """``[N * P, C, h, w]``, the logits of every class of the RoIs that ``draw`` has ``head`` draw one class of.

    The head computes the asked class only, so its last layer is applied here.
    """
    hidden: list[Any] = []
    handle = head.upsample.register_forward_hook(lambda _, __, output: hidden.append(output))
    draw()
    handle.remove()
    return head.conv_logits(hidden[0])
