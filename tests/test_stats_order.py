"""The order of launches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.stats.order import order


@given(
    cells=st.lists(st.text(max_size=3), unique=True, max_size=12),
    launches=st.integers(0, 6),
    seed=st.integers(),
)
def test_every_round_holds_every_cell_once(cells: list[str], launches: int, seed: int) -> None:
    found = order(cells, launches, seed)

    rounds = [found[i : i + len(cells)] for i in range(0, len(found), len(cells) or 1)]
    assert len(found) == len(cells) * launches
    for number, one in enumerate(rounds):
        assert {cell for cell, _ in one} == set(cells)
        assert {launch for _, launch in one} == {number}
    assert order(cells, launches, seed) == found


def test_rounds_and_seeds_differ() -> None:
    cells = list(range(20))

    found = order(cells, 2, seed=1)

    assert [cell for cell, _ in found[:20]] != [cell for cell, _ in found[20:]]
    assert found != order(cells, 2, seed=2)


def test_the_order_of_a_seed_is_fixed() -> None:
    assert [cell for cell, _ in order("abcde", 1, seed=7)] == list("dbaec")
