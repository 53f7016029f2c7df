import functools
import itertools
import math
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detzoo.data.canvases import canvas, canvases, of_one_canvas
from detzoo.data.dataset import Dataset, open_dataset
from detzoo.data.images import ImageError
from detzoo.data.loader import Loader, make_loader
from detzoo.data.order import evaluation_batches, repeat_factors, training_batches
from detzoo.data.source import as_data, shapes_data
from detzoo.detector import Input
from detzoo.types import Batch
from tests.data_files import thing, write_coco

# Python 3.12 and later warn when a process with threads forks, as DataLoader does
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@functools.cache
def shapes(train: int = 10, val: int = 7, repeat: int = 1) -> dict[str, Dataset]:
    data = shapes_data(train, val).replace(sizes=((40, 60), (48, 80)), size_mode="range", repeat=repeat)
    return {
        "train": open_dataset(data, "train", Input(short=40, long=60, multiple=16), True),
        "val": open_dataset(data, "val", Input(short=40, long=60, multiple=16), False),
    }


def batches(loader: Loader, epoch: int = 0, start: int = 0) -> list[Batch]:
    loader.set_epoch(epoch, start)
    return list(loader)


def same(first: Batch, second: Batch) -> bool:
    masks = first.targets.masks, second.targets.masks
    assert masks[0] is not None
    assert masks[1] is not None
    pairs = [
        (first.pixels, second.pixels),
        (first.sizes, second.sizes),
        (first.targets.boxes, second.targets.boxes),
        (masks[0].dense(), masks[1].dense()),
    ]
    return first.ids == second.ids and all(torch.equal(one, two) for one, two in pairs)


def test_a_batch_is_padded_to_a_multiple() -> None:
    data = shapes()["val"]
    read = batches(make_loader(data, 3, train=False, workers=0))
    batch = next(batch for batch in read if len(batch.ids) > 1)
    high, wide = batch.sizes.amax(dim=0).tolist()
    height, width = batch.pixels.shape[2:]
    assert (height % 16, width % 16) == (0, 0)
    assert height - 16 < high <= height
    assert width - 16 < wide <= width
    assert batch.targets.masks is not None
    assert batch.targets.masks.shape[2:] == (height, width)
    for slot, number in enumerate(batch.ids):
        h, w = batch.sizes[slot].tolist()
        sample = data[int(number)]
        assert torch.equal(batch.pixels[slot, :, :h, :w], sample.pixels)
        assert not batch.pixels[slot, :, h:].any()
        assert not batch.pixels[slot, :, :, w:].any()
        count = len(sample.target["boxes"])
        assert torch.equal(batch.targets.boxes[slot, :count], sample.target["boxes"])
        padded, own = batch.targets.masks[slot].dense(), sample.target["masks"].dense()
        assert torch.equal(padded[:count, :h, :w], own)
        assert padded.sum() == own.sum() > 0
        assert batch.original_sizes[slot].tolist() == list(sample.original_size)
    assert batch.paths == [f"shapes/val/{number}" for number in batch.ids]


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_on_the_processor_wherever_the_program_makes_its_tensors(workers: int) -> None:
    data = shapes()
    wanted = [batches(make_loader(data[part], 3, train=part == "train", workers=0)) for part in data]
    with torch.device("meta"):
        found = [batches(make_loader(data[part], 3, train=part == "train", workers=workers)) for part in data]
    for one, two in zip(itertools.chain(*wanted), itertools.chain(*found), strict=True):
        assert same(one, two)
        assert torch.equal(one.original_sizes, two.original_sizes)


def test_training_does_not_depend_on_the_number_of_workers() -> None:
    data = shapes()["train"]
    alone, helped = (make_loader(data, 4, train=True, workers=workers, seed=3) for workers in (0, 2))
    for epoch in (0, 1):
        pairs = list(zip(batches(alone, epoch), batches(helped, epoch), strict=True))
        assert len(pairs) == len(alone) == 3
        assert all(same(one, two) for one, two in pairs)


def test_epochs_and_seeds_differ_and_come_back() -> None:
    data = shapes()["train"]
    loader = make_loader(data, 4, train=True, workers=0)
    first, second, again = batches(loader, 0), batches(loader, 1), batches(loader, 0)
    other = batches(make_loader(data, 4, train=True, workers=0, seed=1), 0)
    assert all(same(one, two) for one, two in zip(first, again, strict=True))
    assert not any(same(one, two) for one, two in zip(first, second, strict=True))
    assert not any(same(one, two) for one, two in zip(first, other, strict=True))


def test_an_epoch_can_begin_in_its_middle() -> None:
    data = shapes()["train"]
    loader = make_loader(data, 4, train=True, workers=0)
    whole, rest = batches(loader, 2), batches(loader, 2, start=1)
    assert len(rest) == 2
    assert all(same(one, two) for one, two in zip(whole[1:], rest, strict=True))
    assert len(loader) == 3


def test_the_loader_leaves_the_random_numbers_of_training_alone() -> None:
    data = shapes()["train"]
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    batches(make_loader(data, 4, train=True, workers=0))
    assert torch.equal(torch.rand(3), expected)


def test_two_devices_see_together_what_one_sees() -> None:
    data = shapes()["train"]
    one = batches(make_loader(data, 4, train=True, workers=0, seed=5), 3)
    two = [batches(make_loader(data, 2, train=True, workers=0, seed=5, rank=rank, world=2), 3) for rank in (0, 1)]
    assert len(one) == len(two[0]) == len(two[1])
    for whole, left, right in zip(one, *two, strict=True):
        assert whole.ids == left.ids + right.ids
        for slot, (part, place) in enumerate([(left, 0), (left, 1), (right, 0), (right, 1)]):
            h, w = whole.sizes[slot].tolist()
            assert part.sizes[place].tolist() == [h, w]
            assert torch.equal(whole.pixels[slot, :, :h, :w], part.pixels[place, :, :h, :w])


@pytest.mark.parametrize(("world", "batch"), [(1, 2), (2, 2), (3, 1), (9, 1)])
def test_evaluation_sees_each_image_once(world: int, batch: int) -> None:
    data = shapes()["val"]
    loaders = [make_loader(data, batch, train=False, workers=0, rank=rank, world=world) for rank in range(world)]
    read = [batches(loader) for loader in loaders]
    assert sorted(number for part in read for item in part for number in item.ids) == list(range(7))  # type: ignore[type-var]
    assert [len(part) for part in read] == [len(loader) for loader in loaders]


def test_repeat_makes_an_epoch_longer() -> None:
    data = shapes(repeat=3)
    loader = make_loader(data["train"], 4, train=True, workers=0)
    read = batches(loader)
    assert len(read) == len(loader) == 8
    counts = np.bincount([int(number) for item in read for number in item.ids])
    assert counts.sum() == 32
    assert counts.min() == 3
    assert make_loader(data["val"], 4, train=False, workers=0).images == 7


def test_images_of_rare_classes_come_more_often(tmp_path: Path) -> None:
    # of 25 images, class 1 is in all, 2 in two, 3 in one: at a threshold of 0.5, 2 is drawn sqrt(6.25) and 3 sqrt(12.5)
    things = [thing(image, image, [1, 1, 9, 9]) for image in range(1, 26)]
    things += [thing(30, 4, [2, 2, 5, 5], category=2), thing(31, 9, [2, 2, 5, 5], category=2)]
    things += [thing(32, 9, [3, 3, 5, 5], category=3), thing(33, 9, [3, 1, 5, 5], category=3)]
    write_coco(tmp_path, things, images=range(1, 27), categories={1: "a", 2: "b", 3: "c"})
    settings = as_data(tmp_path).replace(oversample=0.5)
    data = open_dataset(settings, "train", Input(short=10, long=10), True)
    assert len(data) == 25  # one has no objects
    data.leave_out([0])
    assert data.repeats().tolist() == [1, 1, 3] + [1] * 4 + [4] + [1] * 16
    loader = make_loader(data, 1, train=True, workers=0)
    read = batches(loader)
    counts = np.bincount([int(number) for item in read for number in item.ids], minlength=26)
    assert counts.tolist() == [0, 0, 1, 1, 3] + [1] * 4 + [4] + [1] * 16
    assert len(loader) == 24 + 2 + 3
    assert make_loader(data, 1, train=False, workers=0).images == 24


@pytest.mark.parametrize("seed", range(3))
def test_repeat_factors_are_those_of_the_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image, labels = rng.integers(0, 200, 900), (rng.exponential(3, 900) % 40).astype(np.int32)
    shows = [set(labels[image == number].tolist()) for number in range(200)]
    part = [sum(label in shown for shown in shows) / 200 for label in range(40)]
    factors = [max([1.0, *(math.sqrt(0.1 / part[label]) for label in shown)]) for shown in shows]
    found = repeat_factors(image, labels, 200, 40, 0.1)
    assert found.tolist() == [math.ceil(factor) for factor in factors]
    assert found.max() > 2
    assert repeat_factors(image, labels, 200, 40, 0.0).tolist() == [1] * 200


def test_a_broken_image_in_a_worker_is_named(tmp_path: Path) -> None:
    write_coco(tmp_path, [thing(1, 1, [1, 1, 9, 9])], images=(1,))
    data = open_dataset(as_data(tmp_path), "train", Input(), True)
    (tmp_path / "images/1.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"1\.png cannot be decoded"):
        batches(make_loader(data, 1, train=True, workers=1))


def test_workers_leave_ctrl_c_to_the_main_process() -> None:
    loader = make_loader(shapes()["train"], 1, train=True, workers=1)
    others = set(multiprocessing.active_children())
    read = iter(loader)
    next(read)
    (worker,) = set(multiprocessing.active_children()) - others
    assert worker.pid
    os.kill(worker.pid, signal.SIGINT)
    assert len(list(read)) == 9
    assert worker.is_alive()


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"workers": -1}, {"rank": 2, "world": 2}])
def test_wrong_numbers(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="batch and world start at 1"):
        make_loader(shapes()["val"], **{"batch": 1, "workers": 0, **wrong}, train=False)


def test_batches_hold_one_orientation_and_every_image() -> None:
    wide = np.arange(103) % 3 > 0
    order = training_batches(103, 8, np.random.default_rng(0), wide=wide)
    assert order.shape == (13, 8)
    assert set(order.reshape(-1)) == set(range(103))
    assert np.bincount(order.reshape(-1)).max() <= 2
    mixed = [not (wide[batch].all() or not wide[batch].any()) for batch in order]
    assert sum(mixed) <= 2
    kinds = wide[order[:-2, 0]]
    assert np.abs(np.diff(kinds.astype(int))).sum() > 2  # both kinds come throughout the epoch


def test_few_images_fill_a_large_batch() -> None:
    order = training_batches(3, 8, np.random.default_rng(0))
    assert order.shape == (1, 8)
    assert np.bincount(order[0]).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


def test_no_filling_where_batches_come_out_even() -> None:
    order = training_batches(12, 4, np.random.default_rng(0), repeat=2, wide=np.arange(12) < 5)
    assert np.bincount(order.reshape(-1)).tolist() == [2] * 12


SIZES = np.array([[480, 640], [640, 480], [427, 640], [428, 640], [480, 640], [375, 500], [480, 640]], dtype=np.int32)


def test_a_batch_of_evaluation_holds_images_of_one_canvas() -> None:
    found = canvases(SIZES, Input())
    assert found.tolist() == [[800, 1088], [1088, 800], [800, 1216], [800, 1216], [800, 1088], [800, 1088], [800, 1088]]
    assert found.tolist() == [list(canvas(height, width, Input())) for height, width in SIZES.tolist()]
    assert evaluation_batches(found, 2, 0, 1) == [[2, 3], [0, 4], [5, 6], [1]]
    shared = [evaluation_batches(found, 2, rank, 3) for rank in range(3)]
    assert shared == [[[2, 3], [1]], [[0, 4]], [[5, 6]]]
    assert evaluation_batches(found[:1], 4, rank=1, world=2) == []
    assert evaluation_batches(canvases(SIZES[:0], Input()), 4, 0, 1) == []


def test_batches_out_of_a_stream_are_bounded() -> None:
    """Nothing is asked for before it is needed, nothing waits for ever, and nothing is lost."""
    taken: list[int] = []

    def stream() -> Iterator[tuple[str, int]]:
        for number, key in enumerate("abaacbdefabaa"):
            taken.append(number)
            yield key, number

    read = of_one_canvas(stream(), 3, window=4)
    assert next(read) == [0, 2, 3]
    assert len(taken) == 4
    # b and c wait with d, e; f is one too many, so b, who came first, leaves with the others of its kind
    assert list(read) == [[1, 5], [4], [6], [7], [9, 11, 12], [8], [10]]
    different = of_one_canvas(((number, number) for number in range(10_000)), 8, window=16)
    assert list(different) == [[number] for number in range(10_000)]
