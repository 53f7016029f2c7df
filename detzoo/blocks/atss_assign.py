"""Adaptive training sample selection: each object sets its own IoU from which on anchors learn it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detzoo.blocks.points import middles, sides
from detzoo.ops.boxes import iou
from detzoo.types import Targets

INSIDE = 0.01  # pixels from every side of an object that an anchor's centre lies in


class AdaptiveSelection(nn.Module):
    """Which anchor learns which object; ATSS, algorithm 1 (arXiv:1912.02424).

    Of each level an object chooses the few anchors that lie nearest to its centre. The mean and the standard deviation
    of their IoUs, added up, is the least IoU of those that learn it.
    """

    around: Tensor

    def __init__(self, most: int, per_cell: int = 1) -> None:
        """Build for ``per_cell`` anchors of a cell, of which an object chooses from the ``most`` nearest of a level."""
        super().__init__()
        self.most, self.per_cell = most, per_cell
        self.register_buffer("around", _around(most), persistent=False)

    @torch.no_grad()
    def forward(self, anchors: Tensor, sizes: Sequence[Sequence[int]], targets: Targets) -> tuple[Tensor, Tensor]:
        """The object slot ``[N, A]`` that each anchor learns, and bool ``[N, A]``: whether it learns one.

        Of several objects an anchor learns the one that it overlaps most.

        Args:
            anchors: ``[A, 4]``.
            sizes: height and width of each level, in cells.
            targets: objects.
        """
        boxes = targets.boxes.unsqueeze(2)  # [N, G, 1, 4]
        centres = middles(anchors)
        nearest = self.nearest(centres, sizes, targets.boxes)
        overlaps = iou(anchors[nearest], boxes)
        # the standard deviation of the sample
        least = overlaps.mean(-1, keepdim=True) + overlaps.std(-1, keepdim=True)
        inside = sides(centres[nearest], boxes).amin(-1) > INSIDE
        chosen = (overlaps >= least) & inside & targets.valid.unsqueeze(-1)
        where = nearest.flatten(1)
        offered = torch.where(chosen, overlaps, -1.0).flatten(1)
        nothing = offered.new_full((len(offered), len(anchors)), -1.0)
        best = nothing.scatter_reduce(1, where, offered, "amax")
        slots = boxes.shape[1]
        number = torch.arange(slots, device=boxes.device).view(-1, 1).expand(nearest.shape[1:]).flatten()
        wins = chosen.flatten(1) & (offered == best.gather(1, where))
        slot = torch.full_like(nothing, slots, dtype=torch.int64)
        slot = slot.scatter_reduce(1, where, torch.where(wins, number, slots), "amin")
        positive = slot < slots
        return slot * positive, positive

    def nearest(self, centres: Tensor, sizes: Sequence[Sequence[int]], boxes: Tensor) -> Tensor:
        """Numbers ``[N, G, K]`` of the anchors of each level whose ``centres [A, 2]`` lie nearest to those of ``boxes
        [N, G, 4]``, the first of equals; a level of fewer anchors than are wanted gives all of them.
        """
        x, y = middles(boxes).unsqueeze(2).unbind(-1)  # [N, G, 1]
        step = self.per_cell
        shape = torch.arange(step, device=boxes.device)
        first, found = 0, []
        for height, width in sizes:
            count = height * width * step
            level = centres[first : first + count].view(height, width, step, 2)
            across, down = level[0, :, :, 0], level[:, 0, :, 1]  # [W, a] and [H, a]
            if height * width <= self.around.shape[1]:
                cell = torch.arange(height * width, device=boxes.device).expand(*x.shape[:2], -1)
                row, column = cell // width, cell % width
            else:
                row, column = (
                    torch.searchsorted(lines[:, 0].contiguous(), place.to(lines.dtype).contiguous()) + offsets
                    for lines, place, offsets in zip((down, across), (y, x), self.around, strict=True)
                )
            there = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
            apart = (x.unsqueeze(-1) - across[column]).square() + (y.unsqueeze(-1) - down[row]).square()
            apart = torch.where(there.unsqueeze(-1), apart, torch.inf).flatten(2)
            number = (first + (row * width + column).unsqueeze(-1) * step + shape).flatten(2)
            most = min(self.most, count)
            nearest = number.gather(-1, apart.sort(dim=-1, stable=True).indices[..., :most])
            # to a centre that is not finite, or so far away that squares are not, all anchors are equally far
            somewhere = apart.isfinite().any(-1, keepdim=True)
            found.append(torch.where(somewhere, nearest, first + torch.arange(most, device=boxes.device)))
            first += count
        return torch.cat(found, -1)


def _around(wanted: int) -> Tensor:
    """Cells ``[2, M]`` that can be among the ``wanted`` nearest to a point, by row, then column: steps down and right
    from the first row and column that do not lie before the point.

    The i-th row and the j-th column of a side, counted from the point, meet in a cell that has i * j as near as itself.
    """
    steps = range(-wanted, wanted)
    rank = [step + 1 if step >= 0 else -step for step in steps]
    near = [
        (i - wanted, j - wanted)
        for i, down in enumerate(rank)
        for j, right in enumerate(rank)
        if down * right <= wanted
    ]
    return torch.tensor(near).t().contiguous()
