"""How DETR learns the generated shapes, beside transformers' DETR of the same size on the same batches.

    python -m benchmarks.detr_curves

trains both as the recipe ``detr_r18_shapes`` says, with the same optimizer, pictures and order of pictures, and writes
``results/detr_curves.csv``: a row per epoch and side with the training loss, minutes of the processor so far, and box
AP where it was measured. As published, the backbone has learned before: here with `TEACHER`, on the recipe's pictures,
in minutes that do not count; it stays as it is, which makes updates far faster, and there are ten times as many
pictures as in the recipe, as DETR learns 360 of them by heart. All else starts from each library's own initial weights.
``--start nothing`` is the recipe as it stands, whose backbone starts at random, too. transformers is the extra
``bench``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

import detzoo
from benchmarks.machine import versions
from benchmarks.table import merge
from detzoo.detector import Detector
from detzoo.methods.detr import DETR
from detzoo.ops.boxes import clip, from_centres, to_centres
from detzoo.recipes.settings import Split
from detzoo.types import Detections, Images, Targets

RECIPE, TEACHER = "detr_r18_shapes", "fcos_r18_fpn_shapes"
WHO, STARTS = ("detzoo", "transformers"), ("backbone", "nothing")
PICTURES, EPOCHS, EVERY = 3600, 24, 4  # with a backbone that has learned before
COLUMNS = ("who", "start", "epoch")


class _Backbone(nn.Module):
    """Ours, as transformers' DETR calls one."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.body = backbone

    def forward(self, pixels: Tensor, seen: Tensor) -> list[tuple[Tensor, Tensor]]:
        features = self.body(pixels)[-1]
        return [(features, nn.functional.interpolate(seen[None].float(), size=features.shape[-2:])[0].bool())]


class TransformersDETR(Detector):
    """transformers' DETR on our backbone, as a method that `detzoo.train` takes."""

    class Config(DETR.Config):
        """Settings of `DETR`, of which its neck is the width only."""

        method: Literal["transformers_detr"] = "transformers_detr"  # pyright: ignore[reportIncompatibleVariableOverride] # its own name

    def __init__(self, config: TransformersDETR.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.detections = config.detections
        self.backbone = config.backbone.build()
        width, encoder, decoder = config.neck.out_channels, config.encoder, config.decoder
        settings: dict[str, Any] = {"d_model": width, "num_queries": config.queries, "num_labels": len(classes)}
        for name, part in (("encoder", encoder), ("decoder", decoder)):
            settings |= {f"{name}_layers": part.layers, f"{name}_attention_heads": part.heads}
            settings[f"{name}_ffn_dim"] = part.hidden
        settings |= dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), encoder.dropout)
        small: dict[str, Any] = {"depths": [1], "hidden_sizes": [8], "embedding_size": 8, "out_features": ["stage1"]}
        self.model: Any = DetrForObjectDetection(
            DetrConfig(backbone_config=ResNetConfig(**small), auxiliary_loss=True, **settings)
        )
        self.model.model.backbone = _Backbone(self.backbone)
        self.model.model.position_embedding.temperature = config.temperature
        self.model.model.input_projection = nn.Conv2d(self.backbone.channels[-1], width, 1)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """One loss, the sum of all."""
        scales = images.sizes.flip(1).repeat(1, 2)
        wanted = [
            {"class_labels": labels[valid], "boxes": to_centres(boxes[valid]) / scale}
            for boxes, labels, valid, scale in zip(targets.boxes, targets.labels, targets.valid, scales, strict=True)
        ]
        return {"loss": self.model(images.pixels, self._seen(images), labels=wanted).loss}

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input: every query with its likeliest class."""
        found = self.model(images.pixels, self._seen(images))
        scores, labels = found.logits.softmax(-1)[..., :-1].max(-1)
        scores, order = scores.sort(1, descending=True)
        boxes = from_centres(found.pred_boxes) * images.sizes.flip(1).repeat(1, 2).unsqueeze(1)
        boxes = clip(boxes.gather(1, order.unsqueeze(2).expand_as(boxes)), images.sizes)
        return Detections(boxes, scores, labels.gather(1, order), torch.ones_like(order, dtype=torch.bool))

    def _seen(self, images: Images) -> Tensor:
        """Pixels that belong to a picture, ``[N, H, W]``."""
        rows = torch.arange(images.pixels.shape[2]) < images.sizes[:, :1]
        columns = torch.arange(images.pixels.shape[3]) < images.sizes[:, 1:]
        return (rows[:, :, None] & columns[:, None, :]).long()


def learned() -> Detector:
    """A detector whose backbone is that of the recipe."""
    with tempfile.TemporaryDirectory() as folder:
        return detzoo.train(TEACHER, out=folder, device="cpu", workers=0, progress=False, report=False).detector


def curve(who: str, start: Detector | None, epochs: int | None) -> list[dict[str, Any]]:
    """The rows of one side."""
    recipe: Any = detzoo.find(RECIPE)
    weights: dict[str, Tensor] | None = None
    if start is not None:
        state = start.get_submodule("backbone").state_dict()
        places = ("backbone.", *(("model.model.backbone.body.",) if who == "transformers" else ()))
        weights = {place + name: value for place in places for name, value in state.items()}
        frozen = recipe.model.backbone.replace(frozen_stages=3, norm_eval=True)
        recipe = recipe.replace(
            model=recipe.model.replace(backbone=frozen),
            data=recipe.data.replace(train=(Split(count=PICTURES),)),
            schedule=recipe.schedule.replace(epochs=EPOCHS, evaluate_every=EVERY),
        )
    if who == "transformers":
        settings = {name: getattr(recipe.model, name) for name in type(recipe.model).model_fields if name != "method"}
        recipe = recipe.replace(model=TransformersDETR.Config(**settings))
    if epochs is not None:
        recipe = recipe.replace(schedule=recipe.schedule.replace(epochs=epochs))
    torch.manual_seed(0)
    started, minutes = time.process_time(), []

    class Clock:
        def on_epoch(self, *_: Any) -> None:
            minutes.append((time.process_time() - started) / 60)

    with tempfile.TemporaryDirectory() as folder:
        trained = detzoo.train(
            recipe,
            out=folder,
            weights=weights,
            device="cpu",
            workers=0,
            progress=False,
            report=False,
            callbacks=[Clock()],
        )
    rows = []
    for entry, spent in zip(trained.history, minutes, strict=True):
        losses = [value for name, value in entry["losses"].items() if "loss" in name and name != "loss"]
        rows.append(
            {
                "who": who,
                "start": STARTS[start is None],
                "epoch": str(entry["epoch"]),
                "updates": entry["update"],
                "minutes": f"{spent:.1f}",
                "loss": f"{sum(losses) if losses else entry['losses']['loss']:.3f}",
                "box_ap": f"{entry['metrics']['box_ap']:.3f}" if entry.get("metrics") else "",
                "threads": torch.get_num_threads(),
                **versions(("torch", "transformers")),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, help=f"default: {EPOCHS}, or those of the recipe")
    parser.add_argument("--who", choices=WHO, action="append", help="default: both")
    parser.add_argument("--start", choices=STARTS, default=STARTS[0], help="what has learned before (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("results/detr_curves.csv"))
    options = parser.parse_args()
    start = learned() if options.start == "backbone" else None
    for who in options.who or WHO:
        rows = curve(who, start, options.epochs)
        merge(options.out, rows, COLUMNS, {"who": WHO, "start": STARTS})
        print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
