"""What a page consists of: sections of text, tables, pictures and code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Text:
    """A paragraph; a string that is no ``Markup`` is escaped, here and in the other blocks."""

    kind: ClassVar[str] = "text"
    words: str
    tone: str = ""  # "verdict", "warning", "formula", "small"


@dataclass(frozen=True)
class Table:
    """Rows under column headings, or of a label and its value without them; the first entry of a row is its heading."""

    kind: ClassVar[str] = "table"
    caption: str
    rows: Sequence[Sequence[str]]
    columns: Sequence[str] = ()


@dataclass(frozen=True)
class Picture:
    """An image in the page, with what it shows for those who do not see it."""

    kind: ClassVar[str] = "picture"
    source: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Pictures:
    """Beside each other where there is room."""

    kind: ClassVar[str] = "pictures"
    shown: Sequence[Picture]


@dataclass(frozen=True)
class Code:
    """A program text that opens on request."""

    kind: ClassVar[str] = "code"
    label: str
    text: str


@dataclass(frozen=True)
class Viewer:
    """Fields that answer to the pointer; HTML of ours, in which nothing is escaped again."""

    kind: ClassVar[str] = "viewer"
    panels: Sequence[str]
    note: str


Block = Text | Table | Picture | Pictures | Code | Viewer


@dataclass(frozen=True)
class Section:
    """A heading with what is under it."""

    id: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
