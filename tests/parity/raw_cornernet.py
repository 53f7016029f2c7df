"""CornerNet's raw outputs as the original records them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from detzoo.methods.cornernet import CornerNet
from tests.parity.golden import thin


def corner_outputs(model: CornerNet, features: Sequence[Tensor]) -> dict[str, np.ndarray]:
    """``raw.<map>.<stacked network>``: heat, embedding and offset, of each first top left, then bottom right."""
    top_left, bottom_right = model.heads(features)
    outputs = {}
    for level, kinds in enumerate(zip(top_left, bottom_right, strict=True)):
        for kind, maps in enumerate(kinds):
            for number, values in enumerate(maps):
                outputs[f"raw.{2 * number + kind}.{level}"] = thin(values)
    return outputs
