"""Configs of MMDetection's heads that learn from anchors in ways of their own, written for the tests.

They stand on two files of `tests.mmdet_files`.
"""

from __future__ import annotations

GHM_3 = """
_base_ = 'retina.py'
model = dict(bbox_head=dict(
    loss_cls=dict(_delete_=True, type='GHMC', bins=30, momentum=0.75, use_sigmoid=True, loss_weight=1.0),
    loss_bbox=dict(_delete_=True, type='GHMR', mu=0.02, bins=10, momentum=0.7, loss_weight=10.0)))
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
"""

FREE_ANCHOR_3 = """
_base_ = 'retina.py'
model = dict(bbox_head=dict(
    _delete_=True, type='FreeAnchorRetinaHead', num_classes=80, in_channels=256, stacked_convs=4, feat_channels=256,
    anchor_generator=dict(
        type='AnchorGenerator', octave_base_scale=4, scales_per_octave=3, ratios=[0.5, 1.0, 2.0],
        strides=[8, 16, 32, 64, 128]),
    bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2]),
    loss_bbox=dict(type='SmoothL1Loss', beta=0.11, loss_weight=0.75)))
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
"""

AUTO_ASSIGN_3 = """
_base_ = 'fcos.py'
model = dict(
    type='AutoAssign',
    neck=dict(add_extra_convs='on_input'),
    bbox_head=dict(
        _delete_=True, type='AutoAssignHead', num_classes=80, in_channels=256, stacked_convs=4, feat_channels=256,
        strides=[8, 16, 32, 64, 128], loss_bbox=dict(type='GIoULoss', loss_weight=5.0)),
    test_cfg=dict(nms=dict(iou_threshold=0.6)))
"""

YOLOF_3 = """
_base_ = 'retina.py'
model = dict(
    type='YOLOF',
    data_preprocessor=dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    backbone=dict(out_indices=(3, ), norm_cfg=dict(type='BN', requires_grad=False), style='caffe'),
    neck=dict(_delete_=True, type='DilatedEncoder', in_channels=2048, out_channels=512, block_mid_channels=128,
              num_residual_blocks=4, block_dilations=[2, 4, 6, 8]),
    bbox_head=dict(
        _delete_=True, type='YOLOFHead', num_classes=80, in_channels=512, reg_decoded_bbox=True,
        anchor_generator=dict(type='AnchorGenerator', ratios=[1.0], scales=[1, 2, 4, 8, 16], strides=[32]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[.0] * 4, target_stds=[1.] * 4, add_ctr_clamp=True,
                        ctr_clamp=32),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=1.0)),
    train_cfg=dict(
        _delete_=True, assigner=dict(type='UniformAssigner', pos_ignore_thr=0.15, neg_ignore_thr=0.7),
        allowed_border=-1, pos_weight=-1, debug=False),
    test_cfg=dict(nms=dict(iou_threshold=0.6)))
"""

PAA_3 = """
_base_ = 'atss.py'
model = dict(
    type='PAA',
    bbox_head=dict(
        type='PAAHead', reg_decoded_bbox=True, score_voting=True, topk=9,
        loss_bbox=dict(type='GIoULoss', loss_weight=1.3),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.5)),
    train_cfg=dict(assigner=dict(
        _delete_=True, type='MaxIoUAssigner', pos_iou_thr=0.1, neg_iou_thr=0.1, min_pos_iou=0, ignore_iof_thr=-1)))
"""
