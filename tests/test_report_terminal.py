"""Small plots on a terminal."""

from __future__ import annotations

import io
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from runner import report_commands, store
from runner.report import terminal
from runner.report.formats import shown
from runner.report.source import Source
from runner.report.table import COLUMNS
from tests.makers import make_cell, make_run
from tests.report_makers import IMAGES, load, trained, write_hostile_run, write_run


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return load(write_run(tmp_path_factory.mktemp("runs") / "one"))


@pytest.mark.parametrize("width", [40, 80, 100, 200])
@pytest.mark.parametrize("plain", [False, True])
def test_no_line_is_wider_than_the_terminal(source: Source, width: int, plain: bool) -> None:
    lines = terminal.plots(source, width, plain=plain)

    assert len(lines) == 2 + len(IMAGES)
    assert max(map(len, lines)) <= width
    assert not plain or all(line.isascii() for line in lines)


def test_bars_are_as_long_as_their_numbers(source: Source) -> None:
    lines = terminal.plots(source, 60)[2:]
    lengths = [line.count("█") for line in lines]
    speeds = [row.numbers["images_per_s"] or 0 for row in source.table.rows[: len(IMAGES)]]

    assert max(lengths) == lengths[speeds.index(max(speeds))]
    for length, speed in zip(lengths, speeds, strict=True):
        assert abs(length - speed / max(speeds) * max(lengths)) <= 1


@given(st.lists(st.floats(min_value=1e-9, max_value=1e9), max_size=200), st.integers(1, 60))
def test_a_sparkline_has_a_column_a_value(values: list[float], width: int) -> None:
    drawn = terminal.sparkline(values, width, plain=False)

    assert len(drawn) == min(width, len(values))


def test_a_sparkline_rises_where_values_do() -> None:
    assert terminal.sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8, plain=False) == "▁▂▃▄▅▆▇█"
    assert terminal.sparkline([5, 5, 5], 8, plain=True) == "___"


def test_a_hostile_name_cannot_move_the_cursor(tmp_path: Path) -> None:
    lines = terminal.plots(load(write_hostile_run(tmp_path / "run")), 80)

    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize("width", [80, 120])
def test_only_a_terminal_is_drawn_on_and_without_colour_where_asked(
    tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    folder = write_run(tmp_path / "run")
    shown, piped = io.StringIO(), io.StringIO()
    report_commands.show_run(folder, Console(file=shown, force_terminal=True, width=width))
    report_commands.show_run(folder, Console(file=piped, force_terminal=False, width=width))

    assert "step by step" in shown.getvalue()
    assert not re.search(r"\x1b\[[0-9;]*[349][0-7]m", shown.getvalue()), "a colour"
    assert "step by step" not in piped.getvalue()


def printed(folder: Path, width: int) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None)
    report_commands.show_run(folder, console)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [72, 80, 100, 120, 200])
def test_a_terminals_table_cuts_no_number_short(tmp_path: Path, width: int) -> None:
    folder = write_run(tmp_path / "run")
    made = load(folder).table
    lines = printed(folder, width)

    assert max(map(len, lines)) <= width
    (head,) = (line for line in lines if line.lstrip().startswith("image"))
    for row in made.rows:
        (line,) = (line for line in lines if line.startswith(f" {row.cell.image} "))
        assert f"{row.launches}/{row.asked}" in line
        for key in ("median_ms", "images_per_s"):
            (column,) = (one for one in COLUMNS if one.key == key)
            assert f" {shown(row, column)} " in line
    assert "…" not in "".join(lines)
    assert "images/s" in head
    titles = " ".join(" ".join(lines[1:8]).split())
    assert width < 200 or all(word in titles for word in ("GFLOP/s", "memory", "within", "peak"))


def test_a_long_variant_is_wrapped_at_its_commas(tmp_path: Path) -> None:
    variants = [f"precision=bfloat16,layout=channels_last,gpus={count}" for count in (1, 2)]
    cells = tuple(make_cell("pytorch-2.13.0", variant=variant) for variant in variants)
    store.Writer(tmp_path / "run", make_run(cells, id="run", backend="docker")).close()

    narrow, wide = printed(tmp_path / "run", 80), printed(tmp_path / "run", 200)

    assert any("precision=bfloat16, layout=channels_last, gpus=2" in line for line in wide)
    assert any(line.split()[:2] == ["pytorch-2.13.0", "precision=bfloat16,"] for line in narrow)
    assert any("layout=channels_last," in line for line in narrow)


def test_one_image_in_variants_is_named_once_above_its_bars(tmp_path: Path) -> None:
    cells = [make_cell("pytorch-1.0.1", variant=f"precision={name}") for name in ("a", "b")]
    writer = store.Writer(tmp_path / "run", make_run(tuple(cells), id="run", backend="docker"))
    for speed, cell in zip((10.0, 20.0), cells, strict=True):
        writer.append(trained(cell, 0, speed, random.Random(1)))
    writer.close()
    lines = terminal.plots(load(tmp_path / "run"), 80)

    assert lines[1].startswith("pytorch-1.0.1, cifar10-cnn: images/s")
    assert [line.split()[0] for line in lines[2:]] == ["precision=a", "precision=b"]


def test_a_hostile_run_prints_no_control_character(tmp_path: Path) -> None:
    folder = write_hostile_run(tmp_path / "run")
    lines = printed(folder, 120)

    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", "\n".join(lines))
