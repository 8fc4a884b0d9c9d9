"""A site over several runs, in a real browser, from files."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from runner import published, report_commands
from runner.report import site
from tests.browser.conftest import Watched
from tests.browser.test_run_page import seriously_wrong
from tests.report_makers import HOSTILE, RELEASES, write_hostile_run, write_run

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a site of two runs on one machine, one on another, and one that is hostile."""
    base = tmp_path_factory.mktemp("site")
    for day, machine in ((1, "a"), (2, "a"), (3, "b")):
        write_run(
            base / "results" / f"2026-01-0{day}-decade-docker",
            seed=day,
            started_at=f"2026-01-0{day}T00:00:00+00:00",
            fingerprint=machine * 16,
        )
    write_hostile_run(base / "results" / "2026-01-04-hostile")
    plan = site.Plan(
        folders=tuple(sorted((base / "results").iterdir())),
        load=report_commands.load_run,
        releases=RELEASES,
        documents=published.load(ROOT / "results" / "published"),
        target=base / "site",
    )
    site.build(plan)
    return base / "site"


def test_every_link_of_every_page_leads_to_a_page(tab: Watched, made: Path) -> None:
    """Pages are opened once each; anchors must exist in the page that they lead to."""
    seen: set[str] = set()
    todo = [(made / "index.html").as_uri()]
    anchors: set[tuple[str, str]] = set()
    identities: dict[str, set[str]] = {}
    while todo:
        url = todo.pop()
        if url in seen:
            continue
        seen.add(url)
        page = tab.open(url)
        ids = page.eval_on_selector_all("[id]", "all => all.map((one) => one.id)")
        identities[url] = set(ids)
        links = page.eval_on_selector_all("a[href]:not([download])", "all => all.map(a => a.href)")
        for link in links:
            target, _, anchor = link.partition("#")
            assert Path(target.removeprefix("file://")).is_file() or "%" in target, link
            anchors.add((target, anchor))
            todo.append(target)

    assert len(seen) > 30
    assert tab.complaints == []
    for target, anchor in anchors:
        assert not anchor or anchor in identities[target], (target, anchor)
    outside = [url for url in tab.requests if not url.startswith(made.as_uri())]
    assert outside == []
    assert tab.page.evaluate("window.hurt") is None


def test_a_cells_history_keeps_machines_apart(tab: Watched, made: Path) -> None:
    (path,) = made.glob("cells/pytorch-2.13.0--cifar10-cnn-*.html")
    page = tab.open(path.as_uri())
    tab.draw_all()

    assert page.locator("tbody tr").count() == 3
    lines = page.locator(".chart svg [aria-roledescription='line mark']")
    assert lines.count() == 2
    assert "Test CPU (aaaaaaaa), docker" in page.locator(".chart").inner_text()


def test_a_run_is_held_against_the_one_before_it_only(tab: Watched, made: Path) -> None:
    page = tab.open((made / "index.html").as_uri())
    compared = page.locator("tbody tr td:last-child").all_inner_texts()
    first = "first of its kind"
    assert compared == [first, "with the run before", first, first]

    page.get_by_role("link", name="with the run before").click()
    expect(page.locator("h1")).to_contain_text("2026-01-02-decade-docker against")
    verdicts = page.locator("tbody tr td:last-child").all_inner_texts()
    assert set(verdicts[:6]) <= {"faster", "slower", "same", "ambiguous"}
    assert set(verdicts[6:]) == {"no ratio: a side has no number"}


def test_frameworks_stand_side_by_side_a_section_a_machine(tab: Watched, made: Path) -> None:
    (path,) = (one for one in made.glob("works/cifar10-cnn-fair-cpu-*") if "img" not in one.name)
    page = tab.open(path.as_uri())
    tab.draw_all()

    assert page.locator("main section").count() == 2
    assert page.locator(".chart svg").count() == 2
    assert seriously_wrong(page) == []


def test_a_published_benchmark_has_its_numbers_and_defects(tab: Watched, made: Path) -> None:
    page = tab.open((made / "published" / "cifar10-six-libraries.html").as_uri())
    text = page.locator("main").inner_text()

    (document,) = (
        one
        for one in published.load(ROOT / "results" / "published")
        if one.suite == "cifar10-six-libraries"
    )
    for defect in document.defects:
        assert defect.id in text
    for table in document.tables:
        if table.kind == "results":
            assert table.rows[0][-1] in text
    assert seriously_wrong(page) == []


def test_a_phone_in_the_dark_reads_the_list(phone: Watched, made: Path) -> None:
    page = phone.open((made / "index.html").as_uri())

    assert page.evaluate("document.documentElement.scrollWidth") <= 391
    assert seriously_wrong(page) == []
    assert HOSTILE not in page.title()
