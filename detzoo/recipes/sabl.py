"""Side-Aware Boundary Localization (arXiv:1912.04260): Faster R-CNN, Cascade R-CNN and RetinaNet."""

from __future__ import annotations

from detzoo.blocks.cascade import STAGES
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.roi_heads import BoxHead
from detzoo.blocks.side_aware import SideAware
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.sabl_retinanet import SABLRetinaNet
from detzoo.recipes.columns import COCO, DENSE_1X, DENSE_2X, R101, SCHEDULE_1X, multi_scale_range, row
from detzoo.recipes.recipe import Published

SABL_BOX_HEAD = BoxHead.Config(fcs=1, side_aware=SideAware.Config(), box_loss=BoxLoss(kind="smooth_l1", beta=0.1))
SABL_STAGES = tuple(
    stage.replace(stds=STAGES[0].stds, bucket_scale=scale) for stage, scale in zip(STAGES, (1.7, 1.5, 1.3), strict=True)
)
GN_HEAD = SABLRetinaNet.Head(norm="gn")

RECIPES = (
    row(
        name="sabl_faster_rcnn_r50_fpn_1x_coco",
        model=FasterRCNN.Config(box_head=SABL_BOX_HEAD),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=39.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/sabl/sabl_faster_rcnn_r50_fpn_1x_coco/sabl_faster_rcnn_r50_fpn_1x_coco-e867595b.pth",
        config="sabl/sabl-faster-rcnn_r50_fpn_1x_coco.py",
    ),
    row(
        name="sabl_faster_rcnn_r101_fpn_1x_coco",
        model=FasterRCNN.Config(backbone=R101, box_head=SABL_BOX_HEAD),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/sabl/sabl_faster_rcnn_r101_fpn_1x_coco/sabl_faster_rcnn_r101_fpn_1x_coco-f804c6c1.pth",
        config="sabl/sabl-faster-rcnn_r101_fpn_1x_coco.py",
    ),
    row(
        name="sabl_cascade_rcnn_r50_fpn_1x_coco",
        model=CascadeRCNN.Config(box_head=SABL_BOX_HEAD, stages=SABL_STAGES),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/sabl/sabl_cascade_rcnn_r50_fpn_1x_coco/sabl_cascade_rcnn_r50_fpn_1x_coco-e1748e5e.pth",
        config="sabl/sabl-cascade-rcnn_r50_fpn_1x_coco.py",
    ),
    row(
        name="sabl_cascade_rcnn_r101_fpn_1x_coco",
        model=CascadeRCNN.Config(backbone=R101, box_head=SABL_BOX_HEAD, stages=SABL_STAGES),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=43.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/sabl/sabl_cascade_rcnn_r101_fpn_1x_coco/sabl_cascade_rcnn_r101_fpn_1x_coco-2b83e87c.pth",
        config="sabl/sabl-cascade-rcnn_r101_fpn_1x_coco.py",
    ),
    row(
        name="sabl_retinanet_r50_fpn_1x_coco",
        model=SABLRetinaNet.Config(),
        schedule=DENSE_1X,
        published=Published(box_ap=37.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/sabl/sabl_retinanet_r50_fpn_1x_coco/sabl_retinanet_r50_fpn_1x_coco-6c54fd4f.pth",
        config="sabl/sabl-retinanet_r50_fpn_1x_coco.py",
    ),
    row(
        name="sabl_retinanet_r50_fpn_gn_1x_coco",
        model=SABLRetinaNet.Config(head=GN_HEAD),
        schedule=DENSE_1X,
        published=Published(box_ap=38.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/sabl/sabl_retinanet_r50_fpn_gn_1x_coco/sabl_retinanet_r50_fpn_gn_1x_coco-e16dfcf1.pth",
        config="sabl/sabl-retinanet_r50-gn_fpn_1x_coco.py",
    ),
    row(
        name="sabl_retinanet_r101_fpn_1x_coco",
        model=SABLRetinaNet.Config(backbone=R101),
        schedule=DENSE_1X,
        published=Published(box_ap=39.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/sabl/sabl_retinanet_r101_fpn_1x_coco/sabl_retinanet_r101_fpn_1x_coco-42026904.pth",
        config="sabl/sabl-retinanet_r101_fpn_1x_coco.py",
    ),
    row(
        name="sabl_retinanet_r101_fpn_gn_1x_coco",
        model=SABLRetinaNet.Config(backbone=R101, head=GN_HEAD),
        schedule=DENSE_1X,
        published=Published(box_ap=40.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/sabl/sabl_retinanet_r101_fpn_gn_1x_coco/sabl_retinanet_r101_fpn_gn_1x_coco-40a893e8.pth",
        config="sabl/sabl-retinanet_r101-gn_fpn_1x_coco.py",
    ),
    row(
        name="sabl_retinanet_r101_fpn_gn_2x_ms_640_800_coco",
        model=SABLRetinaNet.Config(backbone=R101, head=GN_HEAD),
        data=multi_scale_range(COCO),
        schedule=DENSE_2X,
        published=Published(box_ap=42.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/sabl/sabl_retinanet_r101_fpn_gn_2x_ms_640_800_coco/sabl_retinanet_r101_fpn_gn_2x_ms_640_800_coco-1e63382c.pth",
        config="sabl/sabl-retinanet_r101-gn_fpn_ms-640-800-2x_coco.py",
    ),
    row(
        name="sabl_retinanet_r101_fpn_gn_2x_ms_480_960_coco",
        model=SABLRetinaNet.Config(backbone=R101, head=GN_HEAD),
        data=COCO.replace(sizes=((480, 1333), (960, 1333)), size_mode="range"),
        schedule=DENSE_2X,
        published=Published(box_ap=43.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/sabl/sabl_retinanet_r101_fpn_gn_2x_ms_480_960_coco/sabl_retinanet_r101_fpn_gn_2x_ms_480_960_coco-5342f857.pth",
        config="sabl/sabl-retinanet_r101-gn_fpn_ms-480-960-2x_coco.py",
    ),
)
