"""Raw steps of launches as arrays, refused where they cannot be times."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from runner.stats.rows import Array, Ragged


def checked(launches: Sequence[Sequence[float]]) -> list[Array]:
    """Return the launches as arrays.

    Raises:
        ValueError: as for ``estimate``; the message names the launch and the step.
    """
    if len(launches) == 0:
        msg = "no launches: expected at least one, with the steps it measured"
        raise ValueError(msg)
    arrays = [np.asarray(steps, dtype=np.float64) for steps in launches]
    pooled = np.concatenate(arrays)
    if min(map(len, arrays)) > 0 and bool(np.all((pooled > 0) & (pooled < math.inf))):
        return arrays
    problems = []
    for number, steps in enumerate(arrays):
        if steps.size == 0:
            problems.append(f"launch {number} has no steps")
            continue
        bad = np.flatnonzero(~((steps > 0) & (steps < math.inf)))
        problems.extend(f"launch {number}, step {i}: {float(steps[i])!r}" for i in bad[:3])
    msg = f"samples must be finite and > 0: {'; '.join(problems)}"
    raise ValueError(msg)


def checked_all(cells: Sequence[Sequence[Sequence[float]]]) -> Ragged:
    """Return the launches of all cells, one after the other.

    Raises:
        ValueError: as for ``estimate``, of the first cell that is bad.
    """
    series = Ragged.of([steps for launches in cells for steps in launches])
    good = bool(np.all((series.values > 0) & (series.values < math.inf)))
    if not good or 0 in series.lengths or not all(map(len, cells)):
        for launches in cells:
            checked(launches)
    return series


def launch_medians(arrays: Sequence[Array]) -> Array:
    """Return one median a launch, shape (launches,)."""
    if len(set(map(len, arrays))) == 1:
        medians: Array = np.median(np.stack(arrays), axis=1)
        return medians
    return np.array([np.median(steps) for steps in arrays])
