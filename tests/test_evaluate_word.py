"""`detzoo.evaluate` and `detzoo.train` are functions to users and packages to Python."""

import importlib

import pytest

import detzoo


@pytest.mark.parametrize("word", ["evaluate", "train"])
def test_public_functions_stay_callable_after_their_package_is_imported(word: str):
    package = importlib.import_module(f"detzoo.{word}")
    home = {"evaluate": "run", "train": "loop"}[word]
    importlib.import_module(f"detzoo.{word}.{home}")
    for _ in range(2):
        assert callable(getattr(detzoo, word))
    assert getattr(detzoo, word) is package
    assert hasattr(package, home)


def test_the_call_arrives():
    importlib.import_module("detzoo.evaluate.run")
    with pytest.raises(TypeError, match=r"evaluate takes a detector, such as detzoo\.load\('best\.safetensors'\)"):
        detzoo.evaluate("best.safetensors", "shapes")  # pyright: ignore[reportArgumentType] # that is the test
