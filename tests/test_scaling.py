"""Rates and efficiencies of data-parallel training."""

from __future__ import annotations

import dataclasses

import pytest

from runner import scaling
from runner.model import Communication, Record, Samples, Status

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


def costing(records: list[Record], *told: Communication | None) -> list[Record]:
    pairs = zip(records, told, strict=True)
    return [dataclasses.replace(record, communication=each) for record, each in pairs]


COST = Communication(
    reduced_bytes=600_000_000,
    alone_s=(0.08, 0.09, 0.09),
    all_reduce_s=(0.02, 0.03, 0.03),
    probe_bytes=1_000_000_000,
    probe_s=(0.005, 0.005, 0.9),
)


def test_what_all_reduce_costs_is_the_median_over_launches() -> None:
    slower = dataclasses.replace(COST, alone_s=(0.07,), all_reduce_s=(0.05,), probe_s=(0.01,))
    four = costing(on(4, 0.1, 0.1, 0.1), COST, slower, COST)

    alone, together = scaled(four, on(1, 0.1))

    assert alone.communication is None
    cost = together.communication
    assert cost is not None
    assert (cost.step_s, cost.all_reduce_s) == (0.1, 0.03)
    assert cost.exposed_communication_s == pytest.approx(0.01)
    # a ring of four moves each byte six quarter times
    assert cost.all_reduce_bandwidth_bytes_per_s == pytest.approx(1.5 * 6e8 / 0.03)
    assert cost.link_bandwidth_bytes_per_s == pytest.approx(1.5 * 1e9 / 0.005)


def test_without_a_profile_only_the_kernels_time_is_missing() -> None:
    unseen = dataclasses.replace(COST, all_reduce_s=())

    _, two = scaled(on(1, 0.1), costing(on(2, 0.1), unseen))

    cost = two.communication
    assert cost is not None
    assert (cost.all_reduce_s, cost.all_reduce_bandwidth_bytes_per_s) == (None, None)
    assert cost.exposed_communication_s == pytest.approx(0.01)
    assert cost.link_bandwidth_bytes_per_s == pytest.approx(1e9 / 0.005)


def test_a_launch_that_failed_costs_nothing() -> None:
    bad = costing(on(2, 0.1, status=Status.OOM_GPU), COST)

    assert [row.communication for row in scaled(on(1, 0.1), bad)] == [None, None]
