from __future__ import annotations

import io
import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from torch import nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, PolynomialLR

from detzoo.atomic import write_atomically
from detzoo.blocks.losses import alone, mean_over_ranks
from detzoo.config import ConfigError
from detzoo.recipes.settings import ParamGroup, Schedule
from detzoo.train.allocator import keep_freed_memory
from detzoo.train.ema import Ema
from detzoo.train.heads import load_matching
from detzoo.train.optimizer import (
    learning_rate,
    load_optimizer_state,
    make_optimizer,
    optimizer_state,
    set_learning_rate,
)
from detzoo.train.progress import Display
from detzoo.train.schedules import lr_factor, warnings
from tests.train_fakes import TinyDetector


def test_the_learning_rate_follows_the_batch_and_says_so() -> None:
    found = learning_rate(Schedule(lr=0.02, batch=2, accumulate=2, base_batch=16), ranks=1)
    assert found.value == pytest.approx(0.005)
    assert "0.02 x 4/16 = 0.005" in found.why
    assert learning_rate(Schedule(lr=0.02, batch=2, base_batch=16), ranks=8).value == pytest.approx(0.02)
    assert learning_rate(Schedule(lr=0.02, batch=2, scale_lr=False), ranks=4).value == 0.02


def test_each_parameter_follows_the_first_rule_that_matches() -> None:
    detector = TinyDetector()
    detector.conv.get_parameter("bias").requires_grad_(False)
    schedule = Schedule(
        optimizer="adamw",
        weight_decay=0.1,
        groups=(
            ParamGroup(pattern=r"^norm\.", weight_decay=0.0),
            ParamGroup(pattern="bias", lr_scale=2.0),
            ParamGroup(pattern=r"^conv\.", lr_scale=0.1),
            ParamGroup(pattern="nothing"),
        ),
    )
    optimizer, unused = make_optimizer(detector, schedule, 0.5)
    assert isinstance(optimizer, AdamW)
    assert unused == ["nothing"]
    names = {parameter: name for name, parameter in detector.named_parameters()}
    found = {
        names[p]: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]
    }
    assert found == {
        "conv.weight": (0.05, 0.1),
        "norm.weight": (0.5, 0.0),
        "norm.bias": (0.5, 0.0),
        "head.weight": (0.5, 0.1),
        "head.bias": (1.0, 0.1),
    }
    set_learning_rate(optimizer, 0.2)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == [pytest.approx(x) for x in (0.02, 0.2, 0.4)]


def test_an_optimizer_needs_something_to_do() -> None:
    with pytest.raises(ValueError, match="every part of it is frozen"):
        make_optimizer(TinyDetector().requires_grad_(False), Schedule(), 0.1)
    with pytest.raises(ValueError, match=r"schedule\.groups\.0\.pattern '\('"):
        make_optimizer(TinyDetector(), Schedule(groups=(ParamGroup(pattern="("),)), 0.1)


def test_groups_of_normalization_layers_and_of_biases() -> None:
    detector = TinyDetector()
    schedule = Schedule(
        optimizer="adam",
        weight_decay=0.1,
        groups=(
            ParamGroup(pattern=r"^conv\.", of="bias", lr_scale=3.0),
            ParamGroup(of="norm", weight_decay=0.0),
            ParamGroup(of="bias", lr_scale=2.0, weight_decay=0.0),
            ParamGroup(pattern="head", of="norm"),
        ),
    )
    optimizer, unused = make_optimizer(detector, schedule, 0.5)
    assert isinstance(optimizer, Adam)
    assert not isinstance(optimizer, AdamW)
    assert unused == ["head of=norm"]
    names = {parameter: name for name, parameter in detector.named_parameters()}
    found = {
        names[p]: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]
    }
    assert found == {
        "conv.weight": (0.5, 0.1),
        "conv.bias": (1.5, 0.1),
        "norm.weight": (0.5, 0.0),
        "norm.bias": (0.5, 0.0),  # a bias, but of a normalization layer
        "head.weight": (0.5, 0.1),
        "head.bias": (1.0, 0.0),
    }


def test_optimizer_memory_survives_other_groups_and_keeps_the_new_settings() -> None:
    detector = TinyDetector(norm=False)
    optimizer, _ = make_optimizer(detector, Schedule(), 0.1)
    assert isinstance(optimizer, SGD)
    torch.stack([parameter.square().sum() for parameter in detector.parameters()]).sum().backward()
    optimizer.step()
    memory = optimizer_state(optimizer, detector)
    other, _ = make_optimizer(detector, Schedule(weight_decay=0.5, groups=(ParamGroup(pattern="head"),)), 0.3)
    load_optimizer_state(other, detector, memory)
    for name, values in optimizer_state(other, detector).items():
        assert torch.equal(values["momentum_buffer"], memory[name]["momentum_buffer"])
    assert {group["weight_decay"] for group in other.param_groups} == {0.5}
    detector.head.bias.requires_grad_(False)
    fewer, _ = make_optimizer(detector, Schedule(), 0.1)
    with pytest.raises(ValueError, match=r"head\.bias"):
        load_optimizer_state(fewer, detector, memory)


def test_warm_up_and_steps() -> None:
    schedule = Schedule(epochs=12, milestones=(8, 11), warmup_steps=4, warmup_start=0.2)
    assert [lr_factor(schedule, u / 10, u, 10) for u in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    found = [lr_factor(schedule, epoch, 100, 10) for epoch in (7.9, 8, 10.9, 11, 11.9)]
    assert found == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])
    assert lr_factor(schedule.replace(decay="constant"), 11, 110, 10) == 1


def test_a_constant_warm_up_stays_at_its_first_rate() -> None:
    schedule = Schedule(milestones=(1,), warmup="constant", warmup_steps=4, warmup_start=0.25)
    assert [lr_factor(schedule, 0.0, update, 8) for update in (0, 3, 4)] == [0.25, 0.25, 1.0]
    assert lr_factor(schedule, 1.0, 8, 8) == pytest.approx(0.1)


def test_poly_falls_with_its_power() -> None:
    schedule = Schedule(epochs=10, decay="poly", power=2.0, final_lr=0.1, warmup_steps=0)
    found = [lr_factor(schedule, epoch, int(epoch * 10), 10) for epoch in (0, 2.5, 5, 10)]
    assert found == pytest.approx([1, 0.1 + 0.9 * 0.75**2, 0.1 + 0.9 * 0.25, 0.1])


def test_decay_may_begin_before_or_after_the_end_of_the_warm_up() -> None:
    schedule = Schedule(epochs=10, decay="poly", warmup_steps=20, warmup_start=0.5, decay_start=0.0)
    assert lr_factor(schedule, 1, 10, 10) == pytest.approx(0.75 * 0.9)
    assert lr_factor(schedule, 5, 50, 10) == pytest.approx(0.5)
    late = schedule.replace(decay_start=5.0)
    assert [lr_factor(late, epoch, epoch * 10, 10) for epoch in (2, 5, 6, 10)] == pytest.approx([1, 1, 0.8, 0])
    with pytest.raises(ConfigError, match="decay_start is 10, but there are 10 epochs"):
        schedule.replace(decay_start=10.0)


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        (
            Schedule(epochs=7, decay="cosine", final_lr=0.3),
            lambda optimizer: CosineAnnealingLR(optimizer, T_max=7, eta_min=0.06),
        ),
        (Schedule(epochs=7, decay="poly", power=0.9), lambda optimizer: PolynomialLR(optimizer, 7, power=0.9)),
    ],
)
def test_by_epoch_rates_are_those_of_torch(schedule: Schedule, theirs: Callable[[SGD], LRScheduler]) -> None:
    schedule = schedule.replace(decay_by="epoch", decay_start=0.0, warmup_steps=0)
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.2)
    scheduler = theirs(optimizer)
    for epoch in range(7):
        expected = optimizer.param_groups[0]["lr"]
        for step in range(4):
            found = 0.2 * lr_factor(schedule, epoch + step / 4, epoch * 4 + step, 4)
            assert found == pytest.approx(expected, rel=1e-6)
        optimizer.step()
        scheduler.step()


def test_cosine_goes_from_the_end_of_the_warm_up_to_the_end_of_the_run() -> None:
    schedule = Schedule(epochs=11, decay="cosine", final_lr=0.2, warmup_steps=10)
    found = [lr_factor(schedule, epoch, epoch * 10, 10) for epoch in (1, 6, 11)]
    assert found == pytest.approx([1, 0.6, 0.2])


@given(
    decay=st.sampled_from(["step", "cosine", "poly", "constant"]),
    by=st.sampled_from(["update", "epoch"]),
    kind=st.sampled_from(["linear", "constant"]),
    power=st.floats(0.1, 4),
    epochs=st.integers(1, 20),
    per_epoch=st.integers(1, 50),
    warmup=st.integers(0, 200),
    start=st.floats(0, 1),
    final=st.floats(0, 1),
)
def test_the_rate_never_leaves_zero_to_one(
    decay: str,
    by: str,
    kind: str,
    power: float,
    epochs: int,
    per_epoch: int,
    warmup: int,
    start: float,
    final: float,
) -> None:
    schedule = Schedule.model_validate(
        {
            "decay": decay,
            "decay_by": by,
            "power": power,
            "epochs": epochs,
            "warmup": kind,
            "warmup_steps": warmup,
            "warmup_start": start,
            "final_lr": final,
        }
    )
    for update in range(0, epochs * per_epoch, max(per_epoch // 2, 1)):
        assert -1e-9 <= lr_factor(schedule, update / per_epoch, update, per_epoch) <= 1 + 1e-9


def test_a_schedule_that_cannot_be_meant_is_remarked_on() -> None:
    assert warnings(Schedule(epochs=12, milestones=(8, 11), warmup_steps=500), 100) == []
    remarks = warnings(Schedule(epochs=2, milestones=(8, 11), warmup_steps=500), 100)
    assert "warm-up of 500 updates is not over when the run ends after 200" in remarks[0]
    assert "the learning rate never falls" in remarks[1]


def test_the_average_moves_towards_the_weights_and_copies_the_buffers() -> None:
    detector = TinyDetector()
    ema = Ema(detector, 0.9)
    weight, mean = (ema.detector.get_parameter("head.weight"), ema.detector.get_buffer("norm.running_mean"))
    start = weight.clone()
    with torch.no_grad():
        detector.head.weight += 1
        detector.norm.get_buffer("running_mean").fill_(5)
    ema.update(detector, updates=0)
    torch.testing.assert_close(weight, start + 0.9)
    ema.update(detector, updates=10**6)
    torch.testing.assert_close(weight, start + 0.9 + 0.01)
    assert torch.equal(mean, torch.full((4,), 5.0))
    assert not any(parameter.requires_grad for parameter in ema.detector.parameters())
    assert not ema.detector.training


def test_a_head_of_another_size_is_rebuilt_and_named() -> None:
    old, new = TinyDetector(("a", "b", "c")), TinyDetector(("x", "y"))
    head = new.head.weight.clone()
    lines = load_matching(new, {**old.state_dict(), "extra": torch.zeros(1)}, new.classes, old.classes)
    assert torch.equal(new.conv.weight, old.conv.weight)
    assert torch.equal(new.head.weight, head)
    text = "\n".join(lines)
    assert "head rebuilt for 2 classes, the weights have 3 classes" in text
    assert "head.weight [3, 4] -> [2, 4], head.bias [3] -> [2]" in text
    assert "not in this model: extra" in text


def test_weights_that_fit_are_taken_without_a_word_about_heads() -> None:
    old, new = TinyDetector(), TinyDetector()
    lines = load_matching(new, old.state_dict(), new.classes, old.classes)
    assert lines == [f"weights: took {len(old.state_dict())} of {len(old.state_dict())} tensors"]
    assert "other names" in load_matching(new, old.state_dict(), new.classes, ("c", "d"))[1]
    with pytest.raises(ValueError, match="none of the 2 tensors"):
        load_matching(new, nn.Linear(7, 7).state_dict(), new.classes, None)


def test_a_normalizer_without_ranks_is_the_count() -> None:
    assert mean_over_ranks(torch.tensor(3)).item() == 3.0
    assert mean_over_ranks(torch.tensor(0), floor=1).item() == 1.0
    assert mean_over_ranks(torch.tensor([True, False])).tolist() == [1.0, 0.0]
    with alone():
        assert mean_over_ranks(torch.tensor(2.5, requires_grad=True)).requires_grad is False


def test_the_class_table_names_classes_that_nobody_shows(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(show=True, bar=False)
    display.classes([("[cat]", 3, 5, 1), ("dog", 0, 0, 0)])
    shown = capsys.readouterr().out
    assert "[cat]" in shown
    assert "no object to learn from: dog" in shown
    display.classes([(f"class {index}", 1, 1, 0) for index in range(150)])
    assert "and 50 more classes" in capsys.readouterr().out
    Display(show=False, bar=True).say("nothing")
    assert capsys.readouterr().out == ""


def test_the_bar_shows_speed_time_left_and_memory() -> None:
    terminal = io.StringIO()
    display = Display(show=True, bar=True, console=Console(file=terminal, force_terminal=True, width=120))
    record = {
        "epoch": 2,
        "losses": {"loss": 1.25},
        "images_per_second": 31.4,
        "seconds_left": 3700.0,
        "memory_mb": 2048.0,
    }
    with display:
        display.start_epoch(1, 12, 0, 10)
        display.step(record, 4, 10)
    shown = terminal.getvalue()
    for part in ("epoch 2/12", "4/10", "31.4 img/s", "1:01:40 left", "2.0 GB", "loss 1.250"):
        assert part in shown


def test_checkpoints_can_be_read_by_whom_other_files_can(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    written = write_atomically(tmp_path / "atomic", lambda path: path.write_text("whole"))
    assert written.stat().st_mode == (tmp_path / "plain").stat().st_mode
    with pytest.raises(OSError, match=r"atomic .*what was there is unchanged"):
        write_atomically(written, lambda path: (path.write_text("half"), path.rename(tmp_path / "none" / "x")))
    assert written.read_text() == "whole"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("name", "value"), [("GLIBC_TUNABLES", "glibc.malloc.arena_max=2"), ("MALLOC_ARENA_MAX", "2")])
def test_the_allocator_is_left_alone_where_the_user_has_set_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)
    assert not keep_freed_memory()


def test_freed_memory_is_kept_with_glibc(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name == "GLIBC_TUNABLES" or name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
