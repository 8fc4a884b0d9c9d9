"""Estimates over launches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model import Samples
from runner.stats.as_published import AS_PUBLISHED, epochs, every_step, lengthened
from runner.stats.estimate import (
    Outlier,
    estimate,
    estimate_all,
    harmonic_rate,
    median_interval,
    rate,
)

positive = st.floats(min_value=1e-6, max_value=1e6)
launch = st.lists(positive, min_size=1, max_size=30)
launches_of_any_kind = st.lists(launch, min_size=1, max_size=12)


@given(launches=launches_of_any_kind)
def test_interval_holds_the_value_and_lies_on_positive_ground(launches: list[list[float]]) -> None:
    found = estimate(launches)

    if len(launches) == 1:
        assert found.low is None
        assert found.high is None
        assert found.relative_half_width is None
    else:
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= found.value * (1 + 1e-9)
        assert found.high >= found.value * (1 - 1e-9)


@given(cells=st.lists(launches_of_any_kind, max_size=8))
def test_a_cell_among_many_gets_the_estimate_that_it_gets_alone(
    cells: list[list[list[float]]],
) -> None:
    assert estimate_all(cells) == [estimate(launches) for launches in cells]


def test_an_estimate_is_that_of_numpys_own_functions() -> None:
    drawn = np.random.default_rng(1)
    launches = [np.exp(drawn.standard_t(2, n) / 10).tolist() for n in (20, 33, 5, 20, 8, 120, 1)]

    found = estimate(launches)

    medians = [np.median(steps) for steps in launches]
    pooled = np.concatenate(launches)
    cvs = [np.std(steps, ddof=1) / np.mean(steps) for steps in launches if len(steps) > 1]
    assert found.value == np.median(medians)
    assert found.between_cv == np.std(medians, ddof=1) / np.mean(medians)
    assert found.within_cv == pytest.approx(math.sqrt(np.mean(np.square(cvs))))
    assert {p.percent: p.value for p in found.percentiles} == {
        percent: np.percentile(pooled, percent) for percent in (5, 25, 50, 75, 95, 99)
    }
    far = []
    for number, steps in enumerate(launches):
        first, third = np.percentile(steps, (25, 75))
        low, high = first - 3 * (third - first), third + 3 * (third - first)
        outside = [i for i, step in enumerate(steps) if not low <= step <= high]
        far += [(number, i, steps[i]) for i in outside if len(steps) >= 5]
    assert [(one.launch, one.step, one.value) for one in found.outliers] == far
    assert far


@given(launches=launches_of_any_kind, factor=st.floats(min_value=1e-3, max_value=1e3))
def test_another_unit_changes_nothing_but_the_scale(
    launches: list[list[float]], factor: float
) -> None:
    found = estimate(launches)

    scaled = estimate([[step * factor for step in steps] for steps in launches])

    assert scaled.value == pytest.approx(found.value * factor)
    assert scaled.within_cv == pytest.approx(found.within_cv, abs=1e-9)
    assert scaled.between_cv == pytest.approx(found.between_cv, abs=1e-9)
    if found.low is not None and found.high is not None:
        assert scaled.low == pytest.approx(found.low * factor)
        assert scaled.high == pytest.approx(found.high * factor)


@given(launches=launches_of_any_kind, seed=st.integers(0, 1000))
def test_order_of_launches_does_not_move_the_interval(
    launches: list[list[float]], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(launches))

    moved = estimate([launches[i] for i in order])

    found = estimate(launches)
    assert moved.value == found.value
    assert (moved.low, moved.high) == pytest.approx((found.low, found.high))


@given(launches=st.lists(launch, min_size=2, max_size=12))
def test_a_higher_level_gives_a_wider_interval(launches: list[list[float]]) -> None:
    narrow, wide = estimate(launches, level=0.8), estimate(launches, level=0.99)

    assert wide.low is not None
    assert narrow.low is not None
    assert wide.high is not None
    assert narrow.high is not None
    if narrow.method.split(" of ")[0] == wide.method.split(" of ")[0]:
        assert wide.low <= narrow.low * (1 + 1e-9)
        assert wide.high >= narrow.high * (1 - 1e-9)


def test_repeated_steps_of_a_launch_do_not_narrow_the_interval() -> None:
    few = [[1.0, 1.1, 1.2], [1.3, 1.4, 1.5], [1.1, 1.2, 1.3]]

    many = [steps * 100 for steps in few]

    assert (estimate(many).low, estimate(many).high) == (estimate(few).low, estimate(few).high)


def test_two_launches_get_students_interval_on_logarithms() -> None:
    # Critical value of t with 1 degree of freedom at 95 %: 12.7062 (any table of t).
    low, high, method = median_interval(np.array([1.0, math.e]))

    half = 12.7062 * math.sqrt(0.5) / math.sqrt(2)
    assert low == pytest.approx(math.exp(0.5 - half), rel=1e-4)
    assert high == pytest.approx(math.exp(0.5 + half), rel=1e-4)
    assert "Student" in method


def test_a_spread_from_within_launches_widens_few_launches_and_says_so() -> None:
    # Critical value of t with 2 degrees of freedom at 95 %: 4.30265 (any table of t).
    medians = np.array([1.0, 1.01, 1.02])

    low, high, method = median_interval(medians, spread=0.07)

    half = 4.30265 * 0.07 / math.sqrt(3)
    centre = float(np.log(medians).mean())
    assert (low, high) == pytest.approx((math.exp(centre - half), math.exp(centre + half)))
    assert "changes of level within launches" in method


@pytest.mark.parametrize("count", [3, 6])
def test_a_spread_below_that_of_the_medians_or_beside_many_launches_changes_nothing(
    count: int,
) -> None:
    launches = [[1.0 + launch / 10] for launch in range(count)]

    assert estimate(launches, spread=0.01 if count == 3 else 9.0) == estimate(launches)


def test_as_many_spreads_as_cells_are_asked_for() -> None:
    with pytest.raises(ValueError, match="2 cells and 1 spreads: expected equally many"):
        estimate_all([[[1.0]], [[2.0]]], spreads=[0.1])


def test_ten_launches_get_the_interpolated_order_statistics_of_the_literature() -> None:
    # n = 10: the pair (2, 9) holds 97.85 %, (3, 8) holds 89.06 %; at 95 % the share between
    # them is 0.3246 and, by Hettmansperger and Sheather, the weight 8 I / (2 + 6 I) = 0.6579.
    low, high, _ = median_interval(np.arange(1.0, 11.0))

    assert low == pytest.approx(2 + 0.6579, abs=1e-3)
    assert high == pytest.approx(9 - 0.6579, abs=1e-3)


def test_five_launches_cannot_have_a_distribution_free_interval_and_six_can() -> None:
    assert "Student" in median_interval(np.arange(1.0, 6.0))[2]
    assert "order statistics" in median_interval(np.arange(1.0, 7.0))[2]


def test_spread_within_and_between_launches_is_told_apart() -> None:
    steady_launches = estimate([[0.9, 1.0, 1.1]] * 4)
    steady_steps = estimate([[value] * 3 for value in (0.9, 1.0, 1.1, 1.0)])

    assert steady_launches.within_cv == pytest.approx(0.1)
    assert steady_launches.between_cv == pytest.approx(0)
    assert steady_steps.within_cv == pytest.approx(0)
    assert steady_steps.between_cv == pytest.approx(0.0816, abs=1e-3)


def test_an_outlier_is_reported_and_still_counted() -> None:
    calm = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.01, 0.99, 1.0, 1.01]
    struck = [*calm[:4], 9.0, *calm[4:]]

    found = estimate([calm, struck])

    assert found.outliers == (Outlier(launch=1, step=4, value=9.0),)
    assert found.samples == 21


def test_an_outlying_launch_is_reported() -> None:
    found = estimate([[1.0], [1.01], [0.99], [1.02], [0.98], [1.0], [2.0]])

    assert found.outlying_launches == (6,)


def test_a_drift_over_launches_has_a_small_p_and_a_shuffled_one_has_not() -> None:
    rising = [[1 + launch / 100] for launch in range(10)]
    shuffled = [rising[i] for i in (3, 8, 0, 5, 9, 2, 6, 1, 7, 4)]

    drift, none = estimate(rising).drift_p, estimate(shuffled).drift_p

    # 45 concordant pairs, variance 10 * 9 * 25 / 18 = 125: z = 44 / 11.18 = 3.94.
    assert drift == pytest.approx(8.3e-5, rel=0.01)
    assert none is not None
    assert none > 0.3
    assert estimate(rising[:5]).drift_p is None


def test_percentiles_are_those_that_the_number_of_steps_can_bear() -> None:
    few = estimate([[float(step) for step in range(1, 21)]])
    many = estimate([[float(step) for step in range(1, 101)]])

    assert [p.percent for p in few.percentiles] == [5, 25, 50, 75, 95]
    assert many.percentiles[-1].percent == 99
    assert many.percentiles[-1].value == pytest.approx(99.01)


def test_bad_samples_are_all_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"launch 0, step 1: nan; launch 1 has no steps"):
        estimate([[1.0, math.nan], [], [2.0]])
    with pytest.raises(ValueError, match=r"launch 1, step 0: 0\.0"):
        estimate([[1.0], [0.0]])
    with pytest.raises(ValueError, match="no launches"):
        estimate([])


def test_a_level_in_percent_is_refused() -> None:
    with pytest.raises(ValueError, match=r"level 95: expected a number between 0\.5 and 1"):
        estimate([[1.0], [2.0]], level=95)


@given(
    rates=st.lists(st.floats(min_value=0.1, max_value=1e5), min_size=1, max_size=20),
)
def test_harmonic_rate_is_all_items_over_all_time(rates: list[float]) -> None:
    seconds = [10 / value for value in rates]

    assert harmonic_rate(rates) == pytest.approx(10 * len(rates) / sum(seconds))


def test_harmonic_rate_weighs_by_items_and_refuses_nonsense() -> None:
    # 60 images at 60/s and 60 at 20/s: 120 images in 4 seconds, and not 40 images/s.
    assert harmonic_rate([60, 20]) == pytest.approx(30)
    assert harmonic_rate([60, 20], items=[120, 20]) == pytest.approx(140 / 3)
    with pytest.raises(ValueError, match="expected rates and items"):
        harmonic_rate([1.0, 0.0])
    with pytest.raises(ValueError, match="equally many"):
        harmonic_rate([1.0], items=[1.0, 2.0])


def test_rate_turns_the_interval_around() -> None:
    time = estimate([[0.5], [0.52], [0.48]])

    found = rate(time, items=32)

    assert found.value == 64
    assert time.low is not None
    assert time.high is not None
    assert found.low == pytest.approx(32 / time.high)
    assert found.high == pytest.approx(32 / time.low)
    assert rate(estimate([[0.5]]), items=32).low is None


def test_as_published_estimators_apply_the_originals_defects() -> None:
    samples = Samples(
        name="train_step",
        items=8,
        synchronised="implicit",
        first_s=10.0,
        warmup_s=(4.0,),
        measured_s=(1.0, 2.0, 6.0),
    )

    values = {name: of(samples) for name, of in AS_PUBLISHED.items()}

    assert values == {
        "mean": 3.0,
        "mean_with_first": 4.6,
        "mean_drop_index_1": 4.75,
        "minimum": 1.0,
        "last": 6.0,
        "sum": 23.0,
        "median": 2.0,
    }


def make_steps(*seconds: float) -> Samples:
    return Samples(
        name="step",
        items=128,
        synchronised="implicit",
        first_s=seconds[0],
        warmup_s=(),
        measured_s=seconds[1:],
    )


def test_steps_that_were_not_made_are_as_long_as_the_measured_ones() -> None:
    short = make_steps(9.0, 1.0, 3.0)

    assert every_step(lengthened(short, 6)) == (9.0, 1.0, 3.0, 2.0, 2.0, 2.0)
    assert lengthened(short, 2) == short


def test_epochs_are_sums_of_their_steps_and_of_their_validation_where_it_counts() -> None:
    steps = make_steps(5.0, 1.0, 2.0, 1.0, 1.0, 1.0)

    plain = epochs(steps, 2, None)
    validated = epochs(steps, 2, make_steps(0.5, 0.25, 0.125))

    assert every_step(plain) == (6.0, 3.0, 2.0)
    assert every_step(validated) == (6.5, 3.25, 2.125)


@pytest.mark.parametrize("an_epoch", [4, 6])
def test_steps_that_are_no_whole_epochs_are_refused(an_epoch: int) -> None:
    with pytest.raises(ValueError, match="not epochs of"):
        epochs(make_steps(1.0, 1.0, 1.0, 1.0, 1.0, 1.0), an_epoch, None)
