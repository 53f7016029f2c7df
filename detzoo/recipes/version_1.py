"""Weights that MMDetection 1.x saved, in the names and the order of its later versions.

Class 0 was the background: it came first in every softmax, and had a box and a mask of its own, which nothing learned
or read. The rules are those of MMDetection 2's ``upgrade_model_version.py``; an SSD's biases move box by box as its
weights do, which that tool leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from detzoo.blocks.class_rows import background_last, class_layers
from detzoo.detector import Detector

# heads on RoIs, which stand in ``roi_head`` since
_ON_ROIS = re.compile(r"^(?=(?:bbox_head|mask_head|shared_head)\.)")
_BARE = re.compile(r"^(bbox_head\.(?:cls|reg)_convs\.\d+)\.(?=weight$|bias$)")  # of RetinaNet up to 0.5.3


def upgraded(state: Mapping[str, Tensor], model: Detector) -> dict[str, Tensor]:
    """Weights of version 1 as version 2 saves them; what already is so stays.

    Args:
        state: names and tensors of the file.
        model: what they are for, which may be on the meta device.
    """
    names = state.keys()
    if any(name.startswith(("roi_head.", "neck.extra_layers.")) for name in names):
        return dict(state)
    on_rois = any(name.startswith("rpn_head.") for name in names) or any(".fc_cls." in name for name in names)
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    bare = "cls_convs.0.conv.weight" in shapes
    layers = dict(class_layers(model))
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if on_rois:
            name = _ON_ROIS.sub("roi_head.", name)
        elif bare:
            name = _BARE.sub(r"\1.conv.", name)
        ours = model.own_name(name)
        rows = next((rows for layer, rows in layers.items() if ours.startswith(f"{layer}.")), None)
        if rows is not None and ours in shapes:
            value = background_last(value, rows, shapes[ours][0], len(model.classes))
        found[name] = value
    return found
