"""What one-stage methods of PaddleDetection give and learn from, under the names of its recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detzoo.blocks.anchors import by_cell
from detzoo.blocks.points import cell_centres
from detzoo.necks.ssd import SSDNeck
from detzoo.types import Images, Targets
from tests.parity.golden import Golden

SHARES = (1.0, 0.7, 0.4, 1.0, 0.9)  # of the objects of each image, as if it were mixed


def bridged(rung: str, model: Any, features: Sequence[Tensor]) -> Sequence[Tensor]:
    """YOLOv3's pyramid ends behind the bridges."""
    return [bridge(x) for bridge, x in zip(model.bridges, features, strict=True)] if rung == "neck" else features


def extended(rung: str, model: Any, features: Sequence[Tensor]) -> Sequence[Tensor]:
    """SSD's backbone has the extra maps, too."""
    return model.neck(features) if isinstance(model.neck, SSDNeck) else features


def yolo_raw(model: Any, images: Images, features: Sequence[Tensor]) -> dict[str, Tensor]:
    """Outputs of each map."""
    return {f"raw.{level}": tensor for level, tensor in enumerate(model.maps(features))}


def ssd_raw(model: Any, images: Images, features: Sequence[Tensor]) -> dict[str, Tensor]:
    """Outputs of each map by default box, and those as parts of the canvas."""
    logits, offsets = model.heads(extended("raw", model, features))
    height, width = images.pixels.shape[-2:]
    counts = [by_cell(level, 4).shape[1] for level in offsets]
    default = (model._default(logits, images).double() / torch.tensor([width, height] * 2)).split(counts)
    raw = {f"raw.scores.{level}": by_cell(x, len(model.classes) + 1) for level, x in enumerate(logits)}
    raw |= {f"raw.boxes.{level}": by_cell(x, 4) for level, x in enumerate(offsets)}
    return raw | {f"raw.priors.{level}": x for level, x in enumerate(default)}


def relative_boxes(golden: Golden) -> Golden:
    """SSD of a static release, its detections as ours: class 0 is none; boxes are in pixels, not parts, of the file."""
    arrays = dict(golden.arrays)
    scales = golden.scales or [(1.0, 1.0)] * len(golden.sizes)
    for image, (size, scale) in enumerate(zip(golden.sizes, scales, strict=True)):
        arrays[f"pred.{image}.labels"] = arrays[f"pred.{image}.labels"] - 1
        arrays[f"pred.{image}.boxes"] = arrays[f"pred.{image}.boxes"] * np.tile(np.divide(size, scale)[::-1], 2)
    return dataclasses.replace(golden, arrays=arrays)


def retina_raw(model: Any, images: Images, features: Sequence[Tensor]) -> dict[str, Tensor]:
    """Outputs of each level."""
    logits, offsets = model.heads(features)
    raw = {f"raw.cls.{level}": x for level, x in enumerate(logits)}
    return raw | {f"raw.reg.{level}": x for level, x in enumerate(offsets)}


def fcos_raw(model: Any, images: Images, features: Sequence[Tensor]) -> dict[str, Tensor]:
    """Outputs of each level, and where its cells look."""
    logits, distances, central = model.heads(features)
    sizes = [level.shape[-2:] for level in logits]
    points = cell_centres(sizes, model.neck.strides, logits[0].device).split([size.numel() for size in sizes])
    raw = {f"raw.cls.{level}": x for level, x in enumerate(logits)}
    raw |= {f"raw.fcos_reg.{level}": x for level, x in enumerate(distances)}
    raw |= {f"raw.centerness.{level}": x for level, x in enumerate(central)}
    return raw | {f"raw.fcos_locations.{level}": x for level, x in enumerate(points)}


def yolo_losses(ours: Mapping[str, float]) -> dict[str, float]:
    """Losses by their recorded names."""
    return {"loss_obj" if name == "loss_conf" else name: value for name, value in ours.items()}


def ssd_losses(ours: Mapping[str, float]) -> dict[str, float]:
    """There is one loss."""
    return {"loss": sum(ours.values())}


def retina_losses(ours: Mapping[str, float]) -> dict[str, float]:
    """Losses by their recorded names."""
    return {"loss_reg" if name == "loss_bbox" else name: value for name, value in ours.items()}


def fcos_losses(ours: Mapping[str, float]) -> dict[str, float]:
    """Losses by their recorded names."""
    theirs = {"loss_bbox": "loss_box", "loss_centerness": "loss_quality"}
    return {theirs.get(name, name): value for name, value in ours.items()}


def shared(targets: Targets) -> Targets:
    """The objects of pictures that were mixed."""
    shares = torch.zeros_like(targets.boxes[..., 0])
    shares[:, : len(SHARES)] = torch.tensor(SHARES)
    return dataclasses.replace(targets, shares=shares * targets.valid)
