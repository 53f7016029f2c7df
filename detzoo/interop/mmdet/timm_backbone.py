"""MMPretrain's ConvNeXt, and whatever it takes from timm, as models of timm."""

from __future__ import annotations

from detzoo.backbones.timm_backbone import TimmBackbone
from detzoo.interop.section import Section

ARCHITECTURES = ("tiny", "small", "base", "large", "xlarge")  # of ConvNeXt; smaller ones timm has with convolutions


def convnext(backbone: Section) -> TimmBackbone.Config:
    """``ConvNeXt`` of MMPretrain or MMClassification, by the name of a published one."""
    with backbone as given:
        given.fixed("in_channels", 3)
        given.fixed("stem_patch_size", 4)
        given.fixed("linear_pw_conv", True)
        given.fixed("norm_cfg", {"type": "LN2d", "eps": 1e-6})
        given.fixed("act_cfg", {"type": "GELU"})
        if given.flag("gap_before_final_norm", True):
            given.differs("gap_before_final_norm", "has no counterpart; False has")
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
        given.fixed("in_channels", 3)
        given.fixed("checkpoint_path", "")
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
