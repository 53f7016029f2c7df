"""Anchors: boxes of fixed sizes at every cell of every feature level."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detzoo.config import Config as BaseConfig


class Anchors(nn.Module):
    """The anchor boxes of a feature pyramid.

    Faster R-CNN, section 3.1.1 (arXiv:1506.01497). A cell's anchors are centred on ``(column, row) * stride``; of every
    ratio r and scale s there is one of width ``stride * s / sqrt(r)`` and height ``stride * s * sqrt(r)``.
    """

    class Config(BaseConfig):
        """Shapes of the anchors of one cell; their number follows."""

        scales: tuple[float, ...] = (8.0,)  # anchor size in strides
        ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # height / width
        ratios_first: bool = True  # a cell has all scales of a ratio, then those of the next; False: all ratios of one
        # as of the first Faster R-CNN: around the middle of a cell, with whole numbers as width and height at scale 1
        classic: bool = False

    shape: Tensor

    def __init__(self, config: Anchors.Config, strides: Sequence[int], legacy: bool = False) -> None:
        """Build for levels of these ``strides``.

        ``legacy`` ones have whole pixels as their first and last, around the middle one of a cell, as in
        MMDetection 1.x.
        """
        super().__init__()
        self.legacy = legacy
        self.strides = tuple(strides)
        self.per_cell = len(config.scales) * len(config.ratios)
        # on the host: arithmetic of tensors without memory imports PyTorch's compiler, which takes seconds
        stretch = torch.tensor(config.ratios, device="cpu").sqrt()
        scales = torch.tensor(config.scales, device="cpu")
        half = torch.stack([scales / stretch[:, None], scales * stretch[:, None]], -1) / 2
        half = (half if config.ratios_first else half.transpose(0, 1)).flatten(0, 1)
        shape = torch.cat([-half, half], 1)
        if config.classic:
            shape = torch.cat([_classic(config, stride) for stride in strides])
        # [a, 4] in strides around a cell's corner; of classic ones for every level
        self.register_buffer("shape", shape.to(torch.get_default_device()), persistent=False)

    def forward(self, sizes: Sequence[Sequence[int]]) -> Tensor:
        """Anchors ``[A, 4]`` xyxy pixels of levels of ``sizes`` (height, width): by level, row, column, then shape."""
        levels = []
        shapes = self.shape.split(self.per_cell) if len(self.shape) > self.per_cell else [self.shape] * len(sizes)
        for (height, width), stride, shape in zip(sizes, self.strides, shapes, strict=True):
            y = torch.arange(height, device=self.shape.device) * stride
            x = torch.arange(width, device=self.shape.device) * stride
            corner = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1).repeat(1, 1, 2)
            around = shape * stride
            if self.legacy:
                around = ((stride - 1) / 2 + around - around.sign() / 2).round()
            levels.append((corner[:, :, None] + around).view(-1, 4))
        return torch.cat(levels)


def _classic(config: Anchors.Config, stride: int) -> Tensor:
    """Shapes ``[a, 4]`` of a cell, in strides around its corner; all scales of a ratio stand together."""
    width = (stride / torch.tensor(config.ratios, device="cpu").sqrt()).round()
    size = torch.stack([width, (width * torch.tensor(config.ratios, device="cpu")).round()], 1)[:, None]
    half = (size * torch.tensor(config.scales, device="cpu")[:, None]).flatten(0, 1) / (2 * stride)
    return torch.cat([0.5 - half, 0.5 + half], 1)


class ShapedAnchors(nn.Module):
    """Boxes of given widths and heights around the middle of every cell, other ones on each level.

    The default boxes of SSD (arXiv:1512.02325, section 2.2) and the priors of YOLO (arXiv:1612.08242, section 2).

    Attributes:
        per_cell: boxes of a cell, by level.
    """

    around: Tensor

    def __init__(
        self,
        shapes: Sequence[Sequence[tuple[float, float]]],
        steps: Sequence[float],
        legacy: bool = False,
        shifts: Sequence[Sequence[tuple[float, float]]] | None = None,
    ) -> None:
        """Build for levels whose cells hold boxes of ``shapes`` (width, height) and lie ``steps`` apart, all pixels.

        Where a step is 0, the cells of a map share the canvas evenly. ``legacy``: as of `Anchors`. ``shifts``: how far
        each box's middle is from its cell's, across and down; None: it is the same.
        """
        super().__init__()
        self.steps = tuple(steps)
        self.per_cell = tuple(len(level) for level in shapes)
        less = 1 if legacy else 0
        middle = [(step - less) / 2 for step, level in zip(self.steps, shapes, strict=True) for _ in level]
        half = (torch.tensor([shape for level in shapes for shape in level], device="cpu") - less) / 2
        centre = torch.tensor(middle, device="cpu")[:, None]
        if shifts is not None:
            centre = centre + torch.tensor([shift for level in shifts for shift in level], device="cpu")
        around = torch.cat([centre - half, centre + half], 1)
        around = (around.round() if legacy else around).to(torch.get_default_device())
        # relative to the cell's top left corner
        self.register_buffer("around", around, persistent=False)

    def forward(self, sizes: Sequence[Sequence[int]], canvas: Sequence[int] = (0, 0)) -> Tensor:
        """Boxes ``[A, 4]`` xyxy pixels of levels of ``sizes`` (height, width): by level, row, column, then shape.

        ``canvas``: height and width of the input, which matter where a step is 0.
        """
        levels = []
        for (height, width), step, around in zip(sizes, self.steps, self.around.split(self.per_cell), strict=True):
            y, x = torch.arange(height, device=around.device), torch.arange(width, device=around.device)
            if step:
                y, x = y * step, x * step
            else:
                y, x = (y + 0.5) * (canvas[0] / height), (x + 0.5) * (canvas[1] / width)
            corner = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1).repeat(1, 1, 2)
            levels.append((corner[:, :, None] + around).view(-1, 4))
        return torch.cat(levels)


def by_cell(level: Tensor, width: int) -> Tensor:
    """``[N, a * width, H, W]``, a anchors per cell, to ``[N, H * W * a, width]`` in the order of the anchors."""
    return level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, width)


def all_cells(levels: Sequence[Tensor], width: int) -> Tensor:
    """`by_cell` of each level, one after the other: ``[N, A, width]``."""
    return torch.cat([by_cell(level, width) for level in levels], 1)
