"""Starting from other weights: all that fits is taken, a head's classes by their names; what does not fit is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from detzoo.backbones import swin_original
from detzoo.backbones.pycls import usual_name
from detzoo.backbones.timm_backbone import TimmBackbone
from detzoo.blocks.class_rows import ClassRows, class_layers, moved
from detzoo.detector import Detector
from detzoo.pickles import paddle
from detzoo.pickles.files import read, state_dict
from detzoo.recipes.download import Unreachable, fetch
from detzoo.recipes.recipe import Init


def load_matching(
    detector: nn.Module, weights: Mapping[str, Tensor], classes: Sequence[str], from_classes: Sequence[str] | None
) -> list[str]:
    """Copy the tensors whose name and shape fit; of the layers with rows per class, those rows whose class has the
    same name. The others, as a head for another number of classes whose names are not known, keep their start.

    Args:
        detector: is changed in place.
        weights: a state dict.
        classes: what the detector is to find.
        from_classes: what the weights were trained to find, if known.

    Returns:
        Printable lines that say what was taken by name and which tensors were not taken.

    Raises:
        ValueError: nothing fits.
    """
    own = detector.state_dict()
    layers = list(class_layers(detector))
    renamed = from_classes is not None and tuple(from_classes) != tuple(classes)
    by_name, lines = (
        _by_name(own, weights, layers, classes, from_classes) if from_classes and renamed and layers else ({}, [])
    )
    moving = tuple(f"{layer}." for layer, _ in layers) if by_name else ()
    fitting = by_name | {
        name: value
        for name, value in weights.items()
        if name in own and own[name].shape == value.shape and not name.startswith(moving)
    }
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
    rows = f", and of {len(by_name)} more the rows of known classes" if by_name else ""
    lines = [f"weights: took {len(fitting) - len(by_name)} of {len(own)} tensors{rows}", *lines]
    if resized:
        known = f"{len(from_classes)} classes" if from_classes is not None else "another number of classes"
        lines.append(
            f"head rebuilt for {len(classes)} classes, the weights have {known}; not taken: {_few(resized, 12)}"
        )
    elif from_classes is not None and renamed and not layers:
        lines.append(f"the head is kept although its classes had other names: {_few(list(from_classes), 6)}")
    if missing:
        lines.append(f"not in the weights, so left as initialized: {_few(missing, 8)}")
    if extra:
        lines.append(f"in the weights but not in this model: {_few(extra, 8)}")
    return lines


def _by_name(
    own: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    layers: Sequence[tuple[str, ClassRows]],
    classes: Sequence[str],
    from_classes: Sequence[str],
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of layers with rows per class, each row from the class of its name, and what to say of them."""
    number = {name: index for index, name in enumerate(from_classes)}
    pairs = [(index, number[name]) for index, name in enumerate(classes) if name in number]
    counts = len(classes), len(from_classes)
    found: dict[str, Tensor] = {}
    for layer, rows in layers:
        for name in own:
            if name.startswith(f"{layer}.") and name in weights:
                tensor = moved(own[name], weights[name], rows, counts, pairs)
                if tensor is not None:
                    found[name] = tensor
    if not found:
        return {}, []
    start = f"head rebuilt for {counts[0]} classes, the weights have {counts[1]} classes"
    if counts[0] == counts[1]:
        start = "head: the weights have these classes in another order" if len(pairs) == counts[0] else "head"
    taken = [classes[index] for index, _ in pairs]
    new = [name for name in classes if name not in number]
    unused = [name for name in from_classes if name not in classes]
    said = [f"taken by name: {_few(taken, 12) or 'none'}"]
    said += [f"newly initialized: {_few(new, 12)}"] if new else []
    said += [f"not used: {_few(unused, 6)}"] if unused else []
    return found, [f"{start}; {'; '.join(said)} (in {_few(list(found), 4)})"]


def _fitting(
    detector: Detector, init: Init, tensors: dict[str, Tensor]
) -> tuple[dict[str, Tensor], set[str], dict[str, Tensor]]:
    """Of a backbone's ``tensors``: those that the detector has, under its names; names of others; all, as usual."""
    own = detector.state_dict()
    if swin_original.is_original(tensors):
        tensors = swin_original.from_original(tensors)
    tensors = {usual_name(name): value for name, value in tensors.items()}
    fitting: dict[str, Tensor] = {}
    extra = set(tensors)
    for prefix in init.prefixes:
        known = {name: ours for name in tensors if (ours := detector.own_name(prefix + name)) in own}
        fitting |= {ours: tensors[name] for name, ours in known.items()}
        extra -= set(known)
    return fitting, extra, tensors


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
    if init.url.endswith(paddle.SUFFIXES):
        fitting = detector.paddle_tensors(tensors := paddle.read(path), whole=init.prefixes == ("",))
        if fitting and init.prefixes == ("",):
            return [f"starting from {init.url}", *load_matching(detector, fitting, detector.classes, None)]
        extra: set[str] = set()
    else:
        content = read(path)
        try:
            tensors = state_dict(content)
            if init.prefixes == ("",):
                tensors = {detector.own_name(name): value for name, value in tensors.items()}
                lines = load_matching(detector, tensors, detector.classes, None)
                return [f"starting from {init.url}", *lines]
        except ValueError as error:
            raise ValueError(f"{path}: {error}; {mend}") from None
        fitting, extra, tensors = _fitting(detector, init, tensors)
    own = detector.state_dict()
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
        # counters of batch normalization: nothing is computed from them; the others follow from the weights
        own = ("num_batches_tracked", "weight_gamma", "weight_beta")
        names = [name for name in names if not name.endswith(own)]
        lines += [f"{text}: {_few(names, 8)}"] if names else []
    return lines


def load_timm(detector: Detector) -> list[str]:
    """Copy timm's weights into the backbones that ask for them (``pretrained``).

    Returns:
        A printable line each.

    Raises:
        Unreachable: there is no way to timm's hub from here.
        ValueError: timm has no such weights.
    """
    lines = []
    for module in detector.modules():
        if isinstance(module, TimmBackbone) and module.config.pretrained:
            try:
                lines.append(module.load_pretrained())
            except OSError as error:
                raise Unreachable(f"timm's weights of {module.config.name} cannot be fetched: {error}") from error
    return lines


def _few(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


__all__ = ["load_init", "load_matching", "load_timm"]
