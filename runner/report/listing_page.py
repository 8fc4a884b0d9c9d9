"""A page of a site as headings, plots and tables, and its HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from runner.report.formats import significant
from runner.report.html import asset, data_block, environment, shared_policy
from runner.report.page import Fact
from runner.report.panels import Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A box of a table: its text, what it is sorted by where it is a number, where it leads."""

    text: str
    value: float | None = None
    link: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A column: its title, and whether it is sorted by number."""

    title: str
    number: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A part of a page.

    Attributes:
        kind, points: a plot of that kind and its data; "" for none.
        heads, rows: a table; no heads for none.
    """

    title: str
    note: str = ""
    kind: str = ""
    points: Rows | None = None
    heads: tuple[Head, ...] = ()
    rows: tuple[tuple[Box, ...], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A page.

    Attributes:
        root: the way to the site's top, such as ``../``.
    """

    title: str
    intro: str
    root: str
    sections: tuple[Section, ...]
    facts: tuple[Fact, ...] = ()


def number(value: float | None, digits: int = 3, absent: str = "-") -> Box:
    """Return a box of a number, rounded for people."""
    return Box(text=absent if value is None else significant(value, digits), value=value)


def count(value: int) -> Box:
    """Return a box of a whole number."""
    return Box(text=str(value), value=value)


def listing_html(made: Listing) -> str:
    """Return a page's HTML."""
    plots: dict[str, Any] = {
        "panels": {f"{section.kind}": [] for section in made.sections if section.points is not None}
    }
    places: list[int | None] = []
    for section in made.sections:
        if section.points is None:
            places.append(None)
            continue
        own = plots["panels"][section.kind]
        places.append(len(own))
        own.append({"title": section.title, "rows": section.points})
    return (
        environment()
        .get_template("listing.html")
        .render(
            page=made,
            places=places,
            plots=data_block(plots),
            policy=shared_policy((asset("page.js"),)),
            script=Markup(asset("page.js")),
            style=Markup(asset("page.css")),
            root=made.root,
        )
    )
