"""Loggers: TensorBoard's files are read back; the others are modules in memory that have the calls of the real ones."""

from __future__ import annotations

import sys
import types
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from detzoo.config import ConfigError
from detzoo.train.log import read_log
from detzoo.train.loggers import LOGGERS, check_loggers, numbers, open_loggers
from detzoo.train.results_csv import write_results
from tests.test_train_loop import run
from tests.train_fakes import quick

__all__ = ["quick"]
pytestmark = pytest.mark.usefixtures("quick")
SETTINGS = ("schedule.epochs=1", "schedule.evaluate_every=1")


class Calls:
    """Every call that was made of a stand-in, by name."""

    def __init__(self) -> None:
        self.made: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.made.append((name, args, kwargs))
            return self.answer(name)

        return call

    def answer(self, name: str) -> Any:
        return self if name in ("init", "MlflowClient") else None

    def of(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(args, kwargs) for made, args, kwargs in self.made if made == name]


class Mlflow(Calls):
    """Its client; experiments and runs have numbers."""

    def answer(self, name: str) -> Any:
        if name == "create_run":
            return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r1"))
        return "e1" if name == "create_experiment" else super().answer(name)


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> dict[str, Calls]:
    """Modules under the names of the packages, which the adapters import."""
    made: dict[str, Calls] = {"wandb": Calls(), "trackio": Calls(), "mlflow": Mlflow()}
    for name, calls in made.items():
        module = types.ModuleType(name)
        module.__spec__ = types.SimpleNamespace(name=name)  # type: ignore[assignment]
        for word in ("init", "log", "finish"):
            setattr(module, word, getattr(calls, word))
        monkeypatch.setitem(sys.modules, name, module)
    entities, tracking = types.ModuleType("mlflow.entities"), types.ModuleType("mlflow.tracking")
    for word in ("Metric", "Param"):
        setattr(entities, word, lambda *values: values)
    tracking.MlflowClient = made["mlflow"].MlflowClient  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", tracking)
    return made


def test_every_logger_gets_the_numbers_of_the_log(tmp_path: Path, stand_ins: dict[str, Calls]) -> None:
    done = run(tmp_path / "run", *SETTINGS, loggers=list(LOGGERS))
    wanted = [(record["update"], numbers(record)) for record in read_log(done.log)]
    wanted = [(update, values) for update, values in wanted if values]
    assert {"train/loss", "lr"} < set(wanted[0][1])
    assert {"val/box_ap", "val_loss/loss", "epoch"} < set(wanted[-1][1])
    for name in ("wandb", "trackio"):
        (start,) = stand_ins[name].of("init")
        assert start[1]["config"]["schedule.epochs"] == 1
        assert [(kwargs["step"], args[0]) for args, kwargs in stand_ins[name].of("log")] == wanted
        assert len(stand_ins[name].of("finish")) == 1
    sent = [
        {name: value for name, value, *_ in kwargs.get("metrics", ())}
        for _, kwargs in stand_ins["mlflow"].of("log_batch")
    ]
    assert [values for values in sent if values] == [values for _, values in wanted]
    assert stand_ins["mlflow"].of("set_terminated") == [(("r1", "FINISHED"), {})]

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(done.out / "tensorboard")).Reload()
    for name in ("train/loss", "val/box_ap"):
        points = {event.step: event.value for event in events.Scalars(name)}
        assert points == pytest.approx({update: values[name] for update, values in wanted if name in values}, rel=1e-6)


def shown(out: Path, names: list[str], records: list[dict[str, Any]], update: int = 0) -> list[str]:
    """Records through some loggers; what is said."""
    said: list[str] = []
    out.mkdir(exist_ok=True)
    with ExitStack() as stack:
        callbacks = open_loggers(names, out, {"schedule": {"epochs": 2}}, update, stack, said.append)
        for record in records:
            for callback in callbacks:
                callback(record)
    return said


def epoch(number: int) -> dict[str, Any]:
    losses = {"loss": 2.0 / number}
    return {
        "event": "epoch",
        "epoch": number,
        "update": 5 * number,
        "losses": losses,
        "metrics": {"box_ap": 0.1 * number},
    }


def test_a_resumed_run_goes_on_under_its_names(tmp_path: Path, stand_ins: dict[str, Calls]) -> None:
    for update, records in ((0, [epoch(1)]), (5, [epoch(2)])):
        assert shown(tmp_path / "run", list(stand_ins), records, update) == []
    assert len({kwargs["id"] for _, kwargs in stand_ins["wandb"].of("init")}) == 1
    assert len({kwargs["name"] for _, kwargs in stand_ins["trackio"].of("init")}) == 1
    assert len(stand_ins["mlflow"].of("create_run")) == 1
    assert [kwargs["step"] for _, kwargs in stand_ins["trackio"].of("log")] == [5, 10]


def test_epochs_are_a_table(tmp_path: Path) -> None:
    train = {"event": "train", "epoch": 1, "update": 5, "lr": 0.25, "losses": {"loss": 2.0}}
    write_results([{"event": "start"}, train, epoch(1), epoch(2)], tmp_path / "results.csv")
    head = "epoch,update,lr,train/loss,val/box_ap"
    assert (tmp_path / "results.csv").read_text().splitlines() == [head, "1,5,0.25,2.0,0.1", "2,10,0.25,1.0,0.2"]


def test_a_logger_that_fails_ends_no_training(
    tmp_path: Path, stand_ins: dict[str, Calls], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise ConnectionError("no server")

    monkeypatch.setattr(stand_ins["wandb"], "log", gone, raising=False)
    said = shown(tmp_path / "run", ["wandb"], [epoch(1), epoch(2)])
    assert said == ["WARNING: the logger wandb failed and is left out from now on: no server"]


def test_what_is_wrong_is_said_before_anything_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="did you mean 'tensorboard'"):
        run(tmp_path / "run", loggers=["tensorbord"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"the logger wandb needs wandb: pip install 'detzoo\[wandb\]'"):
        run(tmp_path / "run", loggers=["csv", "wandb"])
    assert not (tmp_path / "run").exists()
    assert check_loggers(["csv", "csv"]) == ["csv"]
