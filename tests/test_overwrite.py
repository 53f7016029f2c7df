"""No command and no call writes over a file that it reads, however the folder is spelled."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detzoo import cli
from detzoo.demo import demo
from detzoo.evaluate.run import evaluate
from detzoo.overwrite import OverwritesSource, ReadFiles
from detzoo.predict.outputs import Outputs
from tests.oracle import Oracle, answers, level, scene, write_coco


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 256, (32, 48, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.jpg")
    return folder


def linked(images: Path) -> Path:
    link = images.parent / "link"
    link.symlink_to(images, target_is_directory=True)
    return link


def hard_linked(images: Path) -> Path:
    other = images.parent / "hard"
    other.mkdir()
    os.link(images / "1.jpg", other / "1.jpg")
    return other


def linked_file(images: Path) -> Path:
    other = images.parent / "soft"
    other.mkdir()
    (other / "0.jpg").symlink_to(images / "0.jpg")
    return other


SPELLINGS: list[Callable[[Path], Path]] = [
    lambda images: images,
    lambda images: images / ".." / "images",
    lambda images: Path(os.path.relpath(images)),
    linked,
    hard_linked,
    linked_file,
]


@pytest.mark.parametrize("spelled", SPELLINGS)
@pytest.mark.parametrize("source", [".", "*.jpg", "1.jpg"])
def test_the_command_refuses_before_it_loads_anything(
    images: Path, spelled: Callable[[Path], Path], source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = spelled(images)
    before = digests(images)
    if source == "1.jpg" and spelled is linked_file:
        return  # that folder has a link to the other image only
    code = cli.main(["predict", "retinanet_r50_fpn_1x_coco", str(images / source), "--out", str(out)])
    assert code == 2
    said = capsys.readouterr().err
    assert "would be overwritten: choose another folder with --out" in said
    assert said.count("\n") == 1
    assert digests(images) == before


def test_the_command_refuses_in_the_folder_of_the_image(
    images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(images)
    for out in (".", "", "../images", "./", str(images)):
        assert cli.main(["predict", "retinanet_r50_fpn_1x_coco", "0.jpg", "--out", out]) == 2
        assert "would be overwritten" in capsys.readouterr().err


def test_a_name_in_another_case_counts_where_the_system_says_so(images: Path) -> None:
    """Suffixes become lower case: `2.JPG` is drawn as `2.jpg`, which is another image that is read."""
    shutil.copy(images / "0.jpg", images / "2.JPG")
    shutil.copy(images / "1.jpg", images / "2.jpg")
    with pytest.raises(OverwritesSource):
        Outputs(images, [images / "2.JPG", images / "2.jpg"])


def test_other_files_that_are_read(images: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.json").symlink_to(images / "1.jpg")
    outputs = Outputs(tmp_path / "out", images)
    with pytest.raises(OverwritesSource, match=r"predictions\.json, which is .*1\.jpg, is read here"):
        outputs.file("predictions.json")


def drawn(outputs: Outputs) -> None:
    for number, path in enumerate(outputs.images):
        target = outputs.drawing(path, number)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(b"drawing of " + path.name.encode())
        outputs.wrote(target)


def test_a_folder_keeps_what_no_run_has_written(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = images.parent / "other"
    out.mkdir()
    (out / "1.jpg").write_bytes(b"another picture")
    assert cli.main(["predict", "retinanet_r50_fpn_1x_coco", str(images), "--out", str(out)]) == 2
    assert "1.jpg exists, was not written by this command" in (said := capsys.readouterr().err)
    assert "choose another folder with --out" in said
    assert digests(out).keys() == {"1.jpg"}
    drawn(Outputs(out, images / "0.jpg"))  # beside it there is room
    drawn(Outputs(out, images / "0.jpg"))  # and again
    with pytest.raises(FileExistsError):
        Outputs(out, images)
    (out / "predictions.json").write_text("mine")
    with pytest.raises(FileExistsError, match=r"predictions\.json exists"):
        Outputs(out, images / "0.jpg").file("predictions.json")
    (out / "0.jpg").write_bytes(b"put there since")
    with pytest.raises(FileExistsError, match=r"0\.jpg exists"):
        Outputs(out, images / "0.jpg")
    (out / "0.jpg").unlink()
    (out / "0.jpg").symlink_to(out / "nowhere.jpg")
    with pytest.raises(FileExistsError, match=r"0\.jpg exists"):
        Outputs(out, images / "0.jpg")


def test_the_list_of_what_was_written_lasts(images: Path) -> None:
    out = images.parent / "found"
    drawn(Outputs(out, images / "0.jpg"))
    drawn(Outputs(out, images / "1.jpg"))
    drawn(Outputs(out, images))
    shutil.copytree(out, images.parent / "moved")
    Outputs(images.parent / "moved", images)
    (out / ".detzoo-predict.jsonl").write_bytes(b'no\n["0.jpg"]\n7\n\xff\n')
    with pytest.raises(FileExistsError):
        Outputs(out, images)


def test_frames_of_a_video_replace_nothing_either(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"video")
    out = tmp_path / "out"
    out.mkdir()
    (out / "clip.jpg").write_bytes(b"mine")
    Outputs(out, tmp_path / "clip.mp4")
    (out / "clip_000007.jpg").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"clip_000007\.jpg exists"):
        Outputs(out, tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("predictions.json", "predictions.json is where predictions.json goes"),
        ("../out/predictions.json", "is where predictions.json goes"),
        ("1.jpg", "is the name of a picture"),
        ("../b.PNG", "is the name of a picture"),
        ("link.json", "is where a drawing goes"),
        (".detzoo-predict.jsonl", "is where the list of what is written goes"),
        ("", "is a folder"),
    ],
)
def test_two_results_have_two_files(
    images: Path, target: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images.parent)
    Path("out").mkdir()
    Path("out", "link.json").symlink_to("1.jpg")
    words = ["--out", "out", "--json", "--coco", f"{images.parent}/out/{target}"]
    assert cli.main(["predict", "retinanet_r50_fpn_1x_coco", str(images), *words]) == 2
    assert said in capsys.readouterr().err


def test_an_image_read_from_an_open_file_is_not_replaced(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(np.full((32, 48, 3), level(0), np.uint8)).save(images / "0.png")
    truth = answers(scene(1, [(32, 48)], {1: "dog"}), ["dog"], noise=0)
    monkeypatch.chdir(images)
    before = digests(images)
    for name in ("0.png", b"0.png", images / "0.png"):
        with open(name, "rb") as file:
            (found,) = Oracle(["dog"], truth).predict(Image.open(file), threshold=0)
            with pytest.raises(OverwritesSource):
                found.save(images / "0.png")
    assert digests(images) == before


def test_every_image_has_a_name_of_its_own(tmp_path: Path) -> None:
    names = ["a/x_000002.jpg", "b/x.jpg", "c/X.JPG", "d/x.tif", "e/caf\u00e9.png", "f/cafe\u0301.png"]
    paths = []
    for name in names:
        path = tmp_path / name
        path.parent.mkdir()
        Image.new("RGB", (4, 4)).save(path)
        paths.append(path)
    outputs = Outputs(tmp_path / "out", paths)
    drawn = [outputs.drawing(path, number).name for number, path in enumerate(paths)]
    assert len({name.casefold() for name in drawn}) == len(paths)
    assert drawn[:2] == ["x_000002.jpg", "x.jpg"]
    assert outputs.drawing(paths[3], 99).name == drawn[3]  # whatever was skipped before it


def test_files_that_do_not_exist_are_no_obstacle(tmp_path: Path) -> None:
    ReadFiles([tmp_path / "none.jpg", "retinanet_r50_fpn_1x_coco", "a\0b"]).refuse(tmp_path / "none.jpg", "-")


def test_the_demo_leaves_a_folder_of_somebody_else_alone(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "00.png").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="holds files that no demonstration made"):
        demo(tmp_path)
    assert (tmp_path / "pictures" / "00.png").read_bytes() == b"mine"


def test_an_evaluation_does_not_replace_its_annotations(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "data", scene(0, [(50, 50)], {2: "cat"}))
    before = (folder / "val.json").read_bytes()
    (tmp_path / "link.json").symlink_to(folder / "val.json")
    detector = Oracle(["cat"], {})
    for target in (folder / "val.json", folder / ".." / "data" / "val.json", tmp_path / "link.json"):
        with pytest.raises(OverwritesSource, match="would be overwritten: write to another file"):
            evaluate(detector, folder, progress=False, out=target)
        with pytest.raises(OverwritesSource, match="would be overwritten: write to another file"):
            evaluate(detector, folder, progress=False, proposals=target)
    assert detector.calls == []
    assert (folder / "val.json").read_bytes() == before


def test_a_conversion_does_not_replace_its_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, config = tmp_path / "model.pth", tmp_path / "model.py"
    source.write_bytes(b"weights")
    config.write_text("model = dict()")
    for out in (source, tmp_path / "." / "model.pth", config):
        assert cli.main(["convert", str(source), "--config", str(config), "--out", str(out)]) == 2
        assert "would be overwritten: choose another file with --out" in capsys.readouterr().err
    assert source.read_bytes() == b"weights"


def test_a_result_is_not_saved_over_its_own_image(images: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((32, 48, 3), level(0), np.uint8)).save(images / "0.png")
    truth = answers(scene(1, [(32, 48)], {1: "dog"}), ["dog"], noise=0)
    (found,) = Oracle(["dog"], truth).predict(images / "0.png", threshold=0)
    before = digests(images)
    for target in (images / "0.png", linked(images) / "0.png"):
        with pytest.raises(OverwritesSource, match="save it under another name or in another folder"):
            found.save(target)
    assert digests(images) == before
    assert found.save(tmp_path / "out" / "0.png").is_file()
