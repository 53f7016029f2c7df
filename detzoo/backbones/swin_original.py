"""Names and order of Swin's weights as their authors published them, in ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_NAMES = (
    (r"^patch_embed\.proj\.", "patch_embed.projection."),
    (r"^layers\.(\d+)\.", r"stages.\1."),
    (r"\.attn\.", ".attn.w_msa."),
    (r"\.mlp\.fc1\.", ".ffn.layers.0.0."),
    (r"\.mlp\.fc2\.", ".ffn.layers.1."),
)
_MARK = "layers.0.blocks.0.attn.qkv.weight"


def is_original(weights: Mapping[str, Tensor]) -> bool:
    """Whether weights are named as in the authors' files."""
    return _MARK in weights


def from_original(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same network's weights for `detzoo.backbones.swin.Swin`.

    Where four cells become one, the authors list all channels of one cell after those of another, column by column;
    here, as in MMDetection, the four cells of one channel stand together, row by row.
    """
    found = {}
    for name, value in weights.items():
        for theirs, ours in _NAMES:
            name = re.sub(theirs, ours, name)
        merges = re.search(r"\.downsample\.(reduction|norm)\.", name) and value.shape[-1] % 4 == 0
        found[name] = value.unflatten(-1, (2, 2, -1)).transpose(-3, -1).flatten(-3) if merges else value
    return found
