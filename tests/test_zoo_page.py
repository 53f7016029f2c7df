"""The page of all published rows."""

from __future__ import annotations

import csv

from tests.zoo import CLASSIFIER, REPORT
from tests.zoo_page import PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.zoo_page"


def test_a_row_has_what_is_published_and_measured() -> None:
    row = next(line for line in page().splitlines() if line.startswith("| `mask_rcnn_r50_caffe_fpn_1x_coco` |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:7] == ["38.0", "34.4", "44.4", "yes", "yes", "yes"]
    assert 0 < float(cells[7]) < 1e-6


def test_every_detector_has_a_line() -> None:
    with REPORT.open(newline="") as file:
        detectors = sum(row["parameters"] != CLASSIFIER for row in csv.DictReader(file))
    sections = page().split("\n## ", 1)[1]
    headings = sections.count("| recipe |")
    lines = sum(line.startswith("| ") for line in sections.splitlines())
    assert lines - headings == detectors
