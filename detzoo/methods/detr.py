"""DETR: End-to-End Object Detection with Transformers, arXiv:2005.12872, 2020.

A transformer lets the cells of one coarse feature map look at each other, and then a fixed set of learned queries look
at them; every query says one object or none. Each object teaches the one query that the best one-to-one matching gives
it, so there are neither anchors nor suppression.

Departures from the paper: none but that a batch without objects divides its losses by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.class_rows import BACKGROUND_LAST, ClassRows
from detzoo.blocks.losses import mean_over_ranks
from detzoo.blocks.set_prediction import (
    SetWeights,
    box_losses,
    by_layer,
    image_scale,
    likelihood_costs,
    match,
    matched_labels,
)
from detzoo.blocks.transformer import Decoder, Encoder, FeedForward, TransformerConfig, seen_cells, sine_positions
from detzoo.detector import Detector, DetectorConfig, Input
from detzoo.necks.channel_mapper import ChannelMapper
from detzoo.ops.boxes import clip, from_centres, full_precision, pick
from detzoo.types import Detections, Images, Targets


class DETR(Detector):
    """Detection as set prediction: no anchors, no suppression."""

    class Config(DetectorConfig):
        """Settings of `DETR`."""

        method: Literal["detr"] = "detr"
        input: Input = Input(multiple=1)
        backbone: AnyBackbone = ResNet.Config(out_stages=(4,), norm_frozen=True)
        neck: ChannelMapper.Config = ChannelMapper.Config()  # its channels are the transformer's width
        encoder: TransformerConfig = TransformerConfig()
        decoder: TransformerConfig = TransformerConfig()
        # of positions: their longest period, in lengths of the image; the shorter, the better are the cells of a small
        # map told apart (20 in arXiv:2201.12329)
        temperature: float = Field(default=10000.0, ge=1)
        queries: int = Field(default=100, ge=1)  # most objects that are found in an image
        costs: SetWeights = SetWeights()
        losses: SetWeights = SetWeights()  # the class's is a cross-entropy
        background: float = Field(default=0.1, gt=0)  # weight of a query without object in the cross-entropy
        detections: int = Field(default=100, ge=1)  # best queries that are returned per image

    def __init__(self, config: DETR.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.settings = config
        self.backbone = config.backbone.build()
        self.neck = ChannelMapper(config.neck, self.backbone.channels[-1:], self.backbone.strides[-1:])
        width = self.neck.channels[0]
        self.encoder = Encoder(config.encoder, width)
        self.decoder = Decoder(config.decoder, width)
        self.queries = nn.Embedding(config.queries, width)
        self.cls = nn.Linear(width, len(self.classes) + 1)  # background last
        self.reg_ffn = FeedForward(width, width, dropout=0.0)
        self.reg = nn.Linear(width, 4)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls, loss_bbox, loss_iou`` of the last decoder layer and ``d0.loss_cls``, ... of the others."""
        logits, boxes = self.heads(self.states(self.neck(self.backbone(images.pixels)), images))
        scale = image_scale(images)
        slots = match(likelihood_costs(logits, targets.labels), boxes, targets, scale, self.settings.costs)
        labels = matched_labels(slots, targets, len(self.classes))
        shares = torch.where(slots >= 0, 1.0, self.settings.background)
        entropy = F.cross_entropy(logits.flatten(0, 2), labels.flatten(), reduction="none").view_as(shares)
        # every layer has as many matches: one count does for all
        counts = torch.stack([(slots[:, -1] >= 0).sum(), shares[:, -1].sum()])
        count, share = mean_over_ranks(counts, floor=1.0)
        weights = self.settings.losses
        terms = {
            "loss_cls": weights.cls * (entropy * shares).sum((0, 2)) / share,
            **{name: term / count for name, term in box_losses(boxes, slots, targets, scale, weights).items()},
        }
        return by_layer(terms, [f"d{index}." for index in range(len(self.decoder.layers) - 1)] + [""])

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input: the best queries, each with its likeliest class."""
        states = self.states(self.neck(self.backbone(images.pixels)), images, last_only=True)
        logits, boxes = self.heads(states[:, 0])
        scores, labels = logits.softmax(-1)[..., :-1].max(-1)
        best, query = scores.topk(min(self.settings.detections, scores.shape[1]), dim=1)
        return Detections(
            boxes=clip(from_centres(pick(boxes, query)) * image_scale(images), images.sizes),
            scores=best,
            labels=labels.gather(1, query),
            valid=torch.ones_like(query, dtype=torch.bool),
        )

    def states(self, features: Sequence[Tensor], images: Images, last_only: bool = False) -> Tensor:
        """What the queries know after each decoder layer, ``[N, L, Q, C]``, from the neck's one map.

        With ``last_only`` after the last one, ``[N, 1, Q, C]``.
        """
        feature = features[-1]
        rows = seen_cells(images.sizes[:, :1], images.pixels.shape[2], feature.shape[2])
        columns = seen_cells(images.sizes[:, 1:], images.pixels.shape[3], feature.shape[3])
        seen = (rows.unsqueeze(2) & columns.unsqueeze(1)).flatten(1)
        at = sine_positions(rows, columns, feature.shape[1], longest=self.settings.temperature)
        positions = at.flatten(1, 2).to(feature.dtype)
        # copied once: every layer's products are faster on cells that lie one after the other
        cells = feature.flatten(2).transpose(1, 2).contiguous()
        memory = self.encoder(cells, positions, seen)
        queries = self.queries.weight.expand(feature.shape[0], -1, -1)
        return self.decoder(queries, memory, positions, seen, last_only)

    def heads(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """In full precision class logits ``[..., C + 1]`` and boxes ``[..., 4]`` of queries ``[..., width]``.

        Boxes are centre and size, ``x, y, w, h``, as parts of the image's size.
        """
        boxes = self.reg(F.relu(self.reg_ffn(states)))
        return full_precision(self.cls(states)), full_precision(boxes).sigmoid()

    # three layouts: MMDetection 3; MMDetection 2 from 2.9 on, where all is in the head; before, with shorter names
    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": BACKGROUND_LAST}
    published_names = (
        (r"^bbox_head\.input_proj\.", "neck.convs.0.conv."),
        (r"^(?:bbox_head\.)?query_embedding\.", "queries."),
        (r"^bbox_head\.fc_(cls|reg)\.", r"\1."),
        (r"^bbox_head\.reg_ffn\.", "reg_ffn."),
        (r"^(?:bbox_head\.transformer\.)?(\w+\.layers\.\d+)\.(?:self_attn|attentions\.0)\.attn\.", r"\1.self_attn."),
        (
            r"^(?:bbox_head\.transformer\.)?(\w+\.layers\.\d+)\.(?:cross_attn|attentions\.1|multihead_attn)\.attn\.",
            r"\1.cross_attn.",
        ),
        (r"^(?:bbox_head\.transformer\.)?(\w+\.layers\.\d+)\.ffns?\.(?:0\.)?layers\.", r"\1.ffn.layers."),
        (r"^bbox_head\.transformer\.decoder\.(?:post_)?norm\.", "decoder.post_norm."),
        (r"^bbox_head\.transformer\.", ""),
    )
