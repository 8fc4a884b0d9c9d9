"""What pages, pictures and exports are made of: a run, its records, its table, release dates."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runner import cells
from runner.model import Cell, Image, Record, Run
from runner.report.table import Table, of_cells

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """The framework release that an image pins.

    Attributes:
        date: ISO 8601.
        defects: what is known to be wrong with it, a sentence each, with its link.
    """

    framework: str
    version: str
    date: str
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One run with all that is rendered of it.

    Attributes:
        records: by the label of their cell, oldest first.
        releases: by image name; an image that is not there has no place on a line of dates.
    """

    run: Run
    table: Table
    records: Mapping[str, Sequence[Record]]
    releases: Mapping[str, Release] = field(default_factory=dict)


def source(run: Run, records: Sequence[Record], releases: Mapping[str, Release]) -> Source:
    """Gather a run; raises as ``table.build`` does."""
    by_label = cells.by_cell(records)
    return Source(run=run, table=of_cells(run, by_label), records=by_label, releases=releases)


def releases_of(images: Mapping[str, Image]) -> dict[str, Release]:
    """Return what images/ says of each image's framework."""
    return {
        name: Release(
            framework=image.framework,
            version=image.framework_version,
            date=image.released,
            defects=tuple(f"{defect.what}: {defect.link}" for defect in image.known_defects),
        )
        for name, image in images.items()
    }


def slug(text: str) -> str:
    """Return a name for files and anchors: its own where harmless, else marked by a hash.

    Two names that differ, in their case only included, never get the same slug.
    """
    plain = _UNSAFE.sub("-", text.replace("/", "--"))[:120].strip(".-") or "x"
    if plain.replace("--", "/") == text and text == text.lower():
        return plain
    return f"{plain}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def anchor(cell: Cell) -> str:
    """Return the anchor of a cell within a run's page; the same in every run."""
    return f"cell-{slug(cell.label)}"
