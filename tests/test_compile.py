"""Every method is captured whole by `torch.compile` and, for any number of images, by `torch.export`."""

from __future__ import annotations

import copy

import torch

from benchmarks.export import BATCHES, TRACED, compare, compiled, exported, small
from tests.tiny import compiles, images, swept_form, targets, tiny

# operators may be fused or split another way, which rounds differently
PIXELS, SCORE = 1e-3, 1e-5

pytestmark = compiles


@swept_form
def test_prediction_compiles_whole(form: str):
    detector = small(form)
    found = compare(detector, compiled(detector), images())
    assert found.found > 0
    assert found.boxes <= PIXELS
    assert found.scores <= SCORE


@swept_form
def test_prediction_exports_for_any_number_of_images(form: str):
    detector = small(form)
    run = exported(detector, images(TRACED))
    for count in BATCHES:
        found = compare(detector, run, images(count))
        assert found.found > 0
        assert found.boxes <= PIXELS
        assert found.scores <= SCORE


@swept_form
def test_losses_compile_whole(form: str):
    """Losses and gradients of a compiled training step are those of an ordinary one."""
    torch.compiler.reset()
    detector = tiny(form).train()
    step = torch.compile(detector, fullgraph=True, dynamic=False, backend="aot_eager")
    results, state = [], copy.deepcopy(detector.state_dict())
    for run in (detector, step):
        detector.load_state_dict(state)  # averages move with every step
        detector.zero_grad()
        torch.manual_seed(0)  # of what is sampled
        losses = run(images(), targets(3, 1))
        torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
        results.append((losses, {name: p.grad for name, p in detector.trainable()}))
    (wanted, gradients), (found, others) = results
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-4)
    for name, gradient in gradients.items():
        assert gradient is not None
        largest = max(float(gradient.abs().max()), 1e-6)
        torch.testing.assert_close(others[name], gradient, atol=1e-3 * largest, rtol=1e-3)
