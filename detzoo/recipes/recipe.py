"""`Recipe`: everything about one row of a published table, as data."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SerializeAsAny, WrapValidator

from detzoo.config import Config
from detzoo.detector import Detector, DetectorConfig
from detzoo.methods.atss import ATSS
from detzoo.methods.auto_assign import AutoAssign
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.centripetalnet import CentripetalNet
from detzoo.methods.cornernet import CornerNet
from detzoo.methods.deformable_detr import DeformableDETR
from detzoo.methods.detr import DETR
from detzoo.methods.dynamic_rcnn import DynamicRCNN
from detzoo.methods.fast_rcnn import FastRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.fcos import FCOS
from detzoo.methods.foveabox import FoveaBox
from detzoo.methods.fsaf import FSAF
from detzoo.methods.ga_retinanet import GARetinaNet
from detzoo.methods.gfl import GFL
from detzoo.methods.grid_rcnn import GridRCNN
from detzoo.methods.htc import HTC
from detzoo.methods.ld import LD
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.mask_scoring_rcnn import MaskScoringRCNN
from detzoo.methods.paa import PAA
from detzoo.methods.point_rend import PointRend
from detzoo.methods.reppoints import RepPoints
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.rpn import RPNDetector
from detzoo.methods.sabl_retinanet import SABLRetinaNet
from detzoo.methods.scnet import SCNet
from detzoo.methods.sparse_rcnn import SparseRCNN
from detzoo.methods.ssd import SSD
from detzoo.methods.tridentnet import TridentNet
from detzoo.methods.vfnet import VFNet
from detzoo.methods.yolact import YOLACT
from detzoo.methods.yolof import YOLOF
from detzoo.methods.yolov3 import YOLOv3
from detzoo.recipes.own import own_method, settings_of
from detzoo.recipes.settings import Data, Schedule
from detzoo.tta import TTA

METHODS: tuple[type[Detector], ...] = (
    ATSS,
    AutoAssign,
    CascadeMaskRCNN,
    CascadeRCNN,
    CentripetalNet,
    CornerNet,
    DeformableDETR,
    DETR,
    DynamicRCNN,
    FastRCNN,
    FasterRCNN,
    FCOS,
    FoveaBox,
    FSAF,
    GARetinaNet,
    GFL,
    GridRCNN,
    HTC,
    LD,
    MaskRCNN,
    MaskScoringRCNN,
    PAA,
    PointRend,
    RepPoints,
    RetinaNet,
    RPNDetector,
    SABLRetinaNet,
    SCNet,
    SparseRCNN,
    SSD,
    TridentNet,
    VFNet,
    YOLACT,
    YOLOF,
    YOLOv3,
)

# a closed union: JSON, and so a checkpoint, can name these methods and nothing else
Model = Annotated[
    ATSS.Config
    | AutoAssign.Config
    | CascadeMaskRCNN.Config
    | CascadeRCNN.Config
    | CentripetalNet.Config
    | CornerNet.Config
    | DeformableDETR.Config
    | DETR.Config
    | DynamicRCNN.Config
    | FastRCNN.Config
    | FasterRCNN.Config
    | FCOS.Config
    | FoveaBox.Config
    | FSAF.Config
    | GARetinaNet.Config
    | GFL.Config
    | GridRCNN.Config
    | HTC.Config
    | LD.Config
    | MaskRCNN.Config
    | MaskScoringRCNN.Config
    | PAA.Config
    | PointRend.Config
    | RepPoints.Config
    | RetinaNet.Config
    | RPNDetector.Config
    | SABLRetinaNet.Config
    | SCNet.Config
    | SparseRCNN.Config
    | SSD.Config
    | TridentNet.Config
    | VFNet.Config
    | YOLACT.Config
    | YOLOF.Config
    | YOLOv3.Config,
    Field(discriminator="method"),
    WrapValidator(settings_of(METHODS)),  # and what the program itself passes in
    SerializeAsAny(),  # pyright: ignore[reportCallIssue]
]


def _no_path(name: str) -> str:
    if not re.fullmatch(r"\w[\w .+-]{0,199}", name):
        raise ValueError(
            f"{name[:60]!r} is no name of a recipe, which is a part of file names: letters, digits and '_', then also "
            "'-', '+', '.' and blanks, up to 200"
        )
    return name


Name = Annotated[str, AfterValidator(_no_path)]


class Published(Config):
    """Numbers printed in the published table; AP in percent."""

    box_ap: float | None = None
    mask_ap: float | None = None
    wider_ap: tuple[float, float, float] | None = None  # AP of WIDER Face's easy, medium and hard faces, in percent
    ar1000: float | None = None  # average recall of 1000 proposals per image, in percent
    memory_gb: float | None = None  # training, per device
    fps: float | None = None  # inference, as the table's authors measured it
    tta: TTA | None = None  # views that the two numbers below were measured with; without those, all numbers
    tta_box_ap: float | None = None
    tta_mask_ap: float | None = None


class Weights(Config):
    """A published weights file."""

    url: str
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-fA-F]{8,64}$"
    )  # leading hex digits of the file's SHA-256; None: the publisher gave none


class Init(Weights):
    """Weights that training starts from: a backbone's from image classification, or a whole detector's.

    Their names, behind one of ``prefixes``, are those of published weights.
    """

    prefixes: tuple[str, ...] = ("backbone.",)  # a tensor goes wherever its name is known; ("",): a whole detector


class Recipe(Config):
    """A model, the data and schedule that it was trained with, and what came out."""

    name: Name
    model: Model
    data: Data = Data()
    schedule: Schedule = Schedule()
    init: Init | None = None  # what training starts from; None: random weights
    published: Published | None = None
    weights: Weights | None = None
    config: str | None = None  # path of the original framework's config file


def method_of(recipe: Recipe) -> type[Detector]:
    """The class that a recipe's model settings belong to."""
    return method_with(recipe.model)


def method_with(settings: DetectorConfig) -> type[Detector]:
    """The class that these settings belong to."""
    for method in METHODS:
        if type(settings) is method.__dict__["Config"]:
            return method
    own = own_method(settings)
    if own is None:
        raise TypeError(f"no method has settings of type {type(settings).__qualname__}")
    return own


def recipe_of(model: DetectorConfig) -> Recipe:
    """A recipe for settings of a method alone, the program's own or not; data and schedule are the usual ones."""
    settings: Any = model
    recipe = Recipe(name=settings.method, model=settings)
    return recipe.replace(data=Data(masks=method_of(recipe).learns_masks))
