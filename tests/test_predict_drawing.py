import json
from pathlib import Path
from typing import Any

import hotcoco
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from detzoo.data.images import read_image
from detzoo.drawing import draw as drawing
from detzoo.drawing.draw import color_of, draw, ink_on
from detzoo.drawing.fonts import Fonts
from detzoo.predict.result import Result
from detzoo.types import Detections

CLASSES = ("dog", "a class with quite a long name", "cat")


def detections(height: int = 120, width: int = 160, masks: str = "crops", grey: int = 128) -> Detections:
    boxes = torch.tensor([[20.0, 40, 90, 110], [100, 10, 300, 60], [-30, -30, 30, 20], [50, 50, 50, 50]])
    crops = torch.zeros(4, 28, 28)
    crops[:, 7:21, 7:21] = 1
    dense = torch.zeros(4, height, width, dtype=torch.bool)
    dense[0, 60:90, 40:70] = True
    return Detections(
        boxes,
        torch.tensor([0.9, 0.8, 0.7, 0.6]),
        torch.tensor([0, 1, 2, 0]),
        torch.ones(4, dtype=torch.bool),
        crops=crops if masks == "crops" else None,
        dense=dense if masks == "dense" else None,
        canvas=(height, width) if masks == "crops" else None,
        classes=CLASSES,
        picture=np.full((height, width, 3), grey, np.uint8),
    )


def test_masks_are_tinted_where_they_are_and_nowhere_else():
    found = detections()
    before = found.picture.copy()
    picture = np.asarray(draw(found, found.picture, 0.85)).astype(int)
    assert np.array_equal(found.picture, before)
    color = np.array(color_of(0))
    inside = picture[75, 55]
    assert np.abs(inside - (128 * 0.55 + color * 0.45)).max() <= 1
    assert (picture[115, 120] == 128).all()
    assert (picture[45, 25] == 128).all()  # in the box, out of the mask
    assert (picture[41, 50] == color).all() or (picture[40, 50] == color).all()  # the frame
    assert np.abs(np.asarray(detections(masks="dense").plot(0.85)).astype(int)[75, 55] - inside).max() <= 1


def test_threshold_leaves_out():
    empty = detections().plot(threshold=0.95)
    assert np.array_equal(np.asarray(empty), detections().picture)
    assert not np.array_equal(np.asarray(detections().plot()), detections().picture)


@pytest.mark.parametrize("size", [(120, 160), (20, 30), (700, 90), (4, 4), (1, 1)])
def test_labels_stay_inside_the_picture(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch):
    placed = []
    original = drawing._Labels.draw

    def remember(labels: drawing._Labels) -> None:
        placed.extend(labels.placed)
        original(labels)

    monkeypatch.setattr(drawing._Labels, "draw", remember)
    picture = detections(*size).plot()
    assert picture.size == size[::-1]
    assert len(placed) == 4
    if min(size) >= 20:
        for _, _, (left, top, right, bottom), _ in placed:
            assert 0 <= left < right
            assert 0 <= top < bottom <= size[0]
            assert right <= size[1] or size[1] < 40


def test_labels_avoid_each_other():
    boxes = torch.tensor([[20.0, 40, 90, 110]] * 3)
    found = Detections(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 0, 2]), torch.ones(3, dtype=torch.bool),
                       classes=CLASSES, picture=np.zeros((120, 160, 3), np.uint8))  # fmt: skip
    labels = drawing._Labels(drawing.ImageDraw.Draw(Image.new("RGB", (160, 120))), 160, 120, Fonts())
    for name, box in zip(found.names, found.boxes.tolist(), strict=True):
        labels.place(name, box, (0, 0, 0))
    spots = [spot for _, _, spot, _ in labels.placed]
    assert not any(drawing._touch(spots[i], spots[j]) for i in range(3) for j in range(i))


def test_colours_are_stable_distinct_and_readable():
    colors = [color_of(label) for label in range(80)]
    assert colors == [color_of(label) for label in range(80)]
    assert len(set(colors)) == 80
    neighbours = np.abs(np.diff(np.array(colors, dtype=int), axis=0)).max(1)
    assert neighbours.min() > 60
    assert ink_on((255, 255, 0)) == (0, 0, 0)
    assert ink_on((0, 0, 120)) == (255, 255, 255)


def test_save(tmp_path: Path):
    found = detections()
    assert found.save(tmp_path / "deep" / "one.jpg") == tmp_path / "deep" / "one.jpg"
    assert read_image(tmp_path / "deep" / "one.jpg").shape == (120, 160, 3)
    found.save(tmp_path / "one.PNG", threshold=0.95)
    assert np.array_equal(read_image(tmp_path / "one.PNG"), found.picture)
    with pytest.raises(ValueError, match=r"suffix such as \.jpg"):
        found.save(tmp_path / "one.txt")
    with pytest.raises(ValueError, match=r"suffix such as \.jpg"):
        found.save(tmp_path / "one")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "one.PNG"]


def test_nothing_to_draw_on():
    bare = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long), torch.zeros(0).bool())
    with pytest.raises(ValueError, match="no picture"):
        bare.plot()
    batch = Detections(
        torch.zeros(1, 2, 4), torch.zeros(1, 2), torch.zeros(1, 2).long(), torch.zeros(1, 2, dtype=torch.bool)
    )
    with pytest.raises(TypeError, match="index the batch"):
        batch.plot()


@pytest.mark.parametrize("masks", ["crops", "dense", "none"])
def test_plain_values(masks: str):
    found = detections(masks=masks)
    rows = found.to_dict()
    assert json.loads(json.dumps(rows)) == rows
    assert [row["name"] for row in rows] == ["dog", CLASSES[1], "cat", "dog"]
    assert rows[0]["box"] == [20, 40, 90, 110]
    assert rows[0]["score"] == pytest.approx(0.9)
    entries = found.to_coco(image_id=7)
    assert json.loads(json.dumps(entries)) == entries
    assert entries[1]["bbox"] == [100, 10, 200, 50]
    assert entries[1]["category_id"] == 1
    assert {entry["image_id"] for entry in entries} == {7}
    if masks == "none":
        assert "mask" not in rows[0]
        assert "segmentation" not in entries[0]
        return
    expected = found.masks
    assert expected is not None
    for entry, row, mask in zip(entries, rows, expected.numpy(), strict=True):
        assert np.array_equal(hotcoco.mask.decode(entry["segmentation"]).astype(bool), mask)
        assert row["mask"] == entry["segmentation"]


def test_the_image_is_read_again_from_its_path(tmp_path: Path):
    Image.new("RGB", (9, 8), (1, 2, 3)).save(tmp_path / "one.png")
    found = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long(), torch.zeros(0).bool(),
                       path=tmp_path / "one.png")  # fmt: skip
    assert found.result().image.shape == (8, 9, 3)
    assert found.plot().size == (9, 8)


def pixels(found: Result, **switches: Any) -> NDArray[Any]:
    return np.asarray(found.plot(**switches)).astype(int)


def test_switches_draw_less() -> None:
    found = Result(detections())
    whole = pixels(found)
    nothing = pixels(found, boxes=False, masks=False, labels=False, scores=False)
    assert np.array_equal(nothing, found.image)
    parts = [pixels(found, **{name: False}) for name in ("boxes", "masks", "labels", "scores")]
    for one in [whole, *parts]:
        assert sum(np.array_equal(one, other) for other in [whole, *parts]) == 1
    only_boxes = pixels(found, masks=False, labels=False, scores=False)
    assert (only_boxes[75, 55] == 128).all()  # no mask there
    assert (only_boxes[70, 20] == color_of(0)).all()  # the frame
    only_scores = pixels(found, boxes=False, masks=False, labels=False)
    assert not np.array_equal(only_scores, found.image)


def test_width_and_colours_of_instances() -> None:
    found = Result(detections())
    plain = {"masks": False, "labels": False, "scores": False}
    wide = pixels(found, width=9, **plain)
    assert (wide[70, 20:29] == color_of(0)).all()
    assert (wide[70, 29] == 128).all()
    # rows 0 and 3 are of one class
    apart = pixels(found, color_by="instance", **plain)
    assert (apart[50, 50] == color_of(3)).all()
    assert (pixels(found, **plain)[50, 50] == color_of(0)).all()
    wrong: Any
    for wrong in (0, -1, 2.5, "3"):
        with pytest.raises(ValueError, match="width must be a whole number and at least 1"):
            found.plot(width=wrong)
    wrong = "colour"
    with pytest.raises(ValueError, match="color_by is 'class' or 'instance', not 'colour'"):
        found.plot(color_by=wrong)


def test_save_takes_the_switches(tmp_path: Path) -> None:
    found = Result(detections())
    found.save(tmp_path / "one.png", 0.5, masks=False, width=3)
    assert np.array_equal(read_image(tmp_path / "one.png"), pixels(found, threshold=0.5, masks=False, width=3))
