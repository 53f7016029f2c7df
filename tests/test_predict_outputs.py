"""What ``detzoo predict`` writes besides drawings: films, tables and crops; and results as other libraries' objects."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from detzoo import cli
from detzoo.data.images import read_image
from detzoo.predict.film import Film, frame_rate
from detzoo.predict.result import Result
from detzoo.types import Detections
from tests.oracle import Answer, Oracle
from tests.test_predict_run import write_video

NAMES = ("a/b", "dog")
ANSWER = Answer(
    (48, 64), torch.tensor([[4.2, 4, 20, 30], [30, 8, 70, 40]]), torch.tensor([0.9, 0.6]), torch.tensor([0, 1])
)


@pytest.fixture
def predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command, with a detector that always finds the same two objects."""
    oracle = Oracle(NAMES, dict.fromkeys(range(256), ANSWER))
    monkeypatch.setattr(oracle, "with_settings", lambda *_, **__: oracle)
    monkeypatch.setattr("detzoo.commands.run._load", lambda options: oracle)
    monkeypatch.chdir(tmp_path)
    return lambda *words: cli.main(["predict", "retinanet_r50_fpn_1x_coco", *words, "--out", "out"])


def frames_of(path: Path) -> list[np.ndarray]:
    import cv2

    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        more, frame = capture.read()
        if not more:
            capture.release()
            return frames
        frames.append(frame)


def test_a_video_becomes_a_drawn_video_and_tables(predict: Callable[..., int], tmp_path: Path) -> None:
    write_video(tmp_path / "clip.avi", 4)
    assert predict("clip.avi", "--csv", "--json") == 0
    drawn, plain = frames_of(tmp_path / "out" / "clip.mp4"), frames_of(tmp_path / "clip.avi")
    assert len(drawn) == 4
    assert frame_rate(tmp_path / "out" / "clip.mp4") == 5
    assert all(np.abs(one.astype(int) - two).max() > 60 for one, two in zip(drawn, plain, strict=True))
    with (tmp_path / "out" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["name"]) for row in rows] == [(str(n), name) for n in range(4) for name in NAMES]
    assert float(rows[0]["x1"]) == pytest.approx(4.2, abs=1e-3)
    records = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [record["frame"] for record in records] == [0, 1, 2, 3]
    assert predict("clip.avi") == 0, "its own video may be replaced"
    (tmp_path / "out" / "clip.mp4").write_bytes(b"mine")
    assert predict("clip.avi") == 2
    assert (tmp_path / "out" / "clip.mp4").read_bytes() == b"mine"


def test_frames_may_be_pictures(predict: Callable[..., int], tmp_path: Path) -> None:
    write_video(tmp_path / "clip.avi", 2)
    assert predict("clip.avi", "--frames") == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.*g")) == ["clip_000000.jpg", "clip_000001.jpg"]


def test_a_camera_films_until_it_is_interrupted(
    predict: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = np.full((48, 64, 3), 90, np.uint8)

    def frames(source: Any) -> Any:
        yield from [frame] * 5  # some of which are read ahead when it comes
        raise KeyboardInterrupt

    monkeypatch.setattr("detzoo.predict.run.frames", frames)
    assert predict("0", "--json") == 0
    assert len(frames_of(tmp_path / "out" / "camera0.mp4")) >= 2
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())) >= 2


def test_a_film_follows_the_clock_and_is_whole_or_not_there(tmp_path: Path) -> None:
    picture = Image.new("RGB", (64, 48), "red")
    with Film(tmp_path / "a.mp4", rate=10) as film:
        for second in (0.0, 0.04, 0.5):
            film.add(picture, second)
        film.add(picture.resize((32, 24)), 0.6)
    assert len(frames_of(tmp_path / "a.mp4")) == 7
    for error, keep, left in (
        (OSError, True, False),
        (KeyboardInterrupt, False, False),
        (KeyboardInterrupt, True, True),
    ):
        film = Film(tmp_path / "b.mp4", 10, keep)
        film.add(picture)
        film.__exit__(error)
        assert (tmp_path / "b.mp4").exists() is left
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "b.mp4"}


def test_crops_are_what_the_boxes_cover(predict: Callable[..., int], tmp_path: Path) -> None:
    pixels = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
    for name in ("one.png", "one.bmp"):
        Image.fromarray(pixels).save(tmp_path / name)
    assert predict("one.*", "--crops") == 0
    crops = tmp_path / "out" / "crops"
    found = {str(path.relative_to(crops)): read_image(path).shape[1::-1] for path in crops.rglob("*.jpg")}
    sizes = {"a_b/one_000.jpg": (16, 26), "a_b/one_1_000.jpg": (16, 26)}
    assert found == sizes | {"dog/one_001.jpg": (34, 32), "dog/one_1_001.jpg": (34, 32)}
    assert predict("one.*", "--crops") == 0, "its own crops may be replaced"
    (crops / "dog" / "mine.jpg").touch()
    assert predict("one.*", "--crops") == 2


@pytest.fixture
def result() -> Result:
    masks = torch.zeros(2, 48, 64, dtype=torch.bool)
    masks[0, 4:30, 4:20] = True
    found = Detections(ANSWER.boxes, ANSWER.scores, ANSWER.labels, torch.ones(2, dtype=torch.bool), dense=masks)
    return Result(dataclasses.replace(found, classes=NAMES, picture=np.zeros((48, 64, 3), np.uint8)))


def test_results_as_other_libraries_have_them(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins that keep what they are given: supervision 0.26's and FiftyOne 1.8's own names."""
    modules = {name: types.ModuleType(name) for name in ("supervision", "fiftyone")}
    for name, word in (("supervision", "Detections"), ("fiftyone", "Detections"), ("fiftyone", "Detection")):
        setattr(modules[name], word, lambda **given: types.SimpleNamespace(**given))
        monkeypatch.setitem(sys.modules, name, modules[name])
    theirs = result.to_supervision()
    assert np.array_equal(theirs.xyxy, ANSWER.boxes.numpy())
    assert theirs.mask.shape == (2, 48, 64)
    assert theirs.mask.dtype == bool
    assert theirs.class_id.tolist() == [0, 1]
    assert theirs.confidence.tolist() == pytest.approx([0.9, 0.6])
    assert theirs.data["class_name"].tolist() == list(NAMES)
    first, second = result.to_fiftyone().detections
    assert (first.label, second.label) == NAMES
    assert first.bounding_box == pytest.approx([4.2 / 64, 4 / 48, 15.8 / 64, 26 / 48])
    assert first.mask.shape == (26, 16)
    assert first.mask.all()
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ModuleNotFoundError, match=f"pip install {name}"):
            getattr(result, f"to_{name}")()
