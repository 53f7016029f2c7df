"""Deformable DETR: Deformable Transformers for End-to-End Object Detection, arXiv:2010.04159, 2020.

DETR whose attention looks at a few places of a pyramid's levels, around a point, instead of at every cell: it can use
fine maps, and learns ten times faster. Queries have a point that they look around; refined, every layer of the
decoder moves their boxes on; in two stages the boxes of the encoder's best cells are where they begin.

Departures from the paper: none but that a batch without objects divides its losses by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.deform_transformer import DeformDecoder, DeformEncoder, DeformTransformerConfig, Memory
from detzoo.blocks.set_prediction import (
    FOCAL_WEIGHTS,
    SetWeights,
    by_layer,
    focal_costs,
    focal_set_losses,
    image_scale,
    match_together,
    matching_costs,
)
from detzoo.blocks.towers import PRIOR
from detzoo.blocks.transformer import seen_cells, sine_positions, waves
from detzoo.detector import Detector, DetectorConfig, Input
from detzoo.necks.channel_mapper import ChannelMapper
from detzoo.ops.boxes import clip, from_centres, full_precision, pick
from detzoo.types import Detections, Images, Targets


class _Said(NamedTuple):
    """Class logits ``[N, L, Q, C]`` and boxes ``[N, L, Q, 4]`` of queries: ``x, y, w, h`` as parts of the image."""

    logits: Tensor
    boxes: Tensor


class DeformableDETR(Detector):
    """DETR with multi-scale deformable attention."""

    class Config(DetectorConfig):
        """Settings of `DeformableDETR`."""

        method: Literal["deformable_detr"] = "deformable_detr"
        input: Input = Input(multiple=1)
        backbone: AnyBackbone = ResNet.Config(out_stages=(2, 3, 4), norm_frozen=True)
        # its channels are the transformer's width
        neck: ChannelMapper.Config = ChannelMapper.Config(norm="gn", extra=1)
        encoder: DeformTransformerConfig = DeformTransformerConfig()
        decoder: DeformTransformerConfig = DeformTransformerConfig()
        queries: int = Field(default=300, ge=1)  # of a layer of the decoder
        refine: bool = False  # each layer of the decoder moves the boxes of the one before
        two_stage: bool = False  # queries begin as the boxes of the encoder's best cells
        costs: SetWeights = FOCAL_WEIGHTS
        losses: SetWeights = FOCAL_WEIGHTS
        detections: int = Field(default=100, ge=1)  # best pairs of query and class that are returned per image

    def __init__(self, config: DeformableDETR.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.settings = config
        self.backbone = config.backbone.build()
        self.neck = ChannelMapper(config.neck, self.backbone.channels, self.backbone.strides)
        width, levels = self.neck.channels[0], len(self.neck.channels)
        self.encoder = DeformEncoder(config.encoder, width, levels)
        self.decoder = DeformDecoder(config.decoder, width, levels)
        self.level_embed = nn.Parameter(torch.randn(levels, width))
        if config.two_stage:
            self.memory_trans_fc, self.memory_trans_norm = nn.Linear(width, width), nn.LayerNorm(width)
            self.pos_trans_fc, self.pos_trans_norm = nn.Linear(2 * width, 2 * width), nn.LayerNorm(2 * width)
            starts = self.memory_trans_fc, self.pos_trans_fc
        else:
            self.queries = nn.Embedding(config.queries, 2 * width)  # positions, and what queries know
            self.reference_points_fc = nn.Linear(width, 2)
            starts = (self.reference_points_fc,)
        for layer in starts:
            nn.init.xavier_uniform_(layer.weight)
        # of each layer, and of the encoder; without refinement all are the same
        heads = config.decoder.layers + int(config.two_stage)
        made = [self._head(width, first=index == 0) for index in range(heads if config.refine else 1)]
        self.cls, self.reg = (nn.ModuleList((heads // len(kind)) * kind) for kind in zip(*made, strict=True))

    def _head(self, width: int, first: bool) -> tuple[nn.Linear, nn.Sequential]:
        """What says classes, and what moves boxes."""
        cls, last = nn.Linear(width, len(self.classes)), nn.Linear(width, 4)
        nn.init.constant_(cls.bias, PRIOR)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        if first and not self.settings.two_stage:
            nn.init.constant_(last.bias[2:], -2.0)  # boxes begin small
        return cls, nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), last)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls, loss_bbox, loss_iou`` of the last decoder layer and ``d0.loss_cls``, ... of the others.

        In two stages ``enc_loss_cls``, ... of the encoder's cells, too, which learn where any object is.
        """
        said, cells = self.heads(self.neck(self.backbone(images.pixels)), images)
        layers = [f"d{index}." for index in range(len(self.decoder.layers) - 1)] + [""]
        learning = [(said, targets, layers)]
        if cells is not None:
            learning.append((cells, replace(targets, labels=torch.zeros_like(targets.labels)), ["enc_"]))
        scale, settings, losses = image_scale(images), self.settings, {}
        costs = [
            matching_costs(focal_costs(one.logits, wanted.labels), one.boxes, wanted, scale, settings.costs)
            for one, wanted, _ in learning
        ]
        for slots, (one, wanted, names) in zip(match_together(targets, *costs), learning, strict=True):
            losses |= by_layer(focal_set_losses(*one, slots, wanted, scale, settings.losses), names)
        return losses

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input: the best pairs of query and class."""
        said, _ = self.heads(self.neck(self.backbone(images.pixels)), images, last_only=True)
        logits, boxes = said.logits[:, -1].flatten(1), said.boxes[:, -1]
        scores, index = logits.sigmoid().topk(min(self.settings.detections, logits.shape[1]), dim=1)
        query = index // len(self.classes)
        return Detections(
            boxes=clip(from_centres(pick(boxes, query)) * image_scale(images), images.sizes),
            scores=scores,
            labels=index % len(self.classes),
            valid=torch.ones_like(query, dtype=torch.bool),
        )

    def heads(self, features: Sequence[Tensor], images: Images, last_only: bool = False) -> tuple[_Said, _Said | None]:
        """What the decoder's L layers say of the queries, and in two stages the encoder of its cells, as one layer.

        All in full precision; with ``last_only`` of the decoder's last layer alone.
        """
        memory, positions, places = self._pyramid(features, images)
        memory = self.encoder(memory, positions, places)
        cells = None
        if self.settings.two_stage:
            cells, proposals = self._of_cells(memory, places)
            best = cells.logits[:, 0, :, 0].topk(min(self.settings.queries, proposals.shape[1]), dim=1).indices
            places = pick(proposals, best).detach().sigmoid()
            at = waves(places, self.neck.channels[0] // 2).flatten(2).to(memory.cells.dtype)
            begin = self.pos_trans_norm(self.pos_trans_fc(at))
        else:
            begin = self.queries.weight.expand(features[0].shape[0], -1, -1)
            places = None
        queries, x = begin.chunk(2, -1)
        if places is None:
            places = full_precision(self.reference_points_fc(queries)).sigmoid()
        logits, boxes = [], []
        for layer, cls, reg in zip(self.decoder.layers, self.cls, self.reg, strict=False):
            x = layer(x, queries, places, memory)
            box = (full_precision(reg(x)) + F.pad(_inverse_sigmoid(places), (0, 4 - places.shape[-1]))).sigmoid()
            logits.append(full_precision(cls(x)))
            boxes.append(box)
            if self.settings.refine:
                places = box.detach()
        kept = slice(-1, None) if last_only else slice(None)
        return _Said(torch.stack(logits[kept], 1), torch.stack(boxes[kept], 1)), cells

    def _pyramid(self, features: Sequence[Tensor], images: Images) -> tuple[Memory, Tensor, Tensor]:
        """The levels as one row of S cells, their positions ``[N, S, C]`` and the places of their middles.

        Places ``[N, S, 2]`` are parts of the image's size.
        """
        height, width = images.pixels.shape[2:]
        seen, shares, positions, places = [], [], [], []
        for feature, own in zip(features, self.level_embed, strict=True):
            rows = seen_cells(images.sizes[:, :1], height, feature.shape[2])
            columns = seen_cells(images.sizes[:, 1:], width, feature.shape[3])
            seen.append((rows.unsqueeze(2) & columns.unsqueeze(1)).flatten(1))
            down, across = rows.sum(1, keepdim=True), columns.sum(1, keepdim=True)
            shares.append(torch.cat([across / feature.shape[3], down / feature.shape[2]], 1))
            at = sine_positions(rows, columns, feature.shape[1], start=0.5).to(feature.dtype) + own
            positions.append(at.flatten(1, 2))
            y, x = (_middles(kind) / count for kind, count in ((rows, down), (columns, across)))
            grid = x.unsqueeze(1).expand(-1, rows.shape[1], -1), y.unsqueeze(2).expand(-1, -1, columns.shape[1])
            places.append(torch.stack(grid, -1).flatten(1, 2))
        cells = torch.cat([feature.flatten(2).transpose(1, 2) for feature in features], 1)
        shapes = [(feature.shape[2], feature.shape[3]) for feature in features]
        memory = Memory(cells, torch.cat(seen, 1), shapes, torch.stack(shares, 1))
        return memory, torch.cat(positions, 1), torch.cat(places, 1)

    def _of_cells(self, memory: Memory, places: Tensor) -> tuple[_Said, Tensor]:
        """What the encoder says of its cells, and their boxes before the sigmoid, ``[N, S, 4]``.

        A cell's proposal is a square around its middle, larger on coarser levels (appendix A.4). Cells near the
        image's edge or beyond propose what lies in its last corner.
        """
        sizes = [
            torch.full_like(part, 0.05 * 2.0**level)
            for level, part in enumerate(places.split([rows * columns for rows, columns in memory.shapes], 1))
        ]
        proposals = torch.cat([places, torch.cat(sizes, 1)], -1)
        inside = ((proposals > 0.01) & (proposals < 0.99)).all(-1, keepdim=True) & memory.seen.unsqueeze(-1)
        proposals = torch.where(inside, (proposals / (1 - proposals)).log(), torch.inf)
        known = self.memory_trans_norm(self.memory_trans_fc(memory.cells.masked_fill(~inside, 0.0)))
        moved = full_precision(self.reg[-1](known)) + proposals
        return _Said(full_precision(self.cls[-1](known)).unsqueeze(1), moved.sigmoid().unsqueeze(1)), moved

    @property
    def class_rows(self) -> Mapping[str, ClassRows]:
        """The layers with an output per class; the first of the encoder's own stands for any object."""
        rows = {f"cls.{index}": ONE_EACH for index in range(len(self.cls))}
        if self.settings.two_stage and self.settings.refine:
            rows[f"cls.{len(self.cls) - 1}"] = ClassRows(named=False)
        return rows

    # two layouts: MMDetection 3, and version 2, where all is in the head
    published_names = (
        (r"^(?:bbox_head\.)?query_embedding\.", "queries."),
        (r"^bbox_head\.(cls|reg)_branches\.", r"\1."),
        (r"^(?:bbox_head\.transformer\.)?(\w+\.layers\.\d+)\.ffns?\.(?:0\.)?layers\.", r"\1.ffn.layers."),
        (
            r"^(?:bbox_head\.transformer\.)?decoder\.(layers\.\d+)\.(?:self_attn|attentions\.0)\.attn\.",
            r"decoder.\1.self_attn.",
        ),
        (r"^bbox_head\.transformer\.decoder\.(layers\.\d+)\.attentions\.1\.", r"decoder.\1.cross_attn."),
        (r"^bbox_head\.transformer\.encoder\.(layers\.\d+)\.attentions\.0\.", r"encoder.\1.self_attn."),
        (r"^bbox_head\.transformer\.level_embeds$", "level_embed"),
        (r"^bbox_head\.transformer\.reference_points\.", "reference_points_fc."),
        (r"^bbox_head\.transformer\.enc_output\.", "memory_trans_fc."),
        (r"^bbox_head\.transformer\.enc_output_norm\.", "memory_trans_norm."),
        (r"^bbox_head\.transformer\.pos_trans\.", "pos_trans_fc."),
        (r"^bbox_head\.transformer\.", ""),
    )


def _middles(cells: Tensor) -> Tensor:
    """``[S]``: the middles of cells ``[N, S]``, in cells."""
    return torch.arange(cells.shape[1], device=cells.device) + 0.5


def _inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Logits of ``x`` in [0, 1], bounded."""
    return (x.clamp(min=eps) / (1 - x).clamp(min=eps)).log()
