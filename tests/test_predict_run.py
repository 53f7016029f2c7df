import itertools
import logging
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from detzoo.data.images import ImageError
from detzoo.detector import Detector
from detzoo.evaluate.inference import detect_on_host, in_evaluation_mode
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.overwrite import OverwritesSource
from detzoo.predict.result import Result
from detzoo.predict.run import READERS, predict
from detzoo.predict.sources import load
from detzoo.recipes.recipe import METHODS
from detzoo.types import Detections
from tests.oracle import Answer, Oracle, answers, level, scene, write_images
from tests.tiny import METHOD_IDS, detect, images, tiny

SIZES = [(90, 120), (200, 80), (50, 50), (60, 300), (96, 96)]
NAMES = ("dog", "cat", "cow")


@pytest.fixture
def contents() -> dict[str, Any]:
    return scene(1, SIZES, {1: "dog", 2: "cat", 3: "cow"})


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_images(tmp_path / "images", SIZES)


def test_results_are_in_pixels_of_each_image(files: list[Path], contents: dict[str, Any]):
    truth = answers(contents, NAMES, noise=0, masks=True)
    detector = Oracle(NAMES, truth)
    found = predict(detector, files, threshold=0.0, batch=2)
    assert isinstance(found, list)
    assert len(found) == len(files)
    for index, (one, size) in enumerate(zip(found, SIZES, strict=True)):
        answer = truth[level(index)]
        torch.testing.assert_close(one.boxes, answer.boxes, atol=1e-3, rtol=0)
        assert torch.equal(one.labels, answer.labels)
        assert one.names == [NAMES[label] for label in answer.labels.tolist()]
        assert one.path == files[index]
        assert one.size == size
        assert one.image.shape == (*size, 3)
        masks = one.masks
        assert masks is not None
        assert answer.masks is not None
        overlap = (masks & answer.masks).sum((1, 2)) / (masks | answer.masks).sum((1, 2))
        assert overlap.min() > 0.7
    # the two of one canvas together, as soon as both are seen
    canvases = [(2, 96, 96), (1, 96, 128), (1, 160, 64), (1, 32, 160)]
    assert [(call[0], *call[2:]) for call in detector.calls] == canvases


def test_a_header_that_lies_about_its_size_changes_no_result(
    files: list[Path], contents: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    truth = answers(contents, NAMES, noise=0)
    detector = Oracle(NAMES, truth)
    monkeypatch.setattr("detzoo.predict.run.size_of", lambda picture: (90, 120))
    found = list(predict(detector, files, threshold=0.0, batch=8))
    assert [one.path for one in found] == files
    for index, one in enumerate(found):
        torch.testing.assert_close(one.boxes, truth[level(index)].boxes, atol=1e-3, rtol=0)
    assert sorted(call[0] for call in detector.calls) == [1, 1, 1, 2]


def test_pil_images_are_sorted_as_they_stand_upright(tmp_path: Path):
    """A camera that was turned writes the same size, and says in the EXIF data that it was turned."""
    turned = Image.Exif()
    turned[0x0112] = 6
    for number in range(4):
        picture = Image.new("RGB", (120, 90), (level(number),) * 3)
        picture.save(tmp_path / f"{number}.jpg", exif=turned if number % 2 else Image.Exif(), quality=100)
    answer = Answer((90, 120), torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
    detector = Oracle(NAMES, dict.fromkeys(range(256), answer))
    for source in (tmp_path, [Image.open(path) for path in sorted(tmp_path.iterdir())]):
        detector.calls.clear()
        found = list(predict(detector, source, batch=2))
        assert [one.size for one in found] == [(90, 120), (120, 90)] * 2
        assert [(call[0], *call[2:]) for call in detector.calls] == [(2, 96, 128), (2, 128, 96)]


def test_dense_masks_are_resized(files: list[Path], contents: dict[str, Any]):
    truth = answers(contents, NAMES, noise=0, masks=True)
    found = predict(Oracle(NAMES, truth, dense=True), files, threshold=0.0, batch=3)
    for index, one in enumerate(found):
        expected = truth[level(index)].masks
        assert expected is not None
        assert one.masks is not None
        assert one.masks.shape == expected.shape
        assert (one.masks & expected).sum() / (one.masks | expected).sum() > 0.8


def test_every_kind_of_source_gives_the_same(files: list[Path], contents: dict[str, Any]):
    detector = Oracle(NAMES, answers(contents, NAMES, noise=0))
    folder = files[0].parent
    arrays = [np.asarray(Image.open(file)) for file in files]
    whole = predict(detector, folder, threshold=0.0)
    for source in (str(folder), str(folder / "*.png"), files, arrays, [Image.open(file) for file in files]):
        for one, other in zip(whole, detector.predict(source, threshold=0.0, batch=1), strict=True):
            assert torch.equal(one.boxes, other.boxes)
            assert np.array_equal(one.image, other.image)
    assert len(detector.predict(files[0])) == 1
    assert len(detector.predict(np.stack([arrays[0], arrays[0]]))) == 2
    assert detector.predict([]) == []
    assert detector.predict(arrays[0])[0].path is None


def test_threshold_and_clipping(files: list[Path]):
    boxes = torch.tensor([[-20.0, -5, 60, 70], [10, 10, 500, 40], [3, 3, 9, 9]])
    answer = Answer((90, 120), boxes, torch.tensor([0.9, 0.5, 0.2]), torch.tensor([0, 1, 2]))
    detector = Oracle(NAMES, {level(0): answer})
    (found,) = detector.predict(files[0], threshold=0.5)
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    torch.testing.assert_close(found.boxes, torch.tensor([[0.0, 0, 60, 70], [10, 10, 120, 40]]))
    assert len(detector.predict(files[0], threshold=0.95)[0]) == 0


def test_flags_and_inference_mode_stay_inside(files: list[Path], contents: dict[str, Any]):
    detector = Oracle(NAMES, answers(contents, NAMES, noise=0))
    detector.train()
    detector.layer.eval()
    (found,) = detector.predict(files[0], threshold=0.0)
    assert detector.training
    assert not detector.layer.training
    found.boxes.add_(1)  # an inference tensor would refuse
    assert not found.scores.is_inference()


def test_threads_meet_no_training_flag():
    """In training mode, as `build` leaves it: a picture's result is that of evaluation mode, and no weight moves."""
    detector = tiny(MaskRCNN)
    detector.config = detector.config.replace(input=detector.config.input.replace(short=64, long=96))
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(3)]
    detector.eval()
    alone = [detector.predict(one, threshold=0.0)[0] for one in pictures]
    detector.train()
    next(detector.children()).eval()  # part of it only
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    flags = [module.training for module in detector.modules()]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: detector.predict(one, threshold=0.0)[0], pictures * 4))
    for one, other in zip(alone * 4, together, strict=True):
        assert torch.equal(one.boxes, other.boxes)
        assert torch.equal(one.scores, other.scores)
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())
    assert [module.training for module in detector.modules()] == flags


@pytest.mark.parametrize("method", METHODS, ids=METHOD_IDS)
def test_a_copy_in_evaluation_mode_is_the_detector(method: type[Detector]):
    detector = tiny(method).train()
    flags = [module.training for module in detector.modules()]
    with torch.no_grad():
        copied = detect(in_evaluation_mode(detector), images())
        assert [module.training for module in detector.modules()] == flags
        own = detect(detector.eval(), images())
    for name in ("boxes", "scores", "labels", "valid"):
        assert torch.equal(getattr(copied, name), getattr(own, name))
    assert in_evaluation_mode(detector) is detector


def test_a_detector_that_cannot_be_copied_is_refused(files: list[Path]):
    detector = Oracle(NAMES, {}).train()
    vars(detector)["detect"] = detector.detect  # as torch.compile(detector.detect) would be
    with pytest.raises(ValueError, match=r"its detect was replaced: call eval\(\) first"):
        detector.predict(files)


def _found_nothing(images: Any) -> Detections:
    nothing = torch.zeros(len(images.pixels), 0)
    return Detections(boxes=torch.zeros(*nothing.shape, 4), scores=nothing, labels=nothing.long(), valid=nothing.bool())


def test_a_function_that_knows_no_detector_may_stand_for_a_method(files: list[Path]):
    detector: Any = Oracle(NAMES, {}).train()
    detector.detect = _found_nothing
    assert [len(found) for found in detector.predict(files)] == [0] * len(files)
    assert detector.training
    own = Oracle(NAMES, {}).detect
    for function in (
        lambda images: own(images),
        lambda images, call=own: call(images),
        lambda images: detector(images),
    ):
        detector.detect = function
        with pytest.raises(ValueError, match="detect was replaced"):
            detector.predict(files)


def test_wrong_arguments(files: list[Path]):
    detector = Oracle(NAMES, {})
    wrong: Any
    for wrong in (0, -1, 2.5, "4", None, True):
        with pytest.raises(ValueError, match="batch must be a whole number and at least 1, got"):
            detector.predict(files, batch=wrong)
    for wrong in (50, -3, float("nan"), float("inf"), "0.5", None, True, [0.5, 0.5], 1.0000001):
        with pytest.raises(ValueError, match="threshold must be a number from 0 to 1, got"):
            detector.predict(files, threshold=wrong)
    assert detector.calls == []
    files[1].write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"001\.png"):
        detector.predict(files[1])


def test_a_real_detector_does_not_mind_its_neighbours():
    """The same picture alone and padded together with a larger one."""
    detector = tiny(MaskRCNN)
    detector.config = detector.config.replace(input=detector.config.input.replace(short=64, long=96))
    random = np.random.default_rng(0)
    small, large = (random.integers(0, 255, (*size, 3), dtype=np.uint8) for size in ((48, 64), (80, 90)))
    (alone,) = detector.predict(small, threshold=0.0)
    together = detector.predict([small, large], threshold=0.0, batch=2)[0]
    assert len(alone) > 0
    assert isinstance(alone, Result)
    assert len(alone) == len(together)
    assert together.masks is not None
    assert together.masks.shape[1:] == (48, 64)
    torch.testing.assert_close(alone.scores, together.scores, atol=1e-4, rtol=1e-4)


def test_results_are_on_the_processor_wherever_the_program_makes_its_tensors():
    detector = tiny(MaskRCNN)
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    ways = (
        lambda: detector.predict([picture, picture[:40]], size=(64, 96), threshold=0.0, classes=detector.classes)[1],
        lambda: detector.predict(picture, size=64, threshold=0.0)[0][1:5][[True, False, True, False]].filter(
            classes=detector.classes[1:]
        ),
        lambda: detector.predict(picture, size=64, threshold=0.0)[0][::2],
    )
    wanted = [way() for way in ways]
    with torch.device("meta"):
        found = [way() for way in ways]
    for one, two in zip(wanted, found, strict=True):
        assert len(one) > 0
        assert torch.equal(one.boxes, two.boxes)
        assert torch.equal(one.masks, two.masks)


def write_video(path: Path, count: int) -> None:
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
    for index in range(count):
        frame = np.full((48, 64, 3), level(index), np.uint8)
        frame[:, 32:, 0] = 255  # blue, as OpenCV orders it
        writer.write(frame)
    writer.release()


def test_video_is_a_generator(tmp_path: Path):
    path = tmp_path / "clip.avi"
    write_video(path, 7)
    answer = Answer((48, 64), torch.tensor([[4.0, 4, 20, 30]]), torch.tensor([0.9]), torch.tensor([1]))
    detector = Oracle(NAMES, dict.fromkeys(range(256), answer))
    found = detector.predict(path, batch=3)
    assert not isinstance(found, list)
    first = list(itertools.islice(found, 2))
    assert len(detector.calls) == 1  # later frames are not read before they are asked for
    assert not torch.is_inference_mode_enabled()
    rest = list(found)
    assert len(first) + len(rest) == 7
    for one in first + rest:
        assert one.path == path
        torch.testing.assert_close(one.boxes, answer.boxes, atol=1e-3, rtol=0)
    assert np.abs(rest[-1].image[20, 50].astype(int) - [level(6), level(6), 255]).max() < 25
    assert len(list(detector.predict(path, progress=True))) == 7


def test_video_without_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install detzoo\[video\]"):
        Oracle(NAMES, {}).predict(path)


def test_broken_and_missing_video(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no video at"):
        Oracle(NAMES, {}).predict(tmp_path / "clip.mp4")
    with pytest.raises(FileNotFoundError, match=r"http://host/clip\.mp4 is an address: download it first"):
        Oracle(NAMES, {}).predict("http://host/clip.mp4")
    (tmp_path / "clip.mp4").write_bytes(b"nothing like a video")
    with pytest.raises(ValueError, match=r"clip\.mp4 cannot be decoded as a video"):
        Oracle(NAMES, {}).predict(tmp_path / "clip.mp4")
    (tmp_path / "clip.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"clip\.mp4 is empty"):
        Oracle(NAMES, {}).predict(tmp_path / "clip.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ValueError, match=r"folder\.mp4 is no regular file"):
        Oracle(NAMES, {}).predict(tmp_path / "folder.mp4")


def test_a_cut_or_frameless_video_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    whole, cut, none = (tmp_path / f"{name}.avi" for name in ("whole", "cut", "none"))
    answer = Answer((48, 64), torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
    detector = Oracle(NAMES, dict.fromkeys(range(256), answer))
    write_video(whole, 20)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    with caplog.at_level(logging.WARNING):
        assert len(list(detector.predict(whole))) == 20
        assert not caplog.messages
        count = len(list(detector.predict(cut)))
    assert 0 < count < 20
    assert caplog.messages == [f"{cut} ends after {count} of 20 frames: it may be cut or damaged"]
    write_video(none, 0)
    with pytest.raises(ValueError, match=r"none\.avi cannot be decoded as a video"):
        detector.predict(none)


def test_files_that_are_not_taken_are_said(
    files: list[Path], contents: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    (files[0].parent / "a.heic").write_bytes(b"something")
    with caplog.at_level(logging.WARNING):
        assert len(list(predict(Oracle(NAMES, answers(contents, NAMES, noise=0)), files[0].parent))) == 5
    assert "a.heic" in caplog.text


def test_broken_files_of_a_folder_are_left_out_and_named(
    files: list[Path], contents: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    detector = Oracle(NAMES, answers(contents, NAMES, noise=0))
    files[1].write_bytes(files[1].read_bytes()[:60])
    files[4].write_bytes(b"")
    for source in (files[0].parent, str(files[0].parent / "*.png")):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            found = predict(detector, source, batch=2)
        assert [one.path for one in found] == [files[0], files[2], files[3]]
        (said,) = caplog.messages
        assert said.startswith("2 of 5 images cannot be read and are left out:\n")
        assert all(str(file) in said for file in (files[1], files[4]))
    for source in (files[1], files, [str(files[4])]):
        with pytest.raises(ImageError, match=r"00[14]\.png"):
            predict(detector, source)
    for file in files:
        file.write_text("no picture")
    with pytest.raises(ImageError, match=r"none of the 5 images can be read(.|\n)*000\.png"):
        predict(detector, files[0].parent)


def test_a_named_broken_file_is_an_error_though_a_folder_has_it(
    files: list[Path], contents: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    detector = Oracle(NAMES, answers(contents, NAMES, noise=0))
    folder = files[0].parent
    files[1].write_bytes(b"")
    for source in ([folder, files[1]], [str(files[1]), folder], [[files[1]], [str(folder / "*.png")]]):
        with pytest.raises(ImageError, match=r"001\.png"):
            predict(detector, source)
    with caplog.at_level(logging.WARNING):
        assert len(list(predict(detector, [folder, str(folder / "*.png")]))) == 8
    (said,) = caplog.messages
    assert said.startswith("1 of 5 images cannot be read")
    assert said.count("001.png") == 1


def test_a_result_finds_its_image_from_another_folder(
    files: list[Path], contents: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(files[0].parent)
    (one,) = predict(Oracle(NAMES, answers(contents, NAMES, noise=0)), files[0].name, threshold=0.0)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    Image.new("RGB", (5, 5)).save(files[0].name)
    for part in (one, one[:1]):
        assert part.path == Path(files[0].name)
        assert part.image.shape == (*SIZES[0], 3)
        assert part.plot().size == SIZES[0][::-1]
        with pytest.raises(OverwritesSource):
            part.save(files[0])


def test_pixels_of_files_do_not_wait_for_their_result(
    files: list[Path], contents: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    """Eight large pictures would be held at once."""
    read: list[weakref.ref[np.ndarray]] = []
    held: list[int] = []

    def remembered(picture: Any) -> np.ndarray:
        pixels = load(picture)
        read.append(weakref.ref(pixels))
        return pixels

    def watched(*given: Any) -> Detections:
        held.append(sum(pixels() is not None for pixels in read))
        return detect_on_host(*given)

    monkeypatch.setattr("detzoo.predict.run.load", remembered)
    monkeypatch.setattr("detzoo.predict.run.detect_on_host", watched)
    predict(Oracle(NAMES, answers(contents, NAMES, noise=0)), files, batch=5)
    assert len(read) == 5
    assert len(held) == 4
    assert max(held) <= READERS  # those that a thread is reading just now, for the next batch
    assert held[-1] == 0
