"""The number type that a network computes in: the words for it, and what stays in float32 whatever they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from detzoo.typed import argument, either

Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]
PRECISIONS: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_ALIASES = {"float32": "fp32", "float": "fp32", "bfloat16": "bf16", "float16": "fp16", "half": "fp16"}


def pick_precision(precision: str | torch.dtype | None) -> torch.dtype | None:
    """The number type of ``"fp32"``, ``"bf16"`` or ``"fp16"``; PyTorch's own names and types are good too.

    None stays: whatever the detector is in.

    Raises:
        ValueError: it is none of these.
    """
    if precision is None or (isinstance(precision, torch.dtype) and precision in PRECISIONS.values()):
        return precision
    word = str(precision)
    for name, dtype in PRECISIONS.items():
        if _ALIASES.get(word, word) == name:
            return dtype
    words = [either(repr(one), one) for one in PRECISIONS]
    raise ValueError(f"{argument('precision', word)}: there are {', '.join(words[:-1])} and {words[-1]}")


def is_half(dtype: torch.dtype) -> bool:
    """Whether a number takes 16 bits."""
    return dtype in (torch.bfloat16, torch.float16)


def always_full(network: nn.Module) -> Iterator[Tensor]:
    """What is never held in half precision, because numbers there are too coarse or too small.

    Buffers, which hold coordinates (1333 pixels in bfloat16 are off by up to 4), grey levels and statistics; and batch
    normalization, whose kernels take half features with float32 parameters on every kind of device.
    """
    yield from network.buffers()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            yield from module.parameters(recurse=False)
