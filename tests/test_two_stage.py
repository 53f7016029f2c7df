"""Two-stage forms beside the pyramid: C4 with its RoI stage, dilated C5, hard examples, soft suppression, borders."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

import detzoo
from detzoo.backbones.resnet import ResNet
from detzoo.backbones.roi_stage import RoIStage
from detzoo.blocks.anchors import Anchors
from detzoo.blocks.assign import sample
from detzoo.blocks.roi_heads import BoxHead
from detzoo.blocks.rpn import RPN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.rpn import RPNDetector
from detzoo.ops.roi_align import build_atlas
from detzoo.types import Targets
from tests.test_house import _fake
from tests.tiny import CANVAS, CLASSES, images, targets, tiny, total

C4_STAGES = {"strides": (1, 2, 2), "dilations": (1, 1, 1), "out_stages": (3,)}
C4_BACKBONE = {"kind": "resnet", "depth": 18, "norm_frozen": True} | C4_STAGES
FEW = {"train_candidates": 50, "train_proposals": 20, "candidates": 50, "proposals": 20, "channels": 16}
SIXTEEN = {"anchors": {"scales": (2.0, 4.0), "ratios": (0.5, 1.0, 2.0)}}


def c4(method: type[FasterRCNN | MaskRCNN]) -> Any:
    torch.manual_seed(0)
    config = method.Config.model_validate(
        {
            "backbone": C4_BACKBONE,
            "neck": {"kind": "none"},
            "rpn": {**FEW, **SIXTEEN},
            "box_head": {"size": 14, "fcs": 0, "samples": 16, "threshold": 0.0, "detections": 5},
            "roi_levels": 1,
            "roi_stage": True,
            **({"mask_head": {"size": 7, "convs": 0, "channels": 16}} if method is MaskRCNN else {}),
        }
    )
    return method(config, CLASSES)  # pyright: ignore[reportArgumentType] (the settings are the method's)


@pytest.mark.parametrize("method", [FasterRCNN, MaskRCNN])
@pytest.mark.parametrize("counts", [(0, 0), (3, 1)])
def test_c4_learns_in_every_part(method: type[FasterRCNN | MaskRCNN], counts: tuple[int, int]):
    detector = c4(method).train()
    losses = detector(images(), targets(*counts))
    total(losses).backward()
    assert [name for name, parameter in detector.trainable() if parameter.grad is None] == []
    assert any(name.startswith("box_head.stage.layer4") for name, _ in detector.trainable())


def test_c4_draws_masks_of_twice_the_bins_that_the_stage_leaves():
    detector = c4(MaskRCNN).eval()
    with torch.no_grad():
        found = detector.detect(images())
    assert found.crops is not None
    assert found.crops.shape == (2, 5, 14, 14)


def test_sharing_rois_changes_no_mask_loss():
    """Features of the positives are taken from those of all samples; pooling them once more gives the same."""
    detector = c4(MaskRCNN).train()
    batch, objects = images(), targets(3, 1)
    features = detector.neck(detector.backbone(batch.pixels))
    atlas = build_atlas(features, detector.neck.strides)
    samples = detector.box_head.sample(atlas, objects.boxes, objects.valid, objects)
    few = 4
    shared = detector.box_head.pool(atlas, samples.boxes).unflatten(0, samples.valid.shape)[:, :few].flatten(0, 1)
    again = detector.box_head.pool(atlas, samples.boxes[:, :few])
    torch.testing.assert_close(shared, again, atol=1e-5, rtol=1e-4)
    losses = [detector.mask_head.losses(atlas, samples, objects, few, x)["loss_mask"] for x in (shared, again)]
    torch.testing.assert_close(losses[0], losses[1])


def test_the_roi_stage_is_the_backbones_fourth():
    """Run over the whole map, it computes what the same weights compute inside a backbone."""
    torch.manual_seed(0)
    whole = ResNet(ResNet.Config(depth=50, out_stages=(3, 4), style="caffe", zero_init=False)).eval()
    ours = RoIStage(ResNet.Config(depth=50, strides=(1, 2, 2), dilations=(1, 1, 1), out_stages=(3,), style="caffe"))
    ours.layer4.load_state_dict(whole.get_submodule("layer4").state_dict())
    third, fourth = whole(torch.randn(1, 3, 64, 64))
    torch.testing.assert_close(ours.eval()(third), fourth)
    assert ours.channels == 2048


def test_the_roi_stage_keeps_its_normalization_still():
    stage = RoIStage(ResNet.Config(depth=18, strides=(1, 2, 2), dilations=(1, 1, 1), out_stages=(3,)))
    norms = [module for module in stage.train().modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(module.training for module in norms)


def test_a_whole_backbone_leaves_no_stage_for_the_rois():
    with pytest.raises(ValueError, match="strides need three entries"):
        RoIStage(ResNet.Config())


def test_dilated_c5_keeps_the_stride_of_c4():
    with torch.device("meta"):
        detector: Any = detzoo.build("faster_rcnn_r50_caffe_dc5_1x_coco")
    assert (detector.neck.channels, detector.neck.strides) == ((2048,), (16,))
    assert detector.rpn.anchors.per_cell == 15


def slow_ohem(losses: torch.Tensor, positive: list[int], negative: list[int], count: int, most: int) -> set[int]:
    chosen = sorted(positive, key=lambda roi: -float(losses[roi]))[:most]
    return {*chosen, *sorted(negative, key=lambda roi: -float(losses[roi]))[: count - len(chosen)]}


@pytest.mark.parametrize("count", [4, 8, 64])
def test_hard_examples_are_those_of_largest_loss(count: int):
    torch.manual_seed(0)
    config = BoxHead.Config(fc_channels=16, samples=count, positives=0.25, hard_examples=True)
    head = BoxHead(config, 8, len(CLASSES))
    torch.nn.init.normal_(head.fc_cls.weight, std=2.0)  # so that losses differ
    atlas = build_atlas([torch.randn(2, 8, 24, 32), torch.randn(2, 8, 12, 16)], (4, 8))
    objects = targets(3, 2)
    boxes = torch.cat([objects.boxes + torch.randn_like(objects.boxes), torch.rand(2, 20, 4) * 40], 1)
    boxes[..., 2:] = torch.maximum(boxes[..., 2:], boxes[..., :2] + 5)
    valid = torch.ones(boxes.shape[:2], dtype=torch.bool)
    found = head.sample(atlas, boxes, valid, objects)

    candidates = torch.cat([objects.boxes, boxes], 1)
    everything = BoxHead.Config(fc_channels=16, samples=10**6, positives=0.5)
    one_by_one = BoxHead(everything, 8, len(CLASSES)).sample(atlas, boxes, valid, objects)
    for image in range(2):
        kinds = {}  # of each candidate, from a run that takes all of them
        for slot in torch.nonzero(one_by_one.valid[image]).flatten().tolist():
            roi = int((candidates[image] == one_by_one.boxes[image, slot]).all(-1).nonzero()[0, 0])
            positive = bool(one_by_one.positive[image, slot])
            kinds[roi] = int(one_by_one.labels[image, slot]) if positive else len(CLASSES)
        logits = head(atlas, candidates)[0][image].detach()
        losses = torch.stack(
            [F.cross_entropy(logits[roi], torch.tensor(kinds.get(roi, 0))) for roi in range(len(logits))]
        )
        positive = [roi for roi, kind in kinds.items() if kind < len(CLASSES)]
        negative = [roi for roi, kind in kinds.items() if kind == len(CLASSES)]
        wanted = slow_ohem(losses, positive, negative, count, int(count * 0.25))
        ours = found.boxes[image, found.valid[image]].tolist()
        assert sorted(ours) == sorted(candidates[image, sorted(wanted)].tolist())


def test_keys_of_a_draw_rank_within_positives_and_within_negatives():
    positive = torch.tensor([[True, True, False, False, False]])
    negative = torch.tensor([[False, False, True, True, False]])
    key = torch.tensor([[0.0, 0.2, 0.4, 0.6, 0.8]])
    index, chosen, is_positive = sample(positive, negative, 2, 0.5, key)
    assert index.tolist() == [[1, 3]]
    assert chosen.all()
    assert is_positive.tolist() == [[True, False]]


@pytest.mark.parametrize("form", ["c4", "hard and soft"])
def test_no_shape_depends_on_values(form: str):
    few = {"fc_channels": 32, "samples": 16, "detections": 5}
    changes = {"box_head": {**few, "hard_examples": True, "soft_nms": {}}, "rpn": {**FEW, "border": 0.0}}
    detector = c4(MaskRCNN) if form == "c4" else tiny(FasterRCNN, **changes)
    real = images(), targets(3, 0)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        batch, objects = (_fake(value, mode) for value in real)
        losses = detector.train()(batch, objects)
        with torch.no_grad():
            found = detector.eval().detect(batch)
    assert all(value.shape == () for value in losses.values())
    assert found.boxes.shape == (2, 5, 4)


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_soft_suppression_keeps_more_and_lowers_scores(method: str):
    hard = tiny(FasterRCNN, box_head={"threshold": 0.0, "detections": 40}).eval()
    soft = tiny(FasterRCNN, box_head={"threshold": 0.0, "detections": 40, "soft_nms": {"method": method}}).eval()
    soft.load_state_dict(hard.state_dict())
    with torch.no_grad():
        before, after = hard.detect(images()), soft.detect(images())
    assert int(after.valid.sum()) >= int(before.valid.sum())
    assert bool((after.scores.diff(dim=1) <= 0).all())
    assert float(after.scores.max()) == pytest.approx(float(before.scores.max()))


def test_anchors_across_the_border_learn_nothing():
    torch.manual_seed(0)
    config = RPN.Config(channels=8, border=0.0, samples=10**6, anchors=Anchors.Config(scales=(2.0,)))
    rpn = RPN(config, (8,), (16,))
    features = [torch.randn(2, 8, 6, 8)]
    sizes = torch.tensor([CANVAS, (80, 100)])
    objects = targets(3, 1)
    logits, offsets = rpn(features)
    logits[0].retain_grad()
    total(rpn.losses((logits, offsets), objects, sizes)).backward()
    assert logits[0].grad is not None
    seen = logits[0].grad.permute(0, 2, 3, 1).flatten(1) != 0
    for image, (height, width) in enumerate(sizes.tolist()):
        for index, (x1, y1, x2, y2) in enumerate(rpn.anchors([(6, 8)]).tolist()):
            outside = x1 < 0 or y1 < 0 or x2 >= width or y2 >= height
            assert not (outside and seen[image, index])
    assert seen.any()


def test_no_anchor_inside_the_border_gives_zero_losses():
    rpn = RPN(RPN.Config(channels=8, border=0.0), (8,), (16,))
    losses = rpn.losses(rpn([torch.randn(1, 8, 2, 2)]), targets(1), torch.tensor([[20, 20]]))
    assert all(float(value.detach()) == 0 for value in losses.values())
    total(losses).backward()


def test_the_proposal_network_ignores_classes():
    detector = tiny(RPNDetector)
    assert detector.classes == ("object",)
    objects = targets(3, 2)
    other = Targets(objects.boxes, 2 - objects.labels, objects.valid, objects.ignore)
    torch.manual_seed(0)
    first = detector(images(), objects)
    torch.manual_seed(0)
    second = detector(images(), other)
    assert set(first) == {"loss_rpn_cls", "loss_rpn_bbox"}
    for name in first:
        torch.testing.assert_close(first[name], second[name])
    with torch.no_grad():
        found = detector.eval().detect(images())
    assert int(found.labels.max()) == 0
    assert found.boxes.shape == (2, 40, 4)
