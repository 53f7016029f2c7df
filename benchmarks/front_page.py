"""What of README.md is measured: the picture and the table of speed.

    python -m benchmarks.front_page

From the files in ``results/``: ``front.jpg`` is put together from pictures of ``real_data`` and the report's, and the
lines between the two marks in README.md are written from ``cpu.csv`` and ``cuda.csv``. A test compares them with what
this makes.
"""

from __future__ import annotations

import csv
from pathlib import Path

from PIL import Image

from detzoo.atomic import write_atomically

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- made by python -m benchmarks.front_page -->\n", "<!-- end -->\n"
PANELS = ("real_data/pennfudan/sample_2.jpg", "real_data/bccd/sample_0.jpg", "report.png")
HIGH, GAP, TOP = 380, 8, 1.0  # pixels; of the report the top, so many times as high as wide
METHODS = {
    "mask_rcnn": "Mask R-CNN",
    "faster_rcnn": "Faster R-CNN",
    "retinanet": "RetinaNet",
    "fcos": "FCOS",
    "ssd": "SSD300",
    "detr": "DETR",
}
# what is compared: heading, table, and its columns
COLUMNS = (
    ("CPU, prediction", "cpu.csv", {"mode": "predict", "precision": "fp32", "batch": "1"}),
    ("CPU, training", "cpu.csv", {"mode": "train", "precision": "fp32", "batch": "1"}),
    ("H100, prediction, 8 images", "cuda.csv", {"mode": "predict", "precision": "fp32", "batch": "8"}),
    ("H100, training, 8 images", "cuda.csv", {"mode": "train", "precision": "fp32", "batch": "8"}),
    ("H100, training, 8 images, bf16", "cuda.csv", {"mode": "train", "precision": "bf16", "batch": "8"}),
)


def main() -> None:
    """Write both."""
    front().save(ROOT / "results" / "front.jpg", quality=85)
    text = README.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    whole = head + BEGIN + table() + END + rest.partition(END)[2]
    write_atomically(README, lambda path: path.write_text(whole, encoding="utf-8"))


def table() -> str:
    """How many times as fast as the other library, in Markdown; a hyphen where it was not measured."""
    rows: dict[str, list[dict[str, str]]] = {}
    for _, name, _ in COLUMNS:
        with (ROOT / "results" / name).open(newline="") as file:
            rows[name] = list(csv.DictReader(file))
    lines = [
        "| | beside | " + " | ".join(heading for heading, _, _ in COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 2) + "|",
    ]
    for method, title in METHODS.items():
        cells, peers = [], set[str]()
        for _, name, wanted in COLUMNS:
            found = [row for row in rows[name] if row["method"] == method and wanted.items() <= row.items()]
            measured = [row for row in found if row["time_ratio"]]
            cells.append(f"{1 / float(measured[0]['time_ratio']):.1f}" if measured else "-")
            peers |= {row["peer"] for row in measured}
        lines.append(f"| {title} | {', '.join(sorted(peers))} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def front() -> Image.Image:
    """Detections in photographs, and the top of a report, side by side."""
    panels = []
    for name in PANELS:
        with Image.open(ROOT / "results" / name) as image:
            panel = image.convert("RGB")
        if name.endswith(".png"):
            panel = panel.crop((0, 0, panel.width, round(panel.width * TOP)))
        panels.append(panel.resize((round(panel.width * HIGH / panel.height), HIGH), Image.Resampling.LANCZOS))
    whole = Image.new("RGB", (sum(panel.width for panel in panels) + GAP * (len(panels) - 1), HIGH), "white")
    left = 0
    for panel in panels:
        whole.paste(panel, (left, 0))
        left += panel.width + GAP
    return whole


if __name__ == "__main__":
    main()
