"""Models of many series of steps at once, and the cost that chooses between them.

Choice: Schwarz's criterion, Annals of Statistics 6 (1978) 461-464; for change points Yao,
Statistics & Probability Letters 6 (1988) 181-189, with the heavier penalty per level of Zhang
and Siegmund, Biometrics 63 (2007) 22-32. Correlated noise feigns change points, and so is part
of every model: Lavielle and Moulines, Journal of Time Series Analysis 21 (2000) 33-59.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from runner.stats.rows import Array, Indices

BLOCKS = 64
SHORTEST_LEVEL = 3
MOST_LEVELS = 8
MOST_LEAN = 0.7
PENALTY = 1.5


class Model(IntEnum):
    """What a series may look like, the simplest first: it wins where costs are equal."""

    LEVEL = 0
    TREND = 1
    DECAY = 2
    CYCLE = 3
    LEVELS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Fits:
    """The best model of each of m series of n steps.

    Attributes:
        models: which ``Model`` it is, shape (m,).
        values: what it makes of each step, shape (m, n).
    """

    models: npt.NDArray[np.int8]
    values: Array


def best_fits(series: Array, tolerance: float, *, smooth: bool = False) -> Fits:
    """Choose the best model of each series, logarithms of steps, shape (m, n).

    Args:
        tolerance: relative change that does not matter.
        smooth: leave out steps between levels.
    """
    race = _Race(series, tolerance)
    _enter_smooth(race)
    if not smooth:
        _enter_levels(race)
    return Fits(models=race.models, values=race.values)


class _Race:
    """The cheapest model so far of each series."""

    def __init__(self, series: Array, tolerance: float) -> None:
        self.series = series
        self._resolution = (tolerance / 20) ** 2
        self._costs = np.full(len(series), np.inf)
        self.models = np.zeros(len(series), dtype=np.int8)
        self.values = np.empty_like(series)

    def enter(self, model: Model, fitted: Array, parameters: int) -> None:
        """Keep a fit, shape (m, n), for those series that it is the cheapest of."""
        costs = self._cost(fitted, parameters)
        better = costs < self._costs
        self._costs[better] = costs[better]
        self.models[better] = model
        self.values[better] = fitted[better]

    def _cost(self, fitted: Array, parameters: int) -> Array:
        """Schwarz's criterion with a heavier penalty, where each step may lean on the one before.

        What a model leaves may be correlated (up to 0.7, above which a correlation cannot be told
        from a trend); else every correlated series would seem to change its level. A twentieth of
        the tolerance is taken for the resolution of the clock.
        """
        n = self.series.shape[1]
        left = self.series - fitted
        total = np.einsum("mn,mn->m", left, left)
        follows = np.einsum("mn,mn->m", left[:, 1:], left[:, :-1])
        lean = np.divide(follows, total, out=np.zeros_like(total), where=total > 0)
        new = left[:, 1:] - np.clip(lean, 0.0, MOST_LEAN)[:, None] * left[:, :-1]
        variance = np.einsum("mn,mn->m", new, new) / (n - 1)
        # Few steps bend to any model: as in the corrected criterion of Hurvich and Tsai (1989).
        penalty = PENALTY * parameters * math.log(n) * n / max(n - parameters - 2, 1)
        costs: Array = n * np.log(variance + self._resolution) + penalty
        return costs


def _enter_smooth(race: _Race) -> None:
    """Fit one level, a trend, decays and cycles, the latter two over a grid of their scale."""
    series = race.series
    mean = series.mean(axis=1, keepdims=True)
    centred = series - mean
    race.enter(Model.LEVEL, np.repeat(mean, series.shape[1], axis=1), 1)
    rows = np.arange(len(series))
    for model, parameters, bases in _designs(series.shape[1]):
        grid, columns, n = bases.shape
        parts = (centred @ bases.reshape(grid * columns, n).T).reshape(-1, grid, columns)
        best = np.argmax(np.sum(parts**2, axis=2), axis=1)
        fitted = parts[rows, best, 0, None] * bases[best, 0]
        for column in range(1, columns):
            fitted += parts[rows, best, column, None] * bases[best, column]
        race.enter(model, mean + fitted, parameters)


@lru_cache(maxsize=512)
def _designs(n: int) -> tuple[tuple[Model, int, Array], ...]:
    """Smooth models of n steps: which, parameters, orthonormal bases (grid, columns, n).

    Decays have time constants from 1 step to half of the series; cycles have 1 to 5 periods
    of at least 6 steps, since faster ones average out.
    """
    time = np.arange(n, dtype=np.float64)
    decays = [np.exp(-time / tau)[None] for tau in np.geomspace(1, n / 2, 12)]
    angles = [
        2 * np.pi * turns * time / n for turns in np.arange(1.0, min(5.0, n / 6) + 0.01, 0.25)
    ]
    cycles = [np.stack([np.cos(angle), np.sin(angle)]) for angle in angles]
    models = [(Model.TREND, 2, [time[None]]), (Model.DECAY, 3, decays), (Model.CYCLE, 4, cycles)]
    return tuple(
        (model, parameters, np.stack([_basis(columns) for columns in grid]))
        for model, parameters, grid in models
        if grid
    )


def _basis(columns: Array) -> Array:
    centred = columns - columns.mean(axis=1, keepdims=True)
    basis: Array = np.linalg.qr(centred.T)[0].T
    return basis


def values_a_series(n: int) -> int:
    """Return how many values the largest array holds for one series of n steps."""
    return max((min(n, BLOCKS) + 1) ** 2, 40 * n)


def _enter_levels(race: _Race) -> None:
    """Fit the best steps between 2, 3, ... levels, each at least 3 steps long.

    Source: segment neighbourhood search, Auger and Lawrence, Bulletin of Mathematical Biology
    51 (1989) 39-54; on at most 64 blocks of steps.
    """
    m, n = race.series.shape
    edges = np.unique(np.linspace(0, n, min(n, BLOCKS) + 1).round().astype(int))
    sums = np.concatenate([np.zeros((m, 1)), np.cumsum(race.series, axis=1)], axis=1)[:, edges]
    squares = np.concatenate([np.zeros((m, 1)), np.cumsum(race.series**2, axis=1)], axis=1)
    errors = _level_errors(edges, sums, squares[:, edges])
    most = min(MOST_LEVELS, max(2, n // 6))
    best = errors[:, :, 0]
    back: list[Indices] = []
    for count in range(2, most + 1):
        # Of the most levels, only those that reach the end are asked for.
        ends = errors if count < most else errors[:, -1:]
        costs = best[:, None] + ends
        back.append(np.argmin(costs, axis=2))
        best = np.take_along_axis(costs, back[-1][:, :, None], axis=2)[:, :, 0]
        race.enter(Model.LEVELS, _stairs(edges, sums, back), 2 * count - 1)


def _level_errors(edges: npt.NDArray[np.int_], sums: Array, squares: Array) -> Array:
    """Return the squared error of one level from each edge to each, shape (m, ends, starts)."""
    m, count = sums.shape
    errors = np.full((m, count * count), np.inf)
    for apart in range(1, count):
        lengths = edges[apart:] - edges[:-apart]
        allowed = lengths >= SHORTEST_LEVEL
        found = sums[:, apart:] - sums[:, :-apart]
        found /= lengths
        np.square(found, out=found)
        found *= lengths
        np.subtract(squares[:, apart:] - squares[:, :-apart], found, out=found)
        np.maximum(found, 0.0, out=found)
        # Ends that are so far apart from their starts lie on a diagonal.
        errors[:, apart * count :: count + 1] = np.where(allowed, found, np.inf)
    return errors.reshape(m, count, count)


def _stairs(edges: npt.NDArray[np.int_], sums: Array, back: Sequence[Indices]) -> Array:
    """Follow the best change points back from the end; shape (m, n)."""
    rows, steps = np.arange(len(sums)), np.arange(edges[-1])
    values = np.empty((len(sums), len(steps)))
    end = np.full(len(sums), len(edges) - 1)
    for starts in (*reversed(back), None):
        start = np.zeros_like(end) if starts is None else _starts_of(starts, end)
        level = (sums[rows, end] - sums[rows, start]) / (edges[end] - edges[start])
        inside = (steps >= edges[start, None]) & (steps < edges[end, None])
        np.copyto(values, level[:, None], where=inside)
        end = start
    return values


def _starts_of(starts: Indices, end: Indices) -> Indices:
    """Return where each row's level that ends at `end` starts; one column is for the end alone."""
    column = np.minimum(end, starts.shape[1] - 1)
    found: Indices = starts[np.arange(len(starts)), column]
    return found
