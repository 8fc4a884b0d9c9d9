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
_PHASES = ["import", "data", "build", "first-step"]
_SPEED = "images/s (more is better)"

Chart = alt.TopLevelMixin


def _labels() -> alt.Y:
    """The axis of cells: in the order of the table, cut short where a screen is narrow."""
    return alt.Y(
        "label:N",
        sort=alt.EncodingSortField(field="order", op="min"),
        title=None,
        axis=alt.Axis(labelLimit=alt.ExprRef("label_limit"), ticks=False, domain=False),
    )


def _base(data: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(name=data), width=640)


def _label_limit() -> alt.Parameter:
    return alt.param(name="label_limit", value=280)


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
    return layers.properties(height=alt.Step(24)).add_params(_label_limit())


def decade(data: str) -> Chart:
    """Release date against speed, one line a framework."""
    tips = [
        alt.Tooltip("image:N"),
        alt.Tooltip("released:N"),
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
            axis=alt.Axis(format="%Y", tickCount="year", labelOverlap=True),
        )
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
        base.mark_text(dy=dy, fontSize=10).encode(y=speed, text=f"{field}:N")
        for field, dy in (("above", -12), ("below", 14))
    ]
    return alt.layer(line, interval, point, *names).properties(height=320)


def _legend() -> alt.Legend:
    return alt.Legend(
        title=None, orient="top", columns=alt.ExprRef("width < 420 ? 2 : 5"), labelLimit=260
    )


def steps(data: str) -> Chart:
    """Each launch's steps in the order taken; a dashed rule where its steady part begins."""
    tips = [
        alt.Tooltip("launch:N"),
        alt.Tooltip("step:Q"),
        alt.Tooltip("ms:Q", title="ms", format=".4~g"),
        alt.Tooltip("kind:N"),
    ]
    color = alt.Color("launch:N", scale=alt.Scale(range=PALETTE), legend=_legend())
    base = _base(data).encode(
        x=alt.X("step:Q", title="step (0 is the first after the cold one)"), color=color
    )
    height = alt.Y("ms:Q", title="step (ms)", scale=alt.Scale(zero=False))
    line = base.mark_line(strokeWidth=1, opacity=0.7).encode(y=height)
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
        .add_params(_label_limit())
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
        .add_params(_label_limit())
    )
    return made


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
