"""FCOS's raw outputs: class logits, distances in pixels and centerness logits of each level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from detzoo.methods.fcos import FCOS
from tests.parity.golden import thin


def raw_fcos(model: FCOS, features: Sequence[Tensor]) -> dict[str, np.ndarray]:
    """Thinned outputs by recorded name."""
    parts = model.heads(features)
    return {f"raw.{p}.{i}": thin(level) for p, levels in enumerate(parts) for i, level in enumerate(levels)}
