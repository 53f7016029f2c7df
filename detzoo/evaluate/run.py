"""`evaluate`: run a detector over a data set and measure it."""

from __future__ import annotations

import copy
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from detzoo.arguments import count
from detzoo.atomic import check_folder
from detzoo.config import ConfigError
from detzoo.data.annotations import NO_MASK, Annotations
from detzoo.data.dataset import Dataset, open_dataset
from detzoo.data.image_check import check_images
from detzoo.data.loader import make_loader
from detzoo.data.problems import DataError
from detzoo.data.proposals import write_proposals
from detzoo.data.read import SplitName, check_split, read_split
from detzoo.data.source import as_data
from detzoo.detector import Detector
from detzoo.device import pick_device
from detzoo.evaluate.arrays import Found, Truth
from detzoo.evaluate.coco import coco_metrics, proposal_metrics
from detzoo.evaluate.explain import class_notes, zero_notes
from detzoo.evaluate.gather import (
    ImageResult,
    found_arrays,
    image_order,
    image_result,
    merge,
    share,
    truth_arrays,
)
from detzoo.evaluate.inference import detect_on_host, in_precision
from detzoo.evaluate.lvis import check_federated, lvis_metrics
from detzoo.evaluate.own_metrics import OwnMetric, own_metrics
from detzoo.evaluate.page import evaluation_sections
from detzoo.evaluate.report import Report, check_suffix, report_file
from detzoo.evaluate.results_file import write_results
from detzoo.evaluate.tta import detect_views, views_of
from detzoo.evaluate.voc import voc_metrics
from detzoo.overwrite import ReadFiles
from detzoo.precision import Precision, pick_precision
from detzoo.recipes.settings import Data
from detzoo.report.labels import label_statistics
from detzoo.report.page import Page
from detzoo.suggest import unknown
from detzoo.tta import TTA
from detzoo.types import Detections
from detzoo.user_path import user_path

Metric = Literal["coco", "lvis", "voc", "voc07", "proposals"]
METRICS: tuple[Metric, ...] = ("coco", "lvis", "voc", "voc07", "proposals")
WITH_MASKS = {"coco": coco_metrics, "lvis": lvis_metrics}  # what measures masks as it does boxes
AHEAD = 64  # images whose masks may wait to be encoded while the device works on the next ones


def evaluate(
    detector: Detector,
    data: Any,
    *,
    split: SplitName = "val",
    batch: int = 4,
    device: torch.device | str | None = None,
    out: str | Path | None = None,
    metric: Metric | None = None,
    metrics: Sequence[OwnMetric] = (),
    proposals: str | Path | None = None,
    results: str | Path | None = None,
    progress: bool = True,
    workers: int = 2,
    together: bool = True,
    precision: Precision | torch.dtype | None = None,
    tta: TTA | bool | str | Mapping[str, Any] | None = None,
    report: bool | str | Path | Page = True,
) -> Report:
    """Measure a detector on annotated images.

    Classes are matched by name: a detector that knows more is measured on those of the data, and classes that it does
    not know count as not found. Masks are measured where both the detector and the annotations have them. COCO files
    are measured as pycocotools does, which counts objects marked ``ignore``; elsewhere (VOC's difficult ones) such
    objects neither count as found nor as missed.

    Args:
        detector: the training flags of its modules are left as they are.
        data: anything `detzoo.data.source.as_data` takes, or an open data set that does not vary its images.
        split: ``train`` or ``val``; not used with an open data set.
        batch: images per network call.
        device: where to compute; the detector is moved there. None: where it is.
        out: a ``.json`` file, or a folder to write ``report.json`` into.
        metric: ``coco`` (boxes, masks), ``lvis`` (likewise, where only some classes were looked for in each image),
            ``voc`` (area under the curve), ``voc07`` (11 points) or ``proposals`` (recall whatever the class). None:
            ``proposals`` for a detector without classes, else what the data's settings say.
        metrics: the program's own, measured beside it; see `detzoo.evaluate.own_metrics`.
        proposals: a ``.safetensors`` file to write the found boxes to, for a method that is given boxes; see
            `detzoo.data.proposals`.
        results: a ``.json`` file to write the detections to in COCO's results format, with the image and category ids
            of the annotation file.
        progress: show a progress bar on a terminal.
        workers: processes that load images; 0: this one.
        together: in a distributed run every rank calls and takes a part of the images, and all get the same report.
            False: this process alone looks at every image, and no other has to call.
        precision: what the network computes in, as in `detzoo.detector.Detector.predict`.
        tta: views of each image whose detections are merged, as in `detzoo.detector.Detector.predict`; ``"published"``:
            those that the recipe's published numbers were measured with. None: the image as it is.
        report: the page about it, with curves, confusions, kinds of errors and pictures: a ``.html`` file; True: beside
            what ``out`` names, such as ``report.html``, and none without ``out``; False: none.

    Raises:
        ConfigError: the data, the split or the metric is unknown; the message lists those there are.
        OverwritesSource: ``out``, ``report``, ``proposals`` or ``results`` is a file of the data; nothing is computed.
        FileNotFoundError: a file of the data is missing.
        ValueError: a number is out of range, or a file is broken; the message names it.
    """
    if not isinstance(detector, Detector):
        given = repr(str(detector)) if isinstance(detector, str | os.PathLike) else "'best.safetensors'"
        raise TypeError(f"evaluate takes a detector, such as detzoo.load({given}), not {type(detector).__name__}")
    if data is None:
        raise ValueError("data is missing: give a folder, a .json or .yaml file, or 'shapes'")
    if metric is not None and metric not in METRICS:
        raise ConfigError(f"metric: {unknown(metric, METRICS, 'metric')}; there are {', '.join(METRICS)}")
    check_split(split)
    batch, workers = count("batch", batch), count("workers", workers, least=0)
    place = None if device is None else pick_device(device)
    dtype, views = pick_precision(precision), views_of(detector, tta)
    dataset, reread = _open(detector, data, split)
    page = _page(report, out, detector)
    targets = [report_file(out) if out is not None else None, proposals, results, page.path if page else None]
    _refuse_to_overwrite(dataset.data, data, targets, reads_proposals=detector.takes_proposals)
    for path, suffix, what in zip(
        targets[1:], (".safetensors", ".json", ".html"), ("proposals", "results", "report"), strict=True
    ):
        if path is not None:
            check_suffix(path, suffix, what)
    chosen: Metric = metric or (dataset.data.metric if detector.finds_classes else "proposals")
    if chosen == "lvis":
        check_federated(dataset.annotations)
    if place is not None:
        detector.to(place)
    detector = in_precision(detector, dtype)
    several = together and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    order = image_order(dataset.annotations, dataset.indices)
    started = time.perf_counter()
    mine = _detect(detector, dataset, order, chosen, batch, workers, several, progress, views)
    found = merge(mine, several)
    seconds = time.perf_counter() - started
    measured: Report | Exception | None = None
    if found is not None:
        try:
            masked, why = dataset.annotations, _NO_MASKS
            if chosen in WITH_MASKS and any(result.masks is not None for result in found.values()):
                masked, why = _with_masks(data, masked, reread, split)
            measured = _measure(detector, dataset, masked, why, order, found, chosen, seconds)
            measured.metrics.update(own_metrics(metrics, dataset.annotations, order, found, measured.metrics))
            if out is not None:
                measured.save(out)
            if proposals is not None:
                write_proposals(proposals, _by_image(dataset.annotations, order, found))
            if results is not None:
                write_results(results, dataset.annotations, order, found, classes=chosen != "proposals")
            if page is not None:
                shown = evaluation_sections(measured, dataset, masked, order, found, _honours_ignore(dataset, chosen))
                statistics = {"labels": label_statistics(dataset.annotations, dataset.indices)} | dict(page.more)
                page.write(evaluation=shown, labels=statistics["labels"])
        except Exception as error:  # the other ranks wait for an answer
            if not several:
                raise
            measured = error
    measured = share(measured, several)
    if isinstance(measured, Exception):
        raise measured
    assert measured is not None  # rank 0 has set it
    return measured


def _page(report: bool | str | Path | Page, out: str | Path | None, detector: Detector) -> Page | None:
    """The page to write, if any."""
    if isinstance(report, Page):
        return report
    if report is False or (report is True and out is None):
        return None
    path = report_file(out).with_suffix(".html") if report is True and out is not None else user_path(str(report))
    name = getattr(detector.recipe, "name", type(detector).__name__)
    return Page(path, f"{name}, evaluated")


def _honours_ignore(dataset: Dataset, metric: Metric) -> bool:
    """Whether objects marked ``ignore`` are left out of the count.

    pycocotools overwrites a file's `ignore` by its `iscrowd`; published COCO numbers are measured that way.
    """
    return dataset.data.kind != "coco" or metric not in ("coco", "proposals")


def _refuse_to_overwrite(
    settings: Data, given: Any, targets: Sequence[str | Path | None], reads_proposals: bool
) -> None:
    """Raise where a result would replace a file of the data, or has nowhere to go. Whoever reads no proposals may
    write them anew."""
    splits = [*settings.train, *settings.val]
    names = [part.annotations for part in splits] + [part.proposals for part in splits if reads_proposals]
    names = [name for name in names if name]
    paths = [user_path(settings.root) / user_path(name) for name in names]
    read = ReadFiles([*paths, given] if isinstance(given, str | Path) else paths)
    for target in targets:
        if target is not None:
            read.refuse(target, "write to another file")
            check_folder(user_path(target).parent)


def _open(
    detector: Detector, data: Dataset | Data | Mapping[str, Any] | str | Path, split: SplitName
) -> tuple[Dataset, Data | None]:
    """The images to look at, loaded without masks, and the settings to read the annotations again with masks."""
    if isinstance(data, Dataset):
        if data.augment:
            raise ValueError("the data set varies its images; open it with augment=False to evaluate on it")
        # masks are measured from the annotations: the loader need not draw them
        light = copy.copy(data)
        light.data, light.class_maps = data.data.replace(masks=False), None
        return light, None
    settings = as_data(data)
    opened = open_dataset(
        settings.replace(masks=False),
        split,
        detector.config.input,
        False,
        strict=False,
        proposals=detector.takes_proposals,
    )
    check_images([opened])
    return opened, settings.replace(masks=True)


_NO_MASKS = "the annotations have none"


def _with_masks(
    data: Any, annotations: Annotations, settings: Data | None, split: SplitName
) -> tuple[Annotations, str]:
    """The same annotations with masks where there are any, and else why there are none."""
    if annotations.mask_kind.any():
        return annotations, ""
    if settings is None:
        opened = isinstance(data, Dataset) and data.data.masks
        return annotations, _UNREADABLE if opened else "the data set was opened without them"
    try:
        masked = read_split(settings, split, strict=False)
    except (DataError, ConfigError) as error:
        return annotations, f"{_NO_MASKS} ({error})"
    return masked, _UNREADABLE if len(masked.boxes) else "there is no object to compare them with"


_UNREADABLE = "none of those in the annotations can be used, for reasons that a warning gives"


def _detect(
    detector: Detector,
    dataset: Dataset,
    order: NDArray[np.int64],
    metric: Metric,
    batch: int,
    workers: int,
    several: bool,
    progress: bool,
    views: TTA | None,
) -> dict[int, ImageResult]:
    """This rank's share of the images."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if several else (0, 1)
    loader = make_loader(
        dataset, batch, train=False, workers=workers, rank=rank, world=world, scales=views.scales if views else ()
    )
    number_of = {dataset.annotations.image_id(int(image)): number for number, image in enumerate(order)}
    if len(number_of) < len(order):
        raise DataError(
            f"{len(order) - len(number_of)} of {len(order)} images in {dataset.data.root} share their id with another: "
            "results could not be told apart; evaluate each part of the data alone, or give the images other ids"
        )
    label_of = _label_table(detector, dataset, metric)
    results: dict[int, ImageResult] = {}
    waiting: deque[tuple[int, Future[ImageResult]]] = deque()
    bar = Progress(console=Console(stderr=True), transient=True, disable=not (progress and rank == 0))
    # masks are encoded on another core while the network looks at the next images
    with bar, ThreadPoolExecutor(1) as pool:
        task = bar.add_task("Evaluating", total=loader.images)
        for item in loader:
            sizes, originals = item.sizes.tolist(), item.original_sizes.tolist()
            found: Detections | list[Detections]
            if views is None:
                found = detect_on_host(detector, item.pixels, item.sizes, item.targets.proposals, item.original_sizes)
            else:
                given = item.targets.proposals
                boxes = None if given is None else (given, item.sizes)
                found, sizes = detect_views(detector, views, item.views, originals, boxes), originals
            for index, image in enumerate(item.ids):
                job = pool.submit(image_result, found[index], label_of, sizes[index], originals[index])
                waiting.append((number_of[image], job))
            while len(waiting) > AHEAD:
                number, job = waiting.popleft()
                results[number] = job.result()
            bar.advance(task, len(item.ids))
        results.update((number, job.result()) for number, job in waiting)
    return results


def _by_image(
    annotations: Annotations, order: NDArray[np.int64], results: Mapping[int, ImageResult]
) -> dict[int | str, NDArray[np.float32]]:
    """Boxes and scores ``[K, 5]`` by image id."""
    return {
        annotations.image_id(int(order[number])): np.column_stack([result.boxes, result.scores])
        for number, result in results.items()
    }


def _label_table(detector: Detector, dataset: Dataset, metric: Metric) -> NDArray[np.int64]:
    """The data's label by the detector's label, -1 where the data has no such class; proposals have none."""
    if metric == "proposals":
        return np.zeros(len(detector.classes), dtype=np.int64)
    known = {name: label for label, name in enumerate(dataset.classes)}
    return np.array([known.get(name, -1) for name in detector.classes], dtype=np.int64)


def _measure(
    detector: Detector,
    dataset: Dataset,
    masked: Annotations,
    why: str,
    order: NDArray[np.int64],
    results: Mapping[int, ImageResult],
    metric: Metric,
    seconds: float,
) -> Report:
    """Numbers, table and notes; ``masked`` are the annotations to take masks from, ``why`` they have none."""
    found = found_arrays(results)
    honour = _honours_ignore(dataset, metric)
    lvis = metric == "lvis"
    truth = truth_arrays(dataset.annotations, order, honour, federated=lvis)
    counted = ~(truth.crowd | truth.ignore)
    objects = np.bincount(truth.labels[counted], minlength=len(truth.classes)).tolist()
    detections = np.bincount(found.labels, minlength=len(truth.classes)).tolist()
    notes, table = [], []
    if metric == "proposals":
        main, metrics = "proposal_ar1000", proposal_metrics(truth, found)
    else:
        notes += class_notes(detector.classes, dataset.classes)
        main = "box_ap" if metric in WITH_MASKS else "box_ap50"
        metrics, rows = _class_metrics(truth, found, metric)
        if metric in WITH_MASKS and found.masks is not None:
            if (masked.mask_kind != NO_MASK).any():
                outlined = truth_arrays(masked, order, honour, masks=True, federated=lvis)
                more, others = WITH_MASKS[metric](outlined, found, "mask")
                metrics |= more
                rows = [first | second for first, second in zip(rows, others, strict=True)]
                bare = int((masked.mask_kind == NO_MASK)[np.isin(masked.image_of(), order)].sum())
                if bare:
                    notes.append(f"{bare} objects have no mask that can be used and do not count in mask AP")
            else:
                notes.append(f"the detector gives masks but {why}: only boxes are measured")
        table = [
            {"name": name, "objects": objects[label], "detections": detections[label], **rows[label]}
            for label, name in enumerate(truth.classes)
        ]
    if metrics[main] <= 0:
        notes += zero_notes(truth, found, list(results.values()))
    return Report(metrics, table, main, metric, truth.images, sum(objects), seconds, notes)


def _class_metrics(truth: Truth, found: Found, metric: Metric) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Box numbers of all classes together, and of each."""
    if metric in WITH_MASKS:
        return WITH_MASKS[metric](truth, found, "box")
    return voc_metrics(truth, found, mode="11point" if metric == "voc07" else "area")
