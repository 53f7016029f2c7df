"""RetinaNet on FPN (arXiv:1708.02002): ResNet and ResNeXt, schedules, fp16."""

from __future__ import annotations

from detzoo.methods.retinanet import RetinaNet
from detzoo.recipes.columns import (
    BGR,
    COCO,
    R18,
    R50,
    R101,
    SCHEDULE_1X,
    SCHEDULE_2X,
    SCHEDULE_3X,
    SCHEDULE_3X_REPEATED,
    X101_32X4D,
    X101_64X4D,
    caffe,
    multi_scale,
    multi_scale_repeated,
)
from detzoo.recipes.initial import (
    INIT_R18,
    INIT_R50,
    INIT_R50_CAFFE,
    INIT_R101,
    INIT_R101_CAFFE,
    INIT_X101_32X4D,
    INIT_X101_64X4D,
)
from detzoo.recipes.recipe import Published, Recipe, Weights

RETINANET_1X = SCHEDULE_1X.replace(lr=0.01)
RETINANET_2X = SCHEDULE_2X.replace(lr=0.01)
RETINANET_3X = SCHEDULE_3X.replace(lr=0.01)
RETINANET_3X_REPEATED = SCHEDULE_3X_REPEATED.replace(lr=0.01)

RECIPES = (
    Recipe(
        name="retinanet_r50_caffe_fpn_1x_coco",
        model=RetinaNet.Config(input=BGR, backbone=caffe(R50)),
        data=COCO,
        schedule=RETINANET_1X,
        init=INIT_R50_CAFFE,
        published=Published(box_ap=36.3, memory_gb=3.5, fps=18.6),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r50_caffe_fpn_1x_coco/retinanet_r50_caffe_fpn_1x_coco_20200531-f11027c5.pth",
            sha256="f11027c5",
        ),
        config="retinanet/retinanet_r50-caffe_fpn_1x_coco.py",
    ),
    Recipe(
        name="retinanet_r50_fpn_1x_coco",
        model=RetinaNet.Config(),
        data=COCO,
        schedule=RETINANET_1X,
        init=INIT_R50,
        published=Published(box_ap=36.5, memory_gb=3.8, fps=19.0),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r50_fpn_1x_coco/retinanet_r50_fpn_1x_coco_20200130-c2398f9e.pth",
            sha256="c2398f9e",
        ),
        config="retinanet/retinanet_r50_fpn_1x_coco.py",
    ),
    Recipe(
        name="retinanet_r50_fpn_2x_coco",
        model=RetinaNet.Config(),
        data=COCO,
        schedule=RETINANET_2X,
        init=INIT_R50,
        published=Published(box_ap=37.4),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r50_fpn_2x_coco/retinanet_r50_fpn_2x_coco_20200131-fdb43119.pth",
            sha256="fdb43119",
        ),
        config="retinanet/retinanet_r50_fpn_2x_coco.py",
    ),
    Recipe(
        name="retinanet_r101_caffe_fpn_1x_coco",
        model=RetinaNet.Config(input=BGR, backbone=caffe(R101)),
        data=COCO,
        schedule=RETINANET_1X,
        init=INIT_R101_CAFFE,
        published=Published(box_ap=38.5, memory_gb=5.5, fps=14.7),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r101_caffe_fpn_1x_coco/retinanet_r101_caffe_fpn_1x_coco_20200531-b428fa0f.pth",
            sha256="b428fa0f",
        ),
        config="retinanet/retinanet_r101-caffe_fpn_1x_coco.py",
    ),
    Recipe(
        name="retinanet_r101_fpn_1x_coco",
        model=RetinaNet.Config(backbone=R101),
        data=COCO,
        schedule=RETINANET_1X,
        init=INIT_R101,
        published=Published(box_ap=38.5, memory_gb=5.7, fps=15.0),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r101_fpn_1x_coco/retinanet_r101_fpn_1x_coco_20200130-7a93545f.pth",
            sha256="7a93545f",
        ),
        config="retinanet/retinanet_r101_fpn_1x_coco.py",
    ),
    Recipe(
        name="retinanet_r101_fpn_2x_coco",
        model=RetinaNet.Config(backbone=R101),
        data=COCO,
        schedule=RETINANET_2X,
        init=INIT_R101,
        published=Published(box_ap=38.9),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r101_fpn_2x_coco/retinanet_r101_fpn_2x_coco_20200131-5560aee8.pth",
            sha256="5560aee8",
        ),
        config="retinanet/retinanet_r101_fpn_2x_coco.py",
    ),
    Recipe(
        name="retinanet_x101_32x4d_fpn_1x_coco",
        model=RetinaNet.Config(backbone=X101_32X4D),
        data=COCO,
        schedule=RETINANET_1X,
        init=INIT_X101_32X4D,
        published=Published(box_ap=39.9, memory_gb=7.0, fps=12.1),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_x101_32x4d_fpn_1x_coco/retinanet_x101_32x4d_fpn_1x_coco_20200130-5c8b7ec4.pth",
            sha256="5c8b7ec4",
        ),
        config="retinanet/retinanet_x101-32x4d_fpn_1x_coco.py",
    ),
    Recipe(
        name="retinanet_x101_32x4d_fpn_2x_coco",
        model=RetinaNet.Config(backbone=X101_32X4D),
        data=COCO,
        schedule=RETINANET_2X,
        init=INIT_X101_32X4D,
        published=Published(box_ap=40.1),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_x101_32x4d_fpn_2x_coco/retinanet_x101_32x4d_fpn_2x_coco_20200131-237fc5e1.pth",
            sha256="237fc5e1",
        ),
        config="retinanet/retinanet_x101-32x4d_fpn_2x_coco.py",
    ),
    Recipe(
        name="retinanet_x101_64x4d_fpn_1x_coco",
        model=RetinaNet.Config(backbone=X101_64X4D),
        data=COCO,
        schedule=RETINANET_1X,
        init=INIT_X101_64X4D,
        published=Published(box_ap=41.0, memory_gb=10.0, fps=8.7),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_x101_64x4d_fpn_1x_coco/retinanet_x101_64x4d_fpn_1x_coco_20200130-366f5af1.pth",
            sha256="366f5af1",
        ),
        config="retinanet/retinanet_x101-64x4d_fpn_1x_coco.py",
    ),
    Recipe(
        name="retinanet_x101_64x4d_fpn_2x_coco",
        model=RetinaNet.Config(backbone=X101_64X4D),
        data=COCO,
        schedule=RETINANET_2X,
        init=INIT_X101_64X4D,
        published=Published(box_ap=40.8),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_x101_64x4d_fpn_2x_coco/retinanet_x101_64x4d_fpn_2x_coco_20200131-bca068ab.pth",
            sha256="bca068ab",
        ),
        config="retinanet/retinanet_x101-64x4d_fpn_2x_coco.py",
    ),
    Recipe(
        name="retinanet_r50_fpn_fp16_1x_coco",
        model=RetinaNet.Config(),
        data=COCO,
        schedule=RETINANET_1X.replace(precision="fp16"),
        init=INIT_R50,
        published=Published(box_ap=36.4, memory_gb=2.8, fps=31.6),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/fp16/retinanet_r50_fpn_fp16_1x_coco/retinanet_r50_fpn_fp16_1x_coco_20200702-0dbfb212.pth",
            sha256="0dbfb212",
        ),
        config="retinanet/retinanet_r50_fpn_amp-1x_coco.py",
    ),
    Recipe(
        name="retinanet_r18_fpn_1x_coco",
        model=RetinaNet.Config(backbone=R18),
        data=COCO,
        schedule=RETINANET_1X,
        init=INIT_R18,
        published=Published(box_ap=31.7, memory_gb=1.7),
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r18_fpn_1x_coco/retinanet_r18_fpn_1x_coco_20220407_171055-614fd399.pth",
            sha256="614fd399",
        ),
        config="retinanet/retinanet_r18_fpn_1x_coco.py",
    ),
    Recipe(
        name="retinanet_r18_fpn_1x8_1x_coco",
        model=RetinaNet.Config(backbone=R18),
        data=COCO,
        # a single device, as a comment of the published file says; its auto_scale_lr is inherited, and off
        schedule=RETINANET_1X.replace(lr=0.005, batch=8, base_batch=8),
        init=INIT_R18,
        published=Published(box_ap=31.7, memory_gb=5.0),
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r18_fpn_1x8_1x_coco/retinanet_r18_fpn_1x8_1x_coco_20220407_171255-4ea310d7.pth",
            sha256="4ea310d7",
        ),
        config="retinanet/retinanet_r18_fpn_1xb8-1x_coco.py",
    ),
    Recipe(
        name="retinanet_r50_fpn_mstrain_3x_coco",
        model=RetinaNet.Config(),
        data=multi_scale_repeated(COCO),
        schedule=RETINANET_3X_REPEATED,
        init=INIT_R50,
        published=Published(box_ap=39.5),
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r50_fpn_mstrain_3x_coco/retinanet_r50_fpn_mstrain_3x_coco_20210718_220633-88476508.pth",
            sha256="88476508",
        ),
        config="retinanet/retinanet_r50_fpn_ms-640-800-3x_coco.py",
    ),
    Recipe(
        name="retinanet_r101_caffe_fpn_mstrain_3x_coco",
        model=RetinaNet.Config(input=BGR, backbone=caffe(R101)),
        data=multi_scale(COCO),
        schedule=RETINANET_3X,
        init=INIT_R101_CAFFE,
        published=Published(box_ap=40.7),
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r101_caffe_fpn_mstrain_3x_coco/retinanet_r101_caffe_fpn_mstrain_3x_coco_20210721_063439-88a8a944.pth",
            sha256="88a8a944",
        ),
        config="retinanet/retinanet_r101-caffe_fpn_ms-3x_coco.py",
    ),
    Recipe(
        name="retinanet_r101_fpn_mstrain_3x_coco",
        model=RetinaNet.Config(backbone=R101),
        data=multi_scale_repeated(COCO),
        schedule=RETINANET_3X_REPEATED,
        init=INIT_R101,
        published=Published(box_ap=41),
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r101_fpn_mstrain_3x_coco/retinanet_r101_fpn_mstrain_3x_coco_20210720_214650-7ee888e0.pth",
            sha256="7ee888e0",
        ),
        config="retinanet/retinanet_r101_fpn_ms-640-800-3x_coco.py",
    ),
    Recipe(
        name="retinanet_x101_64x4d_fpn_mstrain_3x_coco",
        model=RetinaNet.Config(backbone=X101_64X4D),
        data=multi_scale_repeated(COCO),
        schedule=RETINANET_3X_REPEATED,
        init=INIT_X101_64X4D,
        published=Published(box_ap=41.6),
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_x101_64x4d_fpn_mstrain_3x_coco/retinanet_x101_64x4d_fpn_mstrain_3x_coco_20210719_051838-022c2187.pth",
            sha256="022c2187",
        ),
        config="retinanet/retinanet_x101-64x4d_fpn_ms-640-800-3x_coco.py",
    ),
)
