"""Where a launch's steps become steady, or that they never do, and what shape they have.

Several models of the series compete: one level, a straight trend, a decay to a level, a slow
cycle, and steps between levels; the least penalised squared error wins, and its shape says
whether and where a steady state begins. Differences smaller than a tolerance do not count.

Source: change points as the test of a steady state, and that there may be none: Barrett et al.,
"Virtual machine warmup blows hot and cold" (OOPSLA 2017). The models and how one is
chosen: ``fits``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from runner.stats.estimate import Array, checked
from runner.stats.fits import Fit, fits, smooth_fits

FEWEST = 8
SCALE_OF_MAD = 1.4826


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
    """

    start: int | None
    shape: Shape
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SteadyParts:
    """The steady part of each launch of a cell.

    Attributes:
        parts: steps kept, one tuple a launch.
        found: what each launch looks like alone.
        together: what they look like together.
        unsteady: launches without a steady state of their own.
    """

    parts: tuple[tuple[float, ...], ...]
    found: tuple[Steady, ...]
    together: Steady
    unsteady: tuple[int, ...]

    @property
    def steady(self) -> bool:
        """False where the launches together, or half of them alone, have no steady state."""
        return self.together.start is not None and 2 * len(self.unsteady) < len(self.found)


def find_steady(steps: Sequence[float], tolerance: float = 0.01) -> Steady:
    """Find where `steps` become steady.

    At least half of the steps must be steady: with less, nothing says that the last level is
    the one that lasts. Long series are cut at multiples of 1/64 of their length.

    Args:
        steps: durations in the order measured, or anything positive.
        tolerance: relative change over the series, or between levels, that does not matter.

    Raises:
        ValueError: a value that is not finite and > 0, or no steps.
    """
    raw = np.log(checked([steps])[0])
    if len(raw) < FEWEST:
        reason = f"{len(raw)} steps; fewer than {FEWEST} cannot tell a steady state from chance"
        return Steady(start=None, shape=Shape.TOO_SHORT, reason=reason)
    head = _slow_head(raw)
    found = _classify(raw[head:], tolerance)
    if head == 0:
        return found
    start = head + (found.start or 0)
    series = _without_spikes(raw)
    whole = _best(series, tolerance)
    if whole.name in ("decay", "levels"):
        # What is left of a decay once its head is off may be too little to be seen.
        seen = _read(whole, series, tolerance)
        late = seen.start is not None and seen.start >= start
        if late or (whole.name == "decay" and seen.start is None):
            return seen
    if found.start is None:
        return found
    return Steady(
        start=start,
        shape=Shape.WARM_UP if found.shape is Shape.FLAT else found.shape,
        reason=f"the first {_counted(head, 'step')} far slower than the rest; {found.reason}",
    )


def find_steady_parts(launches: Sequence[Sequence[float]], tolerance: float = 0.01) -> SteadyParts:
    """Find the steady part of each launch of a cell.

    What all launches share is looked for in the step-by-step median over launches, each over
    its own level: there a warm-up stands out that the noise of a single launch hides. What is
    kept of a launch begins where both it and all together are steady; a launch without a
    steady state is kept from where all together are, never dropped, and the cell is marked.

    Raises:
        ValueError: as for ``find_steady``.
    """
    arrays = checked(launches)
    found = tuple(find_steady(steps, tolerance) for steps in launches)
    together = found[0] if len(arrays) == 1 else _find_together(arrays, tolerance)
    starts = [max(together.start or 0, state.start or 0) for state in found]
    parts = tuple(tuple(steps[s:]) for steps, s in zip(launches, starts, strict=True))
    unsteady = tuple(i for i, state in enumerate(found) if state.start is None)
    return SteadyParts(parts=parts, found=found, together=together, unsteady=unsteady)


def _find_together(arrays: Sequence[Array], tolerance: float) -> Steady:
    shortest = min(map(len, arrays))
    logs = np.log(np.stack([steps[:shortest] for steps in arrays]))
    levels = np.median(logs[:, shortest // 2 :], axis=1, keepdims=True)
    return find_steady(list(np.exp(np.median(logs - levels, axis=0))), tolerance)


def _classify(raw: Array, tolerance: float) -> Steady:
    mixed = _two_levels(raw, tolerance)
    if mixed is not None:
        return mixed
    series = _without_spikes(raw)
    return _read(_best(series, tolerance), series, tolerance)


def _best(series: Array, tolerance: float) -> Fit:
    return min(fits(series, tolerance), key=lambda fit: fit.cost)


def _read(best: Fit, series: Array, tolerance: float) -> Steady:
    change = float(np.ptp(best.values))
    size = f"{math.expm1(change):.1%}"
    if best.name == "level" or change < tolerance:
        return Steady(start=0, shape=Shape.FLAT, reason=f"one level, {len(series)} steps")
    if best.name == "trend":
        way = "slower" if best.values[-1] > best.values[0] else "faster"
        reason = f"steps keep getting {way}, by {size} over {len(series)} steps"
        return Steady(start=None, shape=Shape.TREND, reason=reason)
    if best.name == "cycle":
        reason = f"steps swing slowly over a range of {size}"
        return Steady(start=None, shape=Shape.CYCLE, reason=reason)
    if best.name == "decay":
        return _settled(best.values, tolerance)
    return _from_levels(series, best.values, tolerance)


def _settled(fitted: Array, tolerance: float) -> Steady:
    """Read a decay: steady from where what is left of it is within half the tolerance."""
    left = np.abs(fitted - fitted[-1])
    beyond = np.flatnonzero(left > tolerance / 2)
    start = int(beyond[-1]) + 1 if len(beyond) else 0
    way, shape = _direction(float(fitted[0] - fitted[-1]))
    size = f"{math.expm1(float(np.ptp(fitted))):.1%}"
    if start > len(fitted) / 2:
        reason = f"steps get {way} by {size} and have not settled before step {start}"
        return Steady(start=None, shape=Shape.TREND, reason=reason)
    reason = f"steps get {way} by {size} and settle at step {start} of {len(fitted)}"
    return Steady(start=start, shape=shape, reason=reason)


def _direction(before_less_after: float) -> tuple[str, Shape]:
    return ("faster", Shape.WARM_UP) if before_less_after > 0 else ("slower", Shape.SLOWDOWN)


def _from_levels(series: Array, fitted: Array, tolerance: float) -> Steady:
    """Read steps between levels."""
    n = len(fitted)
    edges = [0, *(int(i) + 1 for i in np.flatnonzero(np.diff(fitted))), n]
    levels = [float(fitted[edge]) for edge in edges[:-1]]
    # The steady tail: every level from there on is within the tolerance of the last.
    first = len(levels) - 1
    while first > 0 and abs(levels[first - 1] - levels[-1]) < tolerance:
        first -= 1
    start = edges[first]
    ratio = f"{math.expm1(max(levels) - min(levels)):.1%}"
    if start == 0:
        reason = f"{len(levels)} levels, each within {math.expm1(tolerance):.1%} of the last"
        return Steady(start=0, shape=Shape.FLAT, reason=reason)
    if start <= n / 2:
        tail = min(smooth_fits(series[start:], tolerance), key=lambda fit: fit.cost)
        if tail.name in ("trend", "cycle") and float(np.ptp(tail.values)) >= tolerance:
            shape = Shape.TREND if tail.name == "trend" else Shape.CYCLE
            reason = f"the first {_counted(start, 'step')} apart, then no level but a {tail.name}"
            return Steady(start=None, shape=shape, reason=reason)
        way, shape = _direction(float(np.mean(series[:start])) - levels[-1])
        reason = f"steps get {way} until step {start}, then keep one level for {n - start} steps"
        return Steady(start=start, shape=shape, reason=reason)
    if len(levels) == 2:
        way, _ = _direction(levels[0] - levels[1])
        reason = f"steps get {way} by {ratio} at step {edges[1]} of {n}"
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


def _two_levels(raw: Array, tolerance: float) -> Steady | None:
    """Find steps that jump to and fro between two levels with nothing in between.

    The split with the least squared error within the halves (Otsu, IEEE Transactions on
    Systems, Man, and Cybernetics 9 (1979) 62-66), accepted where the halves are further apart
    than 5 of their standard deviations (D of Ashman, Bird and Zepf, Astronomical Journal 108
    (1994) 2348-2361, where 2 is called clean; more where steps are few, since chance makes
    gaps), hold a fifth of the steps each, and change more than once.
    """
    n = len(raw)
    fewest = max(3, n // 5)
    first, third = np.percentile(raw, (25, 75))
    reach = 3 * (third - first)
    ordered = np.clip(np.sort(raw), first - reach, third + reach)
    counts = np.arange(1, n)
    sums = np.cumsum(ordered)[:-1]
    squares = np.cumsum(ordered**2)[:-1]
    low = squares - sums**2 / counts
    rest = ordered.sum() - sums
    high = np.sum(ordered**2) - squares - rest**2 / (n - counts)
    inside = (counts >= fewest) & (n - counts >= fewest)
    if not inside.any():
        return None
    cut = int(np.flatnonzero(inside)[np.argmin((low + high)[inside])])
    k = int(counts[cut])
    gap = float(np.median(ordered[k:]) - np.median(ordered[:k]))
    spread = math.hypot(_robust_deviation(ordered[:k]), _robust_deviation(ordered[k:]))
    upper = raw >= ordered[k]
    if gap < max(tolerance, (5 + 40 / n) * spread / math.sqrt(2)) or _changes_once(upper):
        return None
    switches = int(np.count_nonzero(np.diff(upper)))
    reason = (
        f"steps change between two levels {math.expm1(gap):.1%} apart, {switches} times; "
        f"{int(upper.sum())} of {n} are on the slower"
    )
    return Steady(start=None, shape=Shape.TWO_LEVELS, reason=reason)


def _changes_once(upper: npt.NDArray[np.bool_]) -> bool:
    """Whether one change explains all but a tenth of the steps (the rest may be outliers)."""
    n = len(upper)
    before = np.concatenate([[0], np.cumsum(upper)])
    wrong = before + (n - np.arange(n + 1)) - (before[-1] - before)
    return min(int(wrong.min()), n - int(wrong.max())) <= max(1, n // 10)


def _robust_deviation(ordered: Array) -> float:
    first, third = np.percentile(ordered, (25, 75))
    return float(third - first) / 1.349


def _slow_head(raw: Array) -> int:
    """Count leading steps, a fifth at most, that stand far above every later fluctuation.

    Far: beyond 6 robust standard deviations and 5 % of the median of the latter half, which a
    warm-up does not reach; normal steps get there once in a billion.
    """
    rest = raw[len(raw) // 2 :]
    centre = float(np.median(rest))
    reach = max(6 * SCALE_OF_MAD * float(np.median(np.abs(rest - centre))), 0.05)
    far = raw[: max(1, len(raw) // 5)] > centre + reach
    return int(np.argmin(far)) if not far.all() else len(far)


def _without_spikes(raw: Array) -> Array:
    """Replace lone outliers by the running median of 7 steps, so that they make no level.

    Source: Hampel's identifier; Davies and Gather, JASA 88 (1993) 782-792.
    """
    padded = np.pad(raw, 3, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 7)
    middle = np.median(windows, axis=1)
    apart = np.abs(raw - middle)
    scale = SCALE_OF_MAD * float(np.median(apart))
    cleaned: Array = np.where(apart > 4 * scale, middle, raw)
    return cleaned


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
