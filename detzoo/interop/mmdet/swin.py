"""Swin from MMDetection's settings."""

from __future__ import annotations

from detzoo.backbones.swin import Swin
from detzoo.interop.mmdet.parts import MOST_CHANNELS
from detzoo.interop.section import Section

MOST = 64  # blocks of a stage, cells of a window's edge


def swin(backbone: Section) -> Swin.Config:
    """``SwinTransformer``."""
    with backbone as given:
        given.fixed("in_channels", 3)
        given.fixed("patch_size", 4)
        given.fixed("strides", (4, 2, 2, 2), [4, 2, 2, 2])
        given.fixed("qk_scale")
        given.fixed("patch_norm", True)
        given.fixed("use_abs_pos_embed", False)
        given.fixed("act_cfg", {"type": "GELU"})
        given.fixed("norm_cfg", {"type": "LN"}, {"type": "LN", "requires_grad": True})
        given.ignore("convert_weights")  # where training began
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
