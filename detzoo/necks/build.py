"""Which necks there are, as one closed union."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from pydantic import Field

from detzoo.necks.fpn import FPN
from detzoo.necks.no_neck import NoNeck

AnyNeck: TypeAlias = Annotated[FPN.Config | NoNeck.Config, Field(discriminator="kind")]


def build_neck(config: FPN.Config | NoNeck.Config, channels: Sequence[int], strides: Sequence[int]) -> FPN | NoNeck:
    """The neck of these settings, for a backbone that returns maps of these ``channels`` and ``strides``."""
    if isinstance(config, NoNeck.Config):
        return NoNeck(channels, strides)
    return FPN(config, channels, strides)
