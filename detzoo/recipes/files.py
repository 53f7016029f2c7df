"""Our own weights file: one safetensors file that carries its recipe and class names and rebuilds with nothing else."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from detzoo.atomic import write_atomically
from detzoo.config import ConfigError, from_json, to_json
from detzoo.detector import Detector
from detzoo.pickles.machine import CheckpointError
from detzoo.recipes.recipe import Recipe, method_of

FORMAT = "detzoo"
VERSION = 1


def save(detector: Detector, path: str | Path, weights: Mapping[str, Tensor] | None = None) -> Path:
    """Write a detector's weights, recipe and class names; atomic.

    Args:
        detector: built by `detzoo.build` or `detzoo.load`.
        path: the file, by habit ending in ``.safetensors``.
        weights: a state dict to store instead of the detector's own, e.g. averaged weights.

    Raises:
        ValueError: the detector has no recipe to rebuild it from.
        OSError: the file cannot be written; what was there is unchanged.
    """
    if not isinstance(detector.recipe, Recipe):
        raise ValueError("this detector has no recipe; build it with detzoo.build(recipe) to save it")
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "recipe": to_json(detector.recipe, indent=None),
        "classes": json.dumps(detector.classes),
    }
    state = detector.state_dict() if weights is None else weights
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}

    def write(file: Path) -> None:
        try:
            save_file(tensors, file, metadata)
        except SafetensorError as error:  # how safetensors reports a full disk
            code = re.search(r"os error (\d+)", str(error))
            raise OSError(int(code[1]) if code else errno.EIO, str(error)) from error

    return write_atomically(path, write)


def read(path: str | Path) -> tuple[Recipe, tuple[str, ...], dict[str, Tensor]]:
    """Recipe, class names and weights of a file that `save` wrote. Nothing is executed.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is truncated, not ours, or from a newer version.
        ConfigError: its recipe has settings that this version does not know.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            recipe, classes = _described(path, file.metadata() or {})
            return recipe, classes, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file ({error})") from None


def _described(path: Path, metadata: Mapping[str, str]) -> tuple[Recipe, tuple[str, ...]]:
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is a safetensors file, but not one that detzoo wrote")
    try:
        version, recipe, classes = int(metadata["version"]), metadata["recipe"], tuple(json.loads(metadata["classes"]))
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: its description cannot be read ({error!r})") from None
    if version > VERSION:
        raise CheckpointError(
            f"{path} has format version {version}, this detzoo reads up to {VERSION}: update it (pip install -U detzoo)"
        )
    try:
        return from_json(Recipe, recipe), classes
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def rebuild(path: str | Path) -> Detector:
    """The detector in a file that `save` wrote, on the CPU and in evaluation mode.

    Raises:
        CheckpointError: as `read`, or the weights do not fit the recipe.
    """
    recipe, classes, weights = read(path)
    detector = method_of(recipe)(recipe.model, classes)
    detector.recipe = recipe
    try:
        detector.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: the weights do not fit the recipe stored with them: {error}") from None
    return detector.eval()
