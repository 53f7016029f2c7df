"""PaddleDetection's names of parameters of heads of RetinaNet and FCOS -> ours."""

from __future__ import annotations

from detzoo.interop.paddle.backbone_names import Names

_TOWER = r"^(?:head\.conv_feat|fcos_head\.fcos_feat)\.fcos_head_(cls|reg)_tower_conv_(\d)\."
NAMES: Names = (
    (rf"{_TOWER}conv\.(?:conv_dcn\.)?", r"\1_convs.\2.conv."),
    (r"^head\.retina_(cls|reg)\.", r"\1."),
    (r"^fcos_head\.fcos_head_(cls|reg|centerness)\.", r"\1."),
    (r"^fcos_head\.p(\d)_feat\.scale_reg$", lambda match: f"scales.{int(match[1]) - 3}"),
)


def tower_norms(norm: str) -> Names:
    """Names of the normalization in towers, of this kind."""
    return ((rf"{_TOWER}norm\.", rf"\1_convs.\2.{norm}."),)


__all__ = ["NAMES", "tower_norms"]
