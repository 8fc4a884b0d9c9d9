"""A run's page as people use it: in a real browser, from a file, without a network."""

from __future__ import annotations

import csv
import io
import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from runner import cli, store
from runner.report import html
from tests.browser.conftest import Watched
from tests.makers import make_cell, make_run
from tests.report_makers import (
    HOSTILE,
    ROOT,
    load,
    write_hostile_run,
    write_published_run,
    write_run,
)

pytestmark = pytest.mark.browser
CELL = "cell-pytorch-1.0.1--cifar10-cnn"


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_run(tmp_path_factory.mktemp("run") / "2026-01-01T00-00-00-decade-docker")
    return html.write_report(load(folder), folder, folder.parent / "page").as_uri()


def column(page: Page, number: int) -> list[str]:
    rows = page.locator("#cells-table tbody tr:visible")
    return [row.locator("th, td").nth(number).inner_text() for row in rows.all()]


def seriously_wrong(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def test_the_page_asks_for_nothing_and_complains_of_nothing(tab: Watched, report: str) -> None:
    page = tab.open(report)
    for cell in page.locator("section.cell > details > summary").all():
        cell.click()
    expect(page.locator("section.cell > details:not([open])")).to_have_count(0)
    tab.draw_all()

    assert tab.requests == [report]
    assert tab.complaints == []
    drawn = page.locator(".chart svg").count()
    assert drawn == page.locator(".chart").count() > 6


def test_its_own_policy_forbids_whatever_is_not_in_it(tab: Watched, report: str) -> None:
    page = tab.open(report)
    # What an attacker who got past the escaping would try.
    ran = page.evaluate(
        """async () => {
        const script = document.createElement("script");
        script.textContent = "window.hurt = 1";
        document.body.append(script);
        const fetched = await fetch("http://127.0.0.1:9/").then(() => "got", () => "refused");
        let evaluated = "refused";
        document.body.setAttribute("onclick", "window.hurt = 2");
        document.body.click();
        return [window.hurt ?? "unhurt", fetched];
        }"""
    )

    assert ran == ["unhurt", "refused"]
    assert any("Content Security Policy" in text for text in tab.complaints)


def test_a_header_sorts_by_number_and_a_third_press_restores(tab: Watched, report: str) -> None:
    page = tab.open(report)
    before = column(page, 0)
    header = page.get_by_role("button", name="images/s")

    # Rows are put in order after the click has returned.
    header.click()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("images/s")
    downwards = column(page, 3)
    header.click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("images/s")
    upwards = column(page, 3)
    header.click()
    expect(page.locator("th[aria-sort]")).to_have_count(0)

    numbers = [float(text) for text in downwards[:6]]
    assert numbers == sorted(numbers, reverse=True)
    assert downwards[6:] == upwards[6:] == ["build-failed", "oom-host"]
    assert [float(text) for text in upwards[:6]] == numbers[::-1]
    assert column(page, 0) == before


def test_the_keyboard_alone_sorts_and_opens_a_cell(tab: Watched, report: str) -> None:
    page = tab.open(report)
    page.get_by_role("button", name="median step (ms)").focus()
    page.keyboard.press("Enter")
    first = page.locator("#cells-table tbody tr").first
    expect(first).to_contain_text("keras-1.2.2-theano-0.9.0")
    page.keyboard.press("Space")
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("median step (ms)")

    page.locator("#cells-table tbody a").first.focus()
    page.keyboard.press("Enter")

    opened = page.locator("section.cell details[open]").first
    expect(opened).to_be_visible()
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_words_and_choices_filter_the_table(tab: Watched, report: str) -> None:
    page = tab.open(report)
    page.get_by_label("Filter by any word").fill("tensorflow cifar10")
    assert column(page, 0) == ["tensorflow-1.0.0", "tensorflow-1.13.1", "tensorflow-2.21.0"]
    assert page.locator("form output").inner_text() == "3 of 8 shown"

    page.get_by_role("button", name="Show all").click()
    page.locator("select[data-key=status]").select_option("oom-host")
    assert column(page, 0) == ["cntk-2.0"]


def test_hovering_shows_the_numbers_of_a_point(tab: Watched, report: str) -> None:
    page = tab.open(report)
    chart = page.locator(".chart[data-kind=bars]").first
    chart.scroll_into_view_if_needed()
    bar = chart.locator("svg [aria-roledescription=bar]").first
    bar.wait_for()
    bar.hover()

    tip = page.get_by_role("tooltip")
    expect(tip).to_be_visible()
    assert "keras-1.2.2-theano-0.9.0" in tip.inner_text()
    assert "3 of 3" in tip.inner_text()


def test_raw_samples_and_records_come_down_whole(tab: Watched, report: str, tmp_path: Path) -> None:
    page = tab.open(f"{report}#{CELL}")
    cell = page.locator(f"[id='{CELL}']")
    with page.expect_download() as samples:
        cell.get_by_role("button", name="Save raw samples").click()
    with page.expect_download() as records:
        cell.get_by_role("button", name="Save records").click()

    rows = list(csv.DictReader(io.StringIO(Path(samples.value.path()).read_text())))
    stored = [json.loads(line) for line in Path(records.value.path()).read_text().splitlines()]
    assert [record["launch"] for record in stored] == [0, 1, 2]
    measured = [float(row["seconds"]) for row in rows if row["kind"] == "measured"]
    assert measured == [s for record in stored for s in record["samples"][0]["measured_s"]]
    assert len(rows) == 3 * 46


def test_a_deep_link_opens_its_cell_with_where_it_came_from(tab: Watched, report: str) -> None:
    page = tab.open(f"{report}#{CELL}")
    cell = page.locator(f"[id='{CELL}']")

    expect(cell.locator("> details")).to_have_attribute("open", "")
    text = cell.inner_text()
    for said in (
        "sha256:" + "ab" * 32,
        "cd" * 32,
        "ef" * 32,
        "--only pytorch-1.0.1/cifar10-cnn",
        "Measure it again",
    ):
        assert said in text
    cell.locator("details details summary").first.click()
    assert "docker run --network=none pytorch-1.0.1" in cell.inner_text()
    assert "a warning & more" in cell.inner_text()


def test_hostile_texts_stay_text(tab: Watched, tmp_path: Path) -> None:
    folder = write_hostile_run(tmp_path / "run")
    target = html.write_report(load(folder), folder, tmp_path / "page")
    page = tab.open(target.as_uri())
    for summary in page.locator("summary").all():
        if summary.is_visible():
            summary.click()
    tab.draw_all()

    assert page.evaluate("window.hurt") is None
    assert tab.requests == [target.as_uri()]
    assert tab.complaints == []
    assert page.locator("img").count() == 0
    assert HOSTILE in page.locator("body").inner_text()
    assert "root:x:0" not in page.content(), "a record's log led out of its run"
    assert "49" not in page.locator("h1").inner_text()


def test_an_assistive_program_finds_nothing_serious(tab: Watched, report: str) -> None:
    page = tab.open(f"{report}#{CELL}")
    tab.draw_all()

    assert seriously_wrong(page) == []


def test_a_phone_needs_no_sideways_scrolling_but_in_tables(phone: Watched, report: str) -> None:
    page = phone.open(f"{report}#{CELL}")
    phone.draw_all()

    wide = page.evaluate("document.documentElement.scrollWidth")
    assert math.isclose(wide, 390, abs_tol=1)
    assert seriously_wrong(page) == []


def test_a_phone_sees_what_was_measured_beside_its_numbers(phone: Watched, tmp_path: Path) -> None:
    folder = write_hostile_run(tmp_path / "run")
    page = phone.open(html.write_report(load(folder), folder, tmp_path / "page").as_uri())

    first = page.locator("#cells-table tbody tr").nth(1)
    assert HOSTILE in first.locator("th").inner_text()
    assert page.get_by_role("button", name="variant").count() == 0
    box = first.locator("td.number").first.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] < 390


def test_labels_fit_beside_their_bars(phone: Watched, tmp_path: Path) -> None:
    variants = [f"precision=bfloat16,layout=channels_last,gpus={count}" for count in (1, 2, 4)]
    cells = tuple(make_cell("pytorch-2.11.0", variant=variant) for variant in variants)
    folder = tmp_path / "run"
    store.Writer(folder, make_run(cells, id="run", backend="docker")).close()
    page = phone.open(html.write_report(load(folder), folder, tmp_path / "page").as_uri())
    phone.draw_all()

    shown = page.locator(".chart[data-kind=bars] svg .role-axis-label text").all_text_contents()
    assert [text for text in shown if "gpus" in text] == [
        f"pytorch-2.11.0gpus={count}" for count in (1, 2, 4)
    ]
    heights = page.eval_on_selector_all(
        ".chart[data-kind=bars] svg .role-axis-label text",
        "all => all.map((one) => one.getBoundingClientRect()).map((box) => [box.top, box.bottom])",
    )
    labels = sorted(heights)[:3]
    assert all(above[1] <= below[0] + 1 for above, below in pairwise(labels))


def test_published_numbers_stand_against_ours(tab: Watched, tmp_path: Path) -> None:
    folder = write_published_run(tmp_path / "run")
    target = tmp_path / "page"
    cli.main(["report", str(folder), "--html", str(target), "--root", str(ROOT)])
    page = tab.open((target / "index.html").as_uri())
    section = page.locator("#published")
    for summary in section.locator("summary").all():
        summary.click()
    charts = section.locator(".chart")
    for chart in charts.all():
        chart.scroll_into_view_if_needed()
        chart.locator("svg").wait_for()

    assert charts.count() == 4
    assert tab.complaints == []
    assert seriously_wrong(page) == []
    section.get_by_role("button", name="ratio here").first.click()
    ratios = section.locator("table").first.locator("tbody tr td:nth-of-type(4)")
    shown = [float(text.split(" ")[0]) for text in ratios.all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    section.locator("tbody a").first.click()
    expect(page.locator("section.cell > details[open]").first).to_be_visible()


def test_without_scripts_every_number_is_still_there(tab: Watched, report: str) -> None:
    browser = tab.page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report)

    assert page.locator("#cells-table tbody tr").count() == 8
    assert "Plots, sorting and filtering need JavaScript" in page.locator("#plots").inner_text()
    context.close()
