"""Small annotated data sets on disk, for the tests of `detzoo.data`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]


def draw(path: Path, height: int = 20, width: int = 30, seed: int = 0) -> Path:
    """Write a picture of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return path


def thing(
    number: int, image: Any, box: Sequence[float | None] | None, category: Any = 1, **more: Any
) -> dict[str, Any]:
    """A COCO annotation."""
    return {"id": number, "image_id": image, "category_id": category, "bbox": box, **more}


def write_coco(
    root: Path,
    annotations: Iterable[Mapping[str, Any]],
    images: Sequence[Any] = (1, 2),
    categories: Mapping[int, str] | None = None,
    file: str = "train.json",
    size: tuple[int, int] = (20, 30),
) -> Path:
    """Write a COCO file and a picture ``images/<id>.png`` for each image id."""
    for seed, number in enumerate(images):
        draw(root / "images" / f"{number}.png", *size, seed)
    content = {
        "images": [
            {"id": number, "file_name": f"{number}.png", "height": size[0], "width": size[1]} for number in images
        ],
        "annotations": list(annotations),
        "categories": [{"id": number, "name": name} for number, name in (categories or {1: "cat"}).items()],
    }
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_voc(root: Path, images: Mapping[str, Sequence[tuple[str, Box]]], split: str = "train") -> Path:
    """Write VOC pictures of 20 x 30 pixels, their XML files with 1-based boxes, and the list of a split."""
    for folder in ("Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, objects in images.items():
        draw(root / "JPEGImages" / f"{name}.jpg")
        text = "".join(
            f"<object><name>{label.removesuffix('!')}</name><difficult>{int(label.endswith('!'))}</difficult><bndbox>"
            f"<xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
            for label, box in objects
        )
        xml = f"<annotation><size><width>30</width><height>20</height></size>{text}</annotation>"
        (root / "Annotations" / f"{name}.xml").write_text(xml)
    path = root / "ImageSets/Main" / f"{split}.txt"
    path.write_text("\n".join(images) + "\n")
    return path
