"""Starting from other weights: the rows of a head go by the names of its classes, in every method."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from detzoo.blocks.class_rows import class_layers
from detzoo.detector import Detector
from detzoo.recipes.recipe import METHODS
from detzoo.train.heads import load_matching
from tests.tiny import CLASSES, METHOD_IDS, detect, images, tiny

every_method = pytest.mark.parametrize("method", METHODS, ids=METHOD_IDS)
LOW = {"head": {"threshold": 0.0}, "box_head": {"threshold": 0.0}}


def lively(method: type[Detector]) -> Detector:
    """A detector whose classes differ: outputs that are per class get larger weights than at a start."""
    detector = tiny(method, **LOW)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for layer, _ in class_layers(detector):
            for name, tensor in detector.named_parameters():
                if name.startswith(f"{layer}.") and "fc_reg" not in name:
                    tensor += 0.02 * torch.randn(tensor.shape, generator=generator)
    return detector.eval()


def like(detector: Detector, classes: tuple[str, ...]) -> Detector:
    torch.manual_seed(9)
    return type(detector)(detector.config, classes).eval()


def named(detector: Detector) -> list[tuple[str, Tensor, Tensor, Tensor | None]]:
    """What is found in a picture: class, score, box and mask, best first."""
    with torch.no_grad():
        found = detect(detector, images())
    rows = []
    for slot in range(found.boxes.shape[1]):
        if found.valid[0, slot]:
            label = detector.classes[int(found.labels[0, slot])]
            mask = None if found.masks is None else found.masks[0, slot]
            rows.append((label, found.scores[0, slot], found.boxes[0, slot], mask))
    return sorted(rows, key=lambda row: (-float(row[1]), row[0]))


@every_method
def test_classes_in_another_order_are_found_as_before(method: type[Detector]) -> None:
    source = lively(method)
    order = (CLASSES[2], CLASSES[0], CLASSES[1])
    moved = like(source, order)
    lines = load_matching(moved, source.state_dict(), order, CLASSES)
    layers = tuple(f"{layer}." for layer, _ in class_layers(source))
    total = len(source.state_dict())
    rows = sum(name.startswith(layers) for name in source.state_dict())
    more = f", and of {rows} more the rows of known classes" if rows else ""
    assert lines[0] == f"weights: took {total - rows} of {total} tensors{more}"
    before, after = named(source), named(moved)
    assert before
    assert len(before) == len(after)
    for one, two in zip(before, after, strict=True):
        assert one[0] == two[0] or not source.finds_classes
        torch.testing.assert_close(one[1], two[1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one[2], two[2], rtol=1e-3, atol=1e-2)
        assert one[3] is None or two[3] is None or (one[3] != two[3]).float().mean() < 0.01
    if source.finds_classes:
        assert "these classes in another order; taken by name: star, disc, box" in lines[1]


@every_method
def test_every_tensor_that_depends_on_the_classes_is_moved(method: type[Detector]) -> None:
    """And back: a head that went through one for more classes has every row of its own again."""
    source = lively(method)
    wide = (*CLASSES[:1], "moon", *CLASSES[1:], "sun")
    larger = like(source, wide)
    lines = load_matching(larger, source.state_dict(), wide, CLASSES)
    own = source.state_dict()
    resized = {name for name, value in larger.state_dict().items() if value.shape != own[name].shape}
    assert resized == {
        name
        for layer, rows in class_layers(source)
        for name, value in own.items()
        if name.startswith(f"{layer}.") and (rows.each > 0 or value.dim() > 1)
    }
    assert "not taken" not in "\n".join(lines)
    if source.finds_classes:
        assert "head rebuilt for 5 classes, the weights have 3 classes" in lines[1]
        assert "taken by name: disc, box, star; newly initialized: moon, sun" in lines[1]
    back = like(source, CLASSES)
    load_matching(back, larger.state_dict(), CLASSES, wide)
    assert all(torch.equal(value, own[name]) for name, value in back.state_dict().items())


@every_method
def test_a_new_class_keeps_the_start_of_a_head_and_the_rest_is_taken(method: type[Detector]) -> None:
    source = lively(method)
    if not source.finds_classes:
        return
    others = ("moon", "sun", "star")
    fresh, moved = like(source, others), like(source, others)
    lines = load_matching(moved, source.state_dict(), others, CLASSES)
    assert "head; taken by name: star; newly initialized: moon, sun; not used: disc, box" in lines[1]
    for layer, rows in class_layers(moved):
        for name, value in moved.state_dict().items():
            if name.startswith(f"{layer}."):
                kinds = [
                    tensors.state_dict()[name].unflatten(0, (-1, rows.per_anchor(3)))
                    for tensors in (moved, fresh, source)
                ]
                if rows.inputs is not None and kinds[2].dim() > 2:  # those of the classes that are not taken
                    kinds[2] = kinds[2].clone()
                    kinds[2][:, :, rows.inputs : rows.inputs + 2] = 0
                of_classes = (kind[:, rows.before : rows.before + 3 * rows.each] for kind in kinds)
                got, start, given = (kind.roll(-rows.each * rows.shift, 1) for kind in of_classes)
                assert torch.equal(got[:, : 2 * rows.each], start[:, : 2 * rows.each]), name
                assert torch.equal(got[:, 2 * rows.each :], given[:, 2 * rows.each :]), name
                assert torch.equal(kinds[0][:, : rows.before], kinds[2][:, : rows.before])
                assert torch.equal(kinds[0][:, value.shape[0] :], kinds[2][:, value.shape[0] :])


def test_names_that_are_not_known_leave_the_rows_where_they_are() -> None:
    source = lively(METHODS[-2])
    target = like(source, ("a", "b", "c"))
    load_matching(target, source.state_dict(), target.classes, None)
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())
