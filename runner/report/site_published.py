"""The published benchmarks' pages: the registry's own Markdown, its names turned into links."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from markupsafe import Markup

from runner.published import Document, defects_page, list_page, suite_page
from runner.report.html import asset, environment, shared_policy
from runner.report.logs import readable
from runner.report.parts import Part, parts
from runner.report.site_pages import image_path
from runner.report.source import slug
from runner.report.summary import RunSummary


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
