"""Folders with WIDER Face as it is published: ``wider_face_split`` beside ``WIDER_train`` and ``WIDER_val``."""

from __future__ import annotations

from pathlib import Path

from detzoo.data.halves import Half, data_of, files_in, folder_called, folders_in, half_of
from detzoo.recipes.settings import Data, Split

_ENDING = "bbx_gt.txt"


def wider_face_layout(root: Path) -> Data | None:
    """Settings of a folder with ``wider_face_train_bbx_gt.txt`` and the like, in ``wider_face_split`` or itself, and
    with ``WIDER_train/images`` for the half of each such file; or None."""
    inside = folder_called(root, "wider_face_split")
    for place in ("", *([inside] if inside else [])):
        parts: dict[Half | None, list[Split]] = {}
        for name in files_in(root / place, (_ENDING,)):
            half = half_of(name.removesuffix(_ENDING))
            pictures = next((folder for folder in folders_in(root) if half and half_of(folder) == half), None)
            if pictures is not None:
                within = folder_called(root / pictures, "images")
                images = "/".join(filter(None, (pictures, within)))
                parts.setdefault(half, []).append(
                    Split(annotations="/".join(filter(None, (place, name))), images=images)
                )
        found = data_of("wider_face", root, parts, metric="voc")
        if found is not None:
            return found
    return None
