"""Small detectors for the generated ``shapes`` data set: they train from nothing in minutes, without any file."""

from __future__ import annotations

from detzoo.blocks.anchors import Anchors
from detzoo.blocks.deform_transformer import DeformTransformerConfig
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.roi_heads import MaskHead
from detzoo.blocks.transformer import TransformerConfig
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.deformable_detr import DeformableDETR
from detzoo.methods.detr import DETR
from detzoo.methods.dynamic_rcnn import DynamicRCNN
from detzoo.methods.fast_rcnn import FastRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.grid_rcnn import GridHead, GridRCNN
from detzoo.methods.htc import HTC
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.mask_scoring_rcnn import MaskIoUHead, MaskScoringRCNN
from detzoo.methods.point_rend import CoarseMaskHead, PointHead, PointRend
from detzoo.methods.rpn import RPNDetector
from detzoo.methods.scnet import ContextHead, SCNet
from detzoo.methods.sparse_rcnn import DynamicHead, SparseRCNN
from detzoo.methods.tridentnet import TridentNet, TridentResNet
from detzoo.necks.channel_mapper import ChannelMapper
from detzoo.recipes import shapes_dense
from detzoo.recipes.deformable_detr import SLOW_OFFSETS
from detzoo.recipes.shapes_columns import (
    BOXES,
    CASCADE_BOXES,
    FEW_MINUTES,
    FEW_PROPOSALS,
    FRESH_R18,
    MASKS,
    PYRAMID,
    SHAPES,
    SHAPES_MAP,
    SMALL,
    TWO_STAGE,
    small,
)

RECIPES = (
    small(name="faster_rcnn_r18_fpn_shapes", model=FasterRCNN.Config(**TWO_STAGE, box_head=BOXES)),
    small(name="mask_rcnn_r18_fpn_shapes", model=MaskRCNN.Config(**TWO_STAGE, box_head=BOXES, mask_head=MASKS)),
    small(
        name="mask_scoring_rcnn_r18_fpn_shapes",
        model=MaskScoringRCNN.Config(
            **TWO_STAGE,
            box_head=BOXES,
            mask_head=MASKS,
            mask_iou_head=MaskIoUHead.Config(convs=2, channels=64, fc_channels=256),
        ),
    ),
    small(
        name="point_rend_r18_fpn_shapes",
        model=PointRend.Config(
            **TWO_STAGE,
            box_head=BOXES,
            mask_head=CoarseMaskHead.Config(channels=64, fc_channels=256),
            point_head=PointHead.Config(channels=64, points=64, steps=3),
        ),
    ),
    small(
        name="dynamic_rcnn_r18_fpn_shapes",
        model=DynamicRCNN.Config(**TWO_STAGE, box_head=BOXES.replace(box_loss=BoxLoss(kind="smooth_l1"))),
    ),
    small(
        name="tridentnet_r50_shapes",
        model=TridentNet.Config(
            input=SMALL,
            backbone=TridentResNet.Config(
                base_width=16, strides=(1, 2), dilations=(1, 2), out_stages=(2,), norm_eval=False, frozen_stages=-1
            ),
            rpn=FEW_PROPOSALS.replace(anchors=Anchors.Config(scales=(3.0, 6.0, 12.0))),
            box_head=BOXES,
            roi_stage=False,
        ),
    ),
    small(
        name="grid_rcnn_r18_fpn_shapes",
        model=GridRCNN.Config(
            **TWO_STAGE,
            box_head=BOXES.replace(refines=False),
            grid_head=GridHead.Config(convs=2, channels=16, groups=9),
        ),
    ),
    small(name="cascade_rcnn_r18_fpn_shapes", model=CascadeRCNN.Config(**TWO_STAGE, box_head=CASCADE_BOXES)),
    small(
        name="cascade_mask_rcnn_r18_fpn_shapes",
        model=CascadeMaskRCNN.Config(**TWO_STAGE, box_head=CASCADE_BOXES, mask_head=MASKS),
    ),
    small(
        name="htc_r18_fpn_shapes",
        model=HTC.Config(**TWO_STAGE, box_head=CASCADE_BOXES, mask_head=MASKS, semantic_head=SHAPES_MAP),
    ),
    small(
        name="scnet_r18_fpn_shapes",
        model=SCNet.Config(
            **TWO_STAGE,
            box_head=CASCADE_BOXES,
            mask_head=MaskHead.Config(convs=4, residual=True, channels=64),
            semantic_head=SHAPES_MAP.replace(residual=True),
            context_head=ContextHead.Config(convs=2),
        ),
    ),
    small(
        name="rpn_r18_fpn_shapes",
        model=RPNDetector.Config(input=SMALL, backbone=FRESH_R18, neck=PYRAMID, rpn=FEW_PROPOSALS),
        data=SHAPES.replace(metric="proposals"),
    ),
    small(
        name="fast_rcnn_r18_fpn_shapes",
        model=FastRCNN.Config(input=SMALL, backbone=FRESH_R18, neck=PYRAMID, box_head=BOXES, roi_levels=3),
    ),
    small(
        name="detr_r18_shapes",
        model=DETR.Config(
            input=SMALL,
            backbone=FRESH_R18.replace(out_stages=(3,)),
            neck=ChannelMapper.Config(out_channels=128),
            encoder=TransformerConfig(layers=1, heads=4, hidden=256, dropout=0.0),
            decoder=TransformerConfig(layers=2, heads=4, hidden=256, dropout=0.0),
            temperature=20.0,  # of so small a map
            queries=20,
            detections=20,
        ),
        # learns far more slowly than the others, see benchmarks/detr_curves.py; in small batches the matching of
        # queries and objects changes too much to learn from
        schedule=FEW_MINUTES.replace(epochs=40, batch=16, base_batch=16, clip_norm=1.0, evaluate_every=10),
    ),
    small(
        name="deformable_detr_r18_shapes",
        model=DeformableDETR.Config(
            input=SMALL,
            backbone=FRESH_R18.replace(out_stages=(2, 3)),
            neck=ChannelMapper.Config(out_channels=128, norm="gn", extra=1),
            encoder=DeformTransformerConfig(layers=1, heads=4, hidden=256, dropout=0.0),
            decoder=DeformTransformerConfig(layers=3, heads=4, hidden=256, dropout=0.0),
            queries=40,
            refine=True,
            two_stage=True,
            detections=30,
        ),
        schedule=FEW_MINUTES.replace(epochs=13, groups=(SLOW_OFFSETS,), clip_norm=1.0, evaluate_every=4),
    ),
    small(
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
        schedule=FEW_MINUTES.replace(epochs=18, lr=5e-4, clip_norm=1.0, evaluate_every=6),
    ),
    *shapes_dense.RECIPES,
)
