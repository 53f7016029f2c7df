"""Where a result has no place to go, it is said before anything is computed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detzoo import cli
from detzoo.atomic import check_folder
from detzoo.evaluate.run import evaluate
from tests.oracle import Oracle, scene, write_coco


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file where a folder is wanted."""
    path = tmp_path / "taken.txt"
    path.write_text("mine")
    return path


def test_folders_that_can_be_made_and_those_that_cannot(tmp_path: Path, file: Path) -> None:
    check_folder(tmp_path)
    check_folder(tmp_path / "a" / "b")
    for below in (file, file / "a", file / "a" / "b"):
        with pytest.raises(NotADirectoryError):
            check_folder(below)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.txt"]


def test_folders_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # root may write everywhere
    with pytest.raises(PermissionError, match="cannot be written to"):
        check_folder(tmp_path / "a" / "b")


@pytest.mark.parametrize("more", [[], ["--coco", "FILE/a.json"]])
def test_predicting(more: list[str], tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    out = tmp_path / "out" if more else file
    more = [word.replace("FILE", str(file)) for word in more]
    words = ["predict", "retinanet_r50_fpn_1x_coco", str(tmp_path / "a.png"), "--out", str(out), *more]
    assert cli.main(words) == 2
    assert f"{file}: is a file, not a folder" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_evaluating(tmp_path: Path, file: Path) -> None:
    data = write_coco(tmp_path / "data", scene(0, [(50, 50)], {2: "cat"}))
    detector = Oracle(["cat"], {})
    for wanted in ("out", "results", "proposals", "report"):
        name = {"report": "a.html", "proposals": "a.safetensors"}.get(wanted, "a.json")
        given: dict[str, Any] = {wanted: file / name}
        with pytest.raises(NotADirectoryError):
            evaluate(detector, data, progress=False, **given)
    assert detector.calls == []


@pytest.mark.parametrize(
    ("wanted", "name"), [("out", "a.txt"), ("results", "a.csv"), ("proposals", "a.pkl"), ("report", "a.pdf")]
)
def test_names_of_other_kinds_of_files(wanted: str, name: str, tmp_path: Path) -> None:
    data = write_coco(tmp_path / "data", scene(0, [(50, 50)], {2: "cat"}))
    detector = Oracle(["cat"], {})
    given: dict[str, Any] = {wanted: tmp_path / name}
    with pytest.raises(ValueError, match=rf"{wanted}=.*{name}' is n"):
        evaluate(detector, data, progress=False, **given)
    assert detector.calls == []
    assert not (tmp_path / name).exists()
