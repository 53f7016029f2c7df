"""Resizing is bilinear to a grey level, wherever and however its result is drawn."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detzoo.data.resize import Picture, Resized, draw, flip_picture, pixels_of, resize, resize_picture

EDGES = st.integers(1, 60)


def noise(height: int, width: int, seed: int = 0, spare: bool = False) -> NDArray[np.uint8]:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    return values[..., :3] if spare else np.ascontiguousarray(values[..., :3])


def weights(old: int, new: int) -> NDArray[np.float64]:
    """``(new, old)``: how much of each old pixel is in each new one, both seen as cells of one length in all."""
    centre = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(0, 1 - np.abs(centre[:, None] - np.arange(old)))


def bilinear(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float64]:
    rows, columns = weights(image.shape[0], height), weights(image.shape[1], width)
    return np.einsum("yj,jic,xi->yxc", rows, image.astype(float), columns)


@settings(deadline=None, max_examples=80)
@given(EDGES, EDGES, EDGES, EDGES, st.booleans(), st.integers(0, 2**31))
def test_within_one_grey_level_of_the_formula(h: int, w: int, height: int, width: int, spare: bool, seed: int) -> None:
    image = noise(h, w, seed, spare)
    found = pixels_of(resize_picture(image, height, width))
    assert found.shape == (height, width, 3)
    assert np.abs(found - np.round(bilinear(image, height, width))).max() <= 1


@settings(deadline=None, max_examples=50)
@given(EDGES, EDGES, EDGES, EDGES, st.booleans(), st.integers(0, 9), st.integers(0, 9))
def test_any_canvas_gets_the_same_pixels_and_zeros_around_them(
    h: int, w: int, height: int, width: int, spare: bool, below: int, beside: int
) -> None:
    picture = resize_picture(noise(h, w, spare=spare), height, width)
    for drawn, expected in ((picture, pixels_of(picture)), (flip_picture(picture), pixels_of(picture)[:, ::-1])):
        assert np.array_equal(pixels_of(drawn), expected)
        canvas = torch.full((3, height + below, width + beside), 99, dtype=torch.uint8)
        draw(drawn, canvas)
        assert np.array_equal(canvas[:, :height, :width].permute(1, 2, 0).numpy(), expected)
        assert not canvas[:, height:].any()
        assert not canvas[:, :, width:].any()


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise(50, 40, spare=True)
    whole = pixels_of(resize_picture(image, 80, 60))
    monkeypatch.setattr("detzoo.data.resize.STRIP", 60 * 7)
    assert np.array_equal(pixels_of(resize_picture(image, 80, 60)), whole)


def test_spare_bytes_and_twice_resized_pictures() -> None:
    spare, plain = noise(30, 20, 1, spare=True), noise(30, 20, 1)
    assert spare.strides[1] == 4
    for part in (np.s_[:, :], np.s_[3:20, 2:15], np.s_[::-1]):  # parts of a picture are none with whole spare bytes
        one, two = (pixels_of(resize_picture(np.ascontiguousarray(i[part]), 44, 33)) for i in (spare, plain))
        three = pixels_of(resize_picture(spare[part] if part != np.s_[::-1] else spare[part].copy(), 44, 33))
        assert np.array_equal(one, two)
        assert np.array_equal(one, three)
    again = resize_picture(flip_picture(resize_picture(spare, 44, 33)), 20, 20)
    expected = resize_picture(np.ascontiguousarray(pixels_of(resize_picture(plain, 44, 33))[:, ::-1]), 20, 20)
    assert isinstance(again, Resized)
    assert np.array_equal(pixels_of(again), pixels_of(expected))


def test_a_picture_of_that_size_stays_as_it_is() -> None:
    image = noise(9, 8)
    assert resize_picture(image, 9, 8) is image
    assert np.array_equal(pixels_of(flip_picture(image)), image[:, ::-1])
    twice = flip_picture(flip_picture(resize_picture(image, 5, 5)))
    assert np.array_equal(pixels_of(twice), pixels_of(resize_picture(image, 5, 5)))


def test_memory_does_not_grow() -> None:
    canvas = torch.zeros((3, 64, 64), dtype=torch.uint8)

    def work() -> int:
        for seed in range(20):
            picture: Picture = resize_picture(noise(40, 30, seed, spare=bool(seed % 2)), 60, 45)
            draw(flip_picture(picture), canvas)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = work()
        for _ in range(5):
            work()
        assert work() - first < 4096
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [(5, 7), (5, 9), (8, 9)])
@pytest.mark.parametrize("default", ["cpu", "meta"])
def test_a_tensor_is_contiguous_and_on_the_processor(size: tuple[int, int], default: str) -> None:
    """However the array lies in memory, and wherever the program makes its tensors."""
    image = noise(5, 7)
    with torch.device(default):
        found, _ = resize(np.asfortranarray(image), size, keep_ratio=False)
    assert found.is_contiguous()
    assert torch.equal(found, resize(image, size, keep_ratio=False)[0])


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (1, 1), (5, 6)])
def test_arrays_that_run_backwards_or_are_read_only(shape: tuple[int, int]) -> None:
    frozen = noise(*shape)
    frozen.flags.writeable = False
    for image in (frozen, noise(*shape)[::-1], noise(*shape)[:, ::-1], noise(*shape)[..., ::-1]):
        for size in ((8, 9), shape):
            found, factors = resize(image, size, keep_ratio=False)
            assert torch.equal(found, resize(np.array(image), size, keep_ratio=False)[0])
            assert factors == (size[1] / shape[1], size[0] / shape[0])
