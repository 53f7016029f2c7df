"""Which region proposal networks a method with a slot for one may have, as one closed union.

Each is a ``nn.Module``: called with features ``[N, C, H, W]`` and the images' sizes ``[N, 2]`` it gives raw outputs, of
which ``losses(raw, targets, sizes)`` learns and ``propose(raw, images, training)`` makes proposals. Its ``Config`` has
a ``kind`` and ``build(channels, strides)`` for a pyramid of such levels.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from detzoo.blocks.cascade_rpn import CascadeRPN
from detzoo.blocks.guided_rpn import GuidedRPN
from detzoo.blocks.rpn import RPN
from detzoo.config import kind_if_absent

AnyRPN: TypeAlias = Annotated[
    CascadeRPN.Config | GuidedRPN.Config | RPN.Config,
    Field(discriminator="kind"),
    BeforeValidator(kind_if_absent("rpn")),
]

# published name -> ours, where the network is called `rpn`
RPN_NAMES = (
    (r"^(?:rpn_head|bbox_head)\.rpn_(conv|cls|reg)\.", r"rpn.\1."),
    (r"^(?:rpn_head|bbox_head)\.(conv_loc|conv_shape)\.", r"rpn.guide.\1."),
    (r"^(?:rpn_head|bbox_head)\.(conv_cls|conv_reg|feature_adaption)\.", r"rpn.\1."),
    (r"^(?:rpn_head|bbox_head)\.stages\.0\.rpn_(?:conv\.)?(conv|reg)\.", r"rpn.first_\1."),
    (r"^(?:rpn_head|bbox_head)\.stages\.1\.rpn_(?:conv\.)?(conv|cls|reg)\.", r"rpn.\1."),
)
