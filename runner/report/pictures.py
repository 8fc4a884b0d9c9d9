"""Charts made concrete: SVG and PNG files without a browser, and Vega for pages that draw them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert

from runner.errors import RunnerError
from runner.report import charts
from runner.report.panel import Panel
from runner.report.panels import KINDS
from runner.report.source import Source

VEGA_LITE = "6.4"
INK = "#1d1f21"
_FONT = "DejaVu Sans, Verdana, sans-serif"
_DRAW: dict[str, Callable[[str], charts.Chart]] = {
    "bars": charts.bars,
    "decade": charts.decade,
    "steps": charts.steps,
    "phases": charts.phases,
    "memory": charts.dots,
    "gpu": charts.dots,
    "published": charts.published,
    "history": charts.history,
}
FILES = ("svg", "png")


class PlotError(RunnerError):
    """A picture cannot be drawn or written; the message says why and what to do."""


def _look(ink: str, font: str) -> dict[str, Any]:
    """Return Vega-Lite's configuration: one ink, faint grid, no frame."""
    text = {"labelColor": ink, "titleColor": ink, "labelFont": font, "titleFont": font}
    return {
        "background": "transparent",
        "font": font,
        "view": {"stroke": None},
        "axis": {
            **text,
            "labelFontSize": 11,
            "titleFontWeight": "normal",
            "gridColor": ink,
            "gridOpacity": 0.12,
            "domainColor": ink,
            "domainOpacity": 0.4,
            "tickColor": ink,
            "tickOpacity": 0.4,
        },
        "legend": {
            **text,
            "labelFontSize": 11,
            "titleFontWeight": "normal",
            "titleFontSize": 11,
            "symbolBaseFillColor": ink,
            "symbolBaseStrokeColor": ink,
        },
        "title": {"color": ink, "font": font, "anchor": "start"},
        "text": {"color": ink, "font": font, "fontSize": 11},
    }


@cache
def vega_specification(kind: str) -> dict[str, Any]:
    """Return a kind's chart compiled to Vega, its data set ``rows`` empty, for a page to fill."""
    lite = _DRAW[kind]("rows").to_dict(validate=True)
    lite["config"] = _look("currentColor", "system-ui, sans-serif")
    lite["autosize"] = {"type": "fit-x", "contains": "padding"}
    made: dict[str, Any] = vl_convert.vegalite_to_vega(lite, vl_version=VEGA_LITE)
    return made


@cache
def vega_script() -> str:
    """Return Vega's own JavaScript as one classic script that sets ``window.vegaEmbed``."""
    snippet = "window.vegaEmbed = vegaEmbed;"
    script = str(vl_convert.javascript_bundle(snippet, vl_version=VEGA_LITE))
    if "</script" in script.lower():
        msg = "Vega's JavaScript holds an end tag and cannot stand in a page"
        raise PlotError(msg)
    return script


def lite_specification(source: Source, kind: str) -> dict[str, Any]:
    """Return one Vega-Lite specification of a kind with its data, all panels below each other.

    Raises:
        PlotError: there is nothing of that kind to draw.
    """
    found = KINDS[kind]
    panels = found.panels(source)
    if not panels:
        msg = f"run {source.run.id}: no {kind} plot: {found.absent}"
        raise PlotError(msg)
    return specification(kind, panels, f"{found.title}: {source.table.title}")


def specification(kind: str, panels: Sequence[Panel], description: str) -> dict[str, Any]:
    """Return one Vega-Lite specification of panels, at least one, with their data."""
    drawn = [_titled(kind, number, panel) for number, panel in enumerate(panels)]
    spec: dict[str, Any] = drawn[0] if len(drawn) == 1 else {"vconcat": drawn}
    spec["$schema"] = "https://vega.github.io/schema/vega-lite/v6.json"
    spec["datasets"] = {f"rows{number}": panel.rows for number, panel in enumerate(panels)}
    spec["config"] = {**_look(INK, _FONT), "background": "white"}
    spec["padding"] = 16
    spec["description"] = description
    return spec


def _titled(kind: str, number: int, panel: Panel) -> dict[str, Any]:
    made: dict[str, Any] = _DRAW[kind](f"rows{number}").to_dict(validate=True)
    for key in ("$schema", "config", "datasets"):
        made.pop(key, None)
    if panel.title:
        made["title"] = panel.title
    lines = max((str(row.get("label", "")).count("\n") + 1 for row in panel.rows), default=1)
    # Parameters of the same name in two panels would clash: each picture states the values.
    values = {"label_limit": charts.LABEL_LIMIT, "label_offset": charts.label_offset(lines)}
    text = json.dumps(made | {"params": []}).replace("currentColor", INK)
    for name, value in values.items():
        text = text.replace(json.dumps({"expr": name}), str(value))
    loaded: dict[str, Any] = json.loads(text)
    del loaded["params"]
    if isinstance(loaded.get("height"), dict):
        loaded["height"] = {"step": charts.row_step(lines)}
    return loaded


def draw(spec: dict[str, Any], form: str) -> bytes:
    """Return a picture as SVG or PNG, on white, the same bytes from the same records."""
    if form == "svg":
        return str(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)).encode()
    return bytes(vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=2.0))


def write(spec: dict[str, Any], path: Path) -> None:
    """Write a picture; its form goes by the file's name.

    Raises:
        PlotError: neither .svg nor .png, or the file cannot be written.
    """
    form = path.suffix.removeprefix(".").lower()
    if form not in FILES:
        msg = f"{path}: expected a name that ends in .svg or .png"
        raise PlotError(msg)
    made = draw(spec, form)
    try:
        path.write_bytes(made)
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror}"
        raise PlotError(msg) from None
