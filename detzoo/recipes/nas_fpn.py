"""NAS-FPN (arXiv:1904.07392) on RetinaNet, and the plain pyramid beside it: crops of 640 pixels, 50 epochs."""

from __future__ import annotations

from detzoo.blocks.assign import MatchConfig
from detzoo.detector import Input
from detzoo.methods.retinanet import RetinaNet
from detzoo.necks.fpn import FPN
from detzoo.necks.nas_fpn import NASFPN
from detzoo.recipes.augment import Crop, Flip, Resize
from detzoo.recipes.columns import COCO, NO_NORM_DECAY, R50, row
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import Schedule

# what these rows and those of FPG share
CROP640_50E = Schedule(
    epochs=50,
    milestones=(30, 40),
    batch=8,
    base_batch=64,
    lr=0.08,
    warmup_steps=1000,
    warmup_start=0.1,
    groups=NO_NORM_DECAY,
)
R50_BN = R50.replace(norm_eval=False)  # its batch statistics are learned
JITTER640 = Resize(sizes=((640, 640),), jitter=(0.8, 1.2))
CROP640 = COCO.replace(augment=(JITTER640, Crop(size=(640, 640)), Flip()))
HEAD_BN = RetinaNet.Head(norm="bn", norm_per_level=True, match=MatchConfig(positive=0.5, negative=0.5, low_quality=0.0))


def input640(multiple: int) -> Input:
    """Pictures of at most 640 pixels, padded to a ``multiple``."""
    return Input(short=640, long=640, multiple=multiple)


RECIPES = (
    row(
        name="retinanet_r50_fpn_crop640_50e_coco",
        model=RetinaNet.Config(
            input=input640(64),
            backbone=R50_BN,
            neck=FPN.Config(start=1, extra="on_input", relu_before_extra=True, norm="bn", norm_on_lateral=False),
            head=HEAD_BN,
        ),
        data=CROP640,
        schedule=CROP640_50E,
        published=Published(box_ap=37.9, memory_gb=12.9, fps=22.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/nas_fpn/retinanet_r50_fpn_crop640_50e_coco/retinanet_r50_fpn_crop640_50e_coco-9b953d76.pth",
        config="nas_fpn/retinanet_r50_fpn_crop640-50e_coco.py",
    ),
    row(
        name="retinanet_r50_nasfpn_crop640_50e_coco",
        model=RetinaNet.Config(input=input640(128), backbone=R50_BN, neck=NASFPN.Config(start=1), head=HEAD_BN),
        data=CROP640,
        schedule=CROP640_50E,
        published=Published(box_ap=40.5, memory_gb=13.2, fps=23.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/nas_fpn/retinanet_r50_nasfpn_crop640_50e_coco/retinanet_r50_nasfpn_crop640_50e_coco-0ad1f644.pth",
        config="nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco.py",
    ),
)
