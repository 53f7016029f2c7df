"""Numbers and devices that a caller passes: what fits is taken, anything else is one sentence."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
import torch

import detzoo
from detzoo.arguments import count, fraction
from detzoo.device import pick_device
from detzoo.evaluate.run import evaluate
from tests.oracle import Oracle


@pytest.mark.parametrize("value", [0, 1, 0.25, np.float32(0.5), np.int64(1), torch.tensor(0.5), Fraction(1, 3)])
def test_fractions(value: object) -> None:
    assert fraction("threshold", value) == pytest.approx(float(value))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "value", [-1e-9, 1.1, 50, float("nan"), float("-inf"), "0.5", b"1", None, True, [], 1j, 10**400]
)
def test_no_fractions(value: object) -> None:
    with pytest.raises(ValueError, match=re.escape(f"threshold must be a number from 0 to 1, got {value!r}")):
        fraction("threshold", value)


def test_counts() -> None:
    assert count("batch", np.int32(4)) == 4
    assert count("workers", 0, least=0) == 0
    for value in (0, -2, 2.0, "4", None, False, float("nan")):
        with pytest.raises(ValueError, match="batch must be a whole number and at least 1, got"):
            count("batch", value)


def test_devices() -> None:
    assert pick_device("cpu") == pick_device(torch.device("cpu", 0)) == torch.device("cpu")
    best = pick_device(None)
    assert torch.zeros(1, device=best).device == best
    for word in ("toaster", "gpu", "0", "", "cuda:x", "cuda:-1", "quantum", 3.5, 0, b"cpu"):
        with pytest.raises(ValueError, match=r"is not a device: give 'cpu', 'cuda', 'cuda:1' .* or 'mps'"):
            pick_device(word)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"device cuda:99 does not exist: this machine has"):
        pick_device("cuda:99")
    with pytest.raises(ValueError, match="device 'meta' cannot be computed on here"):
        pick_device("meta")


def test_every_public_word_checks_its_device() -> None:
    """Before a file is looked for, and before anything is computed."""
    with pytest.raises(ValueError, match="'gpu' is not a device"):
        detzoo.load("no/such/file.safetensors", device="gpu")
    with pytest.raises(ValueError, match="'gpu' is not a device"):
        evaluate(Oracle(["a"], {}), "shapes", device="gpu")
    with pytest.raises(ValueError, match="batch must be a whole number"):
        evaluate(Oracle(["a"], {}), "shapes", batch=0)
    with pytest.raises(ValueError, match="workers must be a whole number and at least 0"):
        evaluate(Oracle(["a"], {}), "shapes", workers=-1)
