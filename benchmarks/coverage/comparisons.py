"""False alarms of A against A over a matrix, and the smallest difference found."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.coverage.alternatives import asv_differs, pyperf_differs
from benchmarks.coverage.series import KINDS, Array, lognormal
from benchmarks.coverage.tables import percent, show
from runner.stats.compare import Verdict, compare, compare_all

CELLS = 100
STEPS = 20
ALARMS = {Verdict.FASTER, Verdict.SLOWER}


def false_alarms(rng: np.random.Generator, matrices: int) -> list[str]:
    """Compare 100 cells, each with itself, many times; return the lines clearly above 5 %."""
    rows, broken = [], []
    most = 0.05 + 3 * math.sqrt(0.05 * 0.95 / matrices)
    for kind in ("lognormal", "spiky", "correlated steps", "skewed launches", "two-mode launches"):
        for count in (3, 10):
            alarms: dict[str, list[int]] = {"ours": [], "plain": [], "pyperf": [], "asv": []}
            for _ in range(matrices):
                sides = [KINDS[kind](rng, CELLS * count, STEPS) for _ in range(2)]
                a, b = (side.reshape(CELLS, count, STEPS) for side in sides)
                found = compare_all(list(zip(_lists(a), _lists(b), strict=True)))
                flat = a.reshape(CELLS, -1), b.reshape(CELLS, -1)
                alarms["ours"].append(sum(one.verdict in ALARMS for one in found))
                alarms["plain"].append(sum(one.p is not None and one.p <= 0.05 for one in found))
                alarms["pyperf"].append(int(pyperf_differs(*flat).sum()))
                alarms["asv"].append(int(asv_differs(*flat).sum()))
            any_of_ours = sum(number > 0 for number in alarms["ours"]) / matrices
            if any_of_ours > most and (kind, count) != ("two-mode launches", 3):
                broken.append(f"A against A, {count} launches, {kind}: {percent(any_of_ours)}")
            means = [f"{np.mean(numbers):.2f}" for numbers in alarms.values()]
            rows.append([kind, str(count), percent(any_of_ours), *means])
    show(
        f"3. A against A over {CELLS} cells: false alarms ({matrices} matrices a line)",
        ["series", "launches", "any, %", "ours", "uncorrected", "pyperf", "asv"],
        rows,
        "any: matrices in which ours (Holm, level 95) raises even one; 5 is allowed. The other\n"
        "columns are false alarms a matrix. pyperf: t test of all steps; asv: Mann-Whitney of\n"
        "all steps, p < 0.002, without the factor that its report asks for besides; both take\n"
        "steps for independent. Three launches that fall in one\n"
        "mode cannot show that there are two: there, use ten.",
    )
    return broken


def smallest_found(rng: np.random.Generator, simulations: int) -> None:
    """The verdict is `faster` as soon as the shift passes the upper end of the interval around
    no difference, so the shift found nine times in ten is a quantile of that end.
    """
    rows = []
    for count in (3, 5, 6, 10, 20, 30):
        row = [str(count)]
        for level in (0.95, 1 - 0.05 / CELLS):
            ends = []
            for _ in range(simulations):
                a, b = (lognormal(rng, count, STEPS)[None] for _ in range(2))
                high = compare(_lists(a)[0], _lists(b)[0], level=level).high
                assert high is not None
                ends.append(high)
            row.append(percent(1 - 1 / float(np.quantile(ends, 0.9))))
        rows.append(row)
    show(
        f"4. Smallest true difference found nine times in ten, % ({simulations} comparisons)",
        ["launches a side", "alone", f"one of {CELLS} cells"],
        rows,
        f"Spread 2 % between launches, 5 % within, {STEPS} steps a launch: launch medians differ\n"
        f"by about {100 * math.hypot(0.02, 1.2533 * 0.05 / math.sqrt(STEPS)):.1f} %.",
    )


def _lists(cells: Array) -> list[list[list[float]]]:
    launches: list[list[list[float]]] = cells.tolist()
    return launches
