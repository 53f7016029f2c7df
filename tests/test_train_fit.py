from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from detzoo.recipes.settings import Schedule
from detzoo.train.checkpoint import Best, read_state
from detzoo.train.fit import Validation, fit
from detzoo.train.log import Log, read_log
from detzoo.train.meter import Meter, NonFiniteLoss
from detzoo.train.optimizer import load_optimizer_state, make_optimizer, optimizer_state
from detzoo.train.schedules import warnings
from detzoo.train.step import total_loss
from detzoo.train.validation import validation_losses
from detzoo.types import Images, Targets
from tests.train_fakes import ONE, MemoryLoader, TinyDetector, make_run, quick

__all__ = ["quick"]


class Poisoned(TinyDetector):
    """Its classification loss is NaN whenever a certain image is in the batch."""

    bad = 0.0

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        losses = super().forward(images, targets)
        is_bad = (images.pixels.sum((1, 2, 3)) - self.bad).abs().amin() < 1e-3
        return {**losses, "loss_cls": torch.where(is_bad, torch.nan, losses["loss_cls"])}


def poisoned() -> Poisoned:
    detector = Poisoned()
    batch = MemoryLoader().take([5])
    detector.bad = float(detector.normalize(batch.pixels, batch.sizes).pixels.sum())
    return detector


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("window", [1, 4, 100])
def test_a_nan_stops_with_the_loss_the_step_and_the_images(
    tmp_path: Path, window: int, capsys: pytest.CaptureFixture[str]
) -> None:
    loader = MemoryLoader()
    step = next(number for number, batch in enumerate(loader) if 5 in batch.ids)
    names = list(loader)[step].paths
    schedule = Schedule(epochs=3, batch=2, scale_lr=False)
    with pytest.raises(NonFiniteLoss) as caught:
        fit(make_run(tmp_path, schedule, detector=poisoned(), window=window))
    message = str(caught.value)
    assert f"loss_cls is nan at epoch 1, step {step + 1}; images: {', '.join(names)}" in message
    assert "loss_size" not in message
    assert not (tmp_path / "last.state").exists()
    assert "schedule.lr" in capsys.readouterr().out


@pytest.mark.usefixtures("quick")
def test_spoilt_weights_are_not_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path)

    def spoil(record: Mapping[str, Any]) -> None:
        if record["event"] == "train" and record["update"] == 12:
            next(run.state.detector.parameters()).data[0] = torch.nan

    run.callbacks = [spoil]
    with pytest.raises(NonFiniteLoss, match="before update 13"):
        fit(run)
    assert read_state(tmp_path / "last.state")["position"]["epoch"] == 1
    assert "resume=True" in capsys.readouterr().out


@pytest.mark.usefixtures("quick")
def test_the_log_has_every_update_and_epoch_and_callbacks_see_it(tmp_path: Path) -> None:
    seen: list[Mapping[str, Any]] = []
    schedule = Schedule(epochs=2, batch=2, clip_norm=1.0, accumulate=4, warmup_steps=2, milestones=(1,))
    validate = iter([0.3, 0.2])
    run = make_run(
        tmp_path,
        schedule,
        validate=lambda detector: Validation({"box_ap": next(validate), "box_ap50": math.nan}, {"loss": 2.0}),
        callbacks=[seen.append],
    )
    assert fit(run) == "all 2 epochs are done"
    records = read_log(tmp_path / "log.jsonl")
    assert [record["event"] for record in records] == ["train", "train", "epoch"] * 2
    assert [record["step"] for record in records if record["event"] == "train"] == [4, 6, 4, 6]
    rates = [record["lr"] for record in records if record["event"] == "train"]
    assert rates == pytest.approx([0.1e-3, 0.1 * (1e-3 + 0.999 / 2), 0.01, 0.01])
    train = records[0]
    assert set(train["losses"]) == {"loss", "loss_cls", "loss_size", "acc", "grad_norm"}
    assert train["losses"]["loss"] == pytest.approx(train["losses"]["loss_cls"] + train["losses"]["loss_size"])
    assert train["images_per_second"] > 0
    assert train["memory_mb"] > 0
    assert records[-2]["seconds_left"] == 0
    assert records[2]["metrics"] == {"box_ap": 0.3, "box_ap50": None}
    assert records[2]["val_losses"] == {"loss": 2.0}
    assert [record["event"] for record in seen] == [record["event"] for record in records]
    assert run.state.history[1]["epoch"] == 2
    assert (run.state.best.value, run.state.best.epoch, run.state.best.stale) == (0.3, 0, 1)


def test_curves_are_a_picture(tmp_path: Path) -> None:
    fit(make_run(tmp_path, validate=lambda detector: Validation({"box_ap": 0.3, "mask_ap": 0.2}, {"loss": 2.0})))
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 50


@pytest.mark.usefixtures("quick")
def test_early_stopping_counts_validations_without_a_better_ap(tmp_path: Path) -> None:
    scores = iter([0.1, 0.4, 0.4, math.nan, 0.9])
    schedule = Schedule(epochs=9, batch=2, patience=2)
    run = make_run(tmp_path, schedule, validate=lambda detector: Validation({"box_ap": next(scores)}, {}))
    assert "stopped early" in fit(run)
    assert len(run.state.history) == 4
    assert run.state.best.epoch == 1


@pytest.mark.usefixtures("quick")
def test_validation_is_every_few_epochs_and_after_the_last(tmp_path: Path) -> None:
    schedule = Schedule(epochs=5, batch=2, evaluate_every=3)
    run = make_run(tmp_path, schedule, validate=lambda detector: Validation({"box_ap": 0.5}, {}))
    fit(run)
    assert ["metrics" in record for record in run.state.history] == [False, False, True, False, True]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_accumulated_steps_equal_one_large_one_when_every_step_has_as_many_objects(
    tmp_path: Path, optimizer: str
) -> None:
    states = []
    for batch, accumulate in ((6, 1), (2, 3)):
        schedule = Schedule.model_validate(
            {"epochs": 1, "batch": batch, "accumulate": accumulate, "optimizer": optimizer, "warmup_steps": 0}
        )
        loader = MemoryLoader(batch=batch)
        loader.counts = [2] * 12
        run = make_run(tmp_path / str(batch), schedule, loader=loader, detector=same(norm=False, dropout=0.0))
        fit(run)
        assert run.state.position.update == 2
        states.append(run.state.detector.state_dict())
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=1e-4, atol=1e-6)


def same(**options: Any) -> TinyDetector:
    torch.manual_seed(3)
    return TinyDetector(**options)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_it_learns(tmp_path: Path, precision: str) -> None:
    schedule = Schedule.model_validate({"epochs": 8, "batch": 2, "precision": precision, "warmup_steps": 2})
    run = make_run(tmp_path, schedule, detector=same(dropout=0.0))
    fit(run)
    losses = [record["losses"]["loss"] for record in run.state.history]
    assert losses[-1] < 0.9 * losses[0]
    assert {parameter.dtype for parameter in run.state.detector.parameters()} == {torch.float32}


@pytest.mark.usefixtures("quick")
def test_the_averaged_weights_are_what_is_validated_and_saved(tmp_path: Path) -> None:
    seen = []

    def validate(detector: Any) -> Validation:
        seen.append(detector)
        return Validation({"box_ap": 0.5}, {})

    run = make_run(tmp_path, Schedule(epochs=1, batch=2, ema=0.9), validate=validate)
    fit(run)
    assert run.state.ema is not None
    assert seen == [run.state.ema.detector]
    averaged, current = seen[0].state_dict(), run.state.detector.state_dict()
    assert not torch.equal(averaged["head.weight"], current["head.weight"])
    assert torch.equal(averaged["norm.running_mean"], current["norm.running_mean"])


def test_validation_losses_leave_no_trace() -> None:
    detector = TinyDetector(dropout=0.5).train()
    detector.norm.eval()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    loader = MemoryLoader(batch=5)
    first = validation_losses(detector, loader, ONE)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())
    assert not detector.norm.training
    assert detector.dropout.training
    assert all(parameter.grad is None for parameter in detector.parameters())
    torch.manual_seed(12)
    assert validation_losses(detector, loader, ONE) == first
    assert set(first) == {"loss", "loss_cls", "loss_size", "acc"}
    assert validation_losses(detector, [], ONE) == {}


def test_validation_losses_weigh_batches_by_their_images() -> None:
    detector = TinyDetector(norm=False, dropout=0.0)
    loader = MemoryLoader(images=3)
    batches = [loader.take([0, 1]), loader.take([2])]
    together = validation_losses(detector, batches, ONE)["loss_size"]
    apart = [validation_losses(detector, [batch], ONE)["loss_size"] for batch in batches]
    assert together == pytest.approx((2 * apart[0] + apart[1]) / 3)


def test_the_total_is_what_is_called_loss() -> None:
    losses = {"loss_a": torch.tensor(1.0), "s0.loss_b": torch.tensor(2.0), "acc": torch.tensor(50.0)}
    assert total_loss(losses).item() == 3
    with pytest.raises(ValueError, match="no loss among what the detector returned: acc"):
        total_loss({"acc": torch.tensor(1.0)})


def test_the_meter_averages_names_that_come_and_go() -> None:
    meter = Meter(ONE)
    meter.add({"loss_a": torch.tensor(1.0)}, 0, 0, ["a"])
    meter.add({"loss_a": torch.tensor(3.0), "loss_b": torch.tensor(5.0)}, 0, 1, ["b"])
    means, stop = meter.read()
    assert means == {"loss": 4.5, "loss_a": 2.0, "loss_b": 5.0}
    assert not stop
    assert len(meter) == 0


def test_a_log_cut_short_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    records = [
        {"event": "train", "update": 1},
        {"event": "epoch", "epoch": 1, "update": 1},
        {"event": "train", "update": 2},
    ]
    path.write_text("\n".join(json.dumps(record) for record in records) + '\n{"event": "tra')
    log = Log(path, (1, 1))
    log.write({"event": "train", "update": 2, "value": math.inf})
    assert read_log(path) == [*records[:2], {"event": "train", "update": 2, "value": None}]
    assert read_log(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_half_precision_update_that_overflows_is_left_out(tmp_path: Path, clip: float | None) -> None:
    run = make_run(tmp_path, Schedule(epochs=1, batch=2, precision="fp16", clip_norm=clip, scale_lr=False))
    run.state.scaler._init_scale = 2.0**30
    assert "done" in fit(run)
    assert run.state.scaler.get_scale() < 2.0**30
    assert run.state.position.epoch == 1


def test_what_cannot_be_measured_does_not_end_a_run_early(tmp_path: Path) -> None:
    nothing = Validation({"box_ap": -1.0}, {}, "box_ap")
    schedule = Schedule(epochs=3, batch=2, patience=1, milestones=())
    assert fit(make_run(tmp_path, schedule, validate=lambda _: nothing)) == "all 3 epochs are done"


def test_another_metric_begins_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path, Schedule(epochs=1, batch=2), validate=lambda _: Validation({"box_ap": 0.4}, {}, "box_ap"))
    run.state.best = Best(0.6, 0, 0, "box_ap50")
    fit(run)
    assert run.state.best == Best(0.4, 0, 0, "box_ap")
    assert run.files.best.is_file()


def test_momentum_that_begins_on_a_resume(tmp_path: Path) -> None:
    detector = TinyDetector()
    for parameter in detector.parameters():
        parameter.grad = torch.ones_like(parameter)
    before, _ = make_optimizer(detector, Schedule(optimizer="rmsprop", momentum=0.0), 0.1)
    before.step()
    memory = optimizer_state(before, detector)
    after, _ = make_optimizer(detector, Schedule(optimizer="rmsprop", momentum=0.9), 0.1)
    load_optimizer_state(after, detector, memory)
    after.step()
    assert after.state[detector.conv.weight]["momentum_buffer"].abs().sum() > 0


def test_patience_without_validation_is_remarked() -> None:
    assert "patience does nothing" in warnings(Schedule(patience=3, evaluate_every=0), 100)[0]
    assert warnings(Schedule(patience=3), 1000) == []
