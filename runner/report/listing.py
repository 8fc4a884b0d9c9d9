"""The images there are, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from runner.model import Image
from runner.report.releases import runs_on


def verified(image: Image) -> str:
    """Return when and in how many places an image was last seen to work; never blank."""
    if not image.verified:
        return "never verified"
    places = "1 place" if len(image.verified) == 1 else f"{len(image.verified)} places"
    return f"verified {max(item.date for item in image.verified)}, {places}"


def image_table(images: Sequence[Image]) -> Table:
    """Return one row an image, oldest release first; what is long stands below one another."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("image", "released"):
        made.add_column(title, no_wrap=True)
    made.add_column("language and devices, workloads, where verified", overflow="fold")
    for image in sorted(images, key=lambda image: (image.released, image.name)):
        facts = (
            f"{image.language} {image.language_version}; {runs_on(image)}",
            ", ".join(image.workloads),
            verified(image),
        )
        made.add_row(escape(image.name), image.released, escape("\n".join(facts)))
    return made
