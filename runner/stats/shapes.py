"""What a series of steps looks like, read from its best model. Rows are logarithms of steps."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from runner.stats.fits import Fits, Model, best_fits
from runner.stats.rows import (
    Array,
    Indices,
    part_medians,
    part_quantile,
    quantile,
    slow_heads,
    without_spikes,
)

MOST_STRETCHES = 5


class Shape(StrEnum):
    """What a series looks like. The first three have a steady state, the others have none."""

    FLAT = "flat"
    WARM_UP = "warm-up"
    SLOWDOWN = "slowdown"
    TREND = "trend"
    CYCLE = "slow cycle"
    TWO_LEVELS = "two levels"
    LATE_JUMP = "late jump"
    WANDERING = "wandering"
    TOO_SHORT = "too short"


@dataclass(frozen=True, kw_only=True, slots=True)
class Steady:
    """Where the steady state begins.

    Attributes:
        start: index of its first step, counted from zero; None where there is none.
        shape: what the whole series looks like.
        reason: the same in words, with figures.
        levels: of steps that stay on 2 to 5 levels in turn, where each begins and its logarithm.
            Five stretches are too few to bound their median from within: see ``SteadyParts``.
    """

    start: int | None
    shape: Shape
    reason: str
    levels: tuple[tuple[int, float], ...] = ()


def shapes(rows: Array, tolerance: float) -> list[Steady]:
    """Read many series of one length, shape (m, n), n of 8 or more."""
    heads = slow_heads(rows)
    found: dict[int, Steady] = {}
    for head in np.unique(heads):
        places = np.flatnonzero(heads == head)
        answers = _without_head(rows[places, head:], tolerance)
        if head > 0:
            answers = _with_head(int(head), rows[places], answers, tolerance)
        found.update(zip(places.tolist(), answers, strict=True))
    return [found[place] for place in range(len(rows))]


def _with_head(head: int, rows: Array, rest: list[Steady], tolerance: float) -> list[Steady]:
    """Read series whose first `head` steps are far slower, from what the rest of each is."""
    series = without_spikes(rows)
    fits = best_fits(series, tolerance)
    whole = _read(fits, series, tolerance)
    return [
        _joined(head, Model(model), seen, own)
        for model, seen, own in zip(fits.models.tolist(), whole, rest, strict=True)
    ]


def _joined(head: int, model: Model, whole: Steady, rest: Steady) -> Steady:
    start = head + (rest.start or 0)
    levels = tuple((head + first, level) for first, level in rest.levels)
    if model in (Model.DECAY, Model.LEVELS):
        # What is left of a decay once its head is off may be too little to be seen.
        late = whole.start is not None and whole.start >= start
        if late or (model is Model.DECAY and whole.start is None):
            return replace(whole, levels=levels)
    if rest.start is None:
        return replace(rest, levels=levels)
    return Steady(
        start=start,
        shape=Shape.WARM_UP if rest.shape is Shape.FLAT else rest.shape,
        reason=f"the first {_counted(head, 'step')} far slower than the rest; {rest.reason}",
        levels=levels,
    )


def _without_head(rows: Array, tolerance: float) -> list[Steady]:
    found = _two_levels(rows, tolerance)
    places = np.array([i for i in range(len(rows)) if i not in found], dtype=np.intp)
    if len(places):
        series = without_spikes(rows[places])
        answers = _read(best_fits(series, tolerance), series, tolerance)
        found.update(zip(places.tolist(), answers, strict=True))
    return [found[place] for place in range(len(rows))]


def _read(fits: Fits, series: Array, tolerance: float) -> list[Steady]:
    changes = np.ptp(fits.values, axis=1)
    flat = (fits.models == Model.LEVEL) | (changes < tolerance)
    found = [_flat(series.shape[1])] * len(series)
    stairs: dict[int, _Stairs] = {}
    for row in np.flatnonzero(~flat).tolist():
        model = Model(fits.models[row])
        if model is Model.LEVELS:
            stairs[row] = _stairs(fits.values[row], tolerance)
        else:
            found[row] = _smooth(model, fits.values[row], float(changes[row]), tolerance)
    tails = _unlevel_tails(stairs, series, tolerance)
    for row, own in stairs.items():
        found[row] = _from_levels(own, series[row], tails.get(row), tolerance)
        if found[row].shape is not Shape.FLAT and len(own.levels) <= MOST_STRETCHES:
            levels = tuple(zip(own.edges[:-1], own.levels, strict=True))
            found[row] = replace(found[row], levels=levels)
    return found


@lru_cache(maxsize=512)
def _flat(n: int) -> Steady:
    return Steady(start=0, shape=Shape.FLAT, reason=f"one level, {n} steps")


def _smooth(model: Model, fitted: Array, change: float, tolerance: float) -> Steady:
    """Read a trend, a cycle or a decay that changes by `change` over the series."""
    size = f"{math.expm1(change):.1%}"
    if model is Model.TREND:
        way = "slower" if fitted[-1] > fitted[0] else "faster"
        reason = f"steps keep getting {way}, by {size} over {len(fitted)} steps"
        return Steady(start=None, shape=Shape.TREND, reason=reason)
    if model is Model.CYCLE:
        reason = f"steps swing slowly over a range of {size}"
        return Steady(start=None, shape=Shape.CYCLE, reason=reason)
    # A decay is steady from where what is left of it is within half the tolerance.
    beyond = np.flatnonzero(np.abs(fitted - fitted[-1]) > tolerance / 2)
    start = int(beyond[-1]) + 1 if len(beyond) else 0
    way, shape = _direction(float(fitted[0] - fitted[-1]))
    if start > len(fitted) / 2:
        reason = f"steps get {way} by {size} and have not settled before step {start}"
        return Steady(start=None, shape=Shape.TREND, reason=reason)
    reason = f"steps get {way} by {size} and settle at step {start} of {len(fitted)}"
    return Steady(start=start, shape=shape, reason=reason)


def _direction(before_less_after: float) -> tuple[str, Shape]:
    return ("faster", Shape.WARM_UP) if before_less_after > 0 else ("slower", Shape.SLOWDOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stairs:
    """Levels, the index at which each begins and the length; `start` is that of the steady tail:
    every level from there on is within the tolerance of the last.
    """

    levels: list[float]
    edges: list[int]
    start: int


def _stairs(fitted: Array, tolerance: float) -> _Stairs:
    edges = [0, *(np.flatnonzero(np.diff(fitted)) + 1).tolist(), len(fitted)]
    levels = fitted[edges[:-1]].tolist()
    first = len(levels) - 1
    while first > 0 and abs(levels[first - 1] - levels[-1]) < tolerance:
        first -= 1
    return _Stairs(levels=levels, edges=edges, start=edges[first])


def _unlevel_tails(stairs: dict[int, _Stairs], series: Array, tolerance: float) -> dict[int, Model]:
    """Return which rows' steady tails, of half the series or more, are no level but a slope."""
    by_start: dict[int, list[int]] = defaultdict(list)
    for row, own in stairs.items():
        if 0 < own.start <= series.shape[1] / 2:
            by_start[own.start].append(row)
    found = {}
    for start, rows in by_start.items():
        tails = best_fits(series[rows, start:], tolerance, smooth=True)
        moving = np.ptp(tails.values, axis=1) >= tolerance
        for row, model, moves in zip(rows, tails.models.tolist(), moving.tolist(), strict=True):
            if moves and model in (Model.TREND, Model.CYCLE):
                found[row] = Model(model)
    return found


def _from_levels(own: _Stairs, series: Array, tail: Model | None, tolerance: float) -> Steady:
    """Read steps between levels; `tail` is what the steady tail is where it is no level."""
    n, start, levels = len(series), own.start, own.levels
    ratio = f"{math.expm1(max(levels) - min(levels)):.1%}"
    if start == 0:
        reason = f"{len(levels)} levels, each within {math.expm1(tolerance):.1%} of the last"
        return Steady(start=0, shape=Shape.FLAT, reason=reason)
    if tail is not None:
        name, shape = ("trend", Shape.TREND) if tail is Model.TREND else ("cycle", Shape.CYCLE)
        reason = f"the first {_counted(start, 'step')} apart, then no level but a {name}"
        return Steady(start=None, shape=shape, reason=reason)
    if start <= n / 2:
        way, shape = _direction(float(np.mean(series[:start])) - levels[-1])
        reason = f"steps get {way} until step {start}, then keep one level for {n - start} steps"
        return Steady(start=start, shape=shape, reason=reason)
    if len(levels) == 2:
        way, _ = _direction(levels[0] - levels[1])
        reason = f"steps get {way} by {ratio} at step {own.edges[1]} of {n}"
        return Steady(start=None, shape=Shape.LATE_JUMP, reason=reason)
    if _are_two(levels):
        reason = f"steps change between two levels {ratio} apart, {len(levels) - 1} times"
        return Steady(start=None, shape=Shape.TWO_LEVELS, reason=reason)
    moves = np.sign(np.diff(levels))
    if abs(int(moves.sum())) == len(moves):
        way, _ = _direction(levels[0] - levels[-1])
        reason = f"steps get {way} by {ratio}, in {len(moves)} moves of one direction"
        return Steady(start=None, shape=Shape.TREND, reason=reason)
    reason = f"{len(levels)} levels within {ratio}, the last from step {start} of {n}"
    return Steady(start=None, shape=Shape.WANDERING, reason=reason)


def _are_two(levels: list[float]) -> bool:
    """Whether levels fall on two, each within a quarter of the distance between them."""
    low, high = min(levels), max(levels)
    near = (high - low) / 4
    return all(level - low <= near or high - level <= near for level in levels)


def _two_levels(rows: Array, tolerance: float) -> dict[int, Steady]:
    """Find rows that jump to and fro between two levels with nothing in between.

    The split with the least squared error within the halves (Otsu, IEEE Transactions on
    Systems, Man, and Cybernetics 9 (1979) 62-66), accepted where the halves are further apart
    than 5 of their standard deviations (D of Ashman, Bird and Zepf, Astronomical Journal 108
    (1994) 2348-2361, where 2 is called clean; more where steps are few, since chance makes
    gaps), hold a fifth of the steps each, and change more than once.
    """
    n = rows.shape[1]
    ordered = np.sort(rows, axis=1)
    first, third = quantile(ordered, 0.25)[:, None], quantile(ordered, 0.75)[:, None]
    reach = 3 * (third - first)
    np.clip(ordered, first - reach, third + reach, out=ordered)
    lower = _best_split(ordered)
    if lower is None:
        return {}
    none = np.zeros_like(lower)
    low, high = part_medians(ordered, none, lower), part_medians(ordered, lower, n - lower)
    gap = high - low
    spread = np.hypot(
        _robust_deviation(ordered, none, lower), _robust_deviation(ordered, lower, n - lower)
    )
    apart = gap >= np.maximum(tolerance, (5 + 40 / n) * spread / math.sqrt(2))
    found = {}
    for row in np.flatnonzero(apart).tolist():
        upper = rows[row] >= ordered[row, lower[row]]
        if not _changes_once(upper):
            found[row] = _hopping(float(low[row]), float(high[row]), upper)
    return found


def _best_split(ordered: Array) -> Indices | None:
    """Return how many of each ordered row are in its lower half, or None: too few for halves."""
    n = ordered.shape[1]
    counts = np.arange(1, n)
    fewest = max(3, n // 5)
    inside = np.flatnonzero((counts >= fewest) & (n - counts >= fewest))
    if len(inside) == 0:
        return None
    sums = np.cumsum(ordered, axis=1)[:, :-1]
    squares = np.cumsum(ordered**2, axis=1)[:, :-1]
    low = squares - sums**2 / counts
    rest = ordered.sum(axis=1, keepdims=True) - sums
    high = np.sum(ordered**2, axis=1, keepdims=True) - squares - rest**2 / (n - counts)
    best: Indices = counts[inside[np.argmin((low + high)[:, inside], axis=1)]]
    return best


def _hopping(low: float, high: float, upper: npt.NDArray[np.bool_]) -> Steady:
    firsts = [0, *(np.flatnonzero(np.diff(upper)) + 1).tolist()]
    reason = (
        f"steps change between two levels {math.expm1(high - low):.1%} apart, "
        f"{len(firsts) - 1} times; {int(upper.sum())} of {len(upper)} are on the slower"
    )
    few = firsts if len(firsts) <= MOST_STRETCHES else ()
    levels = tuple((first, high if upper[first] else low) for first in few)
    return Steady(start=None, shape=Shape.TWO_LEVELS, reason=reason, levels=levels)


def _changes_once(upper: npt.NDArray[np.bool_]) -> bool:
    """Whether one change explains all but a tenth of the steps (the rest may be outliers)."""
    n = len(upper)
    before = np.concatenate([[0], np.cumsum(upper)])
    wrong = before + (n - np.arange(n + 1)) - (before[-1] - before)
    return min(int(wrong.min()), n - int(wrong.max())) <= max(1, n // 10)


def _robust_deviation(ordered: Array, first: Indices, count: Indices) -> Array:
    quarter = part_quantile(ordered, first, count, 0.25)
    deviation: Array = (part_quantile(ordered, first, count, 0.75) - quarter) / 1.349
    return deviation


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
