"""Every method on a CUDA device: it finds and learns what it does on the CPU, and the host does not wait."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from detzoo.detector import Detector
from detzoo.types import Images
from tests.test_launches import WAITS
from tests.tiny import CANVAS, every_form, images, proposals, targets, tiny

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature:UserWarning"),
]

# In double precision both devices' sums agree far beyond what decides a rank.


@pytest.fixture
def same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random numbers are drawn on the CPU wherever they are used: a device has a generator of its own."""
    draw = torch.rand

    def drawn(*size: Any, device: torch.device | None = None, **settings: Any) -> Tensor:
        return draw(*size, **settings).to(device or "cpu")

    monkeypatch.setattr(torch, "rand", drawn)


def detecting(detector: Detector, batch: Images) -> Callable[[], Any]:
    """`Detector.detect` of a batch, with what it is given already where the batch is."""
    detect: Any = detector.detect
    if not detector.takes_proposals:
        return lambda: detect(batch)
    given = proposals(0).expand(batch.pixels.shape[0], -1, -1).to(batch.pixels)
    return lambda: detect(batch, proposals=given)


def open_to_all(form: str) -> Detector:
    return tiny(form, box_head={"threshold": 0.0}, head={"threshold": 0.0})


def in_double(batch: Images) -> Images:
    return replace(batch, pixels=batch.pixels.double())


@every_form
def test_cuda_finds_what_the_cpu_finds(form: str) -> None:
    detector, batch = open_to_all(form).double().eval(), in_double(images(3))
    with torch.no_grad():
        here = detecting(detector, batch)()
        there = detecting(copy.deepcopy(detector).cuda(), batch.to("cuda"))().to("cpu")
    assert torch.equal(there.valid, here.valid)
    assert here.valid.any()
    assert torch.equal(there.labels, here.labels)
    for name in ("scores", "boxes", "crops", "dense"):
        torch.testing.assert_close(getattr(there, name), getattr(here, name), atol=1e-4, rtol=1e-6, msg=name)


@every_form
def test_cuda_learns_what_the_cpu_learns(form: str, same_samples: None) -> None:
    here = tiny(form).double().train()
    there = copy.deepcopy(here).cuda()
    batch, objects = in_double(images()), targets(3, 0)
    torch.manual_seed(0)
    wanted = here(batch, objects)
    torch.manual_seed(0)
    found = there(batch.to("cuda"), objects.to("cuda"))
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name].cpu(), value, atol=1e-9, rtol=1e-5, msg=name)
    for losses in (wanted, found):
        torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
    for (name, mine), (_, theirs) in zip(here.trainable(), there.trainable(), strict=True):
        assert mine.grad is not None, name
        assert theirs.grad is not None, name
        size = float(mine.grad.norm())
        assert float((theirs.grad.cpu() - mine.grad).norm()) <= 1e-4 * size + 1e-9, name


@contextmanager
def no_waits() -> Iterator[None]:
    """Inside, what makes the host wait for the device is an error."""
    torch.cuda.synchronize()
    try:
        torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@every_form
def test_the_host_does_not_wait_to_detect(form: str) -> None:
    run = detecting(tiny(form).eval().cuda(), images(3).to("cuda"))
    with torch.no_grad():
        run()  # compiles kernels
        with no_waits():
            run()


@every_form
def test_the_host_does_not_wait_to_learn(form: str) -> None:
    detector, batch, objects = tiny(form).train().cuda(), images().to("cuda"), targets(3, 1).to("cuda")

    def step() -> None:
        losses = detector(batch, objects)
        torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()

    step()
    if (form, "train") in WAITS:
        with pytest.raises(RuntimeError, match="synchronizing"), no_waits():
            step()
        return
    with no_waits():
        step()


@every_form
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_on_cuda(form: str, dtype: torch.dtype) -> None:
    detector = open_to_all(form).eval().cuda()
    batch = images().to("cuda")
    with torch.no_grad():
        wanted = detecting(detector, batch)()
        found = detecting(detector.to(dtype), batch)()
    assert found.boxes.dtype == found.scores.dtype == torch.float32
    assert bool(found.boxes.isfinite().all() and found.scores.isfinite().all())
    assert found.boxes[..., 0::2].max() <= CANVAS[1]
    if form not in ("CentripetalNet", "CornerNet"):  # whose random heat maps have no clear corners
        best = (one.scores.sort(dim=1, descending=True).values for one in (found, wanted))
        torch.testing.assert_close(*best, atol=0.02 * float(wanted.scores.max()), rtol=0.05)
