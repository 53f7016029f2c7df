"""Multi-scale deformable attention: both forms beside a slow reading, gradients, precision, memory, graphs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from detzoo.ops import deform_attention as ops
from detzoo.ops.deform_attention import deform_attention

SHAPES = [(3, 4), (2, 2), (1, 3)]
SIDES = [side for shape in SHAPES for side in shape]
FORMS = {"bags": ops._deform_attention, "samples": ops._sampled}
BACKWARD = {"bags": ops._deform_attention_backward, "samples": ops._sampled_backward}


def arguments(dtype: torch.dtype = torch.float64, images: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Values, places (some outside) and weights of 5 queries, 2 heads of 3 channels and 2 places on a level."""
    generator = torch.Generator().manual_seed(0)
    cells = sum(height * width for height, width in SHAPES)
    values = torch.randn(images, cells, 2, 3, generator=generator, dtype=dtype)
    places = torch.rand(images, 5, 2, len(SHAPES), 2, 2, generator=generator, dtype=dtype) * 1.6 - 0.3
    weights = torch.randn(images, 5, 2, len(SHAPES), 2, generator=generator, dtype=dtype)
    return values, places, weights


def slow(values: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """Equation 3 of the paper, cell by cell."""
    result = torch.zeros(*weights.shape[:3], values.shape[3], dtype=values.dtype)
    for image, query, head, level, point in torch.cartesian_prod(*map(torch.arange, weights.shape)).tolist():
        height, width = SHAPES[level]
        start = sum(h * w for h, w in SHAPES[:level])
        x, y = places[image, query, head, level, point].tolist()
        x, y = x * width - 0.5, y * height - 0.5
        for row in (math.floor(y), math.floor(y) + 1):
            for column in (math.floor(x), math.floor(x) + 1):
                if 0 <= row < height and 0 <= column < width:
                    share = (1 - abs(y - row)) * (1 - abs(x - column)) * weights[image, query, head, level, point]
                    result[image, query, head] += share * values[image, start + row * width + column, head]
    return result.flatten(2)


@pytest.mark.parametrize("form", FORMS)
def test_it_is_the_sum_of_bilinear_samples(form: str) -> None:
    values, places, weights = arguments()
    torch.testing.assert_close(FORMS[form](values, SIDES, places, weights), slow(values, places, weights))


def test_gradients_are_exact() -> None:
    given = [part[:, :3].requires_grad_() for part in arguments(images=1)[1:]]
    values = arguments(images=1)[0].requires_grad_()
    assert torch.autograd.gradcheck(lambda v, p, w: deform_attention(v, SHAPES, p, w), (values, *given))


def test_both_forms_have_the_same_gradients() -> None:
    values, places, weights = arguments()
    grad = torch.randn(2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = [BACKWARD[form](grad, values, SIDES, places, weights) for form in BACKWARD]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_values_of_another_type_are_summed_in_full_precision(form: str, dtype: torch.dtype) -> None:
    values, places, weights = (part.float() for part in arguments())
    found = FORMS[form](values.to(dtype), SIDES, places, weights)
    assert found.dtype == dtype
    expected = slow(*(part.double() for part in (values.to(dtype), places, weights)))
    eps = max(torch.finfo(dtype).eps, 4e-6)
    torch.testing.assert_close(found.double(), expected, atol=eps, rtol=eps)
    assert [part.dtype for part in BACKWARD[form](found, values.to(dtype), SIDES, places, weights)] == [
        dtype,
        torch.float32,
        torch.float32,
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wild", [math.nan, math.inf, -math.inf, 1e30])
def test_a_place_far_outside_or_no_number_reads_nothing(form: str, wild: float) -> None:
    values, places, weights = arguments()
    places[:] = wild
    assert not FORMS[form](values, SIDES, places, weights).any()
    for part in BACKWARD[form](torch.ones(2, 5, 6, dtype=values.dtype), values, SIDES, places, weights):
        assert not part.any()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # opcheck's own
def test_the_operator_is_sound() -> None:
    values, places, weights = (part.requires_grad_() for part in arguments(torch.float32))
    torch.library.opcheck(torch.ops.detzoo.deform_attention.default, (values, SIDES, places, weights))


class _Attending(nn.Module):
    def forward(self, values: Tensor, places: Tensor, weights: Tensor) -> Tensor:
        return deform_attention(values, SHAPES, places, weights)


def test_an_exported_graph_holds_torch_s_operators_alone() -> None:
    given = arguments(torch.float32)
    batch = torch.export.Dim("batch", min=1, max=8)
    program = torch.export.export(_Attending(), given, dynamic_shapes=[{0: batch}] * 3)
    names = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert not [name for name in names if "detzoo" in name]
    assert [name for name in names if "grid_sampler" in name]
    three = arguments(torch.float32, images=3)
    torch.testing.assert_close(program.module()(*three), deform_attention(three[0], SHAPES, *three[1:]))
