"""A detector that knows the answers: each test image has one grey level, by which it is recognized."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from detzoo.detector import Detector, DetectorConfig, Input
from detzoo.ops.mask_windows import MaskWindows
from detzoo.ops.roi_align import crop_targets
from detzoo.types import Detections, Images

GRID = 28


@dataclass(frozen=True)
class Answer:
    """Detections of one image, in pixels of its file, by falling score; ``masks`` bool (K, H, W) or None."""

    size: tuple[int, int]
    boxes: torch.Tensor
    scores: torch.Tensor
    labels: torch.Tensor
    masks: torch.Tensor | None = None


class Oracle(Detector):
    """Answers by the grey level of each image's first pixel, for at most ``slots`` detections."""

    def __init__(self, classes: Sequence[str], answers: Mapping[int, Answer], slots: int = 12, dense: bool = False):
        super().__init__(DetectorConfig(input=Input(short=96, long=160)), classes)
        self.answers, self.slots, self.dense = answers, slots, dense
        self.layer = torch.nn.Dropout()  # has a training flag of its own
        self.calls: list[tuple[int, ...]] = []

    def detect(self, images: Images) -> Detections:
        assert not self.training
        assert torch.is_inference_mode_enabled()
        self.calls.append(tuple(images.pixels.shape))
        count, _, height, width = images.pixels.shape
        levels = (images.pixels[:, :, 0, 0] * self.pixel_std.flatten() + self.pixel_mean.flatten()).mean(1).round()
        out: dict[str, Any] = {
            "boxes": torch.zeros(count, self.slots, 4),
            "scores": torch.zeros(count, self.slots),
            "labels": torch.zeros(count, self.slots, dtype=torch.long),
            "valid": torch.zeros(count, self.slots, dtype=torch.bool),
        }
        answers = [self.answers[int(level)] for level in levels]
        if any(answer.masks is not None for answer in answers):
            shape = (height, width) if self.dense else (GRID, GRID)
            name = "dense" if self.dense else "crops"
            out[name] = torch.zeros(count, self.slots, *shape, dtype=torch.bool if self.dense else torch.float32)
        for row, answer in enumerate(answers):
            some = slice(0, len(answer.boxes))
            assert images.scales is not None
            factors = images.scales[row].flip(0).repeat(2)
            out["boxes"][row, some] = answer.boxes * factors
            out["scores"][row, some], out["labels"][row, some] = answer.scores, answer.labels
            out["valid"][row, some] = True
            if answer.masks is not None and self.dense:
                h, w = images.sizes[row].tolist()
                small = torch.nn.functional.interpolate(answer.masks[None].float(), (h, w), mode="nearest-exact")
                out["dense"][row, some, :h, :w] = small[0] > 0.5
            elif answer.masks is not None:
                index = torch.arange(len(answer.boxes))[None]
                out["crops"][row, some] = crop_targets(
                    MaskWindows.of(answer.masks[None]), answer.boxes[None], index, GRID
                )[0]
        return Detections(**out, canvas=(height, width))


def write_images(folder: Path, sizes: Sequence[tuple[int, int]]) -> list[Path]:
    """Image ``i`` has grey level ``10 * (i + 1)`` and ``sizes[i]`` (height, width)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, (height, width) in enumerate(sizes):
        paths.append(folder / f"{index:03d}.png")
        Image.fromarray(np.full((height, width, 3), level(index), np.uint8)).save(paths[-1])
    return paths


def level(index: int) -> int:
    """The grey level of image ``index``."""
    return 10 * (index + 1)


def scene(seed: int, sizes: Sequence[tuple[int, int]], categories: Mapping[int, str]) -> dict[str, Any]:
    """A COCO file's contents: rectangles with RLE masks of a triangle in them, a crowd, unordered ids."""
    random = np.random.default_rng(seed)
    import hotcoco

    images, annotations = [], []
    for index, (height, width) in enumerate(sizes):
        images.append({"id": 100 - 7 * index, "file_name": f"{index:03d}.png", "height": height, "width": width})
        for number in range(int(random.integers(2, 6))):
            x, y = random.integers(0, (width - 24, height - 24)).tolist()
            w, h = random.integers(10, (width - x, height - y)).tolist()
            mask = np.zeros((height, width), np.uint8)
            mask[y : y + h, x : x + w] = np.tri(h, w, w // 3) if number else 1
            rle = hotcoco.mask.encode(mask)
            annotations.append(
                {
                    "id": len(annotations) + 50,
                    "image_id": images[-1]["id"],
                    "category_id": int(random.choice(list(categories))),
                    "bbox": [x, y, w, h],
                    "area": int(mask.sum()),
                    "iscrowd": int(number == 3),
                    "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
                }
            )
    listed = [{"id": number, "name": name} for number, name in categories.items()]
    return {"images": images, "annotations": annotations, "categories": listed}


def answers(
    contents: Mapping[str, Any], classes: Sequence[str], noise: float, seed: int = 0, masks: bool = False
) -> dict[int, Answer]:
    """What a detector with these classes might find: the objects, moved by ``noise`` pixels, and a few mistakes."""
    random = np.random.default_rng(seed)
    import hotcoco

    names = {entry["id"]: entry["name"] for entry in contents["categories"]}
    found = {}
    for index, image in enumerate(contents["images"]):
        objects = [entry for entry in contents["annotations"] if entry["image_id"] == image["id"]]
        boxes = np.array([entry["bbox"] for entry in objects], dtype=np.float64)
        boxes[:, 2:] += boxes[:, :2]
        boxes += random.normal(0, noise, boxes.shape) if noise else 0
        boxes = np.clip(boxes, 0, [image["width"], image["height"]] * 2)
        labels = [classes.index(names[entry["category_id"]]) for entry in objects]
        if noise:
            labels[-1] = int(random.integers(len(classes)))
        scores = np.sort(random.integers(1, 100, len(objects)) / 100)[::-1].copy()
        drawn = np.stack([hotcoco.mask.decode(entry["segmentation"]) for entry in objects]).astype(bool)
        found[level(index)] = Answer(
            size=(image["height"], image["width"]),
            boxes=torch.from_numpy(boxes).float(),
            scores=torch.from_numpy(scores).float(),
            labels=torch.tensor(labels),
            masks=torch.from_numpy(drawn) if masks else None,
        )
    return found


def write_coco(folder: Path, contents: Mapping[str, Any]) -> Path:
    """A folder in COCO layout with ``contents`` to validate on, and its images."""
    write_images(folder / "images", [(image["height"], image["width"]) for image in contents["images"]])
    (folder / "val.json").write_text(json.dumps(contents))
    return folder
