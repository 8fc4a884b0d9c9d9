"""What else happened on a job's cores: counters of /proc and /sys, and what is made of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from runner.model import GpuUse, Load, Tolerance
from runner.telemetry.disturbance import excesses
from runner.telemetry.load import (
    CoreTimes,
    Edge,
    LoadWatcher,
    load,
    parse_cores,
    parse_stalled_s,
    read_edge,
)

PAGE = os.sysconf("SC_PAGE_SIZE")
STAT = """\
cpu  300 0 300 1000 40 0 0 20 0 0
cpu0 100 0 200 600 30 0 0 15 0 0
cpu1 200 0 100 400 10 0 0 5 0 0
intr 5 0 1
"""


def edge(time_s: float, job_s: float | None = 0.0, idle_s: float = 0.0, **more: object) -> Edge:
    """Return an edge of two cores that have been idle for `idle_s` each."""
    fields: dict[str, object] = {
        "time_s": time_s,
        "job_s": job_s,
        "own_s": 0.0,
        "cores": dict.fromkeys((0, 1), CoreTimes(idle_s=idle_s, steal_s=0.0)),
        "swapped_pages": 0,
        "stalled_s": 0.0,
        "throttle_events": None,
    }
    return Edge(**{**fields, **more})  # type: ignore[arg-type]


def test_each_core_is_read_by_itself() -> None:
    cores = parse_cores(STAT, 100)

    assert cores == {
        0: CoreTimes(idle_s=6.3, steal_s=0.15),
        1: CoreTimes(idle_s=4.1, steal_s=0.05),
    }


def test_pressure_of_older_kernels_is_unknown() -> None:
    text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=45553\nfull avg10=0.00 total=7\n"

    assert parse_stalled_s(text) == pytest.approx(0.045553)
    assert parse_stalled_s("") is None


def test_others_are_what_is_neither_idle_nor_stolen_nor_the_job_s_nor_our_own() -> None:
    cores = dict.fromkeys((0, 1), CoreTimes(idle_s=1.0, steal_s=0.5))

    found = load(edge(0.0), edge(10.0, job_s=14.0, cores=cores, own_s=0.6))

    # 20 s of two cores, less 2 idle, 1 stolen, 14 of the job, 0.6 of the runner
    assert found.others_share == pytest.approx(2.4 / 20)
    assert found.steal_share == pytest.approx(1 / 20)
    assert found.window_s == 10


def test_a_job_that_is_counted_to_the_tick_leaves_nobody_negative() -> None:
    assert load(edge(0.0), edge(10.0, job_s=20.01)).others_share == 0


def test_too_short_a_stretch_says_nothing_of_shares() -> None:
    found = load(edge(0.0), edge(0.5, job_s=0.1, swapped_pages=3))

    assert (found.others_share, found.steal_share, found.stall_share) == (None, None, None)
    assert found.swapped_bytes == 3 * PAGE


def test_a_job_whose_time_is_not_to_be_seen_leaves_the_others_unknown() -> None:
    found = load(edge(0.0, job_s=None), edge(10.0, job_s=None))

    assert found.others_share is None
    assert found.steal_share == 0


def write(root: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_everything_is_read_below_the_root(tmp_path: Path) -> None:
    cpu = "sys__devices__system__cpu__cpu"
    write(
        tmp_path,
        proc__stat=STAT,
        proc__vmstat="pgpgin 7\npswpin 2\npswpout 3\n",
        proc__pressure__memory="some avg10=0.00 total=2000000\n",
        **{
            f"{cpu}0__thermal_throttle__core_throttle_count": "1\n",
            f"{cpu}1__thermal_throttle__core_throttle_count": "2\n",
            f"{cpu}0__thermal_throttle__package_throttle_count": "10\n",
            f"{cpu}1__thermal_throttle__package_throttle_count": "10\n",
            f"{cpu}0__topology__physical_package_id": "0\n",
            f"{cpu}1__topology__physical_package_id": "0\n",
        },
    )

    found = read_edge(tmp_path, (0, 1), 1.5)

    assert found.swapped_pages == 5
    assert found.stalled_s == 2.0
    assert found.throttle_events == 13  # a package's events are its cores' together
    assert set(found.cores) == {0, 1}


def test_an_empty_machine_knows_nothing(tmp_path: Path) -> None:
    watcher = LoadWatcher((0,), lambda: None, root=tmp_path)
    watcher.start()
    watcher.begin()
    watcher.end()
    watcher.stop()
    found = watcher.result()

    assert found is not None
    assert found == Load(window_s=found.window_s)


def test_clocks_are_read_while_it_measures_and_held_against_the_nominal(tmp_path: Path) -> None:
    base = "sys__devices__system__cpu__cpu0__cpufreq__"
    write(tmp_path, **{f"{base}scaling_cur_freq": "1200000", f"{base}base_frequency": "2400000"})
    watcher = LoadWatcher((0,), lambda: None, root=tmp_path, interval_s=0.002)
    watcher.start()
    watcher.begin()
    deadline = time.monotonic() + 30
    while not watcher._clocks and time.monotonic() < deadline:
        time.sleep(0.002)
    watcher.end()
    watcher.stop()
    found = watcher.result()

    assert found is not None
    assert found.readings >= 1
    assert (found.frequency_hz, found.nominal_hz) == (1.2e9, 2.4e9)
    assert excesses(found, None, Tolerance()) == (
        "its cores ran at 1.20 GHz, below 75% of their 2.40 GHz",
    )


def test_this_machine_is_read_and_a_job_that_never_ended_measuring_has_no_load() -> None:
    watcher = LoadWatcher((0,), lambda: 0.0)
    watcher.start()
    watcher.begin()
    assert watcher.result() is None
    watcher.end()
    watcher.stop()
    found = watcher.result()

    assert found is not None
    assert found.swapped_bytes is not None


@pytest.mark.parametrize(
    ("load_of", "said"),
    [
        ({"others_share": 0.101}, "others used 10.1% of its cores' time, more than 10%"),
        ({"steal_share": 0.2}, "the hypervisor took 20.0% of its cores' time, more than 5%"),
        ({"stall_share": 0.06}, "processes waited for memory 6.0% of it, more than 5%"),
        ({"swapped_bytes": 3 * 1024**2}, "3.0 MiB went to or from swap, more than 1"),
        ({"throttle_events": 4}, "its cores slowed themselves down 4 times for heat or power"),
    ],
)
def test_each_excess_is_told_with_its_figure(load_of: dict[str, float], said: str) -> None:
    found = Load(window_s=10.0, **load_of)  # type: ignore[arg-type]

    assert excesses(found, None, Tolerance()) == (said,)
    nothing = Tolerance(
        others_share=None, steal_share=None, stall_share=None, swapped_bytes=None, throttled=False
    )
    assert excesses(found, None, nothing) == ()


def test_what_is_within_bounds_or_unknown_disturbs_nobody() -> None:
    fine = Load(window_s=10.0, others_share=0.1, steal_share=0.0, swapped_bytes=0)

    assert excesses(fine, None, Tolerance()) == ()
    assert excesses(Load(window_s=10.0), GpuUse(uuid="GPU-1"), Tolerance()) == ()
    assert excesses(None, None, Tolerance()) == ()


def test_a_gpu_disturbs_by_its_clock_its_heat_and_its_other_guests() -> None:
    gpu = GpuUse(
        uuid="GPU-1",
        clock_hz=0.7e9,
        nominal_hz=1.0e9,
        throttle_reasons=("hw_thermal_slowdown", "sw_power_cap"),
        others=1,
    )

    assert excesses(None, gpu, Tolerance()) == (
        "the GPU's processors ran at 0.70 GHz, below 75% of their 1.00 GHz",
        "the GPU slowed itself down: hw_thermal_slowdown",
        "1 other process computed on the GPU",
    )
