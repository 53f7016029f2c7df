"""What a run is to be: from what was typed, and of a run that goes on from what its folder says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from detzoo.config import Config, ConfigError, assigned, flatten, from_json, override, paths_of
from detzoo.config import load as load_config
from detzoo.data.read import BOXES_ONLY
from detzoo.data.source import as_data
from detzoo.detector import Detector, DetectorConfig
from detzoo.recipes.augment import refuse_unbuilt
from detzoo.recipes.files import CheckpointError, known_recipe, read
from detzoo.recipes.own_backbone import with_backbone
from detzoo.recipes.proportion import in_proportion
from detzoo.recipes.recipe import Recipe, method_of, recipe_of
from detzoo.recipes.settings import Data, Schedule
from detzoo.recipes.zoo import load, locate
from detzoo.train.lock import FolderInUse, lock
from detzoo.train.progress import Display
from detzoo.typed import argument
from detzoo.user_path import user_path

# what of a recipe's data settings says where its images are; the others say how they are varied and hold for any data
_ELSEWHERE = {
    name: Data.model_fields[name].default
    for name in ("kind", "root", "train", "val", "val_fraction", "classes", "metric", "own")
}


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to start from.

    Attributes:
        tensors: a state dict.
        classes: what they were trained to find, if known.
        words: a printable sentence on where they are from; empty where the user has named them.
    """

    tensors: Mapping[str, Tensor] = field(repr=False)
    classes: tuple[str, ...] | None = None
    words: str = ""


def given_recipe(
    recipe: str | Path | Recipe | Detector | DetectorConfig, backbone: nn.Module | None = None
) -> tuple[Recipe, Start | None]:
    """The recipe of a zoo name, of a recipe's ``.json`` file, of our weights file, of a detector, or for settings of a
    method alone; of a file and a detector their weights, too. With ``backbone``, the program's own, in its place.

    Raises:
        ConfigError: there is no such setting or file.
        UnknownRecipe: the name is not in the zoo.
        FileNotFoundError: there is no such weights file.
        ValueError: a detector has no recipe.
    """
    found, start = _given(recipe, backbone)
    return found if backbone is None else with_backbone(found, backbone), start


def _given(
    recipe: str | Path | Recipe | Detector | DetectorConfig, backbone: nn.Module | None
) -> tuple[Recipe, Start | None]:
    if isinstance(recipe, Recipe):
        return recipe, None
    if isinstance(recipe, DetectorConfig):
        return recipe_of(recipe), None
    source = recipe
    if not isinstance(source, Detector):
        if str(source).endswith(".json"):
            return load_config(Recipe, source), None
        located = locate(source)
        if isinstance(located, Recipe):
            return located, None
        source = load(source, backbone=backbone)
    found = known_recipe(source)
    if found is None:
        raise ValueError("this detector has no recipe to train it by; name one, and give the detector's weights")
    words = f"starting from the weights of {'the given detector' if source is recipe else recipe}"
    return found, Start(source.state_dict(), source.classes, words)


def named_start(weights: str | Path | Mapping[str, Tensor]) -> Start:
    """The weights that the user has named: a zoo name, our file, or a state dict."""
    if isinstance(weights, Mapping):
        return Start(cast("Mapping[str, Tensor]", weights))
    found = locate(weights)
    if isinstance(found, Path):
        _, classes, tensors = read(found)  # whatever the program would have to pass in to build it
        return Start(tensors, classes)
    source = load(weights)
    return Start(source.state_dict(), source.classes)


def planned(
    given: Recipe, data: Any, overrides: Iterable[str] | Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[Recipe, list[str]]:
    """The recipe of a new run, and what to say of it.

    Args:
        given: what it begins with.
        data: replaces where its images are; None: its own.
        overrides: settings by their path.
        settings: settings by their last name.
    """
    settled = given if data is None else given.replace(data=_elsewhere(given.data, data, _ELSEWHERE))
    typed = assigned(overrides) | paths_of(settled, settings)
    moved = in_proportion(settled.schedule, typed)
    changed = override(settled, {**moved, **typed})
    _check_masks(changed)
    refuse_unbuilt(changed.data.augment)
    before = flatten(settled)
    notes = [
        f"schedule.epochs={changed.schedule.epochs} instead of {settled.schedule.epochs}: {path} moves in proportion, "
        f"{before[path]} -> {value}; set it to have it elsewhere"
        for path, value in moved.items()
        if value != before[path]
    ]
    return changed, notes


def _check_masks(recipe: Recipe) -> None:
    """Refuse data without masks for a method that learns them, before anything is written."""
    boxes_only = BOXES_ONLY.get(recipe.data.kind)
    if method_of(recipe).learns_masks and (boxes_only or not recipe.data.masks):
        why = f"{boxes_only} has boxes only" if boxes_only else "data.masks is false"
        raise ConfigError(
            f"{recipe.name} learns masks, and {why}: take a method without masks, such as a faster_rcnn recipe"
            + ("" if boxes_only else ", or set data.masks=true")
        )


def resumed(
    contents: Mapping[str, Any],
    path: Path,
    given: Recipe | None,
    data: Any,
    overrides: Iterable[str] | Mapping[str, Any],
    settings: Mapping[str, Any],
) -> tuple[Recipe, list[str]]:
    """The recipe of a run that goes on, and what to say of it: its own, with what is typed now, or is otherwise in
    ``given`` than then.

    Args:
        contents: of the state in its folder.
        path: of the state, for messages.
        given: the recipe that is named now, or None.
        data: replaces where its images are; None: as before.
        overrides: settings by their path.
        settings: settings by their last name.

    Raises:
        CheckpointError: the state has no recipe that can be read, or another model is wanted now.
    """
    try:
        recipe = before = from_json(Recipe, contents["recipe"])
        then = from_json(Recipe, contents["given"]) if contents.get("given") else None
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    folder, here = Path(contents.get("folder", ".")), Path.cwd()
    elsewhere = folder.absolute() != here
    if elsewhere:  # relative paths are meant from where the run began
        recipe = recipe.replace(data=_from_folder(recipe.data, folder))
    if given is not None:
        then = then or given.replace(model=recipe.model, data=recipe.data)  # a state of before this was kept
        recipe = recipe.replace(
            **_changed(then, given, ("name", "model", "init")),
            data=recipe.data.replace(**_changed(then.data, given.data, Data.model_fields)),
            schedule=recipe.schedule.replace(**_changed(then.schedule, given.schedule, Schedule.model_fields)),
        )
    if data is not None:
        told = as_data(data)
        # other classes would be refused, and the same part of the images is to be kept apart
        where = {**_ELSEWHERE, "classes": recipe.data.classes, "metric": recipe.data.metric}
        if not (told.train and told.val) or told.val == told.train:
            where["val_fraction"] = recipe.data.val_fraction
        recipe = recipe.replace(data=_elsewhere(recipe.data, told, where))
    typed = assigned(overrides) | paths_of(recipe, settings)
    recipe = override(recipe, typed)
    if elsewhere:
        recipe = recipe.replace(data=_from_folder(recipe.data, here))
    _refuse_another_model(before, recipe, path)
    return recipe, _places_that_stay(before.schedule, recipe.schedule, typed)


def _from_folder(data: Data, folder: Path) -> Data:
    """The same data with a root that is found from any folder, if it is a relative one and ``folder`` has it."""
    root = folder / data.root
    files = data.kind not in ("shapes", "own")
    return data.replace(root=str(root)) if files and not Path(data.root).is_absolute() and root.exists() else data


def _places_that_stay(before: Schedule, now: Schedule, typed: Mapping[str, Any]) -> list[str]:
    """Lines on where the rate falls in a run that goes on for another number of epochs: there, what was done was."""
    wanted = in_proportion(before, {"schedule.epochs": now.epochs, "schedule.decay": now.decay})
    places = flatten({"schedule": now.model_dump(mode="json")})
    return [
        f"schedule.epochs={now.epochs} instead of {before.epochs}: {path} stays {places[path]}, as it was followed "
        f"so far; set it to have it elsewhere, as {path}={json.dumps(value)}"
        for path, value in wanted.items()
        if path not in typed and value != places[path]
    ]


def _elsewhere(before: Data, data: Any, where: Mapping[str, Any]) -> Data:
    told = as_data(data)
    return before.replace(**{**where, **{name: getattr(told, name) for name in told.model_fields_set}})


def _changed(then: Config, now: Config, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(now, name) for name in names if getattr(now, name) != getattr(then, name)}


def same_run(now: Recipe, contents: Mapping[str, Any], path: Path, display: Display) -> bool:
    """Refuse to go on with another model; name every other setting that changed.

    Returns:
        Whether the optimizer is the same one, so that what it remembered is of use.

    Raises:
        CheckpointError: it is another model.
    """
    before = from_json(Recipe, contents["recipe"])
    _refuse_another_model(before, now, path)
    changed, lines = _differences(before, now)
    if lines:
        display.say(f"settings that changed since the run was stopped: {'; '.join(lines)}")
    if "schedule.optimizer" not in changed:
        return True
    then, value = changed["schedule.optimizer"]
    display.say(
        f"schedule.optimizer was {then} and now is {value}, which starts anew: it remembers nothing of the updates so "
        "far; weights, epoch and best AP are kept. Its rate is schedule.lr as set for it"
    )
    return False


def _refuse_another_model(before: Recipe, now: Recipe, path: Path) -> None:
    changed, lines = _differences(before, now)
    if any(key.startswith("model.") for key in changed):
        raise CheckpointError(f"{path} was written by another model: {'; '.join(lines)}")


def _differences(before: Recipe, now: Recipe) -> tuple[dict[str, tuple[Any, Any]], list[str]]:
    """Settings that differ, by path, before and now; and a line on each."""
    then, here = flatten(before), flatten(now)
    pairs = {key: (then.get(key), here.get(key)) for key in {**then, **here}}
    changed = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    return changed, [f"{key}: {was!r} -> {value!r}" for key, (was, value) in changed.items()]


def claim(claims: ExitStack, out: str | Path | None, name: str | None, resume: bool, display: Display) -> Path:
    """The folder of a run, locked until ``claims`` is closed.

    Args:
        claims: holds the lock.
        out: the folder; None: below ``runs``.
        name: of the recipe.
        resume: the folder holds a run; of several below ``runs`` the last.
        display: for remarks.

    Raises:
        FileExistsError: ``out`` is a file, or holds a run already and ``resume`` is not set.
        FolderInUse: a run is going on there.
        ValueError: neither a folder nor a recipe is named.
    """
    if out is not None:
        folder = user_path(out)
        if resume and not folder.is_dir():  # which reading it then says
            return folder
        if folder.is_file():
            raise FileExistsError(f"{folder} is a file, not a folder; choose another {argument('out')}")
        claims.enter_context(lock(folder, display.say))
        if (folder / "last.state").exists() and not resume:
            raise FileExistsError(
                f"{folder} holds a run already; go on with it by {argument('resume', True)}, "
                f"or choose another {argument('out')}"
            )
        return folder
    if name is None:
        raise ValueError(f"which run? Name its folder, as in {argument('resume', 'runs/mine')}")
    runs = (Path("runs") / (name if number == 1 else f"{name}-{number}") for number in count(1))
    if resume:
        folder = last = next(runs)
        while (last / "last.state").exists():
            folder, last = last, next(runs)
        claims.enter_context(lock(folder, display.say))
        return folder
    for folder in runs:
        if not (folder / "last.state").exists():
            with suppress(FolderInUse):
                claims.enter_context(lock(folder, display.say))
                return folder
    raise AssertionError("there is always a next number")


__all__ = ["Start", "claim", "given_recipe", "named_start", "planned", "resumed", "same_run"]
