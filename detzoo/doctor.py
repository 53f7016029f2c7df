"""What `detzoo doctor` looks at: versions, devices, optional parts, the cache, and a tiny run of every method."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

OLDEST_PYTHON = (3, 11)
WORTHWHILE = 1.2  # times as fast as in float32, from which half precision is advised


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: its name.
        found: what is there.
        mend: what to do about it; empty where nothing is wrong.
    """

    what: str
    found: str
    mend: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.mend


def examine() -> Iterator[Check]:
    """Look at everything, in an order in which an early problem explains the later ones.

    Yields:
        One `Check` each; a problem has a ``mend``. Nothing is raised.
    """
    yield _python()
    missing = False
    for check in _packages():
        missing |= not check.ok
        yield check
    yield from _optional()
    if missing:
        return
    yield _devices()
    yield _precisions()
    yield _cache()
    yield from _methods()


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    mend = "" if sys.version_info >= OLDEST_PYTHON else "install Python {}.{} or later".format(*OLDEST_PYTHON)
    return Check("Python", found, mend)


def _packages() -> Iterator[Check]:
    """Every dependency against the oldest version that the package's own metadata allows."""
    for requirement in metadata.requires("detzoo") or []:
        match = re.match(r"([\w.-]+)>=([\d.]+)$", requirement.split(";")[0].strip())
        if match is None or "extra ==" in requirement:
            continue
        name, oldest = match.groups()
        mend = f'pip install "{name}>={oldest}"'
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Check(name, "not installed", mend)
        else:
            yield Check(name, version, mend if _numbers(version) < _numbers(oldest) else "")


def _numbers(version: str) -> tuple[int, ...]:
    """``2.11.0+cu128`` as (2, 11, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _optional() -> Iterator[Check]:
    has = importlib.util.find_spec
    yield Check("video", "OpenCV is there" if has("cv2") else "no OpenCV; pip install 'detzoo[video]' to read videos")
    yield Check("triton", "there" if has("triton") else "not there; only a CUDA device would use it")


def _devices() -> Check:
    import torch

    found = [f"cpu with {torch.get_num_threads()} threads"]
    found += [f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return Check("devices", ", ".join(found))


def _precisions() -> Check:
    """How fast half precision is on each kind of device, and what to do about it."""
    import torch

    from detzoo.precision import PRECISIONS, is_half, speedup

    kinds = ["cpu"] + (["cuda"] if torch.cuda.is_available() else ["mps"] if torch.backends.mps.is_available() else [])
    half = {name: dtype for name, dtype in PRECISIONS.items() if is_half(dtype)}
    found = []
    for kind in kinds:
        speeds = {name: speedup(dtype, kind) for name, dtype in half.items()}
        told = [f"{name} {speed:.1f}x" if speed else f"{name} not at all" for name, speed in speeds.items()]
        best = max(speeds, key=lambda name: speeds[name])
        advice = f"use --precision {best}" if speeds[best] > WORTHWHILE else "stay with fp32"
        found.append(f"{kind} computes {' and '.join(told)} as fast as fp32: {advice}")
    return Check("precision", "; ".join(found))


def _cache() -> Check:
    """Whether weights can be kept where they are downloaded to."""
    from detzoo.recipes.download import cache_dir

    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check("weights cache", f"{folder}: {error.strerror}", "set DETZOO_CACHE to a folder you can write to")
    return Check("weights cache", f"{folder}, writable")


def _methods() -> Iterator[Check]:
    """Losses, gradients and detections of every method on the fastest device, on one small image."""
    import torch

    from detzoo.methods.gfl import GFL
    from detzoo.methods.ld import LD
    from detzoo.recipes import shapes
    from detzoo.recipes.recipe import METHODS
    from detzoo.types import Images, Targets

    small: dict[type, Any] = {type(recipe.model): recipe.model for recipe in shapes.RECIPES}

    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[:, 8:40, 8:40] = True
    boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    labels = torch.zeros(1, dtype=torch.int64)
    semantic = torch.zeros(8, 8, dtype=torch.int64)
    one = {"boxes": boxes, "labels": labels, "masks": masks, "proposals": boxes, "semantic": semantic}
    targets = Targets.pack([one]).to(device)
    images = Images(torch.zeros(1, 3, 64, 64), torch.tensor([[64, 64]])).to(device)
    for method in METHODS:
        start = time.perf_counter()
        try:
            settings = method.__dict__["Config"]
            detector = method(small.get(settings) or settings(), ("thing",)).to(device)
            if isinstance(detector, LD):
                detector.learn_from(GFL(small[GFL.Config], ("thing",)))
            losses = detector(images, targets)
            torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
            with torch.no_grad():
                given = {"proposals": targets.proposals} if method.takes_proposals else {}
                detector.eval().detect(images, **given)
        except Exception as error:  # whatever it is, the doctor reports it and goes on
            mend = "reinstall torch and torchvision as a pair that fits your driver; if that is no help, report this"
            yield Check(method.__name__, f"{type(error).__name__} on {device}: {error}", mend)
        else:
            yield Check(method.__name__, f"runs on {device}, {time.perf_counter() - start:.1f} s")
