"""Side-Aware Boundary Localization: buckets against a slow version, the head of RoIs, and RetinaNet with squares."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from detzoo.blocks.anchors import Anchors
from detzoo.blocks.assign import MatchConfig, match
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.roi_heads import BoxHead
from detzoo.blocks.side_aware import SideAware
from detzoo.blocks.side_buckets import bucket_losses, per_side, place
from detzoo.config import ConfigError
from detzoo.interop.mmdet.importer import read_config
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.sabl_retinanet import SABLRetinaNet
from detzoo.ops.boxes import pairwise_iou
from detzoo.recipes.zoo import find
from detzoo.types import Images, Targets
from tests.mmdet_files import write_all
from tests.tiny import images, targets, tiny

L1 = BoxLoss()


def slow_lines(box: list[float], count: int, scale: float) -> list[tuple[list[float], float]]:
    """Of each side, left, right, top and bottom, the lines in the middle of its buckets, and how wide these are."""
    sides = []
    for low, high in ((box[0], box[2]), (box[1], box[3])):
        middle, size = (low + high) / 2, (high - low) * scale
        width = size / count
        half = math.ceil(count / 2)
        sides.append(([middle - size / 2 + (k + 0.5) * width for k in range(half)], width))
        sides.append(([middle + size / 2 - (k + 0.5) * width for k in range(half)], width))
    return sides


def random_boxes(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 60
    return torch.cat([corner, corner + 10 + torch.rand(count, 2, generator=generator) * 50], 1)


@pytest.mark.parametrize("count", [14, 5])  # of an odd number the two sides share the bucket in the middle
def test_losses_are_the_sums_taken_side_by_side(count: int) -> None:
    boxes, objects = random_boxes(6, 0), random_boxes(6, 1)
    half = per_side(count)
    logits, offsets = torch.randn(2, 6, 4, half, generator=torch.Generator().manual_seed(2))
    learns = torch.tensor([True, True, False, True, True, True])
    chosen = moved = 0.0
    for index in learns.nonzero().flatten().tolist():
        x1, y1, x2, y2 = objects[index].tolist()
        for side, (lines, width) in enumerate(slow_lines(boxes[index].tolist(), count, 1.5)):
            wanted = [(line - (x1, x2, y1, y2)[side]) / width for line in lines]
            rank = sorted(range(half), key=lambda k: abs(wanted[k]))
            for k in range(half):
                logit, offset = float(logits[index, side, k]), float(offsets[index, side, k])
                if k == rank[0]:
                    chosen += math.log1p(math.exp(-logit))
                elif abs(wanted[k]) >= 1:
                    chosen += math.log1p(math.exp(logit))
                if k == rank[0] or (k == rank[1] and abs(wanted[k]) < 1):
                    moved += abs(offset - wanted[k])
    ours = bucket_losses(logits, offsets, boxes, objects, learns, count, 1.5, L1)
    assert [float(value) for value in ours] == pytest.approx([chosen, moved], rel=1e-5)


def test_a_slot_without_box_or_object_costs_nothing() -> None:
    told = torch.randn(2, 3, 4, 7, requires_grad=True)
    empty = torch.zeros(3, 4)
    losses = bucket_losses(told[0], told[1], empty, empty, torch.zeros(3, dtype=torch.bool), 14, 1.7, L1)
    assert [float(value.detach()) for value in losses] == [0.0, 0.0]
    sum(losses).backward()  # pyright: ignore[reportAttributeAccessIssue] (there are two)
    assert told.grad is not None
    assert not told.grad.any()


@pytest.mark.parametrize("count", [14, 5])
def test_what_is_wanted_places_the_object(count: int) -> None:
    boxes, objects = random_boxes(8, 3), random_boxes(8, 4)
    wanted = torch.zeros(8, 4, per_side(count))
    for index, (box, (x1, y1, x2, y2)) in enumerate(zip(boxes.tolist(), objects.tolist(), strict=True)):
        for side, (lines, width) in enumerate(slow_lines(box, count, 1.3)):
            wanted[index, side] = torch.tensor([(line - (x1, x2, y1, y2)[side]) / width for line in lines])
    found, sure = place(boxes, -wanted.abs(), wanted, count, 1.3)
    torch.testing.assert_close(found, objects, rtol=0, atol=1e-4)
    assert ((sure > 0) & (sure <= 1)).all()


def test_a_second_bucket_makes_surer_only_beside_the_best() -> None:
    chances = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.5, 0.2, 0.3], [0.1, 0.8, 0.1]])
    _, sure = place(torch.tensor([0.0, 0, 9, 9]), chances.log(), torch.zeros(4, 3), 6, 1.0)
    # the last has two seconds, both beside
    assert float(sure) == pytest.approx((0.8 + 0.8 + 0.5 + 0.9) / 4)


def test_cells_match_as_their_best_anchor_does() -> None:
    anchors = Anchors(Anchors.Config(scales=(2.0, 4.0), ratios=(0.5, 1.0, 2.0)), (16, 32))([(6, 8), (3, 4)])
    objects = targets(5, 2)
    config = MatchConfig(positive=0.5, negative=0.4, low_quality=0.0)
    ours = match(anchors, None, objects, config, group=6, overlaps=True)
    assert ours.positive.shape == (2, len(anchors) // 6)
    for image in range(2):
        boxes = objects.boxes[image][objects.valid[image]]
        overlaps = pairwise_iou(anchors, boxes).view(-1, 6, len(boxes)).amax(1)
        for cell, row in enumerate(overlaps):
            claims = [g for g in range(len(boxes)) if row[g] == overlaps[:, g].max()]
            slot = claims[-1] if claims else int(row.argmax())
            positive = bool(claims) or float(row.max()) >= 0.5
            assert bool(ours.positive[image, cell]) == positive
            assert bool(ours.negative[image, cell]) == (not claims and float(row.max()) < 0.4)
            if positive:
                assert int(ours.slot[image, cell]) == slot


def test_each_end_of_a_line_tells_its_own_side() -> None:
    torch.manual_seed(0)
    part = SideAware(SideAware.Config(convs=0, line_convs=0), 4, 3).double()
    x = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    with torch.no_grad():
        told = part(x)
        assert told.shape == (2, 4, 2, 3)
        for roi in range(2):
            for axis, (attention, upsample) in enumerate(
                ((part.reg_conv_att_x, part.upsample_x), (part.reg_conv_att_y, part.upsample_y))
            ):
                seen = x[roi] if axis == 0 else x[roi].transpose(1, 2)
                line = torch.zeros(4, 3, dtype=torch.float64)
                for column in range(3):
                    cells = [attention(seen[:, row, column].view(1, 4, 1, 1)) for row in range(3)]
                    share = [1 / (1 + math.exp(-float(cell))) for cell in cells]
                    for row in range(3):
                        line[:, column] += seen[:, row, column] * share[row] / sum(share)
                finer = upsample(line.unsqueeze(0))[0].relu()  # [C, 6]
                for what, layer in enumerate((part.fc_reg_cls, part.fc_reg_offset)):
                    row = [float(layer(finer[:, k])) for k in range(6)]
                    assert told[roi, 2 * axis, what].tolist() == pytest.approx(row[:3])
                    assert told[roi, 2 * axis + 1, what].tolist() == pytest.approx(row[:2:-1])


def test_scores_are_made_smaller_after_the_threshold_and_boxes_end_inside() -> None:
    head = BoxHead(BoxHead.Config(side_aware=SideAware.Config(), threshold=0.5), 8, 2)
    boxes = torch.tensor([[[40.0, 40, 160, 160]]])
    told = torch.zeros(1, 1, 1, 4, 2, 7)  # of no side any bucket is likelier than another
    raw = (torch.tensor([[[2.0, 0.0, 0.0]]]), told)
    score = math.exp(2) / (math.exp(2) + 2)
    found = head.best(
        raw, boxes, torch.ones(1, 1, dtype=torch.bool), Images(torch.zeros(1, 3, 100, 100), torch.tensor([[100, 100]]))
    )
    least = score / 7  # a second bucket counts where it lies beside the first, which among equals is left open
    assert found.valid.sum() == 1
    assert least * (1 - 1e-5) <= float(found.scores[0, 0]) <= least * (2 + 1e-5)
    assert float(found.boxes[0, 0, 2:].max()) <= 99.0


def test_stages_of_a_cascade_scale_their_buckets() -> None:
    model = find("sabl_cascade_rcnn_r50_fpn_1x_coco").model
    assert isinstance(model, CascadeRCNN.Config)
    assert [stage.bucket_scale for stage in model.stages] == [1.7, 1.5, 1.3]
    detector: Any = tiny(CascadeRCNN, box_head={"side_aware": {"scale": 2.0}, "fcs": 1})
    assert [head.side_aware.config.scale for head in detector.box_heads] == [2.0] * 3
    stages = [stage.replace(bucket_scale=scale) for stage, scale in zip(model.stages, (1.7, None, 1.3), strict=True)]
    detector = CascadeRCNN(detector.config.replace(stages=tuple(stages)), ("thing",))
    assert [head.side_aware.config.scale for head in detector.box_heads] == [1.7, 2.0, 1.3]
    losses = detector.train()(images(), Targets.pack([{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0)}] * 2))
    assert {name for name in losses if name.startswith("s2")} == {
        *("s2.loss_cls", "s2.acc", "s2.loss_bbox_cls", "s2.loss_bbox_reg")
    }
    assert float(losses["s2.loss_bbox_reg"].detach()) == 0.0


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"refines": False}, "side_aware goes with refines"),
        ({"double_head": {}}, "without double_head"),
        ({"prime": {}}, "prime and score_ranks"),
        ({"box_loss": {"kind": "giou"}}, "a loss of offsets"),
        ({"size": 1}, "2 buckets or more"),
    ],
)
def test_what_does_not_go_together(settings: dict[str, Any], what: str) -> None:
    config = BoxHead.Config.model_validate({"side_aware": {}, **settings})
    with pytest.raises(ValueError, match=what):
        BoxHead(config, 8, 3)


def test_retinanet_looks_around_squares_and_learns_offsets() -> None:
    detector: Any = tiny(SABLRetinaNet)
    squares = detector.squares([(1, 1)] * 5)
    assert (squares[:, 2:] - squares[:, :2]).tolist() == [[4.0 * stride] * 2 for stride in detector.neck.strides]
    assert detector.anchors.per_cell == 9
    with pytest.raises(ValueError, match=r"must compare offsets, as 'l1' does, got 'giou'"):
        tiny(SABLRetinaNet, head={"box_loss": {"kind": "giou"}})


@pytest.mark.parametrize(
    ("file", "change", "refused"),
    [
        ("sabl_faster.py", ("num_buckets=14", "num_buckets=12"), "num_buckets=12 does not fit"),
        ("sabl_faster.py", ("reg_pre_kernel=3", "reg_pre_kernel=5"), "reg_pre_kernel=5 has no counterpart"),
        ("sabl_faster.py", ("num_reg_fcs=0", "num_reg_fcs=1"), "num_reg_fcs=1 has no counterpart"),
        ("sabl_faster.py", ("num_cls_fcs=1", "num_cls_fcs=2"), None),
        ("sabl_faster.py", ("scale_factor=1.7", "scale_factor=1.7, offset_topk=3"), ""),
        ("sabl_retina.py", ("scales=[4]", "scales=[8]"), "square_anchor_generator"),
        ("sabl_retina.py", ("scale_factor=3.0", "scale_factor=3.0, cls_ignore_neighbor=False"), ""),
        ("sabl_retina.py", ("type='SmoothL1Loss'", "type='GIoULoss'"), ""),
    ],
)
def test_other_settings_are_taken_over_or_refused(
    file: str, change: tuple[str, str], refused: str | None, tmp_path: Any
) -> None:
    """``refused``: what the error says; empty: training differs, which is noted; None: it is taken over."""
    write_all(tmp_path)
    text = (tmp_path / file).read_text()
    assert text.count(change[0]) == 1
    (tmp_path / file).write_text(text.replace(*change))
    if refused:
        with pytest.raises(ConfigError, match=refused):
            read_config(tmp_path / file)
        return
    imported = read_config(tmp_path / file)
    assert bool(imported.notes) == (refused == "")
    if refused is None:
        assert imported.recipe.model.box_head.fcs == 2  # pyright: ignore[reportAttributeAccessIssue]
