"""Every step of augmentation: objects stay on their pixels, chances are as said, and nothing depends on who works."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import detzoo
from detzoo.config import ConfigError, from_json, to_json, validate
from detzoo.data.augment import View, _inner_border, augment, mixed, to_input, whole
from detzoo.data.dataset import open_dataset
from detzoo.data.distort import distort, scale_saturation, turn_hue
from detzoo.data.loader import make_loader
from detzoo.data.source import as_data, shapes_data
from detzoo.detector import Input
from detzoo.recipes.augment import (
    CenterCropPad,
    Choice,
    Crop,
    Distort,
    Expand,
    Flip,
    IoUCrop,
    Mixup,
    Resize,
    Shift,
    Step,
)
from detzoo.recipes.columns import CORNERNET_AUGMENT, DETR_AUGMENT, SSD_AUGMENT, YOLO_AUGMENT
from detzoo.recipes.settings import Data
from detzoo.types import Targets
from tests.data_files import thing, write_coco
from tests.slow_boxes import slow_iou
from tests.test_data_loader import batches, same

HEIGHT, WIDTH = 120, 160
BOXES = np.array([[10, 12, 50, 40], [70, 20, 150, 60], [60, 70, 90, 118]])  # red, green, blue
INPUT = Input(short=90, long=140)
MEAN = [124, 116, 104]  # of INPUT, rounded
PIPELINES: dict[str, tuple[Step, ...]] = {
    "ssd": SSD_AUGMENT,
    "yolo": YOLO_AUGMENT,
    "detr": DETR_AUGMENT,
    "cornernet": CORNERNET_AUGMENT,
    "yolof": (Resize(), Flip(), Shift()),
}
GEOMETRY: dict[str, tuple[Step, ...]] = {
    "resize": (Resize(sizes=((50, 200), (200, 300))),),
    "range": (Resize(sizes=((50, 80), (200, 300)), mode="range"),),
    "stretch": (Resize(sizes=((200, 90),), keep_ratio=False),),
    "jitter": (Resize(jitter=(0.5, 2.0)),),
    "flip": (Flip(probability=1),),
    "expand": (Expand(probability=1),),
    "iou_crop": (IoUCrop(),),
    "crop": (Crop(size=(80, 70)),),
    "crop_range": (Crop(size=(40, 100), mode="pixels_range"),),
    "crop_part": (Crop(size=(0.5, 0.7), mode="part", allow_empty=True),),
    "crop_part_range": (Crop(size=(0.3, 0.3), mode="part_range"),),
    "center": (CenterCropPad(size=(90, 100), border=32),),
    "shift": (Shift(most=50, probability=1),),
    "choice": (Choice(options=((Flip(probability=1),), (Crop(size=(60, 60)), Resize()))),),
    "all": (Expand(probability=1), IoUCrop(), Shift(probability=1), Flip(), Resize(), CenterCropPad(size=(70, 80))),
    **{name: tuple(step for step in steps if step.kind != "distort") for name, steps in PIPELINES.items()},
}
every_geometry = pytest.mark.parametrize("name", GEOMETRY)


def picture() -> NDArray[np.uint8]:
    """Three filled rectangles of pure colours on black."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    for channel, (x0, y0, x1, y1) in enumerate(BOXES.tolist()):
        pixels[y0:y1, x0:x1, channel] = 255
    return pixels


def start(*ignored: int) -> View:
    return whole(picture(), BOXES, np.isin(np.arange(len(BOXES)), ignored), proposals=BOXES)


def run(view: View, steps: tuple[Step, ...], seed: int, **data: Any) -> View:
    return augment(view, steps, Data(**data), INPUT, np.random.default_rng(seed))


def extent(marks: NDArray[np.bool_]) -> list[int] | None:
    """The box around what is marked."""
    ys, xs = np.nonzero(marks)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(xs) else None


def mask(view: View, channel: int) -> NDArray[np.bool_]:
    """The view's own map of rows and columns, used the slow way on the file's mask of one rectangle."""
    file = picture()[..., channel] > 0
    out = np.zeros(view.size, dtype=bool)
    for y, row in enumerate(view.rows):
        for x, column in enumerate(view.columns):
            out[y, x] = row >= 0 and column >= 0 and file[row, column]
    return out


@every_geometry
@pytest.mark.parametrize("seed", range(4))
def test_boxes_masks_and_proposals_stay_on_their_pixels(name: str, seed: int) -> None:
    view = run(start(), GEOMETRY[name], seed)
    assert view.pixels.dtype == np.uint8
    assert view.pixels.shape[2] == 3
    assert (len(view.rows), len(view.columns)) == view.size
    assert len(view.boxes) == len(view.objects) == len(view.learned) >= (0 if name == "crop_part" else 1)
    grown = max(view.size) / min(HEIGHT, WIDTH)  # of a pixel of the file, where a view is stretched
    for box, channel in zip(view.boxes, view.objects.tolist(), strict=True):
        around = extent(view.pixels[..., channel] > 190)  # brighter than the mean colour
        if around is None:  # a sliver that resizing lost
            assert np.min(box[2:] - box[:2]) < 1.5 * max(grown, 1)
            continue
        assert np.abs(np.array(around) - box).max() <= max(grown, 1) + 0.5, (name, around, box)
        assert np.abs(np.array(extent(mask(view, channel))) - around).max() <= max(grown, 1) + 0.5
        assert any(np.allclose(box, proposal) for proposal in view.proposals)


@every_geometry
def test_only_what_is_cut_off_is_left_out(name: str) -> None:
    for seed in range(10):
        view = run(start(), GEOMETRY[name], seed)
        for channel in set(range(3)) - set(view.objects.tolist()):
            whole_area = np.prod(BOXES[channel][2:] - BOXES[channel][:2])
            scale = np.ptp(view.rows[view.rows >= 0]) * np.ptp(view.columns[view.columns >= 0])
            left = (view.pixels[..., channel] > 190).sum() / max(np.prod(view.size), 1) * scale
            assert left < whole_area * 0.8, "most of it is still there"


@pytest.mark.parametrize("name", [*GEOMETRY, "distort"])
def test_nothing_depends_on_anything_but_the_random_numbers(name: str) -> None:
    steps = GEOMETRY.get(name, (Distort(),))
    before = start()
    copy = before.pixels.copy()
    one, two = (run(before, steps, 7) for _ in range(2))
    assert np.array_equal(one.pixels, two.pixels)
    assert np.array_equal(one.boxes, two.boxes)
    assert np.array_equal(before.pixels, copy)
    assert np.array_equal(before.boxes, BOXES)


@every_geometry
def test_a_picture_without_objects(name: str) -> None:
    for seed in range(5):
        view = run(whole(picture(), np.zeros((0, 4)), np.zeros(0, dtype=bool)), GEOMETRY[name], seed)
        assert view.boxes.shape == (0, 4)
        assert view.objects.shape == (0,)


@every_geometry
def test_ignored_regions_go_along_and_are_not_looked_for(name: str) -> None:
    for seed in range(5):
        only = run(start(0, 1, 2), GEOMETRY[name], seed)
        assert not only.learned.any()
        some = run(start(0, 2), GEOMETRY[name], seed)
        assert np.array_equal(some.learned, some.objects == 1)
        assert some.learned.any() or name == "crop_part"


def test_the_plain_steps_draw_what_they_always_drew() -> None:
    """Size first, then the flip: runs that were begun before there were steps go on as they were."""
    rng = np.random.default_rng(3)
    sizes = ((40, 90), (50, 90), (60, 90))
    chosen, flipped = sizes[int(rng.integers(3))], rng.random() < 0.5
    view = run(start(), Data().augment, 3, sizes=sizes)
    assert min(view.size) == chosen[0]
    assert (view.columns[0] > view.columns[-1]) == flipped
    plain = to_input(start(), INPUT)
    assert plain.size == (90, 120)
    assert to_input(start(), INPUT.replace(resize=False)).size == (HEIGHT, WIDTH)
    assert run(start(), (Resize(),), 0).size == (90, 120)


def test_jitter_multiplies_both_edges() -> None:
    heights = {run(start(), (Resize(sizes=((60, 500),), jitter=(0.8, 1.2)),), seed).size[0] for seed in range(60)}
    assert min(heights) >= 48
    assert max(heights) <= 72
    assert len(heights) > 15


def test_expand() -> None:
    canvases = [run(start(), (Expand(ratio=(1, 3)),), seed) for seed in range(300)]
    larger = [view for view in canvases if view.size != (HEIGHT, WIDTH)]
    assert 120 < len(larger) < 180
    assert all(view.size[0] <= 3 * HEIGHT and view.size[1] <= 3 * WIDTH for view in larger)
    for view in larger[:20]:
        top, left = int((view.rows >= 0).argmax()), int((view.columns >= 0).argmax())
        inside = np.zeros(view.size, dtype=bool)
        inside[top : top + HEIGHT, left : left + WIDTH] = True
        assert np.array_equal(view.pixels[inside].reshape(HEIGHT, WIDTH, 3), picture())
        assert np.all(view.pixels[~inside] == MEAN)
        assert np.array_equal(view.boxes, BOXES + [left, top] * 2)
    swapped = INPUT.replace(order="bgr", mean=(1.0, 2.0, 3.0))
    view = augment(start(), (Expand(ratio=(2, 2), probability=1),), Data(), swapped, np.random.default_rng(0))
    assert (3, 2, 1) in {tuple(pixel) for pixel in view.pixels[:, 0].tolist()}


def window_of(view: View) -> list[int]:
    """Where a crop lies in the file: left, top, right, bottom."""
    return [view.columns[0], view.rows[0], view.columns[-1] + 1, view.rows[-1] + 1]


def test_iou_crops_keep_what_they_promise() -> None:
    """One object: the crop overlaps it by one of the IoUs, holds its centre, and is neither narrow nor flat."""
    box = np.array([[20.0, 20.0, 140.0, 110.0]])
    least, untouched = [], 0
    for seed in range(400):
        view = run(whole(picture(), box, np.zeros(1, dtype=bool)), (IoUCrop(min_ious=(0.3, 0.7)),), seed)
        if view.size == (HEIGHT, WIDTH):
            untouched += 1
            continue
        left, top, right, bottom = window_of(view)
        assert left < 80 < right
        assert top < 65 < bottom
        assert right - left >= 0.3 * WIDTH - 1
        assert bottom - top >= 0.3 * HEIGHT - 1
        assert 0.48 < (bottom - top) / (right - left) < 2.1
        least.append(slow_iou((left, top, right, bottom), box[0]))
    assert 60 < untouched < 200  # one mode in four, and rarely a crop of nearly everything
    assert min(least) < 0.3  # the mode without a bound
    assert sum(value >= 0.7 for value in least) > 60
    assert 60 < sum(0.3 <= value < 0.7 for value in least) < 260


def test_iou_crops_bound_every_object() -> None:
    steps = (IoUCrop(min_ious=(0.2,)),)
    for seed in range(200):
        view = run(start(), steps, seed)
        window = window_of(view)
        inside = [
            window[0] < (x0 + x1) / 2 < window[2] and window[1] < (y0 + y1) / 2 < window[3] for x0, y0, x1, y1 in BOXES
        ]
        assert view.objects.tolist() == np.flatnonzero(inside).tolist()


def test_crops_hold_an_object_unless_told_otherwise() -> None:
    tiny = np.array([[3.0, 4.0, 6.0, 6.0], [100.0, 90.0, 130.0, 110.0]])
    view = whole(picture(), tiny, np.array([False, True]))
    for seed in range(60):
        crop = run(view, (Crop(size=(8, 9)),), seed)
        assert crop.size == (8, 9)
        assert crop.learned.any()
        assert np.all(crop.boxes[:, 2:] > crop.boxes[:, :2])
    empties = [len(run(view, (Crop(size=(8, 9), allow_empty=True),), seed).boxes) == 0 for seed in range(60)]
    assert sum(empties) > 30
    assert run(view, (Crop(size=(500, 50)),), 0).size == (HEIGHT, 50)


@pytest.mark.parametrize(
    ("step", "lowest", "highest"),
    [
        (Crop(size=(40, 100), mode="pixels_range", allow_empty=True), (40, 40), (100, 100)),
        (Crop(size=(100, 600), mode="pixels_range", allow_empty=True), (100, 100), (120, 160)),
        (Crop(size=(0.5, 0.25), mode="part", allow_empty=True), (60, 40), (60, 40)),
        (Crop(size=(0.5, 0.25), mode="part_range", allow_empty=True), (60, 40), (120, 160)),
    ],
)
def test_sizes_of_crops(step: Crop, lowest: tuple[int, int], highest: tuple[int, int]) -> None:
    sizes = np.array([run(start(), (step,), seed).size for seed in range(200)])
    assert np.all(sizes >= lowest)
    assert np.all(sizes <= highest)
    spread = np.subtract(highest, lowest)
    assert np.all(np.ptp(sizes, axis=0) >= spread * 0.9)


def test_centre_crops_have_one_of_the_sizes_and_keep_off_the_border() -> None:
    step = CenterCropPad(size=(50, 60), ratios=(0.5, 1.0, 2.0), border=32)
    seen = set()
    for seed in range(200):
        view = run(start(), (step,), seed)
        seen.add(view.size)
        for places, edge, count in ((view.rows, HEIGHT, view.size[0]), (view.columns, WIDTH, view.size[1])):
            shown = np.flatnonzero(places >= 0)
            centre = int(places[shown[0]]) - int(shown[0]) + count // 2
            assert 32 <= centre < edge - 32
        empty = (view.rows < 0)[:, None] | (view.columns < 0)
        assert np.all(view.pixels[empty] == MEAN)
        assert len(view.boxes)
    assert seen == {(25, 30), (50, 60), (100, 120)}


@pytest.mark.parametrize("border", [1, 16, 128])
def test_the_border_is_halved_as_in_the_published_code(border: int) -> None:
    for edge in range(2, 700):
        ratio = 2 * border / edge
        halvings = math.ceil(math.log2(math.ceil(ratio))) + (ratio == int(ratio))
        assert _inner_border(border, edge) == border // 2**halvings
    assert _inner_border(border, 1) == 0


def test_a_centre_crop_reaches_objects_outside_of_every_border() -> None:
    corner = whole(picture(), np.array([[0.0, 0.0, 4.0, 6.0]]), np.zeros(1, dtype=bool))
    for seed in range(5):
        view = run(corner, (CenterCropPad(size=(10, 12), border=48),), seed)
        assert view.learned.tolist() == [True]


def test_shifts_move_and_never_lose_the_last_object() -> None:
    moved = 0
    for seed in range(200):
        view = run(start(), (Shift(most=20),), seed)
        assert view.size == (HEIGHT, WIDTH)
        moved += not np.array_equal(view.pixels, picture())
        assert np.all(view.pixels[view.rows < 0] == 0)
        assert abs(int(view.rows.max()) - int((view.rows >= 0).sum()) + 1) <= 20
    assert 70 < moved < 130
    corner = whole(picture(), np.array([[150.0, 110.0, 160.0, 120.0]]), np.zeros(1, dtype=bool))
    for seed in range(40):
        assert len(run(corner, (Shift(most=300, probability=1),), seed).boxes) == 1


def test_every_option_of_a_choice_is_as_likely() -> None:
    step = Choice(options=((), (Flip(probability=1),), (Crop(size=(50, 50)),)))
    found = [run(start(), (step,), seed) for seed in range(300)]
    cropped = sum(view.size == (50, 50) for view in found)
    flipped = sum(view.columns[0] == WIDTH - 1 and view.size != (50, 50) for view in found)
    assert 70 < cropped < 130
    assert 70 < flipped < 130


def noise(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).integers(0, 256, (40, 50, 3)).astype(np.float32)


@pytest.mark.parametrize("factor", [0.0, 0.5, 0.9, 1.0, 1.5, 4.0])
def test_saturation_equals_opencv(factor: float) -> None:
    hsv = cv2.cvtColor(noise(), cv2.COLOR_RGB2HSV)
    hsv[..., 1] = (hsv[..., 1] * factor).clip(0, 1)
    theirs = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    assert np.abs(scale_saturation(noise(), factor) - theirs).max() < 0.05


@pytest.mark.parametrize("degrees", [-180.0, -18.0, -0.3, 0.0, 7.0, 18.0, 120.0])
def test_hue_equals_opencv(degrees: float) -> None:
    hsv = cv2.cvtColor(noise(), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + degrees) % 360
    theirs = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    assert np.abs(turn_hue(noise(), degrees) - theirs).max() < 0.05


def test_grey_stays_grey() -> None:
    grey = np.repeat(noise()[..., :1], 3, axis=2)
    assert np.array_equal(scale_saturation(grey, 1.5), grey)
    assert np.array_equal(turn_hue(grey, 18), grey)
    black = np.full((2, 2, 3), -7, dtype=np.float32)  # after brightness went down
    assert np.array_equal(scale_saturation(black, 1.5), black)


def slow_distort(pixels: NDArray[np.uint8], step: Distort, rng: np.random.Generator) -> NDArray[Any]:
    """What OpenCV makes of the same random numbers, one change at a time."""
    last, brighter, contrast, saturate, turn, swap = (rng.random(6) < 0.5).tolist()
    image = pixels.astype(np.float32)
    image = image + np.float32(rng.uniform(-step.brightness, step.brightness)) if brighter else image
    factor = np.float32(rng.uniform(*step.contrast)) if contrast else np.float32(1)
    image = image * factor if not last else image
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    if saturate:
        hsv[..., 1] = (hsv[..., 1] * rng.uniform(*step.saturation)).clip(0, 1)
    if turn:
        hsv[..., 0] = (hsv[..., 0] + rng.uniform(-step.hue, step.hue)) % 360
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    image = image * factor if last else image
    return image[..., rng.permutation(3)] if swap else image


def test_distortion_is_that_of_opencv_rounded() -> None:
    pixels = noise(1).clip(60, 255).astype(np.uint8)  # OpenCV's HSV has no meaning below zero
    for seed in range(64):
        ours = distort(pixels, Distort(), np.random.default_rng(seed))
        theirs = slow_distort(pixels, Distort(), np.random.default_rng(seed))
        assert ours.dtype == np.uint8
        assert np.abs(ours - theirs.clip(0, 255)).max() < 0.55


def test_each_change_comes_half_of_the_time() -> None:
    pixels = np.array([[[200, 100, 50]]], dtype=np.uint8)
    still = {"brightness": 0.0, "contrast": (1.0, 1.0), "saturation": (1.0, 1.0), "hue": 0.0}
    changes: dict[str, Any] = {"brightness": 32.0, "contrast": (1.2, 1.4), "saturation": (0.5, 0.6), "hue": 18.0}
    for name, value in changes.items():
        step = Distort(**{**still, name: value})
        found = [sorted(distort(pixels, step, np.random.default_rng(seed))[0, 0].tolist()) for seed in range(200)]
        assert 75 < sum(one != [50, 100, 200] for one in found) < 125, name
    swapped = [distort(pixels, Distort(**still), np.random.default_rng(s))[0, 0].tolist() for s in range(240)]
    assert 75 < sum(one != [200, 100, 50] for one in swapped) < 125  # half of the time, and then in 5 of 6 orders
    assert len({tuple(one) for one in swapped}) == 6


@pytest.mark.parametrize("name", PIPELINES)
def test_a_data_set_goes_through_every_published_pipeline(name: str) -> None:
    data = shapes_data(4, 1).replace(augment=PIPELINES[name])
    dataset = open_dataset(data, "train", Input(short=64, long=96), True)
    for index in range(4):
        for seed in range(3):
            sample = dataset.sample(index, np.random.default_rng(seed))
            target = sample.target
            height, width = sample.pixels.shape[1:]
            assert sample.pixels.is_contiguous()
            assert target["masks"].shape == (len(target["boxes"]), height, width)
            assert len(target["boxes"]) == len(target["labels"]) == len(target["ignore"]) >= 1
            for box, drawn in zip(target["boxes"].numpy(), target["masks"].dense().numpy(), strict=True):
                around = extent(drawn)
                if around is not None:  # within its box, whatever part of it others hide
                    assert np.all(np.array(around[:2]) >= box[:2] - 2 - 0.02 * width)
                    assert np.all(np.array(around[2:]) <= box[2:] + 2 + 0.02 * width)
            Targets.pack([target])


def test_labels_and_ignored_regions_follow_their_boxes(tmp_path: Any) -> None:
    objects = [
        thing(1, 1, [0, 0, 10, 8], 2),
        thing(2, 1, [20, 0, 10, 8], 1, iscrowd=1),
        thing(3, 1, [4, 12, 8, 8], 1),
        thing(4, 1, [1, 1, 0.5, 4], 2),  # too narrow to be learned
    ]
    write_coco(tmp_path, objects, images=(1,), categories={1: "cat", 2: "dog"})
    data = as_data(tmp_path).replace(augment=(Crop(size=(9, 12), allow_empty=True),))
    dataset = open_dataset(data, "train", Input(), True)
    expected = {(0, 0): (1, False), (20, 0): (0, True), (4, 12): (0, False)}
    met = set()
    for seed in range(80):
        target = dataset.sample(0, np.random.default_rng(seed)).target
        kinds = list(zip(target["labels"].tolist(), target["ignore"].tolist(), strict=True))
        assert set(kinds) <= set(expected.values())
        met |= {tuple(kinds)}
        Targets.pack([target])
    assert () in met
    assert {one for kinds in met for one in kinds} == set(expected.values())


def test_mixtures_show_both_pictures_and_all_objects() -> None:
    data = shapes_data(4, 1).replace(augment=(Mixup(epochs=1), Resize()), masks=False)
    dataset = open_dataset(data, "train", Input(resize=False), True)
    met = set()
    for seed in range(6):
        mixture = dataset.sample(0, np.random.default_rng(seed))
        shares = mixture.target["shares"]
        assert len(shares) == len(mixture.target["boxes"]) == len(mixture.target["labels"])
        first, second = shares[0], shares[-1]
        assert float(first + second) == pytest.approx(1)
        count = int((shares == first).sum())
        pure = dataset.sample(0, np.random.default_rng(seed), epoch=1)  # nothing is mixed any more
        assert "shares" not in pure.target
        assert torch.equal(mixture.target["boxes"][:count], pure.target["boxes"])
        met.add(len(shares))
        packed = Targets.pack([mixture.target, pure.target])
        assert packed.shares is not None
        assert packed.shares[1, : len(pure.target["boxes"])].eq(1).all()
    assert len(met) > 1
    one, other = (
        whole(np.full((2, width, 3), grey, np.uint8), np.zeros((1, 4)), np.zeros(1, bool))
        for grey, width in ((100, 3), (200, 2))
    )
    assert mixed(one, other, 0.25).pixels[..., 0].tolist() == [[175, 175, 25]] * 2
    assert mixed(one, other, 0.25).objects.tolist() == [0, 1]


def test_mixtures_come_first_and_without_masks() -> None:
    with pytest.raises(ConfigError, match="first step"):
        validate(Data, {"augment": [{"kind": "flip"}, {"kind": "mixup"}]})
    with pytest.raises(ConfigError, match="masks"):
        validate(Data, {"augment": [{"kind": "mixup"}], "masks": True})


# Python 3.12 and later warn when a process with threads forks, as DataLoader does
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_variation_does_not_depend_on_the_number_of_workers() -> None:
    data = shapes_data(6, 1).replace(augment=SSD_AUGMENT)
    dataset = open_dataset(data, "train", Input(short=48, long=48, keep_ratio=False), True)
    alone, helped = (make_loader(dataset, 3, train=True, workers=workers, seed=3) for workers in (0, 2))
    for epoch in (0, 1):
        pairs = list(zip(batches(alone, epoch), batches(helped, epoch), strict=True))
        assert all(same(one, two) for one, two in pairs)
    assert not same(batches(alone, 0)[0], batches(alone, 1)[0])


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("ssd300_coco", ("expand", "iou_crop", "resize", "flip", "distort")),
        ("ssd512_coco", ("expand", "iou_crop", "resize", "flip", "distort")),
        ("yolov3_d53_320_273e_coco", ("expand", "iou_crop", "resize", "flip", "distort")),
        ("yolov3_d53_mstrain-608_273e_coco", ("expand", "iou_crop", "resize", "flip", "distort")),
        ("cornernet_hourglass104_mstest_8x6_210e_coco", ("distort", "center_crop_pad", "resize", "flip")),
        ("faster_rcnn_r50_fpn_1x_coco", ("resize", "flip")),
        ("ssd_vgg11_shapes", ("resize", "flip")),
        ("cornernet_hourglass_shapes", ("resize", "flip")),
    ],
)
def test_published_recipes_vary_pictures_as_they_were_published(name: str, steps: tuple[str, ...]) -> None:
    assert tuple(step.kind for step in detzoo.find(name).data.augment) == steps


@pytest.mark.parametrize("steps", [*PIPELINES.values(), (Choice(options=((Crop(),), (Shift(),))),), ()])
def test_steps_survive_json(steps: tuple[Step, ...]) -> None:
    data = Data(augment=steps)
    assert from_json(Data, to_json(data)) == data


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"kind": "resice"}, "resice"),
        ({"kind": "expand", "ration": 2}, "did you mean 'ratio'"),
        ({"kind": "expand", "ratio": (0.5, 2)}, "ratio must rise from 1"),
        ({"kind": "resize", "sizes": ((0, 5),)}, "at least one pixel"),
        ({"kind": "resize", "jitter": (0.0, 1.0)}, "above 0"),
        ({"kind": "resize", "jitter": (1.2, 0.8)}, "jitter must rise"),
        ({"kind": "distort", "contrast": (1.5, 0.5)}, "contrast must rise"),
        ({"kind": "crop", "size": (10.5, 20)}, "whole numbers"),
        ({"kind": "crop", "size": (600, 384), "mode": "pixels_range"}, "size must rise"),
        ({"kind": "crop", "size": (384, 600), "mode": "part"}, "at most 1"),
        ({"kind": "center_crop_pad", "ratios": ()}, "at least 2 pixels"),
        ({"kind": "choice", "options": ()}, "options"),
        ({"kind": "choice", "options": [[{"kind": "choice", "options": [[]]}]]}, "choice"),
    ],
)
def test_steps_that_cannot_be_meant_are_refused(step: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(Data, {"augment": [step]})


def test_sizes_that_no_step_uses_are_refused() -> None:
    sizes = ((60, 90),)
    assert Data(sizes=sizes, augment=DETR_AUGMENT).sizes == sizes
    for steps in (CORNERNET_AUGMENT, (Flip(),), (Choice(options=((Resize(sizes=sizes),), (Flip(),))),)):
        with pytest.raises(ConfigError, match="sizes are not used"):
            validate(Data, {"sizes": sizes, "augment": steps})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mask_rcnn_r50_fpn_instaboost_4x_coco", "instaboost"),
        ("mask_rcnn_r50_fpn_albu_1x_coco", r"albu \(ShiftScaleRotate, .*, Blur, MedianBlur\)"),
    ],
)
def test_what_is_not_built_is_refused_before_anything_is_read_or_written(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    why = f"^data.augment has {said}, which is not built here, so that training would not be as published; to train "
    mend = 'data.augment=[{"kind":"resize"},{"kind":"flip"}]'
    with pytest.raises(ConfigError, match=f"{why}without it, set {re.escape(mend)}$"):
        detzoo.train(name, progress=False)
    assert not list(tmp_path.iterdir())
    data = detzoo.find(name).data
    with pytest.raises(ConfigError, match=why):
        open_dataset(data, "train", Input(), augment=True)
    with pytest.raises(FileNotFoundError, match="annotations"):  # images that are only looked at are not varied
        open_dataset(data, "val", Input(), augment=False)
    with pytest.raises(FileNotFoundError, match="annotations"):
        detzoo.train(name, out=tmp_path / "run", device="cpu", overrides=[mend], progress=False)
