"""DetectoRS (arXiv:2006.02334) on Cascade R-CNN and HTC: recursive pyramid and switchable convolution, or both."""

from __future__ import annotations

from detzoo.backbones.detectors_resnet import DetectorsResNet
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.htc import HTC
from detzoo.necks.rfp import RFP
from detzoo.recipes.columns import SCHEDULE_1X, row
from detzoo.recipes.initial import INIT_R50
from detzoo.recipes.recipe import Published

R50_ADAPTIVE = DetectorsResNet.Config()
R50_SAC = DetectorsResNet.Config(switchable_stages=(2, 3, 4))
INIT_BOTH = INIT_R50.replace(prefixes=("backbone.", "neck.rfp_modules.0."))


def recursive(backbone: DetectorsResNet.Config) -> CascadeRCNN.Config:
    """The model where the pyramid has another backbone of the same kind."""
    return CascadeRCNN.Config(backbone=backbone.replace(with_image=True), neck=RFP.Config(backbone=backbone))


RECIPES = (
    row(
        name="cascade_rcnn_r50_rfp_1x_coco",
        model=recursive(R50_ADAPTIVE),
        schedule=SCHEDULE_1X,
        init=INIT_BOTH,
        published=Published(box_ap=44.8, memory_gb=7.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/detectors/cascade_rcnn_r50_rfp_1x_coco/cascade_rcnn_r50_rfp_1x_coco-8cf51bfd.pth",
        config="detectors/cascade-rcnn_r50-rfp_1x_coco.py",
    ),
    row(
        name="cascade_rcnn_r50_sac_1x_coco",
        model=CascadeRCNN.Config(backbone=R50_SAC),
        schedule=SCHEDULE_1X,
        init=INIT_R50,
        published=Published(box_ap=45.0, memory_gb=5.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/detectors/cascade_rcnn_r50_sac_1x_coco/cascade_rcnn_r50_sac_1x_coco-24bfda62.pth",
        config="detectors/cascade-rcnn_r50-sac_1x_coco.py",
    ),
    row(
        name="detectors_cascade_rcnn_r50_1x_coco",
        model=recursive(R50_SAC),
        schedule=SCHEDULE_1X,
        init=INIT_BOTH,
        published=Published(box_ap=47.4, memory_gb=9.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/detectors/detectors_cascade_rcnn_r50_1x_coco/detectors_cascade_rcnn_r50_1x_coco-32a10ba0.pth",
        config="detectors/detectors_cascade-rcnn_r50_1x_coco.py",
    ),
    row(
        name="htc_r50_rfp_1x_coco",
        model=HTC.Config(backbone=R50_ADAPTIVE.replace(with_image=True), neck=RFP.Config(backbone=R50_ADAPTIVE)),
        schedule=SCHEDULE_1X,
        init=INIT_BOTH,
        published=Published(box_ap=46.6, mask_ap=40.9, memory_gb=11.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/detectors/htc_r50_rfp_1x_coco/htc_r50_rfp_1x_coco-8ff87c51.pth",
        config="detectors/htc_r50-rfp_1x_coco.py",
    ),
    row(
        name="htc_r50_sac_1x_coco",
        model=HTC.Config(backbone=R50_SAC),
        schedule=SCHEDULE_1X,
        init=INIT_R50,
        published=Published(box_ap=46.4, mask_ap=40.9, memory_gb=9.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/detectors/htc_r50_sac_1x_coco/htc_r50_sac_1x_coco-bfa60c54.pth",
        config="detectors/htc_r50-sac_1x_coco.py",
    ),
    row(
        name="detectors_htc_r50_1x_coco",
        model=HTC.Config(backbone=R50_SAC.replace(with_image=True), neck=RFP.Config(backbone=R50_SAC)),
        schedule=SCHEDULE_1X,
        init=INIT_BOTH,
        published=Published(box_ap=49.1, mask_ap=42.6, memory_gb=13.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/detectors/detectors_htc_r50_1x_coco/detectors_htc_r50_1x_coco-329b1453.pth",
        config="detectors/detectors_htc-r50_1x_coco.py",
    ),
)
