"""Settings: what is accepted, what is refused, and with which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

import detzoo
from detzoo.config import (
    Config,
    ConfigError,
    flatten,
    from_json,
    load,
    override,
    paths_of,
    suggestion,
    to_json,
    unknown,
    validate,
)
from detzoo.config_comments import explained


class Circle(Config):
    """A part."""

    kind: Literal["circle"] = "circle"
    radius: float = Field(default=1.0, gt=0)


class Square(Config):
    """Another part."""

    kind: Literal["square"] = "square"
    edge: int = 1
    corner: Circle | None = None


class Drawing(Config):
    """Everything that a setting can be."""

    RENAMED: ClassVar[dict[str, str]] = {"heading": "title"}

    title: str = "none"
    shape: Annotated[Circle | Square, Field(discriminator="kind")] = Circle()
    size: tuple[int, int] = (3, 4)
    tags: tuple[str, ...] = ()
    note: str | None = None
    visible: bool = True


def test_settings_are_frozen() -> None:
    drawing = Drawing()
    with pytest.raises(ValidationError):
        drawing.title = "x"  # pyright: ignore[reportAttributeAccessIssue] # that is the test


@pytest.mark.parametrize(
    ("assignment", "wanted"),
    [
        ("title=a=b", {"title": "a=b"}),
        ('title="7"', {"title": "7"}),
        ("size=[5, 6]", {"size": (5, 6)}),
        ("note=null", {"note": None}),
        ("note=", {"note": ""}),
        ("visible=false", {"visible": False}),
        ("shape.radius=2", {"shape": Circle(radius=2)}),
        ('shape={"kind": "square", "edge": 3}', {"shape": Square(edge=3)}),
        ("heading=old name", {"title": "old name"}),
    ],
)
def test_overrides(assignment: str, wanted: dict[str, Any]) -> None:
    if assignment.startswith("heading"):
        assert validate(Drawing, {"heading": "old name"}) == Drawing(**wanted)
    else:
        assert override(Drawing(), [assignment]) == Drawing(**wanted)


def test_another_kind_starts_from_its_own_defaults() -> None:
    """Wherever its settings stand beside it; a ``kind`` that only names a loss changes nothing else."""
    drawing = Drawing(shape=Circle(radius=5))
    for order in (["shape.edge=4", "shape.kind=square"], ["shape.kind=square", "shape.edge=4"]):
        assert override(drawing, order).shape == Square(edge=4)
    assert override(drawing, ["shape.kind=circle"]) == drawing
    several = ["shape.kind=square", "shape.edge=4", 'shape.corner={"radius": 2}']
    assert override(drawing, several).shape == Square(edge=4, corner=Circle(radius=2))
    model: Any = detzoo.find("faster_rcnn_r50_fpn_1x_coco")
    loss = override(model, ["model.rpn.box_loss.weight=3", "model.rpn.box_loss.kind=giou"]).model.rpn.box_loss
    assert (loss.kind, loss.weight) == ("giou", 3)
    with pytest.raises(ConfigError, match="'levels' is not a setting of NoNeck"):
        override(model, ["model.neck.levels=4", "model.neck.kind=none"])


def test_parts_without_a_kind_are_the_usual_ones() -> None:
    model: Any = detzoo.find("faster_rcnn_r50_fpn_1x_coco").model
    changed = model.replace(backbone={"depth": 18}, neck={"levels": 4})
    assert (changed.backbone.kind, changed.backbone.depth) == ("resnet", 18)
    assert (changed.neck.kind, changed.neck.levels) == ("fpn", 4)
    with pytest.raises(ConfigError, match=r"^neck\.levels: "):
        model.replace(neck={"levels": "many"})


def test_overrides_build_what_was_absent_and_the_last_one_counts() -> None:
    drawing = Drawing(shape=Square())
    changed = override(drawing, ["shape.corner.radius=2", "shape.corner.radius=3"])
    assert changed.shape == Square(corner=Circle(radius=3))
    assert drawing.shape == Square()


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("title", "not of the form a.b.c=value"),
        ("titel=x", "did you mean 'title'"),
        ("radius=2", "did you mean shape.radius=2?"),
        ("shape.radus=2", "did you mean 'shape.radius'"),
        ("shap.radius=2", "did you mean 'shape'"),
        ("title.x=2", "'title.x' is not a setting"),
        ("shape.radius=0", "shape.radius: Input should be greater than 0"),
        ("shape.radius=NaN", "shape.radius: "),
        ("shape.radius=true", "radius is neither true nor false"),
        ("shape.kind=star", "shape"),
        ("visible=perhaps", "visible"),
        ("size=[1,2,3]", "size"),
    ],
)
def test_wrong_overrides_are_named(assignment: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(Drawing(), [assignment])
    assert words in str(caught.value)


def test_every_wrong_field_has_a_line() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Drawing, {"size": [1], "visible": "perhaps"})
    assert len(str(caught.value).splitlines()) == 2


def test_unknown_settings_are_refused_in_json_too() -> None:
    with pytest.raises(ConfigError, match="'colour' is not a setting of Drawing"):
        from_json(Drawing, '{"colour": 1}')
    with pytest.raises(ConfigError, match="not valid JSON"):
        from_json(Drawing, "{")
    with pytest.raises(ConfigError, match="not valid JSON"):
        from_json(Drawing, "[" * 100_000)


def test_replace_is_validated() -> None:
    assert Drawing().replace(title="x").title == "x"
    with pytest.raises(ConfigError, match="did you mean 'title'"):
        Drawing().replace(titel="x")
    with pytest.raises(ConfigError, match="size"):
        Drawing().replace(size=(1,))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    with pytest.raises(ConfigError, match=r"settings\.json: No such file"):
        load(Drawing, file)
    file.write_text('{"titel": "x"}')
    with pytest.raises(ConfigError, match=r"settings\.json: .*did you mean 'title'"):
        load(Drawing, file)
    file.write_text(to_json(Drawing(note="ö")))
    assert load(Drawing, file) == Drawing(note="ö")


def test_suggestions_are_near() -> None:
    assert unknown("epoch", ["epochs", "batch"], "setting") == "'epoch' is not a setting; did you mean 'epochs'?"
    assert unknown("zzz", ["epochs", "batch"], "setting") == "'zzz' is not a setting"


shapes = st.one_of(
    st.builds(Circle, radius=st.floats(min_value=1e-6, max_value=1e6)),
    st.builds(Square, edge=st.integers(), corner=st.none() | st.builds(Circle)),
)
drawings = st.builds(
    Drawing,
    title=st.text(),
    shape=shapes,
    size=st.tuples(st.integers(), st.integers()),
    tags=st.lists(st.text()).map(tuple),
    note=st.none() | st.text(),
    visible=st.booleans(),
)


@given(drawings)
def test_settings_survive_json(drawing: Drawing) -> None:
    assert from_json(Drawing, to_json(drawing)) == drawing
    assert from_json(Drawing, to_json(drawing, indent=None)) == drawing


@given(drawings)
def test_flattened_settings_can_be_pasted_back(drawing: Drawing) -> None:
    words = [f"{path}={json.dumps(value)}" for path, value in flatten(drawing).items()]
    assert override(drawing, words) == drawing


def test_overrides_may_be_a_dict():
    drawing = Drawing()
    assert override(drawing, {"title": "a=b", "shape.radius": 2}) == override(drawing, ["title=a=b", "shape.radius=2"])
    with pytest.raises(ConfigError, match=r"did you mean shape\.radius=0\.5\?"):
        override(drawing, {"radius": 0.5})
    with pytest.raises(ConfigError, match="a list of settings"):
        override(drawing, "title=x")


def test_keywords_are_settings_by_their_last_name():
    recipe = detzoo.find("retinanet_r18_fpn_shapes")
    assert paths_of(recipe, {"epochs": 3, "lr": 0.1, "workers": 0}) == {
        "schedule.epochs": 3,
        "schedule.lr": 0.1,
        "data.workers": 0,
    }
    with pytest.raises(ConfigError, match="which of model"):
        paths_of(recipe, {"kind": "x", "norm": "gn"})
    with pytest.raises(ConfigError, match="'epoch' is not a setting or argument; did you mean 'epochs'"):
        paths_of(recipe, {"epoch": 3})


@pytest.mark.parametrize(
    ("word", "value", "meant"),
    [
        ("epochs", "3", "schedule.epochs=3"),
        ("batch-size", "8", "schedule.batch=8"),
        ("lr", None, "schedule.lr"),
        ("xyzzy", "1", None),
    ],
)
def test_an_option_that_is_a_setting_is_suggested(word: str, value: str | None, meant: str | None):
    assert suggestion(word, value, flatten(detzoo.find("retinanet_r18_fpn_shapes"))) == meant


def test_comments_explain_settings():
    recipe = detzoo.find("retinanet_r50_fpn_1x_coco")
    said = explained(recipe)

    assert said["schedule.batch"] == "images per device and step"
    assert "voc07: 11-point AP" in said["data.metric"]  # a comment above
    assert said["model.backbone.norm_eval"] == "batch normalization keeps its statistics in training"
    leaves = set(flatten(recipe))
    unknown_paths = {path for path in said if path not in leaves and not any(leaf.startswith(path) for leaf in leaves)}
    assert not unknown_paths
