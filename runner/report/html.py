"""Pages: one run as one file that needs nothing else, or as a page of a site with shared scripts.

Every text of a record is escaped by the template; besides, a page's own policy lets only the
scripts run whose hashes it names, and lets nothing be fetched from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from runner.errors import RunnerError
from runner.report import words
from runner.report.logs import Logs, readable
from runner.report.page import Fact, Page, page
from runner.report.panels import KINDS
from runner.report.pictures import vega_script, vega_specification
from runner.report.plot_steps import launch_series
from runner.report.reproduced import Reproduced
from runner.report.source import Source


class PageError(RunnerError):
    """A page cannot be written; the message says where and why."""


@cache
def environment() -> Environment:
    """Return the templates, escaping everything, and refusing names they do not know."""
    made = Environment(
        loader=PackageLoader("runner.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["readable"] = readable
    made.filters["breakable"] = breakable
    made.filters["facts"] = facts
    made.globals["statuses"] = words.STATUSES
    made.globals["column_words"] = words.COLUMNS
    return made


def breakable(text: str) -> Markup:
    """Return a list without spaces as markup that may be broken after each comma."""
    return Markup(",<wbr>").join(text.split(","))


def facts(found: Iterable[Fact]) -> Markup:
    """Return facts as the inside of a list of definitions."""
    # Each is markup already: to join by Markup's own method would look through all again.
    return Markup("\n".join([_fact(fact.name, fact.text) for fact in found]))


@lru_cache(maxsize=8192)
def _fact(name: str, text: str) -> str:
    """Return one fact as markup. Most are the same in every launch, and half of a run's page."""
    return Markup("<dt>{}</dt><dd>{}</dd>").format(readable(name), readable(text))


@cache
def asset(name: str) -> str:
    """Return a file beside the templates."""
    return files("runner.report").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def table_script() -> str:
    """Return DataTables' own JavaScript, which itables brings as a module, as one classic script
    that sets ``window.DataTable``: a page opened from a file can load no other.

    Raises:
        PageError: it does not export what it did, or holds an end tag.
    """
    path = Path(str(distribution("itables").locate_file("itables/html/dt_bundle.js")))
    module = path.read_text(encoding="utf-8")
    found = re.fullmatch(
        r"(?P<code>.*)export\{[^}]*?(?P<name>[\w$]+) as default\b[^}]*\};(?P<licences>.*)",
        module,
        re.DOTALL,
    )
    if found is None or "</script" in module.lower():
        msg = f"{path}: expected a module that exports DataTables as default, without an end tag"
        raise PageError(msg)
    code, name, licences = found.group("code", "name", "licences")
    return f'"use strict";(() => {{{code}window.DataTable={name};}})();{licences}'


def hashed(script: str) -> str:
    """Return a script's hash as a content security policy names it."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def inline_policy(scripts: tuple[str, ...]) -> str:
    """Allow these inline scripts, inline styles, and nothing from anywhere."""
    return _policy(" ".join(map(hashed, scripts)))


@cache
def shared_policy(scripts: tuple[str, ...]) -> str:
    """Allow these inline scripts and those of the same site, and nothing from anywhere else."""
    return _policy(" ".join(("'self'", *map(hashed, scripts))))


def _policy(scripts: str) -> str:
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def data_block(value: Any) -> Markup:  # noqa: ANN401 - whatever JSON can hold
    """Return a value as JSON that stands safely inside a script element."""
    return harmless(msgspec.json.encode(value))


def harmless(encoded: bytes) -> Markup:
    """Return JSON that holds no `<`: nothing in it can close the element or open a comment."""
    return Markup(encoded.replace(b"<", b"\\u003c").decode())


def plot_data(made: Page, *, embedded: bool) -> dict[str, Any]:
    """Return what a run's page draws: each kind's panels and, for a page on its own, its chart."""
    # Steps are drawn from each launch's series: see ``run_html``.
    kinds_drawn = {name: kind for name, kind in KINDS.items() if name != "steps"}
    made_of = {name: kind.panels(made.source) for name, kind in kinds_drawn.items()}
    found = {name: panels for name, panels in made_of.items() if panels}
    grids = () if made.published is None else made.published.grids
    if compared := [panel for grid in grids for panel in grid.panels]:
        found["published"] = compared
    kinds = (*found, "steps") if embedded else ()
    return {
        "specifications": {kind: vega_specification(kind) for kind in kinds},
        "panels": {
            kind: [{"title": panel.title, "rows": panel.rows} for panel in panels]
            for kind, panels in found.items()
        },
    }


def run_html(made: Page, *, embedded: bool, histories: Mapping[str, str] | None = None) -> str:
    """Return a run's page.

    Args:
        embedded: True for a page on its own, which carries Vega and every record; False for a
            page of a site, which shares Vega and links to the records beside it.
        histories: a cell's anchor to its page over every run, from the site's top; None without.
    """
    source = made.source
    plots = plot_data(made, embedded=embedded)
    inlined = {"vega": vega_script(), "tables": table_script()} if embedded else {}
    scripts = (asset("page.js"), *inlined.values())
    series = {cell.anchor: launch_series(cell.row) for cell in made.cells}
    return (
        environment()
        .get_template("run.html")
        .render(
            page=made,
            run=source.run,
            table=source.table,
            kinds={name: kind for name, kind in KINDS.items() if name != "steps"},
            panels=plots["panels"],
            steps=KINDS["steps"],
            plots=data_block({**plots, "series": series}),
            records=_records(made) if embedded else None,
            embedded=embedded,
            histories=histories or {},
            policy=inline_policy(scripts) if embedded else shared_policy(scripts),
            script=Markup(asset("page.js")),
            style=Markup(asset("page.css")),
            root="" if embedded else "../../",
            **{name: Markup(text) for name, text in inlined.items()},
        )
    )


def _records(made: Page) -> Markup:
    """Return every record by its cell, as stored, for the reader to take along."""
    return data_block(
        {cell.anchor: [launch.record for launch in cell.launches] for cell in made.cells}
    )


def write_report(
    source: Source, folder: Path, target: Path, published: Reproduced | None = None
) -> Path:
    """Write a run's page, and beside it the run's own files for those who want them whole.

    Returns the page's path. The page alone holds every number and every record; only logs longer
    than what it shows are in `target`/logs/ alone.

    Raises:
        PageError: `target` is the run's own folder, or cannot be written.
    """
    if target.resolve() == folder.resolve():
        msg = f"{target}: is the run's own folder; name another one for its page"
        raise PageError(msg)
    made = page(source, folder, published)
    text = run_html(made, embedded=True)
    try:
        (target / "logs").mkdir(parents=True, exist_ok=True)
        copy_run(source, folder, target)
        (target / "index.html").write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        msg = f"{error.filename or target}: cannot be written: {error.strerror}"
        raise PageError(msg) from None
    return target / "index.html"


def copy_run(source: Source, folder: Path, target: Path) -> None:
    """Copy run.json, records.jsonl and the logs that records name."""
    for name in ("run.json", "records.jsonl"):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    known = Logs.of(folder)
    logs = (known.path(record) for own in source.records.values() for record in own)
    for path in {path for path in logs if path is not None}:
        (target / "logs").mkdir(exist_ok=True)
        shutil.copyfile(path, target / "logs" / path.name)
