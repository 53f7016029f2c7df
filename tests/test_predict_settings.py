"""Other settings for one prediction: classes, suppression, size, and any setting of the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import detzoo
from detzoo.config import ConfigError
from detzoo.detector import Detector
from detzoo.methods.detr import DETR
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.rpn import RPNDetector
from detzoo.recipes.recipe import METHODS
from tests.tiny import METHOD_IDS, detect, images, tiny

PICTURE = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


def small(method: type[Detector]) -> Detector:
    detector = tiny(method)
    detector.config = detector.config.replace(input=detector.config.input.replace(short=64, long=96))
    return detector


def test_suppression_and_classes_change_what_is_found() -> None:
    detector = small(FasterRCNN).with_settings({"model.box_head.detections": 1000})
    plain, few, many = (detector.predict(PICTURE, threshold=0, nms=nms)[0] for nms in (None, 0.0, 1.0))
    assert len(few) < len(plain) <= len(many)
    name = plain.names[0]
    (one,) = detector.predict(PICTURE, threshold=0, classes=[name])
    assert set(one.names) == {name}
    assert torch.equal(one.boxes, plain.filter(classes=name).boxes)
    (same,) = detector.predict(PICTURE, threshold=0, classes=detector.classes.index(name))
    assert torch.equal(one.boxes, same.boxes)
    (over,) = detector.predict(PICTURE, threshold=0, overrides={"model.box_head.nms": 0.0})
    assert torch.equal(over.boxes, few.boxes)
    (over,) = detector.predict(PICTURE, threshold=0, overrides=["box_head.detections=1"])
    assert len(over) == 1


@pytest.mark.parametrize("method", METHODS, ids=METHOD_IDS)
def test_a_changed_detector_has_the_same_weights(method: type[Detector]) -> None:
    detector = tiny(method)
    state = torch.get_rng_state()
    changed = detector.with_settings({"input.std": [50.0, 50.0, 50.0]})
    assert torch.equal(torch.get_rng_state(), state)
    assert not changed.training
    for (name, one), (other_name, other) in zip(
        detector.state_dict().items(), changed.state_dict().items(), strict=True
    ):
        assert name == other_name
        assert one.data_ptr() == other.data_ptr()
    with torch.no_grad():
        before, after = detect(detector.eval(), images()), detect(changed, images())
    assert torch.equal(before.boxes, after.boxes)
    assert torch.equal(before.scores, after.scores)
    assert detector.with_settings() is detector


def test_sizes() -> None:
    detector = small(RetinaNet)
    for size, short, long in [(128, 128, 192), ("128", 128, 192), ((100, 200), 100, 200), ("100x200", 100, 200)]:
        changed = detector.with_settings(size=size)
        assert (changed.config.input.short, changed.config.input.long) == (short, long)
        assert changed.config.input.resize
        assert (detector.config.input.short, detector.config.input.long) == (64, 96)
    (one,) = detector.predict(PICTURE, threshold=0, size=32)
    assert one.size == (60, 90)
    fixed = detector.with_settings(["model.input.canvas=[64,96]"])
    with pytest.raises(ConfigError, match=r"size: every picture is fitted into model\.input\.canvas here"):
        fixed.with_settings(size=32)
    wrong: Any
    for wrong in (0, -5, 1.5, "big", "1x2x3", (1, 2, 3), (200, 100), None, True):
        if wrong is not None:
            with pytest.raises(ValueError, match="size"):
                detector.predict(PICTURE, size=wrong)


def test_which_suppression_is_meant() -> None:
    assert tiny(MaskRCNN).with_settings(nms=0.25).config.model_dump()["box_head"]["nms"] == 0.25
    assert tiny(MaskRCNN).with_settings(nms=0.25).config.model_dump()["rpn"]["nms"] != 0.25
    assert tiny(RPNDetector).with_settings(nms=0.25).config.model_dump()["rpn"]["nms"] == 0.25
    with pytest.raises(ConfigError, match="nms: DETR has no suppression to set"):
        tiny(DETR).with_settings(nms=0.5)
    wrong: Any
    for wrong in (-0.1, 1.5, float("nan"), "0.5"):
        with pytest.raises(ValueError, match="nms must be a number from 0 to 1"):
            tiny(MaskRCNN).predict(PICTURE, nms=wrong)


def test_wrong_settings_are_refused_before_anything_is_read() -> None:
    detector = small(FasterRCNN)
    with pytest.raises(ConfigError, match=r"^model\.input\.std.*greater than 0"):
        detector.predict("nowhere.jpg", overrides={"model.input.std": [0, 1, 1]})
    with pytest.raises(ConfigError, match=r"did you mean 'model\.box_head\.nms'"):
        detector.predict("nowhere.jpg", overrides=["model.box_head.nsm=0.5"])
    with pytest.raises(ConfigError, match="only settings of the model"):
        detector.predict("nowhere.jpg", overrides={"schedule.epochs": 3})
    with pytest.raises(ConfigError, match="the weights do not fit the changed model"):
        detector.predict("nowhere.jpg", overrides={"model.box_head.fc_channels": 24})
    with pytest.raises(ValueError, match="is not a class of this detector"):
        detector.predict("nowhere.jpg", classes="no such class")


def test_a_changed_detector_carries_the_changed_recipe() -> None:
    detector = detzoo.build("fcos_r18_fpn_shapes")
    changed = detector.with_settings(nms=0.25, size=96)
    assert isinstance(changed.recipe, detzoo.Recipe)
    assert changed.recipe.model == changed.config != detector.config
    assert isinstance(detector.recipe, detzoo.Recipe)
    assert detector.recipe.model == detector.config


def test_sizes_that_no_memory_holds_are_one_sentence() -> None:
    detector = small(FasterRCNN)
    for size in (10**9, 10**400, (480, 10**9), "1000000000"):
        with pytest.raises(ValueError, match="size: an edge has 1048576 pixels at most"):
            detector.predict(PICTURE, size=size)
    with pytest.raises(ValueError, match="size: an image of 60 x 90 pixels would become 40000 x 60000, more than"):
        detector.predict(PICTURE, size=40000)
    with pytest.raises(ValueError, match="choose a smaller size"):
        detector.predict(PICTURE, overrides=["input.short=1000000", "input.long=1000000"])
