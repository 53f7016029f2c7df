"""The number type that a network computes in: the words for it, its speed, and what stays in float32 whatever it is."""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Iterator, Mapping
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


def precision_word(precision: str | torch.dtype) -> Precision:
    """The word for a number type, however `pick_precision` takes it.

    Raises:
        ValueError: it is none of these.
    """
    wanted = pick_precision(precision)
    return next(word for word, dtype in PRECISIONS.items() if dtype == wanted)


def is_half(dtype: torch.dtype) -> bool:
    """Whether a number takes 16 bits."""
    return dtype in (torch.bfloat16, torch.float16)


def spoilt(tensors: Mapping[str, Tensor]) -> str:
    """Names of the tensors that hold NaN or an infinity, the first three of many; empty: none. Waits for the device
    once.
    """
    floats = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.is_meta}
    fine = torch.stack([tensor.isfinite().all() for tensor in floats.values()]).tolist() if floats else []
    names = [name for name, good in zip(floats, fine, strict=True) if not good]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def warn_if_spoilt(network: nn.Module, where: str, stacklevel: int) -> None:
    """Warn of weights and statistics that hold NaN or an infinity; ``where`` they come from."""
    if names := spoilt(network.state_dict()):
        text = f"{where}: {names} hold NaN or infinite values, as after training that went wrong; little can be found"
        warnings.warn(text, stacklevel=stacklevel + 1)


def always_full(network: nn.Module) -> Iterator[Tensor]:
    """What is never held in half precision, because numbers there are too coarse or too small.

    Buffers, which hold coordinates (1333 pixels in bfloat16 are off by up to 4), grey levels and statistics; and batch
    normalization, whose kernels take half features with float32 parameters on every kind of device.
    """
    yield from network.buffers()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            yield from module.parameters(recurse=False)


def is_in_precision(network: nn.Module, dtype: torch.dtype) -> bool:
    """Whether all weights are of a type, and all that is never in half precision is not."""
    full = {id(held) for held in always_full(network)}
    tensors = (held for held in (*network.parameters(), *network.buffers()) if held.is_floating_point())
    return all(held.dtype == (torch.float32 if id(held) in full else dtype) for held in tensors)


_SLOW = 0.8  # of the speed in float32, from which a warning is due


@functools.cache
def speedup(dtype: torch.dtype, kind: str) -> float:
    """How many times as fast as in float32 a convolution runs on a kind of device (``cpu``, ``cuda``, ``mps``).

    Measured once, in a fifth of a second where there are no units for the type; 0 where it cannot be computed at all.
    """
    images = 1 if kind == "cpu" else 128  # enough work for a device of many units
    best = {}
    with torch.inference_mode(), torch.autocast(kind, enabled=False):
        for one in (torch.float32, dtype):
            try:
                x, weight = (
                    torch.ones(shape, dtype=one, device=kind).to(memory_format=torch.channels_last)
                    for shape in ((images, 128, 56, 56), (128, 128, 3, 3))
                )
                best[one] = min(_seconds(x, weight) for _ in range(4))
            except RuntimeError:
                return 0.0
    return best[torch.float32] / best[dtype]


def _seconds(x: Tensor, weight: Tensor) -> float:
    """What a convolution takes."""
    start = time.perf_counter()
    torch.conv2d(x, weight, padding=1)
    if x.device.type != "cpu":
        torch.accelerator.synchronize(x.device)
    return time.perf_counter() - start


def warn_if_slow(dtype: torch.dtype, kind: str) -> None:
    """Warn of half precision that costs time on a kind of device, as it does without units for it."""
    if not is_half(dtype):
        return
    factor = speedup(dtype, kind)
    if factor < _SLOW:
        speed = f"{1 / factor:.1f} times slower than fp32" if factor else "not computed"
        warnings.warn(
            f"precision: {precision_word(dtype)} is {speed} on this {kind} device; "
            "`detzoo doctor` says what is fast here",
            stacklevel=2,
        )
