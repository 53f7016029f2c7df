"""PaddleDetection's names of parameters behind the pyramid of two-stage models -> ours; leaves stay as they are."""

from __future__ import annotations

import re

from detzoo.interop.paddle.backbone_names import PART, Names, stage_block


def _roi_stage(match: re.Match[str]) -> str:
    return f"box_head.stage.{stage_block(match)}"


def _box_conv(match: re.Match[str]) -> str:
    head = f"box_heads.{match['stage']}" if match["stage"] else "box_head"
    return f"{head}.shared_convs.{match['number']}.{'gn' if match['kind'] == 'norm' else 'conv'}"


def _layer(match: re.Match[str]) -> str:
    head = f"box_heads.{match['stage']}" if match["stage"] else "box_head"
    return f"{head}.shared_fcs.{int(match['number']) - 6}"


def _masks(head: str) -> Names:
    """Names of a mask head that we call ``head``."""

    def conv(match: re.Match[str]) -> str:
        return f"{head}.convs.{int(match['number']) - 1}.{'gn' if match['norm'] else 'conv'}."

    before = r"^mask_head\.head\.upsample\."
    return (
        (rf"{before}mask_inter_feat_(?P<number>\d)\.(?:conv\.|(?P<norm>norm\.))?(?=\w+$)", conv),
        (rf"{before}conv5_mask\.", f"{head}.upsample."),
        (r"^mask_head\.mask_fcn_logits\.", f"{head}.conv_logits."),
    )


# the last stage of a network, where it runs on RoIs; in static releases it is called like the others
ROI_STAGE: Names = (
    (rf"^(?:bbox_head\.head|backbone)\.(?P<owner>)res(?P<stage>5)\.res5(?P<block>[a-z])\.{PART}", _roi_stage),
)
_HEAD = r"^bbox_head\.head\.(?:(?P<stage>\d)\.)?"
_SHARED: Names = (
    (r"^rpn_head\.rpn_feat\.rpn_conv\.", "rpn.conv."),
    (r"^rpn_head\.rpn_rois_score\.", "rpn.cls."),
    (r"^rpn_head\.rpn_rois_delta\.", "rpn.reg."),
    (rf"{_HEAD}(?:stage\d_)?bbox_head_conv(?P<number>\d)\.(?P<kind>conv|norm)(?=\.)", _box_conv),
    (rf"{_HEAD}fc(?P<number>[67])(?=\.)", _layer),
    (r"^bbox_head\.bbox_score_stage(\d)\.", r"box_heads.\1.fc_cls."),
    (r"^bbox_head\.bbox_delta_stage(\d)\.", r"box_heads.\1.fc_reg."),
    (r"^bbox_head\.bbox_score\.", "box_head.fc_cls."),
    (r"^bbox_head\.bbox_delta\.", "box_head.fc_reg."),
)
NAMES: Names = (*_SHARED, *_masks("mask_head"))
# of a cascade, whose stages share one mask head
CASCADE_NAMES: Names = (*_SHARED, *_masks("mask_heads.0"))
