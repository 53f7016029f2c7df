from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from detzoo.recipes.files import CheckpointError
from detzoo.recipes.settings import Schedule
from detzoo.train import checkpoint
from detzoo.train.checkpoint import SaveError, read_state, restore
from detzoo.train.fit import Run, Validation, fit
from detzoo.train.log import read_log
from detzoo.train.optimizer import group_settings, own_optimizer
from detzoo.types import Images, Targets
from tests.train_fakes import MemoryLoader, TinyDetector, make_run, quick

FULL = {
    "sgd": Schedule(epochs=4, batch=2, warmup_steps=9, milestones=(3,), ema=0.9, clip_norm=1.0),
    "adamw": Schedule(epochs=4, batch=2, optimizer="adamw", decay="cosine", warmup_steps=2, accumulate=4),
    "fp16": Schedule(epochs=4, batch=2, precision="fp16", warmup_steps=2, ema=0.99, clip_norm=0.5),
    "bf16": Schedule(epochs=4, batch=2, precision="bf16", warmup_steps=2, decay="constant"),
}
SCORES = [0.1, 0.4, 0.3, 0.2]


def scorer(first_epoch: int = 0) -> Any:
    scores = iter(SCORES[first_epoch:])
    return lambda detector: Validation({"box_ap": next(scores), "mask_ap": 0.1}, {"loss": 1.5})


__all__ = ["quick"]
pytestmark = pytest.mark.usefixtures("quick")


def resumed(out: Path, schedule: Schedule, **options: Any) -> Run:
    contents = read_state(out / "last.state")
    position = contents["position"]
    run = make_run(
        out, schedule, validate=scorer(position["epoch"]), done=(position["epoch"], position["update"]), **options
    )
    torch.manual_seed(99)  # nothing that was drawn before may matter
    restore(run.state, contents, out / "last.state", len(run.loader))
    return run


def assert_equal_states(left: Path, right: Path) -> None:
    a, b = read_state(left / "last.state"), read_state(right / "last.state")
    flat_a, flat_b = dict(leaves("", a)), dict(leaves("", b))
    assert flat_a.keys() == flat_b.keys()
    for name, value in flat_a.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, flat_b[name]), name
        else:
            assert value == flat_b[name], name


def leaves(prefix: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(f"{prefix}/{key}", inner)
    else:
        yield prefix, value


@pytest.mark.parametrize("name", FULL)
def test_two_epochs_and_two_more_are_four(tmp_path: Path, name: str) -> None:
    schedule = FULL[name]
    fit(make_run(tmp_path / "whole", schedule, validate=scorer()))

    def stop(record: Mapping[str, Any]) -> None:
        if record["event"] == "epoch" and record["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(make_run(tmp_path / "halves", schedule, validate=scorer(), callbacks=[stop]))
    second = resumed(tmp_path / "halves", schedule)
    assert second.state.position.epoch == 2
    fit(second)
    assert_equal_states(tmp_path / "whole", tmp_path / "halves")
    for file in ("last", "best"):
        a, b = (load_file(tmp_path / half / f"{file}.safetensors") for half in ("whole", "halves"))
        assert all(torch.equal(a[key], b[key]) for key in a)
    assert second.state.best.value == 0.4
    assert second.state.best.epoch == 1


@pytest.mark.parametrize("update", [1, 4, 6, 8])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_that_resumes_exactly(
    tmp_path: Path, update: int, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = FULL["sgd"]
    fit(make_run(tmp_path / "whole", schedule, validate=scorer()))
    detector = TinyDetector()
    forward = detector.forward
    steps = 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == update:
            os.kill(os.getpid(), number)
        return forward(*arguments)

    torch.manual_seed(3)
    detector.load_state_dict(TinyDetector().state_dict())
    monkeypatch.setattr(detector, "forward", interrupted)
    expected = KeyboardInterrupt if number == signal.SIGINT else SystemExit
    before = signal.getsignal(number)
    with pytest.raises(expected):
        fit(make_run(tmp_path / "halves", schedule, detector=detector, validate=scorer()))
    assert signal.getsignal(number) is before
    assert read_state(tmp_path / "halves" / "last.state")["position"]["update"] == update
    fit(resumed(tmp_path / "halves", schedule))
    assert_equal_states(tmp_path / "whole", tmp_path / "halves")
    keys = ("event", "epoch", "update", "lr", "losses")
    logs = [[[r.get(k) for k in keys] for r in read_log(tmp_path / half / "log.jsonl")] for half in ("whole", "halves")]
    assert logs[0] == logs[1]


class Spare(TinyDetector):
    """With a layer that no loss reaches, as an own backbone's classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.spare = torch.nn.Linear(2, 2)


def test_a_parameter_that_gets_no_gradient_does_not_end_a_run(tmp_path: Path) -> None:
    schedule = FULL["adamw"]

    def stop(record: Mapping[str, Any]) -> None:
        if record["event"] == "epoch" and record["epoch"] == 2:
            raise KeyboardInterrupt

    torch.manual_seed(3)
    start = Spare().state_dict()

    def spare() -> Spare:
        detector = Spare()
        detector.load_state_dict(start)
        return detector

    fit(make_run(tmp_path / "whole", schedule, detector=spare(), validate=scorer()))
    with pytest.raises(KeyboardInterrupt):
        fit(make_run(tmp_path / "halves", schedule, detector=spare(), validate=scorer(), callbacks=[stop]))
    fit(resumed(tmp_path / "halves", schedule, detector=spare()))
    assert_equal_states(tmp_path / "whole", tmp_path / "halves")
    frozen = spare()
    frozen.spare.requires_grad_(False)
    with pytest.raises(CheckpointError, match=r"other parameters are trainable now .*: spare\.bias, spare\.weight"):
        resumed(tmp_path / "halves", schedule, detector=frozen)


def test_what_callbacks_do_with_a_record_is_theirs(tmp_path: Path) -> None:
    def note(record: Any) -> None:
        record["note"] = np.float32(1)
        record.pop("losses")

    run = make_run(tmp_path, callbacks=[note])
    memory, (name, parameter) = run.state.optimizer.state, next(run.state.detector.named_parameters())
    run.state.optimizer.register_step_post_hook(lambda *_: memory[parameter].update(n=np.float64(2)))
    fit(run)
    contents = read_state(tmp_path / "last.state")
    assert [set(entry) >= {"losses"} and "note" not in entry for entry in contents["history"]] == [True, True]
    assert contents["optimizer"][name]["n"] == 2.0


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(record: Mapping[str, Any]) -> None:
        if record["event"] == "train" and record["update"] == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(make_run(tmp_path, callbacks=[stop]))
    shown = capsys.readouterr().out
    assert "stopped at epoch 1/2, step 3/6" in shown
    assert "resume=True" in shown


def test_a_second_ctrl_c_inside_an_update_keeps_the_older_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path)
    step = run.state.optimizer.step
    count = 0

    def torn(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == 8:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return step(*arguments)

    monkeypatch.setattr(run.state.optimizer, "step", torn)
    with pytest.raises(KeyboardInterrupt):
        fit(run)
    assert read_state(tmp_path / "last.state")["position"] == {"epoch": 1, "step": 0, "update": 6}
    assert "nothing was saved" in capsys.readouterr().out


def test_an_error_in_the_data_loses_nothing(tmp_path: Path) -> None:
    class Broken(MemoryLoader):
        def take(self, indices: list[int]) -> Any:
            if self.epoch == 1 and 5 in indices:
                raise OSError("image5.png is not a picture")
            return super().take(indices)

    with pytest.raises(OSError, match=r"image5\.png"):
        fit(make_run(tmp_path / "halves", FULL["sgd"], loader=Broken(), validate=scorer()))
    position = read_state(tmp_path / "halves" / "last.state")["position"]
    assert position["epoch"] == 1
    assert position["update"] == 6 + position["step"]
    fit(resumed(tmp_path / "halves", FULL["sgd"]))
    fit(make_run(tmp_path / "whole", FULL["sgd"], validate=scorer()))
    assert_equal_states(tmp_path / "whole", tmp_path / "halves")


def test_a_crash_while_validating_repeats_the_validation_only(tmp_path: Path) -> None:
    def broken(detector: object) -> Validation:
        raise MemoryError

    with pytest.raises(MemoryError):
        fit(make_run(tmp_path / "halves", FULL["sgd"], validate=broken))
    assert read_state(tmp_path / "halves" / "last.state")["position"] == {"epoch": 0, "step": 6, "update": 6}
    fit(resumed(tmp_path / "halves", FULL["sgd"]))
    fit(make_run(tmp_path / "whole", FULL["sgd"], validate=scorer()))
    assert_equal_states(tmp_path / "whole", tmp_path / "halves")


@pytest.mark.parametrize("file", ["last.state", "last.safetensors", "best.safetensors"])
def test_a_full_disk_keeps_the_previous_checkpoint_and_says_so(
    tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the second epoch on, the operating system refuses to write more than 600 bytes of one of the files."""
    scores = iter([0.1, 0.2])
    before: dict[str, bytes] = {}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def remember(record: Mapping[str, Any]) -> None:
        if record["event"] == "train" and record["epoch"] == 2 and not before:
            before.update({path.name: path.read_bytes() for path in tmp_path.iterdir()})

    def limited(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if before and file in arguments[-1].name:
                resource.setrlimit(resource.RLIMIT_FSIZE, (600, limits[1]))
            try:
                return write(*arguments)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)

        return call

    run = make_run(tmp_path, validate=lambda detector: Validation({"box_ap": next(scores)}, {}), callbacks=[remember])
    monkeypatch.setattr(checkpoint, "_write_state", limited(checkpoint._write_state))
    run.state.detector.save = limited(run.state.detector.save)
    said = rf"(?s){file}.*File too large.*the previous {file} is whole and unchanged.*resume=True"
    with pytest.raises(SaveError, match=said):
        fit(run)
    assert (tmp_path / file).read_bytes() == before[file]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(before)


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_state_is_named(tmp_path: Path, kept: float) -> None:
    fit(make_run(tmp_path))
    path = tmp_path / "last.state"
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(len(whole) * kept)])
    with pytest.raises(CheckpointError, match=r"last\.state .*cut short or damaged"):
        read_state(path)


def test_a_state_that_does_not_belong_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        read_state(tmp_path / "last.state")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.state")
    with pytest.raises(CheckpointError, match="not a training state"):
        read_state(tmp_path / "other.state")
    fit(make_run(tmp_path))
    contents = read_state(tmp_path / "last.state")
    run = make_run(tmp_path / "b", detector=TinyDetector(classes=("x", "y", "z")))
    with pytest.raises(CheckpointError, match="was trained on the classes"):
        restore(run.state, contents, tmp_path / "last.state", 6)
    run = make_run(tmp_path / "c", detector=TinyDetector(norm=False))
    with pytest.raises(CheckpointError, match="does not fit"):
        restore(run.state, contents, tmp_path / "last.state", 6)
    contents["position"]["step"] = 3
    with pytest.raises(CheckpointError, match="stopped at step 3 of 6"):
        restore(make_run(tmp_path / "d").state, contents, tmp_path / "last.state", 7)
    contents["version"] = 99
    torch.save(contents, tmp_path / "later.state")
    with pytest.raises(CheckpointError, match="later detzoo"):
        read_state(tmp_path / "later.state")


def test_a_state_of_another_program_is_called_that(tmp_path: Path) -> None:
    path = tmp_path / "last.state"
    torch.save({"a": Fraction(1, 2)}, path)
    with pytest.raises(
        CheckpointError, match=r"not a training state .* another program \(fractions\.Fraction\)"
    ) as told:
        read_state(path)
    assert "\x1b" not in str(told.value)
    path.write_text("hello")
    with pytest.raises(CheckpointError, match=r"not a training state of detzoo; resume from a copy"):
        read_state(path)


@pytest.mark.parametrize("name", ["sgd", "adamw", "fp16"])
def test_an_error_within_a_step_leaves_the_statistics_of_before_it(tmp_path: Path, name: str) -> None:
    schedule = FULL[name]
    fit(make_run(tmp_path / "whole", schedule, validate=scorer()))
    run = make_run(tmp_path / "halves", schedule, validate=scorer())
    forward, steps = run.state.detector.forward, 0

    def broken(images: Images, targets: Targets) -> dict[str, Tensor]:
        nonlocal steps
        steps += 1
        losses = forward(images, targets)  # after batch norm has seen the batch
        if steps == 9:
            raise OSError("in the ninth step")
        return losses

    run.state.detector.forward = broken
    with pytest.raises(OSError, match="ninth"):
        fit(run)
    assert read_state(tmp_path / "halves" / "last.state")["position"]["epoch"] == 1
    fit(resumed(tmp_path / "halves", schedule))
    assert_equal_states(tmp_path / "whole", tmp_path / "halves")


class Growing(torch.optim.SGD):
    """Its steps grow by what it keeps in its groups and under a name of its own, of no single parameter."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, lr=0.01, weight_decay=0.1)
        for group in self.param_groups:
            group.update(d=1.0, k=np.int64(0), seen=torch.zeros(1), past=[])

    def step(self, closure: Any = None) -> Any:
        memory: Any = self.state
        memory["steps"] = memory.get("steps", 0) + 1
        for group in self.param_groups:
            group["k"], group["d"] = group["k"] + 1, group["d"] * 1.1
            group["seen"] += memory["steps"]
            group["past"] = [*group["past"], group["lr"]][-2:]
            group["lr"] *= group["d"] * (1 + float(group["seen"])) * (1 + sum(group["past"])) / float(group["k"])
        return super().step(closure)


def test_what_an_own_optimizer_keeps_in_its_groups_goes_on(tmp_path: Path) -> None:
    schedule = Schedule(epochs=2, batch=2, warmup_steps=0, milestones=(1,))

    def made(run: Run) -> Run:
        run.state.optimizer, _ = own_optimizer(run.state.detector, Growing)
        run.state.made = group_settings(run.state.optimizer)
        return run

    fit(made(make_run(tmp_path / "whole", schedule)))

    def stop(record: Mapping[str, Any]) -> None:
        if record["event"] == "train" and record["update"] == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(made(make_run(tmp_path / "halves", schedule, callbacks=[stop])))
    contents = read_state(tmp_path / "halves" / "last.state")
    ((names, memory),) = contents["shared"]["groups"]
    assert len(names) == len(contents["trainable"])
    assert (set(memory), memory["k"]) == ({"d", "k", "seen", "past"}, 8)
    again = made(make_run(tmp_path / "halves", schedule, done=(1, 8)))
    again.state.optimizer.param_groups[0]["weight_decay"] = 0.1  # a setting, which is as it is now
    restore(again.state, contents, tmp_path / "halves" / "last.state", len(again.loader))
    fit(again)
    assert_equal_states(tmp_path / "whole", tmp_path / "halves")
    del contents["shared"]  # as in files of before it was kept
    old = made(make_run(tmp_path / "old", schedule))
    restore(old.state, contents, tmp_path / "old" / "last.state", len(old.loader))
    assert old.state.optimizer.param_groups[0]["k"] == 0
