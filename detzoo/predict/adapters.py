"""Results as other libraries' own objects; each library is imported only when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from detzoo.predict.result import Result


def to_supervision(result: Result) -> Any:
    """See `detzoo.predict.result.Result.to_supervision`."""
    try:
        import supervision  # pyright: ignore[reportMissingImports] (it need not be there)
    except ModuleNotFoundError:
        raise ModuleNotFoundError("to_supervision needs supervision: pip install supervision") from None
    masks = result.masks
    return supervision.Detections(
        xyxy=result.boxes.numpy(),
        mask=None if masks is None else masks.numpy(),
        confidence=result.scores.float().numpy(),
        class_id=result.labels.numpy(),
        data={"class_name": np.array(result.names, dtype=str)},
    )


def to_fiftyone(result: Result) -> Any:
    """See `detzoo.predict.result.Result.to_fiftyone`.

    Raises:
        ValueError: the size of the image is not known, by which FiftyOne divides coordinates.
    """
    try:
        import fiftyone  # pyright: ignore[reportMissingImports] (it need not be there)
    except ModuleNotFoundError:
        raise ModuleNotFoundError("to_fiftyone needs FiftyOne: pip install fiftyone") from None
    if result.size is None:
        raise ValueError("to_fiftyone needs the size of the image, which this result does not know")
    height, width = result.size
    entries = []
    for found in result:
        left, top, right, bottom = found.box.tolist()
        more = {}
        if found.mask is not None:  # as the box has it, in whole pixels
            rows = slice(max(int(top), 0), max(int(np.ceil(bottom)), int(top) + 1))
            columns = slice(max(int(left), 0), max(int(np.ceil(right)), int(left) + 1))
            more["mask"] = found.mask[rows, columns].numpy()
        box = [left / width, top / height, (right - left) / width, (bottom - top) / height]
        entries.append(fiftyone.Detection(label=found.name, bounding_box=box, confidence=found.score, **more))
    return fiftyone.Detections(detections=entries)
