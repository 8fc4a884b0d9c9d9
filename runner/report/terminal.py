"""Small plots in plain text: no colour, no more columns than there are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from runner.report.formats import significant
from runner.report.logs import readable
from runner.report.panel import Group, groups
from runner.report.plot_steps import launch_series
from runner.report.source import Source

_EIGHTHS = "▏▎▍▌▋▊▉█"
_LEVELS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = "_.-~=*#@"
_SPARK = 20


def bar(share: float, width: int, *, plain: bool) -> str:
    """Return a bar of `share` (0 to 1) of `width` columns; `plain` means ASCII only."""
    if plain:
        return "#" * max(1, round(share * width))
    eighths = max(1, round(share * width * 8))
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8 - 1] if eighths % 8 else "")


def sparkline(values: Sequence[float], width: int, *, plain: bool) -> str:
    """Return one character a value, low to high; more values than `width` are averaged."""
    if not values:
        return ""
    wide = min(width, len(values))
    edges = [len(values) * column // wide for column in range(wide + 1)]
    means = [sum(values[start:end]) / (end - start) for start, end in pairwise(edges)]
    low, high = min(means), max(means)
    levels = _ASCII_LEVELS if plain else _LEVELS
    step = (high - low) / (len(levels) - 1) or 1.0
    return "".join(levels[round((mean - low) / step)] for mean in means)


def plots(source: Source, width: int, *, plain: bool = False) -> list[str]:
    """Return lines that show each workload's speeds as bars, and each cell's steps in small.

    Workloads with fewer than two numbers have nothing to compare, and none is drawn.
    """
    lines: list[str] = []
    for group in groups(source):
        if sum(row.numbers["images_per_s"] is not None for row in group.rows) > 1:
            lines += ["", *_workload(group, width, plain=plain)]
    return lines


def _workload(group: Group, width: int, *, plain: bool) -> list[str]:
    drawn_of = [
        (row, readable(label.replace("\n", " ")), speed)
        for row, label in zip(group.rows, group.labels, strict=True)
        if (speed := row.numbers["images_per_s"]) is not None
    ]
    names = [name for _, name, _ in drawn_of]
    images = {row.cell.image for row, _, _ in drawn_of}
    title = readable(group.title)
    if len(images) == 1:
        # One image in several variants: its name stands once, above them.
        (image,) = map(readable, images)
        names = [name.removeprefix(image).strip() for name in names]
        title = f"{image}, {title}"
    speeds = [speed for _, _, speed in drawn_of]
    wide = min(max(map(len, names)), max(12, width // 3))
    numbers = [significant(speed, 3) for speed in speeds]
    digits = max(map(len, numbers))
    spark = _SPARK if width >= 70 else 0
    left = width - wide - digits - spark - (3 if spark else 2)
    head = f"{title}: images/s" + (", and launch 1 step by step" if spark else "")
    lines = [head[:width]]
    for (row, _, speed), name, number in zip(drawn_of, names, numbers, strict=True):
        drawn = bar(speed / max(speeds), max(1, left), plain=plain)
        series = launch_series(row)
        steps = sparkline(series[0].ms, spark, plain=plain) if spark and series else ""
        text = f"{_cut(name, wide):<{wide}} {number:>{digits}} {drawn:<{max(1, left)}} {steps}"
        lines.append(text.rstrip())
    return lines


def _cut(text: str, width: int) -> str:
    """Cut a long name in its middle: what tells names apart is at both ends."""
    half = width // 2 - 1
    return text if len(text) <= width else f"{text[:half]}..{text[-half:]}"
