"""Names, building and loading."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import detzoo
from detzoo.config import override
from detzoo.data.shapes import SHAPES
from detzoo.detector import Detector
from detzoo.recipes import zoo
from detzoo.recipes.classes import COCO_CATEGORY_IDS, COCO_CLASSES, SHAPES_CLASSES, VOC_CLASSES
from detzoo.recipes.download import DownloadError
from detzoo.recipes.files import CheckpointError
from detzoo.recipes.recipe import Recipe, Weights
from tests.tiny import images

SMALL = ["model.neck.out_channels=16", "model.rpn.channels=16", "model.box_head.fc_channels=16"]


def small_recipe(**changes: object) -> Recipe:
    return override(detzoo.find("mask_rcnn_r18_fpn_shapes"), [*SMALL, "model.mask_head.channels=16"]).replace(**changes)


def test_names_are_sorted_and_filtered():
    everything = detzoo.names()
    assert everything == sorted(everything)
    retinanets = detzoo.names("retinanet*")
    assert "retinanet_r50_fpn_1x_coco" in retinanets
    assert set(retinanets) < set(everything)
    assert detzoo.names("nothing*") == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("faster_rcnn_r50_fpn_1x_coco", "faster_rcnn_r50_fpn_1x_coco"),
        ("faster-rcnn_r50_fpn_giou_1x_coco", "faster_rcnn_r50_fpn_giou_1x_coco"),
        ("Mask-RCNN_r50_fpn_1x_coco", "mask_rcnn_r50_fpn_1x_coco"),
        ("mask-rcnn_r50-caffe_fpn_ms-poly-3x_coco", "mask_rcnn_r50_caffe_fpn_mstrain-poly_3x_coco"),
        ("retinanet_r50_fpn_amp-1x_coco", "retinanet_r50_fpn_fp16_1x_coco"),
    ],
)
def test_find_takes_names_and_config_names(name: str, found: str):
    assert detzoo.find(name).name == found


def test_an_unknown_name_suggests():
    with pytest.raises(KeyError) as caught:
        detzoo.find("retinanet_r50_fpn_1x_cocoo")
    assert "did you mean 'retinanet_r50_fpn_1x_coco'" in str(caught.value)
    assert str(caught.value).startswith("'retinanet_r50_fpn_1x_cocoo' is not a recipe")


@pytest.mark.parametrize("other", [None, 3, {}, ["ssd300_coco"]], ids=repr)
def test_what_is_no_name_is_said(other: Any):
    kind = type(other).__name__
    for word in (detzoo.find, detzoo.build):
        with pytest.raises(TypeError, match=f"the name of a recipe should be a string, not {kind}"):
            word(other)
    with pytest.raises(TypeError, match=f"a weights file should be a name or a path, not {kind}"):
        detzoo.load(other)
    with pytest.raises(TypeError, match=f"evaluate takes a detector, such as .*, not {kind}"):
        detzoo.evaluate(other, "shapes")


def test_build_records_the_classes():
    detector = detzoo.build(small_recipe(), classes=["cat", "dog"])
    assert detector.training
    assert detector.classes == ("cat", "dog")
    assert isinstance(detector.recipe, Recipe)
    assert detector.recipe.data.classes == ("cat", "dog")
    assert detzoo.build(detector.recipe).classes == ("cat", "dog")


def test_building_imports_no_compiler():
    names = ("mask_rcnn_r50_fpn_1x_coco", "ssd300_coco", "yolov3_d53_320_273e_coco", "detr_r50_8x2_150e_coco")
    code = f"""
import sys
from detzoo.recipes.blueprint import blueprint
from detzoo.recipes.zoo import classes_of, find
for recipe in map(find, {names}):
    blueprint(recipe, classes_of(recipe))
assert not {{"sympy", "torch._dynamo"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("retinanet_r50_fpn_1x_coco", COCO_CLASSES),
        ("retinanet_r50_fpn_1x_voc0712", VOC_CLASSES),
        ("retinanet_r18_fpn_shapes", SHAPES),
        ("faster_rcnn_r50_caffe_fpn_mstrain_1x_coco-person", ("person",)),
    ],
)
def test_classes_default_to_those_of_the_data(name: str, classes: tuple[str, ...]):
    with torch.device("meta"):
        assert detzoo.build(name).classes == classes


def test_class_tables():
    assert (len(COCO_CLASSES), len(VOC_CLASSES)) == (80, 20)
    published = dict(zip(COCO_CLASSES, COCO_CATEGORY_IDS, strict=True))
    known = {"person": 1, "stop sign": 13, "backpack": 27, "toilet": 70, "tv": 72, "book": 84, "toothbrush": 90}
    assert known.items() <= published.items()
    assert SHAPES_CLASSES == SHAPES


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        (3, TypeError, r"a list of names such as \['cat', 'dog'\], not 3"),
        ("person", TypeError, "not 'person'"),
        ([1, 2], TypeError, r"not \[1, 2\]"),
        (["cat", "dog", "cat"], ValueError, "'cat' more than once"),
        ([], ValueError, "at least one class"),
    ],
)
def test_build_refuses_what_names_no_classes(classes: list[str], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        detzoo.build(small_recipe(), classes=classes)


def published_file(path: Path, detector: Detector) -> Path:
    """The detector's weights as MMDetection 2 saved them."""
    state: dict[str, Tensor] = {}
    for name, value in detector.state_dict().items():
        part, _, rest = name.partition(".")
        prefix = {"rpn": "rpn_head.rpn_", "box_head": "roi_head.bbox_head.", "mask_head": "roi_head.mask_head."}
        state[prefix.get(part, f"{part}.") + rest] = value
    meta = {"CLASSES": detector.classes, "config": "model = dict()", "epoch": 12, "env_info": None}
    torch.save({"meta": meta, "state_dict": state}, path)
    return path


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the weights of a recipe called ``published_model`` will be found when they are fetched."""
    path = tmp_path / "model.pth"
    recipe = small_recipe(name="published_model", weights=Weights(url="https://host/model.pth", sha256="0123abcd"))
    monkeypatch.setitem(zoo._BY_NAME, recipe.name, recipe)

    def fetch(url: str, sha256: str | None) -> Path:
        assert (url, sha256) == ("https://host/model.pth", "0123abcd")
        return path

    monkeypatch.setattr(zoo, "fetch", fetch)
    return path


def test_load_takes_published_weights(published: Path):
    torch.manual_seed(0)
    before = detzoo.build("published_model").eval()
    published_file(published, before)
    after = detzoo.load("published-model")
    assert not after.training
    assert after.recipe == before.recipe
    with torch.no_grad():
        expected, found = before.detect(images()), after.detect(images())
    assert bool((found.scores == expected.scores).all() and (found.boxes == expected.boxes).all())


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return print, ("executed",)


def test_nothing_in_a_published_file_is_executed(published: Path, capsys: pytest.CaptureFixture[str]):
    torch.save({"state_dict": {"weight": torch.zeros(3)}, "meta": Hostile()}, published)
    with pytest.raises(CheckpointError, match=r"model\.pth: its pickle names .*; nothing was run"):
        detzoo.load("published_model")
    assert capsys.readouterr().out == ""


def test_a_damaged_published_file_is_named(published: Path):
    published_file(published, detzoo.build("published_model"))
    published.write_bytes(published.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"model\.pth: it is damaged or cut off"):
        detzoo.load("published_model")


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {"weight": 3}}, {"epoch": 3}])
def test_a_published_file_without_weights(published: Path, content: object):
    torch.save(content, published)
    with pytest.raises(CheckpointError, match="holds no state dict"):
        detzoo.load("published_model")


def test_published_weights_of_another_model(published: Path):
    published_file(published, detzoo.build("published_model", classes=["only"]))
    with pytest.raises(CheckpointError, match=r"(?s)model\.pth: .*do not fit MaskRCNN.*fc_cls"):
        detzoo.load("published_model")


def test_load_says_what_is_missing(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no weights file at .*gone\.safetensors"):
        detzoo.load(tmp_path / "gone.safetensors")
    with pytest.raises(FileNotFoundError, match=r"no weights file at runs/gone"):
        detzoo.load("runs/gone")
    with pytest.raises(FileNotFoundError, match="is a folder; name the weights file in it"):
        detzoo.load(tmp_path)
    for name in ("gone", "mask_rcnn_regnetx-3.2GF_fpn_1x"):
        with pytest.raises(KeyError, match="is not a recipe"):
            detzoo.load(name)
    with pytest.raises(ValueError, match="no weights were published for retinanet_r18_fpn_shapes"):
        detzoo.load("retinanet_r18_fpn_shapes")


def test_a_failed_download_reaches_the_caller(monkeypatch: pytest.MonkeyPatch):
    def fetch(url: str, sha256: str | None) -> Path:
        raise DownloadError(f"cannot reach host ({url})")

    monkeypatch.setattr(zoo, "fetch", fetch)
    with pytest.raises(DownloadError, match="cannot reach host"):
        detzoo.load("retinanet_r50_fpn_1x_coco")
