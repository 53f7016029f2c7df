"""Cascade R-CNN and Cascade Mask R-CNN on FPN (arXiv:1712.00726, arXiv:1906.09756): ResNet and ResNeXt, schedules."""

from __future__ import annotations

from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.recipes.columns import (
    BGR,
    COCO,
    COCO_MASKS,
    R50,
    R101,
    SCHEDULE_1X,
    SCHEDULE_20E,
    X101_32X4D,
    X101_64X4D,
    caffe,
)
from detzoo.recipes.recipe import Published, Recipe, Weights

RECIPES = (
    Recipe(
        name="cascade_rcnn_r50_caffe_fpn_1x_coco",
        model=CascadeRCNN.Config(input=BGR, backbone=caffe(R50)),
        data=COCO,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=40.4, memory_gb=4.2),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_rcnn_r50_caffe_fpn_1x_coco/cascade_rcnn_r50_caffe_fpn_1x_coco_bbox_mAP-0.404_20200504_174853-b857be87.pth",
            sha256="b857be87",
        ),
        config="cascade_rcnn/cascade-rcnn_r50-caffe_fpn_1x_coco.py",
    ),
    Recipe(
        name="cascade_rcnn_r50_fpn_1x_coco",
        model=CascadeRCNN.Config(),
        data=COCO,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=40.3, memory_gb=4.4, fps=16.1),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_rcnn_r50_fpn_1x_coco/cascade_rcnn_r50_fpn_1x_coco_20200316-3dc56deb.pth",
            sha256="3dc56deb",
        ),
        config="cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py",
    ),
    Recipe(
        name="cascade_rcnn_r50_fpn_20e_coco",
        model=CascadeRCNN.Config(),
        data=COCO,
        schedule=SCHEDULE_20E,
        published=Published(box_ap=41.0),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_rcnn_r50_fpn_20e_coco/cascade_rcnn_r50_fpn_20e_coco_bbox_mAP-0.41_20200504_175131-e9872a90.pth",
            sha256="e9872a90",
        ),
        config="cascade_rcnn/cascade-rcnn_r50_fpn_20e_coco.py",
    ),
    Recipe(
        name="cascade_rcnn_r101_caffe_fpn_1x_coco",
        model=CascadeRCNN.Config(input=BGR, backbone=caffe(R101)),
        data=COCO,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=42.3, memory_gb=6.2),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_rcnn_r101_caffe_fpn_1x_coco/cascade_rcnn_r101_caffe_fpn_1x_coco_bbox_mAP-0.423_20200504_175649-cab8dbd5.pth",
            sha256="cab8dbd5",
        ),
        config="cascade_rcnn/cascade-rcnn_r101-caffe_fpn_1x_coco.py",
    ),
    Recipe(
        name="cascade_rcnn_r101_fpn_1x_coco",
        model=CascadeRCNN.Config(backbone=R101),
        data=COCO,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=42.0, memory_gb=6.4, fps=13.5),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_rcnn_r101_fpn_1x_coco/cascade_rcnn_r101_fpn_1x_coco_20200317-0b6a2fbf.pth",
            sha256="0b6a2fbf",
        ),
        config="cascade_rcnn/cascade-rcnn_r101_fpn_1x_coco.py",
    ),
    Recipe(
        name="cascade_rcnn_r101_fpn_20e_coco",
        model=CascadeRCNN.Config(backbone=R101),
        data=COCO,
        schedule=SCHEDULE_20E,
        published=Published(box_ap=42.5),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_rcnn_r101_fpn_20e_coco/cascade_rcnn_r101_fpn_20e_coco_bbox_mAP-0.425_20200504_231812-5057dcc5.pth",
            sha256="5057dcc5",
        ),
        config="cascade_rcnn/cascade-rcnn_r101_fpn_20e_coco.py",
    ),
    Recipe(
        name="cascade_rcnn_x101_32x4d_fpn_1x_coco",
        model=CascadeRCNN.Config(backbone=X101_32X4D),
        data=COCO,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=43.7, memory_gb=7.6, fps=10.9),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_rcnn_x101_32x4d_fpn_1x_coco/cascade_rcnn_x101_32x4d_fpn_1x_coco_20200316-95c2deb6.pth",
            sha256="95c2deb6",
        ),
        config="cascade_rcnn/cascade-rcnn_x101-32x4d_fpn_1x_coco.py",
    ),
    Recipe(
        name="cascade_rcnn_x101_32x4d_fpn_20e_coco",
        model=CascadeRCNN.Config(backbone=X101_32X4D),
        data=COCO,
        schedule=SCHEDULE_20E,
        published=Published(box_ap=43.7, memory_gb=7.6),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_rcnn_x101_32x4d_fpn_20e_coco/cascade_rcnn_x101_32x4d_fpn_20e_coco_20200906_134608-9ae0a720.pth",
            sha256="9ae0a720",
        ),
        config="cascade_rcnn/cascade-rcnn_x101-32x4d_fpn_20e_coco.py",
    ),
    Recipe(
        name="cascade_rcnn_x101_64x4d_fpn_1x_coco",
        model=CascadeRCNN.Config(backbone=X101_64X4D),
        data=COCO,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=44.7, memory_gb=10.7),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_rcnn_x101_64x4d_fpn_1x_coco/cascade_rcnn_x101_64x4d_fpn_1x_coco_20200515_075702-43ce6a30.pth",
            sha256="43ce6a30",
        ),
        config="cascade_rcnn/cascade-rcnn_x101-64x4d_fpn_1x_coco.py",
    ),
    Recipe(
        name="cascade_rcnn_x101_64x4d_fpn_20e_coco",
        model=CascadeRCNN.Config(backbone=X101_64X4D),
        data=COCO,
        schedule=SCHEDULE_20E,
        published=Published(box_ap=44.5, memory_gb=10.7),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_rcnn_x101_64x4d_fpn_20e_coco/cascade_rcnn_x101_64x4d_fpn_20e_coco_20200509_224357-051557b1.pth",
            sha256="051557b1",
        ),
        config="cascade_rcnn/cascade-rcnn_x101_64x4d_fpn_20e_coco.py",
    ),
    Recipe(
        name="cascade_mask_rcnn_r50_caffe_fpn_1x_coco",
        model=CascadeMaskRCNN.Config(input=BGR, backbone=caffe(R50)),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.2, mask_ap=36.0, memory_gb=5.9),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_mask_rcnn_r50_caffe_fpn_1x_coco/cascade_mask_rcnn_r50_caffe_fpn_1x_coco_bbox_mAP-0.412__segm_mAP-0.36_20200504_174659-5004b251.pth",
            sha256="5004b251",
        ),
        config="cascade_rcnn/cascade-mask-rcnn_r50-caffe_fpn_1x_coco.py",
    ),
    Recipe(
        name="cascade_mask_rcnn_r50_fpn_1x_coco",
        model=CascadeMaskRCNN.Config(),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.2, mask_ap=35.9, memory_gb=6.0, fps=11.2),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_mask_rcnn_r50_fpn_1x_coco/cascade_mask_rcnn_r50_fpn_1x_coco_20200203-9d4dcb24.pth",
            sha256="9d4dcb24",
        ),
        config="cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py",
    ),
    Recipe(
        name="cascade_mask_rcnn_r50_fpn_20e_coco",
        model=CascadeMaskRCNN.Config(),
        data=COCO_MASKS,
        schedule=SCHEDULE_20E,
        published=Published(box_ap=41.9, mask_ap=36.5),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_mask_rcnn_r50_fpn_20e_coco/cascade_mask_rcnn_r50_fpn_20e_coco_bbox_mAP-0.419__segm_mAP-0.365_20200504_174711-4af8e66e.pth",
            sha256="4af8e66e",
        ),
        config="cascade_rcnn/cascade-mask-rcnn_r50_fpn_20e_coco.py",
    ),
    Recipe(
        name="cascade_mask_rcnn_r101_caffe_fpn_1x_coco",
        model=CascadeMaskRCNN.Config(input=BGR, backbone=caffe(R101)),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=43.2, mask_ap=37.6, memory_gb=7.8),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_mask_rcnn_r101_caffe_fpn_1x_coco/cascade_mask_rcnn_r101_caffe_fpn_1x_coco_bbox_mAP-0.432__segm_mAP-0.376_20200504_174813-5c1e9599.pth",
            sha256="5c1e9599",
        ),
        config="cascade_rcnn/cascade-mask-rcnn_r101-caffe_fpn_1x_coco.py",
    ),
    Recipe(
        name="cascade_mask_rcnn_r101_fpn_1x_coco",
        model=CascadeMaskRCNN.Config(backbone=R101),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=42.9, mask_ap=37.3, memory_gb=7.9, fps=9.8),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_mask_rcnn_r101_fpn_1x_coco/cascade_mask_rcnn_r101_fpn_1x_coco_20200203-befdf6ee.pth",
            sha256="befdf6ee",
        ),
        config="cascade_rcnn/cascade-mask-rcnn_r101_fpn_1x_coco.py",
    ),
    Recipe(
        name="cascade_mask_rcnn_r101_fpn_20e_coco",
        model=CascadeMaskRCNN.Config(backbone=R101),
        data=COCO_MASKS,
        schedule=SCHEDULE_20E,
        published=Published(box_ap=43.4, mask_ap=37.8),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_mask_rcnn_r101_fpn_20e_coco/cascade_mask_rcnn_r101_fpn_20e_coco_bbox_mAP-0.434__segm_mAP-0.378_20200504_174836-005947da.pth",
            sha256="005947da",
        ),
        config="cascade_rcnn/cascade-mask-rcnn_r101_fpn_20e_coco.py",
    ),
    Recipe(
        name="cascade_mask_rcnn_x101_32x4d_fpn_1x_coco",
        model=CascadeMaskRCNN.Config(backbone=X101_32X4D),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=44.3, mask_ap=38.3, memory_gb=9.2, fps=8.6),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_mask_rcnn_x101_32x4d_fpn_1x_coco/cascade_mask_rcnn_x101_32x4d_fpn_1x_coco_20200201-0f411b1f.pth",
            sha256="0f411b1f",
        ),
        config="cascade_rcnn/cascade-mask-rcnn_x101-32x4d_fpn_1x_coco.py",
    ),
    Recipe(
        name="cascade_mask_rcnn_x101_32x4d_fpn_20e_coco",
        model=CascadeMaskRCNN.Config(backbone=X101_32X4D),
        data=COCO_MASKS,
        schedule=SCHEDULE_20E,
        published=Published(box_ap=45.0, mask_ap=39.0, memory_gb=9.2),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_mask_rcnn_x101_32x4d_fpn_20e_coco/cascade_mask_rcnn_x101_32x4d_fpn_20e_coco_20200528_083917-ed1f4751.pth",
            sha256="ed1f4751",
        ),
        config="cascade_rcnn/cascade-mask-rcnn_x101-32x4d_fpn_20e_coco.py",
    ),
    Recipe(
        name="cascade_mask_rcnn_x101_64x4d_fpn_1x_coco",
        model=CascadeMaskRCNN.Config(backbone=X101_64X4D),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=45.3, mask_ap=39.2, memory_gb=12.2, fps=6.7),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_mask_rcnn_x101_64x4d_fpn_1x_coco/cascade_mask_rcnn_x101_64x4d_fpn_1x_coco_20200203-9a2db89d.pth",
            sha256="9a2db89d",
        ),
        config="cascade_rcnn/cascade-mask-rcnn_x101-64x4d_fpn_1x_coco.py",
    ),
    Recipe(
        name="cascade_mask_rcnn_x101_64x4d_fpn_20e_coco",
        model=CascadeMaskRCNN.Config(backbone=X101_64X4D),
        data=COCO_MASKS,
        schedule=SCHEDULE_20E,
        published=Published(box_ap=45.6, mask_ap=39.5, memory_gb=12.2),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_mask_rcnn_x101_64x4d_fpn_20e_coco/cascade_mask_rcnn_x101_64x4d_fpn_20e_coco_20200512_161033-bdb5126a.pth",
            sha256="bdb5126a",
        ),
        config="cascade_rcnn/cascade-mask-rcnn_x101-64x4d_fpn_20e_coco.py",
    ),
)
