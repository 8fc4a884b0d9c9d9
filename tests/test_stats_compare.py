"""Ratios, verdicts, and what many comparisons at once cost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from runner.stats.compare import (
    Comparison,
    Verdict,
    compare,
    compare_all,
    compare_pairs,
    judge,
    rank_sum_distribution,
    signed_rank_distribution,
)

launches_of_one_step = st.lists(
    st.lists(st.floats(min_value=0.01, max_value=100), min_size=1, max_size=1),
    min_size=2,
    max_size=8,
)


def make_launches(level: float, count: int = 10, spread: float = 0.01) -> list[list[float]]:
    """Launch medians at exact quantiles of a lognormal: no chance in these tests."""
    places = stats.norm.ppf((np.arange(count) + 0.5) / count)
    return [[level * math.exp(spread * float(place))] for place in places]


@pytest.mark.parametrize(
    ("level", "verdict"),
    [(0.8, Verdict.FASTER), (1.25, Verdict.SLOWER), (1.002, Verdict.SAME)],
)
@pytest.mark.parametrize("count", [3, 6, 10])
def test_verdicts(level: float, verdict: Verdict, count: int) -> None:
    spread = 0.003 if verdict is Verdict.SAME else 0.01

    found = compare(make_launches(2.0, count, spread), make_launches(2.0 * level, count, spread))

    assert found.verdict is verdict
    assert found.ratio == pytest.approx(level, rel=1e-6)
    assert found.base_value == pytest.approx(2.0, rel=1e-3)
    assert found.value == pytest.approx(2.0 * level, rel=1e-3)


def test_too_wide_an_interval_is_ambiguous() -> None:
    found = compare(make_launches(1.0, 4, 0.1), make_launches(1.05, 4, 0.1))

    assert found.verdict is Verdict.AMBIGUOUS


def test_a_small_but_certain_difference_within_the_margin_is_the_same() -> None:
    found = compare(make_launches(1.0, 20, 0.001), make_launches(1.01, 20, 0.001))

    assert found.low is not None
    assert found.low > 1
    assert found.verdict is Verdict.SAME
    narrow = compare(make_launches(1.0, 20, 0.001), make_launches(1.01, 20, 0.001), margin=0.001)
    assert narrow.verdict is Verdict.SLOWER


def test_one_launch_gives_a_ratio_without_a_verdict() -> None:
    found = compare([[1.0, 1.1, 0.9]], make_launches(2.0))

    assert found.ratio == pytest.approx(2.0, rel=1e-2)
    assert (found.low, found.high, found.p) == (None, None, None)
    assert found.verdict is Verdict.AMBIGUOUS
    assert "one launch" in found.method


def test_rank_distribution_is_that_of_the_tables() -> None:
    # Mann and Whitney (1947), table I: n = 3, m = 4, P(U <= 0) = 1/35, P(U <= 2) = 4/35.
    below = rank_sum_distribution(3, 4)

    assert below[0] == pytest.approx(1 / 35)
    assert below[2] == pytest.approx(4 / 35)
    assert below[-1] == 1


@pytest.mark.parametrize("seed", range(5))
def test_p_agrees_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 1, 7), rng.normal(0.5, 1, 9)
    few_a, few_b = a[:3], b[:4]

    ranks = compare([[math.exp(x)] for x in a], [[math.exp(x)] for x in b])
    welch = compare([[math.exp(x)] for x in few_a], [[math.exp(x)] for x in few_b], level=0.99)

    assert ranks.p == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue)
    assert welch.p == pytest.approx(stats.ttest_ind(few_a, few_b, equal_var=False).pvalue)


@given(a=launches_of_one_step, b=launches_of_one_step)
def test_the_other_way_round_is_the_reciprocal(a: list[list[float]], b: list[list[float]]) -> None:
    one, other = compare(a, b), compare(b, a)

    assert one.low is not None
    assert one.high is not None
    assert other.low is not None
    assert other.high is not None
    assert math.log(one.ratio) == pytest.approx(-math.log(other.ratio), abs=1e-9)
    assert math.log(one.low) == pytest.approx(-math.log(other.high), abs=1e-6)
    opposite = {Verdict.FASTER: Verdict.SLOWER, Verdict.SLOWER: Verdict.FASTER}
    assert other.verdict is opposite.get(one.verdict, one.verdict)


@given(a=launches_of_one_step, b=launches_of_one_step)
def test_p_and_interval_never_contradict_each_other(
    a: list[list[float]], b: list[list[float]]
) -> None:
    found = compare(a, b)

    assert found.p is not None
    assert found.low is not None
    assert found.high is not None
    apart = found.low > 1 or found.high < 1
    if abs(found.p - 0.05) > 1e-9 and min(abs(found.low - 1), abs(found.high - 1)) > 1e-9:
        assert apart == (found.p <= 0.05)


@given(
    shifts=st.lists(st.floats(min_value=-0.1, max_value=0.1), min_size=1, max_size=12),
    seed=st.integers(0, 100),
)
def test_many_comparisons_follow_holm(shifts: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = [
        (np.exp(rng.normal(0, 0.02, (4, 1))).tolist(), np.exp(rng.normal(s, 0.02, (4, 1))).tolist())
        for s in shifts
    ]

    found = compare_all(pairs, margin=0.0001)

    rejected = _holm([one.p for one in found if one.p is not None])
    assert [one.verdict is not Verdict.AMBIGUOUS for one in found] == rejected
    assert all(one.cells == len(shifts) for one in found)


def _holm(ps: list[float]) -> list[bool]:
    """Holm (1979), written out: reject in order of p until the first that fails."""
    rejected = [False] * len(ps)
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        if ps[i] > 0.05 / (len(ps) - rank):
            break
        rejected[i] = True
    return rejected


def test_more_cells_make_a_verdict_harder() -> None:
    pair = (make_launches(1.0, 5, 0.02), make_launches(1.045, 5, 0.02))
    equal = (make_launches(1.0, 5, 0.02), make_launches(1.0, 5, 0.02))

    alone, among = compare_all([pair])[0], compare_all([pair, *[equal] * 99])[0]

    assert alone.verdict is Verdict.SLOWER
    assert among.verdict is Verdict.AMBIGUOUS
    assert among.level == pytest.approx(0.9995)
    assert among.cells == 100


def test_cells_without_an_interval_are_not_counted() -> None:
    pair = (make_launches(1.0), make_launches(1.2))

    found: tuple[Comparison, ...] = compare_all([pair, ([[1.0]], [[2.0]])])

    assert [one.cells for one in found] == [1, 1]
    assert found[0].level == 0.95


def test_exactly_repeatable_launches_differ_exactly() -> None:
    found = compare([[100.0]] * 3, [[200.0]] * 3)

    assert (found.low, found.high) == pytest.approx((2, 2))
    assert found.verdict is Verdict.SLOWER
    assert compare([[100.0]] * 3, [[100.0]] * 3).verdict is Verdict.SAME


def test_judge_reads_the_margin_as_a_ratio() -> None:
    assert judge(1 / 1.02, 1.02, 0.02) is Verdict.SAME
    assert judge(0.97, 0.999, 0.02) is Verdict.FASTER
    assert judge(1.001, 1.03, 0.02) is Verdict.SLOWER
    assert judge(0.97, 1.03, 0.02) is Verdict.AMBIGUOUS


def drifting_pairs(count: int, ratio: float, seed: int = 1) -> tuple[list[list[float]], ...]:
    """Pairs of launches 0.5 % apart by chance, while the machine slows down by a third."""
    random = np.random.default_rng(seed)
    slower = np.linspace(1.0, 1.33, count)
    base, other = slower * np.exp(random.normal(0, 0.005, (2, count)))
    return [[float(value)] for value in base], [[float(value * ratio)] for value in other]


@pytest.mark.parametrize("count", [4, 20])
def test_what_drifts_slowly_is_gone_from_pairs(count: int) -> None:
    base, other = drifting_pairs(count, ratio=1.03)

    paired, apart = compare_pairs(base, other), compare(base, other)

    assert paired.verdict is Verdict.SLOWER
    assert apart.verdict is Verdict.AMBIGUOUS
    assert paired.low is not None
    assert paired.high is not None
    assert paired.low < 1.03 < paired.high


def test_pairs_hold_their_level() -> None:
    outside = 0
    for seed in range(400):
        found = compare_pairs(*drifting_pairs(12, ratio=1.0, seed=seed))
        assert found.low is not None
        assert found.high is not None
        outside += not found.low <= 1 <= found.high

    assert 0.03 < outside / 400 < 0.07


def test_the_interval_of_pairs_is_that_of_scipys_test() -> None:
    base, other = drifting_pairs(15, ratio=1.01)
    found = compare_pairs(base, other)

    shift = np.log(np.ravel(other) / np.ravel(base))
    expected = stats.wilcoxon(shift, method="exact")
    assert found.p == pytest.approx(expected.pvalue)
    assert found.low is not None
    just_inside = stats.wilcoxon(shift - math.log(found.low * 1.00001), method="exact")
    just_outside = stats.wilcoxon(shift - math.log(found.low / 1.00001), method="exact")
    assert just_outside.pvalue <= 0.05 < just_inside.pvalue


def test_one_pair_has_no_interval_and_unequal_sides_are_refused() -> None:
    assert compare_pairs([[1.0]], [[2.0]]).low is None
    with pytest.raises(ValueError, match="2 launches cannot be paired with 1"):
        compare_pairs([[1.0], [1.0]], [[2.0]])


def test_signed_ranks_are_counted_exactly() -> None:
    assert signed_rank_distribution(3) * 8 == pytest.approx([1, 2, 3, 5, 6, 7, 8])
