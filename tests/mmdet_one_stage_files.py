"""Configs of MMDetection's one-stage models but RetinaNet, written for the tests.

Those of version 3 stand on two files of `tests.mmdet_files`.
"""

from __future__ import annotations

FCOS_3 = """
_base_ = 'retina.py'
model = dict(
    type='FCOS',
    data_preprocessor=dict(mean=[102.9801, 115.9465, 122.7717], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    backbone=dict(norm_cfg=dict(type='BN', requires_grad=False), style='caffe'),
    neck=dict(add_extra_convs='on_output', relu_before_extra_convs=True),
    bbox_head=dict(
        _delete_=True, type='FCOSHead', num_classes=80, in_channels=256, stacked_convs=4, feat_channels=256,
        strides=[8, 16, 32, 64, 128],
        regress_ranges=((-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8)),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='IoULoss', loss_weight=1.0),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)),
    train_cfg=None)
optim_wrapper = dict(paramwise_cfg=dict(bias_lr_mult=2., bias_decay_mult=0.), clip_grad=dict(max_norm=35, norm_type=2))
param_scheduler = [
    dict(type='ConstantLR', factor=1.0 / 3, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1)]
"""

ATSS_3 = """
_base_ = 'retina.py'
model = dict(
    type='ATSS',
    neck=dict(add_extra_convs='on_output'),
    bbox_head=dict(
        type='ATSSHead',
        anchor_generator=dict(_delete_=True, type='AnchorGenerator', ratios=[1.0], octave_base_scale=8,
                              scales_per_octave=1, strides=[8, 16, 32, 64, 128]),
        bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2]),
        loss_bbox=dict(_delete_=True, type='GIoULoss', loss_weight=2.0),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)),
    train_cfg=dict(_delete_=True, assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1,
                   debug=False),
    test_cfg=dict(nms=dict(iou_threshold=0.6)))
"""

FSAF_3 = """
_base_ = 'retina.py'
model = dict(
    type='FSAF',
    bbox_head=dict(
        _delete_=True, type='FSAFHead', num_classes=80, in_channels=256, stacked_convs=4, feat_channels=256,
        reg_decoded_bbox=True,
        anchor_generator=dict(
            type='AnchorGenerator', octave_base_scale=1, scales_per_octave=1, ratios=[1.0],
            strides=[8, 16, 32, 64, 128]),
        bbox_coder=dict(type='TBLRBBoxCoder', normalizer=4.0),
        loss_cls=dict(
            type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0, reduction='none'),
        loss_bbox=dict(type='IoULoss', eps=1e-6, loss_weight=1.0, reduction='none')),
    train_cfg=dict(
        _delete_=True,
        assigner=dict(type='CenterRegionAssigner', pos_scale=0.2, neg_scale=0.2, min_pos_iof=0.01),
        allowed_border=-1, pos_weight=-1, debug=False))
optim_wrapper = dict(clip_grad=dict(max_norm=10, norm_type=2))
"""

SABL_RETINANET_3 = """
_base_ = 'retina.py'
model = dict(
    bbox_head=dict(
        _delete_=True, type='SABLRetinaHead', num_classes=80, in_channels=256, stacked_convs=4, feat_channels=256,
        approx_anchor_generator=dict(
            type='AnchorGenerator', octave_base_scale=4, scales_per_octave=3, ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32, 64, 128]),
        square_anchor_generator=dict(
            type='AnchorGenerator', ratios=[1.0], scales=[4], strides=[8, 16, 32, 64, 128]),
        bbox_coder=dict(type='BucketingBBoxCoder', num_buckets=14, scale_factor=3.0),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.5),
        loss_bbox_reg=dict(type='SmoothL1Loss', beta=1.0 / 9.0, loss_weight=1.5)),
    train_cfg=dict(
        _delete_=True,
        assigner=dict(type='ApproxMaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0.0,
                      ignore_iof_thr=-1),
        allowed_border=-1, pos_weight=-1, debug=False))
"""

GFL_3 = """
_base_ = 'atss.py'
model = dict(
    type='GFL',
    bbox_head=dict(
        _delete_=True, type='GFLHead', num_classes=80, in_channels=256, stacked_convs=4, feat_channels=256, reg_max=16,
        anchor_generator=dict(type='AnchorGenerator', ratios=[1.0], octave_base_scale=8, scales_per_octave=1,
                              strides=[8, 16, 32, 64, 128]),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_dfl=dict(type='DistributionFocalLoss', loss_weight=0.25),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0)))
"""

LD_3 = """
_base_ = 'gfl.py'
model = dict(
    type='KnowledgeDistillationSingleStageDetector',
    teacher_config='configs/gfl/gfl_r101_fpn_ms-2x_coco.py',
    teacher_ckpt='https://x.org/gfl_r101_fpn_mstrain_2x_coco_20200629_200126-dd12f847.pth',
    bbox_head=dict(type='LDHead', loss_ld=dict(type='KnowledgeDistillationKLDivLoss', loss_weight=0.25, T=10)))
"""

VFNET_3 = """
_base_ = 'atss.py'
model = dict(
    type='VFNet',
    neck=dict(relu_before_extra_convs=True),
    bbox_head=dict(
        _delete_=True, type='VFNetHead', num_classes=80, in_channels=256, stacked_convs=3, feat_channels=256,
        strides=[8, 16, 32, 64, 128], center_sampling=False, dcn_on_last_conv=False, use_atss=True, use_vfl=True,
        loss_cls=dict(type='VarifocalLoss', use_sigmoid=True, alpha=0.75, gamma=2.0, iou_weighted=True,
                      loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=1.5),
        loss_bbox_refine=dict(type='GIoULoss', loss_weight=2.0)))
optim_wrapper = dict(paramwise_cfg=dict(bias_lr_mult=2., bias_decay_mult=0.))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1)]
"""

REPPOINTS_3 = """
_base_ = 'retina.py'
model = dict(
    type='RepPointsDetector',
    bbox_head=dict(
        _delete_=True, type='RepPointsHead', num_classes=80, in_channels=256, feat_channels=256,
        point_feat_channels=256, stacked_convs=3, num_points=9, gradient_mul=0.1, point_strides=[8, 16, 32, 64, 128],
        point_base_scale=4, transform_method='moment',
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox_init=dict(type='SmoothL1Loss', beta=0.11, loss_weight=0.5),
        loss_bbox_refine=dict(type='SmoothL1Loss', beta=0.11, loss_weight=1.0)),
    train_cfg=dict(
        _delete_=True,
        init=dict(assigner=dict(type='PointAssigner', scale=4, pos_num=1), allowed_border=-1, pos_weight=-1,
                  debug=False),
        refine=dict(
            assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1),
            allowed_border=-1, pos_weight=-1, debug=False)))
"""

FOVEABOX_3 = """
_base_ = 'retina.py'
model = dict(
    type='FOVEA',
    bbox_head=dict(
        _delete_=True, type='FoveaHead', num_classes=80, in_channels=256, stacked_convs=4, feat_channels=256,
        strides=[8, 16, 32, 64, 128], base_edge_list=[16, 32, 64, 128, 256],
        scale_ranges=((1, 64), (32, 128), (64, 256), (128, 512), (256, 2048)), sigma=0.4, with_deform=True,
        norm_cfg=dict(type='GN', num_groups=32, requires_grad=True),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=1.50, alpha=0.4, loss_weight=1.0),
        loss_bbox=dict(type='SmoothL1Loss', beta=0.11, loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(  # which, as published, keeps boxes without any area
        _delete_=True, nms_pre=1000, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
"""

_SSD_HEAD = """
        type='SSDHead', in_channels=(512, 1024, 512, 256, 256, 256), num_classes=80,
        anchor_generator=dict(
            type='SSDAnchorGenerator', scale_major=False, input_size=300, basesize_ratio_range=(0.15, 0.9),
            strides=[8, 16, 32, 64, 100, 300], ratios=[[2], [2, 3], [2, 3], [2, 3], [2], [2]]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2])"""
_SSD_CFG = """
    train_cfg=dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0., ignore_iof_thr=-1,
                      gt_max_assign_all=False),
        smoothl1_beta=1., allowed_border=-1, pos_weight=-1, neg_pos_ratio=3, debug=False),
    test_cfg=dict(
        nms_pre=1000, nms=dict(type='nms', iou_threshold=0.45), min_bbox_size=0, score_thr=0.02, max_per_img=200)"""

SSD_3 = f"""
_base_ = 'faster.py'
model = dict(
    _delete_=True, type='SingleStageDetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[1, 1, 1], bgr_to_rgb=True,
        pad_size_divisor=1),
    backbone=dict(
        type='SSDVGG', depth=16, with_last_pool=False, ceil_mode=True, out_indices=(3, 4),
        out_feature_indices=(22, 34), init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://vgg16_caffe')),
    neck=dict(
        type='SSDNeck', in_channels=(512, 1024), out_channels=(512, 1024, 512, 256, 256, 256),
        level_strides=(2, 2, 1, 1), level_paddings=(1, 1, 0, 0), l2_norm_scale=20),
    bbox_head=dict({_SSD_HEAD}),{_SSD_CFG})
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(300, 300), keep_ratio=False),
    dict(type='PackDetInputs')]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
"""

# before 2.14 the backbone had the extra layers
SSD_2 = f"""
model = dict(
    type='SingleStageDetector', pretrained='open-mmlab://vgg16_caffe',
    backbone=dict(
        type='SSDVGG', input_size=300, depth=16, with_last_pool=False, ceil_mode=True, out_indices=(3, 4),
        out_feature_indices=(22, 34), l2_norm_scale=20),
    neck=None,
    bbox_head=dict({_SSD_HEAD}),{_SSD_CFG})
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug', img_scale=(300, 300), flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=False),
            dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[1, 1, 1], to_rgb=True),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img'])])]
data = dict(test=dict(type='CocoDataset', pipeline=test_pipeline))
"""

PISA_SSD_3 = """
_base_ = 'ssd.py'
model = dict(
    bbox_head=dict(type='PISASSDHead'), train_cfg=dict(isr=dict(k=2., bias=0.), carl=dict(k=1., bias=0.2)))
"""

PISA_RETINANET_3 = """
_base_ = 'retina.py'
model = dict(
    bbox_head=dict(
        type='PISARetinaHead', loss_bbox=dict(_delete_=True, type='SmoothL1Loss', beta=0.11, loss_weight=1.0)),
    train_cfg=dict(isr=dict(k=2., bias=0.), carl=dict(k=1., bias=0.2)))
"""

YOLOV3_3 = """
_base_ = 'faster.py'
data_preprocessor = dict(
    type='DetDataPreprocessor', mean=[0, 0, 0], std=[255., 255., 255.], bgr_to_rgb=True, pad_size_divisor=32)
model = dict(
    _delete_=True, type='YOLOV3', data_preprocessor=data_preprocessor,
    backbone=dict(type='Darknet', depth=53, out_indices=(3, 4, 5), init_cfg=dict(type='Pretrained', checkpoint='x')),
    neck=dict(type='YOLOV3Neck', num_scales=3, in_channels=[1024, 512, 256], out_channels=[512, 256, 128]),
    bbox_head=dict(
        type='YOLOV3Head', num_classes=80, in_channels=[512, 256, 128], out_channels=[1024, 512, 256],
        anchor_generator=dict(
            type='YOLOAnchorGenerator',
            base_sizes=[[(116, 90), (156, 198), (373, 326)],
                        [(30, 61), (62, 45), (59, 119)],
                        [(10, 13), (16, 30), (33, 23)]],
            strides=[32, 16, 8]),
        bbox_coder=dict(type='YOLOBBoxCoder'),
        featmap_strides=[32, 16, 8],
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0, reduction='sum'),
        loss_conf=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0, reduction='sum'),
        loss_xy=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=2.0, reduction='sum'),
        loss_wh=dict(type='MSELoss', loss_weight=2.0, reduction='sum')),
    train_cfg=dict(assigner=dict(type='GridAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0)),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.05, conf_thr=0.005, nms=dict(type='nms', iou_threshold=0.45),
        max_per_img=100))
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(608, 608), keep_ratio=True), dict(type='PackDetInputs')]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
"""

_CORNER_MODEL = """
    backbone=dict(
        type='HourglassNet', downsample_times=5, num_stacks=2, stage_channels=[256, 256, 384, 384, 384, 512],
        stage_blocks=[2, 2, 2, 2, 2, 4], norm_cfg=dict(type='BN', requires_grad=True)),
    neck=None,
    bbox_head=dict(
        type='CornerHead', num_classes=80, in_channels=256, num_feat_levels=2, corner_emb_channels=1,
        loss_heatmap=dict(type='GaussianFocalLoss', alpha=2.0, gamma=4.0, loss_weight=1),
        loss_embedding=dict(type='AssociativeEmbeddingLoss', pull_weight=0.10, push_weight=0.10),
        loss_offset=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1)),
    train_cfg=None,
    test_cfg=dict(
        corner_topk=100, local_maximum_kernel=3, distance_threshold=0.5, score_thr=0.05, max_per_img=100,
        nms=dict(type='soft_nms', iou_threshold=0.5, method='gaussian'))"""
_CORNER_PAD = """
        type='RandomCenterCropPad', crop_size=None, ratios=None, border=None, test_mode=True,
        test_pad_mode=['logical_or', 127], mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True"""

CORNERNET_3 = f"""
_base_ = 'faster.py'
model = dict(
    _delete_=True, type='CornerNet',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),{
    _CORNER_MODEL
})
test_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict({_CORNER_PAD}),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs')]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=0.0005),
    clip_grad=dict(max_norm=35, norm_type=2))
"""

CENTRIPETALNET_3 = """
_base_ = 'corner.py'
model = dict(bbox_head=dict(
    _delete_=True, type='CentripetalHead', num_classes=80, in_channels=256, num_feat_levels=2, corner_emb_channels=0,
    loss_heatmap=dict(type='GaussianFocalLoss', alpha=2.0, gamma=4.0, loss_weight=1),
    loss_offset=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1),
    loss_guiding_shift=dict(type='SmoothL1Loss', beta=1.0, loss_weight=0.05),
    loss_centripetal_shift=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1)))
"""

CORNERNET_2 = f"""
model = dict(
    type='CornerNet',{_CORNER_MODEL})
test_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(
        type='MultiScaleFlipAug', scale_factor=1.0, flip=True,
        transforms=[
            dict(type='Resize'),
            dict({_CORNER_PAD}),
            dict(type='RandomFlip'),
            dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img'])])]
data = dict(test=dict(type='CocoDataset', pipeline=test_pipeline))
"""

_YOLACT_MODEL = """
    type='YOLACT',
    backbone=dict(
        type='ResNet', depth=50, num_stages=4, out_indices=(0, 1, 2, 3), frozen_stages=-1, norm_eval=False,
        norm_cfg=dict(type='BN', requires_grad=True), zero_init_residual=False, style='pytorch'),
    neck=dict(
        type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, start_level=1, num_outs=5,
        add_extra_convs='on_input', upsample_cfg=dict(mode='bilinear')),
    bbox_head=dict(
        type='YOLACTHead', num_classes=80, in_channels=256, feat_channels=256, num_head_convs=1, num_protos=32,
        anchor_generator=dict(
            type='AnchorGenerator', octave_base_scale=3, scales_per_octave=1, base_sizes=[8, 16, 32, 64, 128],
            ratios=[0.5, 1.0, 2.0], strides=[550.0 / x for x in [69, 35, 18, 9, 5]],
            centers=[(550 * 0.5 / x, 550 * 0.5 / x) for x in [69, 35, 18, 9, 5]]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2]),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, reduction='none', loss_weight=1.0),
        loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.5), use_ohem=True),
    train_cfg=dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0., ignore_iof_thr=-1,
                      gt_max_assign_all=False),
        allowed_border=-1, pos_weight=-1, neg_pos_ratio=3, debug=False),
"""
_YOLACT_SEMANTIC = "loss_segm=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)"

YOLACT_3 = f"""
_base_ = 'faster.py'
model = dict(
    _delete_=True,{_YOLACT_MODEL}
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[123.68, 116.78, 103.94], std=[58.40, 57.12, 57.38], bgr_to_rgb=True,
        pad_mask=True),
    mask_head=dict(
        type='YOLACTProtonet', in_channels=256, num_protos=32, num_classes=80, max_masks_to_train=100,
        loss_mask_weight=6.125, with_seg_branch=True, {_YOLACT_SEMANTIC}),
    test_cfg=dict(nms_pre=1000, min_bbox_size=0, score_thr=0.05, mask_thr=0.5, iou_thr=0.5, top_k=200, max_per_img=100,
                  mask_thr_binary=0.5))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(550, 550), keep_ratio=False),
    dict(type='PackDetInputs')]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
"""

# the semantic layer in a head of its own
YOLACT_2 = f"""
model = dict({_YOLACT_MODEL}
    mask_head=dict(
        type='YOLACTProtonet', in_channels=256, num_protos=32, num_classes=80, max_masks_to_train=100,
        loss_mask_weight=6.125),
    segm_head=dict(type='YOLACTSegmHead', num_classes=80, in_channels=256, {_YOLACT_SEMANTIC}),
    test_cfg=dict(nms_pre=1000, min_bbox_size=0, score_thr=0.05, iou_thr=0.5, top_k=200, max_per_img=100))
data = dict(
    samples_per_gpu=8,
    test=dict(type='CocoDataset', pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='MultiScaleFlipAug', img_scale=(550, 550), flip=False, transforms=[
            dict(type='Resize', keep_ratio=False),
            dict(type='Normalize', mean=[123.68, 116.78, 103.94], std=[58.40, 57.12, 57.38], to_rgb=True),
            dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])])]))
"""

NAS_FCOS_3 = """
_base_ = 'fcos.py'
model = dict(
    type='NASFCOS',
    data_preprocessor=dict(mean=[103.53, 116.28, 123.675]),
    backbone=dict(norm_cfg=dict(type='BN', requires_grad=False, eps=0)),
    neck=dict(
        _delete_=True, type='NASFCOS_FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, start_level=1,
        add_extra_convs=True, num_outs=5, norm_cfg=dict(type='BN'), conv_cfg=dict(type='DCNv2', deform_groups=2)),
    bbox_head=dict(type='NASFCOSHead', norm_cfg=dict(type='GN', num_groups=32)),
    test_cfg=dict(nms=dict(type='nms', iou_threshold=0.6)))
"""
