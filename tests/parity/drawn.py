"""Random points that an original learned from, drawn again.

Where an original draws numbers in a training step, its recording holds the state of torch's generator before that,
under ``random``. Such numbers belong to positive RoIs alone, one image's after the other's, by their place among
objects and proposals.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from tests.parity.golden import Golden


@contextmanager
def drawn(model: Any, golden: Golden) -> Iterator[None]:
    """Has a model of two stages draw what the original drew for its positives; others are given zeros."""
    if "random" not in golden.arrays:
        yield
        return
    generator = torch.Generator()
    generator.set_state(torch.from_numpy(golden.arrays["random"]))
    uniform, sample = torch.rand, model.box_head.sample
    positive: list[Tensor] = []

    def remember(*arguments: Any) -> Any:
        samples = sample(*arguments)
        positive.append(samples.positive)
        return samples

    def rand(*shape: Any, device: Any = None) -> Tensor:
        if len(shape) == 1:  # of what is sampled: the first ones first
            images, count = shape[0]
            return (torch.arange(count, 0, -1) / (count + 1)).expand(images, -1)
        count = shape[0] // len(positive[0])
        mine = positive[0][:, :count].flatten()
        result = torch.zeros(shape)
        result[mine] = uniform(int(mine.sum()), *shape[1:], generator=generator)
        return result

    with patch.object(model.box_head, "sample", remember), patch.object(torch, "rand", rand):
        yield
