"""Backbones of timm, the library of image classification models: ConvNeXt, Swin, EfficientNet, MobileNet and more.

PyTorch Image Models, https://github.com/huggingface/pytorch-image-models; it is an extra, ``pip install detzoo[timm]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from detzoo.backbones.chosen import check_frozen
from detzoo.backbones.frozen import PartlyFrozen
from detzoo.blocks.layers import BatchNorm2d, in_type_of
from detzoo.config import Config as BaseConfig
from detzoo.suggest import unknown

# MMPretrain's name of a model that it takes from timm
_TIMM = ((r"^backbone\.timm_model\.", "backbone.network."),)

# what timm raises where a model has no maps, not these, or not with such options
_REFUSALS = (AssertionError, AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError)

# MMPretrain's names of a ConvNeXt's parameters -> timm's
_CONVNEXT = (
    (r"^backbone\.downsample_layers\.0\.(\d)\.", r"backbone.network.stem_\1."),
    (r"^backbone\.downsample_layers\.(\d)\.(\d)\.", r"backbone.network.stages_\1.downsample.\2."),
    (r"^backbone\.stages\.(\d)\.(\d+)\.depthwise_conv\.", r"backbone.network.stages_\1.blocks.\2.conv_dw."),
    (r"^backbone\.stages\.(\d)\.(\d+)\.pointwise_conv(\d)\.", r"backbone.network.stages_\1.blocks.\2.mlp.fc\3."),
    (r"^backbone\.stages\.(\d)\.(\d+)\.grn\.gamma$", r"backbone.network.stages_\1.blocks.\2.mlp.grn.weight"),
    (r"^backbone\.stages\.(\d)\.(\d+)\.grn\.beta$", r"backbone.network.stages_\1.blocks.\2.mlp.grn.bias"),
    (r"^backbone\.stages\.(\d)\.(\d+)\.", r"backbone.network.stages_\1.blocks.\2."),
)


class TimmBackbone(PartlyFrozen):
    """A model of timm without its classifier, for pictures of any size.

    Normalization is the model's own; batch normalization is ours in its place, which ``schedule.sync_bn`` reaches.

    Attributes:
        channels: of each returned map, as the model says.
        strides: input pixels per cell of each returned map.
    """

    class Config(BaseConfig):
        """Settings of `TimmBackbone`. A stage is what makes one of the maps that the model offers."""

        kind: Literal["timm"] = "timm"
        # as `timm.list_models()` has it, behind a dot which of its weights: "convnext_tiny.fb_in22k"
        name: str = Field(default="convnext_tiny", pattern=r"^\w{1,100}(\.\w{1,100})?$")
        pretrained: bool = False  # training starts from timm's weights, fetched from its hub; each has its own licence
        out_indices: tuple[int, ...] = (-4, -3, -2, -1)  # of the maps that are returned; -1 is the model's coarsest
        drop_path: float | None = Field(default=None, ge=0, lt=1)  # how often training skips the last block
        norms: bool = False  # layer normalization of each returned map, as published detectors on ConvNeXt have it
        norm_eval: bool = False  # batch normalization keeps its statistics in training
        frozen_stages: int = Field(default=-1, ge=-1)  # -1: none; 0: the stem; k: stem and stages 1 to k
        checkpointing: bool = False  # recompute in the backward pass instead of keeping what was computed

        @model_validator(mode="after")
        def _fits(self) -> TimmBackbone.Config:
            given = self.out_indices
            if not given or list(given) != sorted(set(given)) or (given[0] < 0) != (given[-1] < 0):
                raise ValueError(f"out_indices must rise, all from the first or all from the last map, got {given}")
            return self

        @property
        def title(self) -> str:
            """The name that timm gives it."""
            return self.name

        def build(self) -> TimmBackbone:
            """The network of these settings, with random weights."""
            return TimmBackbone(self)

    def __init__(self, config: TimmBackbone.Config) -> None:
        """Build.

        Raises:
            ModuleNotFoundError: timm is not installed.
            ValueError: timm has no such model, or it has not these maps or takes pictures of one size only.
        """
        super().__init__()
        self.config = config
        self.network = network = _create(config)
        info = network.feature_info
        self.channels, self.strides = tuple(info.channels()), tuple(info.reduction())
        self.first = next(name for name, one in self.named_modules() if isinstance(one, nn.Conv2d))
        self.rows = getattr(network, "output_fmt", "NCHW") == "NHWC"  # channels come last
        self.indices = tuple(index % len(info.info) for index in config.out_indices)
        check_frozen(config.frozen_stages, len(info.info))
        for index, channels in zip(self.indices, self.channels, strict=True):
            if config.norms:
                self.add_module(f"norm{index}", nn.LayerNorm(channels, eps=1e-6))
        if config.checkpointing:
            getattr(network, "model", network).set_grad_checkpointing(True)
        self.freeze(config.norm_eval)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of the asked maps, finest first.

        Args:
            x: ``[N, 3, H, W]``.

        Returns:
            One ``[N, channels[i], H / strides[i], W / strides[i]]`` per map; where that does not divide the model says
            whether it is rounded up.
        """
        x, maps = in_type_of(self.get_submodule(self.first), x), []
        for index, found in zip(self.indices, self.network(x), strict=True):
            if self.config.norms:
                found = self.get_submodule(f"norm{index}")(found if self.rows else found.permute(0, 2, 3, 1))
            maps.append(found.permute(0, 3, 1, 2) if self.rows or self.config.norms else found)
        return maps

    @property
    def published_names(self) -> tuple[tuple[str, str], ...]:
        """What MMPretrain calls the parameters -> ours, as of `Detector`: of its own ConvNeXt, or of timm's models."""
        return (*_TIMM, *_CONVNEXT) if "convnext" in self.config.name else _TIMM

    def load_pretrained(self) -> str:
        """Copy timm's weights, which its hub is asked for where they are not in its cache.

        Returns:
            A printable line: which they are, and under what licence.

        Raises:
            OSError: the hub cannot be reached.
            ValueError: timm has no weights of this name.
        """
        try:
            self.network.load_state_dict(_create(self.config, pretrained=True).state_dict())
        except OSError:
            raise
        except Exception as error:  # of the hub's client
            raise OSError(f"{type(error).__name__}: {error}") from error
        licence = getattr(_timm().get_pretrained_cfg(self.config.name), "license", None)
        return f"starting from timm's weights of {self.config.name} ({licence or 'no licence is said'})"

    def frozen_parts(self) -> list[nn.Module]:
        """Modules without children in the order of definition, up to the end of the last frozen stage."""
        stages = self.config.frozen_stages
        if stages < 0:
            return []
        leaves = [(name.replace(".", "_"), one) for name, one in self.network.named_modules() if not [*one.children()]]
        stage = self.network.feature_info.info[max(stages - 1, 0)]["module"].replace(".", "_")
        within = [i for i, (name, _) in enumerate(leaves) if f"{name}_".removeprefix("model_").startswith(f"{stage}_")]
        return [one for _, one in leaves[: within[0] if stages == 0 else within[-1] + 1]]


def _timm() -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("a backbone of kind 'timm' needs timm: pip install detzoo[timm]") from error
    return timm


def _create(config: TimmBackbone.Config, pretrained: bool = False) -> Any:
    """timm's model as it returns maps, without what stands behind the last of them."""
    timm = _timm()
    name = config.name.partition(".")[0]
    if not timm.is_model(name):
        raise ValueError(unknown(name, timm.list_models(), "model of timm"))
    settings = {"features_only": True, "out_indices": config.out_indices}
    if config.drop_path is not None:
        settings["drop_path_rate"] = config.drop_path

    def create(**more: Any) -> Any:
        return timm.create_model(config.name, **{"pretrained": pretrained, **settings, **more})

    try:
        # a deprecated name has no entry of its own
        fixed = getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False)
        network = _of_any_size(create, fixed)
        maps = network.feature_info.module_name()
    except _REFUSALS as error:
        asked = f"with out_indices {config.out_indices}"
        raise ValueError(f"timm's {config.name} cannot be a backbone {asked}: {error}") from error
    place, _, last = maps[-1].rpartition(".")
    stages = dict(network.named_modules()).get(place)
    if place and isinstance(stages, nn.Sequential):
        del stages[int(last) + 1 :]
    _with_our_norms(network)
    return network


def _with_our_norms(network: nn.Module) -> None:
    """Put our batch normalization in place of PyTorch's and timm's; parameters, statistics and names stay."""
    for parent in list(network.modules()):
        for name, norm in list(parent.named_children()):
            if isinstance(norm, nn.BatchNorm2d):
                kind = _NormAct if hasattr(norm, "act") else BatchNorm2d
                ours = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
                ours.load_state_dict(norm.state_dict(keep_vars=True), assign=True)
                if isinstance(ours, _NormAct):
                    ours.drop, ours.act = norm.get_submodule("drop"), norm.get_submodule("act")
                parent.add_module(name, ours)


class _NormAct(BatchNorm2d):
    """Batch normalization with the activation behind it, as many of timm's models have it in one module."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor, valid: Tensor | None = None) -> Tensor:
        return self.act(self.drop(super().forward(input, valid)))


def _of_any_size(create: Callable[..., Any], fixed: bool) -> Any:
    """A model that takes pictures of any size, as most models do and others by an option.

    If it is for a ``fixed`` size and has no such option, a trial without memory shows what it does with another one.
    """
    dynamic, lenient = {"dynamic_img_size": True}, {"strict_img_size": False}
    for options in (dynamic | lenient, dynamic, lenient):
        with suppress(TypeError):  # of an option that it does not know
            return create(**options)
    if fixed:
        height, width = 96, 160
        with torch.device("meta"):
            trial = create(pretrained=False)
            found = trial(torch.empty(1, 3, height, width))
        for one, stride in zip(found, trial.feature_info.reduction(), strict=True):
            if [math.ceil(height / stride), math.ceil(width / stride)] not in ([*one.shape[1:3]], [*one.shape[2:4]]):
                raise RuntimeError(f"from pictures of {height} x {width} it makes maps of {list(one.shape)}")
    return create()
