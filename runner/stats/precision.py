"""How many launches a cell needs for a stated precision, decided in one look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runner.stats.estimate import Estimate, estimate, launch_medians, t_quantile

MEDIAN_COST = math.pi / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Whether to go on, and why.

    Attributes:
        more: launches still to make; 0 means stop.
        target: launches in all that the first batch asks for; None before it is complete.
        reached: relative half-width of the interval as it stands; None where there is none.
        reason: the same in words.
    """

    more: int
    target: int | None
    reached: float | None
    reason: str


def needs_more(
    launches: Sequence[Sequence[float]],
    precision: float,
    *,
    level: float = 0.95,
    first: int = 10,
    at_most: int = 50,
    spread: float = 0.0,
) -> Decision:
    """Say how many more launches bring the interval to within `precision` of the value.

    To look after every launch and stop at the first narrow interval stops on lucky ones, and
    the interval then covers less than it claims. So the number is fixed once, from the spread
    of the first `first` launches alone; what comes later never changes it. The price: the
    precision may be missed or overshot, and `reached` says by how much.

    Args:
        launches: steps of each launch so far, in the order launched.
        precision: half-width as a fraction of the value, such as 0.02.
        first: size of the first batch, at least 2; with fewer than 10 the interval covers a little
            less than its level (benchmarks/coverage).
        at_most: launches that are made at the very most.
        spread: least spread to reckon with, as for ``estimate``.

    Raises:
        ValueError: samples as for ``estimate``, or a precision, first or at_most out of range.

    Source: Stein, Annals of Mathematical Statistics 16 (1945) 243-258, two-stage sampling; the
    factor pi / 2 is what a median needs more than a mean (Hodges and Lehmann 1963). The
    inflation by repeated looks: Armitage, McPherson and Rowe, JRSS A 132 (1969) 235-244.
    """
    if not precision > 0 or not 2 <= first <= at_most:
        msg = (
            f"precision {precision!r}, first {first}, at_most {at_most}: "
            "expected precision > 0 and 2 <= first <= at_most"
        )
        raise ValueError(msg)
    found = estimate(launches, level, spread) if launches else None
    reached = found.relative_half_width if found else None
    made = len(launches)
    if made < first:
        reason = f"{made} of the first {first} launches, whose spread fixes the number"
        return Decision(more=first - made, target=None, reached=reached, reason=reason)
    logs = np.log(launch_medians([np.asarray(steps) for steps in launches[:first]]))
    spread = max(spread, float(logs.std(ddof=1)))
    asked = math.ceil(MEDIAN_COST * (t_quantile(first - 1, level) * spread / precision) ** 2)
    target = min(max(first, asked), at_most)
    cut = f" ({asked} were asked for, {at_most} is the most)" if asked > at_most else ""
    goal = (
        f"{target} launches{cut}, from a spread of {spread:.2%} between the first {first} "
        f"and a precision of {precision:.2%}"
    )
    if made < target:
        reason = f"{made} of {goal}"
        return Decision(more=target - made, target=target, reached=reached, reason=reason)
    reason = f"{made} made of {goal}; {_reached(found)}"
    return Decision(more=0, target=target, reached=reached, reason=reason)


def _reached(found: Estimate | None) -> str:
    width = found.relative_half_width if found else None
    return "no interval" if width is None else f"the interval reaches {width:.2%}"
