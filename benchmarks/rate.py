"""How much of its convolution rate a processor keeps through a whole model.

What a model computes in convolutions and matrix products, divided by its time, is never faster than one large
convolution; how close it comes says how much of the time goes elsewhere: into norms, layouts, RoIs and suppression.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

Precision = Literal["fp32", "bf16"]
PRECISIONS: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}

CHANNELS, KERNEL, HEIGHT, WIDTH = 256, 3, 200, 336  # of the finest map of a pyramid on a picture of 800 x 1333


def count_flop(run: Callable[[], object]) -> int:
    """Floating point operations in convolutions and matrix products; a product and its sum are two."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


class LargeConvolution:
    """One 3x3 convolution of 256 to 256 channels on 200 x 336 cells, in its faster layout.

    Attributes:
        flop: its floating point operations.
    """

    flop = 2 * CHANNELS**2 * KERNEL**2 * HEIGHT * WIDTH

    def __init__(self, precision: Precision, clock: Callable[[], float]) -> None:
        """Find the faster layout by a ``clock`` of seconds."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(1, CHANNELS, HEIGHT, WIDTH, generator=generator).to(PRECISIONS[precision])
        weight = torch.randn(CHANNELS, CHANNELS, KERNEL, KERNEL, generator=generator).to(x.dtype)
        layouts = (torch.channels_last, torch.contiguous_format)
        self._given = [[part.contiguous(memory_format=layout) for part in (x, weight)] for layout in layouts]
        self()  # warms up
        seconds = []
        for given in self._given:
            begun = clock()
            self._run(*given)
            seconds.append(clock() - begun)
        self._given = [self._given[seconds.index(min(seconds))]]

    def __call__(self) -> None:
        """Compute it once."""
        for given in self._given:
            self._run(*given)

    @staticmethod
    @torch.no_grad()
    def _run(x: Tensor, weight: Tensor) -> None:
        torch.conv2d(x, weight, padding=KERNEL // 2)
