"""What the readers of dense heads on a pyramid are all made of: the detector around a head, and the head's towers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from detzoo.blocks.layers import Norm
from detzoo.config import Config
from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, necks, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS, Features
from detzoo.interop.section import Section

Made = TypeVar("Made", bound=Config)
# reads what is a head's own, given its section, ``train_cfg`` and the pyramid's maps
Own = Callable[[Section, Section, Features], dict[str, Any]]


def dense(
    config: type[Made], model: Section, input: Input, own: Own, *kinds: str, classes: int | None = None
) -> tuple[Made, int]:
    """Settings, of a ``config``, and number of classes of a detector whose ``bbox_head`` is one of ``kinds``.

    ``classes`` are those of a head that does not say; None: it has to.
    """
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        with (
            given.section("bbox_head") as head,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg") as test,
        ):
            head.kinds(*kinds)
            parts.derived(head, "in_channels", features.channels[0])
            head.fixed("conv_cfg")
            settings = {**own(head, train, features), **parts.dense_tests(test)}
            count = head.whole("num_classes", classes)
        made = {"input": input, "backbone": backbone, "neck": neck, "head": settings}
        return config.model_validate(made), count


def towers(head: Section, norm: Norm | None = None) -> dict[str, Any]:
    """Settings ``convs``, ``channels`` and ``norm`` of a head; ``norm`` where it does not say."""
    return {
        "convs": head.whole("stacked_convs", 4, MOST_LAYERS),
        "channels": head.whole("feat_channels", 256, MOST_CHANNELS),
        "norm": parts.norm(head, default=None if "norm_cfg" in head.values else norm),
    }


__all__ = ["dense", "towers"]
