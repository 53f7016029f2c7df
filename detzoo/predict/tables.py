"""What was found in many images as text files: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from detzoo.atomic import write_atomically
from detzoo.predict.result import Result

COLUMNS = ("path", "frame", "name", "label", "score", "x1", "y1", "x2", "y2")


class Table:
    """Results gathered for a file; the frame of a video is counted from 0 and empty for an image."""

    def __init__(self) -> None:
        self._records: list[dict[str, Any]] = []

    def add(self, result: Result, picture: Path | None, frame: int | None) -> None:
        """Take what was found in one image.

        Args:
            result: of the image.
            picture: the file that it was drawn into, if it was.
            frame: its number, if it is one of a video.
        """
        path = None if result.path is None else str(result.path)
        record: dict[str, Any] = {"path": path} if frame is None else {"path": path, "frame": frame}
        if picture is not None:
            record["picture"] = str(picture)
        self._records.append(record | {"detections": result.to_dict()})

    def write_json(self, path: Path) -> Path:
        """A list of ``path``, ``picture``, ``detections`` as `Result.to_dict` has them; ``frame`` in a video."""
        text = json.dumps(self._records)
        return write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"))

    def write_csv(self, path: Path) -> Path:
        """A row per detection: path, frame, name, label, score, x1, y1, x2, y2 in pixels of the image."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(COLUMNS)
        for record in self._records:
            for found in record["detections"]:
                place = [record["path"], record.get("frame")]
                rows.writerow([*place, found["name"], found["label"], found["score"], *found["box"]])
        content = text.getvalue()
        return write_atomically(path, lambda file: file.write_text(content, encoding="utf-8", newline=""))
