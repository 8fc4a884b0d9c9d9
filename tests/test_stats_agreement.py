"""Published tables against measured ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from runner.stats.agreement import rank_correlation, row_ratios
from runner.stats.compare import Verdict


def rows_at(*levels: float, spread: float = 0.005) -> list[list[list[float]]]:
    return [[[v * (1 - spread)], [v], [v * (1 + spread)], [v * (1 + spread / 2)]] for v in levels]


def test_ratios_are_to_the_reference_row_and_judged_against_the_published_ones() -> None:
    found = row_ratios([2.0, 4.0, 1.0], rows_at(1.0, 2.0, 0.8), reference=0)

    assert [row.published for row in found] == [2.0, 0.5]
    assert found[0].measured.ratio == pytest.approx(2, rel=1e-2)
    assert found[0].against_published is Verdict.SAME
    assert found[1].measured.verdict is Verdict.FASTER
    assert found[1].against_published is Verdict.SLOWER


def test_a_row_with_one_launch_decides_nothing() -> None:
    found = row_ratios([1.0, 2.0], [[[1.0]], [[2.0], [2.1]]], reference=0)

    assert found[0].against_published is Verdict.AMBIGUOUS


def test_tables_of_the_same_order_have_tau_one_and_no_doubt_when_far_apart() -> None:
    found = rank_correlation([1.0, 2.0, 3.0, 4.0], rows_at(10, 20, 30, 40))

    assert found.value == pytest.approx(1)
    assert (found.low, found.high) == pytest.approx((1, 1))
    assert rank_correlation([4.0, 3.0, 2.0, 1.0], rows_at(10, 20, 30, 40)).value == pytest.approx(
        -1
    )


def test_rows_within_the_spread_of_each_other_leave_the_order_open() -> None:
    found = rank_correlation([1.0, 2.0, 3.0, 4.0], rows_at(1.0, 1.01, 1.02, 1.03, spread=0.05))

    assert found.low is not None
    assert found.low < 0.5
    assert found.high == 1


@given(published=st.lists(st.integers(1, 6), min_size=3, max_size=12), seed=st.randoms())
def test_tau_agrees_with_scipy_ties_included(published: list[int], seed: object) -> None:
    levels = [float(1 + (7 * i) % 5) for i in range(len(published))]

    found = rank_correlation([float(value) for value in published], rows_at(*levels))

    expected = float(stats.kendalltau(published, levels).statistic)
    if expected == expected:  # not NaN: neither side is all ties
        assert found.value == pytest.approx(expected)
        assert found.low is not None
        assert found.high is not None
        assert -1 <= found.low <= expected + 1e-9
        assert expected - 1e-9 <= found.high <= 1
    else:
        assert found.value is None


def test_the_same_seed_gives_the_same_interval() -> None:
    rows = rows_at(1.0, 1.01, 1.02, spread=0.05)

    assert rank_correlation([1, 2, 3], rows) == rank_correlation([1, 2, 3], rows)


def test_too_few_rows_or_launches_say_why_there_is_none() -> None:
    two = rank_correlation([1.0, 2.0], rows_at(1, 2))
    single = rank_correlation([1.0, 2.0, 3.0], [[[1.0]], [[2.0]], [[3.0]]])

    assert two.value is None
    assert "2 rows" in two.method
    assert single.value == pytest.approx(1)
    assert single.low is None
    assert "one launch" in single.method


def test_different_numbers_of_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="3 published rows, 2 measured"):
        rank_correlation([1, 2, 3], rows_at(1, 2))
