"""How PaddleDetection's static-graph releases call what a layer holds -> how its dynamic-graph release does."""

from __future__ import annotations

import re
from collections.abc import Callable

LEAVES = {
    **dict.fromkeys(("weights", "w", "w_0", "scale"), "weight"),
    **dict.fromkeys(("biases", "bias", "b", "b_0", "offset"), "bias"),
    **{"mean": "_mean", "variance": "_variance", "var": "_variance"},
}
LEAF = r"_(?P<leaf>weights|scale|offset|mean|variance)"  # of a convolution and its normalization
SHORT, LONG = r"_(?P<leaf>w|b)", r"_(?P<leaf>weights|biases)"  # of one layer
_DOTTED = r"\.(?P<kind>conv|bn)\.(?P<leaf>weights|bias|scale|offset|mean|var)"

Name = tuple[str, Callable[[re.Match[str]], str]]


def kind(leaf: str) -> str:
    """Which of a convolution and its normalization has it."""
    return "conv" if leaf == "weights" else "norm"


def alone(pattern: str, base: str, leaf: str = SHORT) -> Name:
    """A layer without normalization: a pattern of its name, and its later one, with groups of the pattern in it."""
    return f"^{pattern}{leaf}$", lambda match: f"{match.expand(base)}.{LEAVES[match['leaf']]}"


def normed(pattern: str, base: str, conv: str = "conv", norm: str = "norm") -> Name:
    """As `alone`, a convolution and its normalization, and what both are called later."""

    def name(match: re.Match[str]) -> str:
        layer = conv if match["leaf"] == "weights" else norm
        return f"{match.expand(base)}.{layer}.{LEAVES[match['leaf']]}"

    return f"^{pattern}(?:_bn)?{LEAF}$", name


def dotted(pattern: str, base: str) -> Name:
    """As `normed`, where the names say which of both it is."""

    def name(match: re.Match[str]) -> str:
        layer = "conv" if match["kind"] == "conv" else "batch_norm"
        return f"{match.expand(base)}.{layer}.{LEAVES[match['leaf']]}"

    return f"^{pattern}{_DOTTED}$", name


__all__ = ["LEAF", "LEAVES", "LONG", "Name", "alone", "dotted", "kind", "normed"]
