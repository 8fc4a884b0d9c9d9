"""Simulated launches with a known truth. Seconds; the steady level is near 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
BETWEEN = 0.02
WITHIN = 0.05


def within(rng: np.random.Generator, launches: int, steps: int) -> Array:
    """Return lognormal noise of independent steps, as logarithms, shape (launches, steps)."""
    return rng.normal(0, WITHIN, (launches, steps))


def between(rng: np.random.Generator, launches: int) -> Array:
    """Return lognormal noise of launches, as logarithms, shape (launches, 1)."""
    return rng.normal(0, BETWEEN, (launches, 1))


def lognormal(rng: np.random.Generator, launches: int, steps: int) -> Array:
    """Independent steps around launches that differ a little."""
    return np.exp(between(rng, launches) + within(rng, launches, steps))


def spiky(rng: np.random.Generator, launches: int, steps: int) -> Array:
    """As lognormal, with 3 % of the steps at twice the time and more."""
    hit = rng.random((launches, steps)) < 0.03
    spikes = np.where(hit, 2 + rng.exponential(1.0, (launches, steps)), 1.0)
    return lognormal(rng, launches, steps) * spikes


def correlated(rng: np.random.Generator, launches: int, steps: int, lean: float = 0.8) -> Array:
    """Steps that lean on the one before: AR(1) with coefficient 0.8."""
    noise = within(rng, launches, steps)
    for i in range(1, steps):
        noise[:, i] = lean * noise[:, i - 1] + np.sqrt(1 - lean**2) * noise[:, i]
    return np.exp(between(rng, launches) + noise)


def slow_steps(rng: np.random.Generator, launches: int, steps: int) -> Booleans:
    """Return which steps are on the slower of two levels; each lasts for 20 on average."""
    flips = rng.random((launches, steps)) < 0.05
    flips[:, 0] = rng.random(launches) < 0.5
    slow: Booleans = np.cumsum(flips, axis=1) % 2 == 1
    return slow


def on_two_levels(rng: np.random.Generator, slow: Booleans) -> Array:
    """Return steps of 1.15 where they are slow, else of 1."""
    return lognormal(rng, *slow.shape) * np.where(slow, 1.15, 1.0)


def two_level(rng: np.random.Generator, launches: int, steps: int) -> Array:
    """Steps that change between 1 and 1.15, and stay where they are for 20 on average."""
    return on_two_levels(rng, slow_steps(rng, launches, steps))


def two_mode(rng: np.random.Generator, launches: int, steps: int) -> Array:
    """Three launches in ten are 10 % slower throughout, as by an unlucky memory layout."""
    slow = rng.random((launches, 1)) < 0.3
    return lognormal(rng, launches, steps) * np.where(slow, 1.1, 1.0)


def skewed(rng: np.random.Generator, launches: int, steps: int) -> Array:
    """Launches with a long tail to the slow side."""
    tail = 1 + 0.03 * np.exp(rng.normal(0, 1, (launches, 1)))
    return tail * np.exp(within(rng, launches, steps))


def warming(rng: np.random.Generator, launches: int, steps: int) -> Array:
    """Starts 50 % slower and decays to the steady level with a constant of 2 steps."""
    return lognormal(rng, launches, steps) * (1 + 0.5 * np.exp(-np.arange(steps) / 2))


def drifting(rng: np.random.Generator, launches: int, steps: int) -> Array:
    """Every launch gets 15 % slower from its first step to its last; truth: the first step."""
    return lognormal(rng, launches, steps) * (1 + 0.15 * np.arange(steps) / steps)


def heating(rng: np.random.Generator, launches: int, steps: int) -> Array:
    """The machine gets 6 % slower from launch to launch; truth: the cold machine."""
    heat = 1 + 0.06 * np.arange(launches) / max(launches - 1, 1)
    return lognormal(rng, launches, steps) * heat[:, None]


Maker = Callable[[np.random.Generator, int, int], Array]
KINDS: dict[str, Maker] = {
    "lognormal": lognormal,
    "spiky": spiky,
    "correlated steps": correlated,
    "two-level steps": two_level,
    "two-mode launches": two_mode,
    "skewed launches": skewed,
    "warm-up": warming,
    "drift in a launch": drifting,
    "drift over launches": heating,
}
TRUTH_IS_ONE = {"lognormal", "correlated steps", "warm-up", "drift in a launch"}


def truth(kind: str, rng: np.random.Generator, steps: int) -> float:
    """Return the median over launches of a launch's median: 1, or found from 20,000 launches."""
    if kind in TRUTH_IS_ONE or kind == "drift over launches":
        return 1.0
    return float(np.median(np.median(KINDS[kind](rng, 20_000, steps), axis=1)))
