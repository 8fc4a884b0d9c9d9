"""Plain tables on standard output."""

from __future__ import annotations

from collections.abc import Sequence


def show(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
    """Print a table: first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]
    print(f"\n{title}\n")
    for row in [headers, ["-" * width for width in widths], *rows]:
        first, *others = (cell for cell in row)
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]))
    if note:
        print(f"\n{note}")


def percent(share: float, digits: int = 1) -> str:
    """Return a share as a percentage without the sign."""
    return f"{100 * share:.{digits}f}"
