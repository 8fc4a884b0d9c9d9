"""A job's log as a page shows it, and text of records made harmless to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.model import Record, Status

_TAIL = {True: 2048, False: 16384}
_READABLE = {number: chr(0x2400 + number) for number in range(32) if chr(number) not in "\t\n"}
_READABLE |= {127: "␡", **{number: f"\\x{number:02x}" for number in range(128, 160)}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """A job's log.

    Attributes:
        tail: its last lines, control characters made visible.
        whole: whether `tail` is all of it.
        link: where the whole of it is, relative to the run's folder; empty where it is gone.
    """

    tail: str
    whole: bool
    link: str


def readable(text: str) -> str:
    """Return text with control characters made visible, so that none can act on a reader."""
    return text.translate(_READABLE)


def read_log(record: Record, folder: Path | None) -> Log:
    """Read the end of a log. A path that leads out of the run's folder is not followed."""
    own = log_file(record, folder)
    if own is None:
        return Log(tail=readable(record.evidence), whole=False, link="")
    limit = _TAIL[record.status is Status.OK]
    with own.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - limit))
        text = file.read(limit).decode("utf-8", "replace")
    return Log(tail=readable(text), whole=size <= limit, link=f"logs/{own.name}")


def log_file(record: Record, folder: Path | None) -> Path | None:
    """Return a record's log where it lies in the run's own logs/, or None."""
    if folder is None or not record.log:
        return None
    logs = (folder / "logs").resolve()
    path = (folder / record.log).resolve()
    return path if path.parent == logs and path.is_file() else None
