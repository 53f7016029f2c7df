"""A leading ``~`` is the home folder wherever a path enters; a shell expands it only at the start of a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import detzoo
from detzoo.evaluate.run import evaluate
from detzoo.recipes.settings import Data
from detzoo.user_path import user_path
from tests.oracle import Oracle, answers, scene, write_coco


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder, with another as the current one."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_home_is_put_in_where_there_is_one(home: Path) -> None:
    assert user_path("~/a") == home / "a"
    assert user_path("~nobody_has_this_name/a") == Path("~nobody_has_this_name/a")
    assert user_path("a~b") == Path("a~b")
    assert Data(root="~/coco").root == str(home / "coco")
    assert Data(root="data/~coco").root == "data/~coco"


def test_weights(home: Path) -> None:
    torch.manual_seed(0)
    assert detzoo.build("retinanet_r18_fpn_shapes").save("~/a/w.safetensors") == home / "a" / "w.safetensors"
    detector = detzoo.load("~/a/w.safetensors")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(home / "one.png")
    result = detector.predict("~/one.png")[0]
    assert result.save("~/drawn.png") == home / "drawn.png"
    with pytest.raises(FileNotFoundError, match="home"):
        detzoo.load("~/other.safetensors")


def test_an_evaluation(home: Path) -> None:
    contents = scene(0, [(50, 50)], {2: "cat"})
    write_coco(home / "data", contents)
    places: dict[str, Any] = {"out": "~/a", "results": "~/b/r.json", "proposals": "~/c/p.safetensors"}
    evaluate(Oracle(["cat"], answers(contents, ["cat"], noise=0.0)), "~/data", workers=0, progress=False, **places)
    for name in ("a/report.json", "a/report.html", "b/r.json", "c/p.safetensors"):
        assert (home / name).is_file()


def test_a_run(home: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"data": "shapes:4/2", "progress": False, "report": False, "device": "cpu"}
    overrides = ["schedule.epochs=1", "data.workers=0", "model.input.short=64", "model.input.long=64"]
    done = detzoo.train("retinanet_r18_fpn_shapes", out="~/run", overrides=overrides, **settings)
    assert done.out == home / "run"
    again = detzoo.train(resume="~/run/last.state", progress=False, report=False, device="cpu")
    assert again.out == home / "run"
    assert not (tmp_path / "~").exists()
