"""Jobs whose backend fails under them: each leaves its record, and the run ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runner import abreast, execute, session, store
from runner.abreast import Field
from runner.errors import BackendUnavailable
from runner.execute import Setting
from runner.gpus import Pool, Slot
from runner.model import Launch, Record, Status
from runner.request import plan_request

from .job_makers import make_backend, make_environment, make_observer, make_setting
from .makers import make_cell, make_job, make_project, make_request

GONE = "the container engine failed: starting a job: Connection refused"


def failing(tmp_path: Path, start: Callable[[Launch], object]) -> tuple[Setting, list[Record]]:
    """Return a setting whose backend does `start` and then fails, and what it stores."""
    backend = make_backend()

    def fail(launch: Launch) -> None:
        start(launch)
        raise BackendUnavailable(GONE)

    backend.start.side_effect = fail
    setting, stored = make_setting(backend)
    return replace(setting, log_path=lambda _, number: tmp_path / f"{number}.log"), stored


def test_the_job_that_a_backend_fails_is_recorded_and_none_is_launched_after_it(
    tmp_path: Path,
) -> None:
    setting, stored = failing(tmp_path, lambda _: None)
    jobs = [make_job(launch=number) for number in range(3)]

    with pytest.raises(BackendUnavailable, match="Connection refused"):
        execute.measure(jobs, {make_cell().image: make_environment()}, setting)

    [record] = stored
    assert (record.status, record.reason) == (Status.KILLED, GONE)
    assert record.variables["RUNNER_WORKLOAD"] == "cifar10-cnn"
    assert (tmp_path / "1.log").exists()


def test_jobs_on_other_gpus_are_recorded_too_where_the_backend_fails_one(tmp_path: Path) -> None:
    both = threading.Barrier(2)
    setting, stored = failing(tmp_path, lambda _: both.wait(timeout=30))
    jobs = [make_job(launch=number) for number in range(5)]
    slots = [Slot(uuid=f"GPU-{number}", cores=(0,)) for number in range(2)]
    field = Field(pool=Pool(slots), locks=tmp_path, users=lambda _: (), refused={})

    with pytest.raises(BackendUnavailable, match="Connection refused"):
        abreast.measure(jobs, {make_cell().image: make_environment()}, setting, field)

    assert sorted(record.launch for record in stored) == [0, 1]
    assert {(record.status, record.reason) for record in stored} == {(Status.KILLED, GONE)}


def test_a_run_whose_backend_failed_says_how_to_go_on_and_does(tmp_path: Path) -> None:
    planned = plan_request(make_request(make_project(tmp_path)))
    backend = make_backend()
    backend.start.side_effect = BackendUnavailable(GONE)
    connected = session.Connected(backend=backend, reason="asked for")
    observer = make_observer()

    with pytest.raises(BackendUnavailable) as raised:
        session.carry_out(planned, connected, observer)

    [folder] = planned.request.results.iterdir()
    assert (
        str(raised.value) == f"{GONE}\nwhat has ended is kept; --resume {folder} goes on from there"
    )
    again = replace(planned, request=replace(planned.request, resume=folder))
    with pytest.raises(BackendUnavailable):
        session.carry_out(again, connected, observer)
    assert [record.job for record in store.load_records(folder)] == [planned.jobs[0].id] * 2
