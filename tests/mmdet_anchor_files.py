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
