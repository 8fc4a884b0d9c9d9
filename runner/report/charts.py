"""Vega-Lite charts of each kind, without data: one chart serves every page and picture.

A chart names its data set, and takes its colour of text from where it stands (`currentColor`),
so that a page in the dark needs no chart of its own. Pictures in files set it, see ``pictures``.
"""

from __future__ import annotations

import altair as alt

# Told apart by people who see no red or green, with contrast over 3 on white and on near-black.
PALETTE = [
    "#2f7fc1",
    "#d06a10",
    "#7d68c9",
    "#a8832a",
    "#c64a8c",
    "#2b9470",
    "#cc4b4b",
    "#7a8288",
]
LABEL_LIMIT, LABEL_LINE = 300, 12
# Where releases are months apart, a tick still says its year.
_DATES = {"year": "%Y", "quarter": "%b %Y", "month": "%b %Y", "week": "%d %b", "date": "%d %b %Y"}
_PHASES = ["import", "data", "build", "first-step"]
_SPEED = "images/s (more is better)"

Chart = alt.TopLevelMixin


def _labels() -> alt.Y:
    """The axis of cells: in the order of the table, a label's lines below each other."""
    return alt.Y(
        "label:N",
        sort=alt.EncodingSortField(field="order", op="min"),
        title=None,
        axis=alt.Axis(
            labelExpr="split(datum.label, '\\n')",
            labelLimit=alt.ExprRef("label_limit"),
            labelOffset=alt.ExprRef("label_offset"),
            labelLineHeight=LABEL_LINE,
            ticks=False,
            domain=False,
        ),
    )


def _base(data: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(name=data), width=640)


def _label_room() -> tuple[alt.Parameter, alt.Parameter]:
    """What a page sets by its width and its labels; see `label_offset`."""
    return (
        alt.param(name="label_limit", value=LABEL_LIMIT),
        alt.param(name="label_offset", value=0),
    )


def label_offset(lines: int) -> float:
    """Return how far labels of so many lines go up, in pixels, to stay beside their bar."""
    return -LABEL_LINE / 2 * (lines - 1)


def row_step(lines: int) -> int:
    """Return the pixels from one bar to the next where labels have so many lines."""
    return max(24, LABEL_LINE * lines + 10)


def bars(data: str) -> Chart:
    """Speed of each cell, with its interval over launches, or the status in its place."""
    tips = [
        alt.Tooltip("label:N", title="cell"),
        alt.Tooltip("speed:Q", title="images/s", format=".4~g"),
        alt.Tooltip("low:Q", title="95 % from", format=".4~g"),
        alt.Tooltip("high:Q", title="95 % to", format=".4~g"),
        alt.Tooltip("median_ms:Q", title="median step (ms)", format=".4~g"),
        alt.Tooltip("launches:N", title="launches"),
        alt.Tooltip("status:N"),
    ]
    base = _base(data).encode(y=_labels(), tooltip=tips)
    speed = alt.X("speed:Q", title=_SPEED, axis=alt.Axis(tickCount=6))
    bar = base.mark_bar(color=PALETTE[0], opacity=0.75, height=14).encode(x=speed)
    interval = base.mark_rule(color="currentColor", strokeWidth=2).encode(
        x=alt.X("low:Q", title=_SPEED), x2="high:Q"
    )
    why = base.mark_text(align="left", dx=4, fontStyle="italic", color="currentColor").encode(
        x=alt.datum(0), text="shown:N"
    )
    layers = alt.layer(bar, interval, why)
    return layers.properties(height=alt.Step(24)).add_params(*_label_room())


def decade(data: str) -> Chart:
    """Release date against speed, one line a framework."""
    tips = [
        alt.Tooltip("image:N"),
        alt.Tooltip("released:N"),
        alt.Tooltip("defects:N", title="known defects"),
        alt.Tooltip("speed:Q", title="images/s", format=".4~g"),
        alt.Tooltip("low:Q", title="95 % from", format=".4~g"),
        alt.Tooltip("high:Q", title="95 % to", format=".4~g"),
        alt.Tooltip("launches:N", title="launches"),
    ]
    # Lines are coloured by `stroke`: a legend of their own beside the points' is not wanted.
    color = alt.Color("framework:N", scale=alt.Scale(range=PALETTE), legend=_legend())
    stroke = alt.Stroke("framework:N", scale=alt.Scale(range=PALETTE), legend=None)
    base = _base(data).encode(
        x=alt.X(
            "date:T",
            title="release date",
            scale=alt.Scale(type="utc", padding=24),
            axis=alt.Axis(tickCount=8, labelOverlap=True, format=_DATES),
        )
    )
    # A release's name stands clear of its interval, where there is one.
    base = base.transform_calculate(
        top="isValid(datum.high) ? datum.high : datum.speed",
        bottom="isValid(datum.low) ? datum.low : datum.speed",
    )
    speed = alt.Y("speed:Q", title=_SPEED, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=6))
    line = base.mark_line(strokeWidth=2, opacity=0.8).encode(y=speed, stroke=stroke)
    interval = base.mark_rule(strokeWidth=2).encode(
        y=alt.Y("low:Q", title=_SPEED), y2="high:Q", stroke=stroke
    )
    point = base.mark_point(filled=True, size=80, opacity=1).encode(
        y=speed, color=color, shape=alt.Shape("framework:N", legend=_legend()), tooltip=tips
    )
    names = [
        base.mark_text(dy=dy, fontSize=10).encode(
            y=alt.Y(f"{end}:Q", title=_SPEED), text=f"{field}:N"
        )
        for field, end, dy in (("above", "top", -12), ("below", "bottom", 14))
    ]
    return alt.layer(line, interval, point, *names).properties(height=320)


def _legend(title: str | None = None) -> alt.Legend:
    return alt.Legend(
        title=title, orient="top", columns=alt.ExprRef("width < 420 ? 2 : 5"), labelLimit=260
    )


def steps(data: str) -> Chart:
    """Each launch's steps in the order taken; a dashed rule where its steady part begins."""
    tips = [
        alt.Tooltip("launch:N"),
        alt.Tooltip("step:Q"),
        alt.Tooltip("ms:Q", title="ms", format=".4~g"),
        alt.Tooltip("kind:N"),
    ]
    color = alt.Color("launch:N", scale=alt.Scale(range=PALETTE), legend=_legend("launch"))
    base = _base(data).encode(
        x=alt.X("step:Q", title="step (0 is the first after the cold one)"), color=color
    )
    height = alt.Y("ms:Q", title="step (ms)", scale=alt.Scale(zero=False))
    line = base.mark_line(strokeWidth=1.2, opacity=0.9).encode(y=height)
    point = base.mark_point(filled=True, size=22).encode(
        y=height,
        tooltip=tips,
        opacity=alt.Opacity(
            "kind:N",
            scale=alt.Scale(domain=["warm-up", "measured", "steady"], range=[0.25, 0.5, 1]),
            legend=None,
        ),
        shape=alt.Shape(
            "kind:N",
            scale=alt.Scale(
                domain=["warm-up", "measured", "steady"], range=["triangle", "square", "circle"]
            ),
            legend=_legend(),
        ),
    )
    start = base.mark_rule(strokeDash=[4, 3], strokeWidth=1.5).encode(x="start:Q")
    return alt.layer(line, point, start).properties(height=220)


def phases(data: str) -> Chart:
    """Cold start: seconds of each phase up to the end of the first step, stacked."""
    made: alt.Chart = (
        _base(data)
        .mark_bar(height=14)
        .encode(
            y=_labels(),
            x=alt.X(
                "seconds:Q",
                title="seconds until the end of the first step",
                stack="zero",
                axis=alt.Axis(tickCount=8),
            ),
            color=alt.Color(
                "phase:N",
                scale=alt.Scale(domain=_PHASES, range=PALETTE),
                legend=_legend(),
                sort=_PHASES,
            ),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("label:N", title="cell"),
                alt.Tooltip("phase:N"),
                alt.Tooltip("seconds:Q", format=".4~g"),
            ],
        )
        .properties(height=alt.Step(24))
        .add_params(*_label_room())
    )
    return made


def dots(data: str) -> Chart:
    """One mark a launch and quantity: memory, and what was read of a GPU."""
    made: alt.Chart = (
        _base(data)
        .mark_point(size=60, strokeWidth=1.5)
        .encode(
            y=_labels(),
            x=alt.X("value:Q", title=None, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=6)),
            color=alt.Color("quantity:N", scale=alt.Scale(range=PALETTE), legend=_legend()),
            shape=alt.Shape("quantity:N", legend=_legend()),
            tooltip=[
                alt.Tooltip("label:N", title="cell"),
                alt.Tooltip("launch:N"),
                alt.Tooltip("quantity:N"),
                alt.Tooltip("value:Q", format=".4~g"),
            ],
        )
        .properties(height=alt.Step(24))
        .add_params(*_label_room())
    )
    return made


def published(data: str) -> Chart:
    """Each number's ratio to its table's reference: as published, and here with its interval."""
    sides = ["published", "here"]
    tips = [
        alt.Tooltip("label:N", title="number"),
        alt.Tooltip("printed:N", title="published"),
        alt.Tooltip("there:Q", title="ratio there", format=".3~g"),
        alt.Tooltip("here:Q", title="ratio here", format=".3~g"),
        alt.Tooltip("low:Q", title="95 % from", format=".3~g"),
        alt.Tooltip("high:Q", title="95 % to", format=".3~g"),
        alt.Tooltip("verdict:N"),
    ]
    base = _base(data).encode(y=_labels(), tooltip=tips)

    def across(field: str) -> alt.X:
        return alt.X(
            f"{field}:Q",
            title="ratio to the table's reference",
            scale=alt.Scale(type="log", nice=False, padding=12),
            axis=alt.Axis(tickCount=6, format="~g"),
        )

    legend = _legend()
    color = alt.Color("side:N", legend=legend, scale=alt.Scale(domain=sides, range=PALETTE[1::-1]))
    shapes = alt.Scale(domain=sides, range=["diamond", "circle"])
    shape = alt.Shape("side:N", legend=legend, scale=shapes)
    there, here = (base.transform_calculate(side=f"'{side}'") for side in sides)
    interval = here.mark_rule(strokeWidth=2).encode(x=across("low"), x2="high", color=color)
    ours = here.mark_point(filled=True, size=60).encode(x=across("here"), color=color, shape=shape)
    theirs = there.mark_point(size=80, strokeWidth=2).encode(
        x=across("there"), color=color, shape=shape
    )
    why = base.mark_text(align="left", dx=10, fontStyle="italic", color="currentColor").encode(
        x=across("there"), text="shown:N"
    )
    layers = alt.layer(interval, ours, theirs, why)
    return layers.properties(height=alt.Step(24)).add_params(*_label_room())


def history(data: str) -> Chart:
    """A cell's speed over the runs that measured it, one line a machine and backend."""
    tips = [
        alt.Tooltip("run:N"),
        alt.Tooltip("where:N", title="machine"),
        alt.Tooltip("speed:Q", title="images/s", format=".4~g"),
        alt.Tooltip("low:Q", title="95 % from", format=".4~g"),
        alt.Tooltip("high:Q", title="95 % to", format=".4~g"),
    ]
    stroke = alt.Stroke("where:N", scale=alt.Scale(range=PALETTE), legend=None)
    base = _base(data).encode(
        x=alt.X("date:T", title="measured", scale=alt.Scale(type="utc", padding=12))
    )
    speed = alt.Y("speed:Q", title=_SPEED, scale=alt.Scale(zero=False))
    line = base.mark_line(strokeWidth=1, opacity=0.7).encode(y=speed, stroke=stroke)
    interval = base.mark_rule(strokeWidth=2).encode(
        y=alt.Y("low:Q", title=_SPEED), y2="high:Q", stroke=stroke
    )
    point = base.mark_point(filled=True, size=50).encode(
        y=speed,
        color=alt.Color("where:N", scale=alt.Scale(range=PALETTE), legend=_legend()),
        shape=alt.Shape("where:N", legend=_legend()),
        tooltip=tips,
    )
    return alt.layer(line, interval, point).properties(height=260)
