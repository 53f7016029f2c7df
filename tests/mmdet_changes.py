"""Changed configs for the tests of importing MMDetection's models, small ones, and what a checkpoint holds of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from detzoo.detector import Detector
from detzoo.interop.mmdet.configs import read_file

GONE = object()  # in place of a value: takes a setting out


def changed(configs: Path, file: str = "faster.py", **changes: Any) -> dict[str, Any]:
    """A config with settings changed: ``{"a.b.c": value}``, where a missing one is made and `GONE` takes one out."""
    values = read_file(configs / file)
    for path, value in changes.items():
        *parents, leaf = path.split("__")
        here: Any = values
        for part in parents:
            here = here[int(part)] if part.isdigit() else here.setdefault(part, {})
        if value is GONE:
            del here[leaf]
        else:
            here[int(leaf) if leaf.isdigit() else leaf] = value
    return values


def small(configs: Path, **changes: Any) -> dict[str, Any]:
    """A Faster R-CNN that is built in a moment."""
    sizes = {
        "model__backbone__depth": 18,
        "model__neck__in_channels": [64, 128, 256, 512],
        "model__neck__out_channels": 16,
        "model__rpn_head__in_channels": 16,
        "model__rpn_head__feat_channels": 16,
        "model__roi_head__bbox_roi_extractor__out_channels": 16,
        "model__roi_head__bbox_head__in_channels": 16,
        "model__roi_head__bbox_head__fc_out_channels": 16,
        "model__roi_head__bbox_head__num_classes": 3,
        "train_dataloader__dataset__metainfo": {"classes": ("cat", "dog", "owl")},
    }
    return changed(configs, **{**sizes, **changes})


def published(detector: Detector) -> dict[str, Tensor]:
    """Its weights under MMDetection's names."""
    names = {"rpn.": "rpn_head.rpn_", "box_head.": "roi_head.bbox_head."}
    state = {}
    for name, value in detector.state_dict().items():
        prefix = next((one for one in names if name.startswith(one)), "")
        state[names.get(prefix, "") + name.removeprefix(prefix)] = value
    return state


def config_text(values: Mapping[str, Any]) -> str:
    """A merged config as MMDetection writes it into a checkpoint."""
    return "".join(f"{name} = {value!r}\n" for name, value in values.items())
