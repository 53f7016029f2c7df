"""Fast R-CNN on FPN (arXiv:1504.08083, arXiv:1612.03144), given the proposals of the RPN of ``rpn_r50_fpn_1x_coco``.

No numbers and no weights were published. ``evaluate(load("rpn_r50_fpn_1x_coco"), data, split="train", proposals=FILE)``
and the same with ``"val"`` write the two files.
"""

from __future__ import annotations

from detzoo.methods.fast_rcnn import FastRCNN
from detzoo.recipes.columns import BGR, COCO, R50, R101, SCHEDULE_1X, SCHEDULE_2X, caffe, row

COCO_PROPOSALS = COCO.replace(
    train=(COCO.train[0].replace(proposals="proposals/rpn_r50_fpn_1x_train2017.safetensors"),),
    val=(COCO.val[0].replace(proposals="proposals/rpn_r50_fpn_1x_val2017.safetensors"),),
)

RECIPES = (
    row(
        name="fast_rcnn_r50_caffe_fpn_1x_coco",
        model=FastRCNN.Config(input=BGR, backbone=caffe(R50)),
        data=COCO_PROPOSALS,
        schedule=SCHEDULE_1X,
        config="fast_rcnn/fast-rcnn_r50-caffe_fpn_1x_coco.py",
    ),
    row(
        name="fast_rcnn_r50_fpn_1x_coco",
        model=FastRCNN.Config(),
        data=COCO_PROPOSALS,
        schedule=SCHEDULE_1X,
        config="fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py",
    ),
    row(
        name="fast_rcnn_r50_fpn_2x_coco",
        model=FastRCNN.Config(),
        data=COCO_PROPOSALS,
        schedule=SCHEDULE_2X,
        config="fast_rcnn/fast-rcnn_r50_fpn_2x_coco.py",
    ),
    row(
        name="fast_rcnn_r101_caffe_fpn_1x_coco",
        model=FastRCNN.Config(input=BGR, backbone=caffe(R101)),
        data=COCO_PROPOSALS,
        schedule=SCHEDULE_1X,
        config="fast_rcnn/fast-rcnn_r101-caffe_fpn_1x_coco.py",
    ),
    row(
        name="fast_rcnn_r101_fpn_1x_coco",
        model=FastRCNN.Config(backbone=R101),
        data=COCO_PROPOSALS,
        schedule=SCHEDULE_1X,
        config="fast_rcnn/fast-rcnn_r101_fpn_1x_coco.py",
    ),
    row(
        name="fast_rcnn_r101_fpn_2x_coco",
        model=FastRCNN.Config(backbone=R101),
        data=COCO_PROPOSALS,
        schedule=SCHEDULE_2X,
        config="fast_rcnn/fast-rcnn_r101_fpn_2x_coco.py",
    ),
)
