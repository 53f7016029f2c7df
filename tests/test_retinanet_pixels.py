"""RetinaNet in whole pixels, as PaddleDetection 0.x has it: anchors, the last pixel, the coarsest level."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from detzoo.blocks.anchors import Anchors
from detzoo.config import ConfigError, validate
from detzoo.methods.retinanet import RetinaNet
from tests.tiny import CANVAS, images, tiny


def test_whole_anchors_end_with_a_pixel() -> None:
    """Of stride 32 and height twice the width: 23 wide (22.6), 46 high; of half the width: 45 (45.3) and 23 (22.5)."""
    anchors = Anchors(Anchors.Config(scales=(1.0, 2.0), ratios=(2.0, 0.5), classic=True), (32,))
    boxes = anchors([(1, 2)])
    sizes = (boxes[:4, 2:] - boxes[:4, :2]).tolist()
    assert sizes == [[23, 46], [46, 92], [45, 23], [90, 46]]
    assert ((boxes[:, :2] + boxes[:, 2:]) / 2).tolist() == [[16, 16]] * 4 + [[48, 16]] * 4


@pytest.mark.parametrize("scales", [None, [[0.5, 2.0], [0.5, 2.0]]])
def test_boxes_end_with_the_last_pixel_of_the_canvas(scales: Any) -> None:
    model = tiny("RetinaNet-pixels", head={"threshold": 0.0, "detections": 300}).eval()
    batch = dataclasses.replace(images(), scales=None if scales is None else torch.tensor(scales))
    with torch.no_grad():
        found = model.detect(batch)
    down, across = (1.0, 1.0) if scales is None else scales[0]
    assert found.boxes.min() == 0
    assert found.boxes[..., 2].max() == CANVAS[1]
    assert found.boxes[..., 3].max() == CANVAS[0]
    width, height = (found.boxes[..., 2:] - found.boxes[..., :2])[found.valid].amin(0).tolist()
    assert width >= across
    assert height >= down


def test_the_coarsest_level_counts_whatever_it_scores() -> None:
    with torch.no_grad():
        assert tiny("RetinaNet-pixels", head={"threshold": 0.9}).eval().detect(images()).valid.any()
        assert not tiny(RetinaNet, head={"threshold": 0.9}).eval().detect(images()).valid.any()


def test_pixels_need_their_anchors() -> None:
    with pytest.raises(ConfigError, match="classic"):
        validate(RetinaNet.Head, {"last_pixel": True})
