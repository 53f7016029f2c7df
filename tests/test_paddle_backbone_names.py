"""PaddleDetection's names of backbones' parameters, of both releases, as ours."""

from __future__ import annotations

import pytest
import torch

from detzoo.backbones.hrnet import HRNet
from detzoo.backbones.resnet import ResNet
from detzoo.interop.paddle.backbone_names import NAMES, pyramid
from detzoo.interop.paddle.static_backbone_names import BACKBONES, NECKS
from detzoo.interop.renaming import rename

DYNAMIC = {
    "backbone.conv1.conv1.norm._mean": "backbone.bn1._mean",
    "backbone.conv1.conv1_2.conv.weight": "backbone.stem.3.weight",
    "backbone.res2.res2a.short.conv.weight": "backbone.layer1.0.downsample.0.weight",
    "backbone.res3.res3a.short.conv.norm.bias": "backbone.layer2.0.downsample.1.bias",
    "backbone.res4.res4b22.branch2c.norm._variance": "backbone.layer3.22.bn3._variance",
    "backbone.res3.res3l.branch2b.conv_offset.bias": "backbone.layer2.11.conv2.conv_offset.bias",
    "backbone.res3.blocks.0.branch2b.2.norm.weight": "backbone.layer2.0.bns.2.weight",
    "backbone.res3.blocks.0.branch2b.1.conv_offset.weight": "backbone.layer2.0.convs.1.conv_offset.weight",
    "backbone.res3.blocks.0.branch1.conv.weight": "backbone.layer2.0.downsample.0.weight",
    "backbone.conv_layer1_2.norm.bias": "backbone.bn2.bias",
    "backbone.la1.block_layer2_1.conv_down.conv.weight": "backbone.layer1.0.downsample.0.weight",
    "backbone.tr1.transition_tr1_layer_2.norm.weight": "backbone.transition1.1.0.1.weight",
    "neck.fpn_inner_res5_sum.weight": "neck.lateral_convs.3.conv.weight",
    "neck.fpn_res2_sum.norm.bias": "neck.fpn_convs.0.gn.bias",
    "neck.fpn_inner_res3_sum_lateral.conv.weight": "neck.lateral_convs.1.conv.weight",
    "neck.reduction.weight": "neck.reduction_conv.conv.weight",
}
STATIC = {
    ("ResNet", "bn_conv1_variance"): "backbone.bn1._variance",
    ("ResNet", "bnv1_3_offset"): "backbone.stem.7.bias",
    ("ResNet", "res4b47_branch2b_conv_offset.w_0"): "backbone.layer3.47.conv2.conv_offset.weight",
    ("ResNet", "bn5a_branch1_scale"): "backbone.layer4.0.downsample.1.weight",
    ("ResNet", "nonlocal_conv4_11_theta_w"): "backbone.layer3.11.non_local.theta.weight",
    ("ResNet", "gcb_res3_b0_add_ln_bias"): "backbone.layer2.0.context_block.channel_add_conv.1.bias",
    ("ResNet", "gcb_res3_b0_spatial_pool_bias"): "backbone.layer2.0.context_block.conv_mask.bias",
    ("Res2Net", "res3a_branch2b_1_conv_offset.b_0"): "backbone.layer2.0.convs.0.conv_offset.bias",
    ("CBResNet", "res3a_branch2b_conv_offset_1.w_0"): "backbone.lead.layer2.0.conv2.conv_offset.weight",
    ("CBResNet", "bnv1_1_mean_0"): "backbone.assistant.stem.1._mean",
    ("CBResNet", "nonlocal_conv4_lvl1_47_out_w"): "backbone.lead.layer3.47.non_local.out.weight",
    ("CBResNet", "bnt_c2_connect_scale_1"): "backbone.connections.1.bn.weight",
    ("SENet", "conv5_1_x2_conv_offset.w_0"): "backbone.layer2.0.conv2.conv_offset.weight",
    ("SENet", "conv5_1_prj_bn_mean"): "backbone.layer2.0.downsample.1._mean",
    ("SENet", "fc7_3_exc_offset"): "backbone.layer4.2.se.excite.bias",
    ("SENet", "conv1_3_bn_scale"): "backbone.stem.7.weight",
    ("HRNet", "st3_1_layer_3_1_2_bn_offset"): "backbone.stage3.0.fuse_layers.2.0.1.1.bias",
    ("HRNet", "st4_3_branch_layer_4_1_conv2_weights"): "backbone.stage4.2.branches.3.0.conv2.weight",
    ("HRNet", "shared_fpn_conv_4_weights"): "neck.fpn_convs.4.conv.weight",
    ("ResNet", "fpn_res5_sum_b"): "neck.fpn_convs.3.conv.bias",
}


@pytest.mark.parametrize("published", DYNAMIC)
def test_names_of_the_dynamic_release(published: str) -> None:
    table = (*NAMES, *pyramid(2))
    assert rename(published, table) == DYNAMIC[published]
    assert rename(DYNAMIC[published], table) == DYNAMIC[published]  # ours stay as they are


@pytest.mark.parametrize(("network", "published"), STATIC)
def test_names_of_the_static_releases(network: str, published: str) -> None:
    name = rename(published, (*BACKBONES[network], *NECKS))
    assert rename(name, (*NAMES, *pyramid(2))) == STATIC[network, published]


def test_a_pyramid_may_begin_with_the_third_stage() -> None:
    assert rename("neck.fpn_inner_res5_sum.weight", pyramid(3)) == "neck.lateral_convs.2.conv.weight"
    assert rename("neck.fpn_6.bias", pyramid(3)) == "neck.fpn_convs.3.conv.bias"


@pytest.mark.parametrize("network", [ResNet.Config(depth=200), HRNet.Config(width=18)], ids=["resnet", "hrnet"])
def test_ours_are_not_taken_for_published_ones(network: ResNet.Config | HRNet.Config) -> None:
    with torch.device("meta"):
        names = [f"backbone.{name}" for name in network.build().state_dict()]
    assert [rename(name, NAMES) for name in names] == names
