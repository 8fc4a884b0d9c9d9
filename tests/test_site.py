"""A site over many runs: its files and what they hold. How they look: browser/test_site_pages."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from runner import published, report_commands, store
from runner.model import Status
from runner.report import html, site, site_machines, site_pages, site_published, site_works
from runner.report.html import PageError
from runner.report.parts import parts
from runner.report.reproduced import absent
from runner.report.source import slug
from runner.report.summary import RunSummary, summary
from tests.makers import make_cell, make_record, make_run, make_samples
from tests.report_makers import HOSTILE, RELEASES, load, write_run

ROOT = Path(__file__).parent.parent


def write_small_run(folder: Path, day: int, **changes: object) -> Path:
    """Write a run of one cell that went well, twice, and one that did not."""
    good, bad = make_cell("pytorch-1.0.1"), make_cell("mxnet-0.9.0")
    fields = {"id": folder.name, "started_at": f"2026-01-{day:02d}T00:00:00+00:00", **changes}
    writer = store.Writer(folder, make_run((good, bad), **fields))
    for launch in range(2):
        steps = [0.1 + 0.001 * launch] * 9
        writer.append(make_record(good, launch, samples=(make_samples(*steps),)))
    writer.append(make_record(bad, status=Status.CRASHED, reason=HOSTILE, samples=()))
    writer.close()
    return folder


def plan(base: Path) -> site.Plan:
    return site.Plan(
        folders=tuple(store.runs(base / "results")),
        load=report_commands.load_run,
        releases=RELEASES,
        documents=published.load(ROOT / "results" / "published"),
        target=base / "site",
    )


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_many_cores_make_the_same_site_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 10):
        write_small_run(tmp_path / "results" / f"2026-01-0{day}-decade-process", day)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    many = site.build(plan(tmp_path))
    made = files(tmp_path / "site")

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    one = site.build(plan(tmp_path))

    assert many == one == sum(name.endswith(".html") for name in made)
    assert files(tmp_path / "site") == made
    assert {name for name in made if name.startswith("data/")} == {
        f"data/2026-01-0{day}-decade-process.js" for day in range(1, 10)
    }


def test_a_runs_numbers_for_the_browser_are_those_of_its_launches(tmp_path: Path) -> None:
    folder = write_small_run(tmp_path / "results" / "2026-01-01-decade-process", 1)
    site.build(plan(tmp_path))

    text = (tmp_path / "site" / "data" / f"{folder.name}.js").read_text()
    found = re.fullmatch(r'\(window\.runs \?\?= \{\}\)\["(.+?)"\] = (\{.*\});\n', text)

    assert found is not None
    assert found[1] == folder.name
    numbers = json.loads(found[2])
    assert [cell["medians_s"] for cell in numbers["cells"]] == [[0.1, 0.101], []]
    assert [cell["status"] for cell in numbers["cells"]] == ["ok", "crashed"]


@pytest.mark.parametrize("same", ["folder", "id"])
def test_two_runs_of_one_name_are_refused(tmp_path: Path, same: str) -> None:
    first = write_small_run(tmp_path / "results" / "one", 1, id="the-run")
    second = write_small_run(tmp_path / "results" / "two", 2, id="the-run")
    asked = plan(tmp_path)
    if same == "folder":
        asked = site.Plan(
            folders=(first, first),
            load=asked.load,
            releases={},
            documents=(),
            target=asked.target,
        )

    with pytest.raises(PageError, match="two runs of one name") as error:
        site.build(asked)

    assert ("one" if same == "folder" else "the-run") in str(error.value)
    assert second.is_dir()


def summaries(base: Path) -> list[RunSummary]:
    return [
        summary(load(write_run(base / f"run-{day}", seed=day, fingerprint=place * 16)))
        for day, place in ((1, "a"), (2, "b"), (3, "a"))
    ]


def test_machines_are_compared_by_the_latest_of_each_and_named(tmp_path: Path) -> None:
    runs = summaries(tmp_path)
    here, there = site_machines.places(runs)

    page = site_machines.machine_page(here, [here, there])

    against, own = page.sections
    assert against.title == "Against Test CPU (bbbbbbbb), docker"
    assert "They say nothing of frameworks" in page.intro
    latest = {cell.cell.label: cell.median_ms for cell in runs[2].cells}
    other = {cell.cell.label: cell.median_ms for cell in runs[1].cells}
    assert len(against.rows) == 6
    for row in against.rows:
        assert (row[1].value, row[2].value) == (latest[row[0].text], other[row[0].text])
    assert [row[0].text for row in own.rows] == ["run-3", "run-1"]


def test_the_run_before_is_of_the_same_suite_and_machine(tmp_path: Path) -> None:
    runs = summaries(tmp_path)

    rows = site_pages.index(runs).sections[0].rows

    assert [row[0].text for row in rows] == ["run-3", "run-2", "run-1"]
    assert [row[-1].link for row in rows] == ["compare.html#run-1/run-3", "", ""]


def test_a_run_page_leads_to_the_site_and_to_each_cells_history(tmp_path: Path) -> None:
    folder = write_small_run(tmp_path / "results" / "2026-01-01-decade-process", 1)

    site.build(plan(tmp_path))

    base = tmp_path / "site" / "runs" / folder.name
    text = (base / "index.html").read_text()
    histories = re.findall(r'<a href="([^"]+)">This cell over every run</a>', text)
    assert len(histories) == 2
    navigation = text.split("</nav>")[0]
    links = re.findall(r'href="([^#"][^"]*\.html)"', navigation)
    assert len(links) == 6
    assert all((base / link).is_file() for link in (*histories, *links))


def test_a_run_is_held_against_what_was_published(tmp_path: Path) -> None:
    folder = write_small_run(tmp_path / "results" / "2026-01-01-decade-process", 1)

    site.build(replace(plan(tmp_path), held=lambda _: absent("of no published document")))

    text = (tmp_path / "site" / "runs" / folder.name / "index.html").read_text()
    assert 'id="published"' in text
    assert "of no published document" in text


def test_a_line_of_dates_needs_two_of_them(tmp_path: Path) -> None:
    runs = [summary(load(write_run(tmp_path / "run")))]
    ((_, places),) = site_works.by_work(runs).items()
    one_date = {image: replace(one, date="2026-01-01") for image, one in RELEASES.items()}

    kinds = [
        [section.kind for section in site_works.work_page(places, releases).sections]
        for releases in (RELEASES, one_date, {})
    ]

    assert kinds == [["decade"], ["bars"], ["bars"]]


def test_the_registrys_markdown_becomes_parts_with_links() -> None:
    text = (
        "# Title\n\nSome `code` & more.\n\n"
        "## Table\n\n| a | b |\n| --- | --- |\n| **1** | suite |\n|  | <i> |\n\n"
        "Defects:\n\n- `slip`: what\n- image torch-1: rows\n"
    )

    found = list(
        parts(text, {"slip": "#slip", "suite": "s.html", "a": "a.html", "torch-1": "t.html"})
    )

    assert [part.kind for part in found] == ["heading", "text", "heading", "table", "text", "list"]
    assert (found[2].level, found[2].anchor) == (2, slug("Table"))
    assert found[1].rows == (("Some <code>code</code> &amp; more.",),)
    assert found[3].rows == (
        ("a", "b"),
        ("<b>1</b>", '<a href="s.html">suite</a>'),
        ("", "&lt;i&gt;"),
    )
    assert not found[3].sortable
    assert found[5].rows == (
        ('<a href="#slip"><code>slip</code></a>: what',),
        ('image <a href="t.html">torch-1</a>: rows',),
    )


def test_a_site_without_published_documents_says_so() -> None:
    ((path, text),) = site_published.pages((), ())

    assert path == "published.html"
    assert "Nothing is registered" in text


def test_scripts_are_stored_once_in_a_site(tmp_path: Path) -> None:
    write_small_run(tmp_path / "results" / "2026-01-01-decade-process", 1)
    site.build(plan(tmp_path))

    made = files(tmp_path / "site")
    shared = html.table_script().encode()
    assert made["assets/tables.js"] == shared
    pages = [text for name, text in made.items() if name.endswith(".html")]
    assert all(b'assets/tables.js"></script>' in text and shared not in text for text in pages)


@pytest.mark.parametrize(
    "module", ["var a=1;", "var a=1;export{a as b};", 'var a="</script>";export{a as default};']
)
def test_a_script_of_another_make_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    path = tmp_path / "itables" / "html" / "dt_bundle.js"
    path.parent.mkdir(parents=True)
    path.write_text(module)
    (tmp_path / "itables-9.dist-info").mkdir()
    (tmp_path / "itables-9.dist-info" / "METADATA").write_text("Name: itables\nVersion: 9\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(PageError, match=r"dt_bundle\.js: expected a module"):
        html.table_script.__wrapped__()
