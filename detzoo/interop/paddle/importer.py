"""A PaddleDetection model becomes a detector of ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from detzoo.config import ConfigError
from detzoo.detector import Detector, Input
from detzoo.interop.class_count import refusal, told_apart
from detzoo.interop.imported import Imported, recipe_of, size_of, tell, told
from detzoo.interop.paddle import cascade, dense, faces, ssd, static_two_stage, two_stage, yolov3
from detzoo.interop.paddle.classes import class_names
from detzoo.interop.paddle.configs import checked, read_file
from detzoo.interop.paddle.inputs import read_input
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.paddle.weights import of_static, renamed
from detzoo.interop.section import Section
from detzoo.pickles import paddle
from detzoo.pickles.machine import CheckpointError
from detzoo.precision import warn_if_spoilt
from detzoo.recipes.blueprint import blueprint
from detzoo.recipes.recipe import Model
from detzoo.recipes.zoo import build
from detzoo.user_path import user_path

# reads the section of an architecture, given the input of its network; gives our settings
Reader = Callable[[Parts, Section, Input], Model]

DYNAMIC: dict[str, Reader] = {
    "BlazeFace": faces.blazeface,
    "CascadeRCNN": cascade.cascade_rcnn,
    "FCOS": dense.fcos,
    "FasterRCNN": two_stage.faster_rcnn,
    "MaskRCNN": two_stage.mask_rcnn,
    "RetinaNet": dense.retinanet,
    "SSD": ssd.ssd,
    "YOLOv3": yolov3.yolov3,
}
STATIC: dict[str, Reader] = {
    "BlazeFace": faces.blazeface,
    "CascadeMaskRCNN": static_two_stage.cascade_mask_rcnn,
    "CascadeRCNN": static_two_stage.cascade_rcnn,
    "CascadeRCNNClsAware": static_two_stage.class_aware_cascade,
    "FaceBoxes": faces.faceboxes,
    "FasterRCNN": static_two_stage.faster_rcnn,
    "MaskRCNN": static_two_stage.mask_rcnn,
    "RetinaNet": dense.retinanet,
    "SSD": ssd.ssd,
    "YOLOv3": yolov3.yolov3,
}

# of the run, of exporting and of finding files, which change nothing of a model
_OF_THE_RUN = (
    *("use_gpu", "use_xpu", "use_mlu", "use_npu", "use_gcu", "log_iter", "save_dir", "snapshot_epoch", "print_flops"),
    *("weights", "pretrain_weights", "export", "find_unused_parameters", "worker_num", "filename", "snapshot_iter"),
    *("log_smooth_window", "print_params", "finetune_exclude_pretrained_params", "load_static_weights", "map_type"),
    *("ema_decay", "ema_decay_type", "ema_black_list", "ema_filter_no_grad", "cycle_epoch", "amp", "amp_level"),
    *("custom_black_list", "custom_white_list", "init_loss_scaling", "master_grad", "use_vdl", "vdl_log_dir"),
    *("log_ranks", "classwise", "output_eval", "bias", "to_static", "profiler_options", "save_proposals"),
    *("proposals_path", "use_wandb", "fleet", "enable_ce", "early_stop", "use_early_stop"),
    *("metric", "norm_type", "num_classes", "max_iters", "epoch", "architecture", "use_fine_grained_loss"),
    *("target_metrics", "use_fused_allreduce_gradients", "use_simple_ema", "ema_start_iters", "fp16", "export_onnx"),
    *("export_eb", "assign_on_cpu", "trt", "data_format"),
    *("train_feed", "eval_feed", "test_feed", "hooks", "save_prediction_only", "with_lmk", "HFFT", "multi_scale_eval"),
)
# what training reads, in place of which the recipe has the usual data and schedule
_OF_TRAINING = ("TrainDataset", "TrainReader", "LearningRate", "OptimizerBuilder", "use_ema", "use_cot")
_SLACK = 1 << 26  # bytes of a weights file beside its tensors
_LONGEST = 1000  # letters of a message, which may quote a list
_COPIES = 8  # of the model in a weights file: momenta, averages, and double precision


def from_paddle(
    config: Any,
    weights: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    classes: Sequence[str] | None = None,
    size: Sequence[int] | None = None,
) -> Detector:
    """A detector of ours from a PaddleDetection model, of its static (0.x) or dynamic-graph (2.x) releases.

    Nothing in the files is executed, and Paddle is not needed.

    Args:
        config: path of a ``.yml``, with its ``_BASE_`` files where it says, or the merged settings as a dict.
        weights: path of a ``.pdparams``, or of a static model the folder or the ``.tar`` with one file per variable; or
            tensors or arrays by their names in Paddle. They have to fit exactly. None: random ones.
        classes: names in the order of the labels, without a background; default: those of the config's data set.
        size: width and height, in pixels, that pictures are resized to, in place of what the config's readers say; with
            a kept ratio they are the longest edges.

    Returns:
        The detector, on the CPU; in evaluation mode if it has weights, else in training mode. It saves, trains,
        evaluates and predicts like any other; its ``recipe`` has all that was read.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: the config is none, or a setting that changes results has no counterpart; the message names it.
        CheckpointError: the weights cannot be read safely, are damaged, or do not fit.

    Warns:
        UnnamedClasses: nothing names the classes, so that their names are made up.
        Differs: settings that only training uses have no counterpart.
        DetectionsDiffer: detections differ from PaddleDetection's, for example because pictures are resized otherwise.
    """
    imported = read_config(config, classes=classes, size=size)
    state, where = None, "the given weights"
    if isinstance(weights, str | os.PathLike):
        if not os.fspath(weights):
            raise FileNotFoundError("no weights: the path is empty")
        model = blueprint(imported.recipe, imported.recipe.data.classes or ())
        bytes_of = sum(value.numel() * value.element_size() for value in model.state_dict().values())
        where, state = str(weights), paddle.read(user_path(weights), _COPIES * bytes_of + _SLACK)
    elif isinstance(weights, Mapping):
        state = {name: _tensor(name, value) for name, value in weights.items()}
    elif weights is not None:
        raise CheckpointError(f"weights is a path, or tensors by their names, not a {type(weights).__name__}")
    detector = build(imported.recipe)
    if state is not None:
        try:
            detector.load_paddle(state)
        except ValueError as error:
            count = len(detector.classes)
            found = told_apart(imported.recipe, count, state, lambda model: renamed(model, state))
            raise CheckpointError(f"{where}: {error}" if found is None else refusal(where, found, count)) from None
        if of_static(state) != imported.static:
            theirs, its = ("0.x", "2.x") if imported.static else ("2.x", "0.x")
            raise CheckpointError(f"{where}: these weights are of release {its}, but the config is of release {theirs}")
        detector.eval()
        warn_if_spoilt(detector, where, stacklevel=2)
    tell(imported, "PaddleDetection", stacklevel=3)
    return detector


def _tensor(name: Any, value: Any) -> Tensor:
    if not isinstance(name, str):
        raise CheckpointError(f"the given weights: {str(name)[:100]} is no name of a tensor")
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(value.copy() if not value.flags.writeable else np.ascontiguousarray(value))
    if not isinstance(value, Tensor):
        raise CheckpointError(f"the given weights: {name[:100]} is a {type(value).__name__}, not a tensor")
    if value.layout != torch.strided or value.is_meta:
        raise CheckpointError(f"the given weights: {name[:100]} holds no values of its own, or not all of them")
    return value


def read_config(config: Any, *, classes: Sequence[str] | None = None, size: Sequence[int] | None = None) -> Imported:
    """The recipe of a PaddleDetection config, without building the model.

    Args:
        config: as of `from_paddle`.
        classes: names in the order of the labels.
        size: as of `from_paddle`.

    Raises:
        ConfigError: as of `from_paddle`.
    """
    path = user_path(config) if isinstance(config, str | os.PathLike) else None
    values = checked(config) if path is None else read_file(path)
    try:
        return _imported("imported" if path is None else path.stem, values, classes, path, size_of(size))
    except ConfigError as error:
        said = "; ".join(line.strip() for line in str(error).splitlines())
        said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]} ..."
        raise ConfigError(f"{'the config' if path is None else path}: {said}") from None


def _imported(
    stem: str, values: dict[str, Any], classes: Sequence[str] | None, path: Path | None, size: tuple[int, int] | None
) -> Imported:
    if "architecture" not in values and "Preprocess" in values:
        raise ConfigError(
            "it belongs to a model that was exported for inference, which cannot be imported; pass the config that the "
            "model was trained with, and its .pdparams"
        )
    notes: list[str] = []
    parts = Parts(values, notes)
    table = STATIC if parts.static else DYNAMIC
    if parts.architecture not in table:
        of = "0.x" if parts.static else "2.x"
        parts.top.differs("architecture", f"cannot be imported; of release {of} these can: {', '.join(table)}")
    try:
        input, differences = read_input(parts, size)
        with parts.model() as model:
            settings = table[parts.architecture](parts, model, input)
        names, unnamed = class_names(parts, classes, path)
        recipe = recipe_of(stem, settings)
    except ValidationError as error:
        raise ConfigError(told(error)) from None
    if left := [name for name in _OF_TRAINING if parts.top.has(name)]:
        notes.append(
            f"{', '.join(left)} {'is' if len(left) == 1 else 'are'} not taken over: data and schedule are the usual"
        )
    parts.top.ignore(*_OF_THE_RUN, *_OF_TRAINING, *parts.unused())
    with parts.top:
        pass
    recipe = recipe.replace(data=recipe.data.replace(classes=names))
    blueprint(recipe, names)
    once = tuple(dict.fromkeys(notes)), tuple(dict.fromkeys(differences))
    return Imported(recipe, *once, unnamed, static=parts.static)


__all__ = ["DYNAMIC", "STATIC", "from_paddle", "read_config"]
