"""Configs of MMDetection's kinds of model, written for the tests, in the spellings of version 3 and of version 2."""

from __future__ import annotations

from pathlib import Path

from tests.mmdet_anchor_files import FREE_ANCHOR_3, GHM_3, PAA_3
from tests.mmdet_cascade_files import CASCADE_MASK_RCNN_3, CASCADE_RCNN_3, HTC_3, SCNET_3
from tests.mmdet_detr_files import (
    DEFORMABLE_DETR_2,
    DEFORMABLE_DETR_3,
    DETR_2,
    DETR_3,
    DETR_OLDEST,
    SPARSE_RCNN_2,
    SPARSE_RCNN_3,
)
from tests.mmdet_one_stage_files import (
    ATSS_3,
    CENTRIPETALNET_3,
    CORNERNET_2,
    CORNERNET_3,
    FCOS_3,
    FOVEABOX_3,
    FSAF_3,
    GFL_3,
    LD_3,
    PISA_RETINANET_3,
    PISA_SSD_3,
    REPPOINTS_3,
    SABL_RETINANET_3,
    SSD_2,
    SSD_3,
    VFNET_3,
    YOLACT_2,
    YOLACT_3,
    YOLOV3_3,
)
from tests.mmdet_roi_head_files import (
    DOUBLE_HEAD_3,
    DYNAMIC_3,
    GRID_3,
    LIBRA_3,
    MASK_SCORING_3,
    PISA_3,
    POINT_REND_3,
    SABL_FASTER_3,
)
from tests.mmdet_rpn_files import CASCADE_RPN_3, GUIDED_FASTER_3, GUIDED_RETINANET_3

# version 3: everything in one file
FASTER_RCNN_3 = """
# a comment
model = dict(
    type='FasterRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32),
    backbone=dict(
        type='ResNet', depth=50, num_stages=4, out_indices=(0, 1, 2, 3), frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=True), norm_eval=True, style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    neck=dict(type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=5),
    rpn_head=dict(
        type='RPNHead', in_channels=256, feat_channels=256,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[8], ratios=[0.5, 1.0, 2.0], strides=[4, 8, 16, 32, 64]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[.0] * 4, target_stds=[1.0] * 4),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
            out_channels=256, featmap_strides=[4, 8, 16, 32]),
        bbox_head=dict(
            type='Shared2FCBBoxHead', in_channels=256, fc_out_channels=1024, roi_feat_size=7, num_classes=80,
            bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.] * 4, target_stds=[0.1, 0.1, 0.2, 0.2]),
            reg_class_agnostic=False,
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0))),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3,
                          match_low_quality=True, ignore_iof_thr=-1),
            sampler=dict(type='RandomSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1,
                         add_gt_as_proposals=False),
            allowed_border=-1, pos_weight=-1, debug=False),
        rpn_proposal=dict(nms_pre=2000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(
            assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5,
                          match_low_quality=False, ignore_iof_thr=-1),
            sampler=dict(type='RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1,
                         add_gt_as_proposals=True),
            pos_weight=-1, debug=False)),
    test_cfg=dict(
        rpn=dict(nms_pre=1000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)))

backend_args = None
data_root = 'data/coco/'
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path'))]
train_dataloader = dict(
    batch_size=2, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        type='CocoDataset', data_root=data_root, ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'), filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline, backend_args=backend_args))
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type='CocoDataset', data_root=data_root, ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'), test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=1)
val_cfg = dict(type='ValLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1)]
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001))
auto_scale_lr = dict(enable=False, base_batch_size=16)
default_hooks = dict(timer=dict(type='IterTimerHook'))
"""

# on top of FASTER_RCNN_3 in a file of its own
MASK_RCNN_3 = """
_base_ = './faster.py'
model = dict(
    type='MaskRCNN',
    roi_head=dict(
        mask_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=256, featmap_strides=[4, 8, 16, 32]),
        mask_head=dict(
            type='FCNMaskHead', num_convs=4, in_channels=256, conv_out_channels=256, num_classes=80,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0))),
    train_cfg=dict(rcnn=dict(assigner=dict(match_low_quality=True), mask_size=28)),
    test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)))
train_pipeline = _base_.train_pipeline
train_pipeline[1] = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
"""

RETINANET_3 = """
_base_ = ['./faster.py']
model = dict(
    _delete_=True,
    type='RetinaNet',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=dict(
        type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, start_level=1,
        add_extra_convs='on_input', num_outs=5),
    bbox_head=dict(
        type='RetinaHead', num_classes=80, in_channels=256, stacked_convs=4, feat_channels=256,
        anchor_generator=dict(
            type='AnchorGenerator', octave_base_scale=4, scales_per_octave=3, ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32, 64, 128]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[.0] * 4, target_stds=[1.0] * 4),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
    train_cfg=dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1),
        sampler=dict(type='PseudoSampler'), allowed_border=-1, pos_weight=-1, debug=False),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
_base_.optim_wrapper.optimizer.lr = 0.01
"""

# version 2.0: train_cfg and test_cfg beside the model, normalization in the pipeline
_DATA_2 = """
dataset_type = 'CocoDataset'
data_root = 'data/coco/'
img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True%(masks)s),
    dict(type='Resize', img_scale=(1333, 800), keep_ratio=True),
    dict(type='RandomFlip', flip_ratio=0.5),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='Pad', size_divisor=32),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels'])]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug', img_scale=(1333, 800), flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True),
            dict(type='RandomFlip'),
            dict(type='Normalize', **img_norm_cfg),
            dict(type='Pad', size_divisor=32),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img'])])]
data = dict(
    samples_per_gpu=2,
    workers_per_gpu=2,
    train=dict(
        type=dataset_type, ann_file=data_root + 'annotations/instances_train2017.json',
        img_prefix=data_root + 'train2017/', pipeline=train_pipeline),
    val=dict(
        type=dataset_type, ann_file=data_root + 'annotations/instances_val2017.json',
        img_prefix=data_root + 'val2017/', pipeline=test_pipeline),
    test=dict(
        type=dataset_type, ann_file=data_root + 'annotations/instances_val2017.json',
        img_prefix=data_root + 'val2017/', pipeline=test_pipeline))
evaluation = dict(interval=1, metric='bbox')
optimizer = dict(type='SGD', lr=%(lr)s, momentum=0.9, weight_decay=0.0001)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', warmup='linear', warmup_iters=500, warmup_ratio=0.001, step=[8, 11])
total_epochs = 12
checkpoint_config = dict(interval=1)
load_from = None
"""

_TWO_STAGE_2 = """
model = dict(
    type='%(type)s',
    pretrained='torchvision://resnet50',
    backbone=dict(
        type='ResNet', depth=50, num_stages=4, out_indices=(0, 1, 2, 3), frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=True), norm_eval=True, style='pytorch'),
    neck=dict(type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=5),
    rpn_head=dict(
        type='RPNHead', in_channels=256, feat_channels=256,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[8], ratios=[0.5, 1.0, 2.0], strides=[4, 8, 16, 32, 64]),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_means=[.0, .0, .0, .0], target_stds=[1.0, 1.0, 1.0, 1.0]),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor', roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
            out_channels=256, featmap_strides=[4, 8, 16, 32]),
        bbox_head=dict(
            type='Shared2FCBBoxHead', in_channels=256, fc_out_channels=1024, roi_feat_size=7, num_classes=80,
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder', target_means=[0., 0., 0., 0.], target_stds=[0.1, 0.1, 0.2, 0.2]),
            reg_class_agnostic=False,
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0))%(mask_head)s))
train_cfg = dict(
    rpn=dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3,
                      match_low_quality=True, ignore_iof_thr=-1),
        sampler=dict(type='RandomSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
        allowed_border=-1, pos_weight=-1, debug=False),
    rpn_proposal=dict(
        nms_across_levels=False, nms_pre=2000, nms_post=1000, max_num=1000, nms_thr=0.7, min_bbox_size=0),
    rcnn=dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5,
                      match_low_quality=%(low_quality)s, ignore_iof_thr=-1),
        sampler=dict(type='RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True),
        %(train)spos_weight=-1, debug=False))
test_cfg = dict(
    rpn=dict(nms_across_levels=False, nms_pre=1000, nms_post=1000, max_num=1000, nms_thr=0.7, min_bbox_size=0),
    rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_thr=0.5), max_per_img=100%(test)s))
"""

_MASK_HEAD_2 = """,
        mask_roi_extractor=dict(
            type='SingleRoIExtractor', roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=256, featmap_strides=[4, 8, 16, 32]),
        mask_head=dict(
            type='FCNMaskHead', num_convs=4, in_channels=256, conv_out_channels=256, num_classes=80,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0))"""

FASTER_RCNN_2 = (
    _TWO_STAGE_2 % {"type": "FasterRCNN", "mask_head": "", "low_quality": "False", "train": "", "test": ""}
) + _DATA_2 % {"masks": "", "lr": "0.02"}
MASK_RCNN_2 = (
    _TWO_STAGE_2
    % {
        "type": "MaskRCNN",
        "mask_head": _MASK_HEAD_2,
        "low_quality": "True",
        "train": "mask_size=28, ",
        "test": ", mask_thr_binary=0.5",
    }
) + _DATA_2 % {"masks": ", with_mask=True", "lr": "0.02"}
RETINANET_2 = (
    """
model = dict(
    type='RetinaNet',
    pretrained='torchvision://resnet50',
    backbone=dict(
        type='ResNet', depth=50, num_stages=4, out_indices=(0, 1, 2, 3), frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=True), norm_eval=True, style='pytorch'),
    neck=dict(
        type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, start_level=1, add_extra_convs=True,
        num_outs=5),
    bbox_head=dict(
        type='RetinaHead', num_classes=80, in_channels=256, stacked_convs=4, feat_channels=256,
        anchor_generator=dict(
            type='AnchorGenerator', octave_base_scale=4, scales_per_octave=3, ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32, 64, 128]),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_means=[.0, .0, .0, .0], target_stds=[1.0, 1.0, 1.0, 1.0]),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
    train_cfg=dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1),
        allowed_border=-1, pos_weight=-1, debug=False),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
"""
    + _DATA_2 % {"masks": "", "lr": "0.01"}
)

RPN_3 = """
_base_ = 'faster.py'
model = dict(
    type='RPN', train_cfg=dict(rcnn=None, rpn_proposal=None),
    test_cfg=dict(rpn=dict(nms_pre=2000), rcnn=None))
del _base_.model.roi_head
val_evaluator = dict(type='CocoMetric', metric='proposal_fast')
"""

FAST_RCNN_3 = """
_base_ = 'faster.py'
model = dict(type='FastRCNN')
del _base_.model.rpn_head
del _base_.model.train_cfg.rpn
del _base_.model.train_cfg.rpn_proposal
del _base_.model.test_cfg.rpn
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadProposals', num_max_proposals=2000),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='ProposalBroadcaster',
        transforms=[dict(type='Resize', scale=(1333, 800), keep_ratio=True), dict(type='RandomFlip', prob=0.5)]),
    dict(type='PackDetInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadProposals', num_max_proposals=None),
    dict(type='ProposalBroadcaster', transforms=[dict(type='Resize', scale=(1333, 800), keep_ratio=True)]),
    dict(type='PackDetInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
"""

FASTER_RCNN_C4_3 = """
_base_ = 'faster.py'
norm_cfg = dict(type='BN', requires_grad=False)
model = dict(
    data_preprocessor=dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    backbone=dict(
        num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2, ), norm_cfg=norm_cfg, style='caffe'),
    rpn_head=dict(
        in_channels=1024, feat_channels=1024, anchor_generator=dict(scales=[2, 4, 8, 16, 32], strides=[16])),
    roi_head=dict(
        shared_head=dict(
            type='ResLayer', depth=50, stage=3, stride=2, dilation=1, style='caffe', norm_cfg=norm_cfg,
            norm_eval=True, init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnet50_caffe')),
        bbox_roi_extractor=dict(
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0), out_channels=1024,
            featmap_strides=[16]),
        bbox_head=dict(
            _delete_=True, type='BBoxHead', with_avg_pool=True, roi_feat_size=7, in_channels=2048, num_classes=80,
            bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.] * 4, target_stds=[0.1, 0.1, 0.2, 0.2]),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0))),
    train_cfg=dict(rpn_proposal=dict(nms_pre=12000, max_per_img=2000)),
    test_cfg=dict(rpn=dict(nms_pre=6000)))
del _base_.model.neck
"""

TRIDENT_3 = """
_base_ = 'faster_c4.py'
model = dict(
    type='TridentFasterRCNN',
    backbone=dict(type='TridentResNet', trident_dilations=(1, 2, 3), num_branch=3, test_branch_idx=1),
    roi_head=dict(type='TridentRoIHead', num_branch=3, test_branch_idx=1),
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=500),
        rcnn=dict(sampler=dict(num=128, pos_fraction=0.5, add_gt_as_proposals=False))))
"""

OHEM_3 = """
_base_ = 'faster.py'
model = dict(train_cfg=dict(rcnn=dict(sampler=dict(type='OHEMSampler'))))
"""

SOFT_NMS_3 = """
_base_ = 'faster.py'
model = dict(test_cfg=dict(rcnn=dict(nms=dict(type='soft_nms', iou_threshold=0.5))))
"""

# (name of the file, its text, the recipe of the same model)
MODELS = (
    ("faster.py", FASTER_RCNN_3, "faster_rcnn_r50_fpn_1x_coco"),
    ("mask.py", MASK_RCNN_3, "mask_rcnn_r50_fpn_1x_coco"),
    ("retina.py", RETINANET_3, "retinanet_r50_fpn_1x_coco"),
    ("rpn.py", RPN_3, "rpn_r50_fpn_1x_coco"),
    ("fcos.py", FCOS_3, "fcos_r50_caffe_fpn_gn-head_1x_coco"),
    ("atss.py", ATSS_3, "atss_r50_fpn_1x_coco"),
    ("free_anchor.py", FREE_ANCHOR_3, "retinanet_free_anchor_r50_fpn_1x_coco"),
    ("ghm.py", GHM_3, "retinanet_ghm_r50_fpn_1x_coco"),
    ("paa.py", PAA_3, "paa_r50_fpn_1x_coco"),
    ("fsaf.py", FSAF_3, "fsaf_r50_fpn_1x_coco"),
    ("gfl.py", GFL_3, "gfl_r50_fpn_1x_coco"),
    ("vfnet.py", VFNET_3, "vfnet_r50_fpn_1x_coco"),
    ("reppoints.py", REPPOINTS_3, "reppoints_moment_r50_fpn_1x_coco"),
    ("ld.py", LD_3, "ld_r50_gflv1_r101_fpn_coco_1x"),
    ("detr.py", DETR_3, "detr_r50_8x2_150e_coco"),
    ("sparse.py", SPARSE_RCNN_3, "sparse_rcnn_r50_fpn_1x_coco"),
    ("faster_c4.py", FASTER_RCNN_C4_3, "faster_rcnn_r50_caffe_c4_1x_coco"),
    ("ohem.py", OHEM_3, "faster_rcnn_r50_fpn_ohem_1x_coco"),
    ("soft.py", SOFT_NMS_3, "faster_rcnn_r50_fpn_soft_nms_1x_coco"),
    ("cascade.py", CASCADE_RCNN_3, "cascade_rcnn_r50_fpn_1x_coco"),
    ("cascade_mask.py", CASCADE_MASK_RCNN_3, "cascade_mask_rcnn_r50_fpn_dconv_c3-c5_1x_coco"),
    ("htc.py", HTC_3, "htc_r50_fpn_1x_coco"),
    ("scnet.py", SCNET_3, "scnet_r50_fpn_1x_coco"),
    ("mask_scoring.py", MASK_SCORING_3, "ms_rcnn_x101_32x4d_fpn_1x_coco"),
    ("double_head.py", DOUBLE_HEAD_3, "dh_faster_rcnn_r50_fpn_1x_coco"),
    ("sabl_faster.py", SABL_FASTER_3, "sabl_faster_rcnn_r50_fpn_1x_coco"),
    ("sabl_retina.py", SABL_RETINANET_3, "sabl_retinanet_r50_fpn_1x_coco"),
    ("dynamic.py", DYNAMIC_3, "dynamic_rcnn_r50_fpn_1x_coco"),
    ("grid.py", GRID_3, "grid_rcnn_r50_fpn_gn-head_1x_coco"),
    ("trident.py", TRIDENT_3, "tridentnet_r50_caffe_1x_coco"),
    ("libra.py", LIBRA_3, "libra_faster_rcnn_r50_fpn_1x_coco"),
    ("guided_faster.py", GUIDED_FASTER_3, "ga_faster_x101_32x4d_fpn_1x_coco"),
    ("guided_retina.py", GUIDED_RETINANET_3, "ga_retinanet_x101_32x4d_fpn_1x_coco"),
    ("cascade_rpn.py", CASCADE_RPN_3, "crpn_faster_rcnn_r50_caffe_fpn_1x_coco"),
    ("pisa.py", PISA_3, "pisa_mask_rcnn_r50_fpn_1x_coco"),
    ("pisa_retina.py", PISA_RETINANET_3, "pisa_retinanet_r50_fpn_1x_coco"),
    ("faster_2.py", FASTER_RCNN_2, "faster_rcnn_r50_fpn_1x_coco"),
    ("mask_2.py", MASK_RCNN_2, "mask_rcnn_r50_fpn_1x_coco"),
    ("retina_2.py", RETINANET_2, "retinanet_r50_fpn_1x_coco"),
)
# of these only the model is compared
OTHERS = (
    ("fast.py", FAST_RCNN_3, "fast_rcnn_r50_fpn_1x_coco"),
    ("detr_2.py", DETR_2, "detr_r50_8x2_150e_coco"),
    ("detr_oldest_2.py", DETR_OLDEST, "detr_r50_8x2_150e_coco"),
    ("deformable_detr.py", DEFORMABLE_DETR_3, "deformable_detr_r50_16x2_50e_coco"),
    ("deformable_detr_2.py", DEFORMABLE_DETR_2, "deformable_detr_twostage_refine_r50_16x2_50e_coco"),
    ("sparse_2.py", SPARSE_RCNN_2, "sparse_rcnn_r50_fpn_1x_coco"),
    ("point_rend.py", POINT_REND_3, "point_rend_r50_caffe_fpn_mstrain_1x_coco"),
    ("fovea.py", FOVEABOX_3, "fovea_align_r50_fpn_gn-head_4x4_2x_coco"),
    ("ssd.py", SSD_3, "ssd300_coco"),
    ("ssd_2.py", SSD_2, "ssd300_coco"),
    ("pisa_ssd.py", PISA_SSD_3, "pisa_ssd300_coco"),
    ("yolact.py", YOLACT_3, "yolact_r50_1x8_coco"),
    ("yolact_2.py", YOLACT_2, "yolact_r50_1x8_coco"),
    ("yolo.py", YOLOV3_3, "yolov3_d53_mstrain-608_273e_coco"),
    ("corner.py", CORNERNET_3, "cornernet_hourglass104_mstest_8x6_210e_coco"),
    ("centripetal.py", CENTRIPETALNET_3, "centripetalnet_hourglass104_mstest_16x6_210e_coco"),
    ("corner_2.py", CORNERNET_2, "cornernet_hourglass104_mstest_8x6_210e_coco"),
)


def write_all(folder: Path) -> None:
    """Every config, beside those that it inherits from."""
    for name, text, _ in (*MODELS, *OTHERS):
        (folder / name).write_text(text)
