"""Rates and efficiencies of data-parallel training."""

from __future__ import annotations

import dataclasses

import pytest

from runner import scaling
from runner.model import Record, Samples, Status

from .makers import make_cell, make_record, make_run, make_samples


def on(gpus: int, *launches: float, status: Status = Status.OK) -> list[Record]:
    """Launches of VGG16 with 64 images a GPU, with the same seconds in every step."""
    cell = make_cell(workload="vgg16", variant=f"gpus={gpus}", gpus=gpus, batch=64)
    return [
        make_record(
            cell,
            number,
            status=status,
            reason="" if status is Status.OK else "out of memory",
            samples=(each(seconds, 64 * gpus),) if status is Status.OK else (),
        )
        for number, seconds in enumerate(launches)
    ]


def each(seconds: float, items: int) -> Samples:
    return dataclasses.replace(make_samples(*[seconds] * 20), items=items)


def scaled(*groups: list[Record]) -> tuple[scaling.Scaled, ...]:
    cells = tuple(group[0].cell for group in groups)
    return scaling.rows(make_run(cells), [record for group in groups for record in group])


def test_efficiency_is_the_rate_over_that_of_as_many_single_gpus() -> None:
    four, one = on(4, 0.125, 0.126, 0.125), on(1, 0.1, 0.1, 0.101)

    alone, together = scaled(four, one)

    assert (alone.gpus, together.gpus) == (1, 4)
    assert (alone.rate, together.rate) == (640, 2048)
    assert (alone.efficiency, alone.missing) == (None, "")
    assert together.efficiency == pytest.approx(0.8)
    assert together.low is not None
    assert together.high is not None
    assert together.low < 0.8 < together.high


def test_one_launch_has_an_efficiency_without_an_interval() -> None:
    _, two = scaled(on(1, 0.1), on(2, 0.1))

    assert (two.efficiency, two.low, two.high) == (1, None, None)


def test_what_failed_says_why() -> None:
    one, two, four = scaled(
        on(1, 0.1, status=Status.OOM_GPU), on(2, 0.1), on(4, 0.1, status=Status.OOM_GPU)
    )

    assert one.missing == "oom-gpu: out of memory"
    assert (two.rate, two.efficiency) == (1280, None)
    assert two.missing == "no number on one GPU: oom-gpu: out of memory"
    assert four.missing == "oom-gpu: out of memory"


def test_without_a_cell_on_one_gpu_there_is_no_efficiency() -> None:
    two, four = scaled(on(2, 0.1), on(4, 0.1))

    assert two.missing == four.missing == "no number on one GPU: not measured"


def test_work_on_one_number_of_gpus_is_left_out() -> None:
    assert scaled(on(2, 0.1)) == ()
