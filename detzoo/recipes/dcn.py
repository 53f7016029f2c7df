"""Deformable convolution in the backbone's last stages, or deformable RoI pooling.

arXiv:1703.06211 (``dconv``, ``dpool``), arXiv:1811.11168 (``mdconv``, ``mdpool``).
"""

from __future__ import annotations

from detzoo.blocks.deform_pool import DeformPool
from detzoo.blocks.roi_heads import BoxHead
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.recipes.columns import R50, R101, SCHEDULE_1X, X101_32X4D, dcn, mask_rcnn, row
from detzoo.recipes.recipe import Published

RECIPES = (
    row(
        name="faster_rcnn_r50_fpn_dconv_c3-c5_1x_coco",
        model=FasterRCNN.Config(backbone=dcn(R50)),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.3, memory_gb=4.0, fps=17.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/faster_rcnn_r50_fpn_dconv_c3-c5_1x_coco/faster_rcnn_r50_fpn_dconv_c3-c5_1x_coco_20200130-d68aed1e.pth",
        config="dcn/faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py",
    ),
    row(
        name="faster_rcnn_r50_fpn_mdconv_c3-c5_1x_coco",
        model=FasterRCNN.Config(backbone=dcn(R50, version=2)),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.4, memory_gb=4.1, fps=17.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/faster_rcnn_r50_fpn_mdconv_c3-c5_1x_coco/faster_rcnn_r50_fpn_mdconv_c3-c5_1x_coco_20200130-d099253b.pth",
        config="dcnv2/faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py",
    ),
    row(
        name="faster_rcnn_r50_fpn_mdconv_c3-c5_group4_1x_coco",
        model=FasterRCNN.Config(backbone=dcn(R50, version=2, groups=4)),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.5, memory_gb=4.2, fps=17.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/faster_rcnn_r50_fpn_mdconv_c3-c5_group4_1x_coco/faster_rcnn_r50_fpn_mdconv_c3-c5_group4_1x_coco_20200130-01262257.pth",
        config="dcnv2/faster-rcnn_r50-mdconv-group4-c3-c5_fpn_1x_coco.py",
    ),
    row(
        name="faster_rcnn_r50_fpn_dpool_1x_coco",
        model=FasterRCNN.Config(box_head=BoxHead.Config(extractor=DeformPool.Config())),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=38.9, memory_gb=5.0, fps=17.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/faster_rcnn_r50_fpn_dpool_1x_coco/faster_rcnn_r50_fpn_dpool_1x_coco_20200307-90d3c01d.pth",
        config="dcn/faster-rcnn_r50_fpn_dpool_1x_coco.py",
    ),
    row(
        name="faster_rcnn_r50_fpn_mdpool_1x_coco",
        model=FasterRCNN.Config(box_head=BoxHead.Config(extractor=DeformPool.Config(version=2))),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=38.7, memory_gb=5.8, fps=16.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/faster_rcnn_r50_fpn_mdpool_1x_coco/faster_rcnn_r50_fpn_mdpool_1x_coco_20200307-c0df27ff.pth",
        config="dcnv2/faster-rcnn_r50_fpn_mdpool_1x_coco.py",
    ),
    row(
        name="faster_rcnn_r101_fpn_dconv_c3-c5_1x_coco",
        model=FasterRCNN.Config(backbone=dcn(R101)),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=42.7, memory_gb=6.0, fps=12.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/faster_rcnn_r101_fpn_dconv_c3-c5_1x_coco/faster_rcnn_r101_fpn_dconv_c3-c5_1x_coco_20200203-1377f13d.pth",
        config="dcn/faster-rcnn_r101-dconv-c3-c5_fpn_1x_coco.py",
    ),
    row(
        name="faster_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco",
        model=FasterRCNN.Config(backbone=dcn(X101_32X4D)),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=44.5, memory_gb=7.3, fps=10.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/faster_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco/faster_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco_20200203-4f85c69c.pth",
        config="dcn/faster-rcnn_x101-32x4d-dconv-c3-c5_fpn_1x_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_dconv_c3-c5_1x_coco",
        model=mask_rcnn(dcn(R50)),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.8, mask_ap=37.4, memory_gb=4.5, fps=15.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/mask_rcnn_r50_fpn_dconv_c3-c5_1x_coco/mask_rcnn_r50_fpn_dconv_c3-c5_1x_coco_20200203-4d9ad43b.pth",
        config="dcn/mask-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_mdconv_c3-c5_1x_coco",
        model=mask_rcnn(dcn(R50, version=2)),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.5, mask_ap=37.1, memory_gb=4.5, fps=15.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/mask_rcnn_r50_fpn_mdconv_c3-c5_1x_coco/mask_rcnn_r50_fpn_mdconv_c3-c5_1x_coco_20200203-ad97591f.pth",
        config="dcnv2/mask-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py",
    ),
    row(
        name="mask_rcnn_r101_fpn_dconv_c3-c5_1x_coco",
        model=mask_rcnn(dcn(R101)),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=43.5, mask_ap=38.9, memory_gb=6.5, fps=11.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/mask_rcnn_r101_fpn_dconv_c3-c5_1x_coco/mask_rcnn_r101_fpn_dconv_c3-c5_1x_coco_20200216-a71f5bce.pth",
        config="dcn/mask-rcnn_r101-dconv-c3-c5_fpn_1x_coco.py",
    ),
    row(
        name="cascade_rcnn_r50_fpn_dconv_c3-c5_1x_coco",
        model=CascadeRCNN.Config(backbone=dcn(R50)),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=43.8, memory_gb=4.5, fps=14.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/cascade_rcnn_r50_fpn_dconv_c3-c5_1x_coco/cascade_rcnn_r50_fpn_dconv_c3-c5_1x_coco_20200130-2f1fca44.pth",
        config="dcn/cascade-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py",
    ),
    row(
        name="cascade_rcnn_r101_fpn_dconv_c3-c5_1x_coco",
        model=CascadeRCNN.Config(backbone=dcn(R101)),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=45.0, memory_gb=6.4, fps=11.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/cascade_rcnn_r101_fpn_dconv_c3-c5_1x_coco/cascade_rcnn_r101_fpn_dconv_c3-c5_1x_coco_20200203-3b2f0594.pth",
        config="dcn/cascade-rcnn_r101-dconv-c3-c5_fpn_1x_coco.py",
    ),
    row(
        name="cascade_mask_rcnn_r50_fpn_dconv_c3-c5_1x_coco",
        model=CascadeMaskRCNN.Config(backbone=dcn(R50)),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=44.4, mask_ap=38.6, memory_gb=6.0, fps=10.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/cascade_mask_rcnn_r50_fpn_dconv_c3-c5_1x_coco/cascade_mask_rcnn_r50_fpn_dconv_c3-c5_1x_coco_20200202-42e767a2.pth",
        config="dcn/cascade-mask-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py",
    ),
    row(
        name="cascade_mask_rcnn_r101_fpn_dconv_c3-c5_1x_coco",
        model=CascadeMaskRCNN.Config(backbone=dcn(R101)),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=45.8, mask_ap=39.7, memory_gb=8.0, fps=8.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/cascade_mask_rcnn_r101_fpn_dconv_c3-c5_1x_coco/cascade_mask_rcnn_r101_fpn_dconv_c3-c5_1x_coco_20200204-df0c5f10.pth",
        config="dcn/cascade-mask-rcnn_r101-dconv-c3-c5_fpn_1x_coco.py",
    ),
    row(
        name="cascade_mask_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco",
        model=CascadeMaskRCNN.Config(backbone=dcn(X101_32X4D)),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=47.3, mask_ap=41.1, memory_gb=9.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dcn/cascade_mask_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco/cascade_mask_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco-e75f90c8.pth",
        config="dcn/cascade-mask-rcnn_x101-32x4d-dconv-c3-c5_fpn_1x_coco.py",
    ),
)
