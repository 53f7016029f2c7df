"""Several views of a picture, and one result of all."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou

import detzoo
from detzoo import TTA
from detzoo.config import ConfigError
from detzoo.data.proposals import write_proposals
from detzoo.data.resize import resize
from detzoo.detector import Detector, DetectorConfig, Input
from detzoo.evaluate.tta import NMS, _voted, suppression_of
from detzoo.methods.centripetalnet import CentripetalNet
from detzoo.methods.cornernet import CornerNet
from detzoo.methods.deformable_detr import DeformableDETR
from detzoo.methods.detr import DETR
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.rpn import RPNDetector
from detzoo.methods.sparse_rcnn import SparseRCNN
from detzoo.ops.mask_windows import MaskWindows
from detzoo.ops.roi_align import crop_targets
from detzoo.ops.soft_nms import soft_nms
from detzoo.recipes.recipe import METHODS
from detzoo.tta import pick_tta
from detzoo.typed import with_value
from detzoo.types import Detections, Images
from tests.oracle import scene, write_coco
from tests.tiny import METHOD_IDS, tiny

ALL = TTA(scales=(0.5, 1.0, (96, 128)), flip=True, vertical=True)
INPUT = Input(short=64, long=96, multiple=16, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Spots(Detector):
    """Finds what is bright in each channel, wherever it is: mirrored pictures give mirrored results, exactly.

    With ``reported`` it returns the boxes that it is given instead.
    """

    def __init__(self, dense: bool = False, reported: bool = False) -> None:
        super().__init__(DetectorConfig(input=INPUT), ("red", "green", "blue"))
        self.dense, self.takes_proposals = dense, reported  # pyright: ignore[reportAttributeAccessIssue]
        self.calls: list[tuple[int, ...]] = []

    def detect(self, images: Images, proposals: Tensor | None = None) -> Detections:
        self.calls.append(tuple(images.pixels.shape))
        inside = images.pixels > 127
        canvas = (inside.shape[2], inside.shape[3])
        scores = torch.tensor([0.9, 0.8, 0.7]).expand(len(inside), -1)
        labels = torch.arange(3).expand(len(inside), -1)
        if proposals is not None:
            assert proposals.shape[1] == 4
            return Detections(proposals[:, :3], scores, labels, scores > 0)
        rows, columns = inside.any(3), inside.any(2)
        boxes = torch.stack([f(axis) for f in (first, last) for axis in (columns, rows)], -1)
        if self.dense:
            return Detections(boxes, scores, labels, inside.any(3).any(2), dense=inside)
        crops = crop_targets(MaskWindows.of(inside), boxes, labels, 28)
        return Detections(boxes, scores, labels, inside.any(3).any(2), crops=crops, canvas=canvas)


def first(used: Tensor) -> Tensor:
    return used.float().argmax(-1).float()


def last(used: Tensor) -> Tensor:
    return used.shape[-1] - used.flip(-1).float().argmax(-1).float()


def spotted(seed: int, height: int, width: int) -> np.ndarray:
    """A picture with a triangle in each channel."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.uint8)
    for channel in range(3):
        h, w = int(random.integers(height // 3, height // 2)), int(random.integers(width // 3, width // 2))
        y, x = random.integers(0, height - h), random.integers(0, width - w)
        picture[y : y + h, x : x + w, channel] = 255 * np.tri(h, w, w - h, dtype=np.uint8)
    return picture


def noise(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def mask_rcnn() -> Detector:
    detector = tiny(MaskRCNN, box_head={"detections": 12})
    detector.config = detector.config.replace(input=detector.config.input.replace(short=64, long=96))
    return detector.eval()


@pytest.mark.parametrize("dense", [False, True])
def test_mirrored_views_of_a_symmetric_detector_change_nothing(dense: bool) -> None:
    detector, picture = Spots(dense), spotted(0, 64, 80)
    (plain,) = detector.predict(picture)
    (merged,) = detector.predict(picture, tta=TTA(vertical=True))
    assert torch.equal(merged.boxes, plain.boxes)
    assert torch.equal(merged.scores, plain.scores)
    assert torch.equal(merged.labels, plain.labels)
    assert plain.masks is not None
    assert merged.masks is not None
    assert plain.masks.flatten(1).any(1).all()
    assert (merged.masks != plain.masks).float().mean() < 1e-3  # crops are sampled between the pixels


@pytest.mark.parametrize("dense", [False, True])
def test_scales_of_a_symmetric_detector_agree(dense: bool) -> None:
    """But for two pixels of the coarsest view, in which the triangles lose their tips."""
    picture = spotted(1, 150, 130)
    (merged,) = Spots(dense).predict(picture, tta=ALL)
    assert merged.labels.tolist() == [0, 1, 2]
    assert merged.masks is not None
    for label, (box, mask) in enumerate(zip(merged.boxes.tolist(), merged.masks, strict=True)):
        inside = torch.from_numpy(picture[..., label] > 127)
        rows, columns = inside.any(1), inside.any(0)
        assert box == pytest.approx([float(f(axis)) for f in (first, last) for axis in (columns, rows)], abs=8)
        assert (mask & inside).sum() / (mask | inside).sum() > 0.85


def test_one_view_is_the_plain_result() -> None:
    detector, picture = mask_rcnn(), noise(0, 70, 90)
    (plain,) = detector.predict(picture, threshold=0)
    assert len(plain) > 0
    for views in (TTA(flip=False), TTA(scales=((64, 96),), flip=False), False, None):
        (same,) = detector.predict(picture, threshold=0, tta=views)
        for name in ("boxes", "scores", "labels", "masks"):
            assert torch.equal(getattr(same, name), getattr(plain, name))


def test_merging_equals_a_slow_derivation() -> None:
    detector, picture = mask_rcnn(), noise(1, 70, 90)
    views = TTA(scales=(1.0, 0.75), vertical=True)
    found: list[tuple[float, int, Tensor, Tensor, int]] = []  # score, class, box, crop, view
    for view, (scale, axis) in enumerate(itertools.product((1.0, 0.75), (None, 1, 0))):
        short, long = int(64 * scale), int(96 * scale)
        pixels, _ = resize(picture, detector.config.input.replace(short=short, long=long))
        pixels = pixels if axis is None else pixels.flip(axis + 1)
        height, width = pixels.shape[1:]
        padded = F.pad(pixels, (0, -width % 32, 0, -height % 32))[None]
        with torch.inference_mode():
            one = detector.detect(detector.normalize(padded, torch.tensor([[height, width]])))[0]
        assert one.crops is not None
        for box, score, label, crop in zip(one.boxes, one.scores, one.labels, one.crops, strict=True):
            x1, y1, x2, y2 = (box / torch.tensor([width, height] * 2) * torch.tensor([90, 70] * 2)).tolist()
            x1, x2 = (90 - x2, 90 - x1) if axis == 1 else (x1, x2)
            y1, y2 = (70 - y2, 70 - y1) if axis == 0 else (y1, y2)
            turned = crop if axis is None else crop.flip(1 if axis == 1 else 0)
            found.append((float(score), int(label), torch.tensor([x1, y1, x2, y2]), turned, view))
    found.sort(key=lambda one: -one[0])
    groups: list[list[Any]] = []  # what is kept, then what it suppresses
    for one in found:
        own = [group for group in groups if group[0][1] == one[1] and overlap(group[0], one) > 0.5]
        (own[0] if own else groups.append([]) or groups[-1]).append(one)
    groups = groups[:12]
    assert len(found) > 1.5 * len(groups)
    (merged,) = detector.predict(picture, threshold=0, tta=views)
    assert len(merged) == len(groups)
    torch.testing.assert_close(merged.boxes, torch.stack([group[0][2] for group in groups]), atol=1e-3, rtol=0)
    torch.testing.assert_close(merged.scores, torch.tensor([group[0][0] for group in groups]))
    assert merged.labels.tolist() == [group[0][1] for group in groups]
    wanted = []
    for group in groups:
        views_of_it: dict[int, Any] = {group[0][4]: group[0]}
        for one in group[1:]:
            held = views_of_it.get(one[4])
            if one[4] != group[0][4] and (held is None or overlap(group[0], one) > overlap(group[0], held)):
                views_of_it[one[4]] = one
        wanted.append(torch.stack([on_box(one[3], one[2], group[0][2]) for one in views_of_it.values()]).mean(0))
    assert any(len({one[4] for one in group}) > 1 for group in groups)
    crops = merged._found.crops
    assert crops is not None
    torch.testing.assert_close(crops, torch.stack(wanted), atol=2e-4, rtol=0)


def test_boxes_of_all_views_vote() -> None:
    """As PaddleDetection's multi-scale test: one suppression over all boxes of all views, then means by scores."""
    whole = tiny(FasterRCNN, box_head={"nms": 1.0, "detections": 400, "candidates": 400, "threshold": 0.2}).eval()
    detector = tiny(FasterRCNN, box_head={"nms": 0.5, "detections": 9, "candidates": 400, "threshold": 0.2}).eval()
    detector.load_state_dict(whole.state_dict())
    for one in (whole, detector):
        one.config = one.config.replace(input=one.config.input.replace(short=64, long=96))
    picture = noise(5, 70, 90)
    found: list[tuple[float, int, list[float]]] = []
    for size in ((64, 96), (48, 72)):
        for axes in ((), (1,)):
            views = TTA(scales=(size,), flip=False)
            turned = np.ascontiguousarray(picture[:, ::-1]) if axes else picture
            (one,) = whole.predict(turned, threshold=0, tta=views)
            for (x1, y1, x2, y2), score, label in zip(one.boxes.tolist(), one.scores, one.labels, strict=True):
                box = [90 - x2, y1, 90 - x1, y2] if axes else [x1, y1, x2, y2]
                found.append((float(score), int(label), box))
    found.sort(key=lambda one: -one[0])
    iou = box_iou(torch.tensor([one[2] for one in found]), torch.tensor([one[2] for one in found])).tolist()
    kept: list[int] = []
    for number, one in enumerate(found):
        if all(found[other][1] != one[1] or iou[other][number] <= 0.5 for other in kept):
            kept.append(number)
    wanted, voters = [], []
    for number in kept[:9]:
        near = [one for other, one in enumerate(found) if one[1] == found[number][1] and iou[number][other] >= 0.4]
        total = sum(score for score, _, _ in near)
        wanted.append([sum(score * box[edge] for score, _, box in near) / total for edge in range(4)])
        voters.append(len(near))
    assert len(kept) > 9
    assert max(voters) > 4  # some of them of one view, which its own suppression would have dropped
    (merged,) = detector.predict(picture, threshold=0, tta=TTA(scales=((64, 96), (48, 72)), first_nms=False, votes=0.4))
    assert merged.labels.tolist() == [found[number][1] for number in kept[:9]]
    torch.testing.assert_close(merged.scores, torch.tensor([found[number][0] for number in kept[:9]]))
    torch.testing.assert_close(merged.boxes, torch.tensor(wanted), atol=1e-3, rtol=0)
    assert detector.box_head.config.detections == 9  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match="second stage"):
        Spots().predict(picture, tta=TTA(first_nms=False))


def test_votes_without_any_weight_leave_a_box_as_it_is() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    labels, rows = torch.zeros(2, dtype=torch.long), torch.tensor([0, 1])
    assert torch.equal(_voted(boxes, torch.tensor([0.5, 0.0]), labels, rows, 0.9), boxes)


def test_masks_stay_where_they_are_when_boxes_are_voted() -> None:
    detector, picture = mask_rcnn(), noise(1, 70, 90)
    plain, voted = (detector.predict(picture, threshold=0, tta=TTA(votes=votes))[0] for votes in (None, 0.5))
    assert not torch.equal(plain.boxes, voted.boxes)
    assert plain.masks is not None
    assert voted.masks is not None
    assert torch.equal(plain.masks, voted.masks)


def overlap(one: Any, other: Any) -> float:
    return float(box_iou(one[2][None], other[2][None]))


def on_box(crop: Tensor, box: Tensor, target: Tensor) -> Tensor:
    """A mask on the grid of another box."""
    steps = (torch.arange(crop.shape[-1]) + 0.5) / crop.shape[-1]
    at = target[:2] + steps[:, None] * (target[2:] - target[:2])
    place = (at - box[:2]) / (box[2:] - box[:2]) * 2 - 1
    grid = torch.stack(torch.meshgrid(place[:, 0], place[:, 1], indexing="xy"), -1)
    return F.grid_sample(crop[None, None], grid[None], align_corners=False)[0, 0]


def test_results_do_not_hang_on_the_batch_and_stay_in_order() -> None:
    pictures = [spotted(seed, *size) for seed, size in enumerate([(64, 80), (80, 64), (150, 130), (64, 80), (60, 66)])]
    alone = [Spots().predict(picture, tta=ALL)[0] for picture in pictures]
    detector = Spots()
    together = detector.predict(pictures, tta=ALL, batch=8)
    assert len(detector.calls) < 9 * len(pictures)
    for one, other, picture in zip(alone, together, pictures, strict=True):
        assert other.size == picture.shape[:2]
        assert torch.equal(one.boxes, other.boxes)
        assert one.masks is not None
        assert other.masks is not None
        assert torch.equal(one.masks, other.masks)


def test_nothing_found_is_nothing_merged() -> None:
    (nothing,) = Spots().predict(np.zeros((64, 80, 3), np.uint8), tta=ALL)
    assert len(nothing) == 0
    assert nothing.masks is not None
    assert nothing.masks.shape == (0, 64, 80)
    half = spotted(2, 64, 80)
    half[..., :2] = 0
    (one,) = Spots().predict(half, tta=True)
    assert one.labels.tolist() == [2]


@pytest.mark.parametrize("method", METHODS, ids=METHOD_IDS)
def test_each_method_merges_by_its_own_suppression(method: type[Detector]) -> None:
    detector: Any = tiny(method)
    settings, rule = detector.config, suppression_of(detector)
    if method in (DETR, DeformableDETR, SparseRCNN):
        assert (rule.nms, rule.soft, rule.detections) == (NMS, None, settings.detections)
    elif method is RPNDetector:
        assert (rule.nms, rule.soft, rule.detections) == (settings.rpn.nms, None, settings.rpn.proposals)
    elif method in (CentripetalNet, CornerNet):
        assert rule.soft == {"method": "gaussian", "sigma": 0.5, "min_score": 0.001}
        assert rule.detections == settings.head.detections
    else:
        head = getattr(settings, "box_head", None) or settings.head
        assert (rule.nms, rule.soft, rule.detections) == (head.nms, None, head.detections)
    assert suppression_of(detector, 0.3).nms == 0.3


def test_soft_suppression_merges_softly() -> None:
    detector = tiny(CornerNet).eval()
    picture = noise(3, 100, 120)
    plain, mirror = (detector.predict(one, threshold=0)[0] for one in (picture, np.ascontiguousarray(picture[:, ::-1])))
    x1, y1, x2, y2 = mirror.boxes.unbind(1)
    boxes = torch.cat([plain.boxes, torch.stack([120 - x2, y1, 120 - x1, y2], 1)])
    scores, labels = torch.cat([plain.scores, mirror.scores]), torch.cat([plain.labels, mirror.labels])
    valid = torch.ones(1, len(boxes), dtype=torch.bool)
    left, _ = soft_nms(boxes[None], scores[None], valid, labels[None], method="gaussian", limit=10)
    best, order = left[0].sort(descending=True)
    (merged,) = detector.predict(picture, threshold=0, tta=True)
    assert len(merged) == 10
    torch.testing.assert_close(merged.scores, best[:10], atol=1e-4, rtol=0)
    torch.testing.assert_close(merged.boxes, boxes[order[:10]], atol=1e-2, rtol=0)


def test_evaluate_merges_what_predict_does(tmp_path: Path) -> None:
    sizes = [(90, 120), (120, 80)]
    folder = write_coco(tmp_path / "data", scene(0, sizes, {1: "disc", 2: "box", 3: "star"}))
    detector, out = mask_rcnn(), tmp_path / "found.json"
    views = {"scales": [0.5, 1.0], "flip": True}
    report = detzoo.evaluate(detector, folder, batch=2, workers=0, progress=False, tta=views, results=out)
    assert {"box_ap", "mask_ap"} <= set(report.metrics)
    found = json.loads(out.read_text())
    files = sorted((folder / "images").iterdir())
    for number, result in enumerate(detector.predict(files, threshold=0, batch=2, tta="flip,0.5,1")):
        mine = [one for one in found if one["image_id"] == 100 - 7 * number]
        wanted = result.to_coco(100 - 7 * number)
        assert [one["segmentation"]["counts"] for one in mine] == [one["segmentation"]["counts"] for one in wanted]
        np.testing.assert_allclose([one["bbox"] for one in mine], [one["bbox"] for one in wanted], atol=1e-3)


def test_given_boxes_are_mirrored_with_the_picture(tmp_path: Path) -> None:
    contents = scene(0, [(90, 120), (120, 80)], {1: "red", 2: "green", 3: "blue"})
    folder = write_coco(tmp_path / "data", contents)
    boxes = {image["id"]: np.array([[5, 6, 50, 60, 0.9], [30, 20, 70, 40, 0.8], [10, 40, 35, 85, 0.7]], np.float32)
             for image in contents["images"]}  # fmt: skip
    write_proposals(tmp_path / "boxes.safetensors", boxes)
    data = {"root": str(folder), "val": [{"images": "images", "annotations": "val.json",
             "proposals": str(tmp_path / "boxes.safetensors")}]}  # fmt: skip
    out = tmp_path / "found.json"
    detzoo.evaluate(Spots(reported=True), data, workers=0, progress=False, tta=ALL, results=out)
    for image, given in boxes.items():
        found = [one["bbox"] for one in json.loads(out.read_text()) if one["image_id"] == image]
        corners = given[:, :4].copy()
        corners[:, 2:] -= corners[:, :2]
        np.testing.assert_allclose(found, corners, atol=1e-2)


def test_views_in_words() -> None:
    assert pick_tta(True) == pick_tta("flip") == TTA() == TTA(scales=(1,), flip=True)
    assert pick_tta("flip, 0.5,1,600x900") == TTA(scales=(0.5, 1.0, (600, 900)))
    assert pick_tta("vertical") == TTA(flip=False, vertical=True)
    assert pick_tta("0.5") == TTA(scales=(0.5,), flip=False)
    assert pick_tta({"scales": [2]}) == TTA(scales=(2.0,))
    assert pick_tta("1") is pick_tta(False) is pick_tta(None) is None
    scnet = detzoo.find("scnet_r50_fpn_1x_coco").published
    assert scnet is not None
    assert pick_tta("published", scnet.tta) == scnet.tta
    assert scnet.tta is not None
    assert len(scnet.tta.scales) == 5
    wrong: Any
    for wrong in ("flop", "flip,published", "published", "", "0", "99", 3, [0.5], {"scale": [1]}, {"scales": []}):
        with pytest.raises(ConfigError):
            pick_tta(wrong)
    for wrong in ("flip,0", "100000", "0x100", ",".join(["1"] * 21)):
        with pytest.raises(ConfigError, match=f"tta='{wrong}': at most 20 sizes, factors above 0 and up to 16"):
            pick_tta(wrong)
    assert with_value(["predict", "--tta", "a.pth", "b"]) == ["predict", "--tta=flip", "a.pth", "b"]
    assert with_value(["x", "--tta", "flip,0.5", "--tta"]) == ["x", "--tta", "flip,0.5", "--tta=flip"]


def test_published_views_are_those_of_the_recipe() -> None:
    detector = mask_rcnn()
    detector.recipe = detzoo.find("cornernet_hourglass104_mstest_8x6_210e_coco")
    picture = noise(4, 70, 90)
    published, flipped, plain = (
        detector.predict(picture, threshold=0, tta=tta)[0] for tta in ("published", True, None)
    )
    assert torch.equal(published.scores, flipped.scores)
    assert not torch.equal(published.scores, plain.scores)
    detector.recipe = None
    with pytest.raises(ConfigError, match="published"):
        detector.predict(picture, tta="published")
