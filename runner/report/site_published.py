"""The published benchmarks' pages: the registry's own Markdown, its names turned into links."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup, escape

from runner.published import Document, defects_page, list_page, suite_page
from runner.report.html import asset, environment, shared_policy
from runner.report.logs import readable
from runner.report.site_pages import image_path
from runner.report.source import slug
from runner.report.summary import RunSummary

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


def published_path(document: Document, revision: str | None = None) -> str:
    """Return where a published benchmark's page is, or that of another revision of it."""
    name = document.suite if revision is None else f"{document.suite}--{revision}"
    return f"published/{slug(name)}.html"


def pages(documents: Sequence[Document], runs: Sequence[RunSummary]) -> Iterator[tuple[str, str]]:
    """Yield path and HTML: the list, every known defect, each document and its revisions."""
    if not documents:
        text = "Nothing is registered in results/published."
        yield "published.html", _html("Published numbers", "", parts(text, {}))
        return
    suites = {document.suite: published_path(document) for document in documents}
    listed = f"{list_page(documents)}\nWhat is wrong with these numbers, suite by suite: `defects`."
    links = {**suites, "defects": "defects.html"}
    yield "published.html", _html("Published numbers", "", parts(listed, links))
    yield "defects.html", _html("", "", parts(defects_page(documents), suites))
    for document in documents:
        revisions = {
            one.id: published_path(document, one.id).removeprefix("published/")
            for one in document.revisions
        }
        home = published_path(document)
        made = _document(document, runs, revisions)
        yield home, _html("", "../", made)
        defects = {
            one.id: f"{home.removeprefix('published/')}#{slug(one.id)}" for one in document.defects
        }
        for one in document.revisions:
            text = suite_page(document, one.id)
            yield published_path(document, one.id), _html("", "../", parts(text, defects))


def _document(
    document: Document, runs: Sequence[RunSummary], revisions: Mapping[str, str]
) -> Iterator[Part]:
    defects = {one.id: f"#{slug(one.id)}" for one in document.defects}
    images = {cell.cell.image for run in runs for cell in run.cells}
    measured = {image: f"../{image_path(image)}" for image in images}
    yield from parts(suite_page(document), {**measured, **revisions, **defects})
    yield from parts("## Measured here", {})
    own = [run for run in reversed(runs) if run.suite == document.suite]
    if own:
        yield Part(kind="list", rows=tuple((_run(run),) for run in own))
    else:
        yield from parts(f"No run of the suite `{document.suite}` is in this site.", {})
    yield from parts("## Defects", {})
    # All that comes before the first defect is about several documents.
    _, *each = defects_page([document]).split("\n### ")
    yield from parts("".join(f"### {one}\n\n" for one in each), defects)
    if not each:
        yield from parts("None is known.", {})


def _run(run: RunSummary) -> Markup:
    link = Markup('<a href="../{}">{}</a>').format(run.page, readable(run.id))
    return link + Markup(", {}, {}").format(run.started_at, readable(run.where))


def _html(title: str, root: str, made: Iterable[Part]) -> str:
    """Return a page's HTML; without a title it is that of the first heading."""
    found = list(made)
    heading = next((part for part in found if part.level == 1), None)
    return (
        environment()
        .get_template("published.html")
        .render(
            title=title if heading is None else heading.rows[0][0].striptags(),
            parts=[part for part in found if part is not heading],
            policy=shared_policy((asset("page.js"),)),
            script=Markup(asset("page.js")),
            style=Markup(asset("page.css")),
            root=root,
        )
    )
