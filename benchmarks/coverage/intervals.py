"""How often the interval holds the truth."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.coverage.alternatives import pooled_order, pooled_t
from benchmarks.coverage.series import KINDS, Array, Maker, truth
from benchmarks.coverage.tables import percent, show
from runner.stats.estimate import estimate, median_interval, t_quantile
from runner.stats.steady import find_steady_parts

STEPS = 30
NOT_PROMISED = {
    ("two-level steps", 3),
    *((kind, count) for kind in ("drift in a launch", "drift over launches") for count in (3, 10)),
}


def ours(launches: Array) -> tuple[float, float, bool]:
    """Interval over the steady part of each launch, and whether the tool marks the cell: no
    steady state, or a drift over launches (p < 0.01).
    """
    kept = find_steady_parts(launches.tolist())
    result = estimate(kept.parts)
    assert result.low is not None
    assert result.high is not None
    drifts = result.drift_p is not None and result.drift_p < 0.01
    return result.low, result.high, drifts or not kept.steady


def over_series(rng: np.random.Generator, simulations: int) -> list[str]:
    """Print the table; return the lines that must be between 93 and 97 and clearly are not."""
    rows, broken = [], []
    for kind, make in KINDS.items():
        goal = truth(kind, rng, STEPS)
        for count in (3, 10):
            held = dict.fromkeys(("ours", "unmarked", "mean", "drop 5", "asv"), 0)
            marked, width = 0, 0.0
            for _ in range(simulations):
                launches = make(rng, count, STEPS)
                low, high, mark = ours(launches)
                marked += mark
                width += (high - low) / goal / simulations
                held["ours"] += low <= goal <= high
                held["unmarked"] += low <= goal <= high and not mark
                for name, (one, other) in {
                    "mean": pooled_t(launches),
                    "drop 5": pooled_t(launches[:, 5:]),
                    "asv": pooled_order(launches),
                }.items():
                    held[name] += one <= goal <= other
            rest = simulations - marked
            claimed = held["unmarked"] / rest if rest else math.nan
            verdict = _within(claimed, rest) if rest >= simulations / 20 else "-"
            if verdict == "NO" and (kind, count) not in NOT_PROMISED:
                broken.append(f"interval over {count} launches, {kind}: {percent(claimed)}")
            rows.append(
                [
                    kind,
                    str(count),
                    percent(held["ours"] / simulations),
                    percent(marked / simulations),
                    percent(claimed) if rest >= simulations / 20 else "-",
                    verdict,
                    percent(width),
                    *(percent(held[name] / simulations) for name in ("mean", "drop 5", "asv")),
                ]
            )
    show(
        f"1. Intervals: how many of 100 hold the truth, nominal 95 ({simulations} cells a line, "
        f"{STEPS} steps a launch)",
        [
            *("series", "launches", "ours", "marked", "unmarked", "93-97", "width %"),
            *("mean, t", "drop 5, t", "asv"),
        ],
        rows,
        "ours: all cells. marked: cells that the tool marks, since the launches together or half\n"
        "of them alone have no steady state, or the launch medians drift (p < 0.01). unmarked:\n"
        "what is held among the others, and whether that is between 93 and 97 (?: it is not, by\n"
        "less than two standard errors of this simulation). mean, drop 5: t over all steps as if\n"
        "independent; asv: order statistics of all steps.\n"
        "Not kept: three launches whose steps change between two levels, where the few marked\n"
        "are not all; with ten it is.\n"
        "Where launches drift there is no one truth: against the one stated here the interval\n"
        "does not keep its level, and a small drift over launches is not seen: launch in rounds.",
    )
    return broken


def _within(share: float, cells: int) -> str:
    error = math.sqrt(0.95 * 0.05 / cells)
    if 0.93 <= share <= 0.97:
        return "yes"
    return "?" if 0.93 - 2 * error <= share <= 0.97 + 2 * error else "NO"


def over_launches(rng: np.random.Generator, simulations: int) -> None:
    """The interval alone, from launch medians, beside Student's t for every number of them."""
    makers: dict[str, Maker] = {
        kind: KINDS[kind] for kind in ("lognormal", "skewed launches", "two-mode launches")
    }
    goals = {kind: truth(kind, rng, STEPS) for kind in makers}
    rows = []
    for count in (2, 3, 4, 5, 6, 8, 10, 15, 20, 30):
        row = [str(count)]
        for kind, make in makers.items():
            held, by_t, width, t_width = 0, 0, 0.0, 0.0
            steps = make(rng, simulations * count, STEPS)
            for medians in np.median(steps, axis=1).reshape(simulations, count):
                low, high, _ = median_interval(medians)
                assert low is not None
                assert high is not None
                logs = np.log(medians)
                half = t_quantile(count - 1, 0.95) * float(logs.std(ddof=1)) / math.sqrt(count)
                centre = float(logs.mean())
                held += low <= goals[kind] <= high
                by_t += abs(math.log(goals[kind]) - centre) <= half
                width += (high - low) / simulations
                t_width += 2 * half / simulations
            shares = [percent(held / simulations), percent(by_t / simulations)]
            row += [f"{shares[0]} ({100 * width:.0f})", f"{shares[1]} ({100 * t_width:.0f})"]
        rows.append(row)
    show(
        f"2. The interval from launch medians alone, beside Student's t on logarithms "
        f"({simulations} cells a line)",
        ["launches", *(name for kind in makers for name in (kind, "t"))],
        rows,
        "How many of 100 hold the truth, and the mean width in %. Ours is Student's t up to 5\n"
        "launches and interpolated order statistics from 6: t misses the median ever more often\n"
        "where launches are skewed or fall in modes, and more launches make it worse.",
    )
