"""One XML file in Pascal VOC's form, as VOC itself and other tools write it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from detzoo.data.problems import DataError
from detzoo.data.texts import read_bytes

MOST_BYTES = 64 << 20  # a hundred thousand objects have about 30 MB
_LONGEST_EDGE = 2**31 - 1
_YES = frozenset(("1", "true", "yes", "y", "t", "on", "difficult"))
_NO = frozenset(("", "0", "false", "no", "n", "f", "off", "none", "null", "unspecified", "unknown"))
_DECLARED = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
# encodings of more than one byte a character, which the XML parser itself does not read
_WIDE = frozenset(
    ("gb2312", "gbk", "gb18030", "cp936", "big5", "cp950", "euc-jp", "shift_jis", "cp932", "euc-kr", "cp949")
)


class _Tree(ElementTree.TreeBuilder):
    """Refuses document type declarations: annotations have none, and entities declared there can fill the memory."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DataError("it declares a document type, which an annotation file has no use for and may be an attack")


@dataclass(frozen=True, slots=True)
class Object:
    """One object.

    Attributes:
        name: its class; empty where none is said.
        difficult: whether it is marked so.
        corners: ``xmin, ymin, xmax, ymax`` as written, pixels counted from 1; NaN where missing.
        unsure: what stands for ``difficult``, where that is neither yes nor no.
    """

    name: str
    difficult: bool
    corners: tuple[float, float, float, float]
    unsure: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """What an XML file says: height and width if it does so sensibly, the objects, and the name of its picture, in the
    folder that it says."""

    size: tuple[int, int] | None
    file_name: str
    objects: list[Object]


def read_xml(path: Path) -> Sheet:
    """Read one file.

    Raises:
        DataError: it is not XML, not of this form, or a corner is not a number; the message names the file.
    """
    data = read_bytes(path, MOST_BYTES)
    if not data.strip():
        raise DataError(f"{path} is empty ({len(data)} bytes)")
    try:
        parser = ElementTree.XMLParser(target=_Tree())
        parser.feed(_text(data))
        tree = parser.close()
    except ElementTree.ParseError as error:
        raise DataError(f"{path} is not valid XML: {error}") from None
    except (ValueError, LookupError) as error:  # of encodings
        raise DataError(f"{path}: {error}") from None
    items = tree.findall("object")
    if tree.tag.lower() != "annotation" and not items:
        raise DataError(f"{path} is not in Pascal VOC's form: it begins with <{tree.tag[:40]}>, not <annotation>")
    try:
        objects = [_object(item) for item in items]
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    folder, name = ((tree.findtext(tag) or "").strip() for tag in ("folder", "filename"))
    return Sheet(_size(tree), f"{folder}/{name}" if folder and name else name, objects)


def _text(data: bytes) -> bytes | str:
    """The bytes, or the text where the XML parser does not know the encoding."""
    declared = _DECLARED.match(data)
    name = declared[1].decode().lower() if declared else ""
    return data.decode(name) if name in _WIDE else data


def _object(item: ElementTree.Element) -> Object:
    box = item.find("bndbox")
    xmin, ymin, xmax, ymax = (_number(box, edge) for edge in ("xmin", "ymin", "xmax", "ymax"))
    word = (item.findtext("difficult") or "").strip()
    difficult = _is_difficult(word)
    return Object(
        name=(item.findtext("name") or "").strip(),
        difficult=bool(difficult),
        corners=(xmin, ymin, xmax, ymax),
        unsure=word[:20] if difficult is None else "",
    )


def _is_difficult(word: str) -> bool | None:
    """What ``<difficult>`` says, in a number or a word; None: neither yes nor no."""
    word = word.casefold()
    if word in _YES or word in _NO:
        return word in _YES
    try:
        number = float(word)
    except ValueError:
        return None
    return None if math.isnan(number) else number > 0


def _size(tree: ElementTree.Element) -> tuple[int, int] | None:
    """Height and width, where both are whole numbers of pixels."""
    size = tree.find("size")
    edges = []
    for tag in ("height", "width"):
        try:
            edge = _number(size, tag)
        except ValueError:
            return None
        if not 1 <= edge <= _LONGEST_EDGE or edge != int(edge):
            return None
        edges.append(int(edge))
    return edges[0], edges[1]


def _number(parent: ElementTree.Element | None, tag: str) -> float:
    """The number inside a child element; NaN where there is none."""
    text = parent.findtext(tag) if parent is not None else None
    if not text or not text.strip():
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"<{tag}> is {text.strip()[:40]!r}, not a number") from None
