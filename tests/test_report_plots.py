"""Pictures without a browser, and the data that each kind of plot is made of."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from runner import cli, report_commands
from runner.model import Cell, Status
from runner.report import html, page, panels, pictures, words
from runner.report.panel import groups
from runner.report.source import Source, anchor, slug
from runner.report.source import source as report_source
from runner.report.table import COLUMNS
from tests.makers import make_cell, make_run
from tests.report_makers import (
    IMAGES,
    RELEASES,
    ROOT,
    load,
    write_hostile_run,
    write_published_run,
    write_run,
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return load(write_run(tmp_path_factory.mktemp("runs") / "one"))


def drawn(source: Source, kind: str) -> bytes:
    return pictures.draw(pictures.lite_specification(source, kind), "svg")


def texts(svg: bytes) -> list[str]:
    root = ET.fromstring(svg)
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_every_kind_that_is_offered_is_drawn(source: Source) -> None:
    assert set(report_commands.PLOTS) == {*panels.KINDS, "published"}
    for kind in panels.KINDS:
        svg = drawn(source, kind)
        assert svg.startswith(b"<svg"), kind
        assert b"currentColor" not in svg
        assert b"NaN" not in svg


def test_the_decade_has_every_release_and_framework(source: Source) -> None:
    (panel,) = panels.decade(source)
    shown = texts(drawn(source, "decade"))

    assert [row["image"] for row in panel.rows] == list(IMAGES)
    for framework, version, _, _ in IMAGES.values():
        assert framework in shown
        assert version in shown
    for row in panel.rows:
        assert row["low"] is not None
        assert row["low"] < row["speed"] < row["high"]  # type: ignore[operator]


def unmeasured(*cells: Cell, **changes: object) -> Source:
    return report_source(make_run(cells, backend="docker", **changes), [], RELEASES)


def test_rows_are_named_by_what_tells_them_apart() -> None:
    variants = (
        "precision=float32,batch=64,gpus=1",
        "precision=float32,batch=64,gpus=2",
        "precision=bfloat16,batch=64,layout=channels_last_of_a_long_name,gpus=1",
    )
    (group,) = groups(unmeasured(*(make_cell("torch", variant=one) for one in variants)))

    assert group.title == "cifar10-cnn, batch=64"
    assert group.labels[:2] == (
        "torch\nprecision=float32,gpus=1",
        "torch\nprecision=float32,gpus=2",
    )
    assert group.labels[2].splitlines() == [
        "torch",
        "precision=bfloat16",
        "layout=channels_last_of_a_long_name",
        "gpus=1",
    ]
    assert max(map(len, group.labels[2].splitlines())) < 45


def test_what_has_no_variant_is_named_by_its_image() -> None:
    (group,) = groups(unmeasured(make_cell("a"), make_cell("b")))
    assert (group.title, group.labels) == ("cifar10-cnn", ("a", "b"))

    (alone,) = groups(unmeasured(make_cell("a", variant="batch=1")))
    assert (alone.title, alone.labels) == ("cifar10-cnn", ("a\nbatch=1",))


def test_labels_of_two_lines_are_drawn_as_two_and_in_full() -> None:
    long = "precision=bfloat16,layout=channels_last,compiler=inductor"
    source = unmeasured(make_cell("a", variant=long), make_cell("b", variant="precision=float32"))
    root = ET.fromstring(drawn(source, "bars"))
    name = "{http://www.w3.org/2000/svg}"
    lines = [
        [part.text for part in element.iter(f"{name}tspan")] for element in root.iter(f"{name}text")
    ]

    assert ["a", "precision=bfloat16,layout=channels_last", "compiler=inductor"] in lines
    assert ["b", "precision=float32"] in lines


def test_one_release_makes_no_decade(source: Source) -> None:
    rows = tuple(row for row in source.table.rows if row.cell.image == "pytorch-1.0.1")
    alone = replace(source, table=replace(source.table, rows=rows))

    assert panels.decade(alone) == []
    assert len(panels.bars(alone)) == 1


def test_a_page_says_which_plots_there_are_not_and_why() -> None:
    made = unmeasured(make_cell("a"))
    text = html.run_html(page.page(made, None), embedded=False)

    for kind in ("decade", "phases", "memory", "gpu"):
        assert f"None: {panels.KINDS[kind].absent}." in text
    assert f"None: {panels.KINDS['bars'].absent}." not in text


def test_a_page_names_the_gpus_of_its_machine() -> None:
    gpus = [{"name": "H200"}, {"name": "H200"}, {"name": "T4"}, {"uuid": "?"}]
    host = {"cpu_model": "Test CPU", "gpus": gpus}
    facts = page.page(unmeasured(make_cell("a"), host=host), None).facts

    (machine,) = (fact.text for fact in facts if fact.name == "machine")
    assert machine == "Test CPU, 2 x H200, T4"


def test_bars_show_a_status_in_place_of_a_number(source: Source) -> None:
    shown = texts(drawn(source, "bars"))

    assert "build-failed" in shown
    assert "oom-host" in shown


def test_steps_are_those_of_the_launches_and_steady_where_the_table_says(source: Source) -> None:
    for panel, row in zip(panels.steps(source), source.table.rows, strict=False):
        assert row.steady is not None
        for launch, part in enumerate(row.steady.parts, start=1):
            own = [one for one in panel.rows if one["launch"] == launch]
            steady = [one["ms"] for one in own if one["kind"] == "steady"]
            assert steady == [float(f"{seconds * 1e3:.6g}") for seconds in part]
            assert len(own) == 45
            (start,) = [one["start"] for one in own if one["start"] is not None]
            assert start == 45 - len(part)


def test_phases_end_with_the_first_step(source: Source) -> None:
    (panel,) = panels.phases(source)

    assert [row["phase"] for row in panel.rows[:4]] == ["import", "data", "build", "first-step"]
    total = sum(float(row["seconds"] or 0) for row in panel.rows[:4])
    assert total == pytest.approx(source.table.rows[0].numbers["cold_start_s"], rel=0.05)


def test_a_gpu_is_shown_where_it_was_read(source: Source) -> None:
    found = {panel.title: panel.rows[0]["value"] for panel in panels.gpu(source)}

    assert found == {
        "cifar10-cnn: GPU memory, MiB": 1024,
        "cifar10-cnn: SM clock, MHz": 1700,
        "cifar10-cnn: power, W": 300,
    }


def test_a_picture_is_the_same_bytes_again(source: Source) -> None:
    assert drawn(source, "decade") == drawn(source, "decade")


def test_the_command_draws_svg_and_png(tmp_path: Path) -> None:
    run = str(write_run(tmp_path / "run"))

    assert cli.main(["plot", run, "--kind", "bars", "-o", str(tmp_path / "a.svg")]) == 0
    assert cli.main(["plot", run, "--kind", "bars", "-o", str(tmp_path / "a.png")]) == 0

    assert "pytorch-2.13.0" in texts((tmp_path / "a.svg").read_bytes())
    png = (tmp_path / "a.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", png[16:20])[0] > 800


def test_what_cannot_be_drawn_says_why(
    source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = pictures.lite_specification(source, "bars")
    with pytest.raises(pictures.PlotError, match=r"a name that ends in \.svg or \.png"):
        pictures.write(bars, tmp_path / "a.gif")
    with pytest.raises(pictures.PlotError, match="cannot be written"):
        pictures.write(bars, tmp_path / "no" / "a.svg")
    undated = replace(source, releases={})
    with pytest.raises(pictures.PlotError, match="no decade plot: no two cells that did the same"):
        pictures.lite_specification(undated, "decade")
    run = str(write_run(tmp_path / "run"))
    to = ["-o", str(tmp_path / "a.svg"), "--root", str(ROOT)]
    assert cli.main(["plot", run, "--kind", "published", *to]) == 2
    assert "the suite decade is made from no published" in capsys.readouterr().err.lower()


def test_published_numbers_are_drawn_too(tmp_path: Path) -> None:
    run = str(write_published_run(tmp_path / "run"))
    to = ["-o", str(tmp_path / "a.svg"), "--root", str(ROOT)]
    assert cli.main(["plot", run, "--kind", "published", *to]) == 0

    shown = texts((tmp_path / "a.svg").read_bytes())
    assert "Keras (Theano backend)" in shown
    assert "killed" in shown
    assert shown.count("ratio to the table's reference") == 4


def test_every_status_and_column_is_explained() -> None:
    assert set(words.STATUSES) == set(Status)
    assert set(words.COLUMNS) == {column.key for column in COLUMNS}


def test_slugs_are_harmless_and_never_shared() -> None:
    names = ["a/b", "a--b", "A/b", "a b", "a/b/", "../x", "", "ü", "a\x00b", "a" * 500, "a" * 501]
    made = [slug(name) for name in names]

    assert len({one.lower() for one in made}) == len(names)
    for one in made:
        assert one.strip(".-")
        assert set(one) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert anchor(make_cell("jax-0.10.2")) == "cell-jax-0.10.2--cifar10-cnn"


def test_a_log_outside_its_run_is_never_read(tmp_path: Path) -> None:
    folder = write_hostile_run(tmp_path / "run")
    made = page.page(load(folder), folder)

    logs = {launch.record.log: launch.log for cell in made.cells for launch in cell.launches}
    outside = logs["../../../../../etc/passwd"]
    assert outside.link == ""
    assert "root:x:0" not in outside.tail
    own = logs["logs/0000-evil.log"]
    assert own.link == "logs/0000-evil.log"
    assert "\x1b" not in own.tail
    assert "␛[31m" in own.tail


def test_the_page_brings_the_runs_files_along(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    assert cli.main(["report", str(folder), "--html", str(tmp_path / "page")]) == 1

    for path in ("run.json", "records.jsonl", "logs/0000-pytorch-1.0.1.log"):
        assert (tmp_path / "page" / path).read_bytes() == (folder / path).read_bytes()
    text = (tmp_path / "page" / "index.html").read_text()
    assert "sha256:" + "ab" * 32 in text
    for outside in ("src=", "url(", "@import", '<link rel="stylesheet'):
        assert outside not in text.replace("vegaEmbed", "").split("<body>")[1].split("<script")[0]


def test_a_page_never_overwrites_the_run_it_shows(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    with pytest.raises(html.PageError, match="is the run's own folder"):
        html.write_report(load(folder), folder, folder)
