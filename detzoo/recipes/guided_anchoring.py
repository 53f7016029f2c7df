"""Guided anchors (arXiv:1901.03278): RPN, Faster R-CNN and RetinaNet; of RPNs the recall of 1000 proposals."""

from __future__ import annotations

from detzoo.blocks.assign import MatchConfig
from detzoo.blocks.guided_anchors import Guide
from detzoo.blocks.guided_rpn import GuidedRPN
from detzoo.blocks.roi_heads import BoxHead
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.ga_retinanet import GARetinaNet
from detzoo.methods.rpn import RPNDetector
from detzoo.recipes.columns import (
    BGR,
    COCO,
    DENSE_1X_CLIPPED,
    DENSE_2X,
    R50,
    R101,
    SCHEDULE_1X_CLIPPED,
    X101_32X4D,
    X101_64X4D,
    caffe,
    row,
)
from detzoo.recipes.recipe import Published
from detzoo.recipes.rpn import COCO_RECALL

GUIDED_RETINANET_2X = DENSE_2X.replace(clip_norm=35.0, warmup_start=1 / 3)

GUIDED_RPN = GuidedRPN.Config(guide=Guide.Config(inverted=True), candidates=2000)
GUIDED_PROPOSALS = GUIDED_RPN.replace(candidates=1000, train_proposals=300, proposals=300)
GUIDED_BOX_HEAD = BoxHead.Config(
    stds=(0.05, 0.05, 0.1, 0.1), match=MatchConfig(positive=0.6, negative=0.6), samples=256, threshold=0.001
)
_HEAD = GARetinaNet.Head()
GUIDED_HEAD = _HEAD.replace(guide=_HEAD.guide.replace(inverted=True))

RECIPES = (
    row(
        name="ga_rpn_r50_caffe_fpn_1x_coco",
        model=RPNDetector.Config(input=BGR, backbone=caffe(R50), rpn=GUIDED_RPN),
        data=COCO_RECALL,
        schedule=SCHEDULE_1X_CLIPPED,
        published=Published(ar1000=68.4, memory_gb=5.3, fps=15.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/guided_anchoring/ga_rpn_r50_caffe_fpn_1x_coco/ga_rpn_r50_caffe_fpn_1x_coco_20200531-899008a6.pth",
        config="guided_anchoring/ga-rpn_r50-caffe_fpn_1x_coco.py",
    ),
    row(
        name="ga_rpn_r101_caffe_fpn_1x_coco",
        model=RPNDetector.Config(input=BGR, backbone=caffe(R101), rpn=GUIDED_RPN),
        data=COCO_RECALL,
        schedule=SCHEDULE_1X_CLIPPED,
        published=Published(ar1000=69.5, memory_gb=7.3, fps=13.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/guided_anchoring/ga_rpn_r101_caffe_fpn_1x_coco/ga_rpn_r101_caffe_fpn_1x_coco_20200531-ca9ba8fb.pth",
        config="guided_anchoring/ga-rpn_r101-caffe_fpn_1x_coco.py",
    ),
    row(
        name="ga_rpn_x101_32x4d_fpn_1x_coco",
        model=RPNDetector.Config(backbone=X101_32X4D, rpn=GUIDED_RPN),
        data=COCO_RECALL,
        schedule=SCHEDULE_1X_CLIPPED,
        published=Published(ar1000=70.6, memory_gb=8.5, fps=10.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/guided_anchoring/ga_rpn_x101_32x4d_fpn_1x_coco/ga_rpn_x101_32x4d_fpn_1x_coco_20200220-c28d1b18.pth",
        config="guided_anchoring/ga-rpn_x101-32x4d_fpn_1x_coco.py",
    ),
    row(
        name="ga_rpn_x101_64x4d_fpn_1x_coco",
        model=RPNDetector.Config(backbone=X101_64X4D, rpn=GUIDED_RPN),
        data=COCO_RECALL,
        schedule=SCHEDULE_1X_CLIPPED,
        published=Published(ar1000=71.2, memory_gb=7.1, fps=7.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/guided_anchoring/ga_rpn_x101_64x4d_fpn_1x_coco/ga_rpn_x101_64x4d_fpn_1x_coco_20200225-3c6e1aa2.pth",
        config="guided_anchoring/ga-rpn_x101-64x4d_fpn_1x_coco.py",
    ),
    row(
        name="ga_faster_r50_caffe_fpn_1x_coco",
        model=FasterRCNN.Config(input=BGR, backbone=caffe(R50), rpn=GUIDED_PROPOSALS, box_head=GUIDED_BOX_HEAD),
        schedule=SCHEDULE_1X_CLIPPED,
        published=Published(box_ap=39.6, memory_gb=5.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/guided_anchoring/ga_faster_r50_caffe_fpn_1x_coco/ga_faster_r50_caffe_fpn_1x_coco_20200702_000718-a11ccfe6.pth",
        config="guided_anchoring/ga-faster-rcnn_r50-caffe_fpn_1x_coco.py",
    ),
    row(
        name="ga_faster_r101_caffe_fpn_1x_coco",
        model=FasterRCNN.Config(input=BGR, backbone=caffe(R101), rpn=GUIDED_PROPOSALS, box_head=GUIDED_BOX_HEAD),
        schedule=SCHEDULE_1X_CLIPPED,
        published=Published(box_ap=41.5, memory_gb=7.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/guided_anchoring/ga_faster_r101_caffe_fpn_1x_coco/ga_faster_r101_caffe_fpn_1x_coco_bbox_mAP-0.415_20200505_115528-fb82e499.pth",
        config="guided_anchoring/ga-faster-rcnn_r101-caffe_fpn_1x_coco.py",
    ),
    row(
        name="ga_faster_x101_32x4d_fpn_1x_coco",
        model=FasterRCNN.Config(backbone=X101_32X4D, rpn=GUIDED_PROPOSALS, box_head=GUIDED_BOX_HEAD),
        schedule=SCHEDULE_1X_CLIPPED,
        published=Published(box_ap=43.0, memory_gb=8.7, fps=9.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/guided_anchoring/ga_faster_x101_32x4d_fpn_1x_coco/ga_faster_x101_32x4d_fpn_1x_coco_20200215-1ded9da3.pth",
        config="guided_anchoring/ga-faster-rcnn_x101-32x4d_fpn_1x_coco.py",
    ),
    row(
        name="ga_faster_x101_64x4d_fpn_1x_coco",
        model=FasterRCNN.Config(backbone=X101_64X4D, rpn=GUIDED_PROPOSALS, box_head=GUIDED_BOX_HEAD),
        schedule=SCHEDULE_1X_CLIPPED,
        published=Published(box_ap=43.9, memory_gb=11.8, fps=7.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/guided_anchoring/ga_faster_x101_64x4d_fpn_1x_coco/ga_faster_x101_64x4d_fpn_1x_coco_20200215-0fa7bde7.pth",
        config="guided_anchoring/ga-faster-rcnn_x101-64x4d_fpn_1x_coco.py",
    ),
    row(
        name="ga_retinanet_r50_caffe_fpn_1x_coco",
        model=GARetinaNet.Config(input=BGR, backbone=caffe(R50), head=GUIDED_HEAD),
        schedule=DENSE_1X_CLIPPED,
        published=Published(box_ap=36.9, memory_gb=3.5, fps=16.8),
        weights="https://download.openmmlab.com/mmdetection/v2.0/guided_anchoring/ga_retinanet_r50_caffe_fpn_1x_coco/ga_retinanet_r50_caffe_fpn_1x_coco_20201020-39581c6f.pth",
        config="guided_anchoring/ga-retinanet_r50-caffe_fpn_1x_coco.py",
    ),
    row(
        name="ga_retinanet_r101_caffe_fpn_1x_coco",
        model=GARetinaNet.Config(input=BGR, backbone=caffe(R101), head=GUIDED_HEAD),
        schedule=DENSE_1X_CLIPPED,
        published=Published(box_ap=39.0, memory_gb=5.5, fps=12.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/guided_anchoring/ga_retinanet_r101_caffe_fpn_1x_coco/ga_retinanet_r101_caffe_fpn_1x_coco_20200531-6266453c.pth",
        config="guided_anchoring/ga-retinanet_r101-caffe_fpn_1x_coco.py",
    ),
    row(
        name="ga_retinanet_x101_32x4d_fpn_1x_coco",
        model=GARetinaNet.Config(backbone=X101_32X4D, head=GUIDED_HEAD),
        schedule=DENSE_1X_CLIPPED,
        published=Published(box_ap=40.5, memory_gb=6.9, fps=10.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/guided_anchoring/ga_retinanet_x101_32x4d_fpn_1x_coco/ga_retinanet_x101_32x4d_fpn_1x_coco_20200219-40c56caa.pth",
        config="guided_anchoring/ga-retinanet_x101-32x4d_fpn_1x_coco.py",
    ),
    row(
        name="ga_retinanet_x101_64x4d_fpn_1x_coco",
        model=GARetinaNet.Config(backbone=X101_64X4D, head=GUIDED_HEAD),
        schedule=DENSE_1X_CLIPPED,
        published=Published(box_ap=41.3, memory_gb=9.9, fps=7.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/guided_anchoring/ga_retinanet_x101_64x4d_fpn_1x_coco/ga_retinanet_x101_64x4d_fpn_1x_coco_20200226-ef9f7f1f.pth",
        config="guided_anchoring/ga-retinanet_x101-64x4d_fpn_1x_coco.py",
    ),
    row(
        name="ga_faster_r101_caffe_fpn_1x_coco__testdev_thr0p05",
        model=FasterRCNN.Config(
            input=BGR, backbone=caffe(R101), rpn=GUIDED_PROPOSALS, box_head=GUIDED_BOX_HEAD.replace(threshold=0.05)
        ),
        schedule=SCHEDULE_1X_CLIPPED,
        config="guided_anchoring/ga-faster-rcnn_r101-caffe_fpn_1x_coco.py",
    ),
    row(
        name="ga_faster_r101_caffe_fpn_1x_coco__testdev_thr0p001",
        model=FasterRCNN.Config(input=BGR, backbone=caffe(R101), rpn=GUIDED_PROPOSALS, box_head=GUIDED_BOX_HEAD),
        schedule=SCHEDULE_1X_CLIPPED,
        config="guided_anchoring/ga-faster-rcnn_r101-caffe_fpn_1x_coco.py",
    ),
    row(
        name="ga_retinanet_r101_caffe_fpn_1x_coco__testdev_thr0p05",
        model=GARetinaNet.Config(input=BGR, backbone=caffe(R101), head=GUIDED_HEAD),
        schedule=DENSE_1X_CLIPPED,
        config="guided_anchoring/ga-retinanet_r101-caffe_fpn_1x_coco.py",
    ),
    row(
        name="ga_retinanet_r101_caffe_fpn_mstrain_2x__testdev_thr0p05",
        model=GARetinaNet.Config(input=BGR, backbone=caffe(R101), head=GUIDED_HEAD),
        data=COCO.replace(sizes=((480, 1333), (960, 1333)), size_mode="range"),
        schedule=GUIDED_RETINANET_2X,
        config="guided_anchoring/ga-retinanet_r101-caffe_fpn_ms-2x.py",
    ),
)
