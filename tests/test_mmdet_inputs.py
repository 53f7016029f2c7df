"""What an MMDetection config says of its pictures: taken over, refused, or said under the heading of detections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import detzoo
from detzoo.config import ConfigError
from detzoo.detector import Input
from detzoo.interop.mmdet.importer import DetectionsDiffer, Imported, read_config
from tests.mmdet_changes import GONE, changed, small

TEST = "test_dataloader__dataset__pipeline"
OLD = "data__test__pipeline__1"  # MultiScaleFlipAug
PIXELS = {"mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395]}  # in the order that files are read in


def read(configs: Path, file: Any = "faster.py", size: Any = None, **changes: Any) -> Imported:
    return read_config(changed(configs, file, **changes), size=size)


def refused(configs: Path, message: Any, file: Any = "faster.py", **changes: Any) -> None:
    with pytest.raises(ConfigError, match=message):
        read(configs, file, **changes)


def test_options_of_reading(configs: Path) -> None:
    usual = read(configs)
    same = {"backend_args": {"backend": "local"}, "ignore_empty": False, "color_type": "color"}
    assert read(configs, **{f"{TEST}__0": {"type": "LoadImageFromFile", **same}}) == usual
    client = {"file_client_args": {"backend": "petrel"}, "imdecode_backend": "pillow", "to_float32": False}
    assert read(configs, **{f"{TEST}__0": {"type": "LoadImageFromFile", **client}}) == usual
    for name, value in (
        *(("color_type", "grayscale"), ("color_type", "unchanged"), ("color_type", "color_ignore_orientation")),
        *(("imdecode_backend", "turbojpeg"), ("imdecode_backend", "tifffile"), ("channel_order", "gbr"), ("foo", 1)),
    ):
        with pytest.raises(ConfigError, match=rf"pipeline\.0\.{name}={value!r} "):
            read(configs, **{f"{TEST}__0__{name}": value})


def test_the_order_of_channels_is_followed(configs: Path) -> None:
    first = "data__test__pipeline__0__channel_order"
    assert read(configs, "faster_2.py").recipe.model.input.order == "rgb"
    swapped = read(configs, "faster_2.py", **{first: "rgb"}).recipe.model.input
    assert (swapped.order, swapped.mean) == ("bgr", (123.675, 116.28, 103.53))  # Normalize turns RGB around
    kept = read(configs, "faster_2.py", **{first: "rgb", f"{OLD}__transforms__2__to_rgb": False}).recipe.model.input
    assert (kept.order, kept.mean) == ("rgb", (123.675, 116.28, 103.53))
    either = read(configs, model__data_preprocessor__bgr_to_rgb=False, model__data_preprocessor__rgb_to_bgr=True)
    assert either == read(configs)
    refused(configs, r"data_preprocessor\.rgb_to_bgr=True contradicts", model__data_preprocessor__rgb_to_bgr=True)


def test_pixels_that_are_resized_as_floats_are_said(configs: Path) -> None:
    found = read(configs, **{f"{TEST}__0__to_float32": True})
    assert found.recipe == read(configs).recipe
    assert found.notes == ()
    (difference,) = found.differences
    assert "pipeline.1: resized pixels are rounded to whole grey levels here" in difference
    assert read(configs, "corner.py").differences == ()  # nothing is resized there
    (difference,) = read(configs, **{f"{TEST}__1__backend": "pillow"}).differences
    assert "Pillow smooths" in difference


def test_pictures_may_be_resized_with_cubic_curves(configs: Path) -> None:
    assert read(configs, **{f"{TEST}__1__interpolation": "bicubic"}).recipe.model.input.interpolation == "bicubic"
    assert read(configs).recipe.model.input.interpolation == "bilinear"
    refused(configs, "interpolation='nearest' has no counterpart", **{f"{TEST}__1__interpolation": "nearest"})
    pillow = {f"{TEST}__1__backend": "pillow", f"{TEST}__1__interpolation": "bicubic"}  # smooths, too
    refused(configs, "interpolation='bicubic' has no counterpart", **pillow)


def test_the_size_of_an_augmentation_wins(configs: Path) -> None:
    def size(**changes: Any) -> tuple[bool, int, int]:
        input = read(configs, "faster_2.py", **{f"{OLD}__{name}": value for name, value in changes.items()})
        return input.recipe.model.input.resize, input.recipe.model.input.long, input.recipe.model.input.short

    inner = {"type": "Resize", "img_scale": (1000, 600), "keep_ratio": True}
    assert size() == (True, 1333, 800)
    assert size(transforms__0=inner) == (True, 1333, 800)
    assert size(transforms__0={**inner, "img_scale": [(640, 480), (1000, 600)]}) == (True, 1333, 800)
    assert size(transforms__0={**inner, "override": True}) == (True, 1000, 600)
    assert size(transforms__0=inner, img_scale=[(700, 500)]) == (True, 700, 500)
    assert size(transforms__0=inner, img_scale=GONE, scale_factor=1.0)[0] is False
    assert read(configs, "corner_2.py").differences == (
        "data.test.pipeline.1.flip=True: each picture is seen once here, not flipped as well",
    )


def test_one_of_several_sizes_is_named_by_the_caller(configs: Path) -> None:
    several = {f"{OLD}__img_scale": [(1333, 640), (1333, 800)]}
    with pytest.raises(ConfigError, match=r"pipeline\.1\.img_scale=.* has several sizes; pass .*size=\(1333, 800\)"):
        read(configs, "faster_2.py", **several)
    found = read(configs, "faster_2.py", size=(1000, 600), **several).recipe.model.input
    assert (found.long, found.short, found.keep_ratio) == (1000, 600, True)
    factors = {f"{OLD}__img_scale": GONE, f"{OLD}__scale_factor": [0.5, 1.0]}
    refused(configs, r"scale_factor=\[0\.5, 1\.0\] has several sizes; pass", "faster_2.py", **factors)
    assert read(configs, "faster_2.py", size=(1000, 600), **factors).recipe.model.input == found
    plain = {f"{TEST}__1": {"type": "Resize", "img_scale": [(1333, 640), (1333, 800)], "keep_ratio": True}}
    refused(configs, "has several sizes; pass", **plain)
    assert read(configs, size=(1333, 800), **plain) == read(configs)
    exact = read(configs, "ssd.py", size=(512, 256)).recipe.model.input
    assert (exact.long, exact.short, exact.keep_ratio) == (512, 256, False)
    detector = detzoo.from_mmdet(small(configs), size=(320, 200))
    assert (detector.config.input.long, detector.config.input.short) == (320, 200)
    wrong: Any
    for wrong in (800, (800,), (0, 800), ("a", "b"), (1333.5, 800), (True, 800)):
        with pytest.raises(ConfigError, match="size is a width and a height in pixels"):
            read_config(changed(configs), size=wrong)


def test_ways_to_say_one_size(configs: Path) -> None:
    for resize in (
        *({"img_scale": [(1333, 800)]}, {"img_scale": (1333, 800)}, {"img_scale": [800, 1333], "keep_ratio": True}),
        {"scale": (800, 1333), "keep_ratio": True},
    ):
        assert read(configs, **{f"{TEST}__1": {"type": "Resize", **resize}}) == read(configs)
    square = read(configs, **{f"{TEST}__1": {"type": "Resize", "scale": 640}}).recipe.model.input
    assert (square.long, square.short, square.keep_ratio) == (640, 640, False)
    twice = {f"{TEST}__2": {"type": "Resize", "scale": (400, 400)}}
    refused(configs, r"pipeline\.2\.type='Resize' resizes a second time", **twice)


def test_steps_inside_of_compose_count(configs: Path) -> None:
    steps = changed(configs)["test_dataloader"]["dataset"]["pipeline"]
    assert read(configs, **{TEST: [{"type": "Compose", "transforms": steps}]}) == read(configs)


def test_flips_of_a_test_are_said(configs: Path) -> None:
    assert read(configs, **{f"{TEST}__2": {"type": "RandomFlip", "prob": 0.0}}) == read(configs)
    (difference,) = read(configs, **{f"{TEST}__2": {"type": "RandomFlip", "prob": 0.5}}).differences
    assert difference == "test_dataloader.dataset.pipeline.2: pictures are never flipped here"


def test_a_preprocessor_beside_the_model(configs: Path) -> None:
    """It is the model's where that has none; else the model's own counts, as in MMEngine."""
    given = changed(configs)["model"]["data_preprocessor"]
    assert read(configs, model__data_preprocessor=GONE, data_preprocessor=given) == read(configs)
    assert read(configs, data_preprocessor={**given, "mean": [1, 2, 3]}) == read(configs)
    whole = {"model__data_preprocessor__mean": [124, 116, 104], "model__data_preprocessor__std": [1, 1, 1]}
    assert read(configs, **whole).recipe.model.input.mean == (124.0, 116.0, 104.0)


def test_normalizing_in_the_pipeline_and_behind_it(configs: Path) -> None:
    step = {f"{TEST}__2": {"type": "Normalize", "to_rgb": False, **PIXELS}}
    refused(configs, r"model\.data_preprocessor\.mean=.* normalizes a second time", **step)
    without = {"model__data_preprocessor__mean": GONE, "model__data_preprocessor__std": GONE}
    assert read(configs, **step, **without) == read(configs)  # which turns channels, and their means with them
    twice = {f"{OLD}__transforms__3": {"type": "Normalize", **PIXELS}}
    refused(configs, r"transforms\.3\.type='Normalize' normalizes a second time", "faster_2.py", **twice)


def test_padding(configs: Path) -> None:
    def multiple(file: Any = "faster_2.py", place: Any = f"{OLD}__transforms__3", scale: Any = None, **pad: Any) -> int:
        changes = {place: {"type": "Pad", **pad}}
        if scale:
            changes[f"{OLD}__img_scale"] = scale
        return read(configs, file, **changes).recipe.model.input.multiple

    assert multiple(size_divisor=64) == 64
    assert multiple(size=(640, 640), scale=(640, 640)) == 640
    assert multiple(size=(1344, 1344)) == 1344
    assert multiple(pad_to_square=True, scale=(640, 640)) == 640
    for pad in (
        {"size": (800, 1333)},
        {"size": (640, 640)},
        {"pad_to_square": True},
        {"size_divisor": 32, "pad_val": 1},
    ):
        with pytest.raises(ConfigError, match=r"transforms\.3\.\w+=.*has no counterpart"):
            multiple(**pad)
    # before the data preprocessor, padding has to be what becomes zero
    new = {"file": "faster.py", "place": f"{TEST}__2"}
    assert multiple(**new, size_divisor=64, pad_val={"img": [103.53, 116.28, 123.675]}) == 64
    for value in (0, {"img": (114, 114, 114)}, {"img": [123.675, 116.28, 103.53]}):
        with pytest.raises(ConfigError, match=r"pipeline\.2\.pad_val=.*padding is zero here once it is normalized"):
            multiple(**new, size_divisor=64, pad_val=value)
    assert multiple("yolo.py", f"{TEST}__2", size=(608, 608)) == 608
    with pytest.raises(ConfigError, match="pads to multiples of 32 and of 40"):
        multiple("yolo.py", f"{TEST}__2", size_divisor=40)


def test_settings_beside_the_model_s_own(configs: Path) -> None:
    for file in ("faster.py", "retina_2.py"):
        refused(configs, r"test_cfg=dict\(\.\.\.\) stands beside model\.test_cfg", file, test_cfg={"score_thr": 0.5})
        refused(
            configs, r"train_cfg=dict\(\.\.\.\) stands beside model\.tr", file, train_cfg={"rcnn": {"pos_weight": 1}}
        )
    for loop in ({"type": "TestLoop"}, {}, {"fp16": True}):
        assert read(configs, test_cfg=loop) == read(configs)
    for loop in (
        {"by_epoch": True, "max_epochs": 12, "val_interval": 1},
        {"type": "EpochBasedTrainLoop", "max_epochs": 12},
    ):
        assert read(configs, train_cfg=loop) == read(configs)


VERSION_1 = [
    ("faster.py", {"model__rpn_head__anchor_scales": [8]}, r"model\.rpn_head\.anchor_scales"),
    ("faster.py", {"model__rpn_head__anchor_ratios": [0.5, 1.0]}, r"model\.rpn_head\.anchor_ratios"),
    ("faster.py", {"model__rpn_head__target_means": [0.0] * 4}, r"model\.rpn_head\.target_means"),
    ("faster_2.py", {"model__bbox_roi_extractor": {"type": "SingleRoIExtractor"}}, r"model\.bbox_roi_extractor"),
    ("mask_2.py", {"model__mask_roi_extractor": {"type": "SingleRoIExtractor"}}, r"model\.mask_roi_extractor"),
    (
        "faster_2.py",
        {"model__bbox_head": {"num_classes": 81}, "model__roi_head": GONE},
        r"model\.bbox_head beside model\.rpn_head",
    ),
    ("cascade.py", {"model__bbox_head": [{"num_classes": 81, "target_stds": [1.0] * 4}]}, r"bbox_head\.target_stds"),
    ("retina_2.py", {"model__bbox_head__octave_base_scale": 4}, r"model\.bbox_head\.octave_base_scale"),
    ("retina_2.py", {"model__bbox_head__target_stds": [1.0] * 4}, r"model\.bbox_head\.target_stds"),
    ("ssd_2.py", {"model__bbox_head__anchor_strides": (8, 16)}, r"model\.bbox_head\.anchor_strides"),
    ("ssd_2.py", {"model__bbox_head__basesize_ratio_range": (0.1, 0.9)}, r"bbox_head\.basesize_ratio_range"),
]


@pytest.mark.parametrize(("file", "changes", "sign"), VERSION_1, ids=[sign for *_, sign in VERSION_1])
def test_a_mixture_of_versions_is_refused(configs: Path, file: str, changes: dict[str, Any], sign: str) -> None:
    refused(configs, rf"is of version 2, but .*{sign} of version 1", file, **changes)


def test_version_2_may_use_the_old_name_of_the_batch(configs: Path) -> None:
    """As its own config of DeepFashion does; what is new in the model says that it is version 2."""
    old = {"data__imgs_per_gpu": 4, "data__samples_per_gpu": GONE}
    assert read(configs, "faster_2.py", **old).recipe.schedule.batch == 4
    # nothing in FCOS's own settings tells the versions apart: the checkpoint does
    values = changed(configs, "fcos.py", data={"imgs_per_gpu": 2})
    assert read_config(values, meta={"mmdet_version": "2.3.0"}).recipe.model == read(configs, "fcos.py").recipe.model
    old = read_config(changed(configs, "fcos.py", data={"imgs_per_gpu": 2}, model__bbox_head__num_classes=81))
    assert old.recipe.model == read(configs, "fcos.py").recipe.model
    assert old.version_1
    assert "data.imgs_per_gpu" in old.differences[-1]


def test_a_model_without_a_pipeline(configs: Path) -> None:
    gone = {"test_dataloader": GONE, "val_dataloader": GONE, "test_pipeline": GONE}
    found = read(configs, **gone)
    assert found.recipe.model == read(configs).recipe.model
    assert found.differences == ("there is no pipeline of the tests: pictures are resized to 1333 x 800 pixels",)
    own = read(configs, "ssd.py", **gone)
    assert own.recipe.model == read(configs, "ssd.py").recipe.model
    assert own.differences == ("there is no pipeline of the tests: pictures are resized to 300 x 300 pixels",)
    named = read(configs, size=(1333, 800), **gone)
    assert named.recipe.model == found.recipe.model
    assert named.differences == ()


def test_an_ssd_s_layers_are_those_of_its_size(configs: Path) -> None:
    """Before 2.14 the size chose the extra layers; that of the boxes is another setting."""
    large = {
        "model__backbone__input_size": 512,
        "model__bbox_head__in_channels": (512, 1024, 512, 256, 256, 256, 256),
        "model__bbox_head__anchor_generator": {
            "type": "SSDAnchorGenerator",
            "scale_major": False,
            "input_size": 512,
            "basesize_ratio_range": (0.1, 0.9),
            "strides": [8, 16, 32, 64, 128, 256, 512],
            "ratios": [[2], [2, 3], [2, 3], [2, 3], [2, 3], [2], [2]],
        },
        "data__test__pipeline__1__img_scale": (512, 512),
    }
    wanted = detzoo.find("ssd512_coco").model
    assert read(configs, "ssd_2.py", **large).recipe.model == wanted
    assert read(configs, "ssd_2.py", **{**large, "model__backbone__input_size": GONE}).recipe.model == wanted
    # pictures have the size of the tests all the same, as there
    other = read(configs, "ssd_2.py", data__test__pipeline__1__img_scale=(512, 512)).recipe.model
    assert other.input == wanted.input
    assert other.head.sizes == detzoo.find("ssd300_coco").model.head.sizes  # pyright: ignore[reportAttributeAccessIssue]


def test_differing_detections_have_their_own_heading(configs: Path) -> None:
    with pytest.warns(DetectionsDiffer, match="detections differ from MMDetection's: .*resized pixels are rounded"):
        detector = detzoo.from_mmdet(small(configs, **{f"{TEST}__0__to_float32": True}))
    assert isinstance(detector.config.input, Input)
