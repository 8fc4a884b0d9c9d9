"""Markdown that this project writes, read into the parts of a page. No other Markdown is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup, escape

from runner.report.source import slug

_CODE = re.compile(r"`([^`]+)`")
_IMAGE = re.compile(r"^image ([^ :]+)")
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_KINDS = {"#": "heading", "|": "table", "-": "list"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A piece of a page.

    Attributes:
        kind: ``heading``, ``text``, ``list`` or ``table``, whose first row is its head.
        level: of a heading: 1 to 3.
        anchor: of a heading: what a link to it ends in.
        rows: lines of text; a table's in boxes, all others in one box each.
    """

    kind: str
    rows: tuple[tuple[Markup, ...], ...]
    level: int = 0
    anchor: str = ""

    @property
    def sortable(self) -> bool:
        """Whether a table's rows mean the same in any order: a blank name says "as above"."""
        return self.kind == "table" and all(row[0] for row in self.rows)


def parts(markdown: str, links: Mapping[str, str]) -> Iterator[Part]:
    """Read the Markdown that the registry writes: headings, lists, tables, paragraphs.

    Args:
        links: where a name in code (a defect, a revision, a suite) leads.
    """
    for block in markdown.split("\n\n"):
        lines = [line for line in block.splitlines() if line]
        for kind, own in groupby(lines, key=_kind):
            found = list(own)
            if kind == "heading":
                yield from (_heading(line, links) for line in found)
            elif kind == "table":
                yield Part(kind=kind, rows=tuple(_table(found, links)))
            elif kind == "list":
                yield Part(kind=kind, rows=tuple((_inline(line[2:], links),) for line in found))
            else:
                yield Part(kind=kind, rows=((_inline(" ".join(found), links),),))


def _table(lines: Sequence[str], links: Mapping[str, str]) -> Iterator[tuple[Markup, ...]]:
    """Yield head and rows; a head is a button to sort by, and so holds no link."""
    for number, line in enumerate((lines[0], *lines[2:])):
        known = links if number else {}
        yield tuple(_inline(box, known) for box in line[2:-2].split(" | "))


def _kind(line: str) -> str:
    return _KINDS.get(line[0], "text")


def _heading(line: str, links: Mapping[str, str]) -> Part:
    marks, _, text = line.partition(" ")
    return Part(
        kind="heading", level=len(marks), anchor=slug(text), rows=((_inline(text, links),),)
    )


def _inline(text: str, links: Mapping[str, str]) -> Markup:
    """Return text as markup: escaped, then its code and bold, names with a page as links."""

    def code(found: re.Match[str]) -> str:
        name = found[1]
        return _linked(name, f"<code>{name}</code>", links)

    made = _BOLD.sub(r"<b>\1</b>", _CODE.sub(code, str(escape(text))))
    made = _IMAGE.sub(lambda found: f"image {_linked(found[1], found[1], links)}", made)
    return Markup(_linked(text, made, links))


def _linked(name: str, markup: str, links: Mapping[str, str]) -> str:
    return f'<a href="{links[name]}">{markup}</a>' if name in links else markup
