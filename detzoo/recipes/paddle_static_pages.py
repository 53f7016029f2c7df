"""PaddleDetection's static-graph models with pages of their own: HRNet, Res2Net, losses by IoU, GCNet, Libra R-CNN."""

from __future__ import annotations

from detzoo.backbones.hrnet import HRNet
from detzoo.backbones.res2net import Res2Net
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.balanced_sampling import Balance
from detzoo.blocks.context_block import ContextBlock
from detzoo.blocks.layers import Deform
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.plugins import Plugin
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.necks.bfp import BFP
from detzoo.necks.hrfpn import HRFPN
from detzoo.recipes.paddle_columns import (
    PADDLE_R50_VD,
    PADDLE_R101_VD,
    PAIRS_1X,
    PAIRS_2X,
    STATIC_BOX_HEAD,
    static_faster,
    static_mask,
    static_row,
)
from detzoo.recipes.recipe import Recipe

# in whose first blocks without a stride parts see each other, too; later releases pool no shortcuts
PADDLE_RES2NET50 = Res2Net.Config(stem="conv7", avg_down=False, first_sums=True, pool_padding=False, norm_frozen=True)
STATIC_RES2NET50_VD = PADDLE_RES2NET50.replace(stem="deep", avg_down=True, project_first=True)
STATIC_RES2NET50_VD_DCN = STATIC_RES2NET50_VD.replace(deform=Deform(version=2))
GC_ADD = PADDLE_R50_VD.replace(plugins=(Plugin(block=ContextBlock.Config()),))
GC_MUL = PADDLE_R50_VD.replace(plugins=(Plugin(block=ContextBlock.Config(fusion=("multiply",))),))
HRNET_W18 = static_faster(HRNet.Config(width=18, resize="corners", norm_frozen=True)).replace(
    neck=HRFPN.Config(bias=False, corners=True)
)


def libra(backbone: ResNet.Config) -> FasterRCNN.Config:
    """Libra R-CNN: a balanced pyramid, draws and loss."""
    head = STATIC_BOX_HEAD.replace(balance=Balance(), box_loss=BoxLoss(kind="balanced_l1"))
    return static_faster(backbone).replace(neck=BFP.Config(resize="corners"), box_head=head)


def by_iou(loss: BoxLoss, box_ap: float, *, name: str, fps: float) -> Recipe:
    """A row of losses by IoU."""
    model = static_faster(PADDLE_R50_VD)
    model = model.replace(box_head=model.box_head.replace(box_loss=loss, unit_boxes="sum"))
    return static_row(model, PAIRS_1X, box_ap, name=name, fps=fps, folder="iou_loss/")


RECIPES = (
    static_row(HRNET_W18, PAIRS_1X, 36.0, name="pdold_faster_rcnn_hrnetv2p_w18_1x", fps=17.509, folder="hrnet/"),
    static_row(HRNET_W18, PAIRS_2X, 38.0, name="pdold_faster_rcnn_hrnetv2p_w18_2x", fps=17.509, folder="hrnet/"),
    static_row(
        static_faster(PADDLE_RES2NET50),
        PAIRS_1X,
        39.5,
        name="pdold_faster_rcnn_res2net50_vb_26w_4s_fpn_1x",
        fps=20.32,
        folder="res2net/",
    ),
    static_row(
        static_mask(PADDLE_RES2NET50),
        PAIRS_2X,
        40.7,
        36.2,
        name="pdold_mask_rcnn_res2net50_vb_26w_4s_fpn_2x",
        fps=16.069,
        folder="res2net/",
    ),
    static_row(
        static_mask(STATIC_RES2NET50_VD),
        PAIRS_2X,
        40.9,
        36.2,
        name="pdold_mask_rcnn_res2net50_vd_26w_4s_fpn_2x",
        fps=15.816,
        folder="res2net/",
    ),
    static_row(
        static_mask(STATIC_RES2NET50_VD_DCN),
        PAIRS_1X,  # the page says 2x, the config 90,000 steps
        43.5,
        38.4,
        name="pdold_mask_rcnn_res2net50_vd_26w_4s_fpn_dcnv2_1x",
        fps=14.478,
        folder="res2net/",
    ),
    by_iou(BoxLoss(kind="giou", weight=10.0), 39.4, name="pdold_faster_rcnn_r50_vd_fpn_giou_loss_1x", fps=22.94),
    by_iou(BoxLoss(kind="diou", weight=12.0), 39.2, name="pdold_faster_rcnn_r50_vd_fpn_diou_loss_1x", fps=22.94),
    by_iou(
        BoxLoss(kind="ciou", weight=12.0, aspect_above=-1.0),
        39.6,
        name="pdold_faster_rcnn_r50_vd_fpn_ciou_loss_1x",
        fps=22.95,
    ),
    static_row(
        static_mask(GC_ADD),
        PAIRS_2X,
        41.4,
        36.8,
        name="pdold_mask_rcnn_r50_vd_fpn_gcb_add_r16_2x",
        fps=15.31,
        folder="gcnet/",
    ),
    static_row(
        static_mask(GC_MUL),
        PAIRS_2X,
        40.7,
        36.1,
        name="pdold_mask_rcnn_r50_vd_fpn_gcb_mul_r16_2x",
        fps=15.35,
        folder="gcnet/",
    ),
    static_row(
        libra(PADDLE_R50_VD), PAIRS_1X, 40.5, name="pdold_libra_rcnn_r50_vd_fpn_1x", fps=18.247, folder="libra_rcnn/"
    ),
    static_row(
        libra(PADDLE_R101_VD), PAIRS_1X, 42.5, name="pdold_libra_rcnn_r101_vd_fpn_1x", fps=14.865, folder="libra_rcnn/"
    ),
)
