"""The table of scaling: verdicts beside what is published, and a reason where there is none."""

from __future__ import annotations

import pytest

from runner.report import scaled
from runner.scaling import Scaled

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
