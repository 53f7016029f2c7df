"""PaddleDetection's names of parameters behind the pyramid of two-stage models (dynamic graph) -> ours."""

from __future__ import annotations

import re

from detzoo.interop.paddle.backbone_names import Names


def _earlier(base: str) -> Names:
    """A layer that is counted from 1 there and from 0 here: group ``place``."""

    def name(match: re.Match[str]) -> str:
        kind = "gn" if match["kind"] == "norm" else "conv"
        return f"{base}.{int(match['place']) - 1}.{kind}."

    return ((r"^mask_head\.head\.(?:upsample\.)?mask_inter_feat_(?P<place>\d)\.(?:(?P<kind>conv|norm)\.)?", name),)


NAMES: Names = (
    (r"^rpn_head\.rpn_feat\.rpn_conv\.", "rpn.conv."),
    (r"^rpn_head\.rpn_rois_score\.", "rpn.cls."),
    (r"^rpn_head\.rpn_rois_delta\.", "rpn.reg."),
    (r"^bbox_head\.head\.fc6\.", "box_head.shared_fcs.0."),
    (r"^bbox_head\.head\.fc7\.", "box_head.shared_fcs.1."),
    (r"^bbox_head\.head\.bbox_head_conv(\d)\.conv\.", r"box_head.shared_convs.\1.conv."),
    (r"^bbox_head\.head\.bbox_head_conv(\d)\.norm\.", r"box_head.shared_convs.\1.gn."),
    (r"^bbox_head\.bbox_score\.", "box_head.fc_cls."),
    (r"^bbox_head\.bbox_delta\.", "box_head.fc_reg."),
    *_earlier("mask_head.convs"),
    (r"^mask_head\.head\.upsample\.conv5_mask\.", "mask_head.upsample."),
    (r"^mask_head\.mask_fcn_logits\.", "mask_head.conv_logits."),
)

__all__ = ["NAMES"]
