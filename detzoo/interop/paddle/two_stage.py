"""Two-stage models from PaddleDetection's settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from detzoo.blocks.rpn import RPN
from detzoo.config import ConfigError
from detzoo.detector import Input
from detzoo.interop.paddle.backbones import read_backbone
from detzoo.interop.paddle.necks import read_neck
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.paddle.suppression import suppressed
from detzoo.interop.section import Section
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.necks.no_neck import NoNeck
from detzoo.recipes.paddle_columns import PADDLE_BOX_HEAD, PADDLE_RPN

WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of box offsets
_SIZES = (32.0, 64.0, 128.0, 256.0, 512.0)  # of anchors, in pixels
_C4_CHANNELS = 1024  # of a ResNet's third stage, and of the region proposal network on it


def faster_rcnn(parts: Parts, model: Section, input: Input) -> FasterRCNN.Config:
    """``FasterRCNN``."""
    return FasterRCNN.Config.model_validate(two_stages(parts, model, input))


def mask_rcnn(parts: Parts, model: Section, input: Input) -> MaskRCNN.Config:
    """``MaskRCNN``."""
    settings = two_stages(parts, model, input)
    settings["mask_head"] = mask_head(parts, model, settings["roi_stage"])
    return MaskRCNN.Config.model_validate(settings)


def two_stages(parts: Parts, model: Section, input: Input, head: Callable[..., Any] | None = None) -> dict[str, Any]:
    """What all have: on a pyramid, or on C4, where the backbone ends with stage 3 and the last runs on every RoI."""
    backbone: Any = read_backbone(parts, model)
    maps = len(getattr(backbone, "out_stages", (1, 2, 3, 4)))
    if not model.has("neck") and backbone.avg_down:  # of the stage on RoIs there is one variant only
        backbone = backbone.replace(avg_down_stages=(1, 2, 3))
    neck: Any = read_neck(parts, model) if model.has("neck") else NoNeck.Config()
    channels = neck.out_channels if model.has("neck") else _C4_CHANNELS
    return {
        "input": input,
        "backbone": backbone,
        "neck": neck,
        "rpn": rpn(parts, model, channels),
        "box_head": (head or box_head)(parts, model, maps),
        "roi_levels": maps,
        "roi_stage": not model.has("neck"),
    }


def rpn(parts: Parts, model: Section, channels: int) -> dict[str, Any]:
    """``RPNHead``."""
    with parts.part(model, "rpn_head", "RPNHead") as given:
        settings: dict[str, Any] = {"channels": channels}
        with parts.part(given, "anchor_generator", "AnchorGenerator") as anchors:
            strides = anchors.numbers("strides", (16.0,))
            if not strides or min(strides) <= 0:
                anchors.differs("strides", "are no positive numbers")
            sizes = anchors.take("anchor_sizes", _SIZES)
            if isinstance(sizes, list) and any(isinstance(one, list) for one in sizes):
                sizes = anchors.each("anchor_sizes", Section.numbers)
            else:
                sizes = (anchors.numbers("anchor_sizes", _SIZES),) * len(strides)
            scales = {tuple(size / stride for size in row) for row, stride in zip(sizes, strides, strict=False)}
            if len(scales) != 1 or len(sizes) != len(strides):
                anchors.differs("anchor_sizes", "have no counterpart; as many strides on every level have")
            settings["anchors"] = {
                "scales": next(iter(scales)),
                "ratios": anchors.numbers("aspect_ratios", (0.5, 1.0, 2.0)),
                "ratios_first": len(sizes[0]) == 1,  # all ratios of a size stand together
            }
            anchors.fixed("variance", [1.0] * 4)
            anchors.fixed("offset", 0.0)
        with parts.part(given, "rpn_target_assign", "RPNTargetAssign", training=True) as learned:
            settings |= of_regions(learned, PADDLE_RPN)
            learned.ignore("ignore_thresh")  # of crowds
        for slot, prefix in (("test_proposal", ""), ("train_proposal", "train_")):
            with parts.part(given, slot, "ProposalGenerator", training=prefix != "") as made:
                settings[f"{prefix}candidates"] = made.whole("pre_nms_top_n", 12000)
                settings[f"{prefix}proposals"] = made.whole("post_nms_top_n", 2000)
                found = {"nms": made.number("nms_thresh", 0.5), "min_size": max(1.0, made.number("min_size", 0.1))}
                settings = found | settings
                for theirs, ours in (("nms_thresh", "nms"), ("min_size", "min_size")):
                    if settings[ours] != found[ours]:
                        made.differs(theirs, "has no counterpart; that of test_proposal has")
                made.fixed("eta", 1.0)
                made.ignore("topk_after_collect")
        given.fixed("loss_rpn_bbox")
        return PADDLE_RPN.model_dump() | settings


def of_regions(learned: Section, usual: RPN.Config, prefix: str = "") -> dict[str, Any]:
    """What ``RPNTargetAssign`` says of samples and of matches, which are else the ``usual``."""
    learned.fixed("use_random", True)
    best = learned.number(f"{prefix}positive_overlap", 0.7)
    negative = learned.number(f"{prefix}negative_overlap", 0.3)
    return {
        "samples": learned.whole(f"{prefix}batch_size_per_im", 256),
        "positives": learned.number(f"{prefix}fg_fraction", 0.5),
        "match": usual.match.replace(positive=best, negative=negative),
    }


def box_head(parts: Parts, model: Section, maps: int) -> dict[str, Any]:
    """``BBoxHead`` with fully connected layers, with convolutions before one of them, or with the last stage."""
    with parts.part(model, "bbox_head", "BBoxHead") as given:
        of_training(given)
        settings = roi_extractor(parts, given, maps)
        with parts.part(given, "head", "TwoFCHead", "XConvNormHead", "Res5Head") as layers:
            settings |= shared_layers(parts, layers)
            if (layers.kind == "Res5Head") != (not model.has("neck")):
                given.differs("head", "has no counterpart; Res5Head without a neck, and the others with one, have")
            if given.flag("with_pool", False) != (layers.kind == "Res5Head"):
                given.differs("with_pool", "has no counterpart; it belongs to Res5Head")
        with parts.part(given, "bbox_assigner", "BBoxAssigner", training=True) as learned:
            settings |= sampled(learned)
            settings["match"] = {
                "positive": learned.number("fg_thresh", 0.5),
                "negative": learned.number("bg_thresh", 0.5),
            }
            learned.ignore("cascade_iou")
        weights = given.numbers("bbox_weight", WEIGHTS, count=4)
        settings["stds"] = stds(given, "bbox_weight", weights)
    return PADDLE_BOX_HEAD.model_dump() | settings | detections(parts, model, weights)


def of_training(given: Section) -> None:
    """Losses of a head in place of the usual one, which are not taken over."""
    given.ignore("cot_classes")  # which classes "use_cot" tunes
    for name, usual in (("bbox_loss", None), ("loss_normalize_pos", False), ("use_cot", False), ("loss_cot", None)):
        if given.take(name, usual) not in (usual, "COTLoss"):
            given.noted(name, "is not taken over")


def stds(given: Section, name: str, weights: Sequence[float]) -> tuple[float, ...]:
    """What multiplies box offsets that are divided by the ``weights`` of a setting."""
    if min(weights) <= 0:
        raise ConfigError(f"{given.path}.{name} must be positive numbers")
    return tuple(1 / weight for weight in weights)


def shared_layers(parts: Parts, layers: Section) -> dict[str, Any]:
    """Fully connected layers, convolutions before one, or none but the network's last stage."""
    layers.ignore("resolution", "freeze_norm", "mlp_dim")  # unread
    if layers.kind == "Res5Head":
        layers.fixed("depth", 50)
        return {"fcs": 0}
    settings: dict[str, Any] = {"fc_channels": layers.whole("out_channel", 1024)}
    if layers.kind.endswith("XConvNormHead"):
        settings |= {"fcs": 1, "norm": str(parts.shared(layers, "norm_type", "gn"))}
        settings["convs"], settings["channels"] = layers.whole("num_convs", 4), layers.whole("conv_dim", 256)
    return settings


def sampled(learned: Section) -> dict[str, Any]:
    """RoIs of ``BBoxAssigner``."""
    learned.fixed("use_random", True)
    learned.ignore("ignore_thresh")
    return {"samples": learned.whole("batch_size_per_im", 512), "positives": learned.number("fg_fraction", 0.25)}


def detections(parts: Parts, model: Section, weights: Sequence[float]) -> dict[str, Any]:
    """``BBoxPostProcess``, which knows by what ``weights`` the last offsets are divided."""
    with parts.part(model, "bbox_post_process", "BBoxPostProcess") as given:
        with parts.part(given, "decode", "RCNNBox") as decoded:
            decoded.fixed("code_type", "decode_center_size")
            decoded.fixed("box_normalized", False)
            if decoded.numbers("prior_box_var", WEIGHTS) != tuple(weights):
                decoded.differs("prior_box_var", f"has no counterpart; bbox_weight={list(weights)} has")
        with parts.part(given, "nms", "MultiClassNMS") as nms:
            nms.fixed("nms_top_k", -1)
            nms.fixed("normalized", True)
            return suppressed(nms)


def roi_extractor(parts: Parts, head: Section, maps: int) -> dict[str, Any]:
    """``RoIAlign`` from so many maps; ``aligned``: a cell's value is at its middle, not at its corner."""
    with parts.part(head, "roi_extractor", "RoIAlign") as given:
        given.ignore("spatial_scale")  # follows from the features
        given.fixed("canconical_level", 4)
        given.fixed("canonical_size", 224)
        given.fixed("start_level", 0)
        given.fixed("end_level", 3, maps - 1)
        return {
            "size": given.whole("resolution", 14),
            "sampling": given.whole("sampling_ratio", 0),
            "extractor": {"kind": "single" if given.flag("aligned", False) else "unaligned"},
        }


def mask_head(parts: Parts, model: Section, stage: bool) -> dict[str, Any]:
    """``MaskHead`` with ``MaskFeat``."""
    with parts.part(model, "mask_head", "MaskHead") as given:
        given.fixed("share_bbox_feat", stage)
        settings = roi_extractor(parts, given, 4)
        if stage:  # which halves what is pooled
            settings = {"size": settings["size"] // 2}
        with parts.part(given, "mask_assigner", "MaskAssigner", training=True) as learned:
            learned.fixed("mask_resolution", 2 * settings["size"])
        with parts.part(given, "head", "MaskFeat") as layers:
            layers.ignore("out_channels")  # unread
            settings["convs"] = layers.whole("num_convs", 4)
            settings["channels"] = layers.whole("out_channel", 256)
            if layers.has("norm_type"):
                settings["norm"] = layers.word("norm_type")
    with parts.part(model, "mask_post_process", "MaskPostProcess") as given:
        settings["threshold"] = given.number("binary_thresh", 0.5)
    return settings


__all__ = [
    "box_head",
    "detections",
    "faster_rcnn",
    "mask_head",
    "mask_rcnn",
    "of_regions",
    "of_training",
    "roi_extractor",
    "rpn",
    "sampled",
    "shared_layers",
    "stds",
    "two_stages",
]
