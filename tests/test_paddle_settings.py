"""PaddleDetection's settings where a config says less, more or otherwise than its usual one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import detzoo
from detzoo.config import ConfigError
from detzoo.interop.paddle.importer import read_config
from detzoo.pickles.machine import CheckpointError
from tests.paddle_configs import FCOS, SSD_MOBILENET, STATIC_SSD, YOLOV3, changed, small

NORMALIZE = {"is_scale": False, "mean": [1, 2, 3], "std": [4, 5, 6]}


def model(values: Any, **more: Any) -> Any:
    """Settings of the model that a config becomes."""
    return read_config(values, **more).recipe.model


def text(values: str, *paths: tuple[str, Any]) -> dict[str, Any]:
    """A config with settings at ``a.b.c`` changed; ``...`` takes one away."""
    found = yaml.safe_load(values)
    for path, value in paths:
        *parents, leaf = path.split(".")
        holder = found
        for parent in parents:
            holder = holder.setdefault(parent, {})
        if value is ...:
            holder.pop(leaf, None)
        else:
            holder[leaf] = value
    return found


def read_by(*steps: Any, **more: Any) -> Any:
    """The input behind these steps of a reader."""
    return model(changed("EvalReader.sample_transforms", list(steps)), classes=list("abc"), **more).input


@pytest.mark.parametrize(
    ("steps", "order", "mean", "std"),
    [
        ([{"Decode": {}}, {"NormalizeImage": NORMALIZE}], "rgb", (1, 2, 3), (4, 5, 6)),
        ([{"DecodeImage": {"to_rgb": False}}, {"NormalizeImage": NORMALIZE}], "bgr", (1, 2, 3), (4, 5, 6)),
        ([{"NormalizeImage": NORMALIZE}, {"Permute": {"to_bgr": True}}], "bgr", (3, 2, 1), (6, 5, 4)),
        ([{"Permute": {"to_bgr": True}}, {"NormalizeImage": NORMALIZE}], "bgr", (1, 2, 3), (4, 5, 6)),
        (
            [{"DecodeImage": {"to_rgb": False}}, {"NormalizeImage": NORMALIZE}, {"Permute": {"to_bgr": True}}],
            *("rgb", (3, 2, 1), (6, 5, 4)),
        ),
        ([{"Decode": {}}, {"Resize": {"target_size": [600, 900]}}], "rgb", (0, 0, 0), (1, 1, 1)),
    ],
    ids=["rgb", "bgr", "turned behind", "turned before", "turned twice", "as they are"],
)
def test_colours_and_grey_levels_are_those_that_the_steps_leave(steps: Any, order: str, mean: Any, std: Any) -> None:
    found = read_by(*steps)
    assert (found.order, found.mean, found.std) == (order, mean, std)


@pytest.mark.parametrize(
    ("step", "edges"),
    [
        ({"type": "ResizeImage", "target_size": [1200], "max_size": 2000}, (1200, 2000)),
        ({"type": "ResizeImage", "target_size": 800, "max_size": 640}, (640, 640)),
        ({"MultiscaleTestResize": {"origin_target_size": [800, 1333], "target_size": [600, 1000]}}, (800, 1333)),
        ({"MultiscaleTestResize": {}}, (800, 1333)),
    ],
)
def test_sizes_of_one_view(step: Any, edges: tuple[int, int]) -> None:
    found = read_by(step)
    assert (found.short, found.long, found.keep_ratio) == (*edges, True)


def test_a_size_that_is_passed_is_in_place_of_several() -> None:
    found = read_by({"type": "ResizeImage", "target_size": [640, 800], "max_size": 1333}, size=(1000, 600))
    assert (found.short, found.long) == (600, 1000)


def test_what_is_not_said_of_suppression_is_the_default_of_its_code() -> None:
    head = model(text(SSD_MOBILENET, ("BBoxPostProcess.nms", {"name": "MultiClassNMS"}))).head
    assert (head.threshold, head.nms, head.detections) == (0.05, 0.5, 100)
    yolo = text(YOLOV3, ("BBoxPostProcess.nms", {"name": "MultiClassNMS"}))
    head = model(yolo).head
    assert (head.threshold, head.nms, head.detections) == (0.05, 0.5, 100)
    few = text(SSD_MOBILENET, ("BBoxPostProcess.nms", {"name": "MultiClassNMS", "nms_top_k": 20, "keep_top_k": 100}))
    with pytest.raises(ConfigError, match="nms_top_k=20 has no counterpart"):
        model(few)
    for wrong in ({"nms_top_k": 120}, {"keep_top_k": -1}):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))}=-?\\d+ has no counterpart"):
            model(text(SSD_MOBILENET, ("BBoxPostProcess.nms", {"name": "MultiClassNMS", **wrong})))


def test_default_boxes_of_static_releases_have_their_own_defaults() -> None:
    parts = ("MultiBoxHead.min_sizes", ...), ("MultiBoxHead.max_sizes", ...), ("MultiBoxHead.aspect_ratios", ...)
    head = model(text(STATIC_SSD, *parts)).head
    assert (head.sizes, head.first_mean) == ((60, 105, 150, 195, 240, 285, 300), False)
    assert head.ratios == ((2,), *[(2, 3)] * 5)


def test_fcos_as_it_was_written_before_release_2_5() -> None:
    values = text(FCOS)
    nms = values["FCOSHead"].pop("nms") | {"score_threshold": 0.03}
    values["FCOS"]["fcos_post_process"] = "FCOSPostProcess"
    values["FCOSPostProcess"] = {"decode": {"name": "FCOSBox", "num_classes": 80}, "nms": nms}
    assert model(values).head == model(text(FCOS)).head.replace(threshold=0.03)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("target_metrics", "bbox"),
        ("data_format", "NHWC"),
        ("ResNet.data_format", "NHWC"),
        ("RPNHead.data_format", "NCHW"),
        ("BBoxPostProcess.decode", {"name": "RCNNBox", "code_type": "decode_center_size", "box_normalized": False}),
        ("BBoxHead.use_cot", False),
        ("BBoxHead.num_classes", 3),
    ],
)
def test_what_changes_no_result_is_read(place: str, value: Any) -> None:
    assert model(changed(place, value), classes=list("abc")) == model(small(), classes=list("abc"))


@pytest.mark.parametrize("part", ["BBoxHead", "BBoxPostProcess"])
def test_a_part_of_other_classes_than_the_config_is_refused(part: str) -> None:
    with pytest.raises(ConfigError, match=f"{part}.num_classes=20 differs from that of the config, 3"):
        model(changed(f"{part}.num_classes", 20))


def test_losses_that_are_not_taken_over_are_noted() -> None:
    values = changed("BBoxHead.bbox_loss", "DiouLoss")
    assert any("BBoxHead.bbox_loss='DiouLoss' is not taken over" in note for note in read_config(values).notes)
    values = changed("RPNHead.train_proposal", {"nms_thresh": 0.9, "min_size": 5.0})
    assert sum("that of test_proposal has" in note for note in read_config(values).notes) == 2


def test_lists_of_pictures_name_no_classes(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("1.jpg 1.xml\n2.jpg 2.xml\n3.jpg 3.xml\n")
    (tmp_path / "label_list.txt").write_text("cat\ndog\ncow\n")
    path = tmp_path / "voc.yml"
    path.write_text(yaml.safe_dump(changed("TrainDataset", {"name": "VOCDataSet", "anno_path": "train.txt"})))
    assert read_config(path).recipe.data.classes == ("cat", "dog", "cow")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("RPNHead.anchor_generator.anchor_sizes", "", "anchor_sizes must be a list of numbers"),
        ("RPNHead.anchor_generator.anchor_sizes", 3, "anchor_sizes must be a list of numbers"),
        ("RPNHead.anchor_generator.anchor_sizes", [[32], 64, [128], [256], [512]], "must be a list of numbers, not 64"),
        ("RPNHead.anchor_generator.anchor_sizes", [["32"], [64], [128], [256], [512]], "must be a number, not ['32']"),
        ("RPNHead.anchor_generator.strides", [0] * 5, "strides=[0, 0, 0, 0, 0] are no positive numbers"),
        ("RPNHead.anchor_generator.strides", [], "strides=[] are no positive numbers"),
        ("ResNet.return_idx", [], "return_idx=[] names no stage"),
        ("ResNet.return_idx", "0", "return_idx='0' is no list of stages"),
        ("EvalReader.sample_transforms", 3, "sample_transforms=3 is no list of steps"),
        ("EvalReader.batch_transforms", {"a": 1}, "is no list of steps"),
        ("EvalReader.sample_transforms", [{"NormalizeImage": {**NORMALIZE, "std": [0, 1, 1]}}], "positive numbers"),
        ("EvalReader.sample_transforms", [{"NormalizeImage": {"mean": [0, 0, 0]}}], "std=None is missing"),
    ],
)
def test_values_of_the_wrong_kind_are_named(place: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as raised:
        read_config(changed(place, value), classes=list("abc"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("SSDHead.anchor_generator.aspect_ratios", 2, "aspect_ratios=2 is no list"),
        ("SSDHead.anchor_generator.aspect_ratios", [["a", "b"]] * 6, "aspect_ratios must be a number"),
        ("SSDHead.anchor_generator.max_sizes", 2, "max_sizes=2 is no list of sizes"),
    ],
)
def test_default_boxes_of_the_wrong_kind_are_named(place: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as raised:
        read_config(text(SSD_MOBILENET, (place, value)))
    assert "\n" not in str(raised.value)


def test_files_that_no_system_can_have_and_values_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no config file at"):
        read_config(tmp_path / ("x" * 5000 + ".yml"))
    path = tmp_path / "a.yml"
    for written, message in (
        (f"_BASE_: ['{'x' * 5000}.yml']", "there is no such file"),
        ("a: !!bool abc", "'abc' is no bool"),
        ("a: !!int ''", "is no int"),
    ):
        path.write_text(written)
        with pytest.raises(ConfigError, match=message):
            read_config(path)


def test_bases_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "base.yml").write_text(yaml.safe_dump(small()))
    (tmp_path / "deep").mkdir()
    path = tmp_path / "deep" / "a.yml"
    path.write_text("_BASE_: ['~/base.yml']")
    assert model(path, classes=list("abc")) == model(small(), classes=list("abc"))


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1, 2], CheckpointError, "not a list"),
        ("", FileNotFoundError, "the path is empty"),
        ({3: np.zeros(2)}, CheckpointError, "3 is no name"),
        ({"a": torch.zeros(2, device="meta")}, CheckpointError, "a holds no values"),
        ({"a": torch.zeros(2, 2).to_sparse()}, CheckpointError, "a holds no values"),
    ],
)
def test_weights_of_the_wrong_kind(weights: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        detzoo.from_paddle(small(), weights, classes=list("abc"))


@pytest.mark.parametrize("classes", ["cat", 3, [1, 2, 3]])
def test_names_of_classes_of_the_wrong_kind(classes: Any) -> None:
    with pytest.raises(ConfigError, match="classes must be a list of names"):
        read_config(small(), classes=classes)
