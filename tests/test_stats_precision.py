"""How many launches a precision needs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.stats.precision import needs_more

calm = [[1.0], [1.001], [0.999], [1.0005], [0.9995], [1.0]]
wild = [[1.0], [1.1], [0.9], [1.2], [0.8], [1.05]]


def test_the_first_batch_is_asked_for_whatever_it_says() -> None:
    for made in range(6):
        decision = needs_more(calm[:made], 0.02, first=6)
        assert decision.more == 6 - made
        assert decision.target is None


def test_calm_launches_are_enough_and_wild_ones_are_not() -> None:
    enough, lacking = needs_more(calm, 0.02, first=6), needs_more(wild, 0.1, first=6)

    assert enough.more == 0
    assert enough.reached is not None
    assert enough.reached <= 0.02
    # Spread of the logarithms 0.1453, t(5) at 95 % 2.5706: pi/2 (2.5706 * 0.1453 / 0.1)^2 = 21.9.
    assert lacking.target == 22
    assert lacking.more == 16


def test_launches_that_agree_by_chance_are_reckoned_with_the_least_spread() -> None:
    decision = needs_more(calm, 0.1, first=6, spread=0.1453)

    assert decision.target == 22


def test_the_cap_is_kept_and_said() -> None:
    decision = needs_more(wild, 0.001, first=6, at_most=20)

    assert (decision.target, decision.more) == (20, 14)
    assert "20 is the most" in decision.reason


@given(later=st.lists(st.floats(min_value=0.01, max_value=100), max_size=40))
def test_what_comes_after_the_first_batch_never_changes_the_target(later: list[float]) -> None:
    decision = needs_more([*wild, *([value] for value in later)], 0.1, first=6)

    assert decision.target == 22
    assert decision.more == max(0, 16 - len(later))


def test_no_precision_and_no_room_are_refused() -> None:
    with pytest.raises(ValueError, match="expected precision > 0"):
        needs_more(calm, 0)
    with pytest.raises(ValueError, match="2 <= first <= at_most"):
        needs_more(calm, 0.01, first=1)


def test_following_it_ends() -> None:
    rng = np.random.default_rng(1)
    launches: list[list[float]] = []

    while more := needs_more(launches, 0.02).more:
        launches += np.exp(rng.normal(0, 0.02, (more, 1))).tolist()

    assert 10 <= len(launches) <= 50
