"""Running statistics (batch norm's means, variances and counts) as they were before a step that may fail halfway."""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor, nn


class RunningStatistics:
    """The saved buffers that a forward pass in training mode may change, and a copy of them.

    Copies stay on the device, a kernel for each kind of number, and nothing waits for it.
    """

    def __init__(self, module: nn.Module | None = None) -> None:
        """``module``: in the mode that it is trained in; a part in evaluation mode changes nothing."""
        found = [
            (part, name, buffer.dtype)
            for part in (() if module is None else module.modules())
            if part.training
            for name, buffer in part.named_buffers(recurse=False)
            if name not in part._non_persistent_buffers_set
        ]
        found.sort(key=lambda one: str(one[2]))  # what is copied at once has to be of one kind
        self._places = [[(part, name) for part, name, _ in some] for _, some in groupby(found, key=lambda one: one[2])]
        self._copies: list[list[Tensor]] = [[] for _ in self._places]

    @torch.no_grad()
    def keep(self) -> None:
        """Copy them as they are now."""
        for index, places in enumerate(self._places):
            now = [getattr(part, name) for part, name in places]
            copies = self._copies[index]
            if [one.shape for one in copies] == [one.shape for one in now]:
                torch._foreach_copy_(copies, now)  # pyright: ignore[reportPrivateImportUsage] # its documented home
            else:
                self._copies[index] = [one.clone() for one in now]

    @torch.no_grad()
    def put_back(self) -> None:
        """Make them what they were at the last `keep`."""
        for places, copies in zip(self._places, self._copies, strict=True):
            for (part, name), copy in zip(places, copies, strict=True):
                setattr(part, name, copy.clone())


__all__ = ["RunningStatistics"]
