"""Where a launch's steps become steady, or that they never do, and what shape they have.

Several models of the series compete: one level, a straight trend, a decay to a level, a slow
cycle, and steps between levels; the least penalised squared error wins, and its shape says
whether and where a steady state begins. Differences smaller than a tolerance do not count.
Series of one length are worked on together; each gets the answer that it would get alone.

Source: change points as the test of a steady state, and that there may be none: Barrett et al.,
"Virtual machine warmup blows hot and cold" (OOPSLA 2017). The models and how one is
chosen: ``fits``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise

import numpy as np

from runner.stats.fits import values_a_series
from runner.stats.launches import checked_all
from runner.stats.rows import Array, Indices, Ragged, by_length, medians, portions
from runner.stats.shapes import Shape, Steady, shapes

__all__ = [
    "Shape",
    "Steady",
    "SteadyParts",
    "find_all_steady",
    "find_all_steady_parts",
    "find_steady",
    "find_steady_parts",
]

FEWEST = 8
OUTLYING = 10
TOLERANCE = 0.01

Series = Sequence[float]


@dataclass(frozen=True, kw_only=True, slots=True)
class SteadyParts:
    """The steady part of each launch of a cell.

    Attributes:
        parts: steps kept, one tuple a launch.
        found: what each launch looks like alone.
        together: what they look like together.
        unsteady: launches without a steady state of their own.
        swings: how far apart, as logarithms, the levels are that each launch keeps for more than
            a tenth of its steps (the rest may be outliers), once what all launches share is
            over; 0 where that is one level, or where it changes more than four times.
    """

    parts: tuple[tuple[float, ...], ...]
    found: tuple[Steady, ...]
    together: Steady
    unsteady: tuple[int, ...]
    swings: tuple[float, ...]

    @property
    def level_spread(self) -> float:
        """Standard deviation of launch medians, as logarithms, that swings alone may make.

        A launch that changes level four times or less is at most five observations of where its
        steps lie, and no interval for a median that assumes nothing is then inside their range:
        its median could as well have been at either end. Whatever lies between two ends has a
        standard deviation of at most half their distance, and that of steps which spend as long
        on one as on the other comes to it.

        Source: Popoviciu, Mathematica (Cluj) 9 (1935) 129-145; the range of five observations
        as in ``median_intervals``.
        """
        return math.sqrt(sum(swing**2 for swing in self.swings) / len(self.swings)) / 2

    @property
    def steady(self) -> bool:
        """False where the launches together, or half of them alone, have no steady state."""
        return self.together.start is not None and 2 * len(self.unsteady) < len(self.found)


def find_steady(steps: Series, tolerance: float = TOLERANCE) -> Steady:
    """Find where `steps` become steady.

    At least half of the steps must be steady: with less, nothing says that the last level is
    the one that lasts. Long series are cut at multiples of 1/64 of their length.

    Args:
        steps: durations in the order measured, or anything positive.
        tolerance: relative change over the series, or between levels, that does not matter.

    Raises:
        ValueError: a value that is not finite and > 0, or no steps.
    """
    return find_all_steady([steps], tolerance)[0]


def find_all_steady(series: Sequence[Series], tolerance: float = TOLERANCE) -> list[Steady]:
    """Find where each series becomes steady, as ``find_steady`` does for one.

    Raises:
        ValueError: as for ``find_steady``; the message counts series as launches, from zero.
    """
    return _find_all(checked_all([series] if len(series) else []), tolerance)


def _find_all(series: Ragged, tolerance: float) -> list[Steady]:
    found: dict[int, Steady] = {}
    for n, places in by_length(series.lengths):
        if n < FEWEST:
            reason = f"{n} steps; fewer than {FEWEST} cannot tell a steady state from chance"
            short = Steady(start=None, shape=Shape.TOO_SHORT, reason=reason)
            found.update(dict.fromkeys(places.tolist(), short))
            continue
        for own in portions(places, values_a_series(n)):
            rows = np.log(series.rows(own, n))
            found.update(zip(own.tolist(), shapes(rows, tolerance), strict=True))
    return [found[place] for place in range(len(series.lengths))]


def find_steady_parts(launches: Sequence[Series], tolerance: float = TOLERANCE) -> SteadyParts:
    """Find the steady part of each launch of a cell.

    What all launches share is looked for in the step-by-step median over launches, each over
    its own level: there a warm-up stands out that the noise of a single launch hides. What is
    kept of a launch begins where both it and all together are steady; a launch without a
    steady state is kept from where all together are, never dropped, and the cell is marked.

    Raises:
        ValueError: as for ``find_steady``.
    """
    return find_all_steady_parts([launches], tolerance)[0]


def find_all_steady_parts(
    cells: Sequence[Sequence[Series]], tolerance: float = TOLERANCE
) -> list[SteadyParts]:
    """Find the steady part of each launch of each cell, as ``find_steady_parts`` does for one.

    Raises:
        ValueError: as for ``find_steady``.
    """
    series = checked_all(cells)
    alone = iter(_find_all(series, tolerance))
    found = [tuple(islice(alone, len(launches))) for launches in cells]
    shared = _shared(series, np.fromiter(map(len, cells), np.intp, len(cells)))
    several = [place for place, launches in enumerate(cells) if len(launches) > 1]
    together = {place: states[0] for place, states in enumerate(found)}
    together.update(zip(several, _find_all(Ragged.of(shared), tolerance), strict=True))
    return [
        _parts(launches, states, together[place])
        for place, (launches, states) in enumerate(zip(cells, found, strict=True))
    ]


def _parts(launches: Sequence[Series], found: tuple[Steady, ...], together: Steady) -> SteadyParts:
    starts = [max(together.start or 0, state.start or 0) for state in found]
    return SteadyParts(
        parts=tuple(tuple(steps[s:]) for steps, s in zip(launches, starts, strict=True)),
        found=found,
        together=together,
        unsteady=tuple(i for i, state in enumerate(found) if state.start is None),
        swings=tuple(
            _swing(state, len(steps), together.start or 0)
            for state, steps in zip(found, launches, strict=True)
        ),
    )


def _swing(found: Steady, steps: int, shared: int) -> float:
    """Return how far apart levels are that are kept for more than a tenth of the steps."""
    if not found.levels:
        return 0.0
    firsts = [max(first, shared) for first, _ in found.levels] + [steps]
    kept = [
        (level, after - first)
        for (_, level), (first, after) in zip(found.levels, pairwise(firsts), strict=True)
    ]
    fewest = steps // OUTLYING + 1
    lowest, highest = _end(sorted(kept), fewest), _end(sorted(kept, reverse=True), fewest)
    return max(0.0, highest - lowest)


def _end(kept: Sequence[tuple[float, int]], fewest: int) -> float:
    """Return the level, in the order given, up to which there are `fewest` steps."""
    passed = accumulate(count for _, count in kept)
    return next(level for (level, _), by in zip(kept, passed, strict=True) if by >= fewest)


def _shared(series: Ragged, launches: Indices) -> list[Array]:
    """Return what cells of several launches share: the step-by-step median over the launches,
    each over its own level. `launches` says how many each cell has, one after the other.
    """
    firsts = np.cumsum(launches) - launches
    shortest = np.minimum.reduceat(series.lengths, firsts)
    found: dict[int, Array] = {}
    for count, of_count in by_length(launches):
        for length, at in by_length(shortest[of_count]) if count > 1 else ():
            for own in portions(of_count[at], length * count):
                each = (firsts[own, None] + np.arange(count)).ravel()
                logs = np.log(series.rows(each, length))
                levels = medians(logs[:, length // 2 :])[:, None]
                apart = (logs - levels).reshape(len(own), count, length)
                middle = medians(np.moveaxis(apart, 1, 2).reshape(-1, count))
                steps = np.exp(middle).reshape(len(own), length)
                found.update(zip(own.tolist(), steps, strict=True))
    return [found[place] for place in sorted(found)]
