"""An MMDetection model becomes a detector of ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from torch import Tensor

from detzoo.config import Config, ConfigError, flatten
from detzoo.detector import Detector, Input
from detzoo.interop.imported import DetectionsDiffer, Differs, Imported, UnnamedClasses, recipe_of, size_of, tell, told
from detzoo.interop.mmdet import (
    atss,
    auto_assign,
    cascade,
    cornernet,
    deformable_detr,
    detr,
    fcos,
    foveabox,
    fsaf,
    gfl,
    grid_rcnn,
    htc,
    ld,
    mask_scoring,
    paa,
    parts,
    point_rend,
    reppoints,
    retinanet,
    scnet,
    sparse_rcnn,
    ssd,
    tridentnet,
    two_stage,
    vfnet,
    yolact,
    yolof,
    yolov3,
)
from detzoo.interop.mmdet.classes import class_names
from detzoo.interop.mmdet.configs import checked, read_file, read_text
from detzoo.interop.mmdet.data import read_data
from detzoo.interop.mmdet.inputs import Size, read_input
from detzoo.interop.mmdet.schedule import read_schedule
from detzoo.interop.mmdet.version_1 import DIFFERENCE, is_version_1, upgraded
from detzoo.interop.mmdet.weights import refuse_unfit, usual
from detzoo.interop.section import Section
from detzoo.methods.ssd import SSD
from detzoo.pickles.files import read, state_dict
from detzoo.pickles.machine import CheckpointError
from detzoo.precision import warn_if_spoilt
from detzoo.recipes import version_1
from detzoo.recipes.blueprint import MOST_PARAMETERS, blueprint
from detzoo.recipes.recipe import Model, Recipe, method_of
from detzoo.recipes.settings import Data, Schedule
from detzoo.recipes.zoo import build
from detzoo.user_path import user_path

# reads a model's settings, given its input; gives ours and the number of classes
Reader = Callable[[Section, Input], tuple[Model, int]]

METHODS: dict[str, Reader] = {
    "ATSS": atss.atss,
    "AutoAssign": auto_assign.auto_assign,
    "CascadeRCNN": cascade.cascade_rcnn,
    "CornerNet": cornernet.cornernet,
    "DeformableDETR": deformable_detr.deformable_detr,
    "DETR": detr.detr,
    "FastRCNN": two_stage.fast_rcnn,
    "FasterRCNN": two_stage.faster_rcnn,
    "FCOS": fcos.fcos,
    "FOVEA": foveabox.foveabox,
    "FSAF": fsaf.fsaf,
    "GFL": gfl.gfl,
    "GridRCNN": grid_rcnn.grid_rcnn,
    "HybridTaskCascade": htc.hybrid_task_cascade,
    "KnowledgeDistillationSingleStageDetector": ld.ld,
    "MaskRCNN": two_stage.mask_rcnn,
    "MaskScoringRCNN": mask_scoring.mask_scoring_rcnn,
    "NASFCOS": fcos.fcos,
    "PAA": paa.paa,
    "PointRend": point_rend.point_rend,
    "RepPointsDetector": reppoints.reppoints,
    "RetinaNet": retinanet.retinanet,
    "RPN": two_stage.rpn_detector,
    "SCNet": scnet.scnet,
    "SingleStageDetector": ssd.ssd,
    "SparseRCNN": sparse_rcnn.sparse_rcnn,
    "TridentFasterRCNN": tridentnet.tridentnet,
    "VFNet": vfnet.vfnet,
    "YOLACT": yolact.yolact,
    "YOLOF": yolof.yolof,
    "YOLOV3": yolov3.yolov3,
}

# of MMDetection 3's loops, which are called train_cfg and test_cfg too
_LOOP = {"type", "by_epoch", "max_epochs", "max_iters", "val_begin", "val_interval", "dynamic_intervals", "fp16"}
_AS_SAID = ("FOVEA", "YOLACT")  # keep or drop boxes without any area as they do there
_WEIGHTS = (".pth", ".pt", ".bin", ".ckpt")
_CONFIGS = (".py", ".json")


def from_mmdet(
    config: Any,
    weights: str | os.PathLike[str] | Mapping[str, Tensor] | None = None,
    *,
    classes: Sequence[str] | None = None,
    size: Sequence[int] | None = None,
    configs: str | os.PathLike[str] | None = None,
) -> Detector:
    """A detector of ours from an MMDetection 1.x, 2.x or 3.x model. Nothing in the files is executed.

    Args:
        config: path of a ``.py`` or ``.json`` config, the config as a dict or as a ``Config`` of mmengine or mmcv, or
            path of a ``.pth`` that carries one.
        weights: path of a ``.pth``, or a state dict; they have to fit exactly. None: those of ``config``, where that is
            a ``.pth``; else random ones.
        classes: names in the order of the labels; default: those in the checkpoint, or else in the config.
        size: width and height, in pixels, that pictures are resized to, in place of what the config's tests say, for
            example ``(1333, 800)``; with a kept ratio they are the longest edges. Where tests have several, one has
            to be named.
        configs: MMDetection's folder of configs, for ``_base_`` that is ``mmdet::...`` or lies in a checkout elsewhere;
            default: the one of an installed MMDetection, which is not imported.

    Returns:
        The detector, on the CPU; in evaluation mode if it has weights, else in training mode. It saves, trains,
        evaluates and predicts like any other; its ``recipe`` has all that was read.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: the config is none, cannot be read without running it, or a setting that changes results has no
            counterpart; the message names it.
        CheckpointError: the weights cannot be read safely, are damaged, or do not fit.

    Warns:
        UnnamedClasses: nothing names the classes, so that their names are made up.
        Differs: settings that only training uses have no counterpart.
        DetectionsDiffer: detections differ from MMDetection's, for example because its tests flip pictures as well.
    """
    meta: Any = None
    state: Mapping[str, Tensor] | None = None
    where = "the given weights"
    carried = isinstance(config, str | os.PathLike) and Path(config).suffix in _WEIGHTS
    if weights is None and carried:
        weights = config
    if isinstance(weights, str | os.PathLike):
        where, content = str(weights), read(user_path(weights))
        meta = content.get("meta") if isinstance(content, Mapping) else None
        state = _checked_state(content, where)
    elif weights is not None:
        state = state_dict(weights)
    imported = read_config(config, meta=meta, classes=classes, size=size, configs=configs)
    if state is not None:
        state = usual(state)
        if imported.version_1:
            state = version_1.upgraded(state, blueprint(imported.recipe, imported.recipe.data.classes or ()))
        elif is_version_1(meta):
            _refuse_first_version(imported.recipe.model, state, where)
        refuse_unfit(imported.recipe, imported.recipe.data.classes or (), state, where)
    detector = build(imported.recipe)
    if state is not None:
        detector.load_published(state)
        detector.eval()
        warn_if_spoilt(detector, where, stacklevel=2)
    tell(imported, "MMDetection", stacklevel=3)
    return detector


def read_config(
    config: Any,
    *,
    meta: Any = None,
    classes: Sequence[str] | None = None,
    size: Sequence[int] | None = None,
    configs: str | os.PathLike[str] | None = None,
) -> Imported:
    """The recipe of an MMDetection config, without building the model.

    Args:
        config: as of `from_mmdet`.
        meta: what the checkpoint says of itself, where class names may be.
        classes: names in the order of the labels.
        size: as of `from_mmdet`.
        configs: as of `from_mmdet`.

    Raises:
        ConfigError: as of `from_mmdet`.
    """
    name, stem, values, own_meta = _values(config, configs)
    try:
        folder = user_path(config).parent if isinstance(config, str | os.PathLike) else None
        return _imported(stem, values, own_meta if meta is None else meta, classes, folder, size_of(size))
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def _values(config: Any, configs: str | os.PathLike[str] | None) -> tuple[str, str, dict[str, Any], Any]:
    """What errors call a config, a name for the recipe, its settings, and the ``meta`` of a checkpoint."""
    if not isinstance(config, str | os.PathLike):
        return "the config", "imported", checked(config), None
    path = user_path(config)
    if path.suffix in _WEIGHTS:
        content = read(path)
        meta = content.get("meta") if isinstance(content, Mapping) else None
        said = meta if isinstance(meta, Mapping) else {}
        text = next((said[key] for key in ("cfg", "config") if isinstance(said.get(key), str)), None)
        if text is None:
            raise ConfigError(f"{path} does not carry its config; pass the config file, and this file as weights")
        return str(path), path.stem, read_text(text, f"{path}, config"), meta
    if path.suffix not in _CONFIGS and path.is_file():
        raise ConfigError(f"{path} is neither a config ({', '.join(_CONFIGS)}) nor weights ({', '.join(_WEIGHTS)})")
    return str(path), path.stem, read_file(path, configs), None


def _imported(
    stem: str, values: dict[str, Any], meta: Any, classes: Sequence[str] | None, folder: Path | None, size: Size | None
) -> Imported:
    notes: list[str] = []
    config = Section(values, "", notes)
    model, sign = _model(config, meta)
    try:
        input, differences = read_input(config, model, size)
        settings, count = METHODS[model.kind](model, input)
        differences += _empty_boxes(model)
        finds_classes = method_of(Recipe(name="imported", model=settings)).finds_classes
        names, unnamed = class_names(config, count if finds_classes else None, meta, classes, folder)
        recipe = recipe_of(stem, settings)
    except ValidationError as error:
        raise ConfigError(told(error)) from None
    data = _tried(notes, Data(), lambda: read_data(config, settings.input))
    deformed = any(".deform." in name for name in flatten(settings))
    schedule = _tried(notes, Schedule(), lambda: read_schedule(config, deformed))
    if not finds_classes:
        data = data.replace(metric="proposals")
    recipe = recipe.replace(data=data.replace(classes=names), schedule=schedule)
    blueprint(recipe, names)
    if sign:
        differences = [*differences, DIFFERENCE.format(sign=sign)]
    return Imported(recipe, tuple(dict.fromkeys(notes)), tuple(dict.fromkeys(differences)), unnamed, bool(sign))


def _model(config: Section, meta: Any) -> tuple[Section, str]:
    """The model, with ``train_cfg`` and ``test_cfg`` that stand beside it in the oldest configs, and `upgraded`."""
    if not config.has("model"):
        raise ConfigError("there is no model in it; is it the config of a model?")
    model = config.section("model")
    if model.kind not in METHODS:
        model.differs("type", f"cannot be imported; these can: {', '.join(METHODS)}")
    sign = upgraded(config, model, meta)
    for name in ("train_cfg", "test_cfg"):
        beside = config.take(name)
        if not isinstance(beside, dict) or beside.keys() <= _LOOP or "type" in beside:
            continue
        if model.has(name):
            config.differs(name, f"stands beside model.{name}, which MMDetection does not read; take one of them out")
        model.values = {**model.values, name: beside}
    model.ignore("data_preprocessor")  # inputs.py reads it
    return model, sign


def _empty_boxes(model: Section) -> list[str]:
    """What says that boxes without any area stay, where they do not here."""
    given = model.section("test_cfg", {})
    if model.has("rpn_head"):
        given = given.section("rpn", {})
    return [] if model.kind in _AS_SAID or "nms_pre" not in given.values else parts.kept_empty(given)


AnyConfig = TypeVar("AnyConfig", bound=Config)


def _tried(notes: list[str], default: AnyConfig, reading: Callable[[], AnyConfig]) -> AnyConfig:
    """What ``reading`` gives; where a setting of training is malformed, ``default`` and a note."""
    try:
        return reading()
    except ConfigError as error:
        notes.append(f"{error}; {type(default).__name__.lower()} is the usual one")
    except ValidationError as error:
        notes.append(f"{told(error)}; {type(default).__name__.lower()} is the usual one")
    return default


def _refuse_first_version(model: Model, state: Mapping[str, Tensor], where: str) -> None:
    """Refuse weights of version 1 that do not go with a config of version 2.

    Names and shapes tell whether they were upgraded, of all but an SSD.

    Raises:
        CheckpointError: the model has no legacy parts, or the background may come first or last.
    """
    legacy = [value for name, value in flatten(model).items() if name.endswith(".legacy")]
    if legacy and not any(legacy):
        raise CheckpointError(
            f"{where} was made by MMDetection 1.x, whose boxes are others: pass its own config of version 1, or one of "
            "version 2 with LegacyAnchorGenerator and LegacyDeltaXYWHBBoxCoder"
        )
    if isinstance(model, SSD.Config) and not any(name.startswith("neck.") for name in state):
        raise CheckpointError(
            f"{where} was made by MMDetection 1.x, and it cannot be seen whether its classes were brought into the "
            "order of version 2 since: pass its own config of version 1, or if they were, weights without this meta"
        )


def _checked_state(content: Any, where: str) -> dict[str, Tensor]:
    try:
        return state_dict(content)
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}") from None


__all__ = [
    "METHODS",
    "MOST_PARAMETERS",
    "DetectionsDiffer",
    "Differs",
    "Imported",
    "UnnamedClasses",
    "from_mmdet",
    "read_config",
]
