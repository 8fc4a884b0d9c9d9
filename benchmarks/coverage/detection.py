"""Where the detector sees the steady state begin, against where it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.coverage.alternatives import drop_first, keep_all, mser5, pyperf_rule
from benchmarks.coverage.series import Array
from benchmarks.coverage.tables import percent, show
from runner.stats.steady import Shape, find_all_steady

NOISE = 0.03
Profile = Callable[[np.random.Generator, Array], tuple[Array, int | None]]


def _exponential(rng: np.random.Generator, time: Array) -> tuple[Array, int | None]:
    """Excess of 20 to 60 % that decays; steady from where 1 % is left."""
    excess, constant = rng.uniform(0.2, 0.6), len(time) / rng.uniform(15, 40)
    profile = excess * np.exp(-time / constant)
    return profile, int(np.argmax(profile < 0.01))


def _step(rng: np.random.Generator, time: Array, size: float) -> tuple[Array, int | None]:
    start = int(len(time) * rng.uniform(0.15, 0.4))
    return np.where(time < start, size, 0.0), start


def _switching(rng: np.random.Generator, time: Array) -> tuple[Array, int | None]:
    """Four to seven changes between two levels, about evenly spread."""
    changes = int(rng.integers(4, 8))
    places = (np.arange(changes) + rng.uniform(0.2, 1.0, changes)) / (changes + 0.5)
    slow = np.searchsorted(places, time / len(time)) % 2 == 1
    return np.where(slow, 0.2, 0.0), None


def _cycle(rng: np.random.Generator, time: Array) -> tuple[Array, int | None]:
    turns = rng.uniform(1.5, 3) * time / len(time) + rng.random()
    return 0.1 * np.sin(2 * np.pi * turns), None


def _late_jump(rng: np.random.Generator, time: Array) -> tuple[Array, int | None]:
    return np.where(time >= len(time) * rng.uniform(0.6, 0.8), 0.15, 0.0), None


PROFILES: dict[str, Profile] = {
    "noise": lambda _, time: (0 * time, 0),
    "cold step": lambda _, time: (np.where(time < 1, 1.0, 0.0), 1),
    "warm-up, decay": _exponential,
    "warm-up, step": lambda rng, time: _step(rng, time, 0.15),
    "slowdown": lambda rng, time: _step(rng, time, -0.15),
    "trend": lambda _, time: (0.2 * time / len(time), None),
    "two levels": _switching,
    "slow cycle": _cycle,
    "late jump": _late_jump,
}
OTHERS: dict[str, Callable[[Array], int | None]] = {
    "keep all": keep_all,
    "drop 5": drop_first,
    "MSER-5": mser5,
    "pyperf": pyperf_rule,
}


def main(rng: np.random.Generator, simulations: int) -> None:
    _starts(rng, simulations)
    _shapes(rng, simulations)


def _made(rng: np.random.Generator, name: str, steps: int) -> tuple[Array, int | None]:
    """Steps with lognormal noise of 3 %, 2 % of them spikes."""
    profile, start = PROFILES[name](rng, np.arange(steps, dtype=np.float64))
    spikes = np.where(rng.random(steps) < 0.02, rng.exponential(0.5, steps), 0.0)
    return np.exp(profile + rng.normal(0, NOISE, steps) + spikes), start


def _starts(rng: np.random.Generator, simulations: int) -> None:
    rows = []
    for name in PROFILES:
        for steps in (20, 60, 300):
            made = [_made(rng, name, steps) for _ in range(simulations)]
            found = {"ours": [one.start for one in find_all_steady([s.tolist() for s, _ in made])]}
            found |= {method: [find(s) for s, _ in made] for method, find in OTHERS.items()}
            known = made[0][1] is not None
            cells = [_judged(made, starts) for starts in found.values()]
            rows.append([name, str(steps), "yes" if known else "none", *cells])
    show(
        f"5. Where the steady state begins ({simulations} series a line, noise 3 %, spikes 2 %)",
        ["series", "steps", "has one", "ours", *OTHERS],
        rows,
        "none % | error of the start in steps: median, 90th percentile | mean error of the\n"
        "median of what is kept, %. Where there is no steady state only none % is given, and\n"
        "100 is right. pyperf's rule needs 41 steps.",
    )


def _judged(made: Sequence[tuple[Array, int | None]], starts: Sequence[int | None]) -> str:
    """Say how often no start was found, how far off those found are, and what that costs."""
    cell = percent(sum(found is None for found in starts) / len(made), 0)
    known = [
        (abs(found - start), abs(float(np.median(series[found:])) - 1))
        for (series, start), found in zip(made, starts, strict=True)
        if found is not None and start is not None
    ]
    if not known:
        return cell
    errors, biases = zip(*known, strict=True)
    middle, far = np.quantile(errors, (0.5, 0.9))
    return f"{cell} | {middle:.0f} {far:.0f} | {percent(float(np.mean(biases)))}"


def _shapes(rng: np.random.Generator, simulations: int) -> None:
    shapes = [shape for shape in Shape if shape is not Shape.TOO_SHORT]
    rows = []
    for steps in (20, 60, 300):
        for name in PROFILES:
            made = [_made(rng, name, steps)[0].tolist() for _ in range(simulations)]
            found = Counter(one.shape for one in find_all_steady(made))
            shares = [percent(found[shape] / simulations, 0) for shape in shapes]
            rows.append([f"{name}, {steps}", *(share if share != "0" else "." for share in shares)])
    show(
        f"6. What shape the detector sees, % of {simulations} series a line",
        ["series, steps", *(shape.value for shape in shapes)],
        rows,
    )
