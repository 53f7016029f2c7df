"""PaddleDetection's weights in our names, order of classes and layout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from detzoo.blocks.class_rows import background_last, class_layers
from detzoo.detector import Detector
from detzoo.interop.paddle import (
    backbone_names,
    dense_names,
    face_names,
    ssd_names,
    static_backbone_names,
    static_head_names,
    static_two_stage_names,
    two_stage_names,
    yolov3_names,
)
from detzoo.interop.paddle.backbone_names import Names
from detzoo.interop.renaming import fitted, rename
from detzoo.necks.bfp import BFP
from detzoo.necks.fpn import FPN

# of what stands behind backbone and neck, by the method that has it here: of both kinds of releases
_NAMES: dict[str, Names] = {
    "cascade_mask_rcnn": two_stage_names.CASCADE_NAMES,
    "cascade_rcnn": two_stage_names.CASCADE_NAMES,
    "faster_rcnn": two_stage_names.NAMES,
    "fcos": dense_names.NAMES,
    "mask_rcnn": two_stage_names.NAMES,
    "retinanet": dense_names.NAMES,
    "ssd": (*ssd_names.NAMES, *face_names.NAMES),
    "yolov3": yolov3_names.NAMES,
}
_STATIC_NAMES: dict[str, Names] = {
    "cascade_mask_rcnn": static_two_stage_names.CASCADE_NAMES,
    "cascade_rcnn": static_two_stage_names.CASCADE_NAMES,
    "faster_rcnn": static_two_stage_names.NAMES,
    "mask_rcnn": static_two_stage_names.NAMES,
    "retinanet": static_head_names.RETINA,
    "ssd": (),  # it depends on the backbone
    "yolov3": static_head_names.YOLO,
}
_FACES = ("blazenet", "faceboxnet")  # whose names in static releases depend on the order of layers
# what a backbone of ours was called there
_NETWORKS = {
    **{"cbnet": "CBResNet", "darknet": "DarkNet", "hrnet": "HRNet", "mobilenet_v1": "MobileNet"},
    **{"res2net": "Res2Net", "resnet": "ResNet", "senet": "SENet", "vgg": "VGG"},
}
_UNNAMED = {"mobilenet_v1": 35}  # convolutions without a name that a backbone has

_LEAVES = {"_mean": "running_mean", "_variance": "running_var"}  # of batch normalization
_OF_TRAINING = re.compile(r"(_(velocity|moment\d|beta\d_pow_acc)_\d+|^learning_rate_\d+|^@.*@)$")  # in static folders


def names(detector: Detector, static: bool) -> Names:
    """The table of a detector's names, tried in order; ``static``: of the names that static releases have.

    Raises:
        ValueError: no weights of Paddle's are known for it.
    """
    config: Any = detector.config
    method = str(getattr(config, "method", ""))
    known = config.backbone.kind in (*_NETWORKS, *_FACES) if static else True
    if method not in (_STATIC_NAMES if static else _NAMES) or not known:
        raise ValueError(f"{type(detector).__name__} has no weights of PaddleDetection{' 0.x' if static else ''}")
    if static and config.backbone.kind in _FACES:
        backbone = detector.get_submodule("backbone")
        before = face_names.convs(backbone)
        return (*static_head_names.default_boxes(before), *face_names.static_names(backbone))
    if static:
        network = static_backbone_names.BACKBONES[_NETWORKS[config.backbone.kind]]
        heads = _STATIC_NAMES[method]
        if method == "ssd":
            heads = static_head_names.default_boxes(_UNNAMED.get(config.backbone.kind, 0))
        return (*heads, *static_backbone_names.NECKS, *network)
    neck = getattr(config, "neck", None)
    pyramid: Names = ()
    if isinstance(neck, FPN.Config | BFP.Config):
        whole, owner = (neck, "neck.") if isinstance(neck, FPN.Config) else (neck.pyramid, "neck.0.")
        strides: tuple[int, ...] = cast(Any, detector).backbone.strides
        pyramid = backbone_names.pyramid(strides[whole.start].bit_length() - 1, owner)  # stage 2 has stride 4
    stage = two_stage_names.ROI_STAGE if getattr(config, "roi_stage", False) else ()
    norms = dense_names.tower_norms(str(config.head.norm)) if method in ("fcos", "retinanet") else ()
    return (*stage, *backbone_names.NAMES, *pyramid, *norms, *_NAMES[method])


def of_static(state: Mapping[str, Tensor]) -> bool:
    """Whether names of weights are those of a static-graph release (0.x)."""
    return not any(name.startswith("backbone.") for name in state)


def renamed(detector: Detector, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of PaddleDetection as ``detector`` has them, which stays as it is.

    Linear layers are transposed; in static models class 0 was the background, which now comes last and has no box and
    no mask, and layers may have a scale and an offset in place of statistics.

    Raises:
        ValueError: parameters are missing, left over, or of another shape; the message lists them.
    """
    static = of_static(state)
    if static:
        table = names(detector, static=True)
        state = {rename(name, table): value for name, value in state.items() if not _OF_TRAINING.search(name)}
    table = names(detector, static=False)
    modules = dict(detector.named_modules())
    shapes = {name: value.shape for name, value in detector.state_dict().items()}
    layers = dict(class_layers(detector))
    given: dict[str, Tensor] = {}
    for published, value in state.items():
        owner, _, leaf = published.rpartition(".")
        published = f"{owner}.{_LEAVES[leaf]}" if leaf in _LEAVES else published
        name = rename(published, table)
        owner = name.rpartition(".")[0]
        value = _laid_out(value, modules.get(owner), shapes.get(name))
        if static and name in shapes:
            rows = next((rows for layer, rows in layers.items() if name.startswith(f"{layer}.")), None)
            value = _without_background(value, shapes[name], rows, len(detector.classes))
        given[published] = value
    if static:
        given |= _statistics(modules, {rename(name, table) for name in given})
    return {**detector.state_dict(), **fitted(detector, given, table, detector.unpublished)}


def _laid_out(value: Tensor, module: nn.Module | None, shape: torch.Size | None) -> Tensor:
    """A parameter of Paddle's as a ``module`` has it in this ``shape``, if it is known."""
    if isinstance(module, nn.Linear) and value.dim() == 2:
        value = value.t()
    if value.dim() == 2 and shape is not None and len(shape) == 4:  # a linear layer there, here a 1x1 convolution
        value = value.t()[:, :, None, None]
    # of a normalization over channels; a number of its own
    return value.view(shape) if shape is not None and shape in ((len(value), 1, 1), ()) else value


def of_backbone(detector: Detector, state: Mapping[str, Tensor], whole: bool = False) -> dict[str, Tensor]:
    """Of weights of a classifier of Paddle's those that a detector has, under its names; some may be of other shapes.

    Args:
        detector: stays as it is.
        state: of a ``.pdparams``, with or without ``backbone.``, or of a static model.
        whole: they are of another detector, of which also what stands behind the backbone is taken, but for layers with
            rows per class.

    Raises:
        ValueError: no weights of Paddle's are known for the detector.
    """
    tables = (names(detector, static=False),)
    if not any(name.endswith((".weight", "._mean")) for name in state):
        tables = (names(detector, static=True), *tables)
    elif not whole:
        state = {f"backbone.{name.removeprefix('backbone.')}": value for name, value in state.items()}
    apart = tuple(f"{layer}." for layer, _ in class_layers(detector))
    own, modules, found = detector.state_dict(), dict(detector.named_modules()), {}
    for name, value in state.items():
        for table in tables:
            owner, _, leaf = name.rpartition(".")
            name = rename(f"{owner}.{_LEAVES[leaf]}" if leaf in _LEAVES else name, table)
        if name in own and not name.startswith(apart) and (whole or name.startswith(("backbone.", "box_head.stage."))):
            found[name] = _laid_out(value, modules.get(name.rpartition(".")[0]), own[name].shape)
    return found


def _without_background(value: Tensor, shape: torch.Size, rows: Any, classes: int) -> Tensor:
    if rows is not None:
        return background_last(value, rows, shape[0], classes)
    # a cascade's box for any class, beside that of the background
    return value[4:] if len(shape) and (shape[0], len(value)) == (4, 8) else value


def _statistics(modules: Mapping[str, nn.Module], given: set[str]) -> dict[str, Tensor]:
    """Statistics that change nothing, where no normalization has any: scales and offsets have them in them."""
    if any(name.endswith((".running_mean", ".running_var")) for name in given):
        return {}
    found = {}
    for name, module in modules.items():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            found[f"{name}.running_mean"] = torch.zeros(module.num_features)
            found[f"{name}.running_var"] = torch.full((module.num_features,), 1 - module.eps, dtype=torch.float64)
    return found


__all__ = ["names", "of_backbone", "of_static", "renamed"]
