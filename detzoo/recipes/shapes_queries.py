"""Small recipes on generated shapes whose objects are found by queries; `shapes.py` has the others."""

from __future__ import annotations

from detzoo.blocks.deform_transformer import DeformTransformerConfig
from detzoo.methods.deformable_detr import DeformableDETR
from detzoo.methods.sparse_rcnn import DynamicHead, SparseRCNN
from detzoo.necks.channel_mapper import ChannelMapper
from detzoo.recipes.deformable_detr import SLOW_PLACES
from detzoo.recipes.recipe import Recipe
from detzoo.recipes.shapes_columns import FEW_MINUTES, FRESH_R18, LAST_TWO, PYRAMID, SHAPES, SMALL

RECIPES = (
    Recipe(
        name="deformable_detr_r18_shapes",
        model=DeformableDETR.Config(
            input=SMALL,
            backbone=LAST_TWO,
            neck=ChannelMapper.Config(out_channels=128, norm="gn", extra=1),
            encoder=DeformTransformerConfig(layers=1, heads=4, hidden=256, dropout=0.0),
            decoder=DeformTransformerConfig(layers=3, heads=4, hidden=256, dropout=0.0),
            queries=40,
            refine=True,
            two_stage=True,
            detections=30,
        ),
        data=SHAPES,
        schedule=FEW_MINUTES.replace(epochs=20, groups=SLOW_PLACES, clip_norm=1.0, evaluate_every=5),
    ),
    Recipe(
        name="sparse_rcnn_r18_fpn_shapes",
        model=SparseRCNN.Config(
            input=SMALL,
            backbone=FRESH_R18,
            neck=PYRAMID,
            roi_levels=3,
            queries=20,
            head=DynamicHead.Config(stages=3, heads=4, hidden=256, dynamic=16, reg_fcs=1),
            detections=20,
        ),
        data=SHAPES,
        schedule=FEW_MINUTES.replace(epochs=10, lr=5e-4, clip_norm=1.0),
    ),
)
