"""Values that programs put into configs, as the plain values that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch


def plain_object(value: Any) -> Any:
    """The plain value that an object in a config stands for; one that stands for none as it is.

    A ``Config`` of mmengine or mmcv is the dict in it, a class its full name.
    """
    inner = vars(value).get("_cfg_dict") if hasattr(value, "__dict__") and not isinstance(value, type) else None
    if isinstance(inner, Mapping):
        value = inner
    if isinstance(value, dict):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, range):
        return list(value) if len(value) < _MOST else value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | torch.Tensor):
        numbers = value.size if isinstance(value, np.ndarray) else value.numel()
        return value.tolist() if numbers < _MOST else value
    if isinstance(value, PurePath | torch.dtype | torch.device):
        return str(value)
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    return value


_MOST = 50_000  # items of a list

__all__ = ["plain_object"]
