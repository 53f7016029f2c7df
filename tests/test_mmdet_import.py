"""MMDetection's configs and weights become our models: equal to the zoo's, or refused by the setting's name."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import detzoo
from detzoo import cli
from detzoo.config import ConfigError, override
from detzoo.interop.mmdet.configs import read_file
from detzoo.interop.mmdet.importer import METHODS, Differs, read_config
from detzoo.pickles.machine import CheckpointError
from detzoo.recipes.augment import Albu, InstaBoost
from detzoo.recipes.classes import COCO_CLASSES, LVIS_V1_CLASSES, VOC_CLASSES
from detzoo.recipes.columns import CORNERNET_AUGMENT, DETR_AUGMENT, DETR_SIZES, SSD_AUGMENT, YOLO_AUGMENT
from detzoo.recipes.fcos import BIASES, SHIFT_BIASES
from detzoo.recipes.recipe import Recipe
from tests.mmdet_changes import GONE, changed, config_text, published, small
from tests.mmdet_configs import Row, rows
from tests.mmdet_files import MODELS, OTHERS, RETINANET_2
from tests.mmdet_spelling import respelled
from tests.tiny import images


@pytest.mark.parametrize(("file", "recipe"), [(file, recipe) for file, _, recipe in MODELS])
def test_both_spellings_give_the_zoo_s_recipe(configs: Path, file: str, recipe: str) -> None:
    imported = read_config(configs / file)
    wanted = detzoo.find(recipe)
    assert imported.recipe.model == wanted.model
    assert imported.recipe.data == wanted.data.replace(classes=COCO_CLASSES)
    assert imported.recipe.schedule == wanted.schedule
    assert imported.notes == ()


@pytest.mark.parametrize(("file", "recipe"), [(file, recipe) for file, _, recipe in OTHERS])
def test_other_models_are_the_zoo_s(configs: Path, file: str, recipe: str) -> None:
    assert read_config(configs / file).recipe.model == detzoo.find(recipe).model


@pytest.mark.parametrize("beside", [False, True], ids=["inside", "beside"])
@pytest.mark.parametrize(
    ("file", "recipe"), [(file, recipe) for file, _, recipe in (*MODELS, *OTHERS) if not file.endswith("_2.py")]
)
def test_the_spelling_of_version_2_gives_the_same_model(configs: Path, file: str, recipe: str, beside: bool) -> None:
    new = read_config(configs / file).recipe
    old = read_config(respelled(read_file(configs / file), beside)).recipe
    assert old.model == detzoo.find(recipe).model
    assert old.schedule == new.schedule
    assert old.data == new.data


def test_every_method_that_can_be_imported_is_tested(configs: Path) -> None:
    assert {read_file(configs / file)["model"]["type"] for file, _, _ in (*MODELS, *OTHERS)} == set(METHODS)


SETTINGS = [
    # (file, change, our settings)
    ("faster.py", {"model__backbone__depth": 101}, ["model.backbone.depth=101"]),
    ("faster.py", {"model__backbone__style": "caffe"}, ['model.backbone.style="caffe"']),
    ("faster.py", {"model__backbone__norm_cfg__requires_grad": False}, ["model.backbone.norm_frozen=true"]),
    ("faster.py", {"model__backbone__norm_cfg": {"type": "BN", "eps": 0.001}}, ["model.backbone.norm_eps=0.001"]),
    ("faster.py", {"model__backbone__frozen_stages": GONE}, ["model.backbone.frozen_stages=-1"]),
    ("faster.py", {"model__backbone__with_cp": True}, ["model.backbone.checkpointing=true"]),
    (
        "faster.py",
        {"model__backbone__type": "ResNetV1d"},
        ['model.backbone.stem="deep"', "model.backbone.avg_down=true"],
    ),
    (
        "faster.py",
        {"model__backbone__type": "mmdet.ResNeXt", "model__backbone__groups": 32},
        ["model.backbone.groups=32", "model.backbone.base_width=4"],
    ),
    (
        "faster.py",
        {"model__data_preprocessor__bgr_to_rgb": False, "model__data_preprocessor__pad_size_divisor": GONE},
        ['model.input.order="bgr"', "model.input.multiple=1"],
    ),
    (
        "faster.py",
        {"model__roi_head__bbox_head__loss_bbox__type": "SmoothL1Loss"},
        ["model.box_head.box_loss.kind=smooth_l1"],
    ),
    (
        "faster.py",
        {
            "model__roi_head__bbox_head__loss_bbox": {"type": "GIoULoss", "loss_weight": 10.0},
            "model__roi_head__bbox_head__reg_decoded_bbox": True,
        },
        ["model.box_head.box_loss.kind=giou", "model.box_head.box_loss.weight=10"],
    ),
    ("faster.py", {"model__roi_head__bbox_head__loss_bbox": GONE}, ["model.box_head.box_loss.kind=smooth_l1"]),
    ("faster.py", {"model__rpn_head__anchor_generator__scales": [4, 8]}, ["model.rpn.anchors.scales=[4,8]"]),
    (
        "faster.py",
        {
            "model__roi_head__bbox_head__type": "Shared4Conv1FCBBoxHead",
            "model__roi_head__bbox_head__norm_cfg": {"type": "GN", "num_groups": 32},
        },
        ["model.box_head.convs=4", "model.box_head.fcs=1", 'model.box_head.norm="gn"'],
    ),
    (
        "faster.py",
        {
            "model__backbone__conv_cfg": {"type": "ConvWS"},
            "model__neck__conv_cfg": {"type": "ConvWS"},
            "model__roi_head__bbox_head__conv_cfg": {"type": "Conv2d"},
        },
        ["model.backbone.standardize=true", "model.neck.standardize=true"],
    ),
    ("faster.py", {"model__test_cfg__rcnn__max_per_img": 300}, ["model.box_head.detections=300"]),
    ("faster.py", {"model__test_cfg__rcnn__nms__max_num": 100, "model__test_cfg__rpn__nms__max_num": -1}, []),
    ("faster.py", {"model__test_cfg__rpn__nms_pre": 0}, ["model.rpn.candidates=1000000"]),
    ("faster.py", {"model__train_cfg__rpn__allowed_border": 0}, ["model.rpn.border=0"]),
    (
        "faster.py",
        {
            "model__backbone__dcn": {"type": "DCNv2", "deformable_groups": 4},
            "model__backbone__stage_with_dcn": (False, False, True, True),
        },
        ['model.backbone.deform={"version": 2, "groups": 4}', "model.backbone.deform_stages=[3, 4]"],
    ),
    ("faster.py", {"model__backbone__dcn": {"type": "DCN"}}, []),  # in no stage
    ("cascade.py", {"model__test_cfg__rcnn__score_thr": 0.1}, ["model.box_head.threshold=0.1"]),
    (
        "fcos.py",
        {
            "model__bbox_head__center_sampling": True,
            "model__bbox_head__center_sample_radius": 2.5,
            "model__bbox_head__norm_on_bbox": True,
            "model__bbox_head__centerness_on_reg": True,
            "model__bbox_head__loss_bbox__type": "GIoULoss",
        },
        [
            *("model.head.radius=2.5", "model.head.in_strides=true", "model.head.centerness_on_reg=true"),
            "model.head.box_loss.kind=giou",
        ],
    ),
    ("fcos.py", {"model__bbox_head__dcn_on_last_conv": True}, ['model.head.deform={"version": 2, "groups": 1}']),
    (
        "detr.py",
        {
            "model__num_queries": 50,
            "model__encoder__num_layers": 3,
            "model__decoder__layer_cfg__ffn_cfg__feedforward_channels": 512,
            "model__bbox_head__loss_cls__bg_cls_weight": 0.2,
            "model__train_cfg__assigner__match_costs__0__weight": 2.0,
            "model__test_cfg": GONE,
        },
        [
            *("model.queries=50", "model.detections=50", "model.encoder.layers=3", "model.decoder.hidden=512"),
            *("model.background=0.2", "model.costs.cls=2"),
        ],
    ),
    (
        "detr_2.py",
        {
            "model__bbox_head__num_query": 300,
            "model__bbox_head__transformer__decoder__num_layers": 1,
            "model__bbox_head__loss_iou__loss_weight": 4.0,
            "model__train_cfg__assigner__reg_cost": GONE,
        },
        ["model.queries=300", "model.decoder.layers=1", "model.losses.iou=4", "model.costs.box=1"],
    ),
    (
        "detr_oldest_2.py",
        {
            "test_cfg__max_per_img": 50,
            "model__bbox_head__transformer__num_encoder_layers": 2,
            "model__bbox_head__transformer__num_heads": 4,
            "model__bbox_head__transformer__dropout": GONE,
            "train_cfg__assigner__cls_weight": 2.0,
            "train_cfg__assigner__iou_weight": GONE,
        },
        [
            *("model.queries=50", "model.detections=50", "model.encoder.layers=2", "model.encoder.heads=4"),
            *("model.decoder.heads=4", "model.encoder.dropout=0", "model.decoder.dropout=0"),
            *("model.costs.cls=2", "model.costs.iou=1"),
        ],
    ),
    ("detr.py", {"model__positional_encoding__temperature": 20}, ["model.temperature=20"]),
    (  # the head's own transformer, where it is left out
        "detr_oldest_2.py",
        {"model__bbox_head__transformer": GONE, "model__bbox_head__positional_encoding": GONE},
        [],
    ),
    (
        "ssd.py",
        {"model__bbox_head__anchor_generator__basesize_ratio_range": (0.2, 0.9), "model__train_cfg__neg_pos_ratio": 5},
        ["model.head.sizes=[30, 60, 111, 162, 213, 264, 315]", "model.head.hard=5"],
    ),
    ("yolo.py", {"model__test_cfg__conf_thr": 0.1}, ["model.head.objectness=0.1"]),
    ("yolo.py", {"model__bbox_head__loss_wh__loss_weight": 3.0}, ["model.head.size_weight=3"]),
    ("corner.py", {"model__test_cfg__corner_topk": 50}, ["model.head.corners=50"]),
    (
        "corner.py",
        {"model__backbone__num_stacks": 1, "model__bbox_head__num_feat_levels": 1},
        ["model.backbone.stacks=1"],
    ),
    ("mask.py", {"model__roi_head__mask_head__class_agnostic": True}, ["model.mask_head.class_agnostic=true"]),
    ("retina.py", {"model__bbox_head__loss_cls__gamma": 1.5}, ["model.head.gamma=1.5"]),
    ("atss.py", {"model__bbox_head__norm_cfg": None}, ["model.head.norm=null"]),
    ("yolof.py", {"model__bbox_head__bbox_coder__add_ctr_clamp": False}, ["model.head.farthest=null"]),
    ("yolof.py", {"model__train_cfg__assigner__match_times": 8}, ["model.head.match.nearest=8"]),
    ("auto_assign.py", {"model__bbox_head__center_loss_weight": 0.5}, ["model.head.centre_weight=0.5"]),
    ("retina.py", {"model__neck__add_extra_convs": "on_output"}, ['model.neck.extra="on_output"']),
    ("retina_2.py", {"model__neck__extra_convs_on_inputs": False}, ['model.neck.extra="on_output"']),
    (
        "faster_2.py",
        {"data__test__pipeline__1__img_scale": [[1000, 600]]},
        ["model.input.short=600", "model.input.long=1000"],
    ),
]


@pytest.mark.parametrize(("file", "changes", "ours"), SETTINGS, ids=[next(iter(change)) for _, change, _ in SETTINGS])
def test_settings_are_taken_over(configs: Path, file: str, changes: dict[str, Any], ours: list[str]) -> None:
    recipe = {name: recipe for name, _, recipe in (*MODELS, *OTHERS)}[file]
    imported = read_config(changed(configs, file, **changes)).recipe
    assert imported.model == override(detzoo.find(recipe), ours).model


CROP = {"type": "RandomCrop", "crop_type": "absolute_range", "crop_size": (384, 600), "allow_negative_crop": True}
OBJECTS = {"type": "LoadAnnotations", "with_bbox": True}
COLOURS = {"type": "PhotoMetricDistortion", "hue_delta": 18}
YOLO_IOUS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
CORNER_RATIOS = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)


def resize(*sizes: tuple[int, int]) -> dict[str, Any]:
    return {"type": "RandomChoiceResize", "scales": list(sizes), "keep_ratio": True}


PIPELINES = {
    "ssd": (
        [
            *({"type": "Expand", "ratio_range": (1, 4)}, {"type": "MinIoURandomCrop", "min_crop_size": 0.3}),
            *(
                {"type": "Resize", "scale": (1333, 800), "keep_ratio": True},
                {"type": "RandomFlip", "prob": 0.5},
                COLOURS,
            ),
        ],
        SSD_AUGMENT,
    ),
    "yolo": (
        [
            *({"type": "Expand", "ratio_range": (1, 2)}, {"type": "MinIoURandomCrop", "min_ious": YOLO_IOUS}),
            {"type": "RandomResize", "scale": [(320, 320), (608, 608)], "keep_ratio": True},
            *({"type": "RandomFlip", "prob": 0.5}, COLOURS),
        ],
        YOLO_AUGMENT,
    ),
    "corner": (
        [
            COLOURS,
            {"type": "RandomCenterCropPad", "crop_size": (511, 511), "ratios": CORNER_RATIOS, "test_mode": False},
            *({"type": "Resize", "scale": (511, 511), "keep_ratio": False}, {"type": "RandomFlip", "prob": 0.5}),
        ],
        CORNERNET_AUGMENT,
    ),
    "detr": (
        [
            {"type": "RandomFlip", "prob": 0.5},
            {
                "type": "RandomChoice",
                "transforms": [
                    [resize(*DETR_SIZES)],
                    [resize((400, 1333), (500, 1333), (600, 1333)), CROP, resize(*DETR_SIZES)],
                ],
            },
        ],
        DETR_AUGMENT,
    ),
}


@pytest.mark.parametrize("old", [False, True], ids=["3", "2"])
@pytest.mark.parametrize("name", PIPELINES)
def test_what_varies_training_pictures_is_taken_over(configs: Path, name: str, old: bool) -> None:
    steps, augment = PIPELINES[name]
    values = changed(
        configs,
        train_dataloader__dataset__pipeline=[{"type": "LoadImageFromFile"}, OBJECTS, *steps, {"type": "PackDetInputs"}],
    )
    imported = read_config(respelled(values) if old else values)
    assert imported.recipe.data.augment == augment
    assert imported.notes == ()


BLUR = [{"type": "Blur", "blur_limit": 3, "p": 1.0}, {"type": "MedianBlur", "blur_limit": 3, "p": 1.0}]
UNBUILT = {
    "albu": (
        {
            "type": "Albu",
            "transforms": [{"type": "ChannelShuffle", "p": 0.1}, {"type": "OneOf", "transforms": BLUR, "p": 0.1}],
            "bbox_params": {"type": "BboxParams", "format": "pascal_voc", "min_visibility": 0.0},
            "keymap": {"img": "image", "gt_bboxes": "bboxes"},
        },
        Albu(transforms=("ChannelShuffle", "Blur", "MedianBlur")),
    ),
    "instaboost": ({"type": "InstaBoost", "action_prob": (1, 0, 0), "dx": 15, "aug_ratio": 0.5}, InstaBoost()),
}


@pytest.mark.parametrize("old", [False, True], ids=["3", "2"])
@pytest.mark.parametrize("name", UNBUILT)
def test_augmentation_that_is_not_built_keeps_its_name_and_is_noted(configs: Path, name: str, old: bool) -> None:
    step, ours = UNBUILT[name]
    values = changed(configs, train_dataloader__dataset__pipeline=[{"type": "LoadImageFromFile"}, OBJECTS, step])
    imported = read_config(respelled(values) if old else values)
    assert imported.recipe.data.augment == (ours,)
    (note,) = imported.notes
    assert note.endswith(
        f".pipeline.2.type='{step['type']}' is not built here: training is refused until data.augment is set without it"
    )


REFUSED = [
    ({"model__backbone__foo": 1}, r"model\.backbone\.foo=1 is not known"),
    (
        {"model__roi_head__bbox_head__foo": {"type": "Bar"}},
        r"model\.roi_head\.bbox_head\.foo=dict\(type='Bar', \.\.\.\) is not known",
    ),
    (
        {"model__backbone__type": "mmpretrain.CSPNeXt"},
        r"model\.backbone\.type='mmpretrain\.CSPNeXt' is not known here",
    ),
    (
        {"model__backbone__dcn": {"type": "DCNv9"}},
        r"model\.backbone\.dcn\.type='DCNv9' is not known here; DCN and DCNv2",
    ),
    (
        {"model__backbone__dcn": {"type": "DCN", "fallback_on_stride": True}},
        r"model\.backbone\.dcn\.fallback_on_stride=True has no counterpart",
    ),
    ({"model__backbone__depth": 77}, "does not fit .*depth"),
    ({"model__backbone__depth": "deep"}, r"model\.backbone\.depth must be a whole number"),
    ({"model__backbone__out_indices": [0, 9]}, "out_stages must lie in 1 to 4"),
    ({"model__backbone__norm_cfg": {"type": "LN2d"}}, r"norm_cfg\.type='LN2d' is not known"),
    ({"model__neck__norm_cfg": {"type": "BN", "eps": 0.001}}, r"norm_cfg\.eps=0.001 has no counterpart; 1e-05 has"),
    (
        {"model__neck__in_channels": [1, 2, 3, 4]},
        r"model\.neck\.in_channels=\[1, 2, 3, 4\] does not fit the parts before",
    ),
    ({"model__neck__num_outs": 2}, r"model\.neck does not fit: levels is 2"),
    ({"model__neck__out_channels": -1}, "does not fit .*out_channels"),
    ({"model__neck": GONE}, r"rpn_head\.anchor_generator\.strides=.* does not fit the parts before it"),
    ({"model__rpn_head__anchor_generator__strides": [4, 8, 16, 32, 128]}, r"anchor_generator\.strides=.*does not fit"),
    ({"model__rpn_head__anchor_generator__center_offset": 0.5}, "center_offset=0.5 has no counterpart; 0 has"),
    ({"model__rpn_head__anchor_generator__type": "LegacyAnchorGenerator"}, "are of two versions"),
    (
        {"model__rpn_head__bbox_coder__target_stds": [0.5] * 4},
        r"model\.rpn_head\.bbox_coder=dict\(.*has no counterpart",
    ),
    ({"model__rpn_head__loss_cls__use_sigmoid": False}, "use_sigmoid=False has no counterpart; True has"),
    ({"model__rpn_head__num_convs": 2}, r"model\.rpn_head\.num_convs=2 has no counterpart"),
    ({"model__roi_head__bbox_roi_extractor__roi_layer__type": "RoIPool"}, "roi_layer.type='RoIPool' is not known"),
    ({"model__roi_head__bbox_roi_extractor__finest_scale": 112}, "finest_scale=112 has no counterpart"),
    ({"model__roi_head__shared_head": {"type": "Shared"}}, r"shared_head\.type='Shared' is not known here"),
    ({"model__roi_head__bbox_head__num_classes": 0}, "the model has 0 classes"),
    ({"model__roi_head__bbox_head__loss_cls__type": "SeesawLoss"}, "loss_cls.type='SeesawLoss' makes other scores"),
    ({"model__test_cfg__rcnn__nms__type": "soft_something"}, "nms.type='soft_something' is not known"),
    ({"model__test_cfg__rcnn__nms__class_agnostic": True}, "class_agnostic=True has no counterpart; False has"),
    ({"model__test_cfg__rcnn__score_thr": GONE}, r"model\.test_cfg\.rcnn\.score_thr is missing"),
    ({"model__test_cfg__rcnn__score_thr": 7}, "does not fit .*threshold"),
    ({"model__data_preprocessor": GONE}, "nothing says how pixels are normalized"),
    ({"model__data_preprocessor__pad_value": 114}, "pad_value=114 has no counterpart"),
    (
        {"model__type": "FasterRCN"},
        r"model\.type='FasterRCN' cannot be imported; these can: ATSS, AutoAssign, CascadeRCNN, .*YOLOV3$",
    ),
    ({"model__type": 3}, "model has no type"),
    ({"model": GONE}, "there is no model in it"),
    ({"model": [1]}, "model must be a dict"),
    ({"model__rpn_head__anchor_scales": [8]}, "of version 1"),
    ({"test_dataloader__dataset__pipeline__1": {"type": "CenterCrop"}}, r"pipeline\.1\.type='CenterCrop' is a step"),
    ({"model__roi_head__bbox_head__num_classes": 60000}, "parameters; up to|classes"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[next(iter(change)) for change, _ in REFUSED])
def test_what_changes_results_and_has_no_counterpart_is_refused(
    configs: Path, changes: dict[str, Any], message: str
) -> None:
    values = changed(configs, **changes)
    if "60000" in str(changes):
        values["model"]["roi_head"]["bbox_head"]["fc_out_channels"] = 60000
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(values)
    assert str(caught.value).startswith("the config: ")


REFUSED_OF_OTHERS = [
    (
        "cascade.py",
        {"model__roi_head__bbox_head__1__fc_out_channels": 512},
        "stages may differ in target_stds, scale_factor and assig",
    ),
    ("cascade.py", {"model__roi_head__num_stages": 2}, r"num_stages=2 does not fit the parts before it"),
    (
        "cascade.py",
        {"model__roi_head__type": "HybridTaskCascadeRoIHead"},
        "'HybridTaskCascadeRoIHead' is not known here",
    ),
    ("cascade_mask.py", {"model__roi_head__mask_head__conv_kernel_size": 5}, "conv_kernel_size=5 has no counterpart"),
    ("fast.py", {"model__roi_head__shared_head": {"type": "Shared"}}, r"shared_head=.* no counterpart in FastRCNN"),
    ("rpn.py", {"model__rpn_head__type": "EmbeddingRPNHead"}, "'EmbeddingRPNHead' is not known here; RPNHead"),
    (
        "faster_c4.py",
        {"model__roi_head__shared_head__depth": 101},
        r"shared_head\.depth=101 has no counterpart; 50 has",
    ),
    ("retina.py", {"model__bbox_head__type": "OtherHead"}, "'OtherHead' is not known here"),
    (
        "faster.py",
        {"model__test_cfg__rcnn__max_per_img": -1},
        r"test_cfg\.rcnn\.max_per_img=-1 has no counterpart: all",
    ),
    (
        "faster.py",
        {"model__test_cfg__rcnn__nms__max_num": 20},
        r"rcnn\.nms\.max_num=20 has no counterpart below that of",
    ),
    ("faster.py", {"model__test_cfg__rpn__nms__max_num": 50}, r"rpn\.nms\.max_num=50 has no counterpart below that of"),
    ("retina.py", {"model__test_cfg__nms__max_num": 99}, r"nms\.max_num=99 has no counterpart below that of"),
    ("fcos.py", {"model__bbox_head__foo": 1}, r"model\.bbox_head\.foo=1 is not known"),
    ("detr.py", {"model__neck__act_cfg": GONE}, r"model\.neck\.act_cfg=None has no counterpart \(left out it is ReLU"),
    (
        "detr.py",
        {"model__backbone__out_indices": (2, 3)},
        r"backbone\.out_indices=\[2, 3\] has no counterpart; one map",
    ),
    ("detr.py", {"model__positional_encoding__normalize": GONE}, r"positional_encoding\.normalize=None has no counter"),
    ("deformable_detr.py", {"model__positional_encoding__temperature": 20}, r"temperature=20 has no counterpart"),
    ("detr.py", {"model__positional_encoding__offset": -0.5}, r"positional_encoding\.offset=-0\.5 has no counterpart"),
    ("detr.py", {"model__encoder__layer_cfg__foo": 1}, r"model\.encoder\.layer_cfg\.foo=1 is not known"),
    (
        "detr.py",
        {"model__decoder__layer_cfg__cross_attn_cfg__num_heads": 4},
        r"cross_attn_cfg\.num_heads=4 differs from the layer's other",
    ),
    ("detr.py", {"model__decoder__layer_cfg__ffn_cfg__act_cfg__type": "GELU"}, r"act_cfg\.type='GELU' is not known"),
    ("detr.py", {"model__decoder__post_norm_cfg": None}, "post_norm_cfg=None has no counterpart"),
    ("detr.py", {"model__bbox_head__loss_cls__use_sigmoid": True}, "use_sigmoid=True has no counterpart"),
    (
        "detr_2.py",
        {
            "model__bbox_head__transformer__encoder__transformerlayers__operation_order": [
                *("norm", "self_attn", "norm", "ffn"),
            ]
        },
        r"transformerlayers\.operation_order=.* has no counterpart",
    ),
    ("detr_2.py", {"model__bbox_head__type": "DeformableDETRHead"}, "'DeformableDETRHead' is not known here"),
    (
        "detr_oldest_2.py",
        {"model__bbox_head__transformer__pre_norm": True},
        r"transformer\.pre_norm=True has no counter",
    ),
    ("detr_oldest_2.py", {"model__bbox_head__transformer__embed_dims": GONE}, r"transformer\.embed_dims is missing"),
    ("detr_oldest_2.py", {"model__bbox_head__transformer__encoder": {}}, r"transformer\.encoder=.* is not known"),
    ("detr_oldest_2.py", {"model__bbox_head__num_fcs": 3}, r"bbox_head\.num_fcs=3 has no counterpart; 2 has"),
    ("detr_oldest_2.py", {"test_cfg": GONE}, r"model\.test_cfg\.max_per_img is missing"),
    # the settings of one version in the head of another
    ("detr_oldest_2.py", {"model__bbox_head__type": "DETRHead"}, "bbox_head.transformer.encoder is missing"),
    ("ssd.py", {"model__backbone__depth": 11}, r"model\.backbone\.depth=11 has no counterpart; 16 has"),
    ("ssd.py", {"model__neck__use_depthwise": True}, "neck.norm_cfg=None has no counterpart; batch normalization has"),
    ("ssd.py", {"model__backbone__type": "Darknet"}, "'Darknet' is not known here; SSDVGG and"),
    (
        "ssd.py",
        {"model__bbox_head__anchor_generator__basesize_ratio_range": (0.3, 0.9)},
        "input_size 300 with basesize_ratio_range from 0.3 is not known",
    ),
    ("yolo.py", {"model__backbone__type": "CSPDarknet"}, "'CSPDarknet' is not known here; Darknet and"),
    ("yolo.py", {"model__bbox_head__out_channels": [2, 4]}, r"bbox_head\.out_channels must be a list of 3 numbers"),
    (
        "yolo.py",
        {"model__bbox_head__anchor_generator__base_sizes": [1, 2, 3]},
        r"base_sizes\.0 must be a list of 1 to 64 items, not 1",
    ),
    ("corner.py", {"model__bbox_head__corner_emb_channels": 2}, "corner_emb_channels=2 has no counterpart; 1 has"),
    ("corner.py", {"model__test_cfg__nms__method": "linear"}, "soft_nms with method='gaussian' has"),
]


@pytest.mark.parametrize(
    ("file", "changes", "message"), REFUSED_OF_OTHERS, ids=[next(iter(change)) for _, change, _ in REFUSED_OF_OTHERS]
)
def test_other_methods_refuse_by_name(configs: Path, file: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(changed(configs, file, **changes))


NOTED = [
    (
        {"model__train_cfg__rpn__assigner": {"type": "ATSSAssigner", "topk": 9}},
        "model.train_cfg.rpn.assigner.type='ATSSAssigner'",
    ),
    ({"model__train_cfg__rcnn__sampler": {"type": "MySampler"}}, "sampler.type='MySampler' has no counterpart"),
    ({"model__rpn_head__loss_bbox": {"type": "MyLoss"}}, "loss_bbox.type='MyLoss' has no counterpart"),
    ({"model__rpn_head__loss_cls__loss_weight": 2.0}, "loss_weight=2.0 has no counterpart"),
    ({"train_dataloader__dataset__pipeline__2": {"type": "Mosaic"}}, "'Mosaic'"),
    ({"optim_wrapper__optimizer__type": "Lion"}, "optimizer.type='Lion'"),
    ({"optim_wrapper__optimizer__lr": "fast"}, "optim_wrapper.optimizer.lr must be a number"),
    ({"param_scheduler__1": {"type": "PolyLR"}}, "param_scheduler.1.type='PolyLR' has no counterpart"),
]


@pytest.mark.parametrize(("changes", "message"), NOTED, ids=[next(iter(change)) for change, _ in NOTED])
def test_what_only_training_uses_is_noted(configs: Path, changes: dict[str, Any], message: str) -> None:
    imported = read_config(changed(configs, **changes))
    assert any(message in note for note in imported.notes), imported.notes
    assert imported.recipe.model.model_copy(update={"rpn": None}) == detzoo.find(
        "faster_rcnn_r50_fpn_1x_coco"
    ).model.model_copy(update={"rpn": None})


@pytest.mark.parametrize("old", [False, True], ids=["3", "2"])
def test_proposals_are_named_in_our_format(configs: Path, old: bool) -> None:
    files = {
        f"{split}_dataloader__dataset__proposal_file": f"proposals/rpn_r50_fpn_1x_{split}2017.pkl"
        for split in ("train", "val")
    }
    values = changed(configs, "fast.py", **files)
    imported = read_config(respelled(values) if old else values)
    assert imported.recipe.data == detzoo.find("fast_rcnn_r50_fpn_1x_coco").data.replace(classes=COCO_CLASSES)
    (note,) = imported.notes
    assert "train2017.pkl' is another format; detzoo evaluate writes the .safetensors" in note


@pytest.mark.parametrize("old", [False, True], ids=["3", "2"])
def test_biases_of_shifts_are_learned_as_weights(configs: Path, old: bool) -> None:
    values = changed(configs, "fcos.py", model__bbox_head__dcn_on_last_conv=True)
    imported = read_config(respelled(values) if old else values)
    assert imported.recipe.schedule.groups == (SHIFT_BIASES, *BIASES)
    assert read_config(configs / "fcos.py").recipe.schedule.groups == BIASES


def test_weights_from_a_dict_and_back_from_a_file(configs: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = detzoo.from_mmdet(small(configs))
    assert source.training
    detector = detzoo.from_mmdet(small(configs), published(source))
    assert not detector.training
    assert detector.classes == ("cat", "dog", "owl")
    assert isinstance(detector.recipe, Recipe)
    again = detzoo.load(detector.save(tmp_path / "model.safetensors"))
    assert again.recipe == detector.recipe
    with torch.no_grad():
        found = [one.eval().detect(images()).boxes for one in (source, detector, again)]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("version", [2, 3])
def test_a_checkpoint_that_carries_its_config(configs: Path, tmp_path: Path, version: int) -> None:
    values = small(configs)
    source = detzoo.from_mmdet(values)
    meta: dict[str, Any] = {
        "epoch": 12,
        "CLASSES": ("a", "b", "c"),
        "mmdet_version": "2.25.0",
        "config": config_text(values),
    }
    if version == 3:
        meta = {
            "epoch": 12,
            "dataset_meta": {"classes": ("a", "b", "c"), "palette": [(1, 2, 3)]},
            "cfg": config_text(values),
        }
    path = tmp_path / "epoch_12.pth"
    torch.save({"meta": meta, "state_dict": published(source), "optimizer": {"state": {}}}, path)
    detector = detzoo.from_mmdet(path)
    assert detector.classes == ("a", "b", "c")
    assert all(
        torch.equal(a, b) for a, b in zip(detector.state_dict().values(), source.state_dict().values(), strict=True)
    )
    assert detzoo.from_mmdet(path, classes=["x", "y", "z"]).classes == ("x", "y", "z")
    (tmp_path / "config.py").write_text(config_text(values))
    assert detzoo.from_mmdet(tmp_path / "config.py", path).classes == ("a", "b", "c")


def test_where_class_names_come_from(configs: Path) -> None:
    def classes(**changes: Any) -> tuple[str, ...]:
        return read_config(changed(configs, **changes)).recipe.data.classes or ()

    head = "model__roi_head__bbox_head__num_classes"
    assert classes() == COCO_CLASSES
    assert classes(**{head: 20, "train_dataloader__dataset__type": "VOCDataset"}) == VOC_CLASSES
    assert classes(**{head: 1}) == ("object",)
    assert classes(**{head: 2}) == ("class 0", "class 1")
    assert (
        "are 'class 0', 'class 1'; pass classes=[...]"
        in read_config(changed(configs, model__roi_head__bbox_head__num_classes=2)).unnamed
    )
    assert classes(**{head: 2, "train_dataloader__dataset__metainfo": {"classes": ["p", "q"]}}) == ("p", "q")
    assert classes(**{head: 1, "train_dataloader__dataset__metainfo": {"CLASSES": "cat"}}) == ("cat",)
    old = changed(configs, "faster_2.py", **{head: 2, "data__train__classes": ("r", "s")})
    assert read_config(old).recipe.data.classes == ("r", "s")
    with pytest.raises(
        ConfigError, match=r"has 80 classes, but train_dataloader\.dataset\.classes names 1; pass classes="
    ):
        classes(**{"train_dataloader__dataset__metainfo": {"classes": ["p"]}})
    with pytest.raises(ConfigError, match="names 'p' more than once"):
        classes(**{head: 2, "train_dataloader__dataset__metainfo": {"classes": ["p", "p"]}})


def test_normalization_over_devices(configs: Path) -> None:
    for kind, over_devices in (("BN", False), ("torch.nn.SyncBatchNorm", True)):
        path = changed(configs, model__backbone__norm_cfg={"type": kind})
        assert read_config(path).recipe.schedule.sync_bn is over_devices


def test_lvis(configs: Path) -> None:
    head = "model__roi_head__bbox_head__num_classes"
    inner = {"type": "LVISV1Dataset", "data_root": "data/lvis_v1/", "ann_file": "annotations/lvis_v1_train.json"}
    wrapped: dict[str, Any] = {
        "type": "ClassBalancedDataset",
        "oversample_thr": 1e-3,
        "dataset": {**inner, "pipeline": []},
    }
    found = read_config(changed(configs, **{head: 1203, "train_dataloader__dataset": wrapped})).recipe.data
    assert (found.classes, found.metric, found.oversample) == (LVIS_V1_CLASSES, "lvis", 1e-3)
    assert (found.root, found.train[0].annotations) == ("data", "lvis_v1/annotations/lvis_v1_train.json")
    old = {**wrapped, "dataset": {**inner, "ann_file": "data/lvis_v1/a.json", "img_prefix": "data/lvis_v1/"}}
    split = read_config(changed(configs, **{head: 1203, "train_dataloader__dataset": old})).recipe.data.train[0]
    assert (split.annotations, split.images) == ("lvis_v1/a.json", "lvis_v1")
    # MMDetection's own list, as its checkpoints carry it, has the spelling of one class mended
    theirs = [name.replace("(stero_", "(stereo_") for name in LVIS_V1_CLASSES]
    info = {**wrapped, "dataset": {**inner, "metainfo": {"classes": theirs}}}
    assert (
        read_config(changed(configs, **{head: 1203, "train_dataloader__dataset": info})).recipe.data.classes
        == found.classes
    )


def test_weights_that_do_not_fit(configs: Path, tmp_path: Path) -> None:
    values = small(configs)
    state = published(detzoo.from_mmdet(values))
    first, *_ = state
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": {name: value for name, value in state.items() if name != first}}, path)
    with pytest.raises(CheckpointError, match=r"(?s)weights\.pth: these weights do not fit FasterRCNN:.*1 missing"):
        detzoo.from_mmdet(values, path)
    torch.save({"state_dict": state, "meta": {"mmdet_version": "1.2.0+abc"}}, path)
    with pytest.raises(CheckpointError, match=r"was made by MMDetection 1\.x, whose boxes are others: pass its"):
        detzoo.from_mmdet(values, path)
    with pytest.raises(ConfigError, match=r"weights\.pth does not carry its config; pass the config file"):
        detzoo.from_mmdet(path)
    for meta in ([1], "config", 3, {"config": 3}):
        torch.save({"state_dict": state, "meta": meta}, path)
        with pytest.raises(ConfigError, match=r"weights\.pth does not carry its config"):
            detzoo.from_mmdet(path)
    torch.save({"state_dict": {"x" * 100_000: torch.ones(1)}}, path)
    with pytest.raises(CheckpointError) as caught:
        detzoo.from_mmdet(values, path)
    assert len(str(caught.value)) < 2000
    torch.save({"epoch": 1}, path)
    with pytest.raises(CheckpointError, match=r"weights\.pth: this file holds no state dict"):
        detzoo.from_mmdet(values, path)


def test_files_that_are_no_configs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no config file at"):
        detzoo.from_mmdet(tmp_path / "gone.py")
    (tmp_path / "a.txt").write_text("x = 1")
    with pytest.raises(ConfigError, match=r"a\.txt is neither a config"):
        detzoo.from_mmdet(tmp_path / "a.txt")
    (tmp_path / "a.py").write_text("x = 1\nmodel = open('b')")
    with pytest.raises(ConfigError, match=r"model is not known here, because of .*a\.py:2: the call 'open\(\.\.\.\)'"):
        detzoo.from_mmdet(tmp_path / "a.py")


def test_training_that_differs_is_a_warning(configs: Path) -> None:
    values = small(configs, model__train_cfg__rcnn__sampler={"type": "MySampler"})
    with pytest.warns(Differs, match=r"training would differ .*train_cfg\.rcnn\.sampler\.type='MySampler'"):
        detzoo.from_mmdet(values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detzoo.from_mmdet(small(configs))


def test_the_command(configs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = small(configs)
    torch.save({"state_dict": published(detzoo.from_mmdet(values)), "meta": {}}, tmp_path / "old.pth")
    (tmp_path / "config.py").write_text(config_text(values))
    out = tmp_path / "new.safetensors"
    words = ["convert", str(tmp_path / "old.pth"), "--config", str(tmp_path / "config.py"), "--out", str(out)]
    assert cli.main(words) == 0
    assert capsys.readouterr().out == f"weights: {out}\nFasterRCNN, 3 classes: cat, dog, owl\n"
    assert detzoo.load(out).classes == ("cat", "dog", "owl")
    assert cli.main([*words, "--classes", "x, y,z"]) == 0
    assert detzoo.load(out).classes == ("x", "y", "z")
    assert cli.main([*words, "--classes", "x,y"]) == 2
    assert "names 2; pass --classes A,B" in capsys.readouterr().err
    values["test_dataloader"]["dataset"]["pipeline"][1]["scale"] = [(1333, 640), (1333, 800)]
    (tmp_path / "config.py").write_text(config_text(values))
    assert cli.main(words) == 2
    assert "has several sizes; pass the one that pictures are to have, for example --size 1333 800" in (
        capsys.readouterr().err
    )
    assert cli.main([*words, "--size", "640", "400"]) == 0
    assert (detzoo.load(out).config.input.long, detzoo.load(out).config.input.short) == (640, 400)
    assert cli.main(["convert", str(tmp_path / "old.pth"), "--out", str(out)]) == 2
    assert "does not carry its config" in capsys.readouterr().err


def test_the_list_of_published_configs(configs: Path, tmp_path: Path) -> None:
    """`tests.mmdet_configs` on a folder that is laid out like MMDetection's."""
    for name in ("faster_rcnn", "_base_"):
        (tmp_path / name).mkdir()
        for file in ("faster.py", "retina.py"):
            shutil.copy(configs / file, tmp_path / name / file)
    shutil.copy(configs / "faster.py", tmp_path / "faster_rcnn" / "faster-rcnn_r50_fpn_1x_coco.py")
    (tmp_path / "faster_rcnn" / "other.py").write_text("model = dict(type='Other')")
    found = list(rows(tmp_path))
    same = Row("faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", "imported", "", found[0].recipe, "same", "same", "same")
    assert found[0] == same
    assert [row.result for row in found] == ["imported", "imported", "refused", "imported"]
    assert "model.type='Other' cannot be imported" in found[2].reason


def test_class_names_beside_the_data_and_the_config(tmp_path: Path) -> None:
    text = RETINANET_2.replace("num_classes=80", "num_classes=2")

    def read(more: str = "") -> tuple[tuple[str, ...] | None, str]:
        (tmp_path / "c.py").write_text(text + "\n" + more)
        found = read_config(tmp_path / "c.py")
        return found.recipe.data.classes, found.unnamed

    assert read()[0] == ("class 0", "class 1")
    assert "pass classes=[...]" in read()[1]
    for more in (
        "classes = ('a', 'b')",
        "CLASSES = ['a', 'b']",
        "class_names = ['a', 'b']",
        "metainfo = dict(classes=('a', 'b'))",
    ):
        assert read(more) == (("a", "b"), "")
    assert read("classes = ('a', 'b', 'c')")[1] != ""
    (tmp_path / "names.txt").write_text("a\nb\n\n")
    assert read() == (("a", "b"), "")
    (tmp_path / "mine.txt").write_text("c\nd\n")
    assert read("data['train']['classes'] = 'mine.txt'") == (("c", "d"), "")
    (tmp_path / "names.txt").unlink()
    with pytest.raises(ConfigError, match=r"classes is not known here, because of .*; or pass classes="):
        read("import os\ndata['train']['classes'] = os.listdir('.')")
