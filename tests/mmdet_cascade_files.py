"""Configs of MMDetection's cascades, written for the tests. They stand on a file of `tests.mmdet_files`."""

from __future__ import annotations

CASCADE_RCNN_3 = """
_base_ = 'faster.py'
box_head = dict(
    type='Shared2FCBBoxHead', in_channels=256, fc_out_channels=1024, roi_feat_size=7, num_classes=80,
    bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.] * 4, target_stds=[0.1, 0.1, 0.2, 0.2]),
    reg_class_agnostic=True,
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0))
coder = dict(type='DeltaXYWHBBoxCoder', target_means=[0.] * 4)
training = dict(
    assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5, match_low_quality=False),
    sampler=dict(type='RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True),
    pos_weight=-1, debug=False)
assigner = dict(type='MaxIoUAssigner', match_low_quality=False, ignore_iof_thr=-1)
model = dict(
    type='CascadeRCNN',
    rpn_head=dict(loss_bbox=dict(type='SmoothL1Loss', beta=1.0 / 9.0, loss_weight=1.0)),
    roi_head=dict(
        type='CascadeRoIHead', num_stages=3, stage_loss_weights=[1, 0.5, 0.25],
        bbox_head=[
            box_head,
            dict(box_head, bbox_coder=dict(coder, target_stds=[0.05, 0.05, 0.1, 0.1])),
            dict(box_head, bbox_coder=dict(coder, target_stds=[0.033, 0.033, 0.067, 0.067]))]),
    train_cfg=dict(
        rpn=dict(allowed_border=0),
        rpn_proposal=dict(max_per_img=2000),
        rcnn=[
            training,
            dict(training, assigner=dict(assigner, pos_iou_thr=0.6, neg_iou_thr=0.6, min_pos_iou=0.6)),
            dict(training, assigner=dict(assigner, pos_iou_thr=0.7, neg_iou_thr=0.7, min_pos_iou=0.7))]))
"""

CASCADE_MASK_RCNN_3 = """
_base_ = 'cascade.py'
model = dict(
    backbone=dict(dcn=dict(type='DCN', deform_groups=1, fallback_on_stride=False),
                  stage_with_dcn=(False, True, True, True)),
    roi_head=dict(
        mask_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=256, featmap_strides=[4, 8, 16, 32]),
        mask_head=dict(
            type='FCNMaskHead', num_convs=4, in_channels=256, conv_out_channels=256, num_classes=80,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0))),
    test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)))
train_pipeline = _base_.train_pipeline
train_pipeline[1] = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
"""

HTC_3 = """
_base_ = 'cascade.py'
pooled = dict(
    type='SingleRoIExtractor', roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
    out_channels=256, featmap_strides=[4, 8, 16, 32])
mask_head = dict(
    type='HTCMaskHead', num_convs=4, in_channels=256, conv_out_channels=256, num_classes=80,
    loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0))
sampler = dict(type='RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True)
learning = dict(sampler=sampler, mask_size=28, pos_weight=-1, debug=False)
assigner = dict(type='MaxIoUAssigner', ignore_iof_thr=-1)
model = dict(
    type='HybridTaskCascade',
    data_preprocessor=dict(pad_seg=True),
    roi_head=dict(
        type='HybridTaskCascadeRoIHead', interleaved=True, mask_info_flow=True,
        mask_roi_extractor=pooled,
        mask_head=[dict(mask_head, with_conv_res=False), mask_head, mask_head],
        semantic_roi_extractor=dict(pooled, featmap_strides=[8]),
        semantic_head=dict(
            type='FusedSemanticHead', num_ins=5, fusion_level=1, seg_scale_factor=1 / 8, num_convs=4,
            in_channels=256, conv_out_channels=256, num_classes=183,
            loss_seg=dict(type='CrossEntropyLoss', ignore_index=255, loss_weight=0.2))),
    train_cfg=dict(rcnn=[
        dict(learning, assigner=dict(assigner, pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5)),
        dict(learning, assigner=dict(assigner, pos_iou_thr=0.6, neg_iou_thr=0.6, min_pos_iou=0.6)),
        dict(learning, assigner=dict(assigner, pos_iou_thr=0.7, neg_iou_thr=0.7, min_pos_iou=0.7))]),
    test_cfg=dict(rcnn=dict(score_thr=0.001, mask_thr_binary=0.5)))
train_pipeline = _base_.train_pipeline
train_pipeline[1] = dict(type='LoadAnnotations', with_bbox=True, with_mask=True, with_seg=True)
train_dataloader = dict(
    dataset=dict(data_prefix=dict(seg='stuffthingmaps/train2017/'), pipeline=train_pipeline))
"""

SCNET_3 = """
_base_ = 'htc.py'
pooled = _base_.model.roi_head.mask_roi_extractor
box_head = dict(
    type='SCNetBBoxHead', num_shared_fcs=2, in_channels=256, fc_out_channels=1024, roi_feat_size=7, num_classes=80,
    reg_class_agnostic=True,
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0))
coder = dict(type='DeltaXYWHBBoxCoder', target_means=[0.] * 4)
model = dict(
    type='SCNet',
    roi_head=dict(
        _delete_=True, type='SCNetRoIHead', num_stages=3, stage_loss_weights=[1, 0.5, 0.25],
        bbox_roi_extractor=_base_.model.roi_head.bbox_roi_extractor,
        bbox_head=[
            dict(box_head, bbox_coder=dict(coder, target_stds=[0.1, 0.1, 0.2, 0.2])),
            dict(box_head, bbox_coder=dict(coder, target_stds=[0.05, 0.05, 0.1, 0.1])),
            dict(box_head, bbox_coder=dict(coder, target_stds=[0.033, 0.033, 0.067, 0.067]))],
        mask_roi_extractor=pooled,
        mask_head=dict(
            type='SCNetMaskHead', num_convs=12, in_channels=256, conv_out_channels=256, num_classes=80,
            conv_to_res=True, loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0)),
        semantic_roi_extractor=dict(pooled, featmap_strides=[8]),
        semantic_head=dict(
            type='SCNetSemanticHead', num_ins=5, fusion_level=1, seg_scale_factor=1 / 8, num_convs=4,
            in_channels=256, conv_out_channels=256, num_classes=183, conv_to_res=True,
            loss_seg=dict(type='CrossEntropyLoss', ignore_index=255, loss_weight=0.2)),
        glbctx_head=dict(
            type='GlobalContextHead', num_convs=4, in_channels=256, conv_out_channels=256, num_classes=80,
            loss_weight=3.0, conv_to_res=True),
        feat_relay_head=dict(
            type='FeatureRelayHead', in_channels=1024, out_conv_channels=256, roi_feat_size=7, scale_factor=2)))
"""
