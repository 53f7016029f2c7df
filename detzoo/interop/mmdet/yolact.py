"""YOLACT from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, necks, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.section import Section
from detzoo.methods.yolact import STDS, YOLACT, Prototypes


def yolact(model: Section, input: Input) -> tuple[YOLACT.Config, int]:
    """Settings and number of classes of a ``YOLACT``, also with the ``segm_head`` of versions before 3."""
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        width = features.channels[0]
        with (
            given.section("bbox_head") as head,
            given.section("mask_head") as masks,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg") as test,
        ):
            head.kinds("YOLACTHead")
            parts.derived(head, "in_channels", width)
            for name in ("conv_cfg", "norm_cfg"):
                head.fixed(name)
            head.fixed("use_ohem", True)
            head.fixed("reg_decoded_bbox", False)
            parts.fixed_coder(head, STDS)
            learning.unreduced(head, "loss_cls")
            learning.cross_entropy(head, sigmoid=False)
            classes, prototypes = head.whole("num_classes"), head.whole("num_protos", 32, MOST_CHANNELS)
            settings: dict[str, Any] = {
                "convs": head.whole("num_head_convs", 1, MOST_LAYERS),
                "channels": head.whole("feat_channels", 256, MOST_CHANNELS),
                **_anchors(head.section("anchor_generator")),
                "box_loss": learning.box_loss(head, {"type": "SmoothL1Loss", "loss_weight": 1.5}),
                "candidates": parts.candidates(test, -1),
                "best": test.whole("top_k"),
                "threshold": test.number("score_thr"),
                "nms": test.number("iou_thr"),
                "detections": parts.detections(test),
            }
            test.fixed("min_bbox_size", 0, -1)
            test.ignore("mask_thr_binary")  # below 0 it would give grey masks
            if train.has("assigner"):
                settings["match"] = learning.match(train, YOLACT.Head().match)
            settings["hard"] = train.number("neg_pos_ratio", 3)
            learning.no_sampler(train)
            train.fixed("allowed_border", -1)
            learning.weights_of_anchors(train)
            drawn = _prototypes(masks, width, prototypes, classes)
            drawn["semantic"] = _semantic(given, masks, width, classes)
            drawn["threshold"] = test.number("mask_thr", 0.5)
        made = YOLACT.Head.model_validate(settings)
        mask_head = Prototypes.Config.model_validate(drawn)
        return YOLACT.Config(input=input, backbone=backbone, neck=neck, head=made, mask_head=mask_head), classes


def _anchors(generator: Section) -> dict[str, Any]:
    """``AnchorGenerator`` around the middle of cells that may lie fractions of a pixel apart."""
    with generator as given:
        given.kinds("AnchorGenerator")
        given.fixed("scale_major", True)
        given.fixed("scales_per_octave", 1)
        given.fixed("scales")
        steps = given.numbers("strides")
        sizes = given.numbers("base_sizes", steps, count=len(steps))
        middle = [[step / 2, step / 2] for step in steps]
        if given.has("centers"):
            given.fixed("centers", middle)
            given.ignore("center_offset")  # not used beside centers
        elif given.number("center_offset", 0) != 0.5:
            given.differs("center_offset", "has no counterpart; 0.5 has")
        scale = given.number("octave_base_scale")
        return {"sizes": tuple(size * scale for size in sizes), "ratios": given.numbers("ratios"), "steps": steps}


def _prototypes(masks: Section, width: int, prototypes: int, classes: int) -> dict[str, Any]:
    """``YOLACTProtonet``: convolutions of one width, the map doubled, another one, and that of the prototypes."""
    masks.kinds("YOLACTProtonet")
    parts.derived(masks, "in_channels", width)
    parts.derived(masks, "num_protos", prototypes)
    parts.derived(masks, "num_classes", classes)
    masks.fixed("include_last_relu", True)
    layers = masks.take("proto_channels", (256, 256, 256, None, 256, 32))
    layers = list(layers) if isinstance(layers, list | tuple) else []
    convs = len(layers) - 3
    channels = layers[0] if layers else None
    if not 1 <= convs <= MOST_LAYERS or layers != [*[channels] * convs, None, channels, prototypes]:
        masks.differs("proto_channels", f"has no counterpart; (c, ..., c, None, c, {prototypes}) has")
    if list(masks.take("proto_kernel_sizes", (3, 3, 3, -2, 3, 1))) != [*[3] * convs, -2, 3, 1]:
        masks.differs("proto_kernel_sizes", "has no counterpart; (3, ..., 3, -2, 3, 1) has")
    return {
        "prototypes": prototypes,
        "convs": convs,
        "channels": channels,
        "most": masks.whole("max_masks_to_train", 100),
        "weight": masks.number("loss_mask_weight", 1.0),
    }


def _semantic(model: Section, masks: Section, width: int, classes: int) -> bool:
    """Whether there is the semantic loss: in ``mask_head``, or in ``segm_head`` before version 3."""
    if not model.has("segm_head"):
        learned = masks.flag("with_seg_branch", True)
        if learned:
            learning.cross_entropy(masks, sigmoid=True, name="loss_segm", decides=False)
        masks.ignore("loss_segm")  # without the branch
        return learned
    with model.section("segm_head") as given:
        given.kinds("YOLACTSegmHead")
        parts.derived(given, "in_channels", width)
        parts.derived(given, "num_classes", classes)
        learning.cross_entropy(given, sigmoid=True, name="loss_segm", decides=False)
    return True


__all__ = ["yolact"]
