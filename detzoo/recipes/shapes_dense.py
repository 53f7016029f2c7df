"""Small detectors for the generated ``shapes`` data set that predict in every cell of their maps."""

from __future__ import annotations

from detzoo.backbones.darknet import Darknet
from detzoo.backbones.vgg import VGG
from detzoo.blocks.anchors import Anchors
from detzoo.blocks.losses import BoxLoss
from detzoo.methods.atss import ATSS
from detzoo.methods.auto_assign import AutoAssign
from detzoo.methods.centripetalnet import CentripetalNet
from detzoo.methods.cornernet import CornerNet
from detzoo.methods.fcos import FCOS
from detzoo.methods.foveabox import FoveaBox
from detzoo.methods.fsaf import FSAF
from detzoo.methods.ga_retinanet import GARetinaNet
from detzoo.methods.gfl import GFL
from detzoo.methods.ld import LD, Distillation
from detzoo.methods.paa import PAA
from detzoo.methods.reppoints import RepPoints
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.sabl_retinanet import SABLRetinaNet
from detzoo.methods.ssd import SSD
from detzoo.methods.vfnet import VFNet
from detzoo.methods.yolact import YOLACT, Prototypes
from detzoo.methods.yolof import YOLOF
from detzoo.methods.yolov3 import YOLOv3
from detzoo.necks.dilated_encoder import DilatedEncoder
from detzoo.necks.ssd import SSDNeck
from detzoo.necks.yolo import YOLONeck
from detzoo.recipes.shapes_columns import DISTANCES, FEW_MINUTES, FRESH_R18, HOURGLASS, ONE_STAGE, SMALL, small

RECIPES = (
    small(
        name="retinanet_r18_fpn_shapes",
        model=RetinaNet.Config(**ONE_STAGE, head=RetinaNet.Head(convs=2, channels=64, detections=30)),
        schedule=FEW_MINUTES.replace(epochs=12),
    ),
    small(
        name="ga_retinanet_r18_fpn_shapes",
        model=GARetinaNet.Config(**ONE_STAGE, head=GARetinaNet.Head(convs=2, channels=64, detections=30)),
        schedule=FEW_MINUTES.replace(epochs=9),
    ),
    small(
        name="fcos_r18_fpn_shapes",
        model=FCOS.Config(
            **ONE_STAGE,
            head=FCOS.Head(
                convs=2,
                channels=64,
                in_strides=True,
                centerness_on_reg=True,
                ranges=(32.0, 48.0),
                radius=1.5,
                box_loss=BoxLoss(kind="giou"),
                nms=0.6,
                detections=30,
            ),
        ),
    ),
    small(
        name="atss_r18_fpn_shapes",
        model=ATSS.Config(
            **ONE_STAGE,
            head=ATSS.Head(
                convs=2,
                channels=64,
                anchors=Anchors.Config(scales=(4.0,), ratios=(1.0,)),  # 32, 64 and 128 pixels
                detections=30,
            ),
        ),
    ),
    small(
        name="autoassign_r18_fpn_shapes",
        model=AutoAssign.Config(**ONE_STAGE, head=AutoAssign.Head(convs=2, channels=64, detections=30)),
    ),
    small(
        name="sabl_retinanet_r18_fpn_shapes",
        model=SABLRetinaNet.Config(**ONE_STAGE, head=SABLRetinaNet.Head(convs=2, channels=64, detections=30)),
    ),
    small(name="gfl_r18_fpn_shapes", model=GFL.Config(**ONE_STAGE, head=DISTANCES)),
    small(  # its teacher is trained first, and then named by its file: model.distillation.teacher=PATH
        name="ld_r18_fpn_shapes",
        model=LD.Config(**ONE_STAGE, head=DISTANCES, distillation=Distillation(teacher="gfl_r18_fpn_shapes")),
    ),
    small(
        name="fovea_r18_fpn_shapes",
        model=FoveaBox.Config(
            **ONE_STAGE,
            head=FoveaBox.Head(
                convs=2,
                channels=64,
                norm="gn",
                edges=(16.0, 32.0, 64.0),
                ranges=((1.0, 40.0), (25.0, 60.0), (45.0, 500.0)),
                detections=30,
            ),
        ),
    ),
    small(
        name="fsaf_r18_fpn_shapes",
        model=FSAF.Config(**ONE_STAGE, head=FSAF.Head(convs=2, channels=64, detections=30)),
        schedule=FEW_MINUTES.replace(epochs=14),
    ),
    small(
        name="vfnet_r18_fpn_shapes",
        model=VFNet.Config(
            **ONE_STAGE, head=VFNet.Head(convs=2, channels=64, reach=(32.0, 48.0, 96.0), anchor=4.0, detections=30)
        ),
    ),
    small(
        name="reppoints_r18_fpn_shapes",
        model=RepPoints.Config(
            **ONE_STAGE, head=RepPoints.Head(convs=2, channels=64, norm="gn", point_channels=64, detections=30)
        ),
        schedule=FEW_MINUTES.replace(epochs=8),
    ),
    small(
        name="paa_r18_fpn_shapes",
        model=PAA.Config(
            **ONE_STAGE,
            head=PAA.Head(
                convs=2,
                channels=64,
                anchors=Anchors.Config(scales=(4.0,), ratios=(1.0,)),  # 32, 64 and 128 pixels
                detections=30,
            ),
        ),
    ),
    small(
        name="centripetalnet_hourglass_shapes",
        model=CentripetalNet.Config(
            input=SMALL, backbone=HOURGLASS, head=CentripetalNet.Head(channels=64, pooled=64, corners=50, detections=30)
        ),
    ),
    small(
        name="cornernet_hourglass_shapes",
        model=CornerNet.Config(
            input=SMALL, backbone=HOURGLASS, head=CornerNet.Head(channels=64, pooled=64, corners=50, detections=30)
        ),
    ),
    small(
        name="ssd_vgg11_shapes",
        model=SSD.Config(
            input=SMALL,
            backbone=VGG.Config(depth=11, channels=(16, 32, 64, 128, 128), last_channels=128),
            neck=SSDNeck.Config(out_channels=(128, 64), steps=(2, 2), paddings=(1, 1)),
            head=SSD.Head(sizes=(18, 28, 42, 60, 84), ratios=((2,), (2,), (2,), (2,)), steps=None, detections=30),
        ),
        schedule=FEW_MINUTES.replace(epochs=25),
    ),
    small(
        name="yolact_r18_fpn_shapes",
        model=YOLACT.Config(
            **ONE_STAGE,
            head=YOLACT.Head(channels=64, sizes=(24, 40, 64), steps=(8, 16, 32), detections=30),
            mask_head=Prototypes.Config(prototypes=16, convs=2, channels=64),
        ),
        schedule=FEW_MINUTES.replace(epochs=12),
    ),
    small(
        name="yolof_r18_shapes",
        model=YOLOF.Config(
            input=SMALL,
            backbone=FRESH_R18.replace(out_stages=(3,)),
            neck=DilatedEncoder.Config(out_channels=128, inner_channels=64, dilations=(1, 2, 3)),
            head=YOLOF.Head(
                reg_convs=2,
                anchors=Anchors.Config(scales=(1.5, 3.0, 4.5), ratios=(1.0,)),  # 24, 48 and 72 pixels
                farthest=16.0,
                detections=30,
            ),
        ),
        schedule=FEW_MINUTES.replace(epochs=10),
    ),
    small(
        name="yolov3_d18_shapes",
        model=YOLOv3.Config(
            input=SMALL,
            backbone=Darknet.Config(blocks=(1, 1, 2, 2), width=16, out_stages=(2, 3, 4), norm_eval=False),
            neck=YOLONeck.Config(out_channels=(128, 64, 32)),
            head=YOLOv3.Head(
                priors=(((60, 60), (72, 44), (44, 72)), ((40, 40), (48, 30), (30, 48)), ((24, 24), (30, 18), (18, 30))),
                detections=30,
            ),
        ),
    ),
)
