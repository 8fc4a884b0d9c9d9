"""Order statistics of many series at once: a series a row, all rows of one length.

Every answer of a row is that of the row alone. Shapes: m rows of n values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
SCALE_OF_MAD = 1.4826
FAR_OUT = 3.0
# Rows that are worked on together: arrays of a few MiB are the fastest.
VALUES_AT_ONCE = 500_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Ragged:
    """Series of different lengths, one after the other.

    Attributes:
        values: all of them, shape (sum of lengths,).
        lengths: of each series.
        starts: where each begins in `values`.
    """

    values: Array
    lengths: Indices
    starts: Indices

    @classmethod
    def of(cls, series: Sequence[Sequence[float]] | Sequence[Array]) -> Ragged:
        """Lay series end to end."""
        lengths = np.fromiter(map(len, series), np.intp, len(series))
        ends = np.cumsum(lengths)
        values = np.fromiter(chain.from_iterable(series), np.float64, int(lengths.sum()))
        return cls(values=values, lengths=lengths, starts=ends - lengths)

    def rows(self, places: Indices, length: int) -> Array:
        """Return the first `length` values of the series at `places`, shape (places, length)."""
        found: Array = self.values[self.starts[places, None] + np.arange(length)]
        return found


def portions(places: Indices, values_each: int) -> Iterator[Indices]:
    """Yield places in portions small enough to work on together."""
    size = max(1, VALUES_AT_ONCE // max(1, values_each))
    for start in range(0, len(places), size):
        yield places[start : start + size]


def by_length(lengths: Indices) -> list[tuple[int, Indices]]:
    """Return each length there is with the places that have it, both rising."""
    return [(int(length), np.flatnonzero(lengths == length)) for length in np.unique(lengths)]


def medians(rows: Array) -> Array:
    """Return the median of each row, shape (m,)."""
    return middles(np.sort(rows, axis=1))


def middles(ordered: Array) -> Array:
    """Return the median of each ordered row, shape (m,)."""
    n = ordered.shape[1]
    middle: Array = (ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / 2
    return middle


def quantile(ordered: Array, share: float) -> Array:
    """Return a quantile of each ordered row, shape (m,).

    Source: Hyndman and Fan, The American Statistician 50 (1996), definition 7.
    """
    below, part = divmod((ordered.shape[1] - 1) * share, 1.0)
    last = ordered.shape[1] - 1
    return between(ordered[:, int(below)], ordered[:, min(int(below) + 1, last)], part)


def between(low: Array, high: Array, part: Array | float) -> Array:
    """Return what lies a `part` of the way from low to high; the nearer end is started from."""
    gap = high - low
    found: Array = np.where(np.less(part, 0.5), low + gap * part, high - gap * (1 - part))
    return found


def part_quantile(ordered: Array, first: Indices, count: Indices, share: float) -> Array:
    """Return a quantile of `count` values from `first` on of each ordered row, shape (m,)."""
    place = (count - 1) * share
    below = np.floor(place).astype(np.intp)
    rows = np.arange(len(ordered))
    low = ordered[rows, first + below]
    high = ordered[rows, first + np.minimum(below + 1, count - 1)]
    return between(low, high, place - below)


def part_medians(ordered: Array, first: Indices, count: Indices) -> Array:
    """Return the median of `count` values from `first` on of each ordered row, shape (m,)."""
    rows = np.arange(len(ordered))
    middle: Array = (
        ordered[rows, first + (count - 1) // 2] + ordered[rows, first + count // 2]
    ) / 2
    return middle


def far_out(rows: Array, ordered: Array) -> npt.NDArray[np.bool_]:
    """Mark what is beyond Tukey's outer fences of its row: 3 interquartile ranges outside the
    quartiles. `ordered` is `rows`, each in order.

    Source: Tukey, Exploratory Data Analysis (1977), section 2D ("far out").
    """
    first, third = quantile(ordered, 0.25)[:, None], quantile(ordered, 0.75)[:, None]
    reach = FAR_OUT * (third - first)
    far: npt.NDArray[np.bool_] = (rows < first - reach) | (rows > third + reach)
    return far


def without_spikes(rows: Array) -> Array:
    """Replace lone outliers by the running median of 7 values, so that they make no level.

    Source: Hampel's identifier; Davies and Gather, JASA 88 (1993) 782-792.
    """
    padded = np.pad(rows, ((0, 0), (3, 3)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 7, axis=1)
    middle = np.sort(windows, axis=2)[:, :, 3]
    apart = np.abs(rows - middle)
    scale = SCALE_OF_MAD * medians(apart)[:, None]
    cleaned: Array = np.where(apart > 4 * scale, middle, rows)
    return cleaned


def slow_heads(rows: Array) -> Indices:
    """Count leading values, a fifth at most, that stand far above every later fluctuation.

    Far: beyond 6 robust standard deviations and 5 % of the median of the latter half, which a
    warm-up does not reach; normal steps get there once in a billion. Rows are logarithms.
    """
    n = rows.shape[1]
    rest = rows[:, n // 2 :]
    centre = medians(rest)
    reach = np.maximum(6 * SCALE_OF_MAD * medians(np.abs(rest - centre[:, None])), 0.05)
    far = rows[:, : max(1, n // 5)] > (centre + reach)[:, None]
    heads: Indices = np.where(far.all(axis=1), far.shape[1], np.argmin(far, axis=1))
    return heads
