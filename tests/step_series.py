"""Series of steps of every kind, the same in every version of Python and NumPy."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

# Share of the series that is past, and a number in [0, 1) of its own -> logarithm of the step
KINDS: dict[str, Callable[[float, float], float]] = {
    "random": lambda past, chance: 0.0,
    "spikes": lambda past, chance: 1.0 if chance < 0.1 else 0.0,
    "drifting": lambda past, chance: 0.3 * past,
    "two levels": lambda past, chance: 0.3 if chance < 0.4 else 0.0,
    "blocks": lambda past, chance: 0.2 if int(past * 7) % 2 else 0.0,
    "cyclic": lambda past, chance: 0.15 * math.sin(4 * math.pi * past),
    "warm-up": lambda past, chance: 0.5 * math.exp(-12 * past),
    "slowdown": lambda past, chance: -0.2 if past < 0.2 else 0.0,
    "late jump": lambda past, chance: 0.2 if past > 0.7 else 0.0,
    "slow head": lambda past, chance: (2.0 if past < 0.05 else 0.0) + 0.1 * math.exp(-9 * past),
    "coarse clock": lambda past, chance: 0.0,
}


def series(kind: str, n: int, seed: int) -> list[float]:
    """Return n seconds with noise of 2 %; those of a coarse clock are whole hundredths."""
    drawn = random.Random(f"{kind} {n} {seed}")
    steps = [
        math.exp(KINDS[kind](place / n, drawn.random()) + 0.02 * _normal(drawn))
        for place in range(n)
    ]
    return [round(step, 2) for step in steps] if kind == "coarse clock" else steps


def _normal(drawn: random.Random) -> float:
    """About normal: Python promises the sequence of ``random()`` alone."""
    return sum(drawn.random() for _ in range(12)) - 6


def cases() -> Iterator[tuple[str, int, int]]:
    """Yield kind, length and seed of the series whose answers are recorded."""
    for kind in KINDS:
        for n in (8, 13, 20, 65, 200):
            for seed in range(3):
                yield kind, n, seed
