"""Every kind of page for people who see little, use no mouse, or want no motion."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from runner.report import html
from tests.browser.conftest import Watched, built_site
from tests.browser.test_run_page import seriously_wrong
from tests.report_makers import load, write_run

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a site of two runs of one suite, with the published benchmarks."""
    base = tmp_path_factory.mktemp("site")
    for day in (1, 2):
        name = f"2026-01-0{day}-decade-docker"
        write_run(base / "results" / name, day, started_at=f"2026-01-0{day}T00:00:00+00:00")
    return built_site(base)


def kinds(made: Path) -> dict[str, Path]:
    """Return a page of each kind: every page of the root, and the first of every other folder."""
    found: dict[str, Path] = {}
    for path in sorted(made.rglob("*.html")):
        parts = path.relative_to(made).parts
        found.setdefault(parts[0], path)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_assistive_program_finds_nothing_serious(
    browser: Browser, made: Path, scheme: str
) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    every = kinds(made)
    assert {"index.html", "runs", "cells", "images", "works", "published"} <= set(every)

    for kind, path in every.items():
        page.goto(path.as_uri())
        assert seriously_wrong(page) == [], kind
        assert page.locator("h1").count() == 1, kind
        assert page.evaluate("document.documentElement.lang") == "en", kind
    context.close()


def test_nothing_moves_where_no_motion_is_wanted(browser: Browser, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    target = html.write_report(load(folder), folder, tmp_path / "page")
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{target.as_uri()}#cell-pytorch-1.0.1--cifar10-cnn")

    moving = page.evaluate(
        """() => [...document.querySelectorAll("*")].filter((one) => {
        const style = getComputedStyle(one);
        return style.animationName !== "none" || parseFloat(style.transitionDuration) > 0
          || style.scrollBehavior === "smooth";
        }).map((one) => one.tagName)"""
    )

    assert moving == []
    assert page.evaluate("document.getAnimations().length") == 0
    context.close()


def test_the_first_press_of_tab_offers_to_skip_to_the_table(tab: Watched, made: Path) -> None:
    page = tab.open((made / "index.html").as_uri())

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the table"
    page.keyboard.press("Enter")

    assert page.evaluate("document.activeElement.id") == "main"
