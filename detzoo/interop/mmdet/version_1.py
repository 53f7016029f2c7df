"""Models of MMDetection 1.x: recognized and refused, as their boxes are a pixel wider and background is class 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detzoo.config import ConfigError
from detzoo.interop.mmdet.section import Section
from detzoo.pickles.machine import CheckpointError

# of a head, where version 2 has anchor_generator and bbox_coder
_OF_HEADS = (
    *("anchor_scales", "anchor_ratios", "anchor_strides", "anchor_base_sizes", "octave_base_scale"),
    *("scales_per_octave", "basesize_ratio_range", "target_means", "target_stds", "use_sigmoid_cls"),
)
# of a model, where version 2 has roi_head
_OF_MODELS = ("bbox_roi_extractor", "mask_roi_extractor", "shared_head", "mask_head", "mask_iou_head")
_NEW = ("CornerNet", "DETR", "YOLOV3")  # methods that version 1 had not
_HEADS = ("rpn_head", "bbox_head", "mask_head")


def refuse_version_1(config: Section, model: Section, meta: Any) -> None:
    """Refuse a config of version 1.

    Args:
        config: the whole config.
        model: its model.
        meta: what a checkpoint says of itself; ``mmdet_version`` is believed.

    Raises:
        ConfigError: it is one; the message names what says so.
    """
    sign = _sign(config, model)
    if sign == "data.imgs_per_gpu" and _major(meta) in (2, 3):
        return
    if sign:
        raise ConfigError(
            f"this is a config of MMDetection 1.x ({sign}), whose boxes and class order are others; it is not read. "
            "Write it in the form of 2.x, and upgrade its weights with MMDetection 2's "
            "tools/model_converters/upgrade_model_version.py"
        )


def _sign(config: Section, model: Section) -> str:
    """What only version 1 writes, by its path; nothing if there is nothing."""
    heads = [(name, one) for name in _HEADS for one in _dicts(model.values.get(name))]
    for name, head in heads:
        for setting in _OF_HEADS:
            if setting in head:
                return f"model.{name}.{setting}"
    for name in _OF_MODELS:
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


def refuse_weights_of_version_1(meta: Any, where: str) -> None:
    """Refuse weights whose ``meta`` says that version 1 made them.

    Raises:
        CheckpointError: it does; ``where`` names the file.
    """
    if _major(meta) in (0, 1):
        raise CheckpointError(
            f"{where} was made by MMDetection {meta['mmdet_version'][:20]}, whose class order and boxes are others; "
            "upgrade it with MMDetection 2's tools/model_converters/upgrade_model_version.py"
        )


__all__ = ["refuse_version_1", "refuse_weights_of_version_1"]
