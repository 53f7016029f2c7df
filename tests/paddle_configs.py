"""PaddleDetection configs in the form of its releases, for tests of how they are read."""

from __future__ import annotations

from typing import Any

import yaml

RUNTIME = """
use_gpu: true
log_iter: 20
save_dir: output
snapshot_epoch: 1
export:
  post_process: True
  nms: True
"""

DATA = """
metric: COCO
num_classes: 80
TrainDataset:
  !COCODataSet
    image_dir: train2017
    anno_path: annotations/instances_train2017.json
    dataset_dir: dataset/coco
    data_fields: ['image', 'gt_bbox', 'gt_class', 'is_crowd']
EvalDataset:
  name: COCODataSet
  image_dir: val2017
  anno_path: annotations/instances_val2017.json
  dataset_dir: dataset/coco
TestDataset:
  !ImageFolder
    anno_path: annotations/instances_val2017.json
"""

OPTIMIZER = """
epoch: 12
LearningRate:
  base_lr: 0.01
  schedulers:
  - !PiecewiseDecay
    gamma: 0.1
    milestones: [8, 11]
  - !LinearWarmup
    start_factor: 0.1
    steps: 1000
OptimizerBuilder:
  optimizer:
    momentum: 0.9
    type: Momentum
  regularizer:
    factor: 0.0001
    type: L2
"""

READER = """
worker_num: 2
TrainReader:
  sample_transforms:
  - Decode: {}
  - RandomResize: {target_size: [[640, 1333], [800, 1333]], interp: 2, keep_ratio: True}
  - RandomFlip: {prob: 0.5}
  - NormalizeImage: {is_scale: true, mean: [0.485,0.456,0.406], std: [0.229, 0.224,0.225]}
  - Permute: {}
  batch_transforms:
  - PadBatch: {pad_to_stride: 32}
  batch_size: 1
  shuffle: true
EvalReader:
  sample_transforms:
  - Decode: {}
  - Resize: {interp: 2, target_size: [800, 1333], keep_ratio: True}
  - NormalizeImage: {is_scale: true, mean: [0.485,0.456,0.406], std: [0.229, 0.224,0.225]}
  - Permute: {}
  batch_transforms:
  - PadBatch: {pad_to_stride: 32}
  batch_size: 1
"""

FASTER_RCNN = """
architecture: FasterRCNN
pretrain_weights: https://host/ResNet50_cos_pretrained.pdparams
FasterRCNN:
  backbone: ResNet
  neck: FPN
  rpn_head: RPNHead
  bbox_head: BBoxHead
  bbox_post_process: BBoxPostProcess
ResNet:
  depth: 50
  norm_type: bn
  freeze_at: 0
  return_idx: [0,1,2,3]
  num_stages: 4
FPN:
  out_channel: 256
RPNHead:
  anchor_generator:
    aspect_ratios: [0.5, 1.0, 2.0]
    anchor_sizes: [[32], [64], [128], [256], [512]]
    strides: [4, 8, 16, 32, 64]
  rpn_target_assign:
    batch_size_per_im: 256
    fg_fraction: 0.5
    negative_overlap: 0.3
    positive_overlap: 0.7
    use_random: True
  train_proposal:
    min_size: 0.0
    nms_thresh: 0.7
    pre_nms_top_n: 2000
    post_nms_top_n: 1000
    topk_after_collect: True
  test_proposal:
    min_size: 0.0
    nms_thresh: 0.7
    pre_nms_top_n: 1000
    post_nms_top_n: 1000
BBoxHead:
  head: TwoFCHead
  roi_extractor:
    resolution: 7
    sampling_ratio: 0
    aligned: True
  bbox_assigner: BBoxAssigner
BBoxAssigner:
  batch_size_per_im: 512
  bg_thresh: 0.5
  fg_thresh: 0.5
  fg_fraction: 0.25
  use_random: True
TwoFCHead:
  out_channel: 1024
BBoxPostProcess:
  decode: RCNNBox
  nms:
    name: MultiClassNMS
    keep_top_k: 100
    score_threshold: 0.05
    nms_threshold: 0.5
"""

# what stands beside the sections of Faster R-CNN
MASKS = """
architecture: MaskRCNN
MaskRCNN:
  backbone: ResNet
  neck: FPN
  rpn_head: RPNHead
  bbox_head: BBoxHead
  mask_head: MaskHead
  bbox_post_process: BBoxPostProcess
  mask_post_process: MaskPostProcess
MaskHead:
  head: MaskFeat
  roi_extractor: {resolution: 14, sampling_ratio: 0, aligned: True}
  mask_assigner: MaskAssigner
  share_bbox_feat: False
MaskFeat: {num_convs: 4, out_channel: 256}
MaskAssigner: {mask_resolution: 28}
MaskPostProcess: {binary_thresh: 0.5}
"""
C4 = """
MaskRCNN: {neck: null}
ResNet: {depth: 50, norm_type: bn, freeze_at: 0, return_idx: [2], num_stages: 3}
RPNHead:
  anchor_generator: {aspect_ratios: [0.5, 1.0, 2.0], anchor_sizes: [32, 64, 128, 256, 512], strides: [16]}
BBoxHead:
  head: Res5Head
  with_pool: true
  roi_extractor: {resolution: 14, sampling_ratio: 0, aligned: True}
MaskHead: {share_bbox_feat: true, roi_extractor: {resolution: 14, sampling_ratio: 0, aligned: True}}
MaskFeat: {num_convs: 0, out_channel: 256}
MaskAssigner: {mask_resolution: 14}
"""
X101_DCN = """
ResNet: {depth: 101, groups: 64, base_width: 4, variant: d, return_idx: [0, 1, 2, 3], dcn_v2_stages: [1, 2, 3]}
"""
YOLOV3 = """
architecture: YOLOv3
norm_type: sync_bn
YOLOv3: {backbone: DarkNet, neck: YOLOv3FPN, yolo_head: YOLOv3Head, post_process: BBoxPostProcess}
DarkNet: {depth: 53, return_idx: [2, 3, 4]}
YOLOv3Head:
  anchors: [[10, 13], [16, 30], [33, 23], [30, 61], [62, 45], [59, 119], [116, 90], [156, 198], [373, 326]]
  anchor_masks: [[6, 7, 8], [3, 4, 5], [0, 1, 2]]
  loss: YOLOv3Loss
YOLOv3Loss: {ignore_thresh: 0.7, downsample: [32, 16, 8], label_smooth: false}
BBoxPostProcess:
  decode: {name: YOLOBox, conf_thresh: 0.005, downsample_ratio: 32, clip_bbox: true}
  nms: {name: MultiClassNMS, keep_top_k: 100, score_threshold: 0.01, nms_threshold: 0.45, nms_top_k: 1000}
"""

_BOXES = """
    aspect_ratios: [[2.], [2., 3.], [2., 3.], [2., 3.], [2., 3.], [2., 3.]]
    base_size: 300
    min_ratio: 20
    max_ratio: 90
    min_sizes: [60.0, 105.0, 150.0, 195.0, 240.0, 285.0]
    max_sizes: [[], 150.0, 195.0, 240.0, 285.0, 300.0]
    flip: true
    offset: 0.5
"""
SSD_MOBILENET = f"""
architecture: SSD
num_classes: 20
SSD: {{backbone: MobileNet, ssd_head: SSDHead, post_process: BBoxPostProcess}}
MobileNet:
  norm_decay: 0.
  scale: 1
  conv_learning_rate: 0.1
  extra_block_filters: [[256, 512], [128, 256], [128, 256], [64, 128]]
  with_extra_blocks: true
  feature_maps: [11, 13, 14, 15, 16, 17]
SSDHead:
  kernel_size: 1
  padding: 0
  anchor_generator:
    steps: [0, 0, 0, 0, 0, 0]
    min_max_aspect_ratios_order: false{_BOXES}
BBoxPostProcess:
  decode: {{name: SSDBox}}
  nms: {{name: MultiClassNMS, keep_top_k: 200, score_threshold: 0.01, nms_threshold: 0.45, nms_top_k: 400}}
"""
LITE = """
SSDHead:
  use_sepconv: true
  conv_decay: 0.00004
  kernel_size: 3
  padding: 1
  anchor_generator:
    steps: [16, 32, 64, 100, 150, 300]
    max_ratio: 95
    min_sizes: []
    max_sizes: []
    clip: true
"""
LITE_V3 = """
SSD: {backbone: MobileNetV3}
MobileNetV3:
  scale: 1.0
  model_name: small
  conv_decay: 0.00004
  with_extra_blocks: true
  extra_block_filters: [[256, 512], [128, 256], [128, 256], [64, 128]]
  feature_maps: [10, 13, 14, 15, 16, 17]
  lr_mult_list: [0.25, 0.25, 0.5, 0.5, 0.75]
  multiplier: 0.5
SSDHead: {anchor_generator: {base_size: 320, steps: [16, 32, 64, 107, 160, 320]}}
"""
LITE_GHOST = """
SSD: {backbone: GhostNet}
GhostNet:
  scale: 1.3
  conv_decay: 0.00004
  with_extra_blocks: true
  extra_block_filters: [[256, 512], [128, 256], [128, 256], [64, 128]]
  feature_maps: [13, 18, 19, 20, 21, 22]
  lr_mult_list: [0.25, 0.25, 0.5, 0.5, 0.75]
SSDHead: {anchor_generator: {base_size: 320, steps: [16, 32, 64, 107, 160, 320]}}
"""
STATIC_SSD = f"""
architecture: SSD
num_classes: 21
SSD:
  backbone: MobileNet
  multi_box_head: MultiBoxHead
  output_decoder: {{background_label: 0, keep_top_k: 200, nms_eta: 1.0, nms_threshold: 0.45, nms_top_k: 400,
    score_threshold: 0.01}}
MobileNet:
  norm_decay: 0.
  conv_group_scale: 1
  conv_learning_rate: 0.1
  extra_block_filters: [[256, 512], [128, 256], [128, 256], [64, 128]]
  with_extra_blocks: true
MultiBoxHead:{_BOXES}
"""

# by the recording of the model that they are of
MODELS = {
    "mask_rcnn_r50_fpn_1x_coco": (FASTER_RCNN, MASKS),
    "mask_rcnn_r50_1x_coco": (FASTER_RCNN, MASKS, C4),
    "faster_rcnn_dcn_x101_vd_64x4d_fpn_1x_coco": (FASTER_RCNN, X101_DCN),
    "yolov3_darknet53_original_270e_coco": (YOLOV3,),
}

FILES = {
    "datasets/coco_detection.yml": DATA,
    "runtime.yml": RUNTIME,
    "faster_rcnn/_base_/optimizer_1x.yml": OPTIMIZER,
    "faster_rcnn/_base_/faster_fpn_reader.yml": READER,
    "faster_rcnn/_base_/faster_rcnn_r50_fpn.yml": FASTER_RCNN,
    "faster_rcnn/faster_rcnn_r50_fpn_1x_coco.yml": """
_BASE_: [
  '../datasets/coco_detection.yml',
  '../runtime.yml',
  '_base_/optimizer_1x.yml',
  '_base_/faster_rcnn_r50_fpn.yml',
  '_base_/faster_fpn_reader.yml',
]
weights: output/faster_rcnn_r50_fpn_1x_coco/model_final
""",
}

FCOS = """
architecture: FCOS
num_classes: 80
FCOS: {backbone: ResNet, neck: FPN, fcos_head: FCOSHead}
ResNet: {depth: 50, variant: b, norm_type: bn, freeze_at: 0, return_idx: [1, 2, 3], num_stages: 4}
FPN: {out_channel: 256, spatial_scales: [0.125, 0.0625, 0.03125], extra_stage: 2, has_extra_convs: true, use_c5: false}
FCOSHead:
  fcos_feat: {name: FCOSFeat, feat_in: 256, feat_out: 256, num_convs: 4, norm_type: gn, use_dcn: false}
  fpn_stride: [8, 16, 32, 64, 128]
  prior_prob: 0.01
  norm_reg_targets: true
  centerness_on_reg: true
  num_shift: 0.5
  fcos_loss: {name: FCOSLoss, loss_alpha: 0.25, loss_gamma: 2.0, iou_loss_type: giou, reg_weights: 1.0}
  nms: {name: MultiClassNMS, nms_top_k: 1000, keep_top_k: 100, score_threshold: 0.025, nms_threshold: 0.6}
"""
FCOS_DEFORMED = "{ResNet: {dcn_v2_stages: [1, 2, 3]}, FCOSHead: {fcos_feat: {use_dcn: true}}}"
STATIC_LIBRA = """
FasterRCNN: {fpn: BFP, bbox_assigner: LibraBBoxAssigner}
ResNet: {norm_type: bn, variant: d}
BFP: {base_neck: {max_level: 6, min_level: 2, num_chan: 256}, refine_level: 2, refine_type: nonlocal,
  nonlocal_reduction: 1.0}
LibraBBoxAssigner: {batch_size_per_im: 512, bbox_reg_weights: [0.1, 0.1, 0.2, 0.2], bg_thresh_hi: 0.5,
  bg_thresh_lo: 0.0, fg_fraction: 0.25, fg_thresh: 0.5}
BBoxHead: {bbox_loss: BalancedL1Loss}
BalancedL1Loss: {alpha: 0.5, gamma: 1.5, beta: 1.0, loss_weight: 1.0}
"""
STATIC_HRNET = """
FasterRCNN: {backbone: HRNet, fpn: HRFPN}
HRNet: {feature_maps: [2, 3, 4, 5], width: 18, freeze_at: 0, norm_type: bn}
HRFPN: {num_chan: 256, share_conv: false}
"""
STATIC_RES2NET = """
FasterRCNN: {backbone: Res2Net}
Res2Net: {depth: 50, width: 26, scales: 4, feature_maps: [2, 3, 4, 5], freeze_at: 2, norm_type: bn, variant: b}
"""


def small() -> dict[str, Any]:
    """A merged config of a detector with half a million parameters and three classes."""
    values = yaml.safe_load(FASTER_RCNN) | {"EvalReader": yaml.safe_load(READER)["EvalReader"]}
    values |= {"num_classes": 3, "metric": "COCO"}
    values["ResNet"] = {"depth": 18, "freeze_at": 0, "return_idx": [0, 1], "num_stages": 2}
    values["FPN"]["out_channel"] = 16
    values["RPNHead"]["anchor_generator"] |= {"anchor_sizes": [[32], [64], [128]], "strides": [4, 8, 16]}
    values["BBoxHead"]["roi_extractor"] |= {"resolution": 3, "end_level": 1}
    values["TwoFCHead"]["out_channel"] = 8
    return values


def changed(place: str, value: Any) -> dict[str, Any]:
    """That config with another value at ``a.b.c``."""
    values = small()
    *parents, leaf = place.split(".")
    holder = values
    for parent in parents:
        holder = holder.setdefault(parent, {})
    holder[leaf] = value
    return values
