"""What more GPUs bring, where a run of several numbers of GPUs is rendered."""

from __future__ import annotations

from pathlib import Path

from runner.model import Record
from runner.report import formats
from runner.report.html import run_html
from runner.report.page import page
from runner.report.source import Source, source
from tests.makers import make_cell, make_record, make_run, make_samples

TITLE = "What more GPUs bring"


def made(*gpus: int) -> Source:
    """Return a run of two launches on each number of GPUs."""
    cells = [
        make_cell(workload="vgg16", variant=f"gpus={count}", gpus=count, batch=64, precision="tf32")
        for count in gpus
    ]
    records: list[Record] = [
        make_record(cell, launch, samples=(make_samples(*[0.1 + 0.001 * launch] * 20),))
        for cell in cells
        for launch in range(2)
    ]
    return source(make_run(tuple(cells)), records, {})


def test_a_run_on_several_numbers_of_gpus_shows_its_scaling(tmp_path: Path) -> None:
    found = made(1, 2)

    text = formats.markdown(found.table)
    html = run_html(page(found, tmp_path), embedded=False)

    _, below = text.split(f"**{TITLE}**")
    assert [line.split(" | ")[1] for line in below.strip().splitlines()[2:]] == ["1", "2"]
    (heading,) = [part for part in html.split("<h3>") if part.startswith(TITLE)]
    assert heading.count("<tr>") == 3
    assert "efficiency (%)" in heading


def test_a_run_on_one_number_of_gpus_has_none(tmp_path: Path) -> None:
    found = made(2)

    assert TITLE not in formats.markdown(found.table)
    assert TITLE not in run_html(page(found, tmp_path), embedded=False)
