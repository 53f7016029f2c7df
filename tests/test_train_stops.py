"""A run that is stopped at a bad moment: by a signal within a save, by a kill, by a second run, by a worker."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from detzoo.atomic import remove_leftovers, write_atomically
from detzoo.data.dataset import open_dataset
from detzoo.data.loader import make_loader
from detzoo.data.source import shapes_data
from detzoo.detector import Input
from detzoo.recipes.settings import Schedule
from detzoo.train import checkpoint
from detzoo.train import fit as fit_module
from detzoo.train.checkpoint import Files, read_state, restore
from detzoo.train.fit import Run, Validation, fit
from detzoo.train.lock import NAME, FolderInUse, lock
from detzoo.train.log import Log, read_log
from detzoo.train.loop import train
from detzoo.train.meter import NonFiniteLoss
from tests.train_fakes import TinyDetector, make_run, quick

__all__ = ["quick"]
pytestmark = pytest.mark.usefixtures("quick")
SCHEDULE = Schedule(epochs=3, batch=2, warmup_steps=9, milestones=(2,), ema=0.9)
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def scored(detector: object) -> Validation:
    return Validation({"box_ap": 0.5}, {"loss": 1.5})


def resumed(out: Path, **options: Any) -> Run:
    contents = read_state(out / "last.state")
    run = make_run(out, SCHEDULE, validate=scored, **options)
    restore(run.state, contents, out / "last.state", len(run.loader))
    position = run.state.position
    run.log = Log(run.files.log, (position.epoch, position.update), run.state.history)
    return run


def with_log_kept(run: Run, log: bytes) -> Run:
    """`make_run` begins the log anew; here is the one that the killed run left."""
    run.files.log.write_bytes(log)
    position = run.state.position
    run.log = Log(run.files.log, (position.epoch, position.update), run.state.history)
    return run


def epochs_of(out: Path) -> list[int]:
    return [record["epoch"] for record in read_log(out / "log.jsonl") if record["event"] == "epoch"]


def hidden(out: Path) -> list[str]:
    return [path.name for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("moment", ["state", "last", "best", "log", "curves"])
def test_a_signal_while_files_are_written_keeps_the_epoch(
    tmp_path: Path, number: signal.Signals, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes twice, in the second epoch, and has to wait until the file is there."""
    run = make_run(tmp_path, SCHEDULE, validate=scored)
    over: list[bool] = []

    def struck(write: Callable[..., Any], wanted: str = "") -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            named = not wanted or any(isinstance(one, Path) and wanted in one.name for one in arguments)
            if run.state.position.update == 12 and named and not over:
                os.kill(os.getpid(), number)
                if moment in ("state", "last", "best"):
                    os.kill(os.getpid(), number)
            return write(*arguments)

        return call

    if moment == "state":
        monkeypatch.setattr(checkpoint, "_write_state", struck(checkpoint._write_state))
    elif moment == "curves":
        monkeypatch.setattr(fit_module, "draw_curves", struck(fit_module.draw_curves))
    elif moment == "log":
        run.callbacks = [struck(lambda record: None)]
    else:
        if moment == "best":
            better = iter([0.1, 0.2, 0.3])
            run.validate = lambda detector: Validation({"box_ap": next(better)}, {})
        monkeypatch.setattr(run.state.result, "save", struck(run.state.result.save, moment))
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit) as caught:
        fit(run)
    if isinstance(caught.value, SystemExit):
        assert caught.value.code == 128 + number
    # the other files are written before the second validation, which is then left for the next run
    place = (2, 0, 12) if moment in ("best", "curves") else (1, 6, 12)
    assert tuple(read_state(tmp_path / "last.state")["position"].values()) == place
    assert not hidden(tmp_path)
    over.append(True)
    log = run.files.log.read_bytes()
    finished = with_log_kept(resumed(tmp_path), log)
    fit(finished)
    assert epochs_of(tmp_path) == [1, 2, 3]


def test_a_signal_while_validating_leaves_the_state_before_it(tmp_path: Path) -> None:
    fit(make_run(tmp_path / "whole", SCHEDULE, validate=scored))

    def interrupted(detector: TinyDetector) -> Validation:
        for name, buffer in detector.named_buffers():
            if name.endswith("running_mean"):
                buffer.fill_(99.0)  # as statistics are while validation losses are measured
        os.kill(os.getpid(), signal.SIGHUP)
        raise AssertionError("the signal takes effect at once")

    with pytest.raises(SystemExit):
        fit(make_run(tmp_path / "halves", SCHEDULE, validate=interrupted))  # pyright: ignore[reportArgumentType]
    fit(resumed(tmp_path / "halves"))
    whole, halves = (read_state(tmp_path / name / "last.state")["weights"] for name in ("whole", "halves"))
    assert all(torch.equal(value, halves[name]) for name, value in whole.items())


def test_a_run_that_nohup_started_outlives_its_terminal(tmp_path: Path) -> None:
    def hang_up(record: Mapping[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGHUP)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert fit(make_run(tmp_path, SCHEDULE, callbacks=[hang_up])) == "all 3 epochs are done"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_closed_terminal_does_not_end_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, SCHEDULE)

    def gone(text: str) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys.stdout, "write", gone)
    assert fit(run) == "all 3 epochs are done"


def test_a_run_killed_between_checkpoint_and_log_gets_both_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(record: Mapping[str, Any]) -> None:
        if record["event"] == "epoch" and record["epoch"] == last:
            raise Killed

    drawn: list[int] = []
    monkeypatch.setattr(
        fit_module,
        "draw_curves",
        lambda records, path: drawn.append(sum(record["event"] == "epoch" for record in records)),
    )
    for last in (2, 3):  # 3: nothing is left to train
        out = tmp_path / str(last)
        run = make_run(out, SCHEDULE, validate=scored)
        assert run.log is not None
        write = run.log.write
        monkeypatch.setattr(run.log, "write", lambda record, write=write: (kill(record), write(record)))
        with pytest.raises(Killed):
            fit(run)
        assert epochs_of(out) == list(range(1, last))
        log = run.files.log.read_bytes()
        fit(with_log_kept(resumed(out), log + log))  # as after two runs in one folder, too
        assert epochs_of(out) == [1, 2, 3]
        assert drawn[-1] == 3


def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left = [f".last.state.{'0' * 32}", f".best.safetensors.{'a' * 32}", f".log.jsonl.{'1' * 32}", ".tmpAb3xYz"]
    kept = [f".notes.txt.{'0' * 32}", ".last.state.bak", ".tmp", ".tmpfile", "last.state", ".gitignore"]
    for name in left + kept:
        (tmp_path / name).touch()
    Files(tmp_path).tidy()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
    remove_leftovers(tmp_path, ["notes.txt"])
    assert f".notes.txt.{'0' * 32}" not in hidden(tmp_path)


def test_a_second_run_in_a_folder_is_refused_while_the_first_goes_on(tmp_path: Path) -> None:
    settings = ["schedule.epochs=1", "schedule.evaluate_every=0", "data.workers=0", "schedule.batch=2"]
    settings += ["model.input.short=48", "model.input.long=64", "model.neck.out_channels=16"]
    refused: list[bool] = []

    def again(record: Mapping[str, Any]) -> None:
        for resume in (False, True):
            with pytest.raises(FolderInUse, match=rf"a training is going on in .*process {os.getpid()}"):
                run(resume=resume)
        refused.append(True)

    def run(**more: Any) -> None:
        train(
            "retinanet_r18_fpn_shapes",
            "shapes:2/0",
            tmp_path / "run",
            device="cpu",
            progress=False,
            overrides=settings,
            **more,
        )

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / f".last.state.{'0' * 32}").touch()
    run(callbacks=[again])
    assert refused
    assert not (tmp_path / "run" / NAME).exists()
    assert not hidden(tmp_path / "run")
    run(resume=True)


def test_a_lock_ends_with_its_process_and_not_with_that_of_its_children(tmp_path: Path) -> None:
    """The holder is killed while a process that it forked, as a loader's, lives on."""
    code = """if True:
        import os, sys, time
        from pathlib import Path
        from detzoo.train.lock import lock
        with lock(Path(sys.argv[1]), print):
            begun, begin = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(1)
                os.write(begin, b"!")
                time.sleep(60)
                os._exit(0)
            os.read(begun, 1)
            print(child, flush=True)
            time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(FolderInUse, match=f"process {holder.pid}"), lock(tmp_path, print):
                pass
            holder.kill()
            holder.wait()
            assert (tmp_path / NAME).exists()
            with lock(tmp_path, print):
                pass
        finally:
            os.kill(child, signal.SIGKILL)
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(file: int, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    said: list[str] = []
    with lock(tmp_path / "new", said.append):
        pass
    assert "without locks" in said[0]
    assert not (tmp_path / "new").exists()  # nothing came of it


@pytest.mark.parametrize("where", ["buffer", "averaged"])
@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_spoilt_statistics_are_never_saved(tmp_path: Path, where: str, value: float) -> None:
    run = make_run(tmp_path, SCHEDULE, validate=scored)

    def spoil(record: Mapping[str, Any]) -> None:
        if record["event"] == "train" and record["update"] == 12:
            assert run.state.ema is not None
            if where == "buffer":
                run.state.detector.get_buffer("norm.running_var")[1] = value
            else:
                run.state.ema.detector.get_parameter("head.weight").data[0, 0] = value

    run.callbacks = [spoil]
    named = r"norm\.running_var" if where == "buffer" else r"head\.weight \(averaged by schedule\.ema\)"
    with pytest.raises(NonFiniteLoss, match=rf"{named} became NaN or infinite before update 13"):
        fit(run)
    assert read_state(tmp_path / "last.state")["position"]["epoch"] == 1


def test_a_metric_that_measured_nothing_is_never_best(tmp_path: Path) -> None:
    scores = iter([-1.0, torch.inf, 0.0])
    run = make_run(tmp_path, SCHEDULE, validate=lambda detector: Validation({"box_ap": next(scores)}, {}))
    fit(run)
    assert (run.state.best.value, run.state.best.epoch) == (0.0, 2)


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_every_file_has_the_permissions_of_the_user(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        fit(make_run(tmp_path, SCHEDULE, validate=scored))
        write_atomically(tmp_path / "private", lambda path: (path.write_text("x"), path.chmod(0o600)))
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert {"best.safetensors", "last.safetensors", "last.state", "log.jsonl", "private", "results.csv"} == set(modes)
    assert set(modes.values()) == {0o666 & ~umask}


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_stopped_worker_ends_the_wait_with_a_sentence() -> None:
    data = shapes_data(8, 0).replace(worker_timeout=0.5)
    loader = make_loader(open_dataset(data, "train", Input(short=40, long=60), True), 1, train=True, workers=1)
    batches = iter(loader)
    next(batches)
    (worker,) = loader._loader._iterator._workers  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError, match=r"nothing for 0\.5 seconds.*data\.worker_timeout"):
        for _ in batches:
            pass
    worker.join(5)
    assert not worker.is_alive()
