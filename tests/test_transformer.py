"""Attention beside PyTorch's, positions beside their formula, and what padding does."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from detzoo.blocks.transformer import Attention, Decoder, Encoder, TransformerConfig, sine_positions

SMALL = TransformerConfig(layers=2, heads=2, hidden=24, dropout=0.0)


def test_attention_is_that_of_pytorch():
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(16, 4, batch_first=True)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)
    ours = Attention(16, 4, dropout=0.0)
    ours.load_state_dict(theirs.state_dict())
    query, key, value = torch.randn(2, 3, 16), torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    seen = torch.tensor([[True] * 5, [True, True, False, False, False]])
    torch.testing.assert_close(ours(query, key, value, seen), theirs(query, key, value, key_padding_mask=~seen)[0])
    torch.testing.assert_close(ours(query, key, value), theirs(query, key, value)[0])


def test_heads_share_the_width():
    with pytest.raises(ValueError, match="3 heads cannot share 16 channels"):
        Attention(16, 3, dropout=0.0)


def test_dropout_is_for_training():
    torch.manual_seed(0)
    attention = Attention(16, 2, dropout=0.5)
    x = torch.randn(1, 6, 16)
    assert not torch.equal(attention(x, x, x), attention(x, x, x))
    attention.eval()
    assert torch.equal(attention(x, x, x), attention(x, x, x))


@pytest.mark.parametrize("longest", [10000.0, 20.0])
def test_positions_are_sines_and_cosines_of_the_place_in_the_image(longest: float):
    rows = torch.tensor([[True, True, True], [True, True, False]])
    columns = torch.tensor([[True] * 4, [True, True, True, False]])
    found = sine_positions(rows, columns, 8, longest=longest)
    assert found.shape == (2, 3, 4, 8)
    for image, height, width in ((0, 3, 4), (1, 2, 3)):
        for y in range(height):
            for x in range(width):
                expected = []
                for place, size in ((y + 1, height), (x + 1, width)):
                    for channel in range(4):
                        angle = 2 * math.pi * place / size / longest ** (2 * (channel // 2) / 4)
                        expected.append(math.sin(angle) if channel % 2 == 0 else math.cos(angle))
                torch.testing.assert_close(found[image, y, x], torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_cells_that_are_not_seen_change_nothing():
    torch.manual_seed(0)
    encoder, decoder = Encoder(SMALL, 16), Decoder(SMALL, 16)
    x, positions, queries = torch.randn(1, 4, 16), torch.randn(1, 4, 16), torch.randn(1, 3, 16)
    alone = decoder(queries, encoder(x, positions, None), positions, None)
    assert alone.shape == (1, 2, 3, 16)
    more = [torch.cat([part, 100 * torch.randn(1, 5, 16)], 1) for part in (x, positions)]
    seen = torch.arange(9)[None] < 4
    padded = decoder(queries, encoder(*more, seen), more[1], seen)
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=1e-5)


def test_every_parameter_is_used():
    encoder, decoder = Encoder(SMALL, 16), Decoder(SMALL, 16)
    positions = torch.randn(2, 4, 16)
    memory = encoder(torch.randn(2, 4, 16), positions, torch.ones(2, 4, dtype=torch.bool))
    decoder(torch.randn(2, 3, 16), memory, positions, None).square().sum().backward()
    for part in (encoder, decoder):
        assert [name for name, parameter in part.named_parameters() if parameter.grad is None] == []
