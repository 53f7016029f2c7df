"""Class names in any script: drawn where a font has the letters, and said once where none has."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image, ImageChops, features

from detzoo.drawing import fonts
from detzoo.drawing.fonts import Fonts
from detzoo.predict.result import Result
from detzoo.types import Detections

DEJAVU = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever fonts the machine has, these tests see none of them."""
    monkeypatch.setattr(fonts, "_installed", tuple)
    monkeypatch.delenv(fonts.SETTING, raising=False)
    fonts._say_missing.cache_clear()
    yield
    fonts._say_missing.cache_clear()


def drawn(name: str, **switches: str) -> Image.Image:
    found = Detections(
        torch.tensor([[20.0, 60, 180, 150]]),
        torch.tensor([0.9]),
        torch.tensor([0]),
        torch.tensor([True]),
        classes=(name,),
        picture=np.full((200, 300, 3), 128, np.uint8),
    )
    return Result(found).plot(**switches)  # pyright: ignore[reportArgumentType]


def differ(first: Image.Image, second: Image.Image) -> bool:
    return ImageChops.difference(first, second).getbbox() is not None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("круг", "куст"),
        ("étoile", "éteile"),
        ("Łódź", "Żódź"),
        ("σκύλος", "γάτα"),
        ("كلب", "قطة"),
        ("ծով", "հող"),
        ("a → b", "a ← b"),
    ],
)
def test_names_are_drawn_in_a_font_that_has_the_letters(first: str, second: str) -> None:
    assert differ(drawn(first), drawn(second))


def test_letters_that_no_font_has_are_said_once_and_drawn_as_numbers() -> None:
    with pytest.warns(
        UserWarning, match=r"class numbers are drawn: .* font=, or in the environment variable DETZOO_FONT"
    ):
        one = drawn("苹果")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = drawn("香蕉")
        assert drawn("苹果 dog").size == one.size
    assert differ(one, other)
    assert not differ(one, drawn("0 U+82F9 U+679C"))


def test_a_system_font_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stood in for by DejaVu, while the one beside Matplotlib is away."""
    away = str(DEJAVU.with_name("DejaVuSansMono-Oblique.ttf"))
    monkeypatch.setattr(fonts, "_dejavu", lambda: "nowhere.ttf")
    monkeypatch.setattr(fonts, "_installed", lambda: ("broken.ttf", away, str(DEJAVU)))
    assert Fonts().runs("كلب", 12.0) is not None
    assert differ(drawn("كلب"), drawn("قطة"))


def test_the_font_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    serif = DEJAVU.with_name("DejaVuSerif.ttf")
    assert differ(drawn("dog"), drawn("dog", font=str(serif)))
    monkeypatch.setenv(fonts.SETTING, str(serif))
    assert not differ(drawn("dog"), drawn("dog", font=str(serif)))
    (tmp_path / "no.ttf").write_bytes(b"no font")
    with pytest.raises(ValueError, match=r"font: .*no\.ttf is not a font file"):
        drawn("dog", font=str(tmp_path / "no.ttf"))
    monkeypatch.setenv(fonts.SETTING, "gone.ttf")
    with pytest.raises(ValueError, match=r"DETZOO_FONT: gone\.ttf is not a font file"):
        drawn("dog")


def test_scripts_share_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_dejavu", lambda: str(DEJAVU.with_name("cmr10.ttf")))  # Latin letters only
    monkeypatch.setattr(fonts, "_installed", lambda: (str(DEJAVU),))
    runs = Fonts().runs("dog кот 2", 12.0)
    assert runs is not None
    assert "".join(text for _, text in runs) == "dog кот 2"
    assert len({font for font, _ in runs}) == 2


def test_marks_and_joiners_stay_with_their_letter() -> None:
    for name in ("e\u0301toile", "a\u200db", "\u0301", "x\ufe0f"):
        runs = Fonts().runs(name, 12.0)
        assert runs is not None
        assert "".join(text for _, text in runs) == name


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "\x1b[31mred", "\x00", "a\u2028b", "\ud800", "", " ", "x" * 5000])
def test_no_name_harms_the_image(name: str) -> None:
    assert drawn(name).size == (300, 200)


def test_without_libraqm_letters_that_run_leftwards_are_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: False)
    assert fonts._ordered("كلب") == "كلب"[::-1]
    assert fonts._ordered("dog") == "dog"
