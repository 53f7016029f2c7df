"""Which device to compute on, from the words that people use for it."""

from __future__ import annotations

import torch

WORDS = "'cpu', 'cuda', 'cuda:1' (the second GPU) or 'mps'"


def pick_device(device: str | torch.device | None, local_rank: int | None = None) -> torch.device:
    """The device to compute on: as asked for, or the best there is (CUDA, else MPS, else CPU).

    Args:
        device: a word such as ``cpu``, ``cuda``, ``cuda:1`` or ``mps``, a device, or None.
        local_rank: of several processes on one machine, the number of this one, which is the number of its GPU.

    Raises:
        ValueError: this is no device, or this machine has none such.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if not isinstance(device, str | torch.device):
        raise ValueError(f"device {device!r} is not a device: give {WORDS}")
    try:
        place = torch.device(device)
    except (RuntimeError, ValueError):
        raise ValueError(f"device {device!r} is not a device: give {WORDS}") from None
    accelerator = torch.accelerator.current_accelerator()  # whichever this build of PyTorch can use
    if place.type not in {"cpu", "cuda", "mps", *([accelerator.type] if accelerator else [])}:
        raise ValueError(f"device {str(device)!r} cannot be computed on here: give {WORDS}")
    if place.type == "cpu":
        return torch.device("cpu")
    if place.type == "mps":
        if not torch.backends.mps.is_available():
            raise ValueError("device 'mps' does not exist on this machine")
        return torch.device("mps")
    count = torch.cuda.device_count() if place.type == "cuda" else torch.accelerator.device_count()
    index = place.index
    if local_rank is not None:
        index = local_rank
    elif index is None:
        index = torch.accelerator.current_device_index() if count else 0
    if not 0 <= index < count:
        name = place.type.upper()
        has = f"no {name} device" if not count else f"one {name} device" if count == 1 else f"{count} {name} devices"
        raise ValueError(f"device {place.type}:{index} does not exist: this machine has {has}")
    return torch.device(place.type, index)
