"""The table of scaling: verdicts beside what is published, and a reason where there is none."""

from __future__ import annotations

import dataclasses

import pytest

from runner.report import scaled
from runner.scaling import Communicated, Scaled

from .makers import make_cell

PUBLISHED = {"theirs+VGG16": {1: 230.0, 2: 437.0}}
REFERENCES = {"vgg16": "theirs+VGG16"}


def make_scaled(gpus: int = 2, **changes: object) -> Scaled:
    cell = make_cell(workload="vgg16", gpus=gpus, batch=64)
    fields: dict[str, object] = {
        "rate": 4190.4,
        "efficiency": 0.95,
        "low": 0.94,
        "high": 0.96,
        "missing": "",
    }
    return Scaled(cell=cell, gpus=gpus, **{**fields, **changes})  # type: ignore[arg-type]


def shown(row: Scaled) -> list[str]:
    last = scaled.markdown([row], PUBLISHED, REFERENCES).splitlines()[-1]
    return [box.strip() for box in last.strip("|").split("|")]


def test_published_rates_have_their_efficiency() -> None:
    lines = scaled.markdown([], PUBLISHED, REFERENCES).splitlines()

    assert lines[2:] == [
        "| published: theirs+VGG16 | 1 | 230 | - | not stated | - |",
        "| published: theirs+VGG16 | 2 | 437 | 95.0 | not stated | - |",
    ]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.94, 0.96, "reproduced"),
        (0.50, 0.60, "differs: scales worse"),
        (1.06, 1.20, "differs: scales better"),
        (0.80, 0.96, "ambiguous"),
        (None, None, "no verdict: one launch has no interval"),
    ],
)
def test_the_shape_is_judged_by_the_whole_interval(
    low: float | None, high: float | None, verdict: str
) -> None:
    assert shown(make_scaled(low=low, high=high))[-1] == verdict


def test_a_number_of_gpus_that_is_not_published_has_no_verdict() -> None:
    assert shown(make_scaled(gpus=4))[-1] == "not published on 4 GPUs"


def test_what_has_no_number_says_why() -> None:
    row = make_scaled(rate=None, efficiency=None, missing="oom-gpu: out of memory")

    assert shown(row)[2:4] == ["oom-gpu: out of memory", "oom-gpu: out of memory"]


def test_what_all_reduce_costs_is_a_table_of_its_own() -> None:
    cost = Communicated(
        step_s=0.1,
        reduced_bytes=553_430_176,
        exposed_communication_s=0.0123,
        all_reduce_s=0.025,
        all_reduce_bandwidth_bytes_per_s=120e9,
        link_bandwidth_bytes_per_s=240e9,
    )
    unseen = dataclasses.replace(
        cost,
        all_reduce_s=None,
        all_reduce_bandwidth_bytes_per_s=None,
        exposed_communication_s=-1e-4,
    )
    rows = [make_scaled(gpus=1), *(make_scaled(communication=each) for each in (cost, unseen))]

    *_, head, _, told, partly = scaled.markdown(rows, PUBLISHED, REFERENCES).splitlines()

    boxes = [[box.strip() for box in line.strip("|").split("|")] for line in (told, partly)]
    assert head.count("|") == told.count("|")
    assert boxes[0][1:] == ["2", "100", "12.3", "25.0", "25.0", "553", "120", "240", "50.0"]
    assert boxes[1][3:6] == ["-0.100", "not told", "not told"]
    assert boxes[1][7:] == ["not told", "240", "not told"]
