"""Every kind of plot, from records alone: a plot is panels, a panel a list of rows."""

from __future__ import annotations

from runner.report.panel import Kind, Panel, Rows, images_per_s
from runner.report.plot_launches import gpu, memory, phases
from runner.report.plot_speeds import bars, decade, part_names
from runner.report.plot_steps import steps

KINDS: dict[str, Kind] = {
    "bars": Kind(
        title="Speed of each cell",
        caption="Images a second at the median step; the line is the interval over launches. "
        "A cell without a number shows its status.",
        absent="the run has no cells",
        panels=bars,
    ),
    "decade": Kind(
        title="A decade of releases",
        caption="Release date against speed, one line a framework, the release beside its point; "
        "the upright line is the interval over launches. Only releases that did the same work on "
        "one machine, by one backend, share a picture.",
        absent="no two cells that did the same work have both a number and a release date of "
        "their own (images/ gives the dates)",
        panels=decade,
    ),
    "phases": Kind(
        title="Cold start",
        caption="Median seconds of each phase over the launches, from the script's start to the "
        "end of its first step.",
        absent="no record has phases",
        panels=phases,
    ),
    "memory": Kind(
        title="Memory",
        caption="One mark a launch. A record keeps the peak and the average of the readings, not "
        "each reading, so that there is no curve over time.",
        absent="no record has memory readings",
        panels=memory,
    ),
    "gpu": Kind(
        title="GPU",
        caption="One mark a launch: what the driver said of the GPU while it measured. Clocks, "
        "power and temperature are means of the readings; no record keeps each reading.",
        absent="no record has readings of a GPU",
        panels=gpu,
    ),
    "steps": Kind(
        title="Every step",
        caption="Each launch's steps in the order taken; the dashed rule is where its steady part "
        "was found to begin. The cold first step is not drawn.",
        absent="no cell has a number",
        panels=steps,
    ),
}

__all__ = [
    "KINDS",
    "Kind",
    "Panel",
    "Rows",
    "bars",
    "decade",
    "gpu",
    "images_per_s",
    "memory",
    "part_names",
    "phases",
    "steps",
]
