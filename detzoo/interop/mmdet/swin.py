"""Swin from MMDetection's settings, and from MMPretrain's ConvNeXt and whatever it takes from timm."""

from __future__ import annotations

from detzoo.backbones.swin import Swin
from detzoo.backbones.timm_backbone import TimmBackbone
from detzoo.interop.mmdet.parts import MOST_CHANNELS
from detzoo.interop.section import Section

MOST = 64  # blocks of a stage, cells of a window's edge
ARCHITECTURES = ("tiny", "small", "base", "large", "xlarge")  # of ConvNeXt; smaller ones timm has with convolutions


def swin(backbone: Section) -> Swin.Config:
    """``SwinTransformer``."""
    with backbone as given:
        given.kinds("SwinTransformer")
        given.fixed("in_channels", 3)
        given.fixed("patch_size", 4)
        given.fixed("strides", (4, 2, 2, 2), [4, 2, 2, 2])
        given.fixed("qk_scale")
        given.fixed("patch_norm", True)
        given.fixed("use_abs_pos_embed", False)
        given.fixed("act_cfg", {"type": "GELU"})
        given.fixed("norm_cfg", {"type": "LN"}, {"type": "LN", "requires_grad": True})
        given.ignore("pretrained", "init_cfg", "convert_weights")  # where training began
        given.ignore("pretrain_img_size")  # of absolute positions, which there are not
        for name in ("drop_rate", "attn_drop_rate"):
            if given.number(name, 0.0):
                given.noted(name, "has no counterpart; 0 has")
        return Swin.Config.model_validate(
            {
                "width": given.whole("embed_dims", 96, MOST_CHANNELS),
                "blocks": given.wholes("depths", (2, 2, 6, 2), 4),
                "heads": given.wholes("num_heads", (3, 6, 12, 24), 4),
                "window": given.whole("window_size", 7, MOST),
                "ratio": given.whole("mlp_ratio", 4, MOST),
                "qkv_bias": given.flag("qkv_bias", True),
                "out_stages": tuple(index + 1 for index in given.wholes("out_indices", (0, 1, 2, 3))),
                "drop_path": given.number("drop_path_rate", 0.1),
                "frozen_stages": given.whole("frozen_stages", -1),
                "checkpointing": given.flag("with_cp", False),
            }
        )


def convnext(backbone: Section) -> TimmBackbone.Config:
    """``ConvNeXt`` of MMPretrain or MMClassification, by the name of a published one."""
    with backbone as given:
        given.kinds("mmpretrain.ConvNeXt", "mmcls.ConvNeXt")
        given.fixed("in_channels", 3)
        given.fixed("stem_patch_size", 4)
        given.fixed("linear_pw_conv", True)
        given.fixed("norm_cfg", {"type": "LN2d", "eps": 1e-6})
        given.fixed("act_cfg", {"type": "GELU"})
        if given.flag("gap_before_final_norm", True):
            given.differs("gap_before_final_norm", "has no counterpart; False has")
        given.ignore("init_cfg", "pretrained")  # where training began
        second = given.flag("use_grn", False)
        scaled = given.number("layer_scale_init_value", 1e-6)  # where training began, too
        if (scaled == 0) != second:
            given.differs("layer_scale_init_value", "has no counterpart; 0 with use_grn, and more without it, has")
        name = given.word("arch", "tiny")
        if name not in ARCHITECTURES:
            given.differs("arch", f"has no counterpart; one of {', '.join(ARCHITECTURES)} has")
        frozen = given.whole("frozen_stages", 0)
        return TimmBackbone.Config.model_validate(
            {
                "name": f"convnextv2_{name}" if second else f"convnext_{name}",
                "out_indices": given.wholes("out_indices"),
                "drop_path": given.number("drop_path_rate", 0.0),
                "norms": True,
                "frozen_stages": frozen if frozen > 0 else -1,
                "checkpointing": given.flag("with_cp", False),
            }
        )


def timm(backbone: Section) -> TimmBackbone.Config:
    """``TIMMBackbone`` of MMPretrain or MMClassification."""
    with backbone as given:
        given.kinds("mmpretrain.TIMMBackbone", "mmcls.TIMMBackbone")
        given.fixed("in_channels", 3)
        given.fixed("checkpoint_path", "")
        given.ignore("init_cfg")  # where training began
        if not given.flag("features_only", False):
            given.differs("features_only", "has no counterpart; True has")
        return TimmBackbone.Config.model_validate(
            {
                "name": given.word("model_name"),
                "pretrained": given.flag("pretrained", False),
                "out_indices": given.wholes("out_indices", (0, 1, 2, 3, 4)),
                "drop_path": given.number("drop_path_rate", 0.0) or None,
            }
        )
