"""Copy recorded cases into tests/golden: ``python -m tests.parity.import_cases DIR [PATTERN]``."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch

from detzoo.methods.detr import DETR
from tests.parity import standin
from tests.parity.cases import CASES
from tests.parity.golden import GOLDEN, Golden, add, convert, load
from tests.parity.matching import recovered_matching
from tests.parity.recover import recovered_proposals
from tests.parity.ties import TwoStage


def main(arguments: list[str]) -> None:
    if len(arguments) not in (1, 2) or not Path(arguments[0]).is_dir():
        raise SystemExit("usage: python -m tests.parity.import_cases DIR [PATTERN]; DIR holds <case>.json and .npz")
    names = [name for name in CASES if fnmatchcase(name, arguments[1] if len(arguments) == 2 else "*")]
    for name in names:
        convert(Path(arguments[0]), name)
        _add_tied_proposals(name)
        _add_tied_matching(name)
    size = sum((GOLDEN / f"{name}.npz").stat().st_size for name in names)
    print(f"{len(names)} cases, {size / 1000:.0f} kB in {GOLDEN}")


def _add_tied_proposals(name: str) -> None:
    model, golden = CASES[name].build().eval(), load(name)
    if isinstance(model, TwoStage):
        model.load_published(standin.weights(golden.shapes, golden.gain))
        if _scores_tie(model, golden):
            try:
                found = recovered_proposals(model, golden)
            except RuntimeError as error:  # such a case is compared without; it differs before its proposals
                print(f"{name}: {error}")
                return
            add(name, {f"proposals.{index}": one for index, one in enumerate(found)})


@torch.no_grad()
def _scores_tie(model: TwoStage, golden: Golden) -> bool:
    """Whether proposals of one image score exactly alike."""
    images = standin.images(golden.canvas, golden.sizes)
    found = model.rpn.propose(model.rpn(model.neck(model.backbone(images.pixels))), images, training=False)
    used = [scores[valid].numpy() for scores, valid in zip(found.scores, found.valid, strict=True)]
    return any(len(np.unique(one)) < len(one) for one in used)


def _add_tied_matching(name: str) -> None:
    model, golden = CASES[name].build(), load(name)
    if isinstance(model, DETR):
        model.load_published(standin.weights(golden.shapes, golden.gain))
        found = recovered_matching(model, golden)
        if found is not None:
            add(name, {"matching": found.astype(np.int8)})


if __name__ == "__main__":
    main(sys.argv[1:])
