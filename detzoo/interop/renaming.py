"""Published parameter names -> ours, by a table of regular expressions, and a strict load through it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

Table = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]

# counters of batch normalization, unused with a fixed momentum and absent from old files; what Swin computes from
# sizes; the distances of which GFL takes a mean
_UNUSED = ("num_batches_tracked", "relative_position_index", "project")


def rename(name: str, table: Table) -> str:
    """Our name of a published parameter: the first pattern found in it is replaced; no match keeps the name.

    Args:
        name: published state-dict key.
        table: (regular expression, replacement, or what makes it of the match) pairs, tried in order.
    """
    for pattern, replacement in table:
        renamed, count = re.subn(pattern, replacement, name, count=1)
        if count:
            return renamed
    return name


def load_renamed(
    module: nn.Module, weights: Mapping[str, Tensor], table: Table, unpublished: tuple[str, ...] = ()
) -> None:
    """Copy a published state dict into ``module``; every name and shape must fit, or nothing is changed.

    Args:
        module: where the weights go; its devices and dtypes stay.
        weights: published name -> tensor.
        table: see `rename`.
        unpublished: see `fitted`.

    Raises:
        ValueError: as of `fitted`.
    """
    given = fitted(module, weights, table, unpublished)
    module.load_state_dict({name: given.get(name, value) for name, value in module.state_dict().items()})


def fitted(
    module: nn.Module, weights: Mapping[str, Tensor], table: Table, unpublished: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """A published state dict under our names, all of which fit ``module``, that may be on the meta device.

    Batch normalization's step counters and what follows from sizes may be missing or left over. Tensors that
    are equal may become one name: what layers of the original share stands in its files once for each.

    Args:
        module: what the weights are for.
        weights: published name -> tensor.
        table: see `rename`.
        unpublished: what names of ours begin with that may be missing.

    Raises:
        ValueError: two different tensors become the same name, or parameters are missing, left over, of another
            shape or of whole numbers; the message counts each and lists the first ten.
    """
    ours = module.state_dict()
    given: dict[str, Tensor] = {}
    source: dict[str, str] = {}
    clashes = []
    for published, value in weights.items():
        name = rename(published, table)
        if name in given and not _equal(given[name], value):
            clashes.append(f"{source[name]} and {published} both become {name}")
        given[name], source[name] = value, published
    unused = {name for name in (*ours, *given) if name.rpartition(".")[2] in _UNUSED}
    optional = [name for name in ours if name.startswith(unpublished)]  # of an empty tuple none does
    missing = [name for name in ours if name not in given and name not in unused and name not in optional]
    left_over = [
        source[name] if source[name] == name else f"{source[name]} (as {name})"
        for name in given
        if name not in ours and name not in unused
    ]
    misshapen = [
        f"{source[name]} {list(value.shape)}, needs {list(ours[name].shape)}"
        for name, value in given.items()
        if name in ours and value.shape != ours[name].shape
    ]
    whole = [  # of which only a scale that is not there makes weights
        f"{source[name]}, {str(value.dtype).removeprefix('torch.')}"
        for name, value in given.items()
        if name in ours and ours[name].is_floating_point() and not value.is_floating_point()
    ]
    problems = [
        *_section("ambiguous", clashes),
        *_section("missing", missing),
        *_section("left over", left_over),
        *_section("of another shape", misshapen),
        *_section("of whole numbers, as quantized models have", whole),
    ]
    if problems:
        raise ValueError("\n".join([f"these weights do not fit {type(module).__name__}:", *problems]))
    return given


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same; of one without values only the shape is known."""
    return one.shape == other.shape and (one.is_meta or other.is_meta or torch.equal(one, other))


def _section(what: str, lines: Iterable[str], most: int = 10) -> list[str]:
    lines = list(lines)
    if not lines:
        return []
    more = [f"    ... and {len(lines) - most} more"] if len(lines) > most else []
    return [f"  {len(lines)} {what}:", *(f"    {line[:200]}" for line in lines[:most]), *more]
