"""Where the steady state begins, and the shapes that have none."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.stats import fits
from runner.stats.steady import (
    Shape,
    find_all_steady,
    find_all_steady_parts,
    find_steady,
    find_steady_parts,
)
from tests.step_series import KINDS, cases, series

Array = npt.NDArray[np.float64]
N = 100
TIME = np.arange(N)
PROFILES: dict[Shape, Array] = {
    Shape.FLAT: np.zeros(N),
    Shape.WARM_UP: np.where(TIME < 20, 0.2, 0.0),
    Shape.SLOWDOWN: np.where(TIME < 20, -0.2, 0.0),
    Shape.TREND: 0.3 * TIME / N,
    Shape.CYCLE: 0.15 * np.sin(2 * np.pi * 2 * TIME / N),
    Shape.TWO_LEVELS: np.where(np.isin(TIME // 13, (1, 2, 4, 6)), 0.2, 0.0),
    Shape.LATE_JUMP: np.where(TIME >= 70, 0.2, 0.0),
}


def noisy(profile: Array, seed: int, noise: float = 0.02) -> list[float]:
    rng = np.random.default_rng(seed)
    steps: list[float] = np.exp(profile + rng.normal(0, noise, len(profile))).tolist()
    return steps


@pytest.mark.parametrize("shape", PROFILES)
@pytest.mark.parametrize("seed", range(5))
def test_shapes_are_told_apart(shape: Shape, seed: int) -> None:
    found = find_steady(noisy(PROFILES[shape], seed))

    assert found.shape is shape
    if shape is Shape.FLAT:
        assert found.start == 0
    elif shape in (Shape.WARM_UP, Shape.SLOWDOWN):
        assert found.start is not None
        assert abs(found.start - 20) <= 2
    else:
        assert found.start is None
    assert found.reason


def test_pure_noise_is_seldom_taken_for_anything_else() -> None:
    rng = np.random.default_rng(0)
    skewed = np.exp(0.05 * np.exp(rng.normal(0, 0.5, (200, 60))))

    others = sum(find_steady(list(steps)).shape is not Shape.FLAT for steps in skewed)

    assert others <= 20  # one in ten; the figures are those of benchmarks/coverage


def test_one_cold_step_costs_one_step() -> None:
    steps = noisy(np.zeros(30), seed=1)
    steps[0] = 40.0

    found = find_steady(steps)

    assert (found.start, found.shape) == (1, Shape.WARM_UP)
    assert "the first 1 step far slower than the rest" in found.reason


@pytest.mark.parametrize("place", [5, 20, 39])
def test_a_lone_outlier_is_no_change(place: int) -> None:
    steps = noisy(np.zeros(40), seed=2)
    steps[place] = 5.0

    assert find_steady(steps).shape is Shape.FLAT


def test_steps_that_hop_at_random_between_two_levels_have_no_steady_state() -> None:
    hops = np.where(np.random.default_rng(3).random(60) < 0.4, 0.3, 0.0)

    assert find_steady(noisy(hops, seed=3)).shape is Shape.TWO_LEVELS


def test_a_trend_within_the_tolerance_does_not_matter() -> None:
    steps = noisy(0.008 * TIME / N, seed=4, noise=0.0005)

    assert find_steady(steps).shape is Shape.FLAT
    assert find_steady(steps, tolerance=0.002).shape is Shape.TREND


def test_a_constant_series_is_steady() -> None:
    found = find_steady([0.25] * 50)

    assert (found.start, found.shape) == (0, Shape.FLAT)


def test_too_few_steps_tell_nothing() -> None:
    found = find_steady([1.0] * 7)

    assert (found.start, found.shape) == (None, Shape.TOO_SHORT)


def test_a_warm_up_beyond_half_of_the_series_is_no_steady_state() -> None:
    assert find_steady(noisy(0.5 * np.exp(-TIME / 40), seed=5)).start is None


@given(
    steps=st.lists(st.floats(min_value=1e-6, max_value=1e6), min_size=1, max_size=320),
    factor=st.floats(min_value=1e-3, max_value=1e3),
)
def test_anything_positive_gets_an_answer_that_is_consistent(
    steps: list[float], factor: float
) -> None:
    found = find_steady(steps)

    has_one = {Shape.FLAT, Shape.WARM_UP, Shape.SLOWDOWN}
    assert (found.start is not None) == (found.shape in has_one)
    if found.start is not None:
        # A fifth may be a slow head, and half of what is left may settle.
        assert 0 <= found.start <= 0.6 * len(steps) + 1
    assert find_steady(steps) == found


def test_bad_steps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"launch 0, step 2: -1\.0"):
        find_steady([1.0, 1.0, -1.0, 1.0])


def test_launches_together_show_a_warm_up_that_each_alone_hides() -> None:
    warm_up = 0.3 * np.exp(-np.arange(30) / 3)
    launches = [noisy(warm_up, seed, noise=0.08) for seed in range(10)]

    kept = find_steady_parts(launches)

    alone = [state.start or 0 for state in kept.found]
    assert kept.together.start is not None
    assert kept.together.start > np.median(alone)
    assert all(len(part) <= 30 - kept.together.start for part in kept.parts)
    assert kept.steady


def test_unsteady_launches_are_kept_and_mark_the_cell() -> None:
    launches = [noisy(0.3 * TIME / N, seed) for seed in range(4)]

    kept = find_steady_parts(launches)

    assert [len(part) for part in kept.parts] == [N] * 4
    assert kept.unsteady == (0, 1, 2, 3)
    assert not kept.steady


def test_one_unsteady_launch_in_five_is_named_and_does_not_mark_the_cell() -> None:
    launches = [noisy(np.zeros(N), seed) for seed in range(4)]
    launches.append(noisy(0.3 * TIME / N, seed=9))

    kept = find_steady_parts(launches)

    assert kept.unsteady == (4,)
    assert kept.steady


def test_a_change_of_level_in_one_launch_is_its_swing_and_the_cells_spread() -> None:
    launches = [noisy(np.zeros(30), seed) for seed in range(2)]
    launches.append(noisy(np.where(np.arange(30) < 20, 0.0, 0.2), seed=2))

    kept = find_steady_parts(launches)

    assert kept.found[2].shape is Shape.LATE_JUMP
    assert [first for first, _ in kept.found[2].levels] == [0, 20]
    assert kept.swings[:2] == (0, 0)
    assert kept.swings[2] == pytest.approx(0.2, abs=0.02)
    assert kept.level_spread == pytest.approx(kept.swings[2] / math.sqrt(3) / 2)


def test_a_level_that_a_launch_leaves_early_is_cut_and_not_forgotten() -> None:
    launches = [noisy(np.zeros(30), seed) for seed in range(2)]
    launches.append(noisy(np.where(np.arange(30) < 10, 0.2, 0.0), seed=2))

    kept = find_steady_parts(launches)

    assert (kept.found[2].shape, len(kept.parts[2])) == (Shape.WARM_UP, 20)
    assert kept.swings[2] == pytest.approx(0.2, abs=0.02)


def test_a_warm_up_that_all_launches_share_is_no_swing() -> None:
    warm_up = np.where(np.arange(30) < 10, 0.2, 0.0)

    kept = find_steady_parts([noisy(warm_up, seed) for seed in range(3)])

    assert kept.together.start == 10
    assert all(state.levels for state in kept.found)
    assert kept.level_spread == 0


def test_a_level_of_a_tenth_of_the_steps_is_no_swing() -> None:
    brief = np.where(np.arange(30) < 27, 0.0, 0.5)

    kept = find_steady_parts([noisy(brief, seed) for seed in range(3)])

    assert all(len(state.levels) == 2 for state in kept.found)
    assert kept.swings == (0, 0, 0)


def test_steps_that_change_level_five_times_and_more_are_no_swing() -> None:
    often = np.where(TIME // 10 % 2 == 1, 0.2, 0.0)
    seldom = np.where(TIME // 25 % 2 == 1, 0.2, 0.0)

    kept = find_steady_parts([noisy(often, 1), noisy(seldom, 2)])

    assert [state.shape for state in kept.found] == [Shape.TWO_LEVELS] * 2
    assert kept.swings[0] == 0
    assert kept.swings[1] == pytest.approx(0.2, abs=0.02)


def test_a_slow_head_moves_the_levels_after_it_and_is_none() -> None:
    steps = noisy(np.where(np.arange(40) < 25, 0.0, 0.2), seed=3)
    steps[:2] = [3.0, 3.0]

    found = find_steady(steps)

    assert [first for first, _ in found.levels] == [2, 25]
    assert [level for _, level in found.levels] == pytest.approx([0.0, 0.2], abs=0.02)


def test_levels_all_near_the_last_one_are_flat() -> None:
    random = np.random.default_rng(0)
    levels = np.repeat([1.0, 1.007, 0.995, 1.002], 30)

    found = find_steady([float(v) for v in levels * np.exp(random.normal(0, 0.0005, 120))])

    assert (found.start, found.shape) == (0, Shape.FLAT)
    assert "4 levels, each within 1.0% of the last" in found.reason


def test_answers_are_those_recorded_from_one_series_at_a_time() -> None:
    """Recorded before series were worked on together, by code that knew one at a time."""
    recorded = json.loads((Path(__file__).parent / "recorded" / "steady_states.json").read_text())

    found = find_all_steady([series(*case) for case in cases()])

    answers = [[*case, f.start, f.shape, f.reason] for case, f in zip(cases(), found, strict=True)]
    assert answers == recorded
    assert {shape for *_, shape, _ in recorded} >= set(PROFILES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_series_among_many_gets_the_answer_that_it_gets_alone(kind: str) -> None:
    many = [series(kind, n, seed) for n in (8, 20, 20, 65) for seed in range(20, 32)]

    assert find_all_steady(many) == [find_steady(steps) for steps in many]


def test_cells_among_many_keep_the_parts_that_they_keep_alone() -> None:
    counts = (1, 2, 3, 10)
    cells = [
        [series(kind, n, 100 * place + launch) for launch in range(count)]
        for kind in KINDS
        for n in (6, 20, 40)
        for place, count in enumerate(counts)
    ]
    cells += [[series("warm-up", n, n) for n in (5, 20, 33)]]

    assert find_all_steady_parts(cells) == [find_steady_parts(launches) for launches in cells]


def test_more_series_than_are_worked_on_at_once_come_out_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = [series(kind, 20, seed) for seed in range(5) for kind in KINDS]
    whole = find_all_steady(many)

    monkeypatch.setattr("runner.stats.rows.VALUES_AT_ONCE", 3 * fits.values_a_series(20))

    assert find_all_steady(many) == whole


def test_no_series_and_no_cells_are_no_answers() -> None:
    assert find_all_steady([]) == []
    assert find_all_steady_parts([]) == []


def test_a_bad_step_is_named_within_its_cell() -> None:
    cells = [[[1.0, 2.0]], [[1.0, 2.0], [3.0, float("nan")]]]

    with pytest.raises(ValueError, match="launch 1, step 1: nan"):
        find_all_steady_parts(cells)
