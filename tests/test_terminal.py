import pytest

from detzoo.evaluate.report import Report
from detzoo.terminal import printable


@pytest.mark.parametrize(
    "text",
    ["cat", "traffic light", "Größe 5 µm", "猫", "дом", "\u0645\u06cc\u200c\u062e\u0648", "👩\u200d🚀", "क्\u200dष", ""],
)
def test_text_of_every_script_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("\u2028\u202egpj.exe\u2066", r"\u2028\u202egpj.exe\u2066"),
        ("\ud83d", r"\ud83d"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(printable(text)) == shown


def test_other_values_are_written() -> None:
    assert printable(ValueError("bad\x1b")) == r"bad\x1b"


def test_a_report_shows_control_characters_of_names_and_notes() -> None:
    name = "\x1b]0;title\x07\x1b[31mred\nblue"
    row = {"name": name, "objects": 1, "detections": 1, "box_ap": 0.1}
    notes = [f"the detector says {name}"]
    text = Report({"box_ap": 0.1}, [row], "box_ap", "coco", 1, 1, 1.0, notes).summary()
    assert not {letter for letter in text if ord(letter) < 32} - {"\n"}
    lines = text.splitlines()
    assert any(line.startswith(r"\x1b]0;title\x07\x1b[31mred\nblue ") for line in lines)
    assert lines[-1] == r"- the detector says \x1b]0;title\x07\x1b[31mred\nblue"
