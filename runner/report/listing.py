"""The images there are, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from runner.model import Image


def verified(image: Image) -> str:
    """Return when and in how many places an image was last seen to work; never blank."""
    if not image.verified:
        return "never verified"
    places = "1 place" if len(image.verified) == 1 else f"{len(image.verified)} places"
    return f"{max(item.date for item in image.verified)}, {places}"


def image_table(images: Sequence[Image]) -> Table:
    """Return one row an image, oldest release first."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("image", "released", "language", "workloads", "devices", "verified"):
        made.add_column(title, no_wrap=title == "image", overflow="fold")
    for image in sorted(images, key=lambda image: (image.released, image.name)):
        made.add_row(
            escape(image.name),
            image.released,
            f"{image.language} {image.language_version}",
            ", ".join(image.workloads),
            ", ".join(image.devices),
            escape(verified(image)),
        )
    return made
