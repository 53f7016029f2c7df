"""Example inputs that a detector is captured with, and which of their sides may have any length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from detzoo.data.resize import canvas_size, fit_input
from detzoo.detector import Detector, Input
from detzoo.export.program import INPUTS
from detzoo.recipes.changed import with_model

MOST = 16384  # pixels of an edge
IMAGES = 2  # in the example: of one, a graph would hold for one only


@dataclass(frozen=True)
class Capture:
    """Inputs of `detzoo.export.program.Program`.

    Attributes:
        inputs: example tensors by name.
        dynamic: of each the sides of any length, as `torch.export` takes them.
        least: smallest height and width, pixels.
        size: the only height and width, or None.
    """

    inputs: dict[str, Tensor]
    dynamic: tuple[dict[int, Any], ...]
    least: tuple[int, int]
    size: tuple[int, int] | None


def capture(detector: Detector) -> Capture:
    """Inputs for any height and width that the detector's own settings make, which may be one only."""
    size = only_size(detector.config.input)
    count = torch.export.Dim("images", min=1, max=1024)
    sides: dict[int, Any] = {0: count}
    least = edges = size or (0, 0)
    if size is None:
        # the coarsest level needs two rows and columns: of one, a graph would hold for one only
        multiple, less = detector.config.input.multiple, detector.config.input.less
        steps = -(-(_coarsest(detector) + 1 + less) // multiple)
        for side, name in ((2, "rows"), (3, "columns")):
            number = torch.export.Dim(name, min=steps, max=MOST // multiple)
            sides[side] = multiple * number if multiple > 1 else number
            sides[side] = sides[side] - less if less else sides[side]
        least = (steps * multiple - less, steps * multiple - less)
        edges = (least[0] + 2 * multiple, least[1] + 3 * multiple)
    made = {
        "images": torch.randint(0, 256, (IMAGES, 3, *edges), dtype=torch.uint8),
        "sizes": torch.tensor([edges] * IMAGES),
    }
    dynamic = [sides, {0: count}]
    if detector.takes_proposals:
        made["proposals"] = torch.tensor([0.0, 0.0, *edges[::-1]]).repeat(IMAGES, 8, 1)
        dynamic.append({0: count, 1: torch.export.Dim("proposals", min=2, max=1 << 16)})
    assert tuple(made) == INPUTS[: len(made)]
    return Capture(made, tuple(dynamic), least, size)


def only_size(settings: Input) -> tuple[int, int] | None:
    """Height and width of the only input that these settings make, or None."""
    if settings.canvas is None and (settings.keep_ratio or not settings.resize):
        return None
    return canvas_size(torch.tensor([fit_input(1, 1, settings)]), settings)


def with_canvas(detector: Detector, size: tuple[int, int]) -> Detector:
    """The same detector for pictures fitted into one ``size``, height and width in pixels.

    Raises:
        ConfigError: the method cannot take it.
    """
    model = detector.config
    return with_model(detector, model.replace(input=model.input.replace(canvas=size)))


def _coarsest(network: nn.Module) -> int:
    """The largest stride of any feature map, pixels."""
    strides = [getattr(module, "strides", ()) for module in network.modules()]
    return max((max(some) for some in strides if some and all(isinstance(one, int) for one in some)), default=32)
