"""Stopping by precision: what repeated looks cost, and what one look gives."""

from __future__ import annotations

import numpy as np

from benchmarks.coverage.series import KINDS, truth
from benchmarks.coverage.tables import percent, show
from runner.stats.estimate import estimate, median_interval
from runner.stats.precision import needs_more

MOST = 60
STEPS = 10


def main(rng: np.random.Generator, simulations: int) -> None:
    rows = []
    for kind in ("lognormal", "skewed launches", "two-mode launches"):
        goal = truth(kind, rng, STEPS)
        for precision in (0.02, 0.04):
            stops: dict[str, list[int]] = {"ours": [], "looks": []}
            held, reached = {"ours": 0, "looks": 0}, 0
            for _ in range(simulations):
                launches = KINDS[kind](rng, MOST, STEPS).tolist()
                stops["ours"].append(_one_look(launches, precision))
                stops["looks"].append(_every_look(launches, precision))
                for name, made in stops.items():
                    result = estimate(launches[: made[-1]])
                    assert result.low is not None
                    assert result.high is not None
                    held[name] += result.low <= goal <= result.high
                    if name == "ours":
                        reached += (result.relative_half_width or 1) <= precision
            shares = [percent(held[name] / simulations) for name in held]
            means = [f"{np.mean(made):.1f}" for made in stops.values()]
            row = [
                kind,
                percent(precision, 0),
                shares[0],
                means[0],
                percent(reached / simulations, 0),
            ]
            rows.append([*row, shares[1], means[1]])
    show(
        f"7. Stopping by precision, at most {MOST} launches ({simulations} cells a line)",
        ["series", "goal %", "ours", "launches", "met %", "every look", "launches"],
        rows,
        "ours: the number is fixed once, after 10 launches; how many of 100 intervals hold the\n"
        "truth, launches made, how often the goal is met. every look: stop as soon as the\n"
        "interval is narrow enough, from 2 launches on.",
    )


def _one_look(launches: list[list[float]], precision: float) -> int:
    made = 10
    while (more := needs_more(launches[:made], precision, at_most=MOST).more) > 0:
        made += more
    return made


def _every_look(launches: list[list[float]], precision: float) -> int:
    medians = np.median(launches, axis=1)
    for made in range(2, MOST):
        low, high, _ = median_interval(medians[:made])
        value = float(np.median(medians[:made]))
        if (
            low is not None
            and high is not None
            and high - value <= precision * value >= value - low
        ):
            return made
    return MOST
