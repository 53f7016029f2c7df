"""Which necks a method with a slot for one may have, as one closed union.

Each is a ``nn.Module`` with ``channels`` and ``strides`` of the maps that it returns, finest first; its ``Config`` has
a ``kind`` and ``build(channels, strides)`` for a backbone that returns maps of these.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from detzoo.config import kind_if_absent
from detzoo.necks.fpn import FPN
from detzoo.necks.hrfpn import HRFPN
from detzoo.necks.no_neck import NoNeck
from detzoo.necks.pafpn import PAFPN

AnyNeck: TypeAlias = Annotated[
    FPN.Config | HRFPN.Config | NoNeck.Config | PAFPN.Config,
    Field(discriminator="kind"),
    BeforeValidator(kind_if_absent("fpn")),
]
