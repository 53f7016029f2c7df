"""What every method promises, whatever it computes."""

from __future__ import annotations

import pytest
import torch

from detzoo.detector import Detector
from detzoo.recipes.recipe import METHODS
from tests.tiny import CANVAS, METHOD_IDS, detect, every_form, images, targets, tiny, total

every_method = pytest.mark.parametrize("method", METHODS, ids=METHOD_IDS)

# updates after which a loss is first looked at: boxes that count by their scores count little before there are any
BEGINS = {"GFL": 2, "LD": 2}
# and updates in which a loss falls, if not ten: scores learn how well boxes fit, which boxes have to do first; and
# sums of prototypes begin far off
UPDATES = {"VFNet": 16, "YOLACT": 16}


@every_form
@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (3, 1), (30, 2)], ids=["none", "one", "few", "many"])
def test_losses_reach_every_parameter(form: str, counts: tuple[int, ...]):
    detector = tiny(form).train()
    losses = detector(images(), targets(*counts))
    assert all(value.shape == () and value.dtype == torch.float32 for value in losses.values())
    assert all(bool(torch.isfinite(value)) for value in losses.values())
    total(losses).backward()
    assert [name for name, parameter in detector.trainable() if parameter.grad is None] == []
    assert all(bool(torch.isfinite(p.grad).all()) for _, p in detector.trainable() if p.grad is not None)


@every_method
def test_a_new_detector_keeps_in_evaluation_what_training_keeps(method: type[Detector]):
    detector = tiny(method)
    fresh = {name: module.training for name, module in detector.named_modules()}
    detector.train()
    assert fresh == {name: module.training for name, module in detector.named_modules()}


@every_method
def test_a_step_lowers_the_loss(method: type[Detector]):
    detector = tiny(method, backbone={"norm": "gn", "frozen_stages": -1}).train()
    batch = images(), targets(3, 2)
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-3)
    torch.manual_seed(0)
    history = []
    for _ in range(UPDATES.get(method.__name__, 10)):
        optimizer.zero_grad()
        loss = total(detector(*batch))
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert min(history[-3:]) < 0.6 * history[BEGINS.get(method.__name__, 0)]


@every_method
@pytest.mark.parametrize("count", [1, 3])
def test_detect_fills_fixed_slots(method: type[Detector], count: int):
    detector = tiny(method, box_head={"threshold": 0.0}, head={"threshold": 0.0}).eval()
    batch = images(count)
    with torch.no_grad():
        found = detect(detector, batch)
    slots = found.boxes.shape[1]
    assert found.boxes.shape == (count, slots, 4)
    assert found.scores.shape == found.labels.shape == found.valid.shape == (count, slots)
    assert bool((found.scores.diff(dim=1) <= 0).all()), "scores fall"
    assert bool((found.boxes[~found.valid] == 0).all())
    assert bool((found.scores[~found.valid] == 0).all())
    limit = batch.sizes[:, [1, 0, 1, 0]].unsqueeze(1)
    assert bool((found.boxes >= 0).all() and (found.boxes <= limit).all())
    assert found.valid.any()
    assert len(found[0].boxes) == int(found.valid[0].sum())
    if found.crops is not None:
        assert found[0].masks is not None
        assert found[0].masks.shape[1:] == CANVAS


@every_method
def test_losses_are_float32_under_autocast(method: type[Detector]):
    detector = tiny(method).train()
    with torch.autocast("cpu", torch.bfloat16):
        losses = detector(images(), targets(3, 0))
    assert all(value.dtype == torch.float32 for value in losses.values())
    total(losses).backward()
    detector.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert detect(detector, images()).boxes.dtype == torch.float32


@every_method
def test_return_types_do_not_depend_on_the_training_flag(method: type[Detector]):
    detector = tiny(method)
    for training in (True, False):
        detector.train(training)
        assert isinstance(detector(images(), targets(1, 1)), dict)
        with torch.no_grad():
            assert detect(detector, images()).boxes.dim() == 3


@every_method
def test_padding_is_zero_after_normalization(method: type[Detector]):
    detector = tiny(method)
    pixels = torch.full((2, 3, *CANVAS), 200, dtype=torch.uint8)
    normalized = detector.normalize(pixels, torch.tensor([CANVAS, (80, 100)]))
    assert bool((normalized.pixels[1, :, 80:] == 0).all() and (normalized.pixels[1, :, :, 100:] == 0).all())
    expected = (200 - detector.pixel_mean) / detector.pixel_std
    torch.testing.assert_close(normalized.pixels[0], expected.expand(3, *CANVAS))


def test_bgr_input_swaps_channels_after_reading_rgb():
    detector = tiny(METHODS[0], input={"order": "bgr", "mean": (1.0, 2.0, 3.0), "std": (1.0, 1.0, 1.0)})
    pixels = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    pixels[:, 0] = 9  # red
    assert detector.normalize(pixels, torch.tensor([[32, 32]])).pixels[0, :, 0, 0].tolist() == [-1.0, -2.0, 6.0]


def test_mask_losses_ask_for_masks():
    detector = tiny(next(method for method in METHODS if method.__name__ == "MaskRCNN"))
    without = targets(1, 1)
    with pytest.raises(ValueError, match=r"data\.masks=true"):
        detector(images(), type(without)(without.boxes, without.labels, without.valid, without.ignore))
