"""transformers' DETR, on its own ResNet, beside ours: the same architecture, the same weights, the same settings.

Weights are random and copied from theirs into ours. Batch normalization is fixed and the stem and first stage are
frozen on both sides; both learn from every decoder layer. On the same input, results and losses are equal.

What differs: transformers' results are neither sorted nor cut off at the borders of the picture. Its image processor is
left out, pictures are normalized here: it would take more time than the rest of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import DetrConfig, DetrForObjectDetection, DetrImageProcessor, ResNetConfig

from benchmarks.scenes import Item
from benchmarks.sides import Side
from detzoo.backbones.resnet import BLOCKS, ResNet
from detzoo.blocks.transformer import TransformerConfig
from detzoo.detector import Detector, Input
from detzoo.methods.detr import DETR
from detzoo.ops.boxes import to_centres
from detzoo.types import Images

METHODS = ("detr",)
CLASSES = 91  # COCO's category ids from 0, as transformers counts them


class Transformers(Side):
    """transformers' DETR."""

    who = "transformers"

    def __init__(self, model: nn.Module) -> None:
        self.model: Any = model
        self.processor: Any = DetrImageProcessor()
        self.mean = torch.tensor(Input().mean).view(3, 1, 1)
        self.std = torch.tensor(Input().std).view(3, 1, 1)

    def to(self, device: torch.device) -> None:
        super().to(device)
        self.mean, self.std = self.mean.to(device), self.std.to(device)

    def predict(self, pictures: Tensor) -> Callable[[], int]:
        self.model.eval()

        def run() -> int:
            return sum(len(result["boxes"]) for result in self._results(self._input(pictures)))

        return torch.no_grad()(run)

    def learn(self, pictures: Tensor, items: list[Item]) -> Callable[[], Tensor]:
        self.model.train()
        sizes = torch.tensor([pictures.shape[-2:]] * len(pictures), device=pictures.device)
        wanted = self._targets(items, sizes)
        return lambda: self._loss(self._input(pictures), wanted)

    def detect(self, images: Images) -> Callable[[], object]:
        self.model.eval()
        return torch.no_grad()(lambda: self._results(images))

    def losses(self, images: Images, items: list[Item]) -> Callable[[], Tensor]:
        self.model.train()
        wanted = self._targets(items, images.sizes)
        return lambda: self._loss(images, wanted)

    def _input(self, pictures: Tensor) -> Images:
        sizes = torch.tensor([pictures.shape[-2:]] * len(pictures), device=pictures.device)
        return Images((pictures.float() - self.mean) / self.std, sizes)

    def _seen(self, images: Images) -> Tensor:
        """transformers' mask of the pixels that belong to a picture."""
        rows = torch.arange(images.pixels.shape[2], device=images.sizes.device) < images.sizes[:, :1]
        columns = torch.arange(images.pixels.shape[3], device=images.sizes.device) < images.sizes[:, 1:]
        return (rows[:, :, None] & columns[:, None, :]).long()

    def _results(self, images: Images) -> list[dict[str, Tensor]]:
        found = self.model(images.pixels, self._seen(images))
        return self.processor.post_process_object_detection(found, 0.0, images.sizes)

    def _loss(self, images: Images, wanted: list[dict[str, Tensor]]) -> Tensor:
        return self.model(images.pixels, self._seen(images), labels=wanted).loss

    def _targets(self, items: list[Item], sizes: Tensor) -> list[dict[str, Tensor]]:
        """Objects as transformers takes them: centre and size as parts of the picture's."""
        scales = sizes.flip(1).repeat(1, 2).float()
        return [
            {"class_labels": item["labels"], "boxes": to_centres(item["boxes"]) / scale}
            for item, scale in zip(items, scales, strict=True)
        ]


def theirs(method: str, size: tuple[int, int], depth: int = 50, proposals: int = 1000, rois: int = 512) -> Transformers:
    """transformers', with random weights; arguments as `benchmarks.peers.make_pair`, the last two without use."""
    widths = [64, 128, 256, 512] if depth < 50 else [256, 512, 1024, 2048]
    # some of these are not declared as parameters, but taken as keywords
    body: dict[str, Any] = {"depths": list(BLOCKS[depth]), "hidden_sizes": widths, "out_features": ["stage4"]}
    body["layer_type"] = "basic" if depth < 50 else "bottleneck"
    settings: dict[str, Any] = {"num_labels": CLASSES, "auxiliary_loss": True}
    settings |= dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), 0.1)
    model = DetrForObjectDetection(DetrConfig(backbone_config=ResNetConfig(**body), **settings))
    # transformers means to freeze as much, but misses the names and freezes the whole backbone
    for name, parameter in model.named_parameters():
        if re.search(r"\.encoder\.stages\.[123]\.", name):
            parameter.requires_grad_(True)
    return Transformers(model.train())


def ours(method: str, depth: int = 50, proposals: int = 1000, rois: int = 512) -> Detector:
    """Ours, with random weights; arguments as `theirs`."""
    backbone = ResNet.Config(depth=cast(Any, depth), out_stages=(4,), norm_frozen=True)
    part = TransformerConfig()
    return DETR(DETR.Config(backbone=backbone, encoder=part, decoder=part), [str(label) for label in range(CLASSES)])


@torch.no_grad()
def scale(side: Transformers, pictures: Tensor) -> None:
    """Damp residual branches, as fixed statistics do not keep them in bounds, and spread the boxes."""
    for name, buffer in side.model.named_buffers():
        if re.search(r"layer\.[12]\.normalization\.weight$", name):
            buffer.fill_(0.3)
    nn.init.normal_(side.model.bbox_predictor.layers[-1].weight, std=0.2)


_NAMES = (
    (r"^model\.backbone\.model\.embedder\.embedder\.convolution\.", "backbone.conv1."),
    (r"^model\.backbone\.model\.embedder\.embedder\.normalization\.", "backbone.bn1."),
    (r"^model\.input_projection\.", "neck.convs.0.conv."),
    (r"^model\.query_position_embeddings\.", "queries."),
    (r"^class_labels_classifier\.", "cls."),
    (r"^bbox_predictor\.layers\.0\.", "reg_ffn.layers.0.0."),
    (r"^bbox_predictor\.layers\.1\.", "reg_ffn.layers.1."),
    (r"^bbox_predictor\.layers\.2\.", "reg."),
    (r"^model\.decoder\.layernorm\.", "decoder.post_norm."),
    (r"^model\.(\w+\.layers\.\d+)\.mlp\.fc1\.", r"\1.ffn.layers.0.0."),
    (r"^model\.(\w+\.layers\.\d+)\.mlp\.fc2\.", r"\1.ffn.layers.1."),
    (r"^model\.(\w+\.layers\.\d+)\.self_attn\.o_proj\.", r"\1.self_attn.out_proj."),
    (r"^model\.(\w+\.layers\.\d+)\.encoder_attn\.o_proj\.", r"\1.cross_attn.out_proj."),
    (r"^model\.(\w+\.layers\.\d+)\.self_attn_layer_norm\.", r"\1.norms.0."),
    (r"^model\.(encoder\.layers\.\d+)\.final_layer_norm\.", r"\1.norms.1."),
    (r"^model\.(decoder\.layers\.\d+)\.encoder_attn_layer_norm\.", r"\1.norms.1."),
    (r"^model\.(decoder\.layers\.\d+)\.final_layer_norm\.", r"\1.norms.2."),
)
_ATTENTION = re.compile(r"^model\.(\w+\.layers\.\d+)\.(self|encoder)_attn\.([qkv])_proj\.(weight|bias)$")
_RESIDUAL = re.compile(r"^model\.backbone\.model\.encoder\.stages\.(\d)\.layers\.(\d+)\.(.+)$")


def translate(state: dict[str, Tensor], method: str) -> dict[str, Tensor]:
    """transformers' weights under our names; the three projections of an attention become one.

    Raises:
        ValueError: there is a parameter that has no name here.
    """
    translated: dict[str, Tensor] = {}
    projections: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        if attention := _ATTENTION.match(name):
            layer, kind, part, leaf = attention.groups()
            ours = f"{layer}.{'self' if kind == 'self' else 'cross'}_attn.in_proj_{leaf}"
            projections.setdefault(ours, {})[part] = value
        elif residual := _RESIDUAL.match(name):
            stage, block, rest = residual.groups()
            translated[f"backbone.layer{int(stage) + 1}.{block}.{_in_block(rest)}"] = value
        else:
            hits = [re.sub(pattern, ours, name) for pattern, ours in _NAMES if re.search(pattern, name)]
            if not hits:
                raise ValueError(f"transformers' {method} has a parameter that is not known here: {name}")
            translated[hits[0]] = value
    return translated | {name: torch.cat([parts[part] for part in "qkv"]) for name, parts in projections.items()}


def _in_block(rest: str) -> str:
    """``layer.1.normalization.bias`` -> ``bn2.bias``, ``shortcut.convolution.weight`` -> ``downsample.0.weight``."""
    if rest.startswith("shortcut."):
        return re.sub(r"^shortcut\.(convolution|normalization)", lambda m: f"downsample.{'cn'.index(m[1][0])}", rest)
    _, number, part, leaf = rest.split(".")
    return f"{'conv' if part == 'convolution' else 'bn'}{int(number) + 1}.{leaf}"
