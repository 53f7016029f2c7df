"""The parts of a PaddleDetection config: sections that stand at its top and are named where they are used."""

from __future__ import annotations

from typing import Any

from detzoo.config import ConfigError
from detzoo.interop.said import short
from detzoo.interop.section import Section

# of any part: what follows from those before it and from the top; the order of values in memory; of training; of names;
# of exporting
_OF_NO_RESULT = (
    *("in_channel", "in_channels", "data_format", "norm_decay", "conv_decay", "lr_mult_list"),
    *("weight_prefix_name", "export_onnx", "export_eb", "trt", "assign_on_cpu"),
)


class Parts:
    """A config as its readers see it.

    A slot of a section (``backbone``, ``nms``) holds the name of a class, whose settings stand in the section of that
    name at the top, or a dict of settings, with the class as its ``name`` or without: what is not said is the default
    of PaddleDetection's code, which readers know.

    Attributes:
        top: all of it.
        static: it is of a static-graph release (0.x): other sections, pixel conventions and names of weights.
        classes: how many kinds of objects there are; in static configs ``num_classes`` counts the background, too.
        used: names of sections that were asked for.
    """

    def __init__(self, values: dict[str, Any], notes: list[str]) -> None:
        self.top = Section(values, "", notes)
        self.used: set[str] = set()
        self.static = is_static(values)
        self.architecture = self.top.word("architecture")

    @property
    def classes(self) -> int:
        """How many kinds of objects there are. A static YOLO has no background to count."""
        return self._num_classes - (self.static and self.architecture != "YOLOv3")

    @property
    def _num_classes(self) -> int:
        return self.top.whole("num_classes", 81 if self.static else 80)

    def model(self) -> Section:
        """The section of the architecture."""
        return self._named(self.architecture, {}, self.architecture, self.top.training)

    def part(self, owner: Section, slot: str, *known: str, training: bool = False) -> Section:
        """The section of what stands in a slot; its ``kind`` is one of ``known``, of which the first is the default.

        Args:
            owner: the section that has the slot.
            slot: its name there.
            known: classes that the caller reads.
            training: only training uses it: another class becomes a note, and what is not known of it, too.

        Raises:
            ConfigError: it is another class.
        """
        path = f"{owner.path}.{slot}" if owner.path else slot
        value = owner.take(slot, {})
        if not isinstance(value, dict | str):
            raise ConfigError(f"{path} must be a part, not {short(value)}")
        inline = {"type": value} if isinstance(value, str) else dict(value)
        kind = inline.pop("type", inline.pop("name", known[0]))
        training = training or owner.training
        if kind not in known:
            said = f"is not known here; {' and '.join(known)} {'is' if len(known) == 1 else 'are'}"
            Section({slot: kind}, owner.path, owner.notes, training).differs(slot, said)
            return Section({"type": known[0]}, path, owner.notes, training)
        return self._named(kind, inline, path if inline else kind, training)

    def shared(self, section: Section, name: str, default: Any) -> Any:
        """A setting that stands in the section, or else at the top for all: ``norm_type``, ``num_classes``."""
        return section.take(name, self.top.take(name, default))

    def unused(self) -> list[str]:
        """Sections that nothing of the architecture asked for, so that they have no effect."""
        return [name for name, value in self.top.values.items() if isinstance(value, dict) and name not in self.used]

    def _named(self, kind: str, inline: dict[str, Any], path: str, training: bool) -> Section:
        self.used.add(kind)
        said = self.top.take(kind, {})
        if not isinstance(said, dict):
            raise ConfigError(f"{kind} must be a dict, not {short(said)}")
        found = Section({**said, **inline, "type": kind}, path, self.top.notes, training)
        found.ignore(*_OF_NO_RESULT)
        if found.whole("num_classes", self._num_classes) != self._num_classes:
            found.differs("num_classes", f"differs from that of the config, {self._num_classes}")
        return found


# slots of an architecture, one of which every dynamic-graph model has and no static one
_SLOTS = {"neck", "head", "post_process", "bbox_post_process"}


def is_static(values: dict[str, Any]) -> bool:
    """Whether a config is of a static-graph release (0.x), told by the slots of its architecture."""
    model = values.get(str(values.get("architecture")))
    return isinstance(model, dict) and not _SLOTS & model.keys()


__all__ = ["Parts", "is_static"]
