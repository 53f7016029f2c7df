"""Models of MMDetection 1.x: anchors, offsets and RoIAlign of a coordinate system in which pixels are counted."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchvision.ops import roi_align as plain_roi_align

from detzoo.blocks.anchors import Anchors, ShapedAnchors
from detzoo.blocks.unaligned import Unaligned
from detzoo.config import ConfigError
from detzoo.interop.mmdet import parts
from detzoo.interop.section import Section
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.ssd import SSD
from detzoo.ops.boxes import decode, encode
from detzoo.ops.roi_align import build_atlas, pyramid_levels
from tests.tiny import images, targets, tiny

STDS = (0.1, 0.1, 0.2, 0.2)
LEGACY = {
    MaskRCNN: {
        "rpn": {"legacy": True},
        "box_head": {"legacy": True, "extractor": {"kind": "unaligned"}},
    },
    RetinaNet: {"head": {"legacy": True, "threshold": 0.0}},
    SSD: {"head": {"legacy": True}},
}


def test_offsets_count_the_last_pixel() -> None:
    # widths 20 and 30, counted in pixels, and middles 19.5 and 24.5
    anchor, box = torch.tensor([10.0, 0.0, 29.0, 9.0]), torch.tensor([10.0, 0.0, 39.0, 19.0])
    found = encode(anchor, box, STDS, legacy=True)
    wanted = [5 / 20 / 0.1, 5 / 10 / 0.1, math.log(30 / 20) / 0.2, math.log(20 / 10) / 0.2]
    torch.testing.assert_close(found, torch.tensor(wanted))
    # the coder of such models leaves boxes half a pixel larger on each side
    grown = torch.tensor([9.5, -0.5, 39.5, 19.5])
    torch.testing.assert_close(decode(anchor, found, STDS, legacy=True), grown)
    torch.testing.assert_close(decode(anchor, encode(anchor, box, STDS), STDS), box)


def test_anchors_are_whole_pixels_around_the_middle_one() -> None:
    anchors = Anchors(Anchors.Config(scales=(8.0,), ratios=(0.5, 1.0, 2.0)), (4,), legacy=True)([(1, 2)])
    # of base size 4: 32 pixels from -14 to 17
    assert anchors[1].tolist() == [-14, -14, 17, 17]
    # 45.25 x 22.63: half of one pixel less, from 1.5, rounded
    assert anchors[0].tolist() == [-21, -9, 24, 12]
    assert anchors[2].tolist() == [-9, -21, 12, 24]
    assert (anchors[3:] - anchors[:3]).tolist() == [[4, 0, 4, 0]] * 3


def test_default_boxes_are_whole_pixels_around_the_middle_one() -> None:
    boxes = ShapedAnchors([[(21.0, 21.0), (30.7, 30.7)]], (8,), legacy=True)([(1, 1)])
    assert boxes.tolist() == [[-6, -6, 14, 14], [-11, -11, 18, 18]]  # halves go to the even number


@pytest.mark.parametrize("sampling", [0, 2])
def test_unaligned_pooling_is_torchvisions(sampling: int) -> None:
    generator = torch.Generator().manual_seed(0)
    levels = [torch.randn(2, 3, 64 >> level, 96 >> level, generator=generator).double() for level in range(3)]
    corner = torch.rand(2, 12, 2, generator=generator) * 90
    size = torch.rand(2, 12, 2, generator=generator) * torch.linspace(0, 400, 12)[:, None]
    boxes = torch.cat([corner, corner + size], -1).double()
    boxes[..., 0::2].clamp_(max=383)
    boxes[..., 1::2].clamp_(max=255)
    pooled = Unaligned(7, sampling)(build_atlas(levels, (4, 8, 16)), boxes)
    of = pyramid_levels(boxes, 3)
    assert len(of.unique()) > 1
    for number, (level, box) in enumerate(zip(of.flatten().tolist(), boxes.flatten(0, 1), strict=True)):
        roi = torch.cat([box.new_tensor([number // 12]), box])[None]
        wanted = plain_roi_align(levels[level], roi, 7, 1 / (4 << level), sampling, aligned=False)
        torch.testing.assert_close(pooled[number : number + 1], wanted)


@pytest.mark.parametrize("method", LEGACY, ids=lambda method: method.__name__)
def test_boxes_end_with_the_last_pixel(method: type) -> None:
    model = tiny(method, **LEGACY[method]).eval()
    batch = images()
    with torch.no_grad():
        found = model.detect(batch)
    limit = batch.sizes.flip(1).repeat(1, 2)[:, None] - 1
    assert found.valid.any()
    assert ((found.boxes >= 0) & (found.boxes <= limit)).all()
    losses = model.train()(batch, targets(2, 0))
    total = torch.stack([value for name, value in losses.items() if "loss" in name]).sum()
    total.backward()
    assert bool(torch.isfinite(total))


def test_anchors_and_coder_are_of_one_version() -> None:
    def head(anchors: str, coder: str) -> Section:
        return Section({"anchor_generator": {"type": anchors}, "bbox_coder": {"type": coder}}, "model.rpn_head", [])

    assert parts.legacy(head("LegacyAnchorGenerator", "LegacyDeltaXYWHBBoxCoder"))
    assert not parts.legacy(head("AnchorGenerator", "DeltaXYWHBBoxCoder"))
    with pytest.raises(ConfigError, match="of two versions"):
        parts.legacy(head("LegacyAnchorGenerator", "DeltaXYWHBBoxCoder"))
    # a method without such boxes refuses them
    with pytest.raises(ConfigError, match="type"):
        parts.coder(head("LegacyAnchorGenerator", "LegacyDeltaXYWHBBoxCoder"), STDS)


def test_nothing_changes_where_it_is_not_asked_for() -> None:
    usual, asked = (Anchors(Anchors.Config(), (8,), legacy=legacy)([(2, 2)]) for legacy in (False, True))
    assert isinstance(usual, Tensor)
    assert not torch.equal(usual, asked)
    assert usual[1].tolist() == [-32, -32, 32, 32]
