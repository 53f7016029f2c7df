"""Starting from other weights: everything that fits is taken, and what does not is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from detzoo.detector import Detector
from detzoo.pickles.files import read, state_dict
from detzoo.recipes.download import fetch
from detzoo.recipes.recipe import Init


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


def load_init(detector: Detector, init: Init) -> list[str]:
    """Copy the weights that a recipe starts from; they are fetched into the cache and checked.

    Args:
        detector: is changed in place.
        init: where they are. Those of a whole detector may have another head, as in `load_matching`; those of a
            backbone must all have its shapes, but it may have further parts and they a classifier.

    Returns:
        Printable lines that say what was taken and what was not.

    Raises:
        Unreachable: there is no way to the file from here.
        DownloadError: what came is not the published file.
        ValueError: the file is no weights file, or does not fit.
    """
    path = fetch(init.url, init.sha256)
    mend = "start from random weights by init=null"
    content = read(path)
    try:
        tensors = state_dict(content)
        if init.prefixes == ("",):
            tensors = {detector.own_name(name): value for name, value in tensors.items()}
            lines = load_matching(detector, tensors, detector.classes, None)
            return [f"starting from {init.url}", *lines]
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {mend}") from None
    own = detector.state_dict()
    fitting: dict[str, Tensor] = {}
    extra = set(tensors)
    for prefix in init.prefixes:
        known = {name: ours for name in tensors if (ours := detector.own_name(prefix + name)) in own}
        fitting |= {ours: tensors[name] for name, ours in known.items()}
        extra -= set(known)
    wrong = [
        f"{name} {list(value.shape)}, not {list(own[name].shape)}"
        for name, value in fitting.items()
        if value.shape != own[name].shape
    ]
    if wrong or not fitting:
        reason = f"shapes differ: {_few(wrong, 3)}" if wrong else f"no name fits, e.g. {_few(list(tensors), 3)}"
        raise ValueError(f"{path} does not fit {type(detector).__name__} ({reason}); {mend}")
    detector.load_state_dict(fitting, strict=False)
    places = tuple(detector.own_name(prefix + "_").removesuffix("_") for prefix in init.prefixes)
    missing = [name for name in own if name not in fitting and name.startswith(places)]
    lines = [f"starting from {init.url}: {len(fitting)} tensors"]
    for text, names in (
        ("not in that file, so left as initialized", missing),
        ("not used of that file", sorted(extra)),
    ):
        # counters of batch normalization: nothing is computed from them
        names = [name for name in names if not name.endswith("num_batches_tracked")]
        lines += [f"{text}: {_few(names, 8)}"] if names else []
    return lines


def _few(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


__all__ = ["load_init", "load_matching"]
