"""Class names of the public data sets, in the order of the published models' labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

MOST_CLASSES = 1 << 16

# COCO 2017 detection (Lin et al., "Microsoft COCO: Common Objects in Context", arXiv 1405.0312)
COCO_CLASSES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)
# the category id of each of them in COCO's annotation files, which leave ten numbers out
COCO_CATEGORY_IDS = tuple(number for number in range(1, 91) if number not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83})

# Pascal VOC 2007 and 2012 (Everingham et al., IJCV 2010)
VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)

# Cityscapes instances (Cordts et al., arXiv 1604.01685)
CITYSCAPES_CLASSES = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")

# DeepFashion In-shop segmentation (Liu et al., CVPR 2016), in the order of the published model's labels
DEEPFASHION_CLASSES = (
    *("top", "skirt", "leggings", "dress", "outer", "pants", "bag", "neckwear", "headwear", "eyeglass"),
    *("belt", "footwear", "hair", "skin", "face"),
)


def _listed(file: str) -> tuple[str, ...]:
    """The names in a file beside this one, which commas part."""
    return tuple(map(str.strip, Path(__file__).with_name(file).read_text(encoding="utf-8").split(",")))


# LVIS (Gupta et al., arXiv 1908.03195), spelled as in its annotation files, by ascending category id
LVIS_V05_CLASSES = _listed("lvis_v0.5.txt")
LVIS_V1_CLASSES = _listed("lvis_v1.txt")

# the generated data set of detzoo.data.shapes
SHAPES_CLASSES = ("circle", "square", "triangle", "star", "cross")


def checked(classes: Any) -> tuple[str, ...]:
    """Class names as a tuple.

    Raises:
        TypeError: they are no list of texts.
        ValueError: there are none or too many, one is there twice, or is no text that can be written.
    """
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not all(isinstance(c, str) for c in classes):
        raise TypeError(f"classes takes a list of names such as ['cat', 'dog'], not {shortened(classes)}")
    if not 1 <= len(classes) <= MOST_CLASSES:
        raise ValueError(
            f"classes has {len(classes)} names; a detector needs at least one class name, at most {MOST_CLASSES}"
        )
    twice = sorted(name for name, count in Counter(classes).items() if count > 1)
    if twice:
        more = f" and {len(twice) - 5} others" if len(twice) > 5 else ""
        raise ValueError(f"classes names {', '.join(map(shortened, twice[:5]))}{more} more than once")
    for name in classes:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"classes has a name that is no text: {shortened(name)}") from None
    return tuple(classes)
