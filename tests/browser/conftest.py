"""A real Chromium; without one the tests of this folder are skipped, or fail where demanded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from runner import published, report_commands
from runner.report import site
from tests.needs import lack
from tests.report_makers import RELEASES

ROOT = Path(__file__).parent.parent.parent
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        lack("browser", "no chromium on PATH")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        yield started
        started.close()


def built_site(base: Path) -> Path:
    """Make a site over the runs in `base`/results, with the published benchmarks."""
    plan = site.Plan(
        folders=tuple(sorted((base / "results").iterdir())),
        load=report_commands.load_run,
        releases=RELEASES,
        documents=published.load(ROOT / "results" / "published"),
        target=base / "site",
    )
    site.build(plan)
    return base / "site"


@dataclass
class Watched:
    """A tab, what it asked for and what it complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, url: str) -> Page:
        self.page.goto(url)
        self.page.wait_for_load_state("load")
        return self.page

    def draw_all(self) -> None:
        """Bring every chart that is not folded away into view until it is drawn."""
        for chart in self.page.locator(".chart:visible").all():
            chart.scroll_into_view_if_needed()
            chart.locator("svg, canvas").first.wait_for()


def watched(browser: Browser, width: int, height: int, scheme: str) -> Iterator[Watched]:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        accept_downloads=True,
    )
    tab = Watched(context.new_page())

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            tab.complaints.append(message.text)

    def asked(request: Request) -> None:
        tab.requests.append(request.url)

    tab.page.on("console", heard)
    tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.page.on("request", asked)
    yield tab
    context.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Watched]:
    yield from watched(browser, 1280, 900, "light")


@pytest.fixture(params=["light", "dark"])
def phone(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Watched]:
    yield from watched(browser, 390, 844, request.param)
