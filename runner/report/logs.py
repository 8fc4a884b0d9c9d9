"""A job's log as a page shows it, and text of records made harmless to look at."""

from __future__ import annotations

import os
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Logs:
    """The logs of a run, looked up once: records are many.

    Attributes:
        folder: the run's own.
        names: of the files in its logs/, as records name them; links, which may lead anywhere,
            are left out.
    """

    folder: Path | None
    names: frozenset[str]

    @classmethod
    def of(cls, folder: Path | None) -> Logs:
        """Look into a run's folder; None, or one without logs, has none."""
        if folder is None or not (folder / "logs").is_dir():
            return cls(folder=folder, names=frozenset())
        with os.scandir(folder / "logs") as found:
            own = [one.name for one in found if one.is_file(follow_symlinks=False)]
        return cls(folder=folder, names=frozenset(f"logs/{name}" for name in own))

    def path(self, record: Record) -> Path | None:
        """Return a record's log where it lies in the run's own logs/, or None."""
        if self.folder is None or record.log not in self.names:
            return None
        return self.folder / record.log

    def read(self, record: Record) -> Log:
        """Read the end of a log. A path that leads out of the run's logs/ is not followed."""
        own = self.path(record)
        if own is None:
            return Log(tail=readable(record.evidence), whole=False, link="")
        limit = _TAIL[record.status is Status.OK]
        with own.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - limit))
            text = file.read(limit).decode("utf-8", "replace")
        return Log(tail=readable(text), whole=size <= limit, link=f"logs/{own.name}")
