"""The end of a residual block in one pass: a convolution that is added to a map in its place, then ReLU.

oneDNN, the library that PyTorch convolves with on processors, adds while it convolves. The map of the convolution alone
is then never there, and in half precision the sum is rounded once.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor


def conv_adds(total: Tensor, x: Tensor, *parameters: Tensor) -> bool:
    """Whether `conv_add_relu_` can do it here: for ``total [N, C', H', W']``, ``x [N, C, H, W]`` and what convolves.

    Nothing may learn, both maps have to be rows of channels (channels-last), and PyTorch has to have oneDNN with
    kernels for their type on this processor. Graphs that are being recorded consist of ordinary operators.
    """
    if x.device.type != "cpu" or x.dtype != total.dtype or torch.compiler.is_compiling():
        return False
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (total, x, *parameters)):
        return False
    if torch.is_autocast_enabled("cpu") and x.dtype != torch.get_autocast_dtype("cpu"):
        return False
    rows = all(part.is_contiguous(memory_format=torch.channels_last) for part in (total, x))
    return rows and torch.backends.mkldnn.enabled and _has_kernels(x.dtype)


@functools.cache
def _has_kernels(dtype: torch.dtype) -> bool:
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_convolution_pointwise_"):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def conv_add_relu_(
    total: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    """``relu(total + conv2d(x, weight, bias))``, in place of ``total [N, C', H', W']``, where `conv_adds`.

    Args:
        total: what is added to and overwritten.
        x: ``[N, C, H, W]``.
        weight: ``[C', C / groups, k, k]``; rounded to the type of ``x``, as is ``bias``.
        bias: ``[C']``.
        stride: as of ``torch.nn.functional.conv2d``, in pairs, as what follows.
        padding: zeros around ``x``.
        dilation: cells of ``x`` between kernel cells.
        groups: of channels.
    """
    convolution = (weight.to(x.dtype), bias.to(x.dtype), padding, stride, dilation, groups)
    return torch.ops.mkldnn._convolution_pointwise_.binary(total, x, *convolution, "add", 1.0, "relu", [], None)
