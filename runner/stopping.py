"""When a cell has been launched often enough: by number, by precision, or by its budget. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

from runner import cells
from runner.model import Record, Sampling, Status
from runner.stats.precision import needs_more
from runner.stats.steady import SteadyParts

# An interrupted, disturbed or unprepared job says nothing of its cell: it is launched again.
REPEATED = (
    Status.KILLED,
    Status.DISTURBED,
    Status.BUILD_FAILED,
    Status.BASE_UNAVAILABLE,
    Status.UNAVAILABLE,
)
_ANY = 10**6


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Whether a cell is launched on.

    Attributes:
        more: launches still to make; 0 means stop.
        asked: launches in all, as far as that is known.
        reason: why it stopped there, or what is missing; empty where the number was given.
    """

    more: int
    asked: int
    reason: str


def decide(records: Sequence[Record], sampling: Sampling) -> Decision:
    """Decide for one cell from all its records of one identity, in the order launched.

    A launch that failed by itself counts as made: it would fail again. The first batch alone
    fixes the number (see ``needs_more``), from the steady part of its own launches.
    """
    return decide_all([records], sampling)[0]


def decide_all(measured: Sequence[Sequence[Record]], sampling: Sampling) -> list[Decision]:
    """Decide for many cells, as ``decide`` does for one; their steps are judged together."""
    batches = [_first_batch(records, sampling) for records in measured]
    spread = [len(batch) >= 2 for batch in batches]
    steady = iter(cells.all_steady_parts(list(compress(batches, spread))))
    return [
        _decide(records, sampling, next(steady) if known else None)
        for records, known in zip(measured, spread, strict=True)
    ]


def _made(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.status not in REPEATED]


def _first_batch(records: Sequence[Record], sampling: Sampling) -> list[Record]:
    """Return the launches that ended ``ok`` of a first batch that is whole, else none."""
    made = _made(records) if sampling.precision is not None else []
    return cells.good(made[: sampling.launches]) if len(made) >= sampling.launches else []


def _decide(
    records: Sequence[Record], sampling: Sampling, batch_parts: SteadyParts | None
) -> Decision:
    """Decide for one cell; `batch_parts`: those of ``_first_batch``, None below two launches."""
    made = _made(records)
    if sampling.precision is None or len(made) < sampling.launches:
        more = max(0, sampling.launches - len(made))
        return Decision(more=more, asked=sampling.launches, reason="")
    batch = made[: sampling.launches]
    good = cells.good(batch)
    if batch_parts is None:
        reason = f"{len(good)} of the first {len(batch)} launches ended ok: no spread to go by"
        return Decision(more=0, asked=len(batch), reason=reason)
    found = needs_more(
        batch_parts.parts,
        sampling.precision,
        first=len(good),
        at_most=_ANY,
        spread=batch_parts.level_spread,
    )
    target = (found.target or 0) + len(batch) - len(good)
    asked = min(target, max(sampling.max_launches, len(batch)))
    more = max(0, asked - len(made))
    spent_s = sum(record.wall_s for record in records)
    if more and sampling.budget_s is not None and spent_s >= sampling.budget_s:
        reason = f"{len(made)} of {asked} launches: the budget of {sampling.budget_s:g} s is spent"
        return Decision(more=0, asked=asked, reason=reason)
    reason = f"{len(made)} of {asked} launches, asked for by the first {len(batch)}"
    if asked < target:
        reason = f"{len(made)} of {asked} launches, the most there may be ({target} asked for)"
    return Decision(more=more, asked=asked, reason=reason)
