"""The command line: the same functions, other manners."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import detzoo
from detzoo import cli, doctor, precision
from detzoo.config import flatten, override
from detzoo.recipes.recipe import Recipe
from detzoo.train.plan import given_recipe

NAME = "mask_rcnn_r18_fpn_shapes"
SMALL = (
    "model.input.short=64",
    "model.input.long=96",
    "model.rpn.channels=8",
    "model.box_head.fc_channels=16",
    "model.box_head.samples=8",
    "model.box_head.detections=5",
    "model.box_head.threshold=0",
    "model.mask_head.channels=8",
    "model.mask_head.convs=1",
    "schedule.batch=2",
    "schedule.epochs=1",
    "data.workers=0",
)
COMMANDS = ("demo", "list", "show", "train", "evaluate", "predict", "doctor")


@pytest.fixture(autouse=True)
def _keep_warning_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: exit code, what it said, what it complained about."""

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = cli.main(words)
        except SystemExit as stop:
            code = int(str(stop.code or 0))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a training run made through the command line."""
    out = tmp_path_factory.mktemp("cli") / "run"
    assert cli.main(["train", NAME, "--data", "shapes:4/2", "--out", str(out), "--device", "cpu", *SMALL]) == 0
    return out


@pytest.mark.parametrize("words", [(), *((command,) for command in COMMANDS)], ids=lambda words: "-".join(words))
def test_help_is_quick(words: tuple[str, ...]) -> None:
    """Counted as processor time, which other work on the machine does not change; the best of three."""
    best = 9.0
    for _ in range(3):
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "detzoo.cli", *words, "--help"],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
        )
        _, status, usage = os.wait4(pid, 0)
        assert status == 0
        best = min(best, usage.ru_utime + usage.ru_stime)
        if best < 0.5:
            return
    pytest.fail(f"--help took {best:.2f} s")


def test_version() -> None:
    words = [sys.executable, "-m", "detzoo.cli", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == f"detzoo {detzoo.__version__}"


def test_help_of_every_command(run: Callable[..., Any]) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert all(f"\n    {command} " in out for command in COMMANDS)
    for command in COMMANDS:
        code, out, _ = run(command, "--help")
        assert code == 0
        assert ("[a.b.c=value ...]" in out) == (command in ("show", "train", "evaluate", "predict"))


def test_no_command_is_help_and_a_mistake(run: Callable[..., Any]) -> None:
    code, out, _ = run()
    assert code == 2
    assert "usage: detzoo" in out


def test_list_is_plain_when_piped(run: Callable[..., Any]) -> None:
    code, out, _ = run("list", "retinanet*")
    head, *rows = out.splitlines()
    assert code == 0
    assert head.split("  ")[0] == "name"
    assert [row.split()[0] for row in rows] == detzoo.names("retinanet*")
    assert next(row for row in rows if row.startswith("retinanet_r50_fpn_1x_coco ")).split()[1:] == [
        "36.5",
        "-",
        "800",
        "ResNet-50",
        "38.0M",
        "yes",
    ]
    assert out.isascii()


def test_list_sorts_and_filters(run: Callable[..., Any]) -> None:
    code, out, _ = run("list", "mask", "--sort", "ap", "--backbone", "r50", "--min-ap", "41", "--weights")
    rows = out.splitlines()[1:]
    assert code == 0
    assert rows
    assert all("ResNet-50" in row and "mask" in row.split()[0] for row in rows)
    scores = [float(row.split()[1]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] >= 41


@pytest.mark.parametrize("overridden", [False, True])
def test_show_explains(run: Callable[..., Any], overridden: bool) -> None:
    code, out, _ = run("show", NAME, "--explain", *(["schedule.epochs=3"] if overridden else []))
    assert code == 0
    assert "schedule.batch=4  # images per device and step" in out.splitlines()


def test_weights_may_have_any_name(run: Callable[..., Any], trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "last.safetensors", tmp_path / "mine.pt")
    weights = str(tmp_path / "mine.pt")
    assert run("show", weights, "--json")[1] == run("show", str(trained / "last.safetensors"), "--json")[1]
    assert given_recipe(weights)[0] == given_recipe(trained / "last.safetensors")[0]


def test_list_without_a_match(run: Callable[..., Any]) -> None:
    code, out, err = run("list", "nothing*")
    assert (code, out) == (1, "")
    assert "'nothing*'" in err


@pytest.mark.parametrize("name", ["retinanet_r50_fpn_1x_coco", "faster_rcnn_r50_fpn_giou_1x_coco", NAME])
def test_what_show_prints_can_be_pasted_back(run: Callable[..., Any], name: str) -> None:
    changed = ("schedule.epochs=7", 'data.classes=["it\'s", "a b", "$HOME"]', 'data.root="~/my data"')
    code, out, _ = run("show", name, *changed)
    assert code == 0
    shell = subprocess.run(
        ["sh", "-c", "printf '%s\\0' " + " ".join(out.splitlines())], capture_output=True, text=True, check=True
    )
    words = shell.stdout.split("\0")[:-1]
    assert words == shlex.split(out)
    pasted = override(detzoo.find(name), words)
    assert pasted == override(detzoo.find(name), changed)
    assert pasted.data.classes == ("it's", "a b", "$HOME")
    assert run("show", name, *words)[1] == out


def test_every_row_of_the_zoo_survives_flattening() -> None:
    for name in detzoo.names():
        recipe = detzoo.find(name)
        words = [f"{path}={json.dumps(value)}" for path, value in flatten(recipe).items()]
        assert override(recipe, words) == recipe


def test_show_json_is_a_recipe_that_show_takes(run: Callable[..., Any], tmp_path: Path) -> None:
    _, out, _ = run("show", NAME, "schedule.epochs=3", "--json")
    file = tmp_path / "recipe.json"
    file.write_text(out)
    assert Recipe.model_validate_json(out).schedule.epochs == 3
    assert run("show", str(file), "--json")[1] == out


def test_train_leaves_what_it_says(trained: Path, run: Callable[..., Any]) -> None:
    assert {"best.safetensors", "last.safetensors", "last.state", "log.jsonl", "recipe.json"} <= set(
        os.listdir(trained)
    )
    code, out, _ = run("show", str(trained / "last.safetensors"))
    assert code == 0
    assert "model.input.short=64" in out.splitlines()


def test_train_refuses_to_overwrite_a_run(trained: Path, run: Callable[..., Any]) -> None:
    code, _, err = run("train", NAME, "--data", "shapes:4/2", "--out", str(trained), *SMALL)
    assert code == 2
    assert err.startswith("error: ")
    assert "resume" in err


def test_train_resumes(trained: Path, run: Callable[..., Any], tmp_path: Path) -> None:
    longer = [word.replace("epochs=1", "epochs=2") for word in SMALL]
    copy = tmp_path / "run"
    copy.mkdir()
    for file in trained.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    code, out, _ = run(
        "train", NAME, "--data", "shapes:4/2", "--out", str(copy), "--resume", "--device", "cpu", *longer
    )
    assert code == 0
    assert "resuming" in out
    assert '"epoch": 2' in (copy / "log.jsonl").read_text().replace('":2', '": 2')


def test_evaluate_prints_and_writes_numbers(trained: Path, run: Callable[..., Any], tmp_path: Path) -> None:
    weights, report = str(trained / "last.safetensors"), tmp_path / "report.json"
    words = ("--data", "shapes:4/2", "--device", "cpu", "--out", str(report))
    code, out, _ = run("evaluate", weights, *words)
    assert code == 0
    assert "2 images" in out
    assert f"report: {tmp_path / 'report.html'}" in out
    assert "Confusion matrix" in (tmp_path / "report.html").read_text(encoding="utf-8")
    before = json.loads(report.read_text())
    assert {"box_ap", "mask_ap"} <= set(before["metrics"])
    assert sum(row["detections"] for row in before["per_class"]) > 0
    code, _, _ = run("evaluate", weights, *words, "model.box_head.threshold=0.999")
    assert code == 0
    assert sum(row["detections"] for row in json.loads(report.read_text())["per_class"]) == 0


def test_views_may_be_asked_for_anywhere(trained: Path, run: Callable[..., Any], tmp_path: Path) -> None:
    weights = str(trained / "last.safetensors")
    words = ("--data", "shapes:4/1", "--device", "cpu", "--no-report", "--results")
    found = []
    for number, given in enumerate([(weights,), ("--tta", weights), (weights, "--tta", "0.5,flip")]):
        results = tmp_path / f"{number}.json"
        assert run("evaluate", *given, *words, str(results))[0] == 0
        found.append([one["score"] for one in json.loads(results.read_text())])
    assert 0 < len(found[0]) <= len(found[1])
    assert found[0] != found[1] != found[2]


def test_evaluate_refuses_a_model_that_the_weights_do_not_fit(trained: Path, run: Callable[..., Any]) -> None:
    weights = str(trained / "last.safetensors")
    code, _, err = run("evaluate", weights, "--device", "cpu", "model.rpn.channels=9")
    assert code == 2
    assert "the weights do not fit the changed model" in err
    assert len(err.splitlines()) == 1


def test_predict_writes_pictures_and_json(trained: Path, run: Callable[..., Any], tmp_path: Path) -> None:

    from detzoo.data.shapes import picture

    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(picture("shapes/val/0")).save(tmp_path / folder / "same.png")
    out = tmp_path / "out"
    words = ("--out", str(out), "--threshold", "0", "--json", "--device", "cpu")
    code, said, _ = run("predict", str(trained / "last.safetensors"), str(tmp_path / "*" / "*.png"), *words)
    assert code == 0
    names = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert names == {"same.png", "same_000001.png", "predictions.json"}
    first, second = json.loads((out / "predictions.json").read_text())
    assert first["path"].endswith("a/same.png")
    assert Path(second["picture"]).name == "same_000001.png"
    assert first["detections"] == second["detections"]
    assert 0 < len(first["detections"]) <= 5
    assert set(first["detections"][0]) == {"box", "score", "label", "name", "mask"}
    assert "same.png: " in said


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("show", "retinanet_r50_fpn_1x_coc"), ("did you mean", "retinanet_r50_fpn_1x_coco")),
        (("show", NAME, "schedule.epoch=3"), ("did you mean", "schedule.epochs")),
        (("show", NAME, "schedule.epochs=-3", "schedule.lr=0"), ("schedule.epochs", "schedule.lr")),
        (("train", NAME, "--data", "nowhere"), ("nowhere",)),
        (("train", "nowhere.json"), ("nowhere.json",)),
        (("evaluate", "nowhere.safetensors"), ("nowhere.safetensors",)),
        (("predict", "nowhere.safetensors", "x.jpg"), ("nowhere.safetensors",)),
        (("train", NAME, "--dta", "x"), ("--dta", "did you mean --data")),
        (("train", NAME, "--epochs", "3"), ("--epochs", "did you mean schedule.epochs=3?")),
        (("train", NAME, "--lr", "0.1"), ("--lr", "did you mean schedule.lr=0.1?")),
        (("train", NAME, "--batch", "4"), ("--batch", "did you mean schedule.batch=4?")),
        (("train", "--resume", "tests", "--epochs", "3"), ("did you mean schedule.epochs=3?",)),
        (("train", "tests"), ("tests is a folder", "--resume tests")),
        (("show", "ssd300"), ("is not a recipe", "`detzoo list ssd300` shows")),
        (("show", NAME, "lr=0.1"), ("'lr' is not a setting", "did you mean schedule.lr=0.1?")),
        (("train", NAME, "epochs"), ("a.b.c=value",)),
        (("doctor", "c=1"), ("one word too many",)),
        (("predict", "a", "b", "c"), ("a.b.c=value",)),
        (("evaluate", NAME, "--tta", "foo", "data"), ("--tta foo: 'foo' is no view; there are flip, vertical",)),
        (("predict", "--tta", "flpi,0.5", NAME, "x.jpg"), ("--tta flpi,0.5: 'flpi' is no view",)),
        (("predict", NAME, "--tta", "x.jpg", "more.jpg", "more.jpg"), ("--tta x.jpg: 'x.jpg' is no view",)),
        (("predict", NAME, "x.jpg", "--tta", "flip,published"), ("--tta flip,published", "'published' is no view")),
    ],
)
def test_mistakes_get_one_clear_line(run: Callable[..., Any], words: tuple[str, ...], parts: tuple[str, ...]) -> None:
    code, _, err = run(*words)
    assert code == 2
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert "error: " in last
    assert all(part in last for part in parts)


def test_a_damaged_weights_file_is_named(run: Callable[..., Any], trained: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes((trained / "last.safetensors").read_bytes()[:1000])
    Image.new("RGB", (8, 8)).save(tmp_path / "x.jpg")
    code, _, err = run("predict", str(broken), str(tmp_path / "x.jpg"))
    assert code == 2
    assert str(broken) in err


def test_debug_shows_the_traceback(run: Callable[..., Any]) -> None:
    with pytest.raises(KeyError, match="did you mean"):
        run("show", "--debug", "retinanet_r50_fpn_1x_coc")


def test_our_mistakes_are_not_hidden(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Any]) -> None:
    def broken(*_: object, **__: object) -> None:
        raise AttributeError("a bug")

    monkeypatch.setattr("detzoo.listing.listed", broken)
    with pytest.raises(AttributeError, match="a bug"):
        run("list")


def test_ctrl_c_is_no_error(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Any]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(detzoo, "train", interrupted, raising=False)
    code, _, err = run("train", NAME)
    assert (code, err) == (130, "\ninterrupted\n")


def test_train_takes_a_precision(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Any]) -> None:
    code, _, err = run("train", NAME, "--precision", "bf15")
    assert (code, err) == (2, "error: --precision bf15: there are fp32, bf16 and fp16\n")
    given: dict[str, Any] = {}

    def remembered(*_: object, **settings: object) -> None:
        given.update(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(detzoo, "train", remembered, raising=False)
    run("train", NAME, "--precision", "bf16")
    assert given["precision"] == "bf16"


def test_resume_alone_is_enough(trained: Path, run: Callable[..., Any], tmp_path: Path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for file in trained.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    before = (copy / "recipe.json").read_text()
    for words in (
        ("--resume", str(copy)),
        ("--resume", "--out", str(copy)),
        (NAME, "--resume", "--out", str(copy)),
        ("--resume", NAME, "--out", str(copy)),
        ("schedule.epochs=1", "--resume", str(copy)),
        ("--out", str(copy), "--resume", "schedule.epochs=1"),
        ("--out", str(copy), "--resume", "schedule.epochs=1", NAME),
    ):
        code, out, err = run("train", *words, "--device", "cpu")
        assert code == 0, err
        assert "resuming" in out
        assert (copy / "recipe.json").read_text().split("classes")[0] == before.split("classes")[0]
    code, out, _ = run("train", "--resume", str(copy), "schedule.epochs=2", "--device", "cpu")
    assert code == 0
    assert "schedule.epochs: 1 -> 2" in out


@pytest.mark.parametrize(
    "words",
    [
        ("train",),
        ("train", "schedule.epochs=3"),
        ("train", "--resume"),
        ("train", "--resume", "nowhere/at/all"),
        ("train", NAME, "--resume", "--out", "nowhere/at/all"),
        ("train", NAME, "--out", "{trained}", "--data", "shapes:4/2"),
    ],
)
def test_the_command_line_speaks_its_own_language(
    trained: Path, run: Callable[..., Any], words: tuple[str, ...]
) -> None:
    code, out, err = run(*(word.format(trained=trained) for word in words))
    assert code == 2
    assert "=True" not in out + err
    assert "--resume" in err or "NAME is missing" in err


def test_a_real_ctrl_c(tmp_path: Path) -> None:
    """Through a process of its own: exit code 130, the hint, once, and a checkpoint to go on from."""
    words = [sys.executable, "-m", "detzoo.cli", "train", NAME, "--out", str(tmp_path), "--device", "cpu"]
    settings = [*SMALL, 'data.train=[{"count": 400}]', "data.val=[]", "schedule.evaluate_every=0"]
    process = subprocess.Popen(
        [*words, *settings],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    log = tmp_path / "log.jsonl"
    while process.poll() is None and not (log.exists() and '"step"' in log.read_text()):
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert (out + err).count(f"detzoo train --resume {tmp_path}") == (out + err).count("--resume") == 1
    assert "Traceback" not in err
    assert (tmp_path / "last.state").exists()


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{shlex.quote(sys.executable)} -m detzoo.cli list | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.startswith("name")
    assert done.stderr == ""


def test_doctor_is_well_here(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DETZOO_CACHE", str(tmp_path / "cache"))
    code, out, _ = run("doctor")
    assert code == 0, out
    assert all(part in out for part in ("Python: 3.", "torch: ", "RetinaNet: runs on", str(tmp_path), "all is well"))


def test_doctor_says_which_precision_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for speeds, advice in (((5.24, 0.3), "use --precision bf16"), ((0.9, 0.0), "stay with fp32")):
        monkeypatch.setattr(precision, "speedup", lambda dtype, kind, s=speeds: s[dtype == torch.float16])
        (check,) = [doctor._precisions()]
        told = f"cpu computes bf16 {speeds[0]:.1f}x and fp16 {'0.3x' if speeds[1] else 'not at all'} as fast as fp32"
        assert check.ok
        assert f"{told}: {advice}" in check.found


def test_doctor_names_the_mend(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "hotcoco":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "safetensors" else real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    code, out, _ = run("doctor")
    assert code == 1
    assert 'mend: pip install "hotcoco>=' in out
    assert 'mend: pip install "safetensors>=' in out
    assert out.splitlines()[-1] == "2 problems"


def test_doctor_reports_a_method_that_fails(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from detzoo.methods.retinanet import RetinaNet

    def broken(*_: object) -> None:
        raise RuntimeError("no kernel image")

    monkeypatch.setattr("detzoo.recipes.recipe.METHODS", (RetinaNet,))
    monkeypatch.setattr(RetinaNet, "detect", broken)
    code, out, _ = run("doctor")
    assert code == 1
    assert "BAD  RetinaNet: RuntimeError on" in out
    assert "no kernel image" in out


def test_doctor_wants_a_cache_that_can_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DETZOO_CACHE", str(tmp_path / "file" / "below"))
    check = doctor._cache()
    assert not check.ok
    assert "DETZOO_CACHE" in check.mend
