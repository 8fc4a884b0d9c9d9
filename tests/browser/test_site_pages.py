"""A site over several runs, in a real browser, from files."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from runner import published
from runner.report.listing_page import number
from runner.report.site_pages import ratio_boxes
from runner.report.summary import summary
from runner.stats.compare import compare_all
from tests.browser.conftest import ROOT, Watched, built_site
from tests.browser.test_run_page import seriously_wrong
from tests.report_makers import HOSTILE, load, write_hostile_run, write_run

pytestmark = pytest.mark.browser
BOTH = ("2026-01-03-decade-docker", "2026-01-01-decade-docker")


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
    return built_site(base)


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
        # What is held against what stands behind the address of that page.
        anchored = anchor and not target.endswith("/compare.html")
        assert not anchored or anchor in identities[target], (target, anchor)
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


def test_the_list_of_runs_leads_to_each_against_the_one_before_it(tab: Watched, made: Path) -> None:
    page = tab.open((made / "index.html").as_uri())
    compared = page.locator("tbody tr td:last-child").all_inner_texts()
    first = "first of its kind"
    assert compared == [first, "with the run before", first, first]

    page.get_by_role("link", name="with the run before").click()

    expect(page.locator("select[name=before]")).to_have_value("2026-01-01-decade-docker")
    expect(page.locator("select[name=now]")).to_have_value("2026-01-02-decade-docker")
    expect(page.locator("#comparison tbody tr")).to_have_count(8)
    assert page.locator("#warnings").inner_text() == ""


def compared(page: Page) -> list[list[str]]:
    rows = page.locator("#comparison tbody tr:visible").all()
    return [row.locator("th, td").all_inner_texts() for row in rows]


def choose(page: Page, before: str, now: str) -> None:
    page.locator("select[name=before]").select_option(before)
    page.locator("select[name=now]").select_option(now)
    expect(page.locator("#facts dd").first).to_contain_text(before)
    expect(page.locator("#facts dd").last).to_contain_text(now)


def test_any_run_is_held_against_any_other_as_the_command_line_would(
    tab: Watched, made: Path
) -> None:
    page = tab.open((made / "compare.html").as_uri())
    choose(page, "2026-01-03-decade-docker", "2026-01-01-decade-docker")

    before, now = (summary(load(made.parent / "results" / name)) for name in BOTH)
    sides = [(a, b) for a, b in zip(before.cells, now.cells, strict=True) if a.medians_s]
    wanted = compare_all(
        [([[m] for m in a.medians_s], [[m] for m in b.medians_s]) for a, b in sides]
    )
    shown = compared(page)
    assert [row[0] for row in shown] == [cell.cell.label for cell in now.cells]
    for row, (old, new), one in zip(shown, sides, wanted, strict=False):
        assert row[1:3] == [number(old.median_ms).text, number(new.median_ms).text]
        assert row[3:] == [box.text for box in ratio_boxes(one)]
    assert [row[-1] for row in shown[len(wanted) :]] == ["no ratio: a side has no number"] * 2
    assert tab.complaints == []


def test_the_browsers_statistics_are_those_of_the_command_line(tab: Watched, made: Path) -> None:
    """By t and by ranks, of equal and unequal sizes, without any spread, corrected for many."""
    drawn = random.Random(1)
    families = [
        [
            tuple(
                [math.exp(drawn.gauss(shift, spread)) for _ in range(drawn.choice(sizes))]
                for shift in (0.0, drawn.choice((0.0, 0.03)))
            )
            for _ in range(count)
        ]
        for count, spread, sizes in (
            (1, 0.02, (3,)),
            (12, 0.01, (1, 2, 5)),
            (9, 0.02, (10, 15)),
            (4, 0.0, (2, 3, 12)),
            (30, 0.1, (4, 12, 40)),
        )
    ]
    page = tab.open((made / "compare.html").as_uri())

    found = page.evaluate(
        "(all) => all.map((one) => comparison.compareAll(one, 0.95, 0.02))", families
    )

    for pairs, ours in zip(families, found, strict=True):
        theirs = compare_all([([[x] for x in a], [[x] for x in b]) for a, b in pairs])
        for one, other in zip(ours, theirs, strict=True):
            for ends in ("ratio", "low", "high"):
                wanted = getattr(other, ends)
                assert one[ends] == (wanted and pytest.approx(wanted, rel=1e-9))
            assert one["verdict"] == other.verdict


def test_two_machines_are_never_compared_without_saying_so(tab: Watched, made: Path) -> None:
    page = tab.open(f"{(made / 'compare.html').as_uri()}#{'/'.join(BOTH)}")

    expect(page.locator("#warnings")).to_contain_text("Not the same machine and backend")
    for where in ("Test CPU (aaaaaaaa), docker", "Test CPU (bbbbbbbb), docker"):
        expect(page.locator("#warnings")).to_contain_text(where)
    assert seriously_wrong(page) == []


def test_a_comparison_is_sorted_filtered_swapped_and_linked(tab: Watched, made: Path) -> None:
    page = tab.open((made / "compare.html").as_uri())
    choose(page, "2026-01-01-decade-docker", "2026-01-02-decade-docker")

    page.get_by_role("button", name="now (ms)").click()
    numbers = [float(row[2]) for row in compared(page)[:6]]
    assert numbers == sorted(numbers, reverse=True)
    page.get_by_label("Filter by any word").fill("pytorch")
    assert [row[0].split("/")[0] for row in compared(page)] == ["pytorch-1.0.1", "pytorch-2.13.0"]
    ratio = float(compared(page)[0][3])

    page.get_by_role("button", name="Swap").click()
    expect(page.locator("#facts dd").first).to_contain_text("2026-01-02")
    assert float(compared(page)[0][3]) == pytest.approx(1 / ratio, rel=1e-3)
    assert page.url.endswith("#2026-01-02-decade-docker/2026-01-01-decade-docker")


def test_a_run_with_hostile_names_is_compared_as_text(tab: Watched, made: Path) -> None:
    page = tab.open((made / "compare.html").as_uri())
    choose(page, "2026-01-04-hostile", "2026-01-02-decade-docker")

    assert len(compared(page)) == 8 + 2
    assert HOSTILE in page.locator("#comparison").inner_text()
    assert page.locator("main img").count() == 0
    assert page.evaluate("window.hurt") is None
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith(made.as_uri())] == []


def test_a_machine_is_held_against_each_other_one(tab: Watched, made: Path) -> None:
    page = tab.open((made / "machines.html").as_uri())
    page.get_by_role("link", name="Test CPU (aaaaaaaa), docker").click()

    title = page.get_by_role("heading", name="Against Test CPU (bbbbbbbb), docker")
    expect(title).to_be_visible()
    section = page.locator("main section").first
    assert section.locator("tbody tr").count() == 6
    verdicts = section.locator("tbody tr td:last-child").all_inner_texts()
    assert set(verdicts) <= {"faster", "slower", "same", "ambiguous"}
    assert seriously_wrong(page) == []


def test_frameworks_stand_side_by_side_a_section_a_machine(tab: Watched, made: Path) -> None:
    (path,) = (one for one in made.glob("works/cifar10-cnn-fair-cpu-*") if "img" not in one.name)
    page = tab.open(path.as_uri())
    tab.draw_all()

    assert page.locator("main section").count() == 2
    assert page.locator(".chart svg").count() == 2
    verdicts = page.locator("main section").first.locator("tbody tr td:nth-child(9)")
    assert verdicts.all_inner_texts().count("the fastest") == 1
    assert "slower" in verdicts.all_inner_texts()
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
        assert page.locator(f"h3[id='{defect.id}']").inner_text() == defect.id
        assert all(evidence.shows.split("`")[0] in text for evidence in defect.evidence)
    for revision in document.revisions:
        expect(page.get_by_role("link", name=revision.id, exact=True)).to_have_count(1)
    assert "No run of the suite cifar10-six-libraries is in this site." in text
    for table in document.tables:
        if table.kind == "results":
            assert table.rows[0][-1] in text
    assert seriously_wrong(page) == []


PAGES = (
    "index.html",
    "compare.html",
    "machines/*aaaaaaaa*.html",
    "works/cifar10-cnn-fair-cpu-[0-9a-f]*.html",
    "cells/pytorch-2.13.0*.html",
    "published/vgg16-xla.html",
)


@pytest.mark.parametrize("pattern", PAGES)
def test_a_phone_needs_no_sideways_scrolling_but_in_tables(
    phone: Watched, made: Path, pattern: str
) -> None:
    page = phone.open(min(made.glob(pattern)).as_uri())

    assert page.evaluate("document.documentElement.scrollWidth") <= 391
    assert seriously_wrong(page) == []
    assert HOSTILE not in page.title()


def test_every_known_defect_is_on_one_page(tab: Watched, made: Path) -> None:
    page = tab.open((made / "published.html").as_uri())
    page.get_by_role("link", name="defects", exact=True).click()

    documents = published.load(ROOT / "results" / "published")
    for document in documents:
        for defect in document.defects:
            heading = page.get_by_role("heading", name=defect.id, exact=True)
            assert heading.count() >= 1, defect.id
        expect(page.get_by_role("link", name=document.suite, exact=True).first).to_be_visible()
    assert seriously_wrong(page) == []
