from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import detzoo
from detzoo.config import ConfigError
from detzoo.data.source import as_data
from detzoo.overwrite import OverwritesSource
from detzoo.recipes.files import CheckpointError
from detzoo.recipes.settings import Data, Schedule
from detzoo.train.checkpoint import read_state
from detzoo.train.log import read_log
from detzoo.train.loop import Trained, train
from detzoo.train.plan import planned
from detzoo.train.progress import Display
from tests.oracle import scene, write_coco
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
    files = ["best.safetensors", "last.safetensors", "last.state", "log.jsonl", "recipe.json", "results.csv"]
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


def epoch_zero(out: Path) -> dict[str, Any]:
    return json.loads(read_state(out / "last.state")["recipe"])


def test_a_run_goes_on_with_its_own_recipe_and_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever way it is named; only what is typed changes."""
    out = tmp_path / "mine"
    run(out, "schedule.epochs=1", "schedule.evaluate_every=0", "schedule.lr=0.002", data="shapes:6/0")
    before = epoch_zero(out)
    calls: list[Any] = [
        lambda: train(resume=out, device="cpu", progress=False),
        lambda: train(out=out, resume=True, device="cpu", progress=False),
        lambda: train(RETINANET, out=out, resume=True, device="cpu", progress=False),
        lambda: train(detzoo.find(RETINANET), resume=str(out / "last.state"), device="cpu", progress=False),
    ]
    for call in calls:
        capsys.readouterr()
        call()
        assert epoch_zero(out) == before
        assert "settings that changed" not in capsys.readouterr().out
    longer = train(None, resume=out, device="cpu", progress=False, overrides={"schedule.epochs": 2})
    assert len(longer.history) == 2
    shown = capsys.readouterr().out
    assert "settings that changed since the run was stopped: schedule.epochs: 1 -> 2\n" in shown
    assert "6 training images" in shown
    assert "in proportion" not in shown
    changed = detzoo.find(RETINANET)
    changed = changed.replace(schedule=changed.schedule.replace(clip_norm=3.0))
    train(changed, resume=out, device="cpu", progress=False, weights=longer.last)
    shown = capsys.readouterr().out
    assert "schedule.clip_norm: None -> 3.0\n" in shown
    assert "weights is not used" in shown
    moved = train(None, "shapes:7/0", resume=out, device="cpu", progress=False)
    (part,) = json.loads((out / "recipe.json").read_text())["data"]["train"]
    assert part["count"] == 7
    assert moved.detector.classes == longer.detector.classes


def test_precision_is_the_word_of_predict(tmp_path: Path) -> None:
    done = run(tmp_path, "schedule.epochs=1", "schedule.evaluate_every=0", data="shapes:2/0", precision=torch.bfloat16)
    assert json.loads((tmp_path / "recipe.json").read_text())["schedule"]["precision"] == "bf16"
    assert done.detector.dtype == torch.float32
    with pytest.raises(ValueError, match=r"precision='bf15'.*'fp32', 'bf16' and 'fp16'"):
        train(RETINANET, device="cpu", precision="bf15")  # pyright: ignore[reportArgumentType]
    for before, now in (("none", "fp32"), ("fp16", "fp16")):
        assert Schedule.model_validate({"autocast": before}).precision == now


def test_what_to_train_or_resume_has_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="which recipe"):
        train(device="cpu")
    with pytest.raises(ValueError, match="which run"):
        train(resume=True, device="cpu")
    with pytest.raises(ValueError, match="two folders"):
        train(resume="a", out="b", device="cpu")
    with pytest.raises(FileNotFoundError, match=r"nothing to resume: runs/none/last\.state"):
        train(resume="runs/none", device="cpu")
    assert not list(tmp_path.iterdir())


OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")


@pytest.mark.parametrize("first", OPTIMIZERS)
def test_another_optimizer_starts_anew_and_says_so(
    tmp_path: Path, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "schedule.epochs=1", "schedule.evaluate_every=0", f"schedule.optimizer={first}", data="shapes:3/0")
    kept = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for second in {*OPTIMIZERS} - {first}:
        for name, content in kept.items():
            (tmp_path / name).write_bytes(content)
        train(resume=tmp_path, device="cpu", progress=False, optimizer=second, epochs=2)
        assert f"schedule.optimizer was {first} and now is {second}, which starts anew" in capsys.readouterr().out
        memory = read_state(tmp_path / "last.state")["optimizer"]
        assert memory
        assert all(("exp_avg" in values) == second.startswith("adam") for values in memory.values())
        assert all(("square_avg" in values) == (second == "rmsprop") for values in memory.values())
        assert all(float(values.get("step", 1)) == 1 for values in memory.values())


def test_a_run_is_named_by_its_folder_or_a_file_in_it(tmp_path: Path) -> None:
    run(tmp_path / "r", "schedule.epochs=1", "schedule.evaluate_every=0", data="shapes:3/0")
    for name in ("last.state", "last.safetensors"):
        assert train(resume=tmp_path / "r" / name, device="cpu", progress=False).out == tmp_path / "r"
    with pytest.raises(FileExistsError, match=r"last\.state is a file, not a folder; choose another out"):
        run(tmp_path / "r/last.state", "schedule.epochs=1")


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_out_of_range_are_refused_before_anything_is_written(tmp_path: Path, seed: int) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.seed"):
        run(tmp_path / "r", f"schedule.seed={seed}")
    assert not (tmp_path / "r/last.state").exists()


def test_a_weights_file_or_a_detector_is_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("schedule.epochs=1", "schedule.evaluate_every=0")
    first = run(tmp_path / "first", *options, data="shapes:3/0")
    other = run(tmp_path / "other", *options, "schedule.seed=3", data="shapes:3/0")
    capsys.readouterr()
    slow = ("schedule.lr=1e-12",)
    for recipe, weights, wanted in (
        (str(first.last), None, first),
        (first.detector, None, first),
        (first.last, other.last, other),
    ):
        out = tmp_path / f"on-{len(list(tmp_path.iterdir()))}"
        done = train(recipe, "shapes:3/0", out, weights=weights, device="cpu", overrides=slow, progress=False)
        key = "cls.weight"
        torch.testing.assert_close(done.detector.state_dict()[key], wanted.detector.state_dict()[key])
        shown = capsys.readouterr().out
        named = "the given detector" if recipe is first.detector else str(first.last)
        assert (f"starting from the weights of {named}" in shown) == (weights is None)
        assert "weights: took" in shown


def test_milestones_move_with_the_number_of_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = detzoo.find("retinanet_r50_fpn_1x_coco")
    longer, notes = planned(recipe, None, ["schedule.epochs=24"], {})
    assert (longer.schedule.epochs, longer.schedule.milestones) == (24, (16, 22))
    assert notes == [
        "schedule.epochs=24 instead of 12: schedule.milestones moves in proportion, [8, 11] -> [16, 22]; "
        "set it to have it elsewhere"
    ]
    assert planned(recipe, None, {}, {"epochs": 6})[0].schedule.milestones == (4, 6)
    assert planned(recipe, None, ["schedule.epochs=1"], {})[0].schedule.milestones == (1,)
    explicit = planned(recipe, None, {"schedule.epochs": 24, "schedule.milestones": [9]}, {})
    assert (explicit[0].schedule.milestones, explicit[1]) == ((9,), [])
    assert planned(recipe, None, ["schedule.epochs=12"], {}) == (recipe, [])
    late = recipe.replace(schedule=recipe.schedule.replace(decay="poly", decay_start=8.0))
    shorter, notes = planned(late, None, ["schedule.epochs=3"], {})
    assert (shorter.schedule.decay_start, shorter.schedule.milestones) == (2.0, (8, 11))
    assert "decay_start" in notes[0]
    with pytest.raises(ConfigError, match=r"schedule\.epochs"):
        planned(recipe, None, ["schedule.epochs=-1"], {})


def test_frozen_layers_without_weights_are_a_loud_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("schedule.epochs=1", "schedule.evaluate_every=0", "model.backbone.frozen_stages=0")
    first = run(tmp_path / "a", *options, "schedule.seed=3", data="shapes:3/0")
    shown = capsys.readouterr().out
    assert "WARNING: 1 layers are frozen with random weights, so that they never learn: backbone.conv1" in shown
    assert "model.backbone.frozen_stages=-1" in shown
    run(tmp_path / "b", *options, data="shapes:3/0", weights=first.last)
    assert "WARNING" not in capsys.readouterr().out


def test_the_numbers_of_images_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(tmp_path, "schedule.epochs=1", "schedule.evaluate_every=1", data="shapes:5/3")
    assert "5 training images, 3 validation images" in capsys.readouterr().out
    assert read_log(done.log)[0]["images"] == {"train": 5, "val": 3}
    Display(show=True, bar=False).images(4, 2, 0)
    assert capsys.readouterr().out == "4 training images (2 more are left out), no validation images\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [({"kind": "voc", "masks": True}, "Pascal VOC has boxes only"), ({"masks": False}, "or set data.masks=true")],
)
def test_a_method_that_learns_masks_wants_them_before_anything_is_written(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    recipe = detzoo.find("mask_rcnn_r18_fpn_shapes")
    recipe = recipe.replace(data=recipe.data.replace(**change))
    with pytest.raises(ConfigError, match=said):
        detzoo.train(recipe, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("named", ["recipe", "weights"])
def test_the_weights_that_a_run_starts_from_are_not_replaced(tmp_path: Path, named: str) -> None:
    file = detzoo.build("retinanet_r18_fpn_shapes").save(tmp_path / "best.safetensors")
    before = file.read_bytes()
    given: dict[str, Any] = {"recipe": "retinanet_r18_fpn_shapes", "data": "shapes:2/2", named: str(file)}
    with pytest.raises(OverwritesSource, match="choose another out"):
        detzoo.train(**given, out=tmp_path / "." / "")
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]


def test_what_is_wrong_with_the_data_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    contents = scene(0, [(50, 60), (60, 50)], {2: "cat"})
    contents["annotations"][0]["bbox"][2] = -3  # no box
    for half in ("train", "val"):
        write_coco(tmp_path / half, contents)
    parts = {half: [{"annotations": f"{half}/val.json", "images": f"{half}/images"}] for half in ("train", "val")}
    settings = ("schedule.epochs=2", "schedule.batch=1", "schedule.evaluate_every=1")
    done = run(tmp_path / "run", *settings, data={"root": str(tmp_path), **parts})
    assert len(done.history) == 2
    said = [record.getMessage() for record in caplog.records]
    for half in ("train", "val"):
        assert len([words for words in said if words.startswith(str(tmp_path / half))]) == 1


def test_a_run_that_goes_on_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its images have moved, and its folder has only what the documents say is enough."""
    for name in ("data", "moved"):
        contents = scene(0, [(50, 60), (60, 50), (50, 50), (60, 60)], {2: "cat"})
        write_coco(tmp_path / name, contents)
    settings = ("schedule.epochs=1", "schedule.batch=1", "schedule.evaluate_every=1")
    run(tmp_path / "run", *settings, data=tmp_path / "data", val=0.25)
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "run" / "last.state", tmp_path / "other")
    done = train(
        resume=tmp_path / "other",
        data=tmp_path / "moved",
        device="cpu",
        overrides=["schedule.epochs=2", "schedule.evaluate_every=0"],
        progress=False,
    )
    said = capsys.readouterr().out
    assert "best.safetensors is not there any more" in said.replace("\n", " ")
    assert done.best is None
    assert len(done.history) == 2
    recipe = json.loads((tmp_path / "other" / "recipe.json").read_text())
    assert recipe["data"]["val_fraction"] == 0.25
    assert recipe["data"]["root"] == str(tmp_path / "moved")


def test_a_run_goes_on_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its data is named by a path from where it began; what cannot be is said before data is read."""
    contents = scene(0, [(50, 60), (60, 50), (50, 50), (60, 60)], {2: "cat"})
    write_coco(tmp_path / "data", contents)
    monkeypatch.chdir(tmp_path)
    settings = ("schedule.epochs=2", "schedule.milestones=[1]", "schedule.batch=1", "schedule.evaluate_every=0")
    run(Path("run"), *settings, "schedule.decay=step", data="data", val=0.25)
    assert json.loads(Path("run/recipe.json").read_text())["data"]["root"] == "data"
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    capsys.readouterr()
    for epochs in (4, 6):
        done = train(resume="../run", device="cpu", progress=False, overrides={"schedule.epochs": epochs})
        assert len(done.history) == epochs
        assert json.loads((tmp_path / "run/recipe.json").read_text())["data"]["root"] == str(tmp_path / "data")
    said = capsys.readouterr().out.replace("\n", " ")
    assert "schedule.epochs=4 instead of 2: schedule.milestones stays [1], as it was followed so far" in said
    assert "set it to have it elsewhere, as schedule.milestones=[2]" in said
    (tmp_path / "data").rename(tmp_path / "gone")
    with pytest.raises(CheckpointError, match=r"another model.*model\.head\.convs"):
        train(resume="../run", device="cpu", progress=False, overrides=["model.head.convs=1"])
