"""How PaddleDetection calls and lays out what methods give: one entry of `OF_METHOD` for each method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from torch import Tensor

from detzoo.detector import Detector
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.fcos import FCOS
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.ssd import SSD
from detzoo.methods.yolov3 import YOLOv3
from detzoo.types import Images, Targets
from tests.parity import paddle_one_stage as one_stage
from tests.parity import paddle_two_stage as two_stage
from tests.parity.golden import Golden
from tests.parity.stable import DIGITS


class PaddleMethod(NamedTuple):
    """What of a method PaddleDetection calls otherwise.

    Attributes:
        prepare: changes a model to the last digit of the original's float32 constants.
        raw: of a model, images and the features that its heads see: tensors by their recorded names.
        losses: ours by their recorded names.
        learning: of a model and a case, around the losses: differences of what is learned from, filled at the end.
        recorded: detections of static releases, with ours in place of theirs: no background, boxes to their last
            pixel's far corner.
        shown: of a rung, a model and features: those that were recorded.
        targets: ours as they were recorded.
        reach_out: whether boxes may reach out of their image.
        digits: after the point, that tell scores apart where static releases suppress: float32 has seven.
    """

    prepare: Callable[[Any], None]
    raw: Callable[[Any, Images, Sequence[Tensor]], Mapping[str, Tensor]]
    losses: Callable[[Mapping[str, float]], dict[str, float]]
    learning: Callable[[Any, Golden], AbstractContextManager[dict[str, float]]]
    recorded: Callable[[Golden], Golden] = lambda golden: golden
    shown: Callable[[str, Any, Sequence[Tensor]], Sequence[Tensor]] = lambda rung, model, features: features
    targets: Callable[[Targets], Targets] = lambda targets: targets
    reach_out: bool = False
    digits: int = DIGITS


_TWO_STAGE = PaddleMethod(
    two_stage.as_recorded, two_stage.raw, two_stage.losses, two_stage.learning, two_stage.recorded
)

_ONE_STAGE = PaddleMethod(
    lambda model: None,
    one_stage.retina_raw,
    one_stage.retina_losses,
    lambda model, golden: nullcontext({}),
)

OF_METHOD: dict[type[Detector], PaddleMethod] = {
    CascadeMaskRCNN: _TWO_STAGE,
    CascadeRCNN: _TWO_STAGE,
    FasterRCNN: _TWO_STAGE,
    FCOS: _ONE_STAGE._replace(raw=one_stage.fcos_raw, losses=one_stage.fcos_losses, reach_out=True),
    MaskRCNN: _TWO_STAGE,
    RetinaNet: _ONE_STAGE._replace(recorded=two_stage.recorded, reach_out=True),
    SSD: _ONE_STAGE._replace(
        raw=one_stage.ssd_raw,
        losses=one_stage.ssd_losses,
        recorded=one_stage.relative_boxes,
        shown=one_stage.extended,
        reach_out=True,
        digits=7,
    ),
    YOLOv3: _ONE_STAGE._replace(
        raw=one_stage.yolo_raw,
        losses=one_stage.yolo_losses,
        shown=one_stage.bridged,
        targets=one_stage.shared,
    ),
}
