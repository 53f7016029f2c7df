"""Counts what a piece of code asks of a device: operators launched, and times that the host has to wait.

Works on the CPU, by the names and tags of the operators that are called; what would make the host wait for a CUDA
device is known from them. An operator counts once, however many kernels it has inside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# neither a kernel nor a wait: allocation and metadata
_FREE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "_unsafe_view"}
# the host must know the result's shape or does the work itself; operators of libraries carry no tags
_WAITING = {"torchvision::nms", "detzoo::hungarian"}
# methods that copy to the host: on the CPU they call no operator at all
# their gradients ask whether a factor is zero, though not of tensors that a dispatch mode looks at
_SLOPES = {"prod", "cumprod"}
_TO_HOST = {"tolist", "numpy", "cpu", "__array__"}


@dataclass(slots=True)
class Counts:
    """What was seen, by operator name.

    Attributes:
        launches: operators that compute.
        syncs: calls for which the host waits: values or shapes read from the device, copies to it from Python lists.
        views: operators that only describe memory anew; free on the device.
    """

    launches: Counter[str] = field(default_factory=Counter)
    syncs: Counter[str] = field(default_factory=Counter)
    views: Counter[str] = field(default_factory=Counter)


def count(run: Callable[[], object]) -> Counts:
    """Call ``run`` once, its backward pass included, and count."""
    counts = Counts()
    with _Calls(counts), _Operators(counts):
        run()
    return counts


class _Operators(TorchDispatchMode):
    """Sees every operator below autograd, in the forward and the backward pass."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name
        short = name.removeprefix("aten::")
        if short == "lift_fresh":  # torch.tensor(list): a copy from pageable memory, for which the host waits
            self.counts.syncs["constant"] += 1
        elif _waits(func, args, kwargs):
            self.counts.syncs[short] += 1
            self.counts.launches[short] += 1
        elif short in _FREE:
            pass
        elif _is_view(func):
            self.counts.views[short] += 1
        else:
            self.counts.launches[short] += 1
        return func(*args, **kwargs)


class _Calls(TorchFunctionMode):
    """Sees what Python asks of tensors without calling an operator."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in _TO_HOST or (name in _SLOPES and torch.is_grad_enabled() and args[0].requires_grad):
            self.counts.syncs[name] += 1
        return func(*args, **(kwargs or {}))


def _waits(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    name = func._schema.name
    if name in _WAITING or torch.Tag.data_dependent_output in func.tags:
        return True
    if name == "aten::index":
        return any(_is_mask(index) for index in args[1])
    if name in ("aten::index_put", "aten::index_put_"):
        # one number written through one mask is a masked fill
        masks = [index for index in args[1] if _is_mask(index)]
        return bool(masks) and not (len(masks) == 1 and args[2].numel() == 1)
    if name == "aten::repeat_interleave":
        return kwargs.get("output_size") is None
    return torch.Tag.dynamic_output_shape in func.tags


def _is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


def _is_view(func: Any) -> bool:
    returns = func._schema.returns
    return bool(returns) and all(value.alias_info is not None and not value.alias_info.is_write for value in returns)
