"""Whether backbones of timm learn: from random weights on the generated shapes, in about the time of ``make demo``.

    python -m benchmarks.timm_backbones [PATTERN ...]

trains a small model of each family in Mask R-CNN, RetinaNet and FCOS, as the recipes of `detzoo.recipes.shapes` do with
a ResNet-18, and writes ``results/timm.csv``: a row per pair with box AP on the validation pictures, parameters and
seconds of the processor. A pattern, such as ``swin*`` or ``*fcos*``, trains only those whose name fits.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch

import detzoo
from benchmarks.machine import versions
from benchmarks.table import merge
from detzoo.backbones.timm_backbone import TimmBackbone
from detzoo.recipes.recipe import Recipe

ENOUGH = 0.3  # box AP
FAMILIES = {
    "ConvNeXt": TimmBackbone.Config(name="convnext_atto", norms=True),
    "Swin": TimmBackbone.Config(name="swin_tiny_patch4_window7_224", drop_path=0.0, norms=True),
    "EfficientNet": TimmBackbone.Config(name="efficientnet_b0"),
    "MobileNet": TimmBackbone.Config(name="mobilenetv2_100"),
}
RATES = {"Swin": 5e-4}  # learning rates; of the others 0.002
EPOCHS = {"Swin": 6}  # of the others 12, which take half as long each
# the shapes are too large to need the coarsest map; one-stage methods do without the finest, too
METHODS = {
    "mask_rcnn_r18_fpn_shapes": (-4, -3, -2),
    "retinanet_r18_fpn_shapes": (-3, -2),
    "fcos_r18_fpn_shapes": (-3, -2),
}
COLUMNS = ("family", "method")


def recipes() -> dict[tuple[str, str], Recipe]:
    """Each pair of a family and a method."""
    found = {}
    for family, backbone in FAMILIES.items():
        for name, maps in METHODS.items():
            base: Any = detzoo.find(name)
            method = name.removesuffix("_r18_fpn_shapes")
            model = base.model.replace(backbone=backbone.replace(out_indices=maps))
            epochs = EPOCHS.get(family, 12)
            schedule = base.schedule.replace(
                epochs=epochs, lr=RATES.get(family, 2e-3), evaluate_every=epochs, clip_norm=1.0
            )
            name = f"{method}_{backbone.name}_shapes"
            found[family, method] = base.replace(name=name, model=model, schedule=schedule)
    return found


def measure(family: str, method: str, recipe: Recipe) -> dict[str, Any]:
    """One row."""
    torch.manual_seed(0)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as out:
        trained = detzoo.train(recipe, out=out, device="cpu", progress=False, report=False)
        seconds = time.process_time() - started
        report = detzoo.evaluate(trained.detector, recipe.data, progress=False)
    ap = report.metrics["box_ap"]
    return {
        "family": family,
        "method": method,
        "backbone": recipe.model.backbone.title,
        "parameters": sum(value.numel() for value in trained.detector.parameters()),
        "box_ap": f"{ap:.3f}",
        "enough": "yes" if ap >= ENOUGH else "no",
        "training_seconds": f"{seconds:.0f}",
        "threads": torch.get_num_threads(),
        **versions(("torch", "timm")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", default=["*"])
    parser.add_argument("--out", type=Path, default=Path("results/timm.csv"))
    options = parser.parse_args()
    for (family, method), recipe in recipes().items():
        if any(fnmatch(recipe.name, pattern) for pattern in options.patterns):
            row = measure(family, method, recipe)
            print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
            order = {"family": tuple(FAMILIES), "method": tuple(method for _, method in recipes())}
            merge(options.out, [row], COLUMNS, order)


if __name__ == "__main__":
    main()
