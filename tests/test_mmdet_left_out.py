"""Settings that a config of MMDetection leaves out have the values that they have there, or are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detzoo.config import ConfigError
from detzoo.interop.mmdet.importer import read_config
from tests.mmdet_changes import GONE, changed

REFUSED = [
    *(
        (
            file,
            {"model__bbox_head__strides": GONE},
            r"strides=None does not fit .* \(left out it is \[4, 8, 16, 32, 64\]\)",
        )
        for file in ("fcos.py", "vfnet.py", "fovea.py", "auto_assign.py")
    ),
    ("ghm.py", {"model__bbox_head__loss_cls__use_sigmoid": GONE}, r"use_sigmoid=None .* \(left out it is False\)"),
    (
        "ssd.py",
        {"model__bbox_head__anchor_generator__scale_major": GONE},
        r"scale_major=None .* \(left out it is True\)",
    ),
    ("retina.py", {"model__test_cfg__nms_pre": 0}, "test_cfg.nms_pre=0 finds nothing there; -1 takes all"),
]


@pytest.mark.parametrize(("file", "changes", "message"), REFUSED, ids=[f"{file} {[*one]}" for file, one, _ in REFUSED])
def test_what_is_another_there_is_refused(configs: Path, file: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(changed(configs, file, **changes))


NOTED = [
    *(
        (
            file,
            {"model__bbox_head__loss_cls": GONE},
            "loss_cls.type='CrossEntropyLoss' has no counterpart; FocalLoss has",
        )
        for file in ("retina.py", "atss.py", "paa.py", "fsaf.py", "yolof.py")
    ),
    *(
        (
            file,
            {f"model__{head}__{loss}__{flag}": GONE},
            f"{flag}=None has no counterpart (left out it is False); True has",
        )
        for file, head, loss, flag in (
            ("fcos.py", "bbox_head", "loss_centerness", "use_sigmoid"),
            ("atss.py", "bbox_head", "loss_centerness", "use_sigmoid"),
            ("yolo.py", "bbox_head", "loss_conf", "use_sigmoid"),
            ("mask.py", "roi_head__mask_head", "loss_mask", "use_mask"),
            ("grid.py", "roi_head__grid_head", "loss_grid", "use_sigmoid"),
        )
    ),
    (
        "yolo.py",
        {"model__bbox_head__loss_xy__reduction": GONE},
        "reduction=None has no counterpart (left out it is 'mean')",
    ),
    ("deformable_detr.py", {"model__train_cfg__assigner": GONE}, "train_cfg.assigner is left out, which is"),
    ("fcos.py", {"model__bbox_head__loss_bbox__eps": 0.01}, "loss_bbox.eps=0.01 has no counterpart; 1e-06 has"),
    (
        "retina.py",
        {"model__neck__norm_cfg": {"type": "BN", "requires_grad": False}},
        "norm_cfg.requires_grad=False has no",
    ),
    ("retina.py", {"model__backbone__norm_cfg__momentum": 0.03}, "norm_cfg.momentum=0.03 has no counterpart; 0.1 has"),
    (
        "faster.py",
        {"model__train_cfg__rpn_proposal__min_bbox_size": GONE},
        "train_cfg.rpn_proposal.min_bbox_size is below 0 or left out",
    ),
    (
        "retina.py",
        {
            "model__data_preprocessor__batch_augments": [
                {"type": "BatchSyncRandomResize", "random_size_range": (480, 800)}
            ]
        },
        "model.data_preprocessor.batch_augments=",
    ),
]


@pytest.mark.parametrize(("file", "changes", "message"), NOTED, ids=[f"{file} {[*one]}" for file, one, _ in NOTED])
def test_training_that_is_another_there_is_noted(
    configs: Path, file: str, changes: dict[str, Any], message: str
) -> None:
    imported = read_config(changed(configs, file, **changes))
    assert any(message in note for note in imported.notes), imported.notes
    assert imported.differences == read_config(configs / file).differences


@pytest.mark.parametrize(
    ("said", "empty"), [({}, True), ({"min_bbox_size": -1}, True), ({"min_bbox_size": 0}, False)], ids=str
)
def test_foveabox_keeps_boxes_without_area_as_it_does_there(configs: Path, said: dict[str, int], empty: bool) -> None:
    changes = {f"model__test_cfg__{name}": value for name, value in said.items()}
    imported = read_config(changed(configs, "fovea.py", **changes))
    assert imported.recipe.model.head.empty is empty  # pyright: ignore[reportAttributeAccessIssue]
    assert imported.differences == ()


@pytest.mark.parametrize(
    ("file", "owner"), [("retina.py", "test_cfg"), ("fcos.py", "test_cfg"), ("faster.py", "test_cfg.rpn")]
)
@pytest.mark.parametrize("least", [-1, GONE], ids=["-1", "left out"])
def test_boxes_without_area_that_stay_there_are_said(configs: Path, file: str, owner: str, least: object) -> None:
    path = f"model__{owner.replace('.', '__')}__min_bbox_size"
    (said,) = read_config(changed(configs, file, **{path: least})).differences
    assert said.startswith(f"model.{owner}.min_bbox_size is below 0 or left out, which keeps boxes without any area")
    assert read_config(changed(configs, file, **{path: 0})).differences == ()
