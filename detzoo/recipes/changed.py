"""A detector with other settings and the same weights, for prediction and evaluation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import torch
from pydantic import create_model

from detzoo.arguments import count, fraction
from detzoo.config import Config, ConfigError, assigned, flatten, override
from detzoo.detector import Detector, DetectorConfig, Input
from detzoo.recipes.blueprint import LARGEST_NUMBER
from detzoo.recipes.own_backbone import fill_as
from detzoo.recipes.recipe import Recipe

_PIXELS = re.compile(r"(\d+)(?:x(\d+))?")


def with_settings(
    detector: Detector,
    overrides: Iterable[str] | Mapping[str, Any] = (),
    *,
    nms: float | None = None,
    size: int | str | tuple[int, int] | None = None,
) -> Detector:
    """The same detector with other settings of its model; see `detzoo.detector.Detector.with_settings`."""
    model = _overridden(detector.config, overrides)
    changes: dict[str, Any] = {}
    if nms is not None:
        changes |= dict.fromkeys(_suppressions(model, type(detector).__name__), fraction("nms", nms))
    if size is not None:
        if model.input.canvas is not None:
            raise ConfigError("size: every picture is fitted into model.input.canvas here: set that")
        changes |= _input_changes(model.input, size)
    return with_model(detector, _changed(model, changes))


def with_model(detector: Detector, model: DetectorConfig) -> Detector:
    """The same detector built anew from other settings of its model; it shares the weights.

    Raises:
        ConfigError: the weights do not fit the changed model.
    """
    if model == detector.config:
        return detector
    if model.replace(input=detector.config.input) == detector.config and _same_pixels(
        model.input, detector.config.input
    ):
        changed = object.__new__(type(detector))
        vars(changed).update(vars(detector), config=model)
    else:
        with torch.random.fork_rng(devices=[]):  # its first weights are random, and not used
            changed = type(detector)(model, detector.classes)
            fill_as(changed, detector)
        state = detector.state_dict()
        try:
            changed.load_state_dict(state, assign=True)
        except RuntimeError as error:
            raise ConfigError(f"the weights do not fit the changed model: {error}") from None
        changed = changed.to(detector.device).eval()
        for name, held in changed.named_buffers():
            if name not in state and held.is_floating_point():
                held.data = held.to(detector.pixel_mean.dtype)
    if isinstance(detector.recipe, Recipe):
        changed.recipe = detector.recipe.replace(model=model)
    return changed


def _same_pixels(one: Input, other: Input) -> bool:
    """Whether two inputs differ in sizes only, which no part of a network is built from."""
    return (one.order, one.mean, one.std) == (other.order, other.mean, other.std)


def _overridden(model: DetectorConfig, overrides: Iterable[str] | Mapping[str, Any]) -> DetectorConfig:
    if isinstance(overrides, str):
        raise ConfigError(f"overrides is a list of settings, as [{overrides!r}], or a dict")
    given = overrides if isinstance(overrides, Mapping) else [str(text).strip() for text in overrides]
    for text in given:
        _check_path(str(text), model)
    return _changed(model, {str(path).removeprefix("model."): value for path, value in assigned(given).items()})


def _changed(model: DetectorConfig, changes: Mapping[str, Any]) -> DetectorConfig:
    """The settings with others by their path below ``model``, which messages put in front as they do elsewhere."""
    settings = _below_model(type(model))(**{"model": model})
    return override(settings, {f"model.{path}": value for path, value in changes.items()}).model  # pyright: ignore[reportAttributeAccessIssue] # made here


@cache
def _below_model(kind: type[DetectorConfig]) -> type[Config]:
    return create_model("Settings", __base__=Config, model=(kind, ...))


def _check_path(text: str, model: DetectorConfig) -> None:
    first = text.strip().partition("=")[0].split(".")[0]
    if first in ("data", "schedule") and first not in type(model).model_fields:
        raise ConfigError(f"{text}: only settings of the model, such as model.input.short=800, change what is found")


def _suppressions(model: DetectorConfig, method: str) -> list[str]:
    """The settings of the last suppression; that among proposals is meant where there is no other."""
    paths = [path for path in flatten(model) if path.rpartition(".")[2] == "nms"]
    last = [path for path in paths if path.split(".")[0] != "rpn"] or paths
    if not last:
        raise ConfigError(f"nms: {method} has no suppression to set")
    return last


def _input_changes(input: Input, size: Any) -> dict[str, Any]:
    if isinstance(size, str):
        match = _PIXELS.fullmatch(size.strip())
        if match is None:
            raise ConfigError(f"size is a number of pixels, such as 640, or two, such as 480x640, not {size!r}")
        size = int(match[1]) if match[2] is None else (int(match[1]), int(match[2]))
    if isinstance(size, tuple | list):
        if len(size) != 2:
            raise ConfigError(f"size is a number of pixels or two, got {size!r}")
        short, long = (_pixels(value) for value in size)
    else:
        short = _pixels(size)
        long = max(short, round(short * input.long / input.short))
    if input.keep_ratio and short > long:
        raise ConfigError(f"size: the short edge, {short}, is longer than the long one, {long}")
    return {"input.resize": True, "input.short": short, "input.long": long}


def _pixels(value: Any) -> int:
    number = count("size", value)
    if number > LARGEST_NUMBER:
        raise ConfigError(f"size: an edge has {LARGEST_NUMBER} pixels at most; choose a smaller size")
    return number
