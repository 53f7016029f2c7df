"""Object detection and instance segmentation: every published detector of two large zoos on today's PyTorch.

The public words are imported when first used, so that ``import detzoo`` costs next to nothing.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from detzoo import data
    from detzoo.detector import Detector
    from detzoo.evaluate.run import evaluate
    from detzoo.interop.mmdet.importer import from_mmdet
    from detzoo.interop.paddle.importer import from_paddle
    from detzoo.predict.result import Result
    from detzoo.recipes.index import names
    from detzoo.recipes.recipe import Recipe
    from detzoo.recipes.zoo import build, find, load
    from detzoo.train.loop import train
    from detzoo.tta import TTA
    from detzoo.types import Detections, Images, Targets

_HOMES = {
    "TTA": "detzoo.tta",
    "Detections": "detzoo.types",
    "Detector": "detzoo.detector",
    "Images": "detzoo.types",
    "Recipe": "detzoo.recipes.recipe",
    "Result": "detzoo.predict.result",
    "Targets": "detzoo.types",
    "build": "detzoo.recipes.zoo",
    "evaluate": "detzoo.evaluate.run",
    "find": "detzoo.recipes.zoo",
    "from_mmdet": "detzoo.interop.mmdet.importer",
    "from_paddle": "detzoo.interop.paddle.importer",
    "load": "detzoo.recipes.zoo",
    "names": "detzoo.recipes.index",
    "train": "detzoo.train.loop",
}

__all__ = [
    "TTA",
    "Detections",
    "Detector",
    "Images",
    "Recipe",
    "Result",
    "Targets",
    "__version__",
    "build",
    "data",
    "evaluate",
    "find",
    "from_mmdet",
    "from_paddle",
    "load",
    "names",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "data":  # a room with public words of its own, such as detzoo.data.join
        return importlib.import_module("detzoo.data")
    if name not in _HOMES:
        raise AttributeError(f"module 'detzoo' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Word(ModuleType):
    """A package that is the public function of its name too: `detzoo.train(...)` beside `detzoo.train.loop`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._word(*args, **kwargs)

    @property
    def _word(self) -> Any:
        return __getattr__(self.__name__.rpartition(".")[2])

    @property
    def __signature__(self) -> inspect.Signature:
        """What `inspect.signature` and editors show."""
        return inspect.signature(self._word)


class _Package(ModuleType):
    """Importing `detzoo.train.loop` sets `detzoo.train` to that package, which then has to remain callable."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _HOMES and type(value) is ModuleType:
            value.__class__ = _Word
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
