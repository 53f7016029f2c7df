"""A config of MMDetection for `tests.parity.original`: what many have, but nobody published."""

_base_ = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
model = {
    "backbone": {"_delete_": True, "type": "MobileNetV2", "out_indices": (2, 4, 6)},
    "neck": {"in_channels": [32, 96, 320], "start_level": 0},
}
