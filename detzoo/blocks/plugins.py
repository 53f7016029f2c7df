"""Blocks in or behind residual blocks: which, in which stages, and where."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from detzoo.blocks.context_block import ContextBlock
from detzoo.blocks.generalized_attention import GeneralizedAttention
from detzoo.blocks.non_local import NonLocal
from detzoo.blocks.squeeze_excitation import SqueezeExcitation
from detzoo.config import Config as BaseConfig

# Each is a `nn.Module` from ``[N, C, H, W]`` to the same shape with a ``NAME`` and `reset_parameters`; its ``Config``
# has a ``kind``, a ``title`` as papers print it, and ``build(channels)``.
AnyPlugin: TypeAlias = Annotated[
    ContextBlock.Config | GeneralizedAttention.Config | NonLocal.Config | SqueezeExcitation.Config,
    Field(discriminator="kind"),
]


class Plugin(BaseConfig):
    """A block in residual blocks of some stages."""

    block: AnyPlugin
    stages: tuple[int, ...] = (2, 3, 4)
    # and the normalization and ReLU behind it; conv3 has no ReLU; block: behind the sum with the shortcut and its ReLU
    after: Literal["conv1", "conv2", "conv3", "block"] = "conv3"
    every: int = Field(default=1, ge=1)  # residual blocks per plugin: 2: in the second, the fourth, ... of a stage
