"""What ``detzoo predict`` does: detections of a source into the files that were asked for."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from detzoo.arguments import count, fraction
from detzoo.atomic import write_atomically
from detzoo.detector import Detector
from detzoo.device import pick_device
from detzoo.precision import pick_precision
from detzoo.predict.coco_ids import CocoTable
from detzoo.predict.film import CAMERA_RATE, Film, frame_rate
from detzoo.predict.outputs import Outputs
from detzoo.predict.result import Result
from detzoo.predict.sources import is_camera, is_video
from detzoo.predict.tables import Table
from detzoo.recipes.zoo import locate
from detzoo.terminal import printable
from detzoo.tta import TTA, pick_tta
from detzoo.typed import listed


def predict_command(options: argparse.Namespace, load: Callable[[], Detector]) -> int:
    """Predict, draw and write; returns the exit code.

    Args:
        options: as the command line's parser gives them.
        load: gives the detector, once everything else is known to be right.
    """
    # whatever can be wrong is said before anything is loaded or computed
    fraction("--threshold", options.threshold)
    count("--batch", options.batch)
    pick_device(options.device)
    pick_precision(options.precision)
    pick_tta(options.tta, published=TTA())
    locate(options.name)
    read = [options.name, *([options.data] if options.data else [])]
    outputs = Outputs(options.out, options.source, read, film=not options.frames, crops=options.crops)
    tables = [
        (outputs.file(f"predictions.{kind}"), write)
        for kind, write in (("json", Table.write_json), ("csv", Table.write_csv))
        if getattr(options, kind)
    ]
    coco = None
    if options.coco:
        outputs.claim(options.coco)
        coco = CocoTable(outputs.images, options.data)
    elif options.data:
        raise ValueError("--data is for --coco: it says which ids the results in that file have")
    detector = load().with_settings(options.overrides, nms=options.nms, size=options.size)
    if coco is not None:
        for note in coco.notes(detector.classes):
            print(printable(f"note: {note}"), file=sys.stderr)
    classes = None if options.classes is None else listed(options.classes, detector.classes)
    # a camera waits for nobody: its frames are shown to the network one by one
    batch = 1 if is_camera(options.source) else options.batch
    wanted = {"threshold": options.threshold, "batch": batch, "classes": classes, "tta": options.tta}
    found = detector.predict(options.source, **wanted, progress=True)
    table = Table()
    interrupted = False
    try:
        with _film(outputs, options.source) as film:
            started = None
            for number, result in enumerate(found):
                started = started or time.monotonic()
                seconds = time.monotonic() - started if is_camera(options.source) else None
                drawn = _draw(result, number, outputs, film, seconds)
                frame = number if is_video(options.source) else None
                if outputs.crops is not None:
                    stem = result.path.stem if result.path else "frame"
                    outputs.crops.add(result, stem if frame is None else f"{stem}_{frame:06d}")
                if tables:
                    table.add(result, drawn, frame)
                if coco is not None:
                    coco.add(result)
    except KeyboardInterrupt:
        if not is_camera(options.source):
            raise
        interrupted = True  # as a camera ends
    if outputs.film is not None and outputs.film.exists():
        outputs.wrote(outputs.film)
        print(printable(f"video: {outputs.film}"))
    for path, write in tables:
        outputs.wrote(write(table, path))
        print(printable(f"detections: {path}"))
    if coco is not None:
        text = json.dumps(coco.entries)
        written = write_atomically(options.coco, lambda file: file.write_text(text, encoding="utf-8"))
        print(printable(f"detections: {written}"))
    if interrupted:
        print("stopped", file=sys.stderr)
    return 0


def _film(outputs: Outputs, source: str) -> Film | nullcontext[None]:
    """What drawn frames go to, if they are to become a film."""
    if outputs.film is None:
        return nullcontext()
    camera = is_camera(source)
    return Film(outputs.film, CAMERA_RATE if camera else frame_rate(source), keep=camera)


def _draw(result: Result, number: int, outputs: Outputs, film: Film | None, seconds: float | None) -> Path | None:
    """Draw an image, or a frame into the film; say what was found, and return the image file."""
    if film is not None:
        film.add(result.plot(), seconds)
        print(printable(f"{result.path or outputs.film} frame {number}: {result.summary()}"))
        return None
    picture = result.save(outputs.drawing(result.path, number))
    outputs.wrote(picture)
    print(printable(f"{result.path or number}: {result.summary()} -> {picture}"))
    return picture
