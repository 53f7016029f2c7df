"""Models of MMDetection 1.x in the form of version 2, with its parts for boxes that end with their last pixel.

The rules are those of MMDetection 2's own notes and of its tools ``upgrade_model_version.py`` and
``upgrade_ssd_version.py``: heads on RoIs moved into ``roi_head``, anchors and box offsets into parts of their own,
class 0 was the background, and pooling had no half-pixel shift.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from detzoo.interop.section import Section

# of a head, where version 2 has anchor_generator and bbox_coder
_OF_HEADS = (
    *("anchor_scales", "anchor_ratios", "anchor_strides", "anchor_base_sizes", "octave_base_scale"),
    *("scales_per_octave", "basesize_ratio_range", "target_means", "target_stds", "use_sigmoid_cls"),
)
# of a model, where version 2 has roi_head
_OF_MODELS = ("bbox_roi_extractor", "mask_roi_extractor", "shared_head", "mask_head", "mask_iou_head")
_NEW = ("CornerNet", "DETR", "YOLACT", "YOLOV3")  # methods that version 1 had not
_HEADS = ("rpn_head", "bbox_head", "mask_head")
_IN_ROI_HEAD = (*_OF_MODELS, "bbox_head")
# models of two stages, and what their second is called since
_ROI_HEADS = {
    "FastRCNN": "StandardRoIHead",
    "FasterRCNN": "StandardRoIHead",
    "MaskRCNN": "StandardRoIHead",
    "CascadeRCNN": "CascadeRoIHead",
}
_ANCHORED = ("RPNHead", "RetinaHead", "SSDHead")  # heads with anchors
DIFFERENCE = (
    "it is a model of version 1 ({sign}): boxes are as wide as there, and pooled as there, but suppressed by overlaps "
    "that count no last pixel, as version 2 does with such models"
)


def upgraded(config: Section, model: Section, meta: Any) -> str:
    """Bring a ``model`` of version 1 into the form of version 2; another stays as it is.

    Args:
        config: the whole config.
        model: its model.
        meta: what a checkpoint says of itself; ``mmdet_version`` is believed.

    Returns:
        What says that it is of version 1, by its path; nothing if nothing does.

    Raises:
        ConfigError: it is a mixture of both, or there is no such model here.
    """
    sign = _sign(config, model)
    if not sign or (sign == "data.imgs_per_gpu" and _major(meta) in (2, 3)):
        return ""
    if "roi_head" in model.values:
        model.differs("roi_head", f"is of version 2, but {sign} of version 1")
    for name in _HEADS:
        for head in _dicts(model.values.get(name)):
            for part in {"anchor_generator", "bbox_coder"} & head.keys():
                Section(head, f"model.{name}", model.notes).differs(part, f"is of version 2, but {sign} of version 1")
    values = dict(model.values)
    for name in _HEADS:
        if name in values:
            values[name] = _each(values[name], _head)
    beside = {name: config.values.get(name) for name in ("train_cfg", "test_cfg") if name not in values}
    moved = {name: value for name, value in beside.items() if isinstance(value, dict)}
    values |= moved
    config.values = {name: value for name, value in config.values.items() if name not in moved}
    if any(values.get(name) is not None for name in ("rpn_head", "bbox_roi_extractor")) and model.kind != "RPN":
        _into_roi_head(model, values)
    model.values = values
    return sign


def _into_roi_head(model: Section, values: dict[str, Any]) -> None:
    """The second stage's parts, which stood beside the others."""
    if model.kind not in _ROI_HEADS:
        model.differs("type", f"of version 1 cannot be imported; these can: {', '.join(_ROI_HEADS)}, and dense ones")
    head: dict[str, Any] = {"type": _ROI_HEADS[model.kind]}
    for name in _IN_ROI_HEAD:
        if values.get(name) is not None:
            head[name] = values[name]
        values.pop(name, None)
    for name in ("bbox_roi_extractor", "mask_roi_extractor"):
        if name in head:
            head[name] = _each(head[name], _extractor)
    if model.kind == "CascadeRCNN":
        for name in ("train_cfg", "test_cfg"):
            if isinstance(values.get(name), dict):
                values[name] = dict(values[name])
        head["num_stages"] = values.pop("num_stages", 3)
        weights = (values.get("train_cfg") or {}).pop("stage_loss_weights", None)
        head["stage_loss_weights"] = [1.0] * head["num_stages"] if weights is None else weights
        (values.get("test_cfg") or {}).pop("keep_all_stages", None)  # results of each stage beside those of all
    values["roi_head"] = head


def _extractor(given: dict[str, Any]) -> dict[str, Any]:
    """Pooling without the half-pixel shift."""
    layer = given.get("roi_layer")
    if not isinstance(layer, dict) or layer.get("type") != "RoIAlign":
        return given
    layer = {"aligned": False, **layer}
    for old, new in (("out_size", "output_size"), ("sample_num", "sampling_ratio")):
        if old in layer:
            layer[new] = layer.pop(old)
    layer.pop("use_torchvision", None)  # two programs for the same
    return {**given, "roi_layer": layer}


def _head(given: dict[str, Any]) -> dict[str, Any]:
    """Anchors and offsets as parts, and a number of classes without the background."""
    head = dict(given)
    kind = head.get("type")
    if kind == "SharedFCBBoxHead":
        head |= {"type": "ConvFCBBoxHead", "num_shared_fcs": head.pop("num_fcs", 2)}
        kind = "ConvFCBBoxHead"
    if kind != "RPNHead" and isinstance(head.get("num_classes"), int):
        head["num_classes"] -= 1
    if head.get("use_sigmoid_cls") is True:
        del head["use_sigmoid_cls"]  # as their losses have it, if nothing else is said
    if kind in _ANCHORED or (isinstance(kind, str) and kind.endswith("BBoxHead")):
        head["bbox_coder"] = {
            "type": "LegacyDeltaXYWHBBoxCoder",
            "target_means": head.pop("target_means", (0.0, 0.0, 0.0, 0.0)),
            "target_stds": head.pop("target_stds", (1.0, 1.0, 1.0, 1.0) if kind in _ANCHORED else (0.1, 0.1, 0.2, 0.2)),
        }
    if kind == "SSDHead":
        head["anchor_generator"] = _default_boxes(head)
    elif kind in _ANCHORED:
        head["anchor_generator"] = _anchors(head, kind)
    return head


def _anchors(head: dict[str, Any], kind: str) -> dict[str, Any]:
    retina = kind == "RetinaHead"
    made: dict[str, Any] = {
        "type": "LegacyAnchorGenerator",
        "center_offset": 0.5,
        "ratios": head.pop("anchor_ratios", [0.5, 1.0, 2.0]),
        "strides": head.pop("anchor_strides", [8, 16, 32, 64, 128] if retina else [4, 8, 16, 32, 64]),
    }
    base = head.pop("anchor_base_sizes", None)
    if base is not None:
        made["base_sizes"] = base
    if retina:
        made["octave_base_scale"] = head.pop("octave_base_scale", 4)
        made["scales_per_octave"] = head.pop("scales_per_octave", 3)
    else:
        made["scales"] = head.pop("anchor_scales", [8, 16, 32])
    return made


def _default_boxes(head: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "LegacySSDAnchorGenerator",
        "scale_major": False,
        "input_size": head.pop("input_size", 300),
        "basesize_ratio_range": head.pop("basesize_ratio_range", (0.1, 0.9)),
        "strides": head.pop("anchor_strides", (8, 16, 32, 64, 100, 300)),
        "ratios": head.pop("anchor_ratios", ([2], [2, 3], [2, 3], [2, 3], [2], [2])),
    }


def _each(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    if isinstance(value, list | tuple):
        return [_each(one, change) for one in value]
    return change(value) if isinstance(value, dict) else value


def _sign(config: Section, model: Section) -> str:
    """What only version 1 writes, by its path; nothing if there is nothing."""
    heads = [(name, one) for name in _HEADS for one in _dicts(model.values.get(name))]
    for name, head in heads:
        for setting in _OF_HEADS:
            if setting in head:
                return f"model.{name}.{setting}"
    for name in () if model.kind in _NEW else _OF_MODELS:
        if model.values.get(name) is not None:
            return f"model.{name}"
    if "rpn_head" in model.values and "roi_head" not in model.values and model.values.get("bbox_head") is not None:
        return "model.bbox_head beside model.rpn_head"
    data = config.values.get("data")
    # version 2 still takes the old name, beside what is new in it
    new = model.kind in _NEW or "roi_head" in model.values
    new = new or any({"anchor_generator", "bbox_coder"} & head.keys() for _, head in heads)
    if isinstance(data, dict) and "imgs_per_gpu" in data and "samples_per_gpu" not in data and not new:
        return "data.imgs_per_gpu"
    return ""


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in (value if isinstance(value, list | tuple) else (value,)) if isinstance(one, dict)]


def _major(meta: Any) -> int | None:
    version = meta.get("mmdet_version") if isinstance(meta, Mapping) else None
    return int(version[0]) if isinstance(version, str) and version[:1] in ("0", "1", "2", "3") else None


def is_version_1(meta: Any) -> bool:
    """Whether a checkpoint says that version 1 made it."""
    return _major(meta) in (0, 1)


__all__ = ["DIFFERENCE", "is_version_1", "upgraded"]
