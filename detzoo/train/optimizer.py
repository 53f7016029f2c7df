"""SGD, Adam, AdamW and RMSProp with settings per group of parameters; a learning rate that follows the batch size."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from detzoo.detector import Detector
from detzoo.recipes.settings import ParamGroup, Schedule


@dataclass(frozen=True, slots=True)
class LearningRate:
    """The rate that a run uses and the sentence that explains it.

    Attributes:
        value: the rate after warm-up and before decay.
        why: one printable sentence.
    """

    value: float
    why: str


def learning_rate(schedule: Schedule, ranks: int) -> LearningRate:
    """``schedule.lr`` scaled linearly to the images per update (arXiv 1706.02677), unless switched off."""
    images = schedule.batch * schedule.accumulate * ranks
    if not schedule.scale_lr:
        return LearningRate(schedule.lr, f"learning rate {schedule.lr:g}, as set (schedule.scale_lr=false)")
    value = schedule.lr * images / schedule.base_batch
    return LearningRate(
        value,
        f"learning rate {schedule.lr:g} x {images}/{schedule.base_batch} = {value:g}: it is meant for "
        f"{schedule.base_batch} images per update and this run has {images} "
        f"({schedule.batch} x {schedule.accumulate} accumulated x {ranks} device{'s' if ranks > 1 else ''}); "
        "schedule.scale_lr=false keeps it as it is",
    )


def make_optimizer(detector: nn.Module, schedule: Schedule, lr: float) -> tuple[Optimizer, list[str]]:
    """An optimizer over every trainable parameter; each follows the first of ``schedule.groups`` it belongs to.

    Each optimizer group carries ``lr_scale``, by which the scheduled rate is multiplied.

    Returns:
        The optimizer, and the patterns of groups that no parameter at all belongs to.

    Raises:
        ValueError: nothing is trainable, or a pattern is no regular expression.
    """
    rules = []
    for index, group in enumerate(schedule.groups):
        try:
            rules.append((re.compile(group.pattern), group))
        except re.error as error:
            raise ValueError(f"schedule.groups.{index}.pattern {group.pattern!r}: {error}") from None
    grouped: dict[tuple[float, float], list[nn.Parameter]] = {}
    unused = {_described(group) for group in schedule.groups}
    norms = _of_norms(detector)
    for name, parameter in detector.named_parameters():
        kind = "norm" if name in norms else "bias" if name.rpartition(".")[2] == "bias" else "other"
        groups = [group for pattern, group in rules if group.of in ("all", kind) and pattern.search(name)]
        unused.difference_update(map(_described, groups))
        if not parameter.requires_grad:
            continue
        scale, decay = (groups[0].lr_scale, groups[0].weight_decay) if groups else (1.0, None)
        decay = schedule.weight_decay if decay is None else decay
        grouped.setdefault((scale, decay), []).append(parameter)
    if not grouped:
        raise ValueError("the detector has no trainable parameter: every part of it is frozen")
    groups = [
        {"params": parameters, "lr": lr * scale, "lr_scale": scale, "weight_decay": decay}
        for (scale, decay), parameters in grouped.items()
    ]
    if schedule.optimizer == "sgd":
        return SGD(groups, lr=lr, momentum=schedule.momentum), sorted(unused)
    if schedule.optimizer == "rmsprop":  # with PaddlePaddle's constants, whose recipes take it
        return RMSprop(groups, lr=lr, alpha=0.95, eps=1e-6, momentum=schedule.momentum), sorted(unused)
    kind = Adam if schedule.optimizer == "adam" else AdamW
    return kind(groups, lr=lr, fused=True), sorted(unused)


def own_optimizer(
    detector: Detector, make: Callable[[list[nn.Parameter]], Optimizer]
) -> tuple[Optimizer, LearningRate]:
    """The program's own optimizer of a detector's trainable parameters, and its rate, which is that of its first group.

    The schedule multiplies the rates that it has; ``lr``, ``weight_decay``, ``momentum`` and ``groups`` are its own.

    Raises:
        TypeError: ``make`` does not return an optimizer.
        ValueError: it has other parameters, or no rate.
    """
    trainable = [parameter for _, parameter in detector.trainable()]
    optimizer = make(trainable)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer takes a callable that returns a torch.optim.Optimizer, not a {type(optimizer).__name__}: "
            "optimizer=lambda parameters: torch.optim.RMSprop(parameters, lr=1e-3)"
        )
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    odd = held ^ set(map(id, trainable))
    if odd:
        raise ValueError(
            f"the optimizer and the detector differ in {len(odd)} parameters: pass on those that are given"
        )
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    if min(rates) < 0 or not rates[0] > 0:
        raise ValueError(f"the optimizer has the learning rates {rates}: the first must be above 0")
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr_scale"] = rate / rates[0]
    why = f"learning rate {rates[0]:g}, as the program's own {type(optimizer).__name__} has it"
    return optimizer, LearningRate(rates[0], why)


def _of_norms(detector: nn.Module) -> set[str]:
    """Names of the scales and offsets of normalization layers."""
    return {
        f"{name}.{leaf}" if name else leaf
        for name, module in detector.named_modules()
        if isinstance(module, (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm))
        for leaf, _ in module.named_parameters(recurse=False)
    }


def _described(group: ParamGroup) -> str:
    return group.pattern if group.of == "all" else f"{group.pattern} of={group.of}".lstrip()


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """Give every group ``lr`` times its own scale."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


def optimizer_state(optimizer: Optimizer, detector: nn.Module) -> dict[str, dict[str, Any]]:
    """What the optimizer remembers of each parameter (momentum, moments, step), by the parameter's name."""
    names: dict[Any, str] = {parameter: name for name, parameter in detector.named_parameters()}
    return {
        # numbers of NumPy's, as an optimizer of the program's own may keep, would make the file unreadable
        names[parameter]: {key: value.item() if isinstance(value, np.generic) else value for key, value in one.items()}
        for parameter, one in optimizer.state.items()
        if parameter in names
    }


def group_settings(optimizer: Optimizer) -> list[dict[str, Any]]:
    """A copy of all that each group of a new optimizer holds beside its parameters."""
    return [
        {key: copy.deepcopy(value) for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]


def shared_memory(optimizer: Optimizer, detector: nn.Module, made: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What an optimizer of the program's own remembers of no single parameter: Prodigy's ``d``, a count of steps.

    In its groups that is whatever is no longer as it was made, but for the rate, which the schedule sets. What has not
    changed is a setting. Of other things than numbers, texts, tensors and lists of those nothing is kept.

    Args:
        optimizer: the program's own.
        detector: whose parameters it has.
        made: `group_settings` it when it was new.

    Returns:
        ``groups``: of each the names of its parameters, and its memory; ``state``: what has a name of its own.
    """
    names = {parameter: name for name, parameter in detector.named_parameters()}
    groups = []
    for group, before in zip(optimizer.param_groups, made, strict=False):
        changed = {
            key: value
            for key, value in group.items()
            if key not in ("params", "lr", "lr_scale") and not (key in before and _same(value, before[key]))
        }
        groups.append(([names[parameter] for parameter in group["params"]], _plain_ones(changed)))
    state = cast("Mapping[Any, Any]", optimizer.state)
    named = {key: value for key, value in state.items() if isinstance(key, str)}
    return {"groups": groups, "state": _plain_ones(named)}


def load_shared_memory(optimizer: Optimizer, detector: nn.Module, memory: Mapping[str, Any]) -> None:
    """Inverse of `shared_memory`; a group takes what the one had that its first parameter was in."""
    optimizer.state.update(copy.deepcopy(memory["state"]))
    of = {name: held for names, held in memory["groups"] for name in names}
    names = {parameter: name for name, parameter in detector.named_parameters()}
    for group in optimizer.param_groups:
        for key, value in of.get(names[group["params"][0]], {}).items() if group["params"] else ():
            now = group.get(key)
            place = now.device if isinstance(now, Tensor) else group["params"][0].device
            group[key] = value.to(place, copy=True) if isinstance(value, Tensor) else copy.deepcopy(value)


def _same(now: Any, before: Any) -> bool:
    """Whether two values are equal; tensors and arrays among them in every entry."""
    if isinstance(now, Tensor) and isinstance(before, Tensor):
        return now.shape == before.shape and now.dtype == before.dtype and bool((now == before).all())
    if type(now) is not type(before):
        return False
    if isinstance(now, list | tuple):
        return len(now) == len(before) and all(map(_same, now, before))
    if isinstance(now, dict):
        return now.keys() == before.keys() and all(_same(value, before[key]) for key, value in now.items())
    return bool(np.all(now == before))


def _plain_ones(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = {}
    for key, value in values.items():
        with suppress(TypeError):
            plain[key] = _plain(value)
    return plain


def _plain(value: Any) -> Any:
    """What a state can hold of a value.

    Raises:
        TypeError: it is, or has in it, what no state can hold.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Tensor):
        return value.detach().clone()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    if type(value) is dict:
        return {_plain(key): _plain(one) for key, one in value.items()}
    raise TypeError(type(value).__name__)


def load_optimizer_state(
    optimizer: Optimizer,
    detector: nn.Module,
    state: Mapping[str, Mapping[str, Tensor | float | None]],
    trainable: Iterable[str] | None = None,
) -> None:
    """Inverse of `optimizer_state`. Rates and decays stay as this optimizer has them: they are settings, not memory.

    Args:
        optimizer: is given the memory.
        detector: whose parameters it has.
        state: from `optimizer_state`; of a parameter that has had no gradient there is none.
        trainable: names of all parameters that were trainable then; None: those that ``state`` has.

    Raises:
        ValueError: other parameters are trainable now.
    """
    names = {parameter: name for name, parameter in detector.named_parameters()}
    order = [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]
    odd = sorted(set(order) ^ set(state if trainable is None else trainable)) if state else []
    if odd:
        shown = ", ".join(odd[:5]) + (f" and {len(odd) - 5} more" if len(odd) > 5 else "")
        raise ValueError(f"other parameters are trainable now than when the checkpoint was written: {shown}")
    current = optimizer.state_dict()
    current["state"] = {
        index: {key: value.clone() if isinstance(value, Tensor) else value for key, value in state[name].items()}
        for index, name in enumerate(order)
        if name in state
    }
    with torch.no_grad():
        optimizer.load_state_dict(current)
    if isinstance(optimizer, RMSprop):  # which asks for what it would have begun with, had it had momentum before
        for group in optimizer.param_groups:
            for parameter in group["params"] if group["momentum"] > 0 else ():
                if memory := optimizer.state.get(parameter):
                    memory.setdefault("momentum_buffer", torch.zeros_like(parameter))


__all__ = [
    "LearningRate",
    "group_settings",
    "learning_rate",
    "load_optimizer_state",
    "load_shared_memory",
    "make_optimizer",
    "optimizer_state",
    "own_optimizer",
    "set_learning_rate",
    "shared_memory",
]
