"""Configs of MMDetection's models with other region proposal networks, or anchors, written for the tests.

They stand on files of `tests.mmdet_files`.
"""

from __future__ import annotations

_X101 = """
    backbone=dict(
        type='ResNeXt', depth=101, groups=32, base_width=4,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnext101_32x4d')),"""


def _guided(base: int, strides: str, stds: str, box_stds: str) -> str:
    return f"""
        in_channels=256, feat_channels=256,
        approx_anchor_generator=dict(
            type='AnchorGenerator', octave_base_scale={base}, scales_per_octave=3, ratios=[0.5, 1.0, 2.0],
            strides={strides}),
        square_anchor_generator=dict(type='AnchorGenerator', ratios=[1.0], scales=[{base}], strides={strides}),
        anchor_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[.0] * 4, target_stds={stds}),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[.0] * 4, target_stds={box_stds}),
        loc_filter_thr=0.01,
        loss_loc=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_shape=dict(type='BoundedIoULoss', beta=0.2, loss_weight=1.0),"""


def _learned(positive: float, negative: float) -> str:
    return f"""
        ga_assigner=dict(
            type='ApproxMaxIoUAssigner', pos_iou_thr={positive}, neg_iou_thr={negative}, min_pos_iou={negative},
            ignore_iof_thr=-1),
        ga_sampler=dict(
            type='RandomSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
        center_ratio=0.2, ignore_ratio=0.5"""


_GUIDED_RPN = _guided(8, "[4, 8, 16, 32, 64]", "[0.07, 0.07, 0.14, 0.14]", "[0.07, 0.07, 0.11, 0.11]")

GUIDED_FASTER_3 = f"""
_base_ = 'faster.py'
model = dict({_X101}
    rpn_head=dict(
        _delete_=True, type='GARPNHead',{_GUIDED_RPN}
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0)),
    roi_head=dict(bbox_head=dict(bbox_coder=dict(target_stds=[0.05, 0.05, 0.1, 0.1]))),
    train_cfg=dict(
        rpn=dict({_learned(0.7, 0.3)}),
        rpn_proposal=dict(nms_post=1000, max_per_img=300),
        rcnn=dict(
            assigner=dict(pos_iou_thr=0.6, neg_iou_thr=0.6, min_pos_iou=0.6), sampler=dict(num=256))),
    test_cfg=dict(rpn=dict(nms_post=1000, max_per_img=300), rcnn=dict(score_thr=1e-3)))
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
"""

_GUIDED_HEAD = _guided(4, "[8, 16, 32, 64, 128]", "[1.0] * 4", "[1.0] * 4")

GUIDED_RETINANET_3 = f"""
_base_ = 'retina.py'
model = dict({_X101}
    bbox_head=dict(
        _delete_=True, type='GARetinaHead', num_classes=80, stacked_convs=4,{_GUIDED_HEAD}
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='SmoothL1Loss', beta=0.04, loss_weight=1.0)),
    train_cfg=dict({_learned(0.5, 0.4)}, assigner=dict(neg_iou_thr=0.5, min_pos_iou=0.0)))
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
"""

_STAGE = """
            type='StageCascadeRPNHead', in_channels=256, feat_channels=256, reg_decoded_bbox=True,
            loss_bbox=dict(type='IoULoss', linear=True, loss_weight=10.0 * 0.7),"""

CASCADE_RPN_3 = f"""
_base_ = 'faster.py'
model = dict(
    data_preprocessor=dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    backbone=dict(
        norm_cfg=dict(type='BN', requires_grad=False), style='caffe',
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnet50_caffe')),
    rpn_head=dict(
        _delete_=True, type='CascadeRPNHead', num_stages=2,
        stages=[
            dict({_STAGE}
                anchor_generator=dict(
                    type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[4, 8, 16, 32, 64]),
                adapt_cfg=dict(type='dilation', dilation=3), bridged_feature=True, with_cls=False,
                bbox_coder=dict(
                    type='DeltaXYWHBBoxCoder', target_means=[.0] * 4, target_stds=(0.1, 0.1, 0.5, 0.5))),
            dict({_STAGE}
                adapt_cfg=dict(type='offset'), bridged_feature=False, with_cls=True,
                bbox_coder=dict(
                    type='DeltaXYWHBBoxCoder', target_means=[.0] * 4, target_stds=(0.05, 0.05, 0.1, 0.1)),
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.7))]),
    roi_head=dict(bbox_head=dict(
        bbox_coder=dict(target_stds=[0.04, 0.04, 0.08, 0.08]),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.5),
        loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0))),
    train_cfg=dict(
        rpn=[
            dict(
                assigner=dict(type='RegionAssigner', center_ratio=0.2, ignore_ratio=0.5), allowed_border=-1,
                pos_weight=-1, debug=False),
            dict(
                assigner=dict(
                    type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.7, min_pos_iou=0.3, ignore_iof_thr=-1),
                sampler=dict(
                    type='RandomSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
                allowed_border=-1, pos_weight=-1, debug=False)],
        rpn_proposal=dict(max_per_img=300, nms=dict(iou_threshold=0.8)),
        rcnn=dict(
            assigner=dict(pos_iou_thr=0.65, neg_iou_thr=0.65, min_pos_iou=0.65),
            sampler=dict(type='RandomSampler', num=256))),
    test_cfg=dict(rpn=dict(max_per_img=300, nms=dict(iou_threshold=0.8)), rcnn=dict(score_thr=1e-3)))
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
"""
