"""Pieces of the registry's Markdown pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runner.model import Scalar
from runner.published.model import Source


def source_line(source: Source) -> str:
    return f"{source.repository}, {source.path} at {source.commit} ({source.date})"


def settings(values: Mapping[str, Scalar]) -> list[str]:
    return [
        f"{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in values.items()
    ]


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
