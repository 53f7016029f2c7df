"""What the small recipes of the generated ``shapes`` data set share: input, backbones, pyramids, data and schedule."""

from __future__ import annotations

from typing import Any

from detzoo.backbones.hourglass import Hourglass
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import Anchors
from detzoo.blocks.distribution_head import DistributionHead
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.blocks.rpn import RPN
from detzoo.blocks.semantic import SemanticHead
from detzoo.detector import Input
from detzoo.necks.fpn import FPN
from detzoo.recipes.recipe import Model, Recipe, method_with
from detzoo.recipes.settings import Data, Schedule, Split

SMALL = Input(short=128, long=192)  # objects of 24 to 84 pixels become 20 to 70
# the last stage, three quarters of the parameters, sees more than these pictures hold
FRESH_R18 = ResNet.Config(
    depth=18, strides=(1, 2, 2), dilations=(1, 1, 1), out_stages=(1, 2, 3), norm_eval=False, frozen_stages=-1
)
PYRAMID = FPN.Config(out_channels=64, levels=3)  # of strides 4 to 16
# one-stage methods do without the finest level and add one of stride 32
LAST_TWO = FRESH_R18.replace(out_stages=(2, 3))
DENSE_PYRAMID = FPN.Config(out_channels=64, levels=3, extra="on_output")
FEW_PROPOSALS = RPN.Config(
    channels=64,
    anchors=Anchors.Config(scales=(6.0,)),  # 24, 48 and 96 pixels
    samples=64,
    train_candidates=200,
    train_proposals=100,
    candidates=200,
    proposals=100,
)
BOXES = BoxHead.Config(fc_channels=256, samples=48, detections=30, candidates=256)
CASCADE_BOXES = BOXES.replace(class_agnostic=True)
MASKS = MaskHead.Config(convs=2, channels=64)
# all but the heads: of methods with RoIs, and of those without
TWO_STAGE: dict[str, Any] = {
    "input": SMALL,
    "backbone": FRESH_R18,
    "neck": PYRAMID,
    "rpn": FEW_PROPOSALS,
    "roi_levels": 3,
}
ONE_STAGE: dict[str, Any] = {"input": SMALL, "backbone": LAST_TWO, "neck": DENSE_PYRAMID}
DISTANCES = DistributionHead.Config(convs=2, channels=64, farthest=8, anchor=4.0, detections=30)
HOURGLASS = Hourglass.Config(stacks=1, widths=(64, 96, 128, 128), blocks=(1, 1, 1, 2), out_channels=64)
SHAPES_MAP = SemanticHead.Config(classes=6, convs=2)  # the ground and five shapes

SHAPES = Data(kind="shapes", train=(Split(count=360),), val=(Split(count=80),))
FEW_MINUTES = Schedule(
    epochs=5,
    batch=4,  # more updates for the same time
    optimizer="adamw",
    lr=1e-3,
    base_batch=4,
    weight_decay=0.05,
    decay="cosine",
    warmup_steps=50,
    evaluate_every=3,
)


def small(name: str, model: Model, data: Data | None = None, schedule: Schedule = FEW_MINUTES) -> Recipe:
    """A recipe that trains from nothing; ``data``: shapes, with masks where the method learns them."""
    return Recipe(
        name=name, model=model, data=data or SHAPES.replace(masks=method_with(model).learns_masks), schedule=schedule
    )
