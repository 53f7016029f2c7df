from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import detzoo
from detzoo.config import ConfigError
from detzoo.data.source import as_data
from detzoo.recipes.files import CheckpointError
from detzoo.recipes.settings import Data
from detzoo.train.checkpoint import read_state
from detzoo.train.log import read_log
from detzoo.train.loop import Trained, train
from tests.train_fakes import quick

SMALL = (
    "model.input.short=48",
    "model.input.long=64",
    "model.neck.out_channels=16",
    "schedule.batch=3",
    "schedule.milestones=[3]",
    "data.workers=0",
)
BRIEF = ("model.backbone.norm_eval=true", "model.rpn.train_proposals=20", "model.box_head.fc_channels=16")


__all__ = ["quick"]
pytestmark = pytest.mark.usefixtures("quick")
RETINANET = "retinanet_r18_fpn_shapes"


def run(out: Path, *overrides: str, recipe: str = RETINANET, data: Any = "shapes:5/3", **more: Any) -> Trained:
    return train(recipe, data, out, device="cpu", overrides=(*SMALL, *overrides), progress=False, **more)


def test_a_run_leaves_a_detector_checkpoints_a_log_and_curves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Mapping[str, Any]] = []
    settings = ("schedule.epochs=2", "schedule.evaluate_every=1", "schedule.ema=0.9")
    done = run(tmp_path / "run", *settings, callbacks=[seen.append])
    shown = capsys.readouterr().out
    assert "training data" in shown
    assert "learning rate 0.001 x 3/4 = 0.00075" in shown
    assert [record["epoch"] for record in done.history] == [1, 2]
    assert all(0 <= record["metrics"]["box_ap"] <= 1 for record in done.history)
    assert all(record["val_losses"]["loss"] > 0 for record in done.history)
    files = ["best.safetensors", "last.safetensors", "last.state", "log.jsonl", "recipe.json"]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == files
    assert done.best is not None
    loaded = detzoo.load(done.best)
    assert loaded.classes == done.detector.classes
    for name, value in done.detector.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])
    assert not done.detector.training
    start = read_log(done.log)[0]
    assert start["event"] == "start"
    assert [row["name"] for row in start["classes"]] == list(done.detector.classes)
    assert sum(row["objects"] for row in start["classes"]) > 0
    assert [record["event"] for record in seen] == [record["event"] for record in read_log(done.log)]


def test_two_epochs_and_two_more_are_four(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("schedule.evaluate_every=0", "schedule.ema=0.9", *BRIEF, "model.box_head.samples=8")
    recipe = "faster_rcnn_r18_fpn_shapes"  # draws samples at random
    whole = run(tmp_path / "whole", *options, "schedule.epochs=4", recipe=recipe)
    run(tmp_path / "halves", *options, "schedule.epochs=2", recipe=recipe)
    capsys.readouterr()
    halves = run(tmp_path / "halves", *options, "schedule.epochs=4", recipe=recipe, resume=True)
    shown = capsys.readouterr().out
    assert "schedule.epochs: 2 -> 4" in shown
    a, b = (read_state(done.out / "last.state") for done in (whole, halves))
    for part in ("weights", "averaged"):
        assert all(torch.equal(value, b[part][name]) for name, value in a[part].items())
    for name, values in a["optimizer"].items():
        assert all(torch.equal(value, b["optimizer"][name][key]) for key, value in values.items())
    assert a["position"] == b["position"]
    assert whole.history == halves.history
    assert whole.best is None


def test_classes_come_from_the_data_and_a_head_of_another_size_is_rebuilt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("schedule.epochs=1", "schedule.evaluate_every=0")
    first = run(tmp_path / "first", *options)
    capsys.readouterr()
    two = Data(**{**as_data("shapes:5/3").model_dump(), "classes": first.detector.classes[:2]})
    second = run(tmp_path / "second", *options, data=two, weights=first.last)
    shown = capsys.readouterr().out
    assert second.detector.classes == first.detector.classes[:2]
    assert f"head rebuilt for 2 classes, the weights have {len(first.detector.classes)} classes" in shown
    assert "cls.weight" in shown


def test_a_run_is_not_overwritten_and_another_model_does_not_resume_it(tmp_path: Path) -> None:
    options = ("schedule.epochs=1", "schedule.evaluate_every=0")
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        run(tmp_path, *options, resume=True)
    run(tmp_path, *options)
    with pytest.raises(FileExistsError, match="resume=True"):
        run(tmp_path, *options)
    with pytest.raises(CheckpointError, match=r"another model.*model\.head\.convs: 2 -> 1"):
        run(tmp_path, *options, "model.head.convs=1", resume=True)
    path = tmp_path / "last.state"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"last\.state \(5000 bytes\) is cut short"):
        run(tmp_path, *options, resume=True)


def test_a_setting_or_recipe_that_does_not_exist_is_corrected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'schedule\.epochs'"):
        run(tmp_path, "schedule.epoch=3")
    with pytest.raises(KeyError, match="retinanet_r18_fpn_shapes"):
        run(tmp_path, recipe="retinanet_r18_shapes")
    assert not list(tmp_path.iterdir())


def test_runs_without_a_folder_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = (*SMALL, "schedule.epochs=1", "schedule.evaluate_every=0")
    folders = [
        train(RETINANET, "shapes:3/0", device="cpu", overrides=overrides, progress=False, resume=resume).out
        for resume in (False, False, True)
    ]
    assert folders == [Path("runs") / RETINANET, Path("runs") / f"{RETINANET}-2", Path("runs") / f"{RETINANET}-2"]
