"""What equality means where several matchings cost the same.

With stand-in weights DETR's hundred queries say nearly the same, so there may be matchings whose costs differ by less
than rounding: two queries with their objects exchanged. Losses are then equal, too, but not the gradients of these
queries. Which matching the original took is recovered from its recorded gradients, kept with the case, checked to be of
least cost, and taken for losses and gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detzoo.detector import Detector
from detzoo.methods.detr import DETR
from detzoo.types import Images, Targets
from tests.parity import standin
from tests.parity.golden import Golden, thin

TIE = 1e-6  # relative excess of a total cost below which it counts as least
RECORDED, OURS = "grad.query_embedding.weight", "queries.weight"


def take_recorded_matching(model: Detector, golden: Golden, images: Images, targets: Targets) -> float:
    """Make the model match as was recorded from now on; returns the largest relative excess of that cost over ours."""
    assert isinstance(model, DETR)
    costs = _costs(model, images, targets)
    ours, recorded = model.match(costs, targets), torch.from_numpy(golden.arrays["matching"]).long()
    _use(model, recorded)
    least, taken = _total(costs, ours), _total(costs, recorded)
    return float(((taken - least) / least.abs()).max())


def recovered_matching(model: DETR, golden: Golden) -> np.ndarray | None:
    """Object slots ``[N, L, Q]`` with which the recorded gradients come out; None where ours do not differ.

    The model is good for nothing else afterwards.

    Raises:
        ValueError: no exchange of objects between queries at the same cost brings the gradients nearer.
    """
    images = standin.images(golden.canvas, golden.sizes)
    targets = standin.targets(golden.canvas, golden.sizes, len(model.classes), masks=False)
    model.train()
    costs = _costs(model, images, targets)
    ours = slots = model.match(costs, targets)
    _keep_what_is_before_the_queries(model, images)
    wrong = _wrong(model, golden, images, targets, slots)
    while wrong > 0:
        found = [(_wrong(model, golden, images, targets, one), one) for one in _exchanged(costs, slots)]
        fewest, best = min(found, key=lambda pair: pair[0], default=(wrong, slots))
        if fewest >= wrong:
            raise ValueError(f"{wrong} recorded entries of {RECORDED} fit no matching of least cost")
        wrong, slots = fewest, best
    return None if slots is ours else slots.numpy()


class _Given(nn.Module):
    """Gives what it was built with, whatever it is asked."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def forward(self, *ignored: Any) -> Any:
        return self.value


@torch.no_grad()
def _keep_what_is_before_the_queries(model: Any, images: Images) -> None:
    memories: list[Tensor] = []
    hook = model.encoder.register_forward_hook(lambda _, __, memory: memories.append(memory))
    features = model.neck(model.backbone(images.pixels))
    model.states(features, images)
    hook.remove()
    model.backbone, model.neck, model.encoder = _Given(None), _Given(features), _Given(memories[0])


def _exchanged(costs: Tensor, slots: Tensor) -> Iterator[Tensor]:
    """Matchings in which two queries of a layer have exchanged their objects, of the same cost but for rounding."""
    # [N, L, Q, Q]: what query a would cost with the object of query b
    taken = slots.clamp(min=0).unsqueeze(2).expand(-1, -1, slots.shape[2], -1)
    would = costs.double().gather(-1, taken) * (slots >= 0).unsqueeze(2)
    now = would.diagonal(dim1=2, dim2=3)
    excess = would + would.mT - now.unsqueeze(3) - now.unsqueeze(2)
    same = excess <= TIE * _total(costs, slots).abs()[..., None, None]
    for image, layer, a, b in (same.triu(1) & (slots.unsqueeze(3) != slots.unsqueeze(2))).nonzero().tolist():
        other = slots.clone()
        other[image, layer, [a, b]] = slots[image, layer, [b, a]]
        yield other


def _wrong(model: DETR, golden: Golden, images: Images, targets: Targets, slots: Tensor) -> int:
    """Recorded entries of the queries' gradient that are not what this matching gives."""
    _use(model, slots)
    model.zero_grad(set_to_none=True)
    torch.stack(list(model(images, targets).values())).sum().backward()
    gradient = model.get_parameter(OURS).grad
    assert gradient is not None
    recorded = golden.arrays[RECORDED]
    return int((np.abs(thin(gradient) - recorded) > 1e-3 * np.abs(recorded).max()).sum())


def _use(model: Any, slots: Tensor) -> None:
    model.match = lambda costs, targets: slots


@torch.no_grad()
def _costs(model: DETR, images: Images, targets: Targets) -> Tensor:
    states = model.states(model.neck(model.backbone(images.pixels)), images)
    return model.costs(*model.heads(states), images, targets)


def _total(costs: Tensor, slots: Tensor) -> Tensor:
    """Cost of matchings ``[..., Q]``, summed in float64."""
    taken = costs.double().gather(-1, slots.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return (taken * (slots >= 0)).sum(-1)
