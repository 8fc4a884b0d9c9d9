"""What a page says of the published document that a run makes again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner import cli
from runner.config import load_matrix
from runner.published import Document, load_document, numbers
from runner.report.reproduced import NUMBERS, Reproduced, reproduced
from runner.report.source import Source, anchor
from runner.reproduce import reproduce
from tests.report_makers import ROOT, load, write_published_run, write_run

SUITE = "vgg16-xla"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published_run(tmp_path_factory.mktemp("runs") / "published", SUITE)


@pytest.fixture(scope="module")
def document() -> Document:
    return load_document(ROOT / "results" / "published" / SUITE)


@pytest.fixture(scope="module")
def source(folder: Path) -> Source:
    return load(folder)


@pytest.fixture(scope="module")
def made(source: Source, document: Document) -> Reproduced:
    images = [path.name for path in ROOT.glob("images/*")]
    suite = load_matrix(ROOT / "matrix.yaml", images).suites[SUITE]
    records = [record for own in source.records.values() for record in own]
    return reproduced(reproduce(document, suite, source.run, records))


def test_every_number_of_every_table_is_there_under_both_protocols(
    made: Reproduced, document: Document
) -> None:
    tables = [t for t in document.tables if t.kind == "results" and not t.commented_out]
    grids = [grid for grid in made.grids if grid.columns == NUMBERS]

    assert len(grids) == 2 * len(tables)
    for grid, table in zip(grids, [*tables, *tables], strict=True):
        expected = [f"{one.row} / {one.column}" for one in numbers(document, table)]
        assert [row[0].text for row in grid.rows] == expected


def test_no_box_is_blank_and_a_missing_number_has_its_status(made: Reproduced) -> None:
    for grid in made.grids:
        for row in grid.rows:
            assert len(row) == len(grid.columns)
            assert all(box.text.strip() for box in row)
            for box, column in zip(row, grid.columns, strict=True):
                assert column.number or box.value is None
    boxes = [row[2] for grid in made.grids if grid.columns == NUMBERS for row in grid.rows]
    assert {box.text for box in boxes if box.value is None} == {"killed"}


def test_a_number_leads_to_the_cell_that_it_comes_from(made: Reproduced, source: Source) -> None:
    anchors = {anchor(row.cell): row for row in source.table.rows}
    found = 0
    assert all(row[0].link in anchors for grid in made.grids for row in grid.rows)
    for grid in (grid for grid in made.grids if grid.columns == NUMBERS):
        for row in grid.rows:
            estimate = anchors[row[0].link].estimate
            if grid.title.endswith("fair") and estimate is not None:
                assert row[2].value == pytest.approx(estimate.value * 1e3, rel=1e-9)
                found += 1
    assert found > 10


def test_a_plot_has_the_printed_ratios_and_the_verdict_of_the_table(made: Reproduced) -> None:
    for grid in (grid for grid in made.grids if grid.panels):
        ratios = {row[0].text: row for row in grid.rows}
        for panel in grid.panels:
            for point in panel.rows:
                (row,) = (r for name, r in ratios.items() if name.startswith(f"{point['label']} /"))
                assert row[3].value == point["there"]
                assert row[5].text == point["verdict"]
                assert point["here"] is not None or point["shown"] in ("killed", "no ratio")
    assert sum(len(grid.panels) for grid in made.grids) == 4


def test_each_defect_that_a_number_has_is_told_with_its_worth(
    made: Reproduced, document: Document
) -> None:
    worth = made.grids[-1]
    known = {defect.id: defect.what for defect in document.defects}
    named = {name for row in worth.rows for name in re.findall(r"[a-z][a-z0-9-]+", row[1].text)}

    assert worth.title == "What the defects are worth"
    for name in named & set(known):
        assert f"{name}: {known[name]}" in worth.lines
    assert named & set(known)
    assert any(row[3].value is not None for row in worth.rows)
    assert any(row[4].value is not None for row in worth.rows)


def test_the_page_of_such_a_run_has_it(folder: Path, tmp_path: Path) -> None:
    assert cli.main(["report", str(folder), "--html", str(tmp_path), "--root", str(ROOT)]) == 1

    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Published against measured" in text
    assert "shape differs" in text
    assert "Rank correlation of step time" in text


def test_a_run_of_another_suite_says_that_there_is_none(tmp_path: Path) -> None:
    run = str(write_run(tmp_path / "run"))
    cli.main(["report", run, "--html", str(tmp_path / "page"), "--root", str(ROOT)])
    cli.main(["report", run, "--html", str(tmp_path / "alone"), "--root", str(tmp_path)])

    text = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "The suite decade is made from no published document." in text
    text = (tmp_path / "alone" / "index.html").read_text(encoding="utf-8")
    assert "Not compared with published numbers: " in text
    assert "matrix.yaml" in text
