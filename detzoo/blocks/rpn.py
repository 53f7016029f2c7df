"""Region proposal network: a small head that scores anchors on every level and refines the best into proposals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.anchors import Anchors, all_cells, by_cell
from detzoo.blocks.assign import MatchConfig, match, pick, sample
from detzoo.blocks.layers import Conv2d
from detzoo.blocks.losses import BoxLoss, binary_loss, box_loss, mean_over_ranks
from detzoo.config import Config as BaseConfig
from detzoo.ops.boxes import clip, decode, encode, full_precision
from detzoo.ops.nms import select
from detzoo.types import Images, Targets

STDS = (1.0, 1.0, 1.0, 1.0)
_ROUNDING = 1e-3  # pixels

# objectness logits and offsets of each level, as `RPN.forward` gives them
RawRPN = tuple[list[Tensor], list[Tensor]]


class Proposals(NamedTuple):
    """P proposal slots per image, by falling score.

    Attributes:
        boxes: ``[N, P, 4]`` xyxy pixels, inside the image; zero in unused slots.
        scores: ``[N, P]`` in [0, 1].
        valid: bool ``[N, P]``.
    """

    boxes: Tensor
    scores: Tensor
    valid: Tensor


class Learned(BaseConfig):
    """What a region proposal network learns from, and which of its boxes it proposes; part of the settings of each."""

    match: MatchConfig = MatchConfig(positive=0.7, negative=0.3, low_quality=0.3)
    samples: int = Field(default=256, ge=1)  # anchors per image that the loss sees
    positives: float = Field(default=0.5, gt=0, le=1)  # largest share of them that are positive
    negative_ratio: float | None = Field(default=None, ge=0)  # most negatives for each positive; None: no bound
    by_samples: bool = False  # losses are divided by `samples` of each image, not by how many of them there were
    box_loss: BoxLoss = BoxLoss()
    train_candidates: int = Field(default=2000, ge=1)  # best anchors per level that enter suppression
    train_proposals: int = Field(default=1000, ge=1)  # proposals per image
    candidates: int = Field(default=1000, ge=1)  # the same two outside training
    proposals: int = Field(default=1000, ge=1)
    nms: float = Field(default=0.7, ge=0, le=1)  # IoU
    shrink_bound: bool = True  # a box shrinks by no more than it may grow; False: to any size
    whole_canvas: bool = False  # proposals reach into the padding, and are of whole pixels; see `detzoo.ops.nms`
    min_size: float = Field(default=0.0, ge=0)  # pixels: a proposal's edges are longer than this
    one_of_each: bool = False  # a level where all are shorter proposes an empty box, of score 0.5 (PaddleDetection)


class RPN(nn.Module):
    """Faster R-CNN, section 3.1 (arXiv:1506.01497), shared by all levels of a pyramid (arXiv:1612.03144)."""

    class Config(Learned):
        """Settings of `RPN`."""

        kind: Literal["rpn"] = "rpn"
        channels: int = Field(default=256, ge=1)
        anchors: Anchors.Config = Anchors.Config()
        border: float | None = (
            None  # pixels: anchors that reach further out of the image learn nothing; None: all learn
        )
        legacy: bool = False  # anchors and offsets of MMDetection 1.x: boxes end with their last pixel, a pixel sooner

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> RPN:
            """As `RPN`."""
            return RPN(self, channels, strides)

    def __init__(self, config: RPN.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for levels of these ``channels`` (all alike) and ``strides``."""
        super().__init__()
        self.config = config
        self.anchors = Anchors(config.anchors, strides, config.legacy)
        self.conv = Conv2d(channels[0], config.channels, 3, padding=1)
        self.cls = nn.Conv2d(config.channels, self.anchors.per_cell, 1)
        self.reg = nn.Conv2d(config.channels, self.anchors.per_cell * 4, 1)
        for layer in (self.conv, self.cls, self.reg):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, features: Sequence[Tensor], sizes: Tensor | None = None) -> RawRPN:
        """Objectness logits ``[N, a, H, W]`` and offsets ``[N, 4a, H, W]`` of each level, a anchors per cell.

        The images' ``sizes [N, 2]`` make no difference: they are for networks that look where their boxes are.
        """
        hidden = [F.relu_(self.conv(feature)) for feature in features]
        return [self.cls(level) for level in hidden], [self.reg(level) for level in hidden]

    def losses(self, raw: RawRPN, targets: Targets, sizes: Tensor | None = None) -> dict[str, Tensor]:
        """``loss_rpn_cls`` and ``loss_rpn_bbox`` of what `forward` gave; equation 1 of arXiv:1506.01497.

        ``sizes [N, 2]``, height and width of the images, are needed where the settings have a ``border``.
        """
        border, anchors = self.config.border, self.anchors([level.shape[-2:] for level in raw[0]])
        usable = None
        if border is not None:
            assert sizes is not None, "a border needs the images' sizes"
            limit = sizes.flip(1).unsqueeze(1) + border
            usable = (anchors[:, :2] >= -border).all(-1) & (anchors[:, 2:] < limit).all(-1)
        by_class, by_box = anchor_losses(raw, anchors, targets, self.config, usable=usable, legacy=self.config.legacy)
        return {"loss_rpn_cls": by_class, "loss_rpn_bbox": by_box}

    @torch.no_grad()
    def propose(self, raw: RawRPN, images: Images, training: bool) -> Proposals:
        """The best anchors of each level, refined, suppressed level by level, and merged by score."""
        logits, offsets = raw
        anchors = self.anchors([level.shape[-2:] for level in logits])
        return best_proposals(
            objectness(logits), offsets, anchors, images, self.config, training, legacy=self.config.legacy
        )


def anchor_losses(
    raw: RawRPN,
    anchors: Tensor,
    targets: Targets,
    config: Learned,
    stds: tuple[float, float, float, float] = STDS,
    usable: Tensor | None = None,
    legacy: bool = False,
) -> tuple[Tensor, Tensor]:
    """Losses of objectness and of boxes, both by the number of anchors that are sampled.

    Args:
        raw: objectness logits ``[N, a, H, W]`` and offsets ``[N, 4a, H, W]`` of each level.
        anchors: ``[A, 4]``, or ``[N, A, 4]`` where images have their own.
        targets: objects.
        config: what is learned from.
        stds: of the offsets.
        usable: bool ``[N, A]``; other anchors learn nothing. None: all learn.
        legacy: see `encode`.
    """
    logits, offsets = raw
    matches = match(anchors, usable, targets, config.match)
    index, chosen, positive = sample(
        matches.positive, matches.negative, config.samples, config.positives, ratio=config.negative_ratio
    )
    flat = all_cells(logits, 1).squeeze(-1)
    moves = pick(all_cells(offsets, 4), index)
    where = _picked(anchors, index)
    wanted = pick(targets.boxes, pick(matches.slot, index))
    if config.box_loss.on_boxes:
        moves = decode(where, moves, stds, legacy, shrink_bound=config.shrink_bound)
    else:
        wanted = encode(where, wanted, stds, legacy)
    kinds = torch.stack([positive.sum(1), (chosen & ~positive).sum(1)])
    seen = kinds.clamp(min=1) if not config.by_samples else torch.full_like(index[:, 0], config.samples)
    count = mean_over_ranks(seen.sum())
    by_class = binary_loss(flat.gather(1, index), positive, chosen) / count
    return by_class, box_loss(moves, wanted, positive.float(), config.box_loss) / count


def best_proposals(
    scores: Sequence[Tensor],
    offsets: Sequence[Tensor],
    anchors: Tensor,
    images: Images,
    config: Learned,
    training: bool,
    stds: tuple[float, float, float, float] = STDS,
    legacy: bool = False,
) -> Proposals:
    """The best anchors of each level, refined, suppressed level by level, and merged by score.

    Args:
        scores: ``[N, A_l]`` of each level; below 0: an anchor is not looked at.
        offsets: ``[N, 4a, H, W]`` of each level.
        anchors: ``[A, 4]``, or ``[N, A, 4]`` where images have their own.
        images: whose sizes bound the boxes.
        config: how many are kept.
        training: whether to keep as many as in training.
        stds: of the offsets.
        legacy: see `decode`; the last pixel of an image is its border.
    """
    most = config.train_candidates if training else config.candidates
    limit = config.train_proposals if training else config.proposals
    best, index, level = best_per_level(scores, most)
    moves = pick(all_cells(offsets, 4), index)
    boxes = decode(_picked(anchors, index), moves, stds, legacy, shrink_bound=config.shrink_bound)
    least = config.min_size
    if config.whole_canvas:
        least = 1 - _ROUNDING
        canvas = (torch.full_like(images.sizes[:, 0], side) for side in images.pixels.shape[-2:])
        boxes = clip(boxes, torch.stack(list(canvas), 1), 1)
    else:
        boxes = clip(boxes, images.sizes - int(legacy))
    valid = (boxes[..., 2:] - boxes[..., :2] > least).all(-1) & (best >= 0)
    if config.one_of_each:
        levels = torch.arange(len(scores), device=level.device).expand(level.shape[0], -1)
        some = torch.zeros_like(levels).scatter_add_(1, level, valid.long()) > 0
        boxes, best = F.pad(boxes, (0, 0, 0, len(scores))), F.pad(best, (0, len(scores)), value=0.5)
        valid, level = torch.cat([valid, ~some], 1), torch.cat([level, levels], 1)
    order, kept = select(boxes, best, valid, config.nms, limit, level, len(scores), config.whole_canvas)
    return Proposals(pick(boxes, order) * kept.unsqueeze(-1), pick(best, order) * kept, kept)


def objectness(logits: Sequence[Tensor]) -> list[Tensor]:
    """Scores ``[N, A_l]`` in [0, 1] of each level, of logits ``[N, a, H, W]``."""
    return [full_precision(by_cell(level, 1).squeeze(-1)).sigmoid() for level in logits]


def _picked(anchors: Tensor, index: Tensor) -> Tensor:
    return anchors[index] if anchors.dim() == 2 else pick(anchors, index)


def best_per_level(scores: Sequence[Tensor], count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The ``count`` highest of each level's scores ``[N, A_l]``, or all of a smaller level.

    Args:
        scores: in [0, 1].
        count: of each level.

    Returns:
        Scores, their index among the anchors of all levels, and their level, all ``[N, K]``. In a graph that is
        exported for any size each level has ``count`` entries, and those that it lacks have the score -1.
    """
    values, indices, levels, start = [], [], [], 0
    for number, level in enumerate(scores):  # levels differ in size: one sort each
        size = level.shape[1]
        if torch.compiler.is_exporting() and isinstance(size, torch.SymInt):  # which of the branches is not known
            value, index = F.pad(level, (0, count), value=-1.0).sort(dim=1, descending=True)
            value = value[:, :count]
            index = index[:, :count].masked_fill(value < 0, 0)
        elif size > count:
            value, index = level.sort(dim=1, descending=True)
            value, index = value[:, :count], index[:, :count]
        else:
            value, index = level, torch.arange(size, device=level.device).expand_as(level)
        values.append(value)
        indices.append(index + start)
        levels.append(torch.full_like(index, number))
        start += size
    return torch.cat(values, 1), torch.cat(indices, 1), torch.cat(levels, 1)
