"""How a model was trained: optimizer, learning rate, length. What has no counterpart becomes a note."""

from __future__ import annotations

import re
from typing import Any

from detzoo.interop.kinds import kind_name
from detzoo.interop.mmdet.data import loader_of_2
from detzoo.interop.section import Section
from detzoo.recipes.columns import NO_NORM_DECAY
from detzoo.recipes.detr import SLOW_BACKBONE
from detzoo.recipes.fcos import BIASES, SHIFT_BIASES
from detzoo.recipes.settings import ParamGroup, Schedule

(_BACKBONE,) = SLOW_BACKBONE
_OPTIMIZERS = {"SGD": "sgd", "Adam": "adam", "AdamW": "adamw"}
_HOOKS = ("OptimizerHook", "GradientCumulativeOptimizerHook")
_FALLS = {
    "CosineAnnealingLR": "cosine",
    "PolyLR": "poly",
    "CosineAnnealing": "cosine",
    "poly": "poly",
}  # of 3, and of 2
_NEVER = 1e9  # MMEngine's word for no end
_NO_DECAY = {"SGD": 0.0, "Adam": 0.0, "AdamW": 0.01}  # PyTorch's defaults


def read_schedule(config: Section, deformed: bool = False) -> Schedule:
    """The schedule of MMDetection 3 (``optim_wrapper``, ``param_scheduler``) or 2 (``optimizer``, ``lr_config``).

    Args:
        config: the whole config.
        deformed: the model has deformable convolutions; biases of their shifts are no biases to the optimizer.

    Raises:
        ConfigError: a setting is malformed.
    """
    settings: dict[str, Any] = {"base_batch": 16}
    if isinstance(config.take("auto_scale_lr"), dict):
        settings["base_batch"] = config.section("auto_scale_lr", training=True).whole("base_batch_size", 16)
    if isinstance(config.take("optim_wrapper"), dict):
        settings |= _three(config)
    elif isinstance(config.take("optimizer"), dict):
        settings |= _two(config)
    else:
        return Schedule()
    settings["sync_bn"] = _synchronized(config.take("model"))
    groups = settings.get("groups", ())
    if deformed and groups and groups[-1].of == "bias":
        settings["groups"] = (*groups[:-2], SHIFT_BIASES, *groups[-2:])
    return Schedule.model_validate(settings)


def _synchronized(value: Any) -> bool:
    """Whether any normalization within a model is over devices."""
    if isinstance(value, list | tuple):
        return any(map(_synchronized, value))
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    if isinstance(kind, str) and kind_name(kind) in ("SyncBN", "MMSyncBN"):
        return True
    return any(_synchronized(inner) for key, inner in value.items() if key != "type")


def _three(config: Section) -> dict[str, Any]:
    settings: dict[str, Any] = {"warmup_steps": 0, "milestones": (), "decay": "constant"}
    with config.section("optim_wrapper", training=True) as given:
        if given.kinds("OptimWrapper", "AmpOptimWrapper") == "AmpOptimWrapper":
            settings["precision"] = "bf16" if given.take("dtype") == "bfloat16" else "fp16"
        given.ignore("loss_scale", "dtype")  # static or dynamic: gradients are the same
        settings["accumulate"] = given.whole("accumulative_counts", 1)
        if given.has("optimizer"):
            settings |= _optimizer(given.section("optimizer"))
        settings["clip_norm"] = _clip(given, "clip_grad")
        if given.has("paramwise_cfg"):
            settings["groups"] = _groups(given.section("paramwise_cfg"), settings)
    if isinstance(config.take("train_dataloader"), dict):
        settings["batch"] = config.section("train_dataloader").whole("batch_size", 2)
    if isinstance(config.take("train_cfg"), dict):
        loop = config.section("train_cfg", training=True)
        if loop.has("max_epochs"):
            settings["epochs"] = loop.whole("max_epochs")
            settings["evaluate_every"] = loop.whole("val_interval", 1)
        else:
            loop.differs("max_iters", "counts steps; here a schedule counts epochs")
    for step in config.sections("param_scheduler", training=True):
        found = _decay(step, settings)
        if "decay" in found and settings["decay"] != "constant":
            step.noted("type", "comes after another one, of which nothing is taken over")
        settings |= found
    return settings


def _two(config: Section) -> dict[str, Any]:
    settings = _optimizer(config.section("optimizer", training=True))
    if isinstance(config.take("optimizer_config"), dict):
        settings |= _update(config.section("optimizer_config", training=True))
    if isinstance(config.take("data"), dict):
        data = config.section("data", training=True)
        name = "imgs_per_gpu" if data.has("imgs_per_gpu") else "samples_per_gpu"
        settings["batch"] = loader_of_2(data, name).whole(name, 2)
    if config.has("fp16"):
        settings["precision"] = "fp16"
    runner = config.take("runner")
    if isinstance(runner, dict) and "max_epochs" in runner:
        settings["epochs"] = config.section("runner", training=True).whole("max_epochs")
    elif config.has("total_epochs"):
        settings["epochs"] = config.whole("total_epochs")
    else:
        config.notes.append("runner: counts steps; here a schedule counts epochs")
    if isinstance(config.take("evaluation"), dict):
        settings["evaluate_every"] = config.section("evaluation", training=True).whole("interval", 1)
    if isinstance(config.take("lr_config"), dict):
        with config.section("lr_config", training=True) as given:
            settings |= _policy(given, settings["lr"]) | _warmup_two(given)
    return settings


def _update(given: Section) -> dict[str, Any]:
    """``optimizer_config``: how gradients become an update."""
    kind = given.take("type", _HOOKS[0])
    if not isinstance(kind, str) or kind_name(kind) not in _HOOKS:
        given.differs("type", "has no counterpart")
    return {"clip_norm": _clip(given, "grad_clip"), "accumulate": given.whole("cumulative_iters", 1)}


def _policy(given: Section, lr: float) -> dict[str, Any]:
    """How the rate falls by ``lr_config``."""
    policy, by_epoch = given.word("policy", "step"), given.flag("by_epoch", True)
    if policy == "step":
        milestones, gamma = given.wholes("step"), given.number("gamma", 0.1)
        if by_epoch:
            return {"decay": "step", "milestones": milestones, "gamma": gamma}
        given.differs("by_epoch", "counts steps; here milestones are epochs, and the rate stays the same")
        return {"decay": "constant", "milestones": ()}
    if policy not in _FALLS:
        given.differs("policy", "has no counterpart")
        return {}
    # there it falls from the first step on, whatever the warm-up
    settings: dict[str, Any] = {"decay": _FALLS[policy], "decay_start": 0.0}
    settings["decay_by"] = "epoch" if by_epoch else "update"
    settings["final_lr"] = _last(given, "min_lr", "min_lr_ratio", lr)
    if policy == "poly":
        settings["power"] = given.number("power", 1.0)
    return settings


def _warmup_two(given: Section) -> dict[str, Any]:
    """How the rate begins by ``lr_config``."""
    given.fixed("warmup", "linear", "constant")
    kind = "constant" if given.take("warmup") == "constant" else "linear"
    steps = given.whole("warmup_iters", 0) if given.has("warmup") else 0
    if steps and given.flag("warmup_by_epoch", False):
        given.differs("warmup_by_epoch", "has no counterpart; here warm-up counts steps, and there is none")
        steps = 0
    given.ignore("warmup_iters", "warmup_ratio", "warmup_by_epoch")  # without warmup
    settings: dict[str, Any] = {"warmup": kind, "warmup_steps": steps}
    return settings | {"warmup_start": given.number("warmup_ratio", 0.1)} if steps else settings


def _last(given: Section, absolute: str, relative: str, lr: float) -> float:
    """The last rate as a part of the first, however it is given."""
    name = relative if given.has(relative) else absolute
    value = given.number(name, 0.0)
    last = value if name == relative or not lr else value / lr
    if 0.0 <= last <= 1.0:
        return last
    given.differs(name, "is above the rate itself or below 0; the last rate is 0 here")
    return 0.0


def _optimizer(given: Section) -> dict[str, Any]:
    with given:
        kind = given.kinds(*_OPTIMIZERS)
        settings: dict[str, Any] = {"optimizer": _OPTIMIZERS[kind], "lr": given.number("lr")}
        settings["weight_decay"] = given.number("weight_decay", _NO_DECAY[kind])
        settings["momentum"] = given.number("momentum", 0.0 if kind == "SGD" else 0.9)
        given.fixed("betas", (0.9, 0.999))
        if given.has("paramwise_cfg"):  # of MMDetection 2
            settings["groups"] = _groups(given.section("paramwise_cfg"), settings)
        return settings


def _groups(given: Section, settings: dict[str, Any]) -> tuple[ParamGroup, ...]:
    with given:
        by_key: dict[str, ParamGroup] = {}
        decay = settings.get("weight_decay", 0.0)
        custom = given.section("custom_keys", {})
        for key in map(str, custom.values):
            with custom.section(key) as one:
                scale, share = one.number("lr_mult", 1.0), one.number("decay_mult", 1.0)
                of = _BACKBONE if key == "backbone" else ParamGroup(pattern=re.escape(key))
                by_key[key] = of.replace(lr_scale=scale, weight_decay=_less(decay, share))
        groups = tuple(by_key[key] for key in _ordered(by_key))
        of_norm = given.number("norm_decay_mult", 1.0)
        if of_norm != 1.0:
            (norms,) = NO_NORM_DECAY
            groups += (norms.replace(weight_decay=_less(decay, of_norm)),)
        scale, share = given.number("bias_lr_mult", 1.0), given.number("bias_decay_mult", 1.0)
        if (scale, share) != (1.0, 1.0):
            of_norms, others = BIASES
            # a setting for normalization layers goes for their biases too, even if it is 1
            less = None if given.has("norm_decay_mult") and of_norm == 1.0 else _less(decay, share)
            groups += (of_norms.replace(weight_decay=less),)
            groups += (others.replace(lr_scale=scale, weight_decay=_less(decay, share)),)
        given.ignore("bypass_duplicate")  # no parameter is there twice
        return groups


def _ordered(groups: dict[str, ParamGroup]) -> list[str]:
    """Keys as they win there: the longest within a name, of equally long ones the first by the alphabet.

    They stay in the order of the config where it does not matter, as all groups do the same.
    """
    if len({(group.lr_scale, group.weight_decay) for group in groups.values()}) < 2:
        return list(groups)
    return sorted(sorted(groups), key=len, reverse=True)


def _less(decay: float, share: float) -> float | None:
    return None if share == 1.0 else decay * share


def _clip(given: Section, name: str) -> float | None:
    if not given.has(name):
        return None
    with given.section(name) as clip:
        clip.fixed("norm_type", 2)
        return clip.number("max_norm")


def _decay(step: Section, settings: dict[str, Any]) -> dict[str, Any]:
    """One entry of ``param_scheduler``; ``settings`` are those of the optimizer and the length."""
    with step:
        kind, by_epoch = step.kind, step.flag("by_epoch", True)
        if kind in ("LinearLR", "ConstantLR"):
            return _warmup(step, kind, by_epoch)
        if kind == "MultiStepLR":
            return _milestones(step, by_epoch)
        step.ignore("begin", "end", "convert_to_iter_based")  # counted below
        # without an end it never falls
        if kind == "CosineAnnealingLR" or (kind == "PolyLR" and step.has("end")):
            return _fall(step, kind, by_epoch, settings)
        step.differs("type", "has no counterpart" + (" without an end" if kind == "PolyLR" else ""))
        step.ignore(*step.values)
        return {}


def _warmup(step: Section, kind: str, by_epoch: bool) -> dict[str, Any]:
    name = "start_factor" if kind == "LinearLR" else "factor"
    start, end = step.number(name, 1 / 3), step.whole("end")
    step.fixed("end_factor", 1)
    step.ignore("convert_to_iter_based")  # it is in steps anyway, or refused
    if kind == "ConstantLR" and start == 1.0:  # the rate stays as it is
        step.ignore("begin")
        return {}
    step.fixed("begin", 0)
    if by_epoch:
        where = "by_epoch" if step.has("by_epoch") else "type"
        step.differs(where, "counts epochs; here warm-up counts steps, and there is none")
        return {}
    return {"warmup": "linear" if kind == "LinearLR" else "constant", "warmup_steps": end, "warmup_start": start}


def _milestones(step: Section, by_epoch: bool) -> dict[str, Any]:
    step.ignore("convert_to_iter_based")  # the rate is the same within an epoch
    gamma, begin, end = step.number("gamma", 0.1), step.whole("begin", 0), step.number("end", _NEVER)
    # counted from the beginning of the entry, and reached before its end
    milestones = tuple(begin + one for one in step.wholes("milestones") if begin + one < end)
    if by_epoch:
        return {"decay": "step", "milestones": milestones, "gamma": gamma}
    step.differs("by_epoch", "counts steps; here milestones are epochs, and the rate stays the same")
    return {}


def _fall(step: Section, kind: str, by_epoch: bool, settings: dict[str, Any]) -> dict[str, Any]:
    """A rate that falls over half a cosine or as a power of what is left."""
    usual = Schedule()
    found: dict[str, Any] = {"decay": _FALLS[kind]}
    found["final_lr"] = _last(step, "eta_min", "eta_min_ratio", settings.get("lr", usual.lr))
    if found["final_lr"] and step.has("eta_min") and any(one.lr_scale != 1.0 for one in settings.get("groups", ())):
        step.noted("eta_min", "is the same for all parameters there; here it follows the rate of each group")
    if kind == "PolyLR":
        found["power"] = step.number("power", 1.0)
    begin, epochs = step.whole("begin", 0), settings.get("epochs", usual.epochs)
    if not by_epoch:
        step.differs("by_epoch", "counts steps; here the rate falls from warm-up to the last epoch")
        step.ignore("T_max")
        return found
    until = begin + step.whole("T_max") if step.has("T_max") else step.whole("end", epochs)
    if begin >= epochs:
        step.differs("begin", f"is after the {epochs} epochs of training")
        return {}
    if until != epochs:
        step.differs(
            "T_max" if step.has("T_max") else "end", f"is over at epoch {until}; here it falls to epoch {epochs}"
        )
    found |= {"decay_start": float(begin), "decay_by": "update"}
    if not step.flag("convert_to_iter_based", False):
        found["decay_by"] = "epoch"
        if kind == "PolyLR":
            step.noted("type", "has its last rate for the whole of the last epoch; here it is reached at its end")
    return found


__all__ = ["read_schedule"]
