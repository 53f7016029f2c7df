"""What a program passes into a run beside settings: parts of its own, which the run's files name and do not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from detzoo.data.vary import Vary, name_of
from detzoo.detector import Detector, DetectorConfig
from detzoo.evaluate.own_metrics import OwnMetric
from detzoo.recipes.own import own_method
from detzoo.recipes.own_backbone import own_backbone
from detzoo.recipes.recipe import METHODS, Recipe
from detzoo.suggest import unknown

# of a callback that is an object: its method for an event of the log
_EVENTS = {"on_step": "train", "on_epoch": "epoch", "on_validation": "epoch"}


@dataclass(frozen=True, slots=True)
class Own:
    """The program's own parts of a run.

    Attributes:
        methods: subclasses of `Detector` that the files of the run may name.
        backbone: in the place of the recipe's.
        augment: what is done to a training picture before the recipe's steps, in order.
        metrics: what is measured beside the recipe's metric.
        callbacks: called with every record of the log; one that returns a text stops the run.
        optimizer: makes the optimizer from the parameters.
    """

    methods: tuple[type[Detector], ...] = ()
    backbone: nn.Module | None = None
    augment: tuple[Vary, ...] = ()
    metrics: tuple[OwnMetric, ...] = ()
    callbacks: tuple[Callable[[Mapping[str, Any]], object], ...] = ()
    optimizer: Callable[[list[nn.Parameter]], Optimizer] | None = None

    def names(self) -> dict[str, list[str]]:
        """What the files of the run say of it; the backbone, the method and the data stand in its settings."""
        optimizer = [] if self.optimizer is None else [self.optimizer]
        parts = {"augment": self.augment, "optimizer": optimizer, "metrics": self.metrics}
        return {word: [name_of(one) for one in some] for word, some in parts.items() if some}

    def same_as(self, before: Mapping[str, Any], say: Callable[[str], object]) -> bool:
        """Say what a run that goes on had otherwise. Returns whether it had the same optimizer."""
        now = self.names()
        for word in ("augment", "optimizer", "metrics"):
            if now.get(word) != before.get(word):
                then, here = (", ".join(names.get(word) or ["none"]) for names in (before, now))
                say(f"the program's own {word}: {then} before this run was stopped, {here} now")
        return now.get("optimizer") == before.get("optimizer")


def own_parts_of(
    given: object,
    methods: Sequence[type[Detector]],
    backbone: nn.Module | None,
    augment: Sequence[Vary],
    metrics: Sequence[OwnMetric],
    callbacks: Sequence[Any],
    optimizer: Any,
) -> Own:
    """These parts, and those that are in what training is given: the class of its settings, a copy of its backbone.

    Raises:
        TypeError: one of them cannot be called.
    """
    for word, parts in (("augment", augment), ("metrics", metrics)):
        if not isinstance(parts, Sequence) or not all(map(callable, parts)):
            raise TypeError(f"{word} takes a list of callables, as [{word}], not {parts!r:.60}")
    if isinstance(given, Detector) and backbone is None:
        backbone = own_backbone(given)
    model = given.config if isinstance(given, Detector) else given.model if isinstance(given, Recipe) else given
    method = own_method(model) if isinstance(model, DetectorConfig) else None
    return Own(
        methods=(*methods, *(() if method is None or method in METHODS else (method,))),
        backbone=backbone,
        augment=tuple(augment),
        metrics=tuple(metrics),
        callbacks=tuple(map(_callback, callbacks)),
        optimizer=optimizer,
    )


def _callback(given: Any) -> Callable[[Mapping[str, Any]], object]:
    """What is called with every record of the log: ``given``, or its methods for an event each.

    Raises:
        TypeError: it has none, or one that is never called.
    """
    hooks = {word: getattr(given, word) for word in _EVENTS if callable(getattr(given, word, None))}
    wrong = [word for word in dir(given) if word.startswith("on_") and word not in _EVENTS]
    if wrong and (hooks or not callable(given)):
        raise TypeError(f"callbacks, {name_of(given)}: {unknown(wrong[0], _EVENTS, 'moment of a run')}")
    if not hooks:
        if not callable(given):
            raise TypeError(f"callbacks takes callables, or objects with {', '.join(_EVENTS)}, not {given!r:.60}")
        return given

    def call(record: Mapping[str, Any]) -> str | None:
        reasons = []
        for word in ("on_step", "on_validation", "on_epoch"):
            if word in hooks and record["event"] == _EVENTS[word] and (word != "on_validation" or "metrics" in record):
                answer, hook = hooks[word](record), f"{name_of(given)}.{word}"
                if isinstance(answer, str):
                    reasons.append(f"{answer} ({hook})")
                elif answer is not None:
                    raise TypeError(f"{hook} returned {answer!r:.60}: return a text, why the run stops, or None")
        return reasons[0] if reasons else None

    return call


__all__ = ["Own", "own_parts_of"]
