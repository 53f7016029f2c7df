"""A picture of a report in headless Chromium.

    python -m benchmarks.report_screenshot [REPORT.html]

Chromium is not installed by this project: Debian and Ubuntu have it as ``apt-get install chromium``, elsewhere any
``chromium`` or ``google-chrome`` on the path serves. Without a file a small Mask R-CNN is first trained on generated
pictures, whose classes have markup in their names. The page is opened, every section is looked for in what the browser
made of it, and the whole of it is written, made smaller, to ``results/report.png``. Not part of CI.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import detzoo
from detzoo.data.dataset import open_dataset
from detzoo.data.source import as_data

WIDTH, HEIGHT = 1180, 16000  # of the window; what is empty below is cut off
SMALL = 590  # pixels across in the result
SECTIONS = (
    "Classes",
    "Precision, recall and threshold",
    "Kinds of errors",
    "Confusion matrix",
    "Ground truth beside predictions",
    "How it learned",
    "What it learned from",
    "Labels",
)
MARKED = {"circle": "<b>circle</b>", "star": "star <script>alert(1)</script>"}


class Headings(HTMLParser):
    """Texts by the tag that they stand in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._tag = tag

    def handle_data(self, data: str) -> None:
        self.found.setdefault(self._tag, []).append(data.strip())


def main() -> int:
    """Open the page, check it and write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("report", type=Path, nargs="?", help="a report; default: one of a run that is made first")
    parser.add_argument("--out", type=Path, default=Path("results/report.png"))
    args = parser.parse_args()
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        print("error: there is no Chromium: apt-get install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        report = args.report or trained(Path(folder))
        words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        words += [f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{HEIGHT}"]
        picture = Path(folder, "page.png")
        address = report.resolve().as_uri()
        dumped = subprocess.run([*words, "--dump-dom", address], check=True, capture_output=True, text=True).stdout
        subprocess.run([*words, f"--screenshot={picture}", address], check=True, capture_output=True)
        shrink(picture, args.out)
    found = Headings(dumped).found
    missing = [section for section in SECTIONS if section not in found.get("h2", ())]
    if args.report is None:
        missing += [name for name in MARKED.values() if name not in found.get("td", ())]
    for section in missing:
        print(f"error: the page does not show {section!r}", file=sys.stderr)
    print(f"{args.out}: {len(SECTIONS)} sections looked for, {len(missing)} missing")
    return 1 if missing else 0


def shrink(picture: Path, out: Path) -> None:
    """Cut off what is empty below, and write it small and with few colours."""
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    full = np.flatnonzero((pixels != pixels[-1, :1]).any((1, 2)))
    page = Image.fromarray(pixels[: int(full[-1]) + 20 if len(full) else 20])
    small = page.resize((SMALL, round(page.height * SMALL / page.width)), Image.Resampling.LANCZOS)
    out.parent.mkdir(parents=True, exist_ok=True)
    small.quantize(64).save(out, optimize=True)


def trained(folder: Path) -> Path:
    """The report of a small run on generated pictures, written as a COCO data set whose names have markup."""
    data = folder / "data"
    for split, count in (("train", 120), ("val", 24)):
        write(data, split, count)
    done = detzoo.train(
        "mask_rcnn_r18_fpn_shapes",
        data=data,
        out=folder / "run",
        overrides=["schedule.epochs=4", "data.workers=0"],
        progress=False,
    )
    if done.report is None:
        raise SystemExit("the run left no report")
    return done.report


def write(data: Path, split: str, count: int) -> None:
    """Generated pictures and their boxes and masks as COCO has them."""
    from detzoo.data.masks import rle

    settings = as_data(f"shapes:{count}/{count}")
    dataset = open_dataset(
        settings, "train" if split == "train" else "val", detzoo.find("mask_rcnn_r18_fpn_shapes").model.input, False
    )
    known = dataset.annotations
    folder = data / "images"
    folder.mkdir(parents=True, exist_ok=True)
    images, entries = [], []
    for image in range(len(known)):
        name = f"{split}_{image}.png"
        Image.fromarray(dataset.original(image)).save(folder / name)
        height, width = known.sizes[image].tolist()
        images.append({"id": image, "file_name": name, "height": height, "width": width})
        for row in range(*known.rows(image).indices(len(known.boxes))):
            x1, y1, x2, y2 = known.boxes[row].tolist()
            entry: dict[str, Any] = {"id": row, "image_id": image, "category_id": int(known.labels[row]), "iscrowd": 0}
            mask = rle(known, row, height, width)
            if mask is not None:
                entry["segmentation"] = {"size": mask["size"], "counts": mask["counts"].decode("ascii")}
            entries.append(entry | {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": float(known.areas[row])})
    categories = [{"id": label, "name": MARKED.get(name, name)} for label, name in enumerate(known.classes)]
    contents = {"images": images, "annotations": entries, "categories": categories}
    (data / f"{split}.json").write_text(json.dumps(contents))


if __name__ == "__main__":
    raise SystemExit(main())
