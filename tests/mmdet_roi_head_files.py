"""Configs of MMDetection's two-stage models with RoI heads of their own, written for the tests.

They stand on files of `tests.mmdet_files`.
"""

from __future__ import annotations

_X101 = """
    backbone=dict(
        type='ResNeXt', depth=101, groups=32, base_width=4,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnext101_32x4d'))"""

MASK_SCORING_3 = f"""
_base_ = 'mask.py'
model = dict(
    type='MaskScoringRCNN',{_X101},
    roi_head=dict(
        type='MaskScoringRoIHead',
        mask_iou_head=dict(
            type='MaskIoUHead', num_convs=4, num_fcs=2, roi_feat_size=14, in_channels=256, conv_out_channels=256,
            fc_out_channels=1024, num_classes=80)),
    train_cfg=dict(rcnn=dict(mask_thr_binary=0.5)))
"""
