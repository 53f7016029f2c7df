"""Sizes of the image files whose annotations do not say them: all that cannot be read are found at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from detzoo.data.images import ImageError, check_image, image_size
from detzoo.data.problems import DataError, log

THREADS = 8
SAID = 10

Size = tuple[int, int]  # height and width, pixels
_Answer = TypeVar("_Answer")


def image_sizes(
    source: object, root: str | Path, files: Sequence[str], known: Sequence[Size | None], skip_broken: bool
) -> list[Size | None]:
    """Height and width of each image: as known, or from its file; None for a file that is to be left out.

    Args:
        source: what lists them, for messages.
        root: folder that ``files`` are relative to.
        files: all images.
        known: what the annotations say of each.
        skip_broken: leave out files whose size cannot be read, with one warning.

    Raises:
        DataError: such files are not to be left out, or there are no others. The message names everything that is
            wrong with any of the files, so that it can be mended at once.
    """
    folder, sizes = Path(root), list(known)
    unknown = [row for row, size in enumerate(known) if size is None]
    if not unknown:
        return sizes

    def measured(row: int) -> Size | str:
        return _or_problem(lambda: image_size(folder / files[row]))

    def problem(row: int) -> str | None:
        return _or_problem(lambda: check_image(folder / files[row], sizes[row]))

    broken = []
    with ThreadPoolExecutor(THREADS) as pool:
        for row, answer in zip(unknown, pool.map(measured, unknown), strict=True):
            if isinstance(answer, str):
                broken.append(answer)
            else:
                sizes[row] = answer
        if broken and not skip_broken:
            broken = [why for why in pool.map(problem, range(len(files))) if why is not None]
    if not broken:
        return sizes
    if not skip_broken:
        raise DataError(
            f"{len(broken)} of {len(files)} images cannot be used{listed(broken)}\n"
            f"mend them, or leave them out with data.skip_broken=true; {source} cannot be read without their sizes"
        )
    if len(broken) == len(files):
        raise DataError(f"{source}: every image would be left out:{listed(broken)}")
    log.warning(
        "%s: %d of %d images are left out, as data.skip_broken says:%s", source, len(broken), len(files), listed(broken)
    )
    return sizes


def _or_problem(look: Callable[[], _Answer]) -> _Answer | str:
    try:
        return look()
    except (ImageError, OSError) as error:
        return str(error)


def listed(reasons: Sequence[str]) -> str:
    """The first few, a line each, and how many more there are."""
    first = "".join(f"\n  {why}" for why in reasons[:SAID])
    return first + (f"\n  and {len(reasons) - SAID} more" if len(reasons) > SAID else "")
