"""Any run against any run: a page that compares in the browser, and what it reads of each run.

The statistics are those of ``stats.compare``, once more in templates/compare.js: a thousand runs
make half a million pairs, too many for a page each.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from runner.report.html import asset, data_block, environment, shared_policy
from runner.report.source import slug
from runner.report.summary import CellSummary, RunSummary

PAGE = "compare.html"
SCRIPT = "assets/compare.js"
LEVEL = 0.95
MARGIN = 0.02


def compare_link(before: RunSummary, now: RunSummary) -> str:
    """Return the link that holds a run against another."""
    return f"{PAGE}#{slug(before.id)}/{slug(now.id)}"


def data_path(run: RunSummary) -> str:
    """Return where a run's numbers are, for the page to read."""
    return f"data/{slug(run.id)}.js"


def run_data(run: RunSummary) -> str:
    """Return a run's numbers as a script: a page opened from a file can read nothing else."""
    made = {
        "id": run.id,
        "page": run.page,
        "suite": run.suite,
        "where": run.where,
        "profile": run.profile,
        "started": run.started_at,
        "cells": [_cell(cell) for cell in run.cells],
    }
    name, value = msgspec.json.encode(slug(run.id)), msgspec.json.encode(made)
    return f"(window.runs ??= {{}})[{name.decode()}] = {value.decode()};\n"


def _cell(cell: CellSummary) -> dict[str, str | list[float]]:
    return {
        "label": cell.cell.label,
        "work": cell.work_hash,
        "anchor": cell.anchor,
        "status": str(cell.status),
        # Nine digits: far beyond any clock, and a third of the file saved.
        "medians_s": [float(f"{seconds:.9g}") for seconds in cell.medians_s],
    }


def compare_html(runs: Sequence[RunSummary]) -> str:
    """Return the page; it starts with the latest run and the one before it of the same kind."""
    choices = [
        {"slug": slug(run.id), "id": run.id, "suite": run.suite, "where": run.where}
        for run in reversed(runs)
    ]
    return (
        environment()
        .get_template("compare.html")
        .render(
            choices=data_block({"runs": choices, "level": LEVEL, "margin": MARGIN}),
            level=LEVEL,
            margin=MARGIN,
            policy=shared_policy((asset("page.js"),)),
            script=Markup(asset("page.js")),
            style=Markup(asset("page.css") + asset("site.css")),
            compare=SCRIPT,
            root="",
        )
    )
