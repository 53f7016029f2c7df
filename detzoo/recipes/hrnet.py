"""High-Resolution Representations (arXiv:1904.04514): HRNetV2p with its pyramid on the two-stage methods and FCOS."""

from __future__ import annotations

from detzoo.backbones.hrnet import HRNet
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.fcos import FCOS
from detzoo.methods.htc import HTC
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.necks.hrfpn import HRFPN
from detzoo.recipes.columns import BGR_STD, MASK_BOX_HEAD, SCHEDULE_1X, SCHEDULE_2X, SCHEDULE_20E, row
from detzoo.recipes.fcos import FCOS_1X, FCOS_2X, TWO_SIZES
from detzoo.recipes.recipe import Published

W18 = HRNet.Config(width=18)
W32 = HRNet.Config(width=32)
W40 = HRNet.Config(width=40)
PYRAMID = HRFPN.Config()
FCOS_PYRAMID = HRFPN.Config(stride=2)
FCOS_4X4_1X = FCOS_1X.replace(batch=4)
FCOS_4X4_2X = FCOS_2X.replace(batch=4)

RECIPES = (
    row(
        name="faster_rcnn_hrnetv2p_w18_1x_coco",
        model=FasterRCNN.Config(backbone=W18, neck=PYRAMID),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=36.9, memory_gb=6.6, fps=13.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/faster_rcnn_hrnetv2p_w18_1x_coco/faster_rcnn_hrnetv2p_w18_1x_coco_20200130-56651a6d.pth",
        config="hrnet/faster-rcnn_hrnetv2p-w18-1x_coco.py",
    ),
    row(
        name="faster_rcnn_hrnetv2p_w18_2x_coco",
        model=FasterRCNN.Config(backbone=W18, neck=PYRAMID),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=38.9, memory_gb=6.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/faster_rcnn_hrnetv2p_w18_2x_coco/faster_rcnn_hrnetv2p_w18_2x_coco_20200702_085731-a4ec0611.pth",
        config="hrnet/faster-rcnn_hrnetv2p-w18-2x_coco.py",
    ),
    row(
        name="faster_rcnn_hrnetv2p_w32_1x_coco",
        model=FasterRCNN.Config(backbone=W32, neck=PYRAMID),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=40.2, memory_gb=9.0, fps=12.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/faster_rcnn_hrnetv2p_w32_1x_coco/faster_rcnn_hrnetv2p_w32_1x_coco_20200130-6e286425.pth",
        config="hrnet/faster-rcnn_hrnetv2p-w32-1x_coco.py",
    ),
    row(
        name="faster_rcnn_hrnetv2p_w32_2x_coco",
        model=FasterRCNN.Config(backbone=W32, neck=PYRAMID),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=41.4, memory_gb=9.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/faster_rcnn_hrnetv2p_w32_2x_coco/faster_rcnn_hrnetv2p_w32_2x_coco_20200529_015927-976a9c15.pth",
        config="hrnet/faster-rcnn_hrnetv2p-w32_2x_coco.py",
    ),
    row(
        name="faster_rcnn_hrnetv2p_w40_1x_coco",
        model=FasterRCNN.Config(backbone=W40, neck=PYRAMID),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.2, memory_gb=10.4, fps=10.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/faster_rcnn_hrnetv2p_w40_1x_coco/faster_rcnn_hrnetv2p_w40_1x_coco_20200210-95c1f5ce.pth",
        config="hrnet/faster-rcnn_hrnetv2p-w40-1x_coco.py",
    ),
    row(
        name="faster_rcnn_hrnetv2p_w40_2x_coco",
        model=FasterRCNN.Config(backbone=W40, neck=PYRAMID),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=42.1, memory_gb=10.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/faster_rcnn_hrnetv2p_w40_2x_coco/faster_rcnn_hrnetv2p_w40_2x_coco_20200512_161033-0f236ef4.pth",
        config="hrnet/faster-rcnn_hrnetv2p-w40_2x_coco.py",
    ),
    row(
        name="mask_rcnn_hrnetv2p_w18_1x_coco",
        model=MaskRCNN.Config(backbone=W18, neck=PYRAMID, box_head=MASK_BOX_HEAD),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=37.7, mask_ap=34.2, memory_gb=7.0, fps=11.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/mask_rcnn_hrnetv2p_w18_1x_coco/mask_rcnn_hrnetv2p_w18_1x_coco_20200205-1c3d78ed.pth",
        config="hrnet/mask-rcnn_hrnetv2p-w18-1x_coco.py",
    ),
    row(
        name="mask_rcnn_hrnetv2p_w18_2x_coco",
        model=MaskRCNN.Config(backbone=W18, neck=PYRAMID, box_head=MASK_BOX_HEAD),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=39.8, mask_ap=36.0, memory_gb=7.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/mask_rcnn_hrnetv2p_w18_2x_coco/mask_rcnn_hrnetv2p_w18_2x_coco_20200212-b3c825b1.pth",
        config="hrnet/mask-rcnn_hrnetv2p-w18-2x_coco.py",
    ),
    row(
        name="mask_rcnn_hrnetv2p_w32_1x_coco",
        model=MaskRCNN.Config(backbone=W32, neck=PYRAMID, box_head=MASK_BOX_HEAD),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.2, mask_ap=37.1, memory_gb=9.4, fps=11.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/mask_rcnn_hrnetv2p_w32_1x_coco/mask_rcnn_hrnetv2p_w32_1x_coco_20200207-b29f616e.pth",
        config="hrnet/mask-rcnn_hrnetv2p-w32-1x_coco.py",
    ),
    row(
        name="mask_rcnn_hrnetv2p_w32_2x_coco",
        model=MaskRCNN.Config(backbone=W32, neck=PYRAMID, box_head=MASK_BOX_HEAD),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=42.5, mask_ap=37.8, memory_gb=9.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/mask_rcnn_hrnetv2p_w32_2x_coco/mask_rcnn_hrnetv2p_w32_2x_coco_20200213-45b75b4d.pth",
        config="hrnet/mask-rcnn_hrnetv2p-w32-2x_coco.py",
    ),
    row(
        name="mask_rcnn_hrnetv2p_w40_1x_coco",
        model=MaskRCNN.Config(backbone=W40, neck=PYRAMID, box_head=MASK_BOX_HEAD),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=42.1, mask_ap=37.5, memory_gb=10.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/mask_rcnn_hrnetv2p_w40_1x_coco/mask_rcnn_hrnetv2p_w40_1x_coco_20200511_015646-66738b35.pth",
        config="hrnet/mask-rcnn_hrnetv2p-w40_1x_coco.py",
    ),
    row(
        name="mask_rcnn_hrnetv2p_w40_2x_coco",
        model=MaskRCNN.Config(backbone=W40, neck=PYRAMID, box_head=MASK_BOX_HEAD),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=42.8, mask_ap=38.2, memory_gb=10.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/mask_rcnn_hrnetv2p_w40_2x_coco/mask_rcnn_hrnetv2p_w40_2x_coco_20200512_163732-aed5e4ab.pth",
        config="hrnet/mask-rcnn_hrnetv2p-w40-2x_coco.py",
    ),
    row(
        name="cascade_rcnn_hrnetv2p_w18_20e_coco",
        model=CascadeRCNN.Config(backbone=W18, neck=PYRAMID),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=41.2, memory_gb=7.0, fps=11.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/cascade_rcnn_hrnetv2p_w18_20e_coco/cascade_rcnn_hrnetv2p_w18_20e_coco_20200210-434be9d7.pth",
        config="hrnet/cascade-rcnn_hrnetv2p-w18-20e_coco.py",
    ),
    row(
        name="cascade_rcnn_hrnetv2p_w32_20e_coco",
        model=CascadeRCNN.Config(backbone=W32, neck=PYRAMID),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=43.3, memory_gb=9.4, fps=11.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/cascade_rcnn_hrnetv2p_w32_20e_coco/cascade_rcnn_hrnetv2p_w32_20e_coco_20200208-928455a4.pth",
        config="hrnet/cascade-rcnn_hrnetv2p-w32-20e_coco.py",
    ),
    row(
        name="cascade_rcnn_hrnetv2p_w40_20e_coco",
        model=CascadeRCNN.Config(backbone=W40, neck=PYRAMID),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=43.8, memory_gb=10.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/cascade_rcnn_hrnetv2p_w40_20e_coco/cascade_rcnn_hrnetv2p_w40_20e_coco_20200512_161112-75e47b04.pth",
        config="hrnet/cascade-rcnn_hrnetv2p-w40-20e_coco.py",
    ),
    row(
        name="cascade_mask_rcnn_hrnetv2p_w18_20e_coco",
        model=CascadeMaskRCNN.Config(backbone=W18, neck=PYRAMID),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=41.6, mask_ap=36.4, memory_gb=8.5, fps=8.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/cascade_mask_rcnn_hrnetv2p_w18_20e_coco/cascade_mask_rcnn_hrnetv2p_w18_20e_coco_20200210-b543cd2b.pth",
        config="hrnet/cascade-mask-rcnn_hrnetv2p-w18_20e_coco.py",
    ),
    row(
        name="cascade_mask_rcnn_hrnetv2p_w32_20e_coco",
        model=CascadeMaskRCNN.Config(backbone=W32, neck=PYRAMID),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=44.3, mask_ap=38.6, fps=8.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/cascade_mask_rcnn_hrnetv2p_w32_20e_coco/cascade_mask_rcnn_hrnetv2p_w32_20e_coco_20200512_154043-39d9cf7b.pth",
        config="hrnet/cascade-mask-rcnn_hrnetv2p-w32_20e_coco.py",
    ),
    row(
        name="cascade_mask_rcnn_hrnetv2p_w40_20e_coco",
        model=CascadeMaskRCNN.Config(backbone=W40, neck=PYRAMID),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=45.1, mask_ap=39.3, memory_gb=12.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/cascade_mask_rcnn_hrnetv2p_w40_20e_coco/cascade_mask_rcnn_hrnetv2p_w40_20e_coco_20200527_204922-969c4610.pth",
        config="hrnet/cascade-mask-rcnn_hrnetv2p-w40-20e_coco.py",
    ),
    row(
        name="fcos_hrnetv2p_w18_gn-head_4x4_1x_coco",
        model=FCOS.Config(input=BGR_STD, backbone=W18, neck=FCOS_PYRAMID),
        schedule=FCOS_4X4_1X,
        published=Published(box_ap=35.3, memory_gb=13.0, fps=12.9),
        weights="https://download.openmmlab.com/mmdetection/v2.0/hrnet/fcos_hrnetv2p_w18_gn-head_4x4_1x_coco/fcos_hrnetv2p_w18_gn-head_4x4_1x_coco_20201212_100710-4ad151de.pth",
        config="hrnet/fcos_hrnetv2p-w18-gn-head_4xb4-1x_coco.py",
    ),
    row(
        name="fcos_hrnetv2p_w18_gn-head_4x4_2x_coco",
        model=FCOS.Config(input=BGR_STD, backbone=W18, neck=FCOS_PYRAMID),
        schedule=FCOS_4X4_2X,
        published=Published(box_ap=38.2, memory_gb=13.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/fcos_hrnetv2p_w18_gn-head_4x4_2x_coco/fcos_hrnetv2p_w18_gn-head_4x4_2x_coco_20201212_101110-5c575fa5.pth",
        config="hrnet/fcos_hrnetv2p-w18-gn-head_4xb4-2x_coco.py",
    ),
    row(
        name="fcos_hrnetv2p_w32_gn-head_4x4_1x_coco",
        model=FCOS.Config(input=BGR_STD, backbone=W32, neck=FCOS_PYRAMID),
        schedule=FCOS_4X4_1X,
        published=Published(box_ap=39.5, memory_gb=17.5, fps=12.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/fcos_hrnetv2p_w32_gn-head_4x4_1x_coco/fcos_hrnetv2p_w32_gn-head_4x4_1x_coco_20201211_134730-cb8055c0.pth",
        config="hrnet/fcos_hrnetv2p-w32-gn-head_4xb4-1x_coco.py",
    ),
    row(
        name="fcos_hrnetv2p_w32_gn-head_4x4_2x_coco",
        model=FCOS.Config(input=BGR_STD, backbone=W32, neck=FCOS_PYRAMID),
        schedule=FCOS_4X4_2X,
        published=Published(box_ap=40.8, memory_gb=17.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/fcos_hrnetv2p_w32_gn-head_4x4_2x_coco/fcos_hrnetv2p_w32_gn-head_4x4_2x_coco_20201212_112133-77b6b9bb.pth",
        config="hrnet/fcos_hrnetv2p-w32-gn-head_4xb4-2x_coco.py",
    ),
    row(
        name="fcos_hrnetv2p_w18_gn-head_mstrain_640-800_4x4_2x_coco",
        model=FCOS.Config(input=BGR_STD, backbone=W18, neck=FCOS_PYRAMID),
        data=TWO_SIZES,
        schedule=FCOS_4X4_2X,
        published=Published(box_ap=38.3, memory_gb=13.0, fps=12.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/fcos_hrnetv2p_w18_gn-head_mstrain_640-800_4x4_2x_coco/fcos_hrnetv2p_w18_gn-head_mstrain_640-800_4x4_2x_coco_20201212_111651-441e9d9f.pth",
        config="hrnet/fcos_hrnetv2p-w18-gn-head_ms-640-800-4xb4-2x_coco.py",
    ),
    row(
        name="fcos_hrnetv2p_w32_gn-head_mstrain_640-800_4x4_2x_coco",
        model=FCOS.Config(input=BGR_STD, backbone=W32, neck=FCOS_PYRAMID),
        data=TWO_SIZES,
        schedule=FCOS_4X4_2X,
        published=Published(box_ap=41.9, memory_gb=17.5, fps=12.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/fcos_hrnetv2p_w32_gn-head_mstrain_640-800_4x4_2x_coco/fcos_hrnetv2p_w32_gn-head_mstrain_640-800_4x4_2x_coco_20201212_090846-b6f2b49f.pth",
        config="hrnet/fcos_hrnetv2p-w32-gn-head_ms-640-800-4xb4-2x_coco.py",
    ),
    row(
        name="fcos_hrnetv2p_w40_gn-head_mstrain_640-800_4x4_2x_coco",
        model=FCOS.Config(input=BGR_STD, backbone=W40, neck=FCOS_PYRAMID),
        data=TWO_SIZES,
        schedule=FCOS_4X4_2X,
        published=Published(box_ap=42.7, memory_gb=20.3, fps=10.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/fcos_hrnetv2p_w40_gn-head_mstrain_640-800_4x4_2x_coco/fcos_hrnetv2p_w40_gn-head_mstrain_640-800_4x4_2x_coco_20201212_124752-f22d2ce5.pth",
        config="hrnet/fcos_hrnetv2p-w40-gn-head_ms-640-800-4xb4-2x_coco.py",
    ),
    row(
        name="htc_hrnetv2p_w18_20e_coco",
        model=HTC.Config(backbone=W18, neck=PYRAMID),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=42.8, mask_ap=37.9, memory_gb=10.8, fps=4.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/htc_hrnetv2p_w18_20e_coco/htc_hrnetv2p_w18_20e_coco_20200210-b266988c.pth",
        config="hrnet/htc_hrnetv2p-w18_20e_coco.py",
    ),
    row(
        name="htc_hrnetv2p_w32_20e_coco",
        model=HTC.Config(backbone=W32, neck=PYRAMID),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=45.4, mask_ap=39.9, memory_gb=13.1, fps=4.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/htc_hrnetv2p_w32_20e_coco/htc_hrnetv2p_w32_20e_coco_20200207-7639fa12.pth",
        config="hrnet/htc_hrnetv2p-w32_20e_coco.py",
    ),
    row(
        name="htc_hrnetv2p_w40_20e_coco",
        model=HTC.Config(backbone=W40, neck=PYRAMID),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=46.4, mask_ap=40.8, memory_gb=14.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/hrnet/htc_hrnetv2p_w40_20e_coco/htc_hrnetv2p_w40_20e_coco_20200529_183411-417c4d5b.pth",
        config="hrnet/htc_hrnetv2p-w40_20e_coco.py",
    ),
)
