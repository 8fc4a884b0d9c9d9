"""Comparison of cells by the ratio of their times, with an interval and a verdict.

Everything is on the logarithms of launch medians, so that ratios are differences, and over
launches, since steps of one process are not independent (see ``estimate``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from runner.stats.estimate import Array, checked, launch_medians, power_of_e, t_quantile

Launches = Sequence[Sequence[float]]


class Verdict(StrEnum):
    """What an interval of a ratio of times says. ``same`` is within the stated margin."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One cell's time over another's; never without the base it is a ratio to.

    Attributes:
        ratio: time over the base's time; under 1 is faster.
        low, high: interval of the ratio at `level`; None where a side has one launch.
        level: level of this interval, raised where several cells are compared.
        value, base_value: medians of the launch medians, in the unit of the samples.
        margin: ratios from 1 / (1 + margin) to 1 + margin count as the same.
        p: two-sided, not corrected; None without an interval.
        cells: how many comparisons it was corrected for.
        method: how the interval was made, or why there is none.
    """

    ratio: float
    low: float | None
    high: float | None
    level: float
    value: float
    base_value: float
    margin: float
    p: float | None
    cells: int
    verdict: Verdict
    method: str


def compare(
    base: Launches, other: Launches, *, level: float = 0.95, margin: float = 0.02
) -> Comparison:
    """Compare `other` with `base`, as the only comparison there is.

    Raises:
        ValueError: as for ``estimate``.
    """
    return compare_all([(base, other)], level=level, margin=margin)[0]


def compare_all(
    pairs: Sequence[tuple[Launches, Launches]], *, level: float = 0.95, margin: float = 0.02
) -> tuple[Comparison, ...]:
    """Compare each (base, other), corrected for how many there are.

    Holm's step-down: the chance of even one false "faster" or "slower" in the whole table is
    at most 1 - level, whatever the dependence between cells, which share a machine. A false
    discovery rate (Benjamini and Hochberg 1995) would let through one wrong verdict in twenty,
    and a reader takes verdicts one by one. Each interval is given at the level of the step
    that decided it, so that interval and verdict never contradict each other; ``same`` asks
    that whole interval to lie within the margin, which is stricter than two one-sided tests.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979) 65-70; equivalence by interval:
    Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987) 657-680; intervals before
    tests: Kalibera and Jones (ISMM 2013).
    """
    sides = [(_medians(base), _medians(other)) for base, other in pairs]
    tested = [i for i, (base, other) in enumerate(sides) if min(len(base), len(other)) > 1]
    family = max(1, len(tested))
    strictest = 1 - (1 - level) / family
    shifts = {i: _shift(*sides[i], strictest) for i in tested}
    levels = dict.fromkeys(range(len(sides)), level)
    levels.update(_holm_levels({i: shift.p for i, shift in shifts.items()}, level))
    found = []
    for i, (base, other) in enumerate(sides):
        shift = shifts.get(i)
        plain = Comparison(
            ratio=float(np.median(other) / np.median(base)),
            low=None,
            high=None,
            level=levels[i],
            value=float(np.median(other)),
            base_value=float(np.median(base)),
            margin=margin,
            p=None,
            cells=family,
            verdict=Verdict.AMBIGUOUS,
            method="no interval: one launch says nothing of the spread between launches",
        )
        found.append(plain if shift is None else _with_interval(plain, shift))
    return tuple(found)


def compare_pairs(
    base: Launches, other: Launches, *, level: float = 0.95, margin: float = 0.02
) -> Comparison:
    """Compare launches that were made in pairs, one of each side right after the other.

    What moves slowly, such as the machine's speed over an hour, touches both launches of a pair
    alike and is gone from their ratio. Interval: order statistics of the Walsh averages of the
    pairs' log ratios, exact where these lie evenly about one centre; by t below 6 pairs.

    Source: Wilcoxon, Biometrics Bulletin 1 (1945) 80-83; Hollander, Wolfe and Chicken,
    Nonparametric Statistical Methods (3rd ed., 2014), sections 3.2 and 3.3 (Tukey's interval).

    Raises:
        ValueError: as for ``estimate``, or the sides are not of one length.
    """
    before, after = _medians(base), _medians(other)
    if len(before) != len(after):
        msg = f"{len(before)} launches cannot be paired with {len(after)}"
        raise ValueError(msg)
    plain = compare(base, other, level=level, margin=margin)
    if len(before) < 2:
        return plain
    return _with_interval(plain, _shift_of_pairs(np.log(after) - np.log(before), level))


def judge(low: float, high: float, margin: float) -> Verdict:
    """Read an interval of a ratio of times: within the margin, beside 1, or neither."""
    if 1 / (1 + margin) <= low and high <= 1 + margin:
        return Verdict.SAME
    if high < 1:
        return Verdict.FASTER
    if low > 1:
        return Verdict.SLOWER
    return Verdict.AMBIGUOUS


def _with_interval(plain: Comparison, shift: Shift) -> Comparison:
    low, high = (power_of_e(end) for end in shift.interval(plain.level))
    return replace(
        plain,
        ratio=math.exp(shift.centre),
        low=low,
        high=high,
        p=shift.p,
        verdict=judge(low, high, plain.margin),
        method=shift.method,
    )


def _holm_levels(p: dict[int, float], level: float) -> dict[int, float]:
    """Level of each one's interval: that of the step at which Holm's procedure decided it."""
    alpha = 1 - level
    levels = {}
    stopped_at: int | None = None
    for step, i in enumerate(sorted(p, key=lambda i: p[i])):
        left = len(p) - (step if stopped_at is None else stopped_at)
        if stopped_at is None and p[i] > alpha / left:
            stopped_at = step
        levels[i] = 1 - alpha / left
    return levels


@dataclass(frozen=True, kw_only=True, slots=True)
class TShift:
    """Difference of two means by Welch's t.

    Source: Welch, Biometrika 34 (1947) 28-35.
    """

    centre: float
    error: float
    freedom: float
    method: str

    @property
    def p(self) -> float:
        if self.error == 0:
            return 1.0 if self.centre == 0 else 0.0
        return 2 * float(special.stdtr(self.freedom, -abs(self.centre) / self.error))

    def interval(self, level: float) -> tuple[float, float]:
        half = t_quantile(self.freedom, level) * self.error
        return self.centre - half, self.centre + half


@dataclass(frozen=True, kw_only=True, slots=True)
class RankShift:
    """Shift between two samples by ranks: the median of all differences (of pairs: of all
    averages of two), and order statistics of them as its interval, which assumes no distribution.

    Source: Hodges and Lehmann, Annals of Mathematical Statistics 34 (1963) 598-611; Hollander,
    Wolfe and Chicken, Nonparametric Statistical Methods (3rd ed., 2014), section 4.3 (Moses).
    """

    centre: float
    differences: Array
    below: npt.NDArray[np.float64]
    method: str

    @property
    def p(self) -> float:
        count = min(int(np.sum(self.differences <= 0)), int(np.sum(self.differences >= 0)))
        return min(1.0, 2 * float(self.below[count]))

    def interval(self, level: float) -> tuple[float, float]:
        # The largest k with 2 P(U <= k - 1) <= 1 - level; `_shift` saw to it that k >= 1.
        # Rounding must not part this from `p <= 1 - level` in Holm's steps.
        k = int(np.searchsorted(2 * self.below, (1 - level) * (1 + 1e-9), side="right"))
        return float(self.differences[k - 1]), float(self.differences[-k])


Shift = TShift | RankShift


def _shift(base: Array, other: Array, level: float) -> Shift:
    """Shift of log `other` from log `base`: by ranks where they can reach `level`, else by t."""
    a, b = np.log(base), np.log(other)
    below = rank_sum_distribution(len(a), len(b))
    sizes = f"{len(b)} and {len(a)} launch medians"
    if 2 * below[0] <= 1 - level:
        differences = np.sort(np.subtract.outer(b, a).ravel())
        return RankShift(
            centre=float(np.median(differences)),
            differences=differences,
            below=below,
            method=f"Hodges-Lehmann shift with its exact rank interval, {sizes}",
        )
    parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
    error = math.sqrt(float(parts.sum()))
    weights = parts**2 / (len(a) - 1, len(b) - 1)
    return TShift(
        centre=float(b.mean() - a.mean()),
        error=error,
        freedom=float(parts.sum() ** 2 / weights.sum()) if error > 0 else 1.0,
        method=f"Welch's t on logarithms, {sizes}",
    )


def _shift_of_pairs(ratios: Array, level: float) -> Shift:
    """Centre of log ratios: by ranks where they can reach `level`, else by t."""
    count = len(ratios)
    below = signed_rank_distribution(count)
    if 2 * below[0] <= 1 - level:
        first, second = np.triu_indices(count)
        averages = np.sort((ratios[first] + ratios[second]) / 2)
        return RankShift(
            centre=float(np.median(averages)),
            differences=averages,
            below=below,
            method=f"median of Walsh averages with its exact interval, {count} pairs",
        )
    return TShift(
        centre=float(ratios.mean()),
        error=float(ratios.std(ddof=1)) / math.sqrt(count),
        freedom=count - 1.0,
        method=f"paired t on logarithms, {count} pairs",
    )


@lru_cache(maxsize=256)
def rank_sum_distribution(n: int, m: int) -> npt.NDArray[np.float64]:
    """Return P(U <= u) for u = 0 .. n m of the Mann-Whitney statistic without ties, exactly.

    Source: Mann and Whitney, Annals of Mathematical Statistics 18 (1947) 50-60; counted by the
    Gaussian binomial coefficient, the product over i <= n of (1 - q^(m+i)) / (1 - q^i).
    """
    counts = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for u in range(n * m, m + i - 1, -1):
            counts[u] -= counts[u - m - i]
        for u in range(i, n * m + 1):
            counts[u] += counts[u - i]
    every = math.comb(n + m, n)
    running, below = 0, []
    for count in counts:
        running += count
        below.append(running / every)
    return np.array(below)


@lru_cache(maxsize=256)
def signed_rank_distribution(n: int) -> npt.NDArray[np.float64]:
    """Return P(T <= t) for t = 0 .. n (n + 1) / 2 of Wilcoxon's signed-rank statistic, exactly.

    Source: Wilcoxon, Biometrics Bulletin 1 (1945) 80-83; counted by the product of (1 + q^i).
    """
    counts = [1]
    for i in range(1, n + 1):
        shifted = [0] * i + counts
        counts = [a + b for a, b in zip(counts + [0] * i, shifted, strict=True)]
    running, below = 0, []
    for count in counts:
        running += count
        below.append(running / 2**n)
    return np.array(below)


def _medians(launches: Launches) -> Array:
    return launch_medians(checked(launches))
