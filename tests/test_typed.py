"""Lists of names as the user types them."""

from __future__ import annotations

import pytest

from detzoo.typed import listed


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cat", ["cat"]),
        ("cat, dog ,0", ["cat", "dog", "0"]),
        ('"cat, big",dog', ["cat, big", "dog"]),
        ('dog, "cat, big"', ["dog", "cat, big"]),
        ("cat, big", ["cat, big"]),
        ("cat,big", ["cat", "big"]),
        ("", [""]),
    ],
)
def test_names_with_commas_in_them(text: str, names: list[str]) -> None:
    assert listed(text, ["dog", "cat, big"]) == names
