"""A backbone of the program's own: any module that says what it returns, passed in from Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from detzoo.config import Config as BaseConfig


class OwnBackbone(nn.Module):
    """The place of a module that the program passes in: ``detzoo.build(recipe, backbone=module)``.

    Its settings say what the module returns, so that the rest of a detector can be built; the module itself is in no
    file. What it returns may be a list, a tuple or a dict of maps, finest first.

    Attributes:
        network: the program's module; None until it is passed in.
        channels: of each returned map, as the module says.
        strides: input pixels per cell of each returned map, as the module says.
    """

    class Config(BaseConfig):
        """Settings of `OwnBackbone`: what the module said of itself."""

        kind: Literal["own"] = "own"
        name: str = Field(default="module", max_length=200)  # of its class, to tell a reader which one is meant
        channels: tuple[int, ...] = Field(default=(256, 512, 1024, 2048), min_length=1)
        strides: tuple[int, ...] = Field(default=(4, 8, 16, 32), min_length=1)

        @model_validator(mode="after")
        def _fits(self) -> OwnBackbone.Config:
            if len(self.channels) != len(self.strides):
                raise ValueError(f"channels {self.channels} and strides {self.strides} are not of the same maps")
            if min(*self.channels, *self.strides) < 1 or list(self.strides) != sorted(self.strides):
                raise ValueError(f"channels and strides start at 1, and strides rise, got {self.strides}")
            return self

        @property
        def title(self) -> str:
            """The name of the module's class."""
            return self.name

        def build(self) -> OwnBackbone:
            """The place of the module, which is still to be filled."""
            return OwnBackbone(self)

    network: nn.Module | None

    def __init__(self, config: OwnBackbone.Config) -> None:
        super().__init__()
        self.channels, self.strides = config.channels, config.strides
        self.network = None

    def forward(self, x: Tensor) -> list[Tensor]:
        """What the module makes of ``x [N, 3, H, W]``: one ``[N, channels[i], H_i, W_i]`` per stride, finest first.

        Raises:
            ValueError: it has not been passed in, or returns other maps than it says.
        """
        if self.network is None:
            raise ValueError("the program's own backbone is missing: detzoo.build(recipe, backbone=module)")
        found: Any = self.network(x)
        maps = list(found.values() if isinstance(found, dict) else found)
        returned = tuple(one.shape[1] for one in maps)
        if returned != self.channels:
            raise ValueError(
                f"the backbone {type(self.network).__name__} says that its maps have {list(self.channels)} channels, "
                f"but returns {list(returned)}"
            )
        return maps


def described(module: Any) -> OwnBackbone.Config:
    """The settings of a module's place.

    Raises:
        TypeError: it is no module, or does not say what it returns.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"backbone takes a torch.nn.Module, not a {type(module).__name__}")
    kind = type(module).__name__
    said = []
    for word, of in (("channels", "of each map that it returns"), ("strides", "input pixels per cell of each map")):
        value = getattr(module, word, None)
        if not isinstance(value, Sequence) or not value or not all(isinstance(number, int) for number in value):
            raise TypeError(f"the backbone {kind} has no {word}: give it {word}, a tuple of whole numbers, {of}")
        said.append(tuple(value))
    return OwnBackbone.Config(name=kind[-200:], channels=said[0], strides=said[1])


def places(detector: nn.Module) -> Iterator[tuple[str, OwnBackbone]]:
    """Name and place of every module of the program's own in a detector."""
    return ((name, one) for name, one in detector.named_modules() if isinstance(one, OwnBackbone))


def own_parts(detector: nn.Module) -> list[str]:
    """Names of the modules that go into these places."""
    return [f"{name}.network" for name, _ in places(detector)]
