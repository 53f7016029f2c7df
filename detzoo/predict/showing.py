"""An image before the eyes of whoever runs the program."""

from __future__ import annotations

import sys
from typing import Any

from PIL import Image


def show(picture: Image.Image, title: str) -> None:
    """Show an image in the notebook that runs this, else in a window of the desktop's image viewer."""
    notebook: Any = sys.modules.get("IPython")
    if notebook is not None and "IPKernelApp" in getattr(notebook.get_ipython(), "config", ()):
        notebook.display.display(picture)
    else:
        picture.show(title)
