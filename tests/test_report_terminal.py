"""Small plots on a terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from runner import report_commands
from runner.report import terminal
from runner.report.source import Source
from tests.report_makers import IMAGES, load, write_hostile_run, write_run


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
