"""Maps as planes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from detzoo.ops.planes import as_planes


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (2, 64, 30, 31), (3, 1, 7, 2), (2, 5, 1, 1), (0, 3, 4, 4)])
def test_any_layout_becomes_planes(shape: tuple[int, ...]):
    x = torch.arange(float(torch.Size(shape).numel())).view(shape)
    padded = torch.zeros(shape[0], shape[1] + 2, *shape[2:])
    padded[:, 1:-1] = x
    for given in (x, x.to(memory_format=torch.channels_last), padded[:, 1:-1], x.clone().transpose(2, 3)):
        planes = as_planes(given)
        assert planes.is_contiguous()
        assert torch.equal(planes, given)


def test_planes_are_not_copied():
    x = torch.zeros(2, 3, 4, 5)
    assert as_planes(x) is x


def test_the_operator_can_be_compiled():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    torch.library.opcheck(torch.ops.detzoo.planes.default, (x,))

    def twice(x: Tensor) -> Tensor:
        return 2 * as_planes(x)

    torch.testing.assert_close(torch.compile(twice, fullgraph=True, backend="aot_eager")(x), 2 * x)
