"""Half precision: every method in it, what stays in float32, and one detector in another's precision."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import detzoo
from detzoo import cli
from detzoo.detector import Detector
from detzoo.evaluate.inference import in_precision
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.precision import PRECISIONS, Precision, pick_precision, speedup
from detzoo.recipes.recipe import METHODS
from detzoo.typed import on_command_line
from tests.tiny import METHOD_IDS, detect, every_form, images, targets, tiny

HALF = (torch.bfloat16, torch.float16)
every_half = pytest.mark.parametrize("dtype", HALF, ids=["bf16", "fp16"])
every_method = pytest.mark.parametrize("method", METHODS, ids=METHOD_IDS)
PICTURE = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half precision is as fast as float32 wherever these tests run."""
    monkeypatch.setattr("detzoo.precision.speedup", lambda dtype, kind: 1.0)


def open_to_all(form: str | type[Detector]) -> Detector:
    """A small detector that returns what scores anything at all."""
    size = {"resize": True, "short": 64, "long": 96}
    return tiny(form, box_head={"threshold": 0.0}, head={"threshold": 0.0}, input=size).eval()


@every_form
@every_half
def test_detections_in_half_are_those_in_float32_but_for_rounding(form: str, dtype: torch.dtype) -> None:
    detector = open_to_all(form)
    with torch.inference_mode():
        wanted = detect(detector, images())
        found = detect(detector.to(dtype), images())
    assert detector.dtype == dtype
    assert found.boxes.dtype == found.scores.dtype == torch.float32
    assert found.crops is None or found.crops.dtype == torch.float32
    assert bool(found.boxes.isfinite().all() and found.scores.isfinite().all())
    assert found.valid.any()
    if form not in ("CentripetalNet", "CornerNet"):  # whose random heat maps have no clear corners
        best = (one.scores.sort(dim=1, descending=True).values for one in (found, wanted))
        torch.testing.assert_close(*best, atol=0.02 * float(wanted.scores.max()), rtol=0.05)


LEARNERS = [*((name, HALF[0]) for name in METHOD_IDS), ("MaskRCNN", HALF[1]), ("RetinaNet", HALF[1])]


@pytest.mark.parametrize(("form", "dtype"), LEARNERS)
def test_losses_in_half_are_those_in_float32_but_for_rounding(form: str, dtype: torch.dtype) -> None:
    batch = images(), targets(3, 1)
    wanted = tiny(form).train()(*batch)
    detector = tiny(form).train().to(dtype)
    losses = detector(*batch)
    for name, value in losses.items():
        assert value.dtype == torch.float32, name
        if "loss" in name:
            torch.testing.assert_close(value, wanted[name], atol=1e-5, rtol=0.05, msg=name)
    torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
    for name, parameter in detector.trainable():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


@every_method
def test_coordinates_and_statistics_stay_in_float32(method: type[Detector]) -> None:
    detector = tiny(method)
    before = {name: value.clone() for name, value in detector.named_buffers()}
    detector.half().bfloat16()
    after = dict(detector.named_buffers())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name, module in detector.named_modules():
        wide = isinstance(module, nn.BatchNorm2d)
        for value in module.parameters(recurse=False):
            assert value.dtype == (torch.float32 if wide else torch.bfloat16), name
    detector.float()
    assert {value.dtype for value in detector.parameters()} == {torch.float32}


def test_a_gradient_goes_with_its_parameter() -> None:
    detector = tiny(FasterRCNN, backbone={"frozen_stages": -1}).train()
    losses = detector(images(), targets(2, 1))
    torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
    detector.half()
    assert all(value.grad is None or value.grad.dtype == value.dtype for value in detector.parameters())


def test_double_precision_becomes_half_and_single() -> None:
    detector = tiny(FasterRCNN).double()
    assert detector.pixel_mean.dtype == detector.dtype == torch.float64
    detector.half()
    assert (detector.pixel_mean.dtype, detector.dtype) == (torch.float32, torch.float16)


@every_half
def test_pixels_are_normalized_before_they_are_rounded(dtype: torch.dtype) -> None:
    detector = tiny(FasterRCNN)
    pixels, sizes = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8), torch.tensor([[32, 32]])
    wanted = detector.normalize(pixels, sizes).pixels
    assert torch.equal(detector.to(dtype).normalize(pixels, sizes).pixels, wanted.to(dtype))


@pytest.mark.parametrize("form", ["MaskRCNN", "RetinaNet", "DETR"])
@pytest.mark.parametrize("training", [False, True])
def test_a_detector_in_another_precision_leaves_the_first_as_it_was(form: str, training: bool) -> None:
    detector = open_to_all(form).train(training)
    state = {name: value.clone() for name, value in detector.state_dict().items()}
    places = {name: value.data_ptr() for name, value in detector.state_dict().items()}
    other = in_precision(detector, "bf16")
    with torch.inference_mode():
        found = detect(other, images())
        wanted = detect(open_to_all(form).bfloat16(), images())
        back = in_precision(other, "fp32")
    assert torch.equal(found.scores, wanted.scores)
    assert torch.equal(found.boxes, wanted.boxes)
    assert (detector.dtype, other.dtype, back.dtype) == (torch.float32, torch.bfloat16, torch.float32)
    assert (detector.training, other.training) == (training, False)
    assert places == {name: value.data_ptr() for name, value in detector.state_dict().items()}
    assert all(torch.equal(state[name], value) for name, value in detector.state_dict().items())
    assert all(value.requires_grad for _, value in detector.trainable())


def test_a_detector_in_its_own_precision_shares_its_weights() -> None:
    detector = tiny(FasterRCNN).eval()
    assert in_precision(detector, None) is in_precision(detector, "fp32") is detector
    detector.half()
    assert in_precision(detector, torch.float16) is detector


@pytest.mark.parametrize("form", ["MaskRCNN", "DETR"])
@pytest.mark.parametrize("precision", list(PRECISIONS))
def test_a_detector_of_mixed_weights_is_brought_to_one_precision(form: str, precision: Precision) -> None:
    detector = open_to_all(form)
    detector.get_submodule("backbone").half()
    types = {name: value.dtype for name, value in detector.named_parameters() if value.dim() > 1}
    wanted = open_to_all(form)
    wanted.load_state_dict(detector.state_dict())  # which keeps its own type
    with torch.inference_mode():
        found = detect(in_precision(detector, precision), images())
        expected = detect(wanted.to(PRECISIONS[precision]), images())
    assert found.valid.any()
    assert torch.equal(found.scores, expected.scores)
    assert in_precision(detector, None) is detector
    changed = detector.with_settings({"input.mean": (0.0, 0.0, 0.0)})
    for one in (detector, changed):
        assert {name: value.dtype for name, value in one.named_parameters() if value.dim() > 1} == types
        assert one.pixel_mean.dtype == torch.float32


def test_a_function_in_place_of_a_method_is_not_led_back_to_float32() -> None:
    detector = tiny(FasterRCNN).eval()
    whole = detector.get_submodule("backbone")
    whole.forward = lambda x, forward=whole.forward: forward(x)
    assert in_precision(detector, "fp32") is detector
    with pytest.raises(
        ValueError, match=r"not in torch.bfloat16, and its backbone.forward was replaced: call to\(torch.bfloat16\)"
    ):
        in_precision(detector, "bf16")


def test_predict_in_a_precision() -> None:
    detector = open_to_all("MaskRCNN")
    (plain,) = detector.predict(PICTURE, threshold=0)
    (half,) = detector.predict(PICTURE, threshold=0, precision="fp16")
    assert half.boxes.dtype == half.scores.dtype == torch.float32
    assert not torch.equal(plain.scores, half.scores)
    torch.testing.assert_close(plain.scores, half.scores, atol=0.01, rtol=0.01)
    (own,) = open_to_all("MaskRCNN").half().predict(PICTURE, threshold=0)
    assert torch.equal(own.scores, half.scores)
    assert torch.equal(own.masks, half.masks)
    (back,) = open_to_all("MaskRCNN").half().predict(PICTURE, threshold=0, precision="fp32")
    assert not torch.equal(back.scores, half.scores)
    (settled,) = (
        open_to_all("MaskRCNN").half().with_settings({"box_head.threshold": 0.01}).predict(PICTURE, threshold=0)
    )
    assert torch.equal(settled.scores, half.scores)


def test_threads_predict_in_their_own_precision() -> None:
    detector = open_to_all("RetinaNet").train()
    wanted = {one: detector.predict(PICTURE, threshold=0, precision=one)[0].scores for one in PRECISIONS}

    def look(number: int) -> bool:
        precision = list(PRECISIONS)[number % 3]
        return torch.equal(detector.predict(PICTURE, threshold=0, precision=precision)[0].scores, wanted[precision])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(look, range(12)))
    assert detector.training
    assert detector.dtype == torch.float32


@pytest.mark.parametrize(
    ("word", "dtype"),
    [
        (None, None),
        ("fp32", torch.float32),
        ("float32", torch.float32),
        ("bf16", torch.bfloat16),
        ("bfloat16", torch.bfloat16),
        ("half", torch.float16),
        (torch.float16, torch.float16),
    ],
)
def test_words_for_precisions(word: Any, dtype: torch.dtype | None) -> None:
    assert pick_precision(word) == dtype


@pytest.mark.parametrize("word", ["fp8", "", 16, torch.float64, True, ["bf16"]])
def test_other_words_are_refused_with_those_that_are_known(word: Any) -> None:
    with pytest.raises(ValueError, match=r"precision=.*: there are 'fp32', 'bf16' and 'fp16'"):
        tiny(FasterRCNN).predict(PICTURE, precision=word)


def test_on_the_command_line_in_its_words() -> None:
    with on_command_line(), pytest.raises(ValueError, match=r"^--precision fp8: there are fp32, bf16 and fp16$"):
        pick_precision("fp8")


@every_half
@pytest.mark.parametrize("how", ["type", "file"])
def test_a_file_of_half_weights_loads_as_half(how: str, dtype: torch.dtype, tmp_path: Path) -> None:
    detector = detzoo.build("mask_rcnn_r18_fpn_shapes")
    whole, half = detector.save(tmp_path / "whole.safetensors"), tmp_path / "half.safetensors"
    other = detzoo.load(whole, precision=dtype) if how == "type" else detector.to(dtype)
    other.save(half)
    assert half.stat().st_size < 0.51 * whole.stat().st_size
    back = detzoo.load(half)
    assert back.dtype == dtype
    for name, value in other.state_dict().items():
        assert torch.equal(value, back.state_dict()[name]), name
        assert value.dtype == back.state_dict()[name].dtype, name
    assert {value.dtype for value in detzoo.load(half, precision="fp32").parameters()} == {torch.float32}


def test_slow_half_precision_is_said_once_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detzoo.precision.speedup", lambda dtype, kind: 0.25 if dtype == torch.float16 else 2.0)
    detector = tiny(FasterRCNN).eval()
    in_precision(detector, None)
    in_precision(detector, "bf16")
    with pytest.warns(UserWarning, match=r"^precision: fp16 is 4.0 times slower than fp32 on this cpu device; `detzoo"):
        in_precision(detector, "fp16")
    with pytest.warns(UserWarning, match="fp16 is 4.0 times slower"):
        in_precision(detector.half(), None)


def test_the_speed_of_a_precision_is_measured() -> None:
    speedup.cache_clear()
    assert speedup(torch.bfloat16, "cpu") > 0


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_misspelt_precision_is_said_before_anything_is_read(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    detzoo.build("retinanet_r18_fpn_shapes").save(tmp_path / "some.safetensors")
    words = [str(tmp_path / "some.safetensors"), *([str(tmp_path)] if command == "predict" else [])]
    assert cli.main([command, *words, "--precision", "fp8"]) == cli.WRONG
    assert capsys.readouterr().err == "error: --precision fp8: there are fp32, bf16 and fp16\n"


def test_the_command_line_predicts_in_a_precision(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[torch.dtype] = []
    detect_in = Detector.normalize
    monkeypatch.setattr(
        Detector, "normalize", lambda self, *given: (seen.append(self.dtype), detect_in(self, *given))[1]
    )
    Image.fromarray(PICTURE).save(tmp_path / "one.png")
    weights = str(detzoo.build("retinanet_r18_fpn_shapes").save(tmp_path / "some.safetensors"))
    given = [weights, str(tmp_path / "one.png"), "--out", str(tmp_path / "out"), "--size", "64", "--device", "cpu"]
    assert cli.main(["predict", *given, "--precision", "bf16"]) == 0, capsys.readouterr()
    assert seen == [torch.bfloat16]
