"""Side-Aware Boundary Localization from MMDetection's settings: heads of RoIs, and RetinaNet's."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.side_aware import SideAware
from detzoo.blocks.side_buckets import NEAREST
from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.dense import dense, towers
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS, Features
from detzoo.interop.mmdet.roi_extractors import Pooled
from detzoo.interop.section import Section
from detzoo.methods.sabl_retinanet import SABLRetinaNet, square

# settings of a ``SABLHead`` that other box heads have by another name
NAMES = {
    "cls_in_channels": "in_channels",
    "cls_out_channels": "fc_out_channels",
    "loss_bbox_reg": "loss_bbox",
}
SMOOTH = {"type": "SmoothL1Loss", "beta": 0.1}  # its loss of offsets, where it is left out


def side_aware(head: Section, pooled: Pooled) -> dict[str, Any]:
    """What a ``SABLHead`` has and no other box head, as setting ``side_aware``."""
    for name in ("reg_in_channels", "reg_offset_out_channels", "reg_cls_out_channels"):
        parts.derived(head, name, pooled.channels)
    for name in ("reg_pre_kernel", "reg_post_kernel"):
        head.fixed(name, 3)
    head.fixed("reg_class_agnostic", True)
    head.fixed("norm_cfg")
    times = head.whole("reg_feat_up_ratio", 2, MOST_LAYERS)
    usual = {"type": "BucketingBBoxCoder", "num_buckets": 14, "scale_factor": 1.7}
    settings = {
        "convs": head.whole("reg_pre_num", 2, MOST_LAYERS),
        "line_convs": head.whole("reg_post_num", 1, MOST_LAYERS),
        "upsampling": times,
        "scale": _buckets(head, usual)[1],
        "weight": learning.cross_entropy(head, sigmoid=True, name="loss_bbox_cls", decides=False, weighted=True),
    }
    parts.derived(head.section("bbox_coder", usual), "num_buckets", pooled.bins * times)
    return {"side_aware": SideAware.Config.model_validate(settings)}


def sabl_retinanet(model: Section, input: Input) -> tuple[SABLRetinaNet.Config, int]:
    """Settings and number of classes of a ``RetinaNet`` with ``SABLRetinaHead``."""
    return dense(SABLRetinaNet.Config, model, input, _retina_head, "SABLRetinaHead")


def _retina_head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    head.ignore("reg_decoded_bbox")  # nothing looks at it
    parts.renamed(head, "loss_bbox_reg", "loss_bbox")
    strides = [8, 16, 32, 64, 128]
    usual: dict[str, Any] = {"octave_base_scale": 4, "scales_per_octave": 3, "strides": strides}
    anchors = parts.anchors_of(head, features, "approx_anchor_generator", **usual)
    usual = {"ratios": [1.0], "scales": [4], "strides": strides}
    if parts.anchors_of(head, features, "square_anchor_generator", **usual) != square(anchors):
        head.differs("square_anchor_generator", "has no counterpart: one square of the least scale has")
    buckets, scale = _buckets(head, {"type": "BucketingBBoxCoder", "num_buckets": 14, "scale_factor": 3.0})
    weight = learning.cross_entropy(head, sigmoid=True, name="loss_bbox_cls", decides=False, weighted=True)
    loss = {"type": "SmoothL1Loss", "beta": 1 / 9, "loss_weight": 1.5}
    return {
        **towers(head),
        "anchors": anchors,
        "buckets": buckets,
        "scale": scale,
        "bucket_weight": weight if head.has("loss_bbox_cls") else SABLRetinaNet.Head().bucket_weight,
        "box_loss": learning.box_loss(head, loss, decodes=False),
        **learning.focal(head),
        **learning.matched(train, SABLRetinaNet.Head().match, "ApproxMaxIoUAssigner"),
    }


def _buckets(head: Section, default: dict[str, Any]) -> tuple[int, float]:
    """``BucketingBBoxCoder``: how many buckets there are in a row, and the scale of the box that they lie around."""
    with head.section("bbox_coder", default) as given:
        given.kinds("BucketingBBoxCoder")
        given.fixed("clip_border", True)
        found = given.whole("num_buckets", most=MOST_CHANNELS), given.number("scale_factor")
        given.training = True
        given.fixed("offset_topk", NEAREST)
        given.fixed("offset_upperbound", 1.0)
        given.fixed("cls_ignore_neighbor", True)
        return found


__all__ = ["NAMES", "SMOOTH", "sabl_retinanet", "side_aware"]
