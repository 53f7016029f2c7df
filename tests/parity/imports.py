"""``python -m tests.parity.imports NEW OLD [PATTERN ...]``: the published config of every case becomes the zoo's model.

``NEW`` and ``OLD`` are the folders ``configs`` of MMDetection 3 and 2, as their wheels hold them. Three files are
imported for each case: that of 3, the same in the spelling of 2, and that of 2; then the stand-in weights are loaded
into the imported models and into the zoo's, and all have to find the same. The list goes to results/import.csv; with a
pattern the rows of the other cases stay there.
"""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

import detzoo
from detzoo.config import ConfigError, flatten, override
from detzoo.interop.mmdet.configs import read_file
from detzoo.interop.mmdet.importer import Differs, from_mmdet, read_config
from detzoo.pickles.machine import CheckpointError
from detzoo.recipes.recipe import Model
from detzoo.types import Detections
from tests.mmdet_configs import differing
from tests.mmdet_spelling import respelled
from tests.parity import standin
from tests.parity.cases import CASES, Case, matching
from tests.parity.golden import load
from tests.parity.original import OWN
from tests.tables import write_rows
from tests.tiny import detect

REPORT = Path(__file__).parents[2] / "results" / "import.csv"
# of cases that are no row of the zoo, which has the names of MMDetection 2, or are one that it names otherwise; None:
# which did not have it
OLD_NAMES = {
    "ld_r101-gflv1-r101-dcn_fpn_2x_coco": "ld_r101_gflv1_r101dcn_fpn_coco_2x",
    "mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco": "mask_rcnn_convnext-t_p4_w7_fpn_fp16_ms-crop_3x_coco",
    "retinanet_mobilenet-v2_fpn_1x_coco": None,
    "retinanet_r50-caffe_fpn_1x_coco_v1": "retinanet_r50_caffe_fpn_1x_coco_v1",
    "retinanet_swin-t-p4-w7_fpn_1x_coco": "retinanet_swin-t-p4-w7_fpn_1x_coco",
    "retinanet_r50_fpn_1x_widerface": None,
    "ssd300_8xb32-24e_widerface": "ssd300_wider_face",
    "ssdlite_mobilenetv2-scratch_8xb24-600e_coco": "ssdlite_mobilenetv2_scratch_600e_coco",
    "yolov3_mobilenetv2_8xb24-ms-416-300e_coco": "yolov3_mobilenetv2_mstrain-416_300e_coco",
}


LEAST_SCORE, DISTANCE = 0.001, 100.0  # of detections; of embeddings of a pair of corners


@dataclass(frozen=True)
class Row:
    """A case. Of each spelling "yes", or "none" where there is no config, or the settings that differ: the imported
    value, then the zoo's."""

    case: str
    published_3x: str
    spelled_2x: str = ""
    published_2x: str = ""
    parameters: int = 0
    detections: str = ""


def compare(name: str, case: Case, new: Path, old: Path) -> Row:
    """Import a case's configs and compare them with its recipe.

    Raises:
        FileNotFoundError: a folder does not have the case's config.
        ConfigError: a config is refused.
    """
    listed = OLD_NAMES.get(name, case.recipe)
    wanted = case.published()
    values = [read_file(_one(new, name), new), *([read_file(_one(old, listed), old)] if listed else [])]
    spelled = [respelled(values[0], beside=beside) for beside in (False, True)]
    models = [read_config(one).recipe.model for one in (values[0], *spelled, *values[1:])]
    told = [_told(model, wanted.model) for model in models]
    golden = load(name)
    state = standin.weights(golden.shapes, golden.gain)
    classes = case.build().classes
    ours = detzoo.build(override(wanted, list(_generous(wanted.model))), classes=classes)
    ours.load_published(state)
    count = sum(parameter.numel() for parameter in ours.parameters())
    expected = _found(ours)
    del ours
    found = [_found(from_mmdet(_changed(one, len(classes)), state, classes=classes)) for one in values]
    return Row(
        case=name,
        published_3x=told[0],
        spelled_2x="; ".join(sorted(set(told[1:3]))),
        published_2x=told[3] if listed else "none",
        parameters=count,
        detections=f"{int(expected.valid.sum())} equal" if all(_same(one, expected) for one in found) else "differ",
    )


def _one(folder: Path, stem: str) -> Path:
    found = sorted(folder.glob(f"*/{stem}.py")) or [path for path in (OWN / f"{stem}.py",) if path.is_file()]
    if not found:
        raise FileNotFoundError(f"no config {stem}.py in a folder of {folder}")
    return found[0]


def _told(model: Model, wanted: Model) -> str:
    difference = differing(flatten(model), flatten(wanted))
    return "yes" if difference == "same" else difference


def _generous(model: Model) -> Iterator[str]:
    """Changes with which random weights detect something; `_changed` makes them in a config."""
    for name in flatten(model):
        if name in ("head.threshold", "box_head.threshold"):
            yield f"model.{name}={LEAST_SCORE}"
        elif name == "head.distance":
            yield f"model.{name}={DISTANCE}"


def _changed(values: Any, classes: int) -> Any:
    """A config whose heads tell ``classes`` classes apart, as when the case was recorded, and detect something."""
    made = {"score_thr": LEAST_SCORE, "min_score": LEAST_SCORE, "distance_threshold": DISTANCE, "num_classes": classes}
    if isinstance(values, Mapping):
        return {
            # what the class map of HTC and SCNet tells apart are things and stuff
            key: value if key == "semantic_head" else made.get(key) or _changed(value, classes)
            for key, value in values.items()
        }
    return [_changed(value, classes) for value in values] if isinstance(values, list) else values


@torch.no_grad()
def _found(detector: detzoo.Detector) -> Detections:
    edge = 128 - detector.config.input.less
    return detect(detector.eval(), standin.images((edge, edge), [(edge, edge), (80, 100)]))


def _same(a: Detections, b: Detections) -> bool:
    names = ("boxes", "scores", "labels", "valid")
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in names)


def _merged(rows: list[Row]) -> list[dict[str, str]]:
    """New rows, and the listed ones of cases that are not among them, in the order of the cases."""
    listed: dict[str, dict[str, str]] = {}
    if REPORT.is_file():
        with REPORT.open(newline="") as file:
            listed = {row["case"]: row for row in csv.DictReader(file)}
    listed |= {row.case: {name: str(value) for name, value in asdict(row).items()} for row in rows}
    return [listed[name] for name in CASES if name in listed]


def main(arguments: list[str]) -> int:
    if len(arguments) < 2 or not all(Path(one).is_dir() for one in arguments[:2]):
        print("usage: python -m tests.parity.imports NEW OLD [PATTERN ...]; folders configs of MMDetection 3 and 2")
        return 2
    new, old = map(Path, arguments[:2])
    warnings.simplefilter("ignore", Differs)  # this is about detections
    rows = []
    for name in matching(arguments[2:]):
        try:
            row = compare(name, CASES[name], new, old)
        except (ConfigError, CheckpointError, FileNotFoundError) as error:
            row = Row(name, f"refused: {error}")
        print(*(f"{field.name}: {getattr(row, field.name)}" for field in fields(Row)), sep="  ", flush=True)
        rows.append(row)
    print(f"report: {write_rows(REPORT, Row, _merged(rows))}")
    good = sum(row.published_3x == row.spelled_2x == "yes" and row.detections.endswith("equal") for row in rows)
    print(f"{good} of {len(rows)} cases are imported as the zoo's model from both spellings")
    return 0 if good == len(rows) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
