"""PaddleDetection's names of parameters of RetinaNet's head -> ours."""

from __future__ import annotations

NAMES: tuple[tuple[str, str], ...] = (
    (r"^head\.conv_feat\.fcos_head_(cls|reg)_tower_conv_(\d)\.conv\.", r"\1_convs.\2.conv."),
    (r"^head\.retina_(cls|reg)\.", r"\1."),
)

__all__ = ["NAMES"]
