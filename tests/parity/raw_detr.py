"""DETR's outputs as the original recorded them: decoder layers come before images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from detzoo.methods.detr import DETR
from detzoo.types import Images
from tests.parity.golden import thin


def detr_outputs(model: DETR, images: Images, features: Sequence[Tensor]) -> dict[str, np.ndarray]:
    """Class logits and boxes of every query of every decoder layer."""
    parts = model.heads(model.states(features, images))
    return {f"raw.{index}": thin(part.transpose(0, 1)) for index, part in enumerate(parts)}
