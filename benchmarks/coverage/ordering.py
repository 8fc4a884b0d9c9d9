"""Interleaved rounds against one cell after another, on a machine whose speed drifts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.coverage.series import Array
from benchmarks.coverage.tables import percent, show
from runner.stats.compare import Verdict, compare_all
from runner.stats.order import order

CELLS = 10
DRIFTS: dict[str, Callable[[Array], Array]] = {
    "none": lambda time: 1 + 0 * time,
    "10 % slower by the end": lambda time: 1 + 0.1 * time,
    "warms up, then holds": lambda time: 1 + 0.1 * (1 - np.exp(-6 * time)),
    "a neighbour for a fifth": lambda time: np.where((time > 0.4) & (time < 0.6), 1.15, 1.0),
    "swings twice": lambda time: 1 + 0.05 * np.sin(4 * np.pi * time),
}


def main(rng: np.random.Generator, simulations: int) -> None:
    rows = []
    for drift, speed in DRIFTS.items():
        for launches in (3, 10):
            row = [drift, str(launches)]
            for interleaved in (True, False):
                alarms, worst = 0, []
                for seed in range(simulations):
                    times = _session(rng, launches, speed, seed if interleaved else None)
                    found = compare_all([(times[0], times[cell]) for cell in range(1, CELLS)])
                    alarms += any(c.verdict in (Verdict.FASTER, Verdict.SLOWER) for c in found)
                    worst.append(max(abs(c.value / c.base_value - 1) for c in found))
                row += [percent(float(np.mean(worst))), percent(alarms / simulations, 0)]
            rows.append(row)
    show(
        f"8. Order of launches: {CELLS} equal cells against the first ({simulations} sessions)",
        ["the machine", "launches", "rounds: worst %", "wrong %", "in turn: worst %", "wrong %"],
        rows,
        "rounds: shuffled rounds over all cells. in turn: all launches of a cell, then the next.\n"
        "worst: largest error of a ratio, mean over sessions. wrong: sessions with any verdict\n"
        "faster or slower, all of them false; 5 is allowed.",
    )


def _session(
    rng: np.random.Generator, launches: int, speed: Callable[[Array], Array], seed: int | None
) -> list[list[list[float]]]:
    """Return one step a launch for each cell, shape [cells][launches][1]; in turn if no seed."""
    turns = [(cell, launch) for cell in range(CELLS) for launch in range(launches)]
    if seed is not None:
        turns = order(range(CELLS), launches, seed)
    factors = speed(np.linspace(0, 1, len(turns))) * np.exp(rng.normal(0, 0.02, len(turns)))
    times: list[list[list[float]]] = [[] for _ in range(CELLS)]
    for (cell, _), factor in zip(turns, factors, strict=True):
        times[cell].append([float(factor)])
    return times
