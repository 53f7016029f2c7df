"""Float32 stays within rounding of what the same detector computes in double precision."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from detzoo.detector import Detector
from tests.parity import standin
from tests.tiny import every_form, images, targets, tiny


def spread(detector: Detector) -> Detector:
    """The detector with stand-in weights: random ones of an untrained head score all boxes alike, which ties ranks.

    Edges of bins stay in order: cut at random, bins hold few entries each, of which one more or less tells.
    """
    shapes = {name: list(tensor.shape) for name, tensor in detector.state_dict().items() if "edges" not in name}
    detector.load_state_dict(detector.state_dict() | standin.weights(shapes))
    return detector


@every_form
def test_losses_in_float32_are_those_of_double_precision(form: str) -> None:
    detector = spread(tiny(form)).train()
    twin = copy.deepcopy(detector).double()
    batch, objects = images(), targets(3, 2)
    torch.manual_seed(0)  # of what is sampled
    single = detector(batch, objects)
    torch.manual_seed(0)
    double = twin(dataclasses.replace(batch, pixels=batch.pixels.double()), objects)
    assert single.keys() == double.keys()
    assert any(value.dtype == torch.float64 for value in double.values())
    for name, value in single.items():
        assert float(value.detach()) == pytest.approx(float(double[name].detach()), rel=1e-4), name
