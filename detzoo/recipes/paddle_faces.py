"""PaddleDetection's face detectors: BlazeFace (arXiv:1907.05047) and FaceBoxes (arXiv:1708.05234) on WIDER Face.

They are SSDs of square default boxes. ``wider_ap`` was measured on several sizes of each picture, whose own size is the
network's input in a test. A departure of training here: pictures are varied as SSD's are, without cuts around faces of
a drawn size. Milestones of the second release's epochs; 320,000 updates of the first's are 795 epochs of 32 images.
WIDER Face is read as it is published, with one text file of faces for each half.
"""

from __future__ import annotations

from detzoo.backbones.blazenet import BlazeNet
from detzoo.backbones.faceboxnet import FaceBoxNet
from detzoo.blocks.assign import MatchConfig
from detzoo.detector import Input
from detzoo.methods.ssd import SSD
from detzoo.necks.fpn_ssh import FPNSSH
from detzoo.necks.no_neck import NoNeck
from detzoo.recipes.augment import Distort, Expand, Flip, IoUCrop, Resize
from detzoo.recipes.columns import row
from detzoo.recipes.recipe import Published, Recipe
from detzoo.recipes.settings import Data, Schedule, Split

STD = (127.502231, 127.502231, 127.502231)
INPUT = Input(resize=False, multiple=1, mean=(123.0, 117.0, 104.0), std=STD)
STATIC_INPUT = INPUT.replace(order="bgr", mean=(104.0, 117.0, 123.0))
BLAZE_HEAD = SSD.Head(
    squares=((16, 24), (32, 48, 64, 80, 96, 128)),
    steps=(8, 16),
    match=MatchConfig(positive=0.35, negative=0.35, low_quality=0.0, low_quality_ties=False),
    alone=0.01,
    candidates=5000,
    together=True,
    threshold=0.01,
    nms=0.3,
    detections=750,
    clip=False,
)
BLAZEFACE = SSD.Config(
    input=INPUT, backbone=BlazeNet.Config(), neck=NoNeck.Config(), head=BLAZE_HEAD, follow_batches=True
)
BLAZEFACE_FPN_SSH = BLAZEFACE.replace(backbone=BlazeNet.Config(middle="hard_swish"), neck=FPNSSH.Config())
STATIC_BLAZEFACE = BLAZEFACE.replace(input=STATIC_INPUT, backbone=BlazeNet.Config(dense=True))
NAS = BlazeNet.Config(
    stem=12,
    singles=((12, 1), (12, 2), (12, 1)),
    doubles=((16, 24, 2), (12, 24, 1), (16, 72, 2), (12, 72, 1)),
    out_blocks=(5, 7),
    dense=True,
)
NAS_V2 = NAS.replace(doubles=((16, 32, 2), (32, 32, 1), (16, 72, 2), (24, 72, 1)))
# a config's `lite_edition`
LITE = BlazeNet.Config(
    singles=(
        *((24, 1), (28, 1), (32, 2), (36, 1), (42, 1), (48, 2), (56, 1), (64, 1), (72, 1), (80, 1), (88, 1)),
        *((96, 2), (96, 1), (96, 1), (96, 1), (96, 1)),
    ),
    doubles=(),
    out_blocks=(11, 16),
    kernels=(5, 3),
    single="relu",
)
FACEBOXES = STATIC_BLAZEFACE.replace(
    backbone=FaceBoxNet.Config(),
    head=BLAZE_HEAD.replace(
        squares=((32, 64, 128), (256,), (512,)), densities=((4, 2, 1), (1,), (1,)), steps=(8, 16, 32), inside=True
    ),
)
FACEBOXES_LITE = FACEBOXES.replace(
    backbone=FaceBoxNet.Config(lite=True),
    head=FACEBOXES.head.replace(squares=((16, 32, 64), (96, 128)), densities=((2, 1, 1), (1, 1)), steps=(8, 16)),
)

SCHEDULE = Schedule(
    epochs=1000, batch=8, optimizer="rmsprop", momentum=0.0, lr=1e-3, base_batch=64, weight_decay=5e-4,
    milestones=(333, 800), warmup_start=1 / 3, evaluate_every=10,
)  # fmt: skip
STATIC_SCHEDULE = SCHEDULE.replace(epochs=795, base_batch=32, milestones=(596, 745), warmup_steps=0)
WIDER_FACE = Data(
    kind="wider_face",
    root="data/wider_face",
    train=(Split(annotations="wider_face_split/wider_face_train_bbx_gt.txt", images="WIDER_train/images"),),
    val=(Split(annotations="wider_face_split/wider_face_val_bbx_gt.txt", images="WIDER_val/images"),),
    classes=("face",),
    augment=(Distort(), Expand(), IoUCrop(), Resize(sizes=((640, 640),), keep_ratio=False), Flip()),
    group_by_aspect=False,
    metric="voc",
)


def faces(*, name: str, model: SSD.Config, wider_ap: tuple[float, float, float], weights: str) -> Recipe:
    """A row of the tables of the first release, trained with four devices, or of the second."""
    release, _, config = name.partition("_")
    static = release == "pdold"
    folder = "object_detection" if static else "models"
    return row(
        name=name,
        model=model,
        data=WIDER_FACE,
        schedule=STATIC_SCHEDULE if static else SCHEDULE,
        init=None,
        published=Published(wider_ap=wider_ap),
        weights=f"https://{'paddlemodels' if static else 'paddledet'}.bj.bcebos.com/{folder}/{weights}",
        config=f"{'release/0.2:' if static else ''}configs/face_detection/{config}.yml",
    )


RECIPES = (
    faces(name="pd_blazeface_1000e", model=BLAZEFACE, wider_ap=(88.5, 85.5, 73.1), weights="blazeface_1000e.pdparams"),
    faces(
        name="pd_blazeface_fpn_ssh_1000e",
        model=BLAZEFACE_FPN_SSH,
        wider_ap=(90.7, 88.3, 79.3),
        weights="blazeface_fpn_ssh_1000e.pdparams",
    ),
    faces(
        name="pdold_blazeface",
        model=STATIC_BLAZEFACE,
        wider_ap=(91.5, 89.2, 79.7),
        weights="blazeface_original.tar",
    ),
    faces(
        name="pdold_blazeface_lite",
        model=STATIC_BLAZEFACE.replace(backbone=LITE),
        wider_ap=(90.9, 88.5, 78.1),
        weights="blazeface_lite.tar",
    ),
    faces(
        name="pdold_blazeface_nas",
        model=STATIC_BLAZEFACE.replace(backbone=NAS),
        wider_ap=(83.7, 80.7, 65.8),
        weights="blazeface_nas.tar",
    ),
    faces(
        name="pdold_blazeface_nas_v2",
        model=STATIC_BLAZEFACE.replace(backbone=NAS_V2),
        wider_ap=(87.0, 83.7, 68.5),
        weights="blazeface_nas2.tar",
    ),
    faces(name="pdold_faceboxes", model=FACEBOXES, wider_ap=(87.8, 85.1, 57.6), weights="faceboxes_original.tar"),
    faces(name="pdold_faceboxes_lite", model=FACEBOXES_LITE, wider_ap=(90.1, 87.5, 76.0), weights="faceboxes_lite.tar"),
)
