"""What a program passes into a run beside settings: parts of its own, which the run's files name and do not hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from detzoo.detector import Detector, DetectorConfig
from detzoo.recipes.own import own_method
from detzoo.recipes.own_backbone import own_backbone
from detzoo.recipes.recipe import METHODS, Recipe


@dataclass(frozen=True, slots=True)
class Own:
    """The program's own parts of a run.

    Attributes:
        methods: subclasses of `Detector` that the files of the run may name.
        backbone: in the place of the recipe's.
    """

    methods: tuple[type[Detector], ...] = ()
    backbone: nn.Module | None = None


def own_parts_of(given: object, methods: Sequence[type[Detector]], backbone: nn.Module | None) -> Own:
    """These parts, and those that are in what training is given: the class of its settings, a copy of its backbone."""
    if isinstance(given, Detector) and backbone is None:
        backbone = own_backbone(given)
    model = given.config if isinstance(given, Detector) else given.model if isinstance(given, Recipe) else given
    method = own_method(model) if isinstance(model, DetectorConfig) else None
    return Own((*methods, *(() if method is None or method in METHODS else (method,))), backbone)
