"""The demonstration, made small: what it leaves, and what it leaves alone."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import detzoo
from detzoo import cli
from detzoo.config import ConfigError, override
from detzoo.demo import ENOUGH, PICTURES, RECIPE, Demo, demo
from tests.test_cli import SMALL

TINY = override(detzoo.find(RECIPE), [*SMALL, 'data.train=[{"count": 4}]', 'data.val=[{"count": 2}]'])


class Addresses(HTMLParser):
    """Every address that a page points to, and every tag left open."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A demonstration of four pictures."""
    return demo(tmp_path_factory.mktemp("demo"), recipe=TINY, device="cpu")


def test_the_page_needs_no_other_file(made: Demo) -> None:
    text = made.page.read_text(encoding="utf-8")
    page = Addresses()
    page.feed(text)
    assert page.open == []
    assert len(page.found) == PICTURES + 2 * 2 + 4 + 1  # pairs, a training batch, the map of places
    assert all(address.startswith(("data:image/jpeg;base64,", "data:image/png;base64,")) for address in page.found)
    assert "{{" not in text
    assert "{%" not in text


def test_the_page_says_what_was_run_and_how_to_go_on(made: Demo) -> None:
    words = re.sub(r"\s+", " ", made.page.read_text(encoding="utf-8"))
    assert "4 generated pictures, 1 epochs" in words
    assert f"{made.metrics['box_ap']:.3f}" in words
    assert all(name in words for name in ("circle", "square", "triangle", "star", "cross", "mask AP"))
    assert f"detzoo predict {made.weights}" in words
    assert "detzoo train mask_rcnn_r50_fpn_1x_coco --data" in words


def test_numbers_pictures_and_weights_are_there(made: Demo) -> None:
    record = json.loads((made.out / "metrics.json").read_text())
    assert record["metrics"] == made.metrics
    assert record["recipe"] == RECIPE
    assert len(record["per_class"]) == 5
    pictures, predictions = (
        sorted(path.name for path in (made.out / name).iterdir()) for name in ("pictures", "predictions")
    )
    assert pictures == predictions
    assert len(pictures) == PICTURES
    assert detzoo.load(made.weights).classes == ("circle", "square", "triangle", "star", "cross")


def test_too_low_an_ap_fails(made: Demo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert made.passed == (made.metrics["box_ap"] > ENOUGH)
    low, high = (Demo(made.out, made.page, made.weights, {"box_ap": value}, 1.0) for value in (0.5, 0.51))
    for result, code in ((low, 1), (high, 0)):
        monkeypatch.setattr("detzoo.demo.demo", lambda *_, result=result, **__: result)
        assert cli.main(["demo"]) == code
        said = capsys.readouterr()
        assert str(made.page) in said.out
        assert ("not above 0.5" in said.err) == bool(code)


def test_an_earlier_demonstration_is_replaced_and_nothing_else(made: Demo, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "last.state").touch()
    (run / "recipe.json").write_text('{"name": "mine"}')
    with pytest.raises(FileExistsError, match="holds a run already"):
        demo(tmp_path, recipe=TINY, device="cpu")
    assert (run / "last.state").exists()
    (run / "recipe.json").write_text(json.dumps({"name": RECIPE}))
    assert demo(tmp_path, recipe=TINY, device="cpu").metrics == made.metrics, "the same numbers each time"


def test_other_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs shapes"):
        demo(tmp_path, recipe="mask_rcnn_r50_fpn_1x_coco")
