"""Empirical Attention (arXiv:1904.05873): generalized attention in C4 and C5."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.blocks.generalized_attention import GeneralizedAttention
from detzoo.blocks.plugins import Plugin
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.recipes.columns import R50, SCHEDULE_1X, dcn, row
from detzoo.recipes.recipe import Published


def attention(backbone: ResNet.Config, terms: str) -> ResNet.Config:
    """The backbone with attention of 8 heads behind every 3x3 convolution of C4 and C5."""
    block = GeneralizedAttention.Config(terms=terms, heads=8)
    return backbone.replace(plugins=(Plugin(block=block, stages=(3, 4), after="conv2"),))


RECIPES = (
    row(
        name="faster_rcnn_r50_fpn_attention_1111_1x_coco",
        model=FasterRCNN.Config(backbone=attention(R50, "1111")),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=40.0, memory_gb=8.0, fps=13.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/empirical_attention/faster_rcnn_r50_fpn_attention_1111_1x_coco/faster_rcnn_r50_fpn_attention_1111_1x_coco_20200130-403cccba.pth",
        config="empirical_attention/faster-rcnn_r50-attn1111_fpn_1x_coco.py",
    ),
    row(
        name="faster_rcnn_r50_fpn_attention_0010_1x_coco",
        model=FasterRCNN.Config(backbone=attention(R50, "0010")),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=39.1, memory_gb=4.2, fps=18.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/empirical_attention/faster_rcnn_r50_fpn_attention_0010_1x_coco/faster_rcnn_r50_fpn_attention_0010_1x_coco_20200130-7cb0c14d.pth",
        config="empirical_attention/faster-rcnn_r50-attn0010_fpn_1x_coco.py",
    ),
    row(
        name="faster_rcnn_r50_fpn_attention_1111_dcn_1x_coco",
        model=FasterRCNN.Config(backbone=attention(dcn(R50), "1111")),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=42.1, memory_gb=8.0, fps=12.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/empirical_attention/faster_rcnn_r50_fpn_attention_1111_dcn_1x_coco/faster_rcnn_r50_fpn_attention_1111_dcn_1x_coco_20200130-8b2523a6.pth",
        config="empirical_attention/faster-rcnn_r50-attn1111-dcn_fpn_1x_coco.py",
    ),
    row(
        name="faster_rcnn_r50_fpn_attention_0010_dcn_1x_coco",
        model=FasterRCNN.Config(backbone=attention(dcn(R50), "0010")),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=42.0, memory_gb=4.2, fps=17.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/empirical_attention/faster_rcnn_r50_fpn_attention_0010_dcn_1x_coco/faster_rcnn_r50_fpn_attention_0010_dcn_1x_coco_20200130-1a2e831d.pth",
        config="empirical_attention/faster-rcnn_r50-attn0010-dcn_fpn_1x_coco.py",
    ),
)
