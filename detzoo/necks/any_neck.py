"""Which necks a method with a slot for one may have, as one closed union.

Each is a ``nn.Module`` with ``channels`` and ``strides`` of the maps that it returns, finest first; its ``Config`` has
a ``kind`` and ``build(channels, strides)`` for a backbone that returns maps of these.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from detzoo.config import kind_if_absent
from detzoo.necks.bfp import BFP
from detzoo.necks.dilated_encoder import DilatedEncoder
from detzoo.necks.fpg import FPG
from detzoo.necks.fpn import FPN
from detzoo.necks.fpn_carafe import FPNCarafe
from detzoo.necks.fpn_ssh import FPNSSH
from detzoo.necks.hrfpn import HRFPN
from detzoo.necks.nas_fcos import NASFCOSNeck
from detzoo.necks.nas_fpn import NASFPN
from detzoo.necks.no_neck import NoNeck
from detzoo.necks.pafpn import PAFPN
from detzoo.necks.rfp import RFP

AnyNeck: TypeAlias = Annotated[
    BFP.Config
    | DilatedEncoder.Config
    | FPG.Config
    | FPN.Config
    | FPNCarafe.Config
    | FPNSSH.Config
    | HRFPN.Config
    | NASFCOSNeck.Config
    | NASFPN.Config
    | NoNeck.Config
    | PAFPN.Config
    | RFP.Config,
    Field(discriminator="kind"),
    BeforeValidator(kind_if_absent("fpn")),
]
