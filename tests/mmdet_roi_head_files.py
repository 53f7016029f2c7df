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

DOUBLE_HEAD_3 = """
_base_ = 'faster.py'
model = dict(
    roi_head=dict(
        type='DoubleHeadRoIHead',
        reg_roi_scale_factor=1.3,
        bbox_head=dict(
            _delete_=True, type='DoubleConvFCBBoxHead', num_convs=4, num_fcs=2, in_channels=256, conv_out_channels=1024,
            fc_out_channels=1024, roi_feat_size=7, num_classes=80,
            bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.] * 4, target_stds=[0.1, 0.1, 0.2, 0.2]),
            reg_class_agnostic=False,
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=2.0),
            loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=2.0))))
"""

SABL_FASTER_3 = """
_base_ = 'faster.py'
model = dict(
    roi_head=dict(
        bbox_head=dict(
            _delete_=True, type='SABLHead', num_classes=80, cls_in_channels=256, reg_in_channels=256, roi_feat_size=7,
            reg_feat_up_ratio=2, reg_pre_kernel=3, reg_post_kernel=3, reg_pre_num=2, reg_post_num=1,
            cls_out_channels=1024, reg_offset_out_channels=256, reg_cls_out_channels=256, num_cls_fcs=1, num_reg_fcs=0,
            reg_class_agnostic=True, norm_cfg=None,
            bbox_coder=dict(type='BucketingBBoxCoder', num_buckets=14, scale_factor=1.7),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
            loss_bbox_reg=dict(type='SmoothL1Loss', beta=0.1, loss_weight=1.0))))
"""

DYNAMIC_3 = """
_base_ = 'faster.py'
model = dict(
    roi_head=dict(
        type='DynamicRoIHead',
        bbox_head=dict(loss_bbox=dict(_delete_=True, type='SmoothL1Loss', beta=1.0, loss_weight=1.0))),
    train_cfg=dict(
        rpn_proposal=dict(nms=dict(iou_threshold=0.85)),
        rcnn=dict(
            dynamic_rcnn=dict(
                iou_topk=75, beta_topk=10, update_iter_interval=100, initial_iou=0.4, initial_beta=1.0))),
    test_cfg=dict(rpn=dict(nms=dict(iou_threshold=0.85))))
"""

_GRID_POOL = """dict(
            type='SingleRoIExtractor', roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=256, featmap_strides=[4, 8, 16, 32])"""

GRID_3 = f"""
_base_ = 'faster.py'
model = dict(
    type='GridRCNN',
    rpn_head=dict(loss_bbox=dict(_delete_=True, type='SmoothL1Loss', beta=1.0 / 9.0, loss_weight=1.0)),
    roi_head=dict(
        type='GridRoIHead',
        bbox_head=dict(
            _delete_=True, type='Shared2FCBBoxHead', with_reg=False, in_channels=256, fc_out_channels=1024,
            roi_feat_size=7, num_classes=80,
            bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.] * 4, target_stds=[0.1, 0.1, 0.2, 0.2]),
            reg_class_agnostic=False),
        grid_roi_extractor={_GRID_POOL},
        grid_head=dict(
            type='GridHead', grid_points=9, num_convs=8, in_channels=256, point_feat_channels=64,
            norm_cfg=dict(type='GN', num_groups=36),
            loss_grid=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=15))),
    train_cfg=dict(
        rpn=dict(allowed_border=0),
        rpn_proposal=dict(max_per_img=2000),
        rcnn=dict(assigner=dict(match_low_quality=True), pos_radius=1, max_num_grid=192)),
    test_cfg=dict(rcnn=dict(score_thr=0.03, nms=dict(type='nms', iou_threshold=0.3))))
"""

_BALANCED = "_delete_=True, type='BalancedL1Loss', alpha=0.5, gamma=1.5, beta=1.0, loss_weight=1.0"

LIBRA_3 = f"""
_base_ = 'faster.py'
model = dict(
    neck=[
        dict(type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=5),
        dict(type='BFP', in_channels=256, num_levels=5, refine_level=2, refine_type='non_local')],
    roi_head=dict(bbox_head=dict(loss_bbox=dict({_BALANCED}))),
    train_cfg=dict(
        rpn=dict(sampler=dict(neg_pos_ub=5)),
        rcnn=dict(
            sampler=dict(
                _delete_=True, type='CombinedSampler', num=512, pos_fraction=0.25, add_gt_as_proposals=True,
                pos_sampler=dict(type='InstanceBalancedPosSampler'),
                neg_sampler=dict(type='IoUBalancedNegSampler', floor_thr=-1, floor_fraction=0, num_bins=3)))))
"""

PISA_3 = """
_base_ = 'mask.py'
rpn = dict(nms_pre=2000, max_per_img=2000)
model = dict(
    roi_head=dict(
        type='PISARoIHead',
        bbox_head=dict(loss_bbox=dict(_delete_=True, type='SmoothL1Loss', beta=1.0, loss_weight=1.0))),
    train_cfg=dict(
        rpn_proposal=rpn,
        rcnn=dict(
            sampler=dict(_delete_=True, type='ScoreHLRSampler', num=512, pos_fraction=0.25, k=0.5, bias=0.),
            isr=dict(k=2, bias=0),
            carl=dict(k=1, bias=0.2))),
    test_cfg=dict(rpn=rpn))
"""

POINT_REND_3 = """
_base_ = 'mask.py'
model = dict(
    type='PointRend',
    data_preprocessor=dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    backbone=dict(norm_cfg=dict(requires_grad=False), style='caffe'),
    roi_head=dict(
        type='PointRendRoIHead',
        mask_roi_extractor=dict(
            type='GenericRoIExtractor', aggregation='concat', out_channels=256, featmap_strides=[4],
            roi_layer=dict(_delete_=True, type='SimpleRoIAlign', output_size=14)),
        mask_head=dict(
            _delete_=True, type='CoarseMaskHead', num_fcs=2, in_channels=256, conv_out_channels=256,
            fc_out_channels=1024, num_classes=80,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0)),
        point_head=dict(
            type='MaskPointHead', num_fcs=3, in_channels=256, fc_channels=256, num_classes=80,
            coarse_pred_each_layer=True,
            loss_point=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0))),
    train_cfg=dict(rcnn=dict(mask_size=7, num_points=196, oversample_ratio=3, importance_sample_ratio=0.75)),
    test_cfg=dict(rcnn=dict(subdivision_steps=5, subdivision_num_points=784, scale_factor=2)))
"""
