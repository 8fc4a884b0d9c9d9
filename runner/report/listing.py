"""The images there are, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from runner.model import Image


def verified(image: Image) -> str:
    """Return where an image was seen to work, in words; never blank."""
    seen = "; ".join(f"{item.where} ({item.date})" for item in image.verified)
    return seen or "never verified"


def image_table(images: Sequence[Image]) -> Table:
    """Return one row an image, oldest release first."""
    made = Table()
    for title in ("image", "released", "language", "workloads", "devices", "verified"):
        made.add_column(title, overflow="fold")
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
