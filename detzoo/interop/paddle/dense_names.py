"""PaddleDetection's names of parameters of RetinaNet's and FCOS's heads -> ours."""

from __future__ import annotations

NAMES: tuple[tuple[str, str], ...] = (
    (
        r"^(?:head|fcos_head)\.(?:conv_feat|fcos_feat)\.fcos_head_(cls|reg)_tower_conv_(\d)\.(conv|norm)\.",
        r"\1_convs.\2.\3.",
    ),
    (r"^head\.retina_(cls|reg)\.", r"\1."),
    (r"^fcos_head\.fcos_head_(cls|reg|centerness)\.", r"\1."),
    (r"^fcos_head\.scales_regs\.(\d)\.", r"scales.\1."),
)

__all__ = ["NAMES"]
