"""Small detectors for a few hundred pictures of one's own: from random weights, with GN, on a processor.

``benchmarks/real_data.py`` trains them on blood cells (BCCD) and pedestrians (Penn-Fudan).
"""

from __future__ import annotations

from detzoo.blocks.anchors import Anchors
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.blocks.rpn import RPN
from detzoo.detector import Input
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.necks.fpn import FPN
from detzoo.recipes.columns import NO_NORM_DECAY, R18, gn
from detzoo.recipes.recipe import Recipe
from detzoo.recipes.settings import Data, Schedule

FRESH_R18 = gn(R18).replace(frozen_stages=-1)
# strides 8 to 64: the finest level of the usual pyramid would cost a third of the time
SMALL_FPN = FPN.Config(out_channels=96, start=1, levels=4, norm="gn")
SMALL_RPN = RPN.Config(
    channels=96,
    anchors=Anchors.Config(scales=(2.5,)),  # 20, 40, 80 and 160 pixels
    samples=128,
    train_candidates=500,
    train_proposals=200,
    candidates=500,
    proposals=200,
)
SMALL_BOX_HEAD = BoxHead.Config(fc_channels=256, samples=96, candidates=1024)
HALF_AN_HOUR = Schedule(
    epochs=8,
    batch=4,
    optimizer="adamw",
    lr=5e-4,
    base_batch=4,
    weight_decay=0.05,
    groups=NO_NORM_DECAY,
    decay="cosine",
    warmup_steps=100,
    clip_norm=10.0,
    evaluate_every=4,
)

RECIPES = (
    Recipe(
        name="faster_rcnn_r18_fpn_gn_small",
        model=FasterRCNN.Config(
            input=Input(short=320, long=427),
            backbone=FRESH_R18,
            neck=SMALL_FPN,
            rpn=SMALL_RPN,
            box_head=SMALL_BOX_HEAD,
            roi_levels=3,
        ),
        data=Data(kind="voc", metric="voc"),
        schedule=HALF_AN_HOUR,
    ),
    Recipe(
        name="mask_rcnn_r18_fpn_gn_small",
        model=MaskRCNN.Config(
            input=Input(short=256, long=384),
            backbone=FRESH_R18,
            neck=SMALL_FPN,
            rpn=SMALL_RPN,
            box_head=SMALL_BOX_HEAD,
            mask_head=MaskHead.Config(convs=2, channels=96, norm="gn"),
            roi_levels=3,
        ),
        data=Data(masks=True),
        schedule=HALF_AN_HOUR.replace(epochs=26),
    ),
)
