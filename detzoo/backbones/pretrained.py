"""ImageNet weights into a backbone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from detzoo.backbones.pycls import usual_name
from detzoo.pickles.files import read, state_dict
from detzoo.user_path import user_path


def load_pretrained(backbone: nn.Module, weights: str | Path | Mapping[str, Any]) -> None:
    """Load classification weights in torchvision's or pycls's naming; the classifier is left out, all else must fit.

    The offsets of deformable convolutions, which no classification network has, stay as they are.

    Args:
        backbone: where the weights go.
        weights: a ``.safetensors`` file, a ``.pth`` file, or a state dict.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: the file is no weights file, or parameters are missing, left over or of another shape.
    """
    name = "the given weights" if isinstance(weights, Mapping) else str(weights)
    state = weights if isinstance(weights, Mapping) else _read(user_path(weights))
    state = state.get("state_dict", state)
    # a plain dict has no version marks, so that batch norm accepts weights without `num_batches_tracked`
    named = {usual_name(key): value for key, value in state.items()}
    kept = {key: value for key, value in named.items() if not key.startswith("fc.")}
    offsets = {key: value for key, value in backbone.state_dict().items() if ".conv_offset." in key}
    try:
        backbone.load_state_dict({**offsets, **kept})
    except RuntimeError as error:
        raise ValueError(f"{name} does not fit {type(backbone).__name__}: {error}") from None


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"no weights file at {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return state_dict(read(path))
    except Exception as error:
        raise ValueError(f"{path} is not a weights file that can be read safely: {error}") from error
