"""One page: a template, what it shows, and the file that it becomes."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined

import detzoo
from detzoo.atomic import write_atomically


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is to be written, by whoever has the rest of what it shows.

    Attributes:
        path: the ``.html`` file.
        title: its heading.
        template: a file in ``detzoo/templates``.
        more: what is known already, by the names that the template has.
    """

    path: Path
    title: str
    template: str = "report.html"
    more: Mapping[str, Any] = field(default_factory=dict)

    def write(self, **sections: Any) -> Path:
        """Write the page, whole or not at all; names and all other texts in it stay text.

        Args:
            sections: ``evaluation``, ``training``, ``labels`` and what the template has besides; a section that is
                not given is left out.

        Raises:
            OSError: the file cannot be written; what was there is unchanged.
        """
        folders = PackageLoader("detzoo", "templates")
        template = Environment(loader=folders, autoescape=True, undefined=StrictUndefined).get_template(self.template)
        empty = {"evaluation": None, "training": None, "labels": None}
        machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
        known = {"title": self.title, "version": detzoo.__version__, "torch": torch.__version__, "machine": machine}
        text = template.render(empty | known | dict(self.more) | sections)
        return write_atomically(self.path, lambda path: path.write_text(text, encoding="utf-8"))
