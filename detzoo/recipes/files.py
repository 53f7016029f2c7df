"""Our own weights file: one safetensors file that carries its recipe and class names and rebuilds with nothing else."""

from __future__ import annotations

import errno
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from detzoo.atomic import write_atomically
from detzoo.backbones.own import own_parts
from detzoo.config import ConfigError, from_json, to_json
from detzoo.detector import Detector
from detzoo.pickles.machine import CheckpointError
from detzoo.pickles.paddle import SUFFIXES
from detzoo.precision import is_half, warn_if_spoilt
from detzoo.recipes.blueprint import MOST_PARAMETERS, blueprint, changes, few, misfits, shapes_of
from detzoo.recipes.classes import checked
from detzoo.recipes.own import own_method
from detzoo.recipes.own_backbone import fill
from detzoo.recipes.recipe import METHODS, Recipe, method_of, recipe_of
from detzoo.typed import either
from detzoo.user_path import user_path

FORMAT = "detzoo"
VERSION = 1
VERSION_WITH_PARTS = 2  # has modules of the program's own, which older versions would not ask for
MOST_DESCRIPTION = 1 << 25  # bytes before the tensors: their names and shapes, the recipe and the class names
EXPORTED = (".onnx", ".pt2", ".xml")
_OTHERS = (".pth", *SUFFIXES, *EXPORTED)  # what reading takes for files of other programs
_PART = re.compile(r"\w+(\.\w+)*")


def save(
    detector: Detector, path: str | Path, weights: Mapping[str, Tensor] | None = None, parts: Sequence[str] = ()
) -> Path:
    """Write a detector's weights, recipe and class names; atomic.

    Args:
        detector: built by `detzoo.build` or `detzoo.load`.
        path: the file, by habit ending in ``.safetensors``.
        weights: a state dict to store instead of the detector's own, e.g. averaged weights.
        parts: names of modules that are the program's own, as of `Detector.save`.

    Raises:
        ValueError: the detector has no recipe to rebuild it from, or is no longer what its recipe builds; or the file
            is called as those of other programs.
        OSError: the file cannot be written; what was there is unchanged.
    """
    if user_path(path).suffix.lower() in _OTHERS:
        raise ValueError(f"{path} would be taken for another program's file: call it NAME.safetensors")
    recipe = known_recipe(detector)
    if recipe is None:
        raise ValueError("this detector has no recipe; build it with detzoo.build(recipe) to save it")
    state = detector.state_dict() if weights is None else weights
    _check(detector, recipe, state, parts)
    metadata = {
        "format": FORMAT,
        "version": str(VERSION_WITH_PARTS if parts else VERSION),
        "recipe": to_json(recipe, indent=None),
        "classes": json.dumps(checked(detector.classes)),
        **({"parts": json.dumps(list(parts))} if parts else {}),
    }
    tensors = _apart(state)

    def write(file: Path) -> None:
        try:
            save_file(tensors, file, metadata)
        except SafetensorError as error:  # how safetensors reports a full disk
            code = re.search(r"os error (\d+)", str(error))
            raise OSError(int(code[1]) if code else errno.EIO, str(error)) from error

    return write_atomically(path, write)


def known_recipe(detector: Detector) -> Recipe | None:
    """What a detector was built from; of the program's own class its settings are enough. None: nothing is known."""
    if isinstance(detector.recipe, Recipe):
        return detector.recipe
    own = type(detector) not in METHODS and own_method(detector.config) is type(detector)
    return recipe_of(detector.config) if own else None


def _check(detector: Detector, recipe: Recipe, state: Mapping[str, Tensor], parts: Sequence[str]) -> None:
    """Refuse a detector that a file would not give back.

    Raises:
        ValueError: what has changed, and how to say that it is meant.
    """
    for part in parts:
        if not _PART.fullmatch(part) or part not in dict(detector.named_modules()):
            raise ValueError(
                f"there is no part {part!r}; this detector has {', '.join(dict(detector.named_children()))}"
            )
    changed = changes(detector, recipe, state, parts)
    if changed:
        raise ValueError(
            f"this detector is no longer what its recipe {recipe.name} builds, and a file of it would load as another "
            f"one: {few(changed)}. Change the recipe and build it anew; or, for modules of your own, name them: "
            "detector.save(path, parts=['backbone']), then detzoo.load(path, parts={'backbone': module})"
        )


def _apart(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, none of which shares its memory with another."""
    tensors: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, value in state.items():
        tensor = value.detach().cpu().contiguous()
        if tensor.numel() and tensor.untyped_storage().data_ptr() in taken:
            tensor = tensor.clone()
        taken.add(tensor.untyped_storage().data_ptr())
        tensors[name] = tensor
    return tensors


@dataclass(frozen=True)
class Description:
    """What a file says before its tensors: how to build the detector, and which modules the program passes in."""

    recipe: Recipe
    classes: tuple[str, ...]
    parts: tuple[str, ...] = ()


def read(path: str | Path) -> tuple[Recipe, tuple[str, ...], dict[str, Tensor]]:
    """Recipe, class names and weights of a file that `save` wrote. Nothing is executed.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is truncated, not ours, from a newer version, or its weights do not fit its recipe.
        ConfigError: its recipe has settings that this version does not know, or is too large to be meant.
    """
    described, weights = _read(user_path(path))
    return described.recipe, described.classes, weights


def _read(path: Path) -> tuple[Description, dict[str, Tensor]]:
    """A file's content; names and shapes are compared with the recipe before any memory is taken."""
    if not path.is_file():  # which a device and a pipe are not, linked ones neither
        raise FileNotFoundError(f"no weights file at {path}")
    if path.suffix.lower() in (".pth", *SUFFIXES):
        word = "detzoo.from_paddle" if path.suffix in SUFFIXES else "detzoo.from_mmdet"
        how = either(f"{word}(CONFIG, FILE)", "detzoo convert FILE --config CONFIG")
        raise CheckpointError(f"{path} is another toolbox's: {how} makes a detector of it")
    with path.open("rb") as head:
        if int.from_bytes(head.read(8), "little") > MOST_DESCRIPTION:
            raise CheckpointError(f"{path} is damaged or not a safetensors file (a description without an end)")
    try:
        with safe_open(path, framework="pt") as file:
            described = _described(path, file.metadata() or {})
            names = list(file.keys())
            _compare(path, described, {name: file.get_slice(name) for name in names})
            return described, {name: file.get_tensor(name) for name in names}
    except (CheckpointError, ConfigError, OSError):
        raise
    except Exception as error:  # a damaged file provokes more than safetensors' own error
        raise CheckpointError(f"{path} is damaged or not a safetensors file ({str(error)[:300]})") from None


def _described(path: Path, metadata: Mapping[str, str]) -> Description:
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is a safetensors file, but not one that detzoo wrote")
    try:
        version = int(metadata["version"])
        if version > VERSION_WITH_PARTS:
            raise CheckpointError(
                f"{path} has format version {version}, this detzoo reads up to {VERSION_WITH_PARTS}: update it "
                "(pip install -U detzoo)"
            )
        recipe, classes, parts = metadata["recipe"], _list(metadata["classes"]), _list(metadata.get("parts", "[]"))
        if not all(isinstance(part, str) and _PART.fullmatch(part) for part in parts):
            raise TypeError("its parts are no names")
        names = checked(classes)
    except CheckpointError:
        raise
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise CheckpointError(f"{path} is damaged: its description cannot be read ({reason})") from None
    try:
        return Description(from_json(Recipe, recipe), names, tuple(parts))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _list(text: str) -> list[Any]:
    values = json.loads(text)
    if not isinstance(values, list):
        raise TypeError(f"a {type(values).__name__} where a list belongs")
    return values


def _compare(path: Path, described: Description, tensors: Mapping[str, Any]) -> None:
    """Refuse tensors that are not those of the recipe.

    Raises:
        CheckpointError: of another name, shape or kind of number.
        ConfigError: the recipe cannot be built.
    """
    try:
        wanted = blueprint(described.recipe, described.classes)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    shapes = {name: tuple(one.get_shape()) for name, one in tensors.items()}
    lines = misfits(shapes, shapes_of(wanted.state_dict()), {*described.parts, *own_parts(wanted)})
    types = {name: value.is_floating_point() for name, value in wanted.state_dict().items()}
    for name, one in tensors.items():
        if name in types and one.get_dtype().startswith(("F", "BF")) != types[name]:
            lines.append(f"{name} has numbers of the type {one.get_dtype()}")
    if sum(math.prod(shape) for shape in shapes.values()) > MOST_PARAMETERS:
        lines.append(f"more than {MOST_PARAMETERS:.3g} numbers")
    if lines:
        raise CheckpointError(f"{path}: the weights do not fit the recipe stored with them: {few(lines)}")


def rebuild(
    path: str | Path, parts: Mapping[str, nn.Module] | None = None, backbone: nn.Module | None = None
) -> Detector:
    """The detector in a file that `save` wrote, on the CPU, in evaluation mode, and in half precision if it was so.

    Args:
        path: the file.
        parts: modules of the program's own, by the names that the file was saved with.
        backbone: the program's own, for a detector that was built with one.

    Raises:
        CheckpointError: as `read`, or the file was saved with other ``parts`` or another ``backbone`` than are given.
        ConfigError: as `read`.
    """
    path, parts = user_path(path), parts or {}
    described, weights = _read(path)
    _check_parts(path, described.parts, parts)
    detector = method_of(described.recipe)(described.recipe.model, described.classes)
    detector.recipe = described.recipe
    for name, module in parts.items():
        parent, _, leaf = name.rpartition(".")
        setattr(detector.get_submodule(parent), leaf, module)
    try:
        fill(detector, backbone)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    types = {value.dtype for value in weights.values() if value.dim() > 1}
    if len(types) == 1 and is_half(saved := types.pop()):
        detector.to(saved)
    try:
        detector.load_state_dict(weights)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: the weights do not fit the recipe stored with them: {error}") from None
    warn_if_spoilt(detector, str(path), stacklevel=3)
    return detector.eval()


def _check_parts(path: Path, wanted: Sequence[str], given: Mapping[str, nn.Module]) -> None:
    missing = [name for name in wanted if name not in given]
    if missing:
        example = ", ".join(f"{name!r}: module" for name in wanted)
        raise CheckpointError(
            f"{path} was saved with the program's own {', '.join(missing)}, which no file can hold; build the same "
            f"and pass it in: detzoo.load(path, parts={{{example}}})"
        )
    extra = [name for name in given if name not in wanted]
    if extra:
        raise CheckpointError(
            f"{path} was saved without parts of the program's own named {', '.join(extra)}; load it without them"
        )
