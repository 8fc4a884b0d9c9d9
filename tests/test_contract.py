from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import contract
from runner.contract import Listener, Progress
from runner.model import Communication
from tests.makers import event, good_lines, heard, make_cell, make_job


def test_a_job_is_told_everything_as_flat_text() -> None:
    told = contract.variables(make_job(make_cell(batch=64)))

    assert told["RUNNER_WORKLOAD"] == "cifar10-cnn"
    assert told["RUNNER_PARAMETER_BATCH"] == "64"
    assert told["RUNNER_PARAMETER_LEARNING_RATE"] == "0.001"
    assert told["RUNNER_THREADS"] == told["OMP_NUM_THREADS"] == "2"
    assert told["RUNNER_WARMUP_STEPS"] == "1"
    assert told["RUNNER_DEVICE"] == "cpu"
    assert all(isinstance(value, str) for value in told.values())


def test_a_whole_transcript_is_parsed_without_a_problem() -> None:
    said = heard(good_lines())

    assert said.problems == ()
    assert said.finished
    assert said.hello is not None
    assert said.hello.threads == 2
    assert [phase.name for phase in said.phases] == ["import", "measure"]
    assert said.phases[0].end_s == 1.0
    assert said.samples[0].measured_s == (0.25, 0.26)
    assert said.losses == (2.3, 2.2, 2.1, 2.0)


@given(st.lists(st.integers(min_value=1, max_value=400), min_size=1))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts: list[int]) -> None:
    data = b"".join(good_lines())
    listener = Listener()
    start = 0
    for cut in cuts:
        listener.feed(data[start : start + cut])
        start += cut
    listener.feed(data[start:])

    assert listener.transcript() == heard(good_lines())


def test_edges_and_progress_are_told_at_once() -> None:
    listener = Listener()

    said = listener.feed(b"".join(good_lines()))

    assert said == [
        "begin import",
        "end import",
        "begin measure",
        Progress(phase="measure", done=1, total=2),
        "end measure",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"Using Theano backend.\n", "not an event of the contract: 'Using Theano backend.'"),
        (b"{}\n", "not an event of the contract: '{}': no field 'event'"),
        (b"[1]\n", "not an event of the contract"),
        (b"\xff\xfe\n", "not an event of the contract"),
        (event("surprise", 1.0), "unknown event 'surprise'"),
        (event("phase", 1.0, name="nap", state="begin"), "unknown phase 'nap'"),
        (event("phase", 1.0, name="build", state="end"), "phase 'build': unexpected state 'end'"),
        (event("error", 1.0, kind="tired", message="x"), "unknown kind of error 'tired'"),
        (event("progress", "soon"), "expected a number, found 'soon'"),
    ],
)
def test_each_breach_is_named(line: bytes, problem: str) -> None:
    assert any(problem in found for found in heard([line]).problems), heard([line]).problems


def test_what_follows_the_result_is_a_problem() -> None:
    said = heard([*good_lines(), event("check", 3.0, name="late", value=1)])

    assert said.problems == ("'check' after the last event",)


def test_a_torn_last_line_is_a_problem() -> None:
    said = heard([*good_lines()[:-1], b'{"event": "res'])

    assert not said.finished
    assert said.problems == ('the last line is torn: \'{"event": "res\'',)


def test_time_never_goes_back() -> None:
    said = heard([event("check", 2.0, name="a", value=1), event("check", 1.0, name="b", value=1)])

    assert said.problems == ("'check': time went back from 2.0 to 1.0",)


def test_numbers_that_json_lacks_come_as_words() -> None:
    assert math.isnan(contract.number("nan"))
    assert contract.number("-inf") == -math.inf
    for wrong in ("soon", True, None, [1]):
        with pytest.raises(ValueError, match="expected a number"):
            contract.number(wrong)


@pytest.mark.parametrize("bad", [0.0, -1.0, "nan", "inf"])
def test_a_timing_that_cannot_be_one_is_refused(bad: object) -> None:
    line = event(
        "samples",
        1.0,
        name="train_step",
        items=1,
        synchronised="implicit",
        first_s=1.0,
        warmup_s=[],
        measured_s=[bad],
    )

    said = heard([line])

    assert said.samples == ()
    assert "a timing must be finite and above 0 seconds" in said.problems[0]


COMMUNICATION = {
    "reduced_bytes": 400,
    "alone_s": [0.2, 0.3],
    "all_reduce_s": [],
    "probe_bytes": 1024,
    "probe_s": [0.001],
}


def test_what_working_together_costs_is_kept_raw() -> None:
    said = heard([event("communication", 1.0, **COMMUNICATION)])

    assert said.problems == ()
    assert said.communication == Communication(
        reduced_bytes=400,
        alone_s=(0.2, 0.3),
        all_reduce_s=(),
        probe_bytes=1024,
        probe_s=(0.001,),
    )


@pytest.mark.parametrize(
    "bad", [{"probe_s": []}, {"alone_s": [0.0]}, {"all_reduce_s": ["nan"]}, {"reduced_bytes": 0}]
)
def test_a_communication_that_cannot_be_one_is_refused(bad: dict[str, object]) -> None:
    said = heard([event("communication", 1.0, **{**COMMUNICATION, **bad})])

    assert said.communication is None
    assert len(said.problems) == 1


def test_an_endless_line_is_cut_off_and_told() -> None:
    listener = Listener()
    for _ in range(17):
        listener.feed(b"x" * 1024**2)

    assert "a line of over" in listener.transcript().problems[0]
