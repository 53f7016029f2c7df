"""The work that is timed, the same for every side and device: a prediction, or a training step."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.rate import PRECISIONS, Precision
from benchmarks.scenes import Item
from benchmarks.sides import Side

MODES = ("predict", "train")
LIBRARIES = ("torch", "torchvision", "transformers")


def ratio(seconds: dict[str, list[float]], one: str, other: str) -> float:
    """Median of the ratios of neighbouring turns of ``one`` and the ``other``."""
    return statistics.median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))


def work(
    side: Side, mode: str, precision: Precision, pictures: Tensor, items: list[Item]
) -> Callable[[], dict[str, int]]:
    """A function that does the work once, and says how much of it there was."""
    half = torch.autocast(pictures.device.type, PRECISIONS[precision], enabled=precision != "fp32")
    if mode == "predict":
        predict = half(side.predict(pictures))
        return lambda: {"detections": predict()}
    losses = half(side.learn(pictures, items))
    parameters = [parameter for parameter in side.model.parameters() if parameter.requires_grad]
    # so small a rate that the work stays the same
    optimizer = torch.optim.SGD(parameters, lr=1e-8, momentum=0.9, weight_decay=1e-4)
    rois: list[int] = []
    if (layer := side.mask_layer()) is not None:
        layer.register_forward_pre_hook(lambda _, inputs: rois.append(len(inputs[0])))

    def step() -> dict[str, int]:
        losses().backward()
        optimizer.step()
        optimizer.zero_grad()
        return {"mask_rois": rois[-1]} if rois else {}

    return step
