"""What MMDetection's configs write in other ways, or only for training, is read; what is not supported is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import detzoo
from detzoo.blocks.deform_pool import DeformPool
from detzoo.config import ConfigError
from detzoo.interop.mmdet.importer import METHODS, Imported, read_config
from detzoo.recipes.settings import Split
from tests.mmdet_changes import GONE, changed, small

ALIGN = "model__roi_head__bbox_roi_extractor__roi_layer"
RPN = "model__test_cfg__rpn"


def read(configs: Path, file: Any = "faster.py", **changes: Any) -> Imported:
    return read_config(changed(configs, file, **changes))


def refused(configs: Path, message: Any, file: Any = "faster.py", **changes: Any) -> None:
    with pytest.raises(ConfigError, match=message):
        read(configs, file, **changes)


@pytest.mark.parametrize("kind", ["FasterRCNNX", "MyFasterRCNN", "YOLOX", "Mask2Former"])
def test_a_method_that_is_not_there_suggests_no_other(configs: Path, kind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(configs, model__type=kind)
    assert str(caught.value) == (f"the config: model.type={kind!r} cannot be imported; these can: {', '.join(METHODS)}")


def test_a_list_of_necks(configs: Path) -> None:
    neck = changed(configs)["model"]["neck"]
    further = {"type": "ChannelMapper", "in_channels": 256}
    refused(configs, r"model\.neck\.1\.type='ChannelMapper' is a further part", model__neck=[neck, further])
    assert read(configs, model__neck=[neck]) == read(configs)
    refused(configs, r"model\.neck\.1 must be a dict", model__neck=[neck, "BFP"])
    balance = {"type": "BFP", "in_channels": 256, "num_levels": 5, "refine_type": "conv"}
    made: Any = read(configs, model__neck=[neck, balance]).recipe.model
    assert (made.neck.kind, made.neck.level, made.neck.refine) == ("bfp", 2, "conv")
    refused(configs, r"neck\.1\.num_levels=4 does not fit", model__neck=[neck, {**balance, "num_levels": 4}])
    refused(configs, r"neck\.0\.type='BFP'", model__neck=[balance, neck])


def test_roi_align_of_the_first_versions(configs: Path) -> None:
    old = {"type": "RoIAlign", "out_size": 7, "sample_num": 0}
    assert read(configs, **{ALIGN: old}) == read(configs)
    assert read(configs, **{ALIGN: {**old, "aligned": True, "output_size": 7}}) == read(configs)
    assert read(configs, **{ALIGN: {"type": "RoIAlign", "output_size": (7, 7), "sampling_ratio": 0}}) == read(configs)
    head = read(configs, **{ALIGN: {**old, "sample_num": 2}}).recipe.model.box_head  # pyright: ignore[reportAttributeAccessIssue]
    assert (head.size, head.sampling) == (7, 2)
    refused(
        configs, r"roi_layer\.out_size=7 contradicts output_size, which is 14", **{ALIGN: {**old, "output_size": 14}}
    )
    unaligned: Any = read(configs, **{ALIGN: {**old, "aligned": False}}).recipe.model
    assert unaligned.box_head.extractor.kind == "unaligned"
    refused(
        configs, r"roi_layer\.output_size=\[7, 14\] has no", **{ALIGN: {"type": "RoIAlign", "output_size": [7, 14]}}
    )


def test_deformable_pooling(configs: Path) -> None:
    given = {"type": "DeformRoIPoolPack", "output_size": 7, "output_channels": 256}
    pooled = read(configs, **{ALIGN: given}).recipe.model.box_head  # pyright: ignore[reportAttributeAccessIssue]
    assert (pooled.size, pooled.sampling, pooled.extractor) == (7, 0, DeformPool.Config())
    given |= {"type": "ModulatedDeformRoIPoolPack", "sampling_ratio": 2, "gamma": 0.2, "deform_fc_channels": 64}
    pooled = read(configs, **{ALIGN: given}).recipe.model.box_head  # pyright: ignore[reportAttributeAccessIssue]
    assert (pooled.size, pooled.sampling) == (7, 2)
    assert pooled.extractor == DeformPool.Config(version=2, reach=0.2, channels=64)
    refused(configs, r"roi_layer\.output_channels=128 does not fit", **{ALIGN: {**given, "output_channels": 128}})
    refused(configs, r"roi_layer\.spatial_scale=1 is not known", **{ALIGN: {**given, "spatial_scale": 1}})
    extractor = "model__roi_head__bbox_roi_extractor__type"
    refused(configs, "DeformRoIPoolPack' is not known here", **{ALIGN: given, extractor: "GenericRoIExtractor"})


def test_point_rend(configs: Path) -> None:
    points = {"model__train_cfg__rcnn__num_points": 100, "model__test_cfg__rcnn__subdivision_steps": 3}
    head = read(configs, "point_rend.py", **points).recipe.model.point_head  # pyright: ignore[reportAttributeAccessIssue]
    assert (head.points, head.steps) == (100, 3)
    roi = "model__roi_head__"
    refused(
        configs, "the finest level alone has", "point_rend.py", **{f"{roi}mask_roi_extractor__featmap_strides": [8]}
    )
    refused(configs, "class_agnostic=True", "point_rend.py", **{f"{roi}point_head__class_agnostic": True})
    refused(configs, "scale_factor=4", "point_rend.py", model__test_cfg__rcnn__scale_factor=4)
    refused(configs, "conv_cfg=", "point_rend.py", **{f"{roi}mask_head__conv_cfg": {"type": "DCN"}})


def test_an_old_threshold_beside_the_new_one(configs: Path) -> None:
    assert read(configs, **{f"{RPN}__nms_thr": 0.7}) == read(configs)
    refused(configs, r"rpn\.nms_thr=0\.6 contradicts nms, whose IoU is 0\.7", **{f"{RPN}__nms_thr": 0.6})
    assert read(configs, **{f"{RPN}__nms_thr": 0.7, f"{RPN}__nms": GONE}) == read(configs)
    assert read(configs, **{f"{RPN}__nms__iou_thr": 0.7}) == read(configs)
    refused(configs, r"iou_thr=0\.5 contradicts iou_threshold, which is 0\.7", **{f"{RPN}__nms__iou_thr": 0.5})


LOSSES = [
    # (file, change, what the note says); the model detects as before
    ("faster.py", {"model__roi_head__bbox_head__loss_cls": {"type": "MyLoss", "x": 1}}, "loss_cls.type='MyLoss'"),
    ("faster.py", {"model__roi_head__bbox_head__loss_cls": {"type": "FocalLoss", "use_sigmoid": True}}, "'FocalLoss'"),
    ("faster.py", {"model__roi_head__bbox_head__loss_cls__use_sigmoid": True}, "loss_cls.use_sigmoid=True"),
    ("faster.py", {"model__rpn_head__loss_cls": {"type": "FocalLoss", "use_sigmoid": True}}, "rpn_head.loss_cls.type"),
    ("faster.py", {"model__rpn_head__loss_bbox": {"type": "MyLoss", "x": 1}}, "rpn_head.loss_bbox.type='MyLoss'"),
    ("faster.py", {"model__rpn_head__loss_bbox__loss_weight": "much"}, "loss_weight must be a number"),
    ("faster.py", {"model__rpn_head__loss_bbox": {"type": "SmoothL1Loss", "beta": -1.0}}, "the usual loss_bbox"),
    ("faster.py", {"model__train_cfg__rcnn__sampler__num": GONE}, "sampler.num is missing; the usual sampler"),
    ("faster.py", {"model__train_cfg__rpn__assigner__pos_iou_thr": "high"}, "the usual assigner takes its place"),
    ("mask.py", {"model__roi_head__mask_head__loss_mask": {"type": "DiceLoss"}}, "loss_mask.type='DiceLoss'"),
    ("retina.py", {"model__bbox_head__loss_cls": {"type": "MyLoss", "use_sigmoid": True}}, "type='MyLoss'"),
    ("retina.py", {"model__bbox_head__loss_cls__gamma": "two"}, "gamma must be a number"),
    ("fcos.py", {"model__bbox_head__loss_centerness": {"type": "MyLoss"}}, "loss_centerness.type='MyLoss'"),
    ("atss.py", {"model__bbox_head__loss_centerness__use_sigmoid": False}, "loss_centerness.use_sigmoid=False"),
    ("yolo.py", {"model__bbox_head__loss_conf": {"type": "MyLoss"}}, "loss_conf.type='MyLoss'"),
    ("detr.py", {"model__bbox_head__loss_cls": {"type": "MyLoss", "use_sigmoid": False}}, "loss_cls.type='MyLoss'"),
    ("corner.py", {"model__bbox_head__loss_heatmap": {"type": "MyLoss"}}, "loss_heatmap.type='MyLoss'"),
]


@pytest.mark.parametrize(("file", "changes", "note"), LOSSES, ids=[f"{file} {note}" for file, _, note in LOSSES])
def test_losses_that_only_training_uses_are_notes(configs: Path, file: str, changes: dict[str, Any], note: str) -> None:
    found = read(configs, file, **changes)
    assert any(note in one for one in found.notes), found.notes
    assert found.differences == ()


SCORES = [
    (
        "faster.py",
        "model__roi_head__bbox_head__loss_cls",
        {"type": "SeesawLoss", "num_classes": 80},
        "makes other scores",
    ),
    (
        "faster.py",
        "model__rpn_head__loss_cls",
        {"type": "CrossEntropyLoss"},
        r"=None has no counterpart \(left out it is",
    ),
    (
        "retina.py",
        "model__bbox_head__loss_cls",
        {"type": "FocalLoss"},
        r"=None has no counterpart \(left out it is False",
    ),
    ("retina.py", "model__bbox_head__loss_cls", {"type": "MyLoss", "use_sigmoid": False}, "use_sigmoid=False has no"),
    ("fcos.py", "model__bbox_head__loss_cls", {"type": "FocalCustomLoss", "use_sigmoid": True}, "makes other scores"),
    ("detr.py", "model__bbox_head__loss_cls", {"type": "FocalLoss"}, "type='FocalLoss' has no counterpart"),
]


@pytest.mark.parametrize(("file", "name", "loss", "message"), SCORES)
def test_losses_that_decide_what_scores_are(configs: Path, file: str, name: str, loss: Any, message: str) -> None:
    refused(configs, message, file, **{name: loss})


def test_lists_of_data_sets_in_each_other(configs: Path) -> None:
    one = {"type": "CocoDataset", "ann_file": "a.json", "img_prefix": "a/", "classes": ("cat", "dog", "owl")}
    values = changed(configs, "faster_2.py", model__roi_head__bbox_head__num_classes=3)
    one["pipeline"] = values["data"]["train"]["pipeline"]
    two, three = {**one, "ann_file": "b.json"}, {**one, "ann_file": "c.json"}
    for train in (
        *([one, two, three], [[one, two], three], [[one], [[two], three]]),
        {"type": "ConcatDataset", "datasets": [one, [two, three]]},
        {"type": "RepeatDataset", "times": 1, "dataset": [one, two, three]},
        [{"type": "RepeatDataset", "times": 1, "dataset": {"type": "ConcatDataset", "datasets": [one, two]}}, three],
    ):
        values["data"]["train"] = train
        found = read_config(values)
        assert found.recipe.data.train == tuple(Split(annotations=f"{name}.json", images="a") for name in "abc")
        assert found.recipe.data.classes == ("cat", "dog", "owl")
        assert found.notes == ()
    mixed = {"type": "MultiImageMixDataset", "dataset": [one, {**two, "type": "VOCDataset"}], "pipeline": []}
    values["data"]["train"] = {"type": "ClassBalancedDataset", "oversample_thr": 0.1, "dataset": mixed}
    found = read_config(values)
    assert found.recipe.data.oversample == 0.1
    for kind in ("MultiImageMixDataset' has no", "VOCDataset' is read like"):
        assert kind in " ".join(found.notes)
    values["data"]["test"] = [[values["data"]["test"]]]  # whose pipeline is that of the tests
    assert read_config(values).differences == ()


def test_a_small_one_of_the_first_versions_is_built(configs: Path) -> None:
    neck = small(configs)["model"]["neck"]
    old = {"type": "RoIAlign", "out_size": 7, "sample_num": 0}
    detector = detzoo.from_mmdet(small(configs, **{ALIGN: old, f"{RPN}__nms_thr": 0.7, "model__neck": [neck]}))
    assert detector.recipe == detzoo.from_mmdet(small(configs)).recipe
