"""Models of a series of steps, and the cost that chooses between them.

Choice: Schwarz's criterion, Annals of Statistics 6 (1978) 461-464; for change points Yao,
Statistics & Probability Letters 6 (1988) 181-189, with the heavier penalty per level of Zhang
and Siegmund, Biometrics 63 (2007) 22-32. Correlated noise feigns change points, and so is part
of every model: Lavielle and Moulines, Journal of Time Series Analysis 21 (2000) 33-59.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from runner.stats.estimate import Array

BLOCKS = 64
SHORTEST_LEVEL = 3
MOST_LEVELS = 8
MOST_LEAN = 0.7
PENALTY = 1.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """A model of the series: its fitted values, and its cost (smaller is better)."""

    name: str
    values: Array
    cost: float


def fits(series: Array, tolerance: float) -> list[Fit]:
    """Fit every model to `series`, logarithms of steps, shape (n,)."""
    return [*smooth_fits(series, tolerance), *_level_fits(series, tolerance)]


def _cost(fitted: Array, parameters: int, series: Array, tolerance: float) -> float:
    """Schwarz's criterion with a heavier penalty, where each step may lean on the one before.

    What a model leaves may be correlated (up to 0.7, above which a correlation cannot be told
    from a trend); else every correlated series would seem to change its level. A twentieth of
    the tolerance is taken for the resolution of the clock.
    """
    n = len(series)
    left = series - fitted
    total = float(left @ left)
    lean = min(max(float(left[1:] @ left[:-1]) / total, 0.0), MOST_LEAN) if total > 0 else 0.0
    new = float(np.sum((left[1:] - lean * left[:-1]) ** 2)) / (n - 1)
    # Few steps bend to any model: as in the corrected criterion of Hurvich and Tsai (1989).
    penalty = PENALTY * parameters * math.log(n) * n / max(n - parameters - 2, 1)
    return n * math.log(new + (tolerance / 20) ** 2) + penalty


def smooth_fits(series: Array, tolerance: float) -> list[Fit]:
    """Fit one level, a trend, decays and cycles, the latter two over a grid of their scale."""
    mean = series.mean()
    centred = series - mean
    level = np.full(len(series), mean)
    found = [Fit(name="level", values=level, cost=_cost(level, 1, series, tolerance))]
    for name, parameters, bases in _designs(len(series)):
        parts = bases @ centred
        best = int(np.argmax(np.sum(parts**2, axis=1)))
        values = mean + parts[best] @ bases[best]
        found.append(
            Fit(name=name, values=values, cost=_cost(values, parameters, series, tolerance))
        )
    return found


@lru_cache(maxsize=512)
def _designs(n: int) -> tuple[tuple[str, int, Array], ...]:
    """Smooth models of n steps: name, parameters, orthonormal bases (grid, columns, n).

    Decays have time constants from 1 step to half of the series; cycles have 1 to 5 periods
    of at least 6 steps, since faster ones average out.
    """
    time = np.arange(n, dtype=np.float64)
    decays = [np.exp(-time / tau)[None] for tau in np.geomspace(1, n / 2, 12)]
    angles = [
        2 * np.pi * turns * time / n for turns in np.arange(1.0, min(5.0, n / 6) + 0.01, 0.25)
    ]
    cycles = [np.stack([np.cos(angle), np.sin(angle)]) for angle in angles]
    models = [("trend", 2, [time[None]]), ("decay", 3, decays), ("cycle", 4, cycles)]
    return tuple(
        (name, parameters, np.stack([_basis(columns) for columns in grid]))
        for name, parameters, grid in models
        if grid
    )


def _basis(columns: Array) -> Array:
    centred = columns - columns.mean(axis=1, keepdims=True)
    basis: Array = np.linalg.qr(centred.T)[0].T
    return basis


def _level_fits(series: Array, tolerance: float) -> list[Fit]:
    """Fit the best steps between 2, 3, ... levels, each at least 3 steps long.

    Source: segment neighbourhood search, Auger and Lawrence, Bulletin of Mathematical Biology
    51 (1989) 39-54; on at most 64 blocks of steps.
    """
    n = len(series)
    edges = np.unique(np.linspace(0, n, min(n, BLOCKS) + 1).round().astype(int))
    sums = np.concatenate([[0.0], np.cumsum(series)])[edges]
    squares = np.concatenate([[0.0], np.cumsum(series**2)])[edges]
    lengths = edges[None, :] - edges[:, None]
    allowed = lengths >= SHORTEST_LEVEL
    means = (sums[None] - sums[:, None]) / np.where(allowed, lengths, 1)
    errors = squares[None] - squares[:, None] - means**2 * lengths
    errors = np.where(allowed, np.maximum(errors, 0.0), np.inf)
    best = errors[0]
    back: list[npt.NDArray[np.intp]] = []
    found = []
    for count in range(2, min(MOST_LEVELS, max(2, n // 6)) + 1):
        costs = best[:, None] + errors
        back.append(np.argmin(costs, axis=0))
        best = costs[back[-1], np.arange(len(edges))]
        values = _stairs(edges, means, back)
        found.append(
            Fit(name="levels", values=values, cost=_cost(values, 2 * count - 1, series, tolerance))
        )
    return found


def _stairs(
    edges: npt.NDArray[np.int_], means: Array, back: Sequence[npt.NDArray[np.intp]]
) -> Array:
    """Follow the best change points back from the end; shape (n,)."""
    values = np.empty(edges[-1])
    end = len(edges) - 1
    for starts in reversed(back):
        start = int(starts[end])
        values[edges[start] : edges[end]] = means[start, end]
        end = start
    values[: edges[end]] = means[0, end]
    return values
