"""How a model was trained: optimizer, learning rate, length. What has no counterpart becomes a note."""

from __future__ import annotations

import re
from typing import Any

from detzoo.interop.kinds import kind_name
from detzoo.interop.section import Section
from detzoo.recipes.columns import NO_NORM_DECAY
from detzoo.recipes.detr import SLOW_BACKBONE
from detzoo.recipes.fcos import BIASES, SHIFT_BIASES
from detzoo.recipes.settings import ParamGroup, Schedule

(_BACKBONE,) = SLOW_BACKBONE
_OPTIMIZERS = {"SGD": "sgd", "Adam": "adam", "AdamW": "adamw"}
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
        settings |= _decay(step)
    return settings


def _two(config: Section) -> dict[str, Any]:
    settings = _optimizer(config.section("optimizer", training=True))
    if isinstance(config.take("optimizer_config"), dict):
        settings["clip_norm"] = _clip(config.section("optimizer_config", training=True), "grad_clip")
    if isinstance(config.take("data"), dict):
        data = config.section("data", training=True)
        settings["batch"] = data.whole("imgs_per_gpu" if data.has("imgs_per_gpu") else "samples_per_gpu", 2)
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
            policy = given.word("policy", "step")
            if policy == "step":
                settings |= {"decay": "step", "milestones": given.wholes("step"), "gamma": given.number("gamma", 0.1)}
            elif policy == "CosineAnnealing":
                settings |= {"decay": "cosine", "final_lr": given.number("min_lr_ratio", 0.0)}
            else:
                given.differs("policy", "has no counterpart")
            given.fixed("warmup", "linear", "constant")
            settings["warmup"] = "constant" if given.take("warmup") == "constant" else "linear"
            settings["warmup_steps"] = given.whole("warmup_iters", 0) if given.has("warmup") else 0
            if settings["warmup_steps"]:
                settings["warmup_start"] = given.number("warmup_ratio", 0.1)
            given.ignore("warmup_iters", "warmup_ratio")  # without warmup
    return settings


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
        groups: tuple[ParamGroup, ...] = ()
        decay = settings.get("weight_decay", 0.0)
        custom = given.section("custom_keys", {})
        for key in custom.values:
            with custom.section(str(key)) as one:
                scale, share = one.number("lr_mult", 1.0), one.number("decay_mult", 1.0)
                of = _BACKBONE if key == "backbone" else ParamGroup(pattern=re.escape(str(key)))
                groups += (of.replace(lr_scale=scale, weight_decay=_less(decay, share)),)
        if given.number("norm_decay_mult", 1.0) == 0.0:
            groups += NO_NORM_DECAY
        scale, share = given.number("bias_lr_mult", 1.0), given.number("bias_decay_mult", 1.0)
        if (scale, share) != (1.0, 1.0):
            of_norms, others = BIASES
            groups += (of_norms.replace(weight_decay=_less(decay, share)),)
            groups += (others.replace(lr_scale=scale, weight_decay=_less(decay, share)),)
        given.ignore("bypass_duplicate")  # no parameter is there twice
        return groups


def _less(decay: float, share: float) -> float | None:
    return None if share == 1.0 else decay * share


def _clip(given: Section, name: str) -> float | None:
    if not given.has(name):
        return None
    with given.section(name) as clip:
        clip.fixed("norm_type", 2)
        return clip.number("max_norm")


def _decay(step: Section) -> dict[str, Any]:
    """One entry of ``param_scheduler``."""
    with step:
        kind = step.kind
        step.ignore("begin", "by_epoch", "convert_to_iter_based", "type")
        if kind == "LinearLR":
            return {"warmup_steps": step.whole("end"), "warmup_start": step.number("start_factor", 1 / 3)}
        if kind == "ConstantLR":
            start = step.number("factor", 1 / 3)
            return {"warmup": "constant", "warmup_steps": step.whole("end"), "warmup_start": start}
        step.ignore("end")  # that of training
        if kind == "MultiStepLR":
            gamma = step.number("gamma", 0.1)
            return {"decay": "step", "milestones": step.wholes("milestones"), "gamma": gamma}
        if kind == "CosineAnnealingLR":
            step.ignore("T_max", "eta_min")
            return {"decay": "cosine"}
        step.differs("type", "has no counterpart")
        step.ignore(*step.values)
        return {}


__all__ = ["read_schedule"]
