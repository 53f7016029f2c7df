"""The program's own backbone: into a recipe, into the detector that it builds, and from one detector to another."""

from __future__ import annotations

import copy

import torch
from torch import nn

from detzoo.backbones.own import OwnBackbone, described, places
from detzoo.config import ConfigError
from detzoo.detector import Detector
from detzoo.recipes.recipe import Recipe, method_of


def with_backbone(recipe: Recipe, module: nn.Module) -> Recipe:
    """The recipe with the program's own backbone; what was published of it goes, as that is of another model.

    Raises:
        ConfigError: the method is built for a backbone of its own.
        TypeError: ``module`` is no module, or does not say what it returns.
    """
    settings = described(module)
    field = type(recipe.model).model_fields.get("backbone")
    if field is None or field.discriminator != "kind":
        raise ConfigError(
            f"{recipe.name}: {method_of(recipe).__name__} is built for one kind of backbone; "
            "take a method that any backbone fits, such as a retinanet or faster_rcnn recipe"
        )
    before = getattr(recipe.model, "backbone", None)
    if isinstance(before, OwnBackbone.Config) and before == settings.replace(name=before.name):
        return recipe
    model = recipe.model.replace(backbone=settings)
    return recipe.replace(model=model, init=None, published=None, weights=None)


def fill(detector: Detector, module: nn.Module | None) -> None:
    """Put the program's own backbone into its place.

    Raises:
        ConfigError: there is none and it is needed, or the other way round; or it returns other maps.
    """
    needed = list(places(detector))
    if module is None:
        if needed:
            name = getattr(getattr(detector.config, "backbone", None), "name", "a module")
            raise ConfigError(
                f"its backbone is the program's own ({name[:60]}), which no file can hold: build the same and pass it "
                "in, backbone=module"
            )
        return
    if not needed:
        raise ConfigError("its backbone is one of detzoo's: leave out backbone=module")
    settings = described(module)
    for _, place in needed:
        if (place.channels, place.strides) != (settings.channels, settings.strides):
            raise ConfigError(
                f"its backbone returns maps of {list(place.channels)} channels at strides {list(place.strides)}; that "
                f"of backbone={settings.name} has {list(settings.channels)} at {list(settings.strides)}"
            )
        place.network = module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] (torch's stubs)


def fill_as(detector: Detector, other: Detector) -> None:
    """Put copies of the program's own backbone of ``other`` into a detector of the same parts."""
    for name, place in places(other):
        mine = detector.get_submodule(name)
        if isinstance(mine, OwnBackbone):
            mine.network = copy.deepcopy(place.network)


def own_backbone(detector: Detector) -> nn.Module | None:
    """A copy of the program's own backbone of a detector, or None."""
    return next((copy.deepcopy(place.network) for _, place in places(detector)), None)
