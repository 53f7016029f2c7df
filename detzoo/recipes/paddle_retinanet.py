"""RetinaNet (arXiv:1708.02002) as PaddleDetection's static-graph releases have it: boxes of whole pixels throughout."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import Anchors
from detzoo.blocks.losses import BoxLoss
from detzoo.detector import Input
from detzoo.methods.retinanet import RetinaNet
from detzoo.necks.fpn import FPN
from detzoo.recipes.columns import COCO, NO_NORM_DECAY
from detzoo.recipes.paddle_columns import EARLY_PAIRS_1X, PADDLE_1X, static_dense
from detzoo.recipes.settings import ParamGroup

R50 = ResNet.Config(out_stages=(2, 3, 4), project_first=True, norm_frozen=True)
R101 = R50.replace(depth=101)
X101_VD = R101.replace(groups=64, base_width=4, stem="deep", avg_down=True)
ANCHORS = Anchors.Config(
    scales=tuple(4 * 2 ** (octave / 3) for octave in range(3)), ratios=(1.0, 2.0, 0.5), classic=True
)
HEAD = RetinaNet.Head(anchors=ANCHORS, last_pixel=True, box_loss=BoxLoss(kind="smooth_l1", beta=0.11))


def retinanet(backbone: ResNet.Config) -> RetinaNet.Config:
    """RetinaNet with this backbone."""
    neck = FPN.Config(extra="on_input", relu_before_extra=True)
    return RetinaNet.Config(input=Input(multiple=128), backbone=backbone, neck=neck, head=HEAD)


# offsets of layers of its own learn twice as fast and without weight decay
GROUPS = (*NO_NORM_DECAY, ParamGroup(pattern="^(?!backbone)", of="bias", lr_scale=2.0, weight_decay=0.0))
SCHEDULE = EARLY_PAIRS_1X.replace(lr=0.01, groups=GROUPS)

RECIPES = (
    static_dense(retinanet(R50), COCO, SCHEDULE, 36.0, name="pdold_retinanet_r50_fpn_1x"),
    static_dense(retinanet(R101), COCO, SCHEDULE, 37.3, name="pdold_retinanet_r101_fpn_1x"),
    static_dense(
        retinanet(X101_VD),
        COCO,
        PADDLE_1X.replace(lr=0.005, groups=GROUPS),
        40.5,
        name="pdold_retinanet_x101_vd_64x4d_fpn_1x",
    ),
)
