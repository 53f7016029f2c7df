"""Work on the device does not depend on the number of images, and the host never waits for it."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from benchmarks.counting import Counts, count
from benchmarks.launches import MODES, measure
from benchmarks.peers import PEERS, Pair, make_pair
from benchmarks.sides import Ours
from tests.tiny import CANVAS, every_form, tiny

# A training step's waits that there is no way around, and how many it has, whatever the batch: only the host can match
# queries to objects.
WAITS = {(method, "train"): {"detzoo::hungarian": 1} for method in ("DETR", "SparseRCNN")}


@functools.cache
def counted(form: str, mode: str, batch: int) -> Counts:
    pair = Pair(form, Ours(tiny(form)), None)
    return measure(pair, pair.ours, mode, batch, CANVAS)


@pytest.mark.parametrize("mode", MODES)
@every_form
def test_launches_do_not_grow_with_the_batch(form: str, mode: str):
    one, two, four = (counted(form, mode, batch).launches for batch in (1, 2, 4))
    assert four == two
    # part of a single image is whole in memory: what else is copied once is only viewed
    assert {name for name in four if four[name] != one[name]} <= {"clone", "detzoo::planes"}


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("mode", MODES)
@every_form
def test_the_host_never_waits(form: str, mode: str, batch: int):
    assert dict(counted(form, mode, batch).syncs) == WAITS.get((form, mode), {})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", [method for method in ("mask_rcnn", "detr") if method in PEERS])
def test_fewer_waits_than_other_libraries(method: str, mode: str):
    pair = make_pair(method, CANVAS, depth=18, proposals=50, rois=16)
    ours, theirs = (measure(pair, side, mode, 4, CANVAS) for side in pair.sides)
    assert ours.syncs.total() < theirs.syncs.total()
    if mode == "detect":
        assert ours.launches.total() < theirs.launches.total()


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: x.tolist(),
        lambda x: bool(x.any()),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: torch.unique(x),
        lambda x: x.new_tensor([1.0, 2.0]),
        lambda x: x[[1, 0]],
        lambda x: torch.repeat_interleave(x[0], torch.tensor(2)),
        lambda x: torch.ops.torchvision.nms(x, x[:, 0], 0.5),
        lambda x: x.clone().requires_grad_().prod(1).sum().backward(),
    ],
)
def test_waiting_is_noticed(wait):
    values = torch.arange(8.0).view(2, 4)
    assert count(lambda: wait(values)).syncs


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x[torch.zeros(2, dtype=torch.int64)],
        lambda x: x.masked_fill(x > 0, 1.0),
        lambda x: x.topk(2).values.sum(),
        lambda x: torch.where(x > 0, x, -1.0),
        lambda x: x.new_full((2,), 3.0),
    ],
)
def test_work_on_the_device_is_no_waiting(work):
    values = torch.arange(8.0).view(2, 4)
    counts = count(lambda: work(values))
    assert counts.launches.total() > 0
    assert not counts.syncs


def test_views_cost_nothing():
    counts = count(lambda: torch.empty(2, 4).view(8)[2:].unsqueeze(0).expand(3, -1).detach())
    assert counts.launches.total() == 0
    assert counts.views.total() == 4


def test_the_backward_pass_is_counted():
    x = torch.ones(3, requires_grad=True)
    assert "mul" in count(lambda: (x * 2).sum().backward()).launches


def test_counting_needs_no_gradient(recwarn: pytest.WarningsRecorder):
    x: Tensor = torch.ones(3)
    assert dict(count(lambda: x + 1).launches) == {"add": 1}
    assert not recwarn.list
