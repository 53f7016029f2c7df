"""Starting from other weights: everything that fits is taken, and what does not is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn


def load_matching(
    detector: nn.Module, weights: Mapping[str, Tensor], classes: Sequence[str], from_classes: Sequence[str] | None
) -> list[str]:
    """Copy the tensors whose name and shape fit; the others, as a head for another number of classes, keep their start.

    Args:
        detector: is changed in place.
        weights: a state dict.
        classes: what the detector is to find.
        from_classes: what the weights were trained to find, if known.

    Returns:
        Printable lines that name the tensors that were not taken.

    Raises:
        ValueError: nothing fits.
    """
    own = detector.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise ValueError(
            f"none of the {len(weights)} tensors of the weights fits this model; theirs start with "
            f"{_few(list(weights), 3)}, the model's with {_few(list(own), 3)}"
        )
    detector.load_state_dict(fitting, strict=False)
    resized = [
        f"{name} {list(weights[name].shape)} -> {list(value.shape)}"
        for name, value in own.items()
        if name in weights and name not in fitting
    ]
    missing = [name for name in own if name not in weights]
    extra = [name for name in weights if name not in own]
    lines = [f"weights: took {len(fitting)} of {len(own)} tensors"]
    if resized:
        known = f"{len(from_classes)} classes" if from_classes is not None else "another number of classes"
        lines.append(
            f"head rebuilt for {len(classes)} classes, the weights have {known}; not taken: {_few(resized, 12)}"
        )
    elif from_classes is not None and tuple(from_classes) != tuple(classes):
        lines.append(f"the head is kept although its classes had other names: {_few(list(from_classes), 6)}")
    if missing:
        lines.append(f"not in the weights, so left as initialized: {_few(missing, 8)}")
    if extra:
        lines.append(f"in the weights but not in this model: {_few(extra, 8)}")
    return lines


def _few(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


__all__ = ["load_matching"]
