"""When a cell has been launched often enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.model import Record, Sampling, Status
from runner.report import table
from runner.stopping import decide
from tests.makers import make_cell, make_record, make_run, make_samples

CELL = make_cell()
PRECISE = Sampling(launches=4, precision=0.05, max_launches=12)
CALM = (1.0, 1.001, 0.999, 1.0)
WILD = (1.0, 1.2, 0.8, 1.1)


def launched(*medians: float, first: int = 0) -> list[Record]:
    return [
        make_record(CELL, first + number, samples=(make_samples(median, median),))
        for number, median in enumerate(medians)
    ]


def test_without_a_precision_the_number_is_the_profile_s() -> None:
    decision = decide(launched(*WILD[:2]), Sampling(launches=3))

    assert (decision.more, decision.asked, decision.reason) == (1, 3, "")
    assert decide(launched(*WILD), Sampling(launches=3)).more == 0


def test_the_first_batch_comes_first() -> None:
    assert decide(launched(*WILD[:3]), PRECISE).more == 1


def test_a_quiet_cell_stops_where_a_restless_one_goes_on_to_the_most_there_may_be() -> None:
    quiet, restless = decide(launched(*CALM), PRECISE), decide(launched(*WILD), PRECISE)

    assert (quiet.more, quiet.asked) == (0, 4)
    assert quiet.reason == "4 of 4 launches, asked for by the first 4"
    # spread of the logarithms 0.17452, t(3) 3.18245: pi/2 (3.18245 * 0.17452 / 0.05)^2 = 193.8
    assert (restless.more, restless.asked) == (8, 12)
    assert restless.reason == "4 of 12 launches, the most there may be (194 asked for)"


def test_what_comes_later_does_not_move_the_number() -> None:
    lucky = launched(*WILD) + launched(*(1.0,) * 7, first=4)

    assert decide(lucky, PRECISE).more == 1


def test_the_budget_ends_it_and_says_so() -> None:
    decision = decide(launched(*WILD), replace(PRECISE, budget_s=50.0))

    assert decision.more == 0
    assert decision.reason == "4 of 12 launches: the budget of 50 s is spent"
    assert decide(launched(*WILD), replace(PRECISE, budget_s=50.1)).more == 8


def test_a_launch_that_failed_by_itself_is_made_and_a_disturbed_one_is_not() -> None:
    crashed = make_record(CELL, 9, status=Status.CRASHED, reason="ended by SIGABRT", samples=())
    disturbed = make_record(CELL, 9, status=Status.DISTURBED, reason="others")

    assert decide([*launched(*CALM[:3]), crashed], PRECISE).more == 0
    assert decide([*launched(*CALM[:3]), disturbed], PRECISE).more == 1


def test_without_two_good_launches_there_is_no_spread_to_go_by() -> None:
    crashed = make_record(CELL, 9, status=Status.CRASHED, reason="ended by SIGABRT", samples=())

    decision = decide([*launched(1.0), crashed, crashed, crashed], PRECISE)

    assert decision.more == 0
    assert decision.reason == "1 of the first 4 launches ended ok: no spread to go by"


@pytest.mark.parametrize(
    ("records", "sampling", "words"),
    [
        (launched(*CALM), PRECISE, "precision 5 % reached: ±0.13 %; 4 of 4 launches, asked for"),
        (launched(*WILD), PRECISE, "precision 5 % not reached: ±27 %; 4 of 12 launches"),
        (
            launched(*WILD, *WILD, *WILD),
            PRECISE,
            "precision 5 % not reached: ±19 %; 12 of 12 launches, the most there may be (194 asked",
        ),
        (launched(*WILD), replace(PRECISE, budget_s=9.0), "the budget of 9 s is spent"),
    ],
)
def test_the_table_says_which_of_them_it_was(
    records: list[Record], sampling: Sampling, words: str
) -> None:
    made = table.build(make_run((CELL,), sampling=sampling), records)

    assert words in made.rows[0].reason
    assert "4 to 12 launches" in made.subtitle
    assert "for a precision of 5 %" in made.subtitle
