import numpy as np
import pytest

from detzoo.data.masks import decode
from detzoo.data.shapes import SHAPES, make_scene, picture, read_shapes, render


def test_pictures_follow_from_split_and_number() -> None:
    assert np.array_equal(render("train", 3), picture("shapes/train/3"))
    assert render("train", 3).shape != render("val", 3).shape or not np.array_equal(
        render("train", 3), render("val", 3)
    )
    with pytest.raises(KeyError):
        make_scene("test", 0)


def test_annotations_belong_to_the_pictures() -> None:
    found = read_shapes("train", 12)
    assert found.classes == SHAPES
    for image in range(12):
        scene, pixels = make_scene("train", image), picture(found.files[image])
        assert pixels.dtype == np.uint8
        assert pixels.shape == (*found.sizes[image].tolist(), 3)
        rows = range(len(found.boxes))[found.rows(image)]
        assert found.labels[rows].tolist() == scene.labels.tolist()
        for row, mask in zip(rows, scene.masks, strict=True):
            assert np.array_equal(decode(found, row, scene.height, scene.width), mask)
            ys, xs = np.nonzero(mask)
            assert found.boxes[row].tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            assert found.areas[row] == mask.sum()
        assert scene.masks.sum(axis=0).max() == 1  # each pixel belongs to the object in front


def test_more_pictures_leave_the_first_ones_as_they_were() -> None:
    few, many = read_shapes("val", 3), read_shapes("val", 6)
    assert np.array_equal(few.boxes, many.boxes[: len(few.boxes)])
    rest = read_shapes("val", 3, first=3)
    assert np.array_equal(rest.boxes, many.boxes[len(few.boxes) :])
    assert rest.image_ids[0] == 3


def test_objects_are_worth_learning() -> None:
    found = read_shapes("train", 100)
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    assert np.quantile(sides, 0.02) >= 14
    assert sides.max() <= 90
    counts = np.bincount(found.labels, minlength=len(SHAPES))
    assert counts.min() > 0.6 * counts.mean()
    assert np.diff(found.starts).min() >= 1
    assert ((found.sizes[:, 0] > found.sizes[:, 1]).mean() > 0.1).item()  # tall ones too


def test_colour_hints_at_the_class_without_telling_it() -> None:
    scenes = [make_scene("train", number) for number in range(300)]
    labels = np.concatenate([scene.labels for scene in scenes])
    guess = np.round(np.concatenate([scene.hues for scene in scenes]) * len(SHAPES)) % len(SHAPES)
    assert 0.5 < (guess == labels).mean() < 0.9


@pytest.mark.parametrize("shape", SHAPES)
def test_areas_are_those_of_the_shapes(shape: str) -> None:
    """Alone in their picture, objects fill the part of their circle that geometry says."""
    parts = {
        "circle": np.pi * 0.9**2,
        "square": (2 * 0.71) ** 2,
        "triangle": 3 * np.sqrt(3) / 4,
        "star": 5 * 0.45 * np.sin(np.pi / 5),
        "cross": 4 * 0.3 * (2 * 0.95 - 0.3),
    }
    found = []
    for number in range(250):
        scene = make_scene("train", number)
        if len(scene.labels) == 1 and SHAPES[scene.labels[0]] == shape:
            ys, xs = np.nonzero(scene.masks[0])
            if xs.min() > 0 and ys.min() > 0 and xs.max() < scene.width - 1 and ys.max() < scene.height - 1:
                reach = np.hypot(xs - xs.mean(), ys - ys.mean()).max() + 0.3
                widest = {"circle": 0.9, "square": 0.71 * np.sqrt(2), "cross": np.hypot(0.95, 0.3)}.get(shape, 1.0)
                found.append(len(xs) / (reach / widest) ** 2)
    assert found
    assert np.median(found) == pytest.approx(parts[shape], rel=0.08)
