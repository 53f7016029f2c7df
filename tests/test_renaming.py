"""Published names to ours, and a load that accepts nothing but a perfect fit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from detzoo.interop.renaming import load_renamed, rename

TABLE = ((r"^head\.retina_(cls|reg)\.", r"\1."), (r"^head\.", "other."))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cls, self.reg = nn.Linear(2, 3), nn.Linear(2, 4)
        self.norm = nn.BatchNorm1d(3)


def published() -> dict[str, Tensor]:
    ours = Net().state_dict()
    return {f"head.retina_{name}" if name[:3] in ("cls", "reg") else name: value + 1 for name, value in ours.items()}


def test_the_first_pattern_that_matches_wins_and_others_keep_the_name() -> None:
    assert rename("head.retina_cls.weight", TABLE) == "cls.weight"
    assert rename("head.x", TABLE) == "other.x"
    assert rename("neck.x", TABLE) == "neck.x"


@pytest.mark.parametrize("counters", [True, False])
def test_a_perfect_fit_loads(counters: bool) -> None:
    net, weights = Net(), published()
    if not counters:
        del weights["norm.num_batches_tracked"]
    load_renamed(net, weights, TABLE)
    torch.testing.assert_close(net.cls.weight, weights["head.retina_cls.weight"])
    torch.testing.assert_close(net.norm.running_mean, weights["norm.running_mean"])


def test_a_step_counter_too_many_is_ignored() -> None:
    load_renamed(Net(), published() | {"old.num_batches_tracked": torch.tensor(3)}, TABLE)


def test_every_kind_of_misfit_is_counted_and_listed_and_nothing_is_changed() -> None:
    net, weights = Net(), published()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    del weights["head.retina_reg.bias"]
    weights["head.retina_cls.bias"] = torch.zeros(5)
    for index in range(12):
        weights[f"head.extra{index}"] = torch.zeros(1)
    with pytest.raises(ValueError, match="do not fit Net") as caught:
        load_renamed(net, weights, TABLE)
    message = str(caught.value)
    assert "1 missing:\n    reg.bias" in message
    assert "12 left over:\n    head.extra0 (as other.extra0)" in message
    assert "head.extra9" in message
    assert "head.extra10" not in message
    assert "... and 2 more" in message
    assert "1 of another shape:\n    head.retina_cls.bias [5], needs [3]" in message
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_two_names_that_become_one_are_refused() -> None:
    weights = published() | {"cls.weight": torch.zeros(3, 2)}
    with pytest.raises(ValueError, match=r"1 ambiguous:\n    head\.retina_cls\.weight and cls\.weight both become"):
        load_renamed(Net(), weights, TABLE)


def test_device_and_dtype_of_the_module_stay() -> None:
    net = Net().double()
    load_renamed(net, published(), TABLE)
    assert net.cls.weight.dtype == torch.float64
