"""What a recipe builds, without memory: for refusing what is too large, and for finding what a program has changed."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn
from torch.overrides import TorchFunctionMode

from detzoo.backbones.own import own_parts
from detzoo.config import Config, ConfigError
from detzoo.detector import Detector
from detzoo.recipes.recipe import METHODS, Recipe, method_of

MOST_PARAMETERS = 1_000_000_000  # buffers included: 4 GB; the largest published detectors have a third of that
MOST_CALLS = 50_000  # of PyTorch's functions while a model is built; the largest published needs 37,000
LARGEST_NUMBER = 1 << 20  # of a whole number in a model's settings
LONGEST_LIST = 1000  # of a list in them

# without memory they do nothing, after importing PyTorch's compiler
_RANDOM = {torch.Tensor.normal_, torch.Tensor.uniform_}

# of modules: what only training uses, or what a file keeps apart from the recipe
_FREE = {"training", "momentum", "recipe", "classes"}


class _Counted(TorchFunctionMode):
    """Refuses to go on after `MOST_CALLS` calls, and leaves out what gives numbers to tensors that have none."""

    calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init" or func in _RANDOM:
            return (kwargs or {}).get("tensor", args[0] if args else None)
        self.calls += 1
        if self.calls > MOST_CALLS:
            raise ValueError("it has more parts than can be meant")
        return func(*args, **(kwargs or {}))


@contextmanager
def without_memory() -> Iterator[None]:
    """Modules that are built here have shapes but no memory, on the meta device, and are not initialized.

    Raises:
        ValueError: they have more parts than any model.
    """
    with torch.device("meta"), _Counted():
        yield


def blueprint(recipe: Recipe, classes: Sequence[str]) -> Detector:
    """The detector of a recipe, with shapes but no memory, on the meta device. It is shared: not to be changed.

    Raises:
        ConfigError: it cannot be built, or is too large to be meant.
    """
    model: Any = recipe.model  # frozen, which makes it hashable without telling type checkers
    return _blueprint(method_of(recipe), model, tuple(classes))


@functools.lru_cache(maxsize=32)
def _blueprint(method: Any, model: Any, classes: tuple[str, ...]) -> Detector:
    for place, value in _leaves(model, "model"):
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            raise ConfigError(f"{place} is too large; up to {LARGEST_NUMBER} is built")
        if isinstance(value, tuple) and len(value) > LONGEST_LIST:
            raise ConfigError(f"{place}: {len(value)} entries are too many; up to {LONGEST_LIST} are read")
    try:
        with without_memory():
            detector = method(model, classes)
    except Exception as error:  # of whatever layer is given such numbers
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ConfigError(f"the model cannot be built: {reason[:300]}") from None
    count = sum(value.numel() for value in (*detector.parameters(), *detector.buffers()))
    if count > MOST_PARAMETERS:
        raise ConfigError(f"the model has {count:.3g} parameters; up to {MOST_PARAMETERS:.3g} are built")
    return detector


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every value of settings with its place; of lists also the list itself."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _leaves(getattr(value, name), f"{place}.{name}")
        return
    yield place, value
    if isinstance(value, tuple):
        for number, one in enumerate(value[:LONGEST_LIST]):
            yield from _leaves(one, f"{place}.{number}")


def changes(detector: Detector, recipe: Recipe, state: Mapping[str, torch.Tensor], parts: Collection[str]) -> list[str]:
    """What a program has changed about a detector since its recipe built it, so that the recipe alone would not build
    it again: other modules, settings of modules, and names and shapes of tensors.

    Args:
        detector: as it is.
        recipe: what should build it.
        state: its tensors by name, or others that are to be stored in their place.
        parts: names of modules that are the program's own, where nothing is compared.

    Returns:
        One printable line each; none: nothing has changed.
    """
    wanted = blueprint(recipe, detector.classes)
    if type(detector) is not type(wanted):
        return [f"it is a {type(detector).__name__}, not a {type(wanted).__name__}"]
    told: set[str] = {*parts, *own_parts(wanted)}
    if type(wanted) not in METHODS:  # the program knows what else its own class holds
        lines = [] if detector.config == recipe.model else ["its settings are not those of its recipe"]
        return lines + misfits(shapes_of(state), shapes_of(wanted.state_dict()), told)
    lines = []
    has, needs = (dict(one.named_modules(remove_duplicate=False)) for one in (detector, wanted))
    for name in sorted({*has, *needs}, key=lambda name: name.split(".")):
        if name in told or _within(name, told):
            continue
        difference = _difference(has.get(name), needs.get(name))
        if difference:
            lines.append(f"{name or 'the detector'}: {difference}")
            told |= {name} if name else set()
    for name, value in (("pixel_mean", detector.config.input.mean), ("pixel_std", detector.config.input.std)):
        held = getattr(detector, name)
        order = slice(None, None, -1) if detector.config.input.order == "bgr" else slice(None)
        if held.flatten().tolist() != torch.tensor(value[order], device="cpu").to(held.dtype).tolist():
            lines.append(f"{name} is not that of its settings")
    return lines + misfits(shapes_of(state), shapes_of(wanted.state_dict()), told)


def _difference(has: nn.Module | None, needs: nn.Module | None) -> str:
    if has is None or needs is None:
        return f"no {type(needs).__name__} any more" if has is None else f"a {type(has).__name__} that is new"
    if type(has) is not type(needs) and not (
        isinstance(has, nn.SyncBatchNorm) and isinstance(needs, nn.modules.batchnorm._BatchNorm)
    ):
        return f"a {type(has).__name__}, not a {type(needs).__name__}"
    other = [
        f"{key} is {str(vars(has).get(key, 'gone'))[:60]}, not {str(value)[:60]}"
        for key, value in vars(needs).items()
        if not key.startswith("_") and key not in _FREE and _is_plain(value) and not _is_same(vars(has).get(key), value)
    ]
    return ", ".join(other)


def _is_same(has: Any, needs: Any) -> bool:
    return _is_plain(has) and has == needs


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str | Config)


def shapes_of(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of a state dict's tensors."""
    return {name: tuple(value.shape) for name, value in state.items()}


def misfits(
    has: Mapping[str, tuple[int, ...]], needs: Mapping[str, tuple[int, ...]], parts: Collection[str] = ()
) -> list[str]:
    """Where names and shapes of tensors differ, one printable line each; nothing within ``parts`` is compared."""
    lines = [f"{name} is missing" for name in needs if name not in has and not _within(name, parts)]
    lines += [f"{name} is left over" for name in has if name not in needs and not _within(name, parts)]
    return lines + [
        f"{name} is {list(shape)}, not {list(needs[name])}"
        for name, shape in has.items()
        if name in needs and shape != needs[name] and not _within(name, parts)
    ]


def _within(name: str, parts: Collection[str]) -> bool:
    return any(name.startswith(f"{part}.") for part in parts)


def few(lines: Sequence[str], most: int = 5) -> str:
    """The first of many lines, in one."""
    more = f"; and {len(lines) - most} more" if len(lines) > most else ""
    return "; ".join(line[:200] for line in lines[:most]) + more


__all__ = ["MOST_PARAMETERS", "blueprint", "changes", "few", "misfits", "shapes_of", "without_memory"]
