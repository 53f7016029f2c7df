"""What an exported file says of itself, as texts by name: metadata that every format has room for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detzoo import __version__
from detzoo.config import ConfigError, flatten, from_json, to_json
from detzoo.detector import Detector, Input
from detzoo.evaluate.tta import suppression_of
from detzoo.recipes.classes import checked
from detzoo.recipes.recipe import Recipe

FORMAT = "1"
_DECIDES = ("threshold", "nms")  # settings by whose names a reader knows which boxes were kept


class ExportedFileError(ValueError):
    """A file that `Detector.export` has not written, that is damaged, or that cannot run here."""


@dataclass(frozen=True)
class FileInfo:
    """How a file's input is made and its output is read.

    Attributes:
        classes: names by label.
        input: how a picture becomes the network's input; ``mean``, ``std`` and ``order`` are seen to inside.
        least: height and width of the smallest input, pixels.
        size: height and width of the only input that it takes, pixels; None: any that `input` makes.
        suppression: IoU, settings of soft suppression, and most detections, of the method's last suppression.
        thresholds: the settings that decide which boxes are kept, by their paths.
        recipe: name of the recipe, or empty.
        method: name of the method's class.
        precision: what it computes in: ``fp32``, ``fp16`` or ``int8``.
        masks: ``crops``, probabilities inside of boxes, ``dense``, masks on the input, or empty.
        mask_threshold: a pixel is inside where its pasted probability is at least this.
        finds_classes: False: boxes of any class.
        takes_proposals: there is an input ``proposals``.
        version: of detzoo.
    """

    classes: tuple[str, ...]
    input: Input
    least: tuple[int, int]
    size: tuple[int, int] | None
    suppression: dict[str, Any]
    thresholds: dict[str, Any]
    recipe: str
    method: str
    precision: str
    masks: str
    mask_threshold: float
    finds_classes: bool
    takes_proposals: bool
    version: str = __version__

    def texts(self) -> dict[str, str]:
        """The same as texts by name."""
        values = {name: json.dumps(value) for name, value in vars(self).items() if name != "input"}
        words = {name: getattr(self, name) for name in ("recipe", "method", "precision", "masks", "version")}
        return {"detzoo": FORMAT, **values, **words, "input": to_json(self.input, indent=None)}


def info_of(
    detector: Detector, precision: str, masks: str, mask_threshold: float, least: tuple[int, int], size: Any
) -> FileInfo:
    """What a file with this detector in it says; arguments as the attributes of `FileInfo`."""
    rule = suppression_of(detector)
    recipe = detector.recipe
    return FileInfo(
        classes=detector.classes,
        input=detector.config.input,
        least=least,
        size=size,
        suppression={"nms": rule.nms, "soft_nms": rule.soft, "detections": rule.detections},
        thresholds={k: v for k, v in flatten(detector.config).items() if k.rpartition(".")[2] in _DECIDES},
        recipe=recipe.name if isinstance(recipe, Recipe) else "",
        method=type(detector).__name__,
        precision=precision,
        masks=masks,
        mask_threshold=mask_threshold,
        finds_classes=type(detector).finds_classes,
        takes_proposals=type(detector).takes_proposals,
    )


def read_info(path: Any, texts: Mapping[str, str]) -> FileInfo:
    """What a file's metadata say.

    Raises:
        ExportedFileError: it is not from `Detector.export`, from a newer version, or damaged.
    """
    if "detzoo" not in texts:
        raise ExportedFileError(f"{path} was not written by detzoo: it does not say how its input is made")
    if texts["detzoo"] != FORMAT:
        raise ExportedFileError(f"{path} has format {texts['detzoo'][:20]!r}, this version reads {FORMAT}")
    try:
        words = {name: texts[name] for name in ("recipe", "method", "precision", "masks", "version")}
        names = set(FileInfo.__dataclass_fields__) - set(words) - {"input"}
        values = {name: json.loads(texts[name]) for name in names}
        values["classes"] = checked(values["classes"])
        values["least"] = _pair(values["least"])
        values["size"] = None if values["size"] is None else _pair(values["size"])
        rule = values["suppression"] = dict(values["suppression"])
        if set(rule) != {"nms", "soft_nms", "detections"}:
            raise ValueError("its suppression is not described")
        return FileInfo(input=from_json(Input, texts["input"]), **words, **values)
    except (KeyError, ValueError, TypeError, RecursionError, ConfigError) as error:
        raise ExportedFileError(f"{path} is damaged: {type(error).__name__}: {str(error)[:200]}") from None


def _pair(value: Any) -> tuple[int, int]:
    height, width = value
    return int(height), int(width)
