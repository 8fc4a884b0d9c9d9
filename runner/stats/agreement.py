"""Does a measured table have the shape of the published one? Each row's ratio to the reference
row, and the rank correlation of the whole. A published row is one number without a spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runner.stats.compare import Comparison, Launches, Verdict, compare_all, judge
from runner.stats.estimate import Array, checked, launch_medians

CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class RowRatio:
    """A row over the reference row of its table, published and measured.

    Attributes:
        published: ratio of the published times.
        measured: ratio of the measured times, with its interval and its base.
        against_published: the measured ratio over the published one: ``same`` is reproduced
            within the margin, ``ambiguous`` is not decided by these launches.
    """

    published: float
    measured: Comparison
    against_published: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class RankCorrelation:
    """Kendall's tau-b of two tables' rows, from -1 (reversed) to 1 (same order).

    Attributes:
        value: None with fewer than 3 rows, or where a side has the same value in all of them.
        low, high: where tau may lie, given the spread between launches; None where a row has
            one launch. The rows themselves are the whole table, and no sample of anything.
        method: how the interval was made, or why there is none.
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    rows: int
    method: str


def row_ratios(
    published: Sequence[float],
    measured: Sequence[Launches],
    reference: int,
    *,
    level: float = 0.95,
    margin: float = 0.1,
) -> tuple[RowRatio, ...]:
    """Return each row over row `reference`, itself left out, in the order given.

    Args:
        published: times, or whatever is better when smaller; one a row.
        measured: launches of each row, in the same order.
        margin: how far a ratio may be from the published one to count as reproduced.

    Raises:
        ValueError: different numbers of rows, or samples as for ``estimate``.
    """
    _same_rows(published, measured)
    others = [row for row in range(len(published)) if row != reference]
    pairs = [(measured[reference], measured[row]) for row in others]
    found = []
    for row, comparison in zip(others, compare_all(pairs, level=level, margin=margin), strict=True):
        ratio = published[row] / published[reference]
        low, high = comparison.low, comparison.high
        against = Verdict.AMBIGUOUS
        if low is not None and high is not None:
            against = judge(low / ratio, high / ratio, margin)
        found.append(RowRatio(published=ratio, measured=comparison, against_published=against))
    return tuple(found)


def rank_correlation(
    published: Sequence[float],
    measured: Sequence[Launches],
    *,
    level: float = 0.95,
    seed: int = 1,
    draws: int = 2000,
) -> RankCorrelation:
    """Correlate the order of the rows, published against measured; both smaller is better.

    The interval answers: what might tau be, had other launches been drawn? It is a parametric
    bootstrap: each row's log median is drawn anew from Student's t around it, with the spread
    and the degrees of freedom of its launches. To resample 3 launches would understate it.

    Raises:
        ValueError: different numbers of rows, or samples as for ``estimate``.

    Source: Kendall, Rank Correlation Methods (1948), chapter 3, tau-b; Efron and Tibshirani,
    An Introduction to the Bootstrap (1993), sections 6.5 and 13.3.
    """
    _same_rows(published, measured)
    logs = [np.log(launch_medians(checked(launches))) for launches in measured]
    rows = len(logs)

    def result(
        value: float | None, ends: tuple[float, float] | None, method: str
    ) -> RankCorrelation:
        low, high = ends or (None, None)
        return RankCorrelation(
            value=value, low=low, high=high, level=level, rows=rows, method=method
        )

    if rows < 3:
        return result(None, None, f"none: {rows} rows have no order to speak of")
    value = float(_tau(np.array(published), np.array([[np.median(row) for row in logs]]))[0])
    if math.isnan(value):
        return result(None, None, "none: every row of one side has the same value")
    if min(map(len, logs)) < 2:
        return result(value, None, "Kendall's tau-b; no interval: a row has one launch")
    draws = max(200, min(draws, CELLS_AT_ONCE // rows**2))
    drawn = np.column_stack([_redrawn(row, draws, seed, i) for i, row in enumerate(logs)])
    taus = _tau(np.array(published), drawn)
    low, high = (float(q) for q in np.nanquantile(taus, ((1 - level) / 2, (1 + level) / 2)))
    # Noise draws tau towards 0, in the measured order and once more in what is drawn from it:
    # reflecting the drawn around the measured undoes the second. The wider of both is given.
    ends = max(min(low, 2 * value - high), -1.0), min(max(high, 2 * value - low), 1.0)
    return result(value, ends, f"Kendall's tau-b; {draws} draws of the rows by Student's t")


def _redrawn(logs: Array, draws: int, seed: int, row: int) -> Array:
    noise = np.random.default_rng((seed, row)).standard_t(len(logs) - 1, draws)
    drawn: Array = np.median(logs) + noise * logs.std(ddof=1) / math.sqrt(len(logs))
    return drawn


def _tau(published: Array, measured: Array) -> Array:
    """Return tau-b of `published` (rows,) with each line of `measured` (draws, rows)."""
    upper, lower = np.triu_indices(len(published), 1)
    order = np.sign(published[upper] - published[lower])
    orders = np.sign(measured[:, upper] - measured[:, lower])
    pairs = np.sqrt(np.count_nonzero(order) * np.count_nonzero(orders, axis=1))
    taus: Array = np.full(len(measured), np.nan)
    np.divide(orders @ order, pairs, out=taus, where=pairs > 0)
    return taus


def _same_rows(published: Sequence[float], measured: Sequence[Launches]) -> None:
    if len(published) != len(measured):
        msg = f"{len(published)} published rows, {len(measured)} measured: expected the same rows"
        raise ValueError(msg)
