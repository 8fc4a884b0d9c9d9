from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from runner.telemetry import disturbance, host
from runner.telemetry.host import HostFacts
from tests.host_trees import unpack

GIB = 1024**3


@pytest.fixture
def laptop(tmp_path: Path) -> HostFacts:
    return host.read(unpack("intel-laptop", tmp_path))


@pytest.fixture
def server(tmp_path: Path) -> HostFacts:
    return host.read(unpack("amd-server", tmp_path))


@pytest.fixture
def guest(tmp_path: Path) -> HostFacts:
    return host.read(unpack("virtual-machine", tmp_path))


@pytest.fixture
def board(tmp_path: Path) -> HostFacts:
    return host.read(unpack("debian-cgroup-v2", tmp_path))


def test_laptop_with_intel_pstate(laptop: HostFacts) -> None:
    assert laptop.cpu_model == "Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz"
    assert (laptop.physical_cores, laptop.logical_cores, laptop.smt) == (4, 8, True)
    assert laptop.siblings == ((0, 4), (1, 5), (2, 6), (3, 7))
    assert (laptop.governor, laptop.turbo) == ("powersave", True)
    assert (laptop.frequency_min_hz, laptop.frequency_max_hz) == (400_000_000, 4_200_000_000)
    assert laptop.memory_gib == 15
    assert laptop.swap_bytes == 8388604 * 1024
    assert laptop.mitigations["meltdown"] == "Mitigation: PTI"
    assert (laptop.cgroup_version, laptop.numa_nodes, laptop.virtualised) == (2, 1, False)
    assert laptop.transparent_hugepages == "always"
    assert laptop.os_release == "Debian GNU/Linux 12 (bookworm)"


def test_server_with_two_nodes_and_boost_off(server: HostFacts) -> None:
    assert (server.physical_cores, server.logical_cores, server.smt) == (16, 16, False)
    assert (server.governor, server.turbo, server.numa_nodes) == ("performance", False, 2)
    assert server.memory_bytes == 263856540 * 1024
    assert server.swap_bytes == 0


def test_guest_of_a_hypervisor_shows_no_frequencies(guest: HostFacts) -> None:
    assert (guest.cpu_model, guest.virtualised, guest.cgroup_version) == ("AMD EPYC", True, 1)
    assert (guest.physical_cores, guest.logical_cores, guest.smt) == (2, 2, False)
    assert (guest.governor, guest.turbo) == (None, None)
    assert (guest.frequency_min_hz, guest.frequency_max_hz) == (None, None)
    assert guest.kernel == "6.18.44-fc-v657"
    assert guest.mitigations["spectre_v2"].startswith("Mitigation: Retpolines; STIBP: disabled")


def test_board_says_neither_model_nor_hypervisor(board: HostFacts) -> None:
    assert board.cpu_model is None
    assert board.virtualised is None
    assert (board.cgroup_version, board.numa_nodes, board.smt) == (2, None, False)
    assert board.mitigations == {}


def test_an_empty_tree_is_unknown_throughout(tmp_path: Path) -> None:
    facts = host.read(tmp_path)
    empty = {None, ()}
    told = {
        field.name: getattr(facts, field.name)
        for field in dataclasses.fields(facts)
        if field.name != "mitigations" and getattr(facts, field.name) not in empty
    }
    assert told == {}
    assert facts.mitigations == {}
    assert disturbance.disturbances(facts) == ()


def test_this_machine_can_be_read() -> None:
    facts = host.read()
    assert facts.logical_cores == os.cpu_count()
    assert facts.kernel == os.uname().release
    assert facts.memory_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0", (0,)), ("0-2,5", (0, 1, 2, 5)), ("0,4", (0, 4)), ("", ()), ("3-3", (3,))],
)
def test_kernel_lists(text: str, numbers: tuple[int, ...]) -> None:
    assert host.parse_list(text) == numbers


def test_fingerprint_ignores_what_changes_by_itself(laptop: HostFacts) -> None:
    assert laptop.memory_bytes is not None
    later = dataclasses.replace(laptop, load_average=7.0, memory_bytes=laptop.memory_bytes - 4096)
    assert host.fingerprint(later) == host.fingerprint(laptop)
    assert host.differences(laptop, later) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"governor": "performance"}, "governor: 'powersave' and 'performance'"),
        ({"turbo": False}, "turbo: True and False"),
        ({"kernel": "6.1.0-27-amd64"}, "kernel: '6.1.0-26-amd64' and '6.1.0-27-amd64'"),
        ({"memory_bytes": 32 * GIB}, "memory_gib: 15 and 32"),
        ({"logical_cores": 4}, "logical_cores: 8 and 4"),
        ({"virtualised": None}, "virtualised: False and None"),
    ],
)
def test_fingerprint_tells_machines_apart_and_says_how(
    laptop: HostFacts, change: dict[str, Any], said: str
) -> None:
    other = dataclasses.replace(laptop, **change)
    assert host.fingerprint(other) != host.fingerprint(laptop)
    assert host.differences(laptop, other) == (said,)


def test_each_mitigation_that_differs_is_named(laptop: HostFacts) -> None:
    other = dataclasses.replace(
        laptop, mitigations={**laptop.mitigations, "mds": "Vulnerable", "srbds": "Not affected"}
    )
    assert host.differences(laptop, other) == (
        "mitigations.mds: 'Mitigation: Clear CPU buffers; SMT vulnerable' and 'Vulnerable'",
        "mitigations.srbds: None and 'Not affected'",
    )


def test_a_server_made_ready_disturbs_nothing(server: HostFacts) -> None:
    assert disturbance.disturbances(server, job_cores=(0, 1)) == ()


def test_a_laptop_disturbs_in_every_way_it_can(laptop: HostFacts) -> None:
    problems = [advice.problem for advice in disturbance.disturbances(laptop, job_cores=(1, 2))]
    expected = [
        "frequency governor 'powersave'",
        "turbo is on",
        "swap is on (8.0 GiB)",
        "simultaneous multithreading is on: cores 1,5 share",
        "load average 0.62",
    ]
    assert len(problems) == len(expected)
    for problem, start in zip(problems, expected, strict=True):
        assert problem.startswith(start)


def test_a_measured_load_goes_before_the_average(laptop: HostFacts) -> None:
    quiet = disturbance.disturbances(laptop, others_cores=0.02)
    busy = disturbance.disturbances(laptop, others_cores=0.5)
    assert not any("load average" in advice.problem for advice in quiet)
    assert any(advice.problem.startswith("others keep 0.50 cores busy") for advice in busy)


def test_a_guest_and_a_sampler_without_a_core_of_its_own(guest: HostFacts) -> None:
    problems = [a.problem for a in disturbance.disturbances(guest, job_cores=(0, 1))]
    assert any("memory sampler shares one" in problem for problem in problems)
    assert any("virtual machine" in problem for problem in problems)
    one = [a.problem for a in disturbance.disturbances(guest, job_cores=(0,))]
    assert not any("memory sampler" in problem for problem in one)


def test_every_advice_says_what_to_do(laptop: HostFacts, guest: HostFacts) -> None:
    for facts in (laptop, guest):
        assert all(advice.remedy for advice in disturbance.disturbances(facts))


def test_busy_time_leaves_idle_and_waiting_out() -> None:
    text = "cpu  100 20 30 9000 500 1 4 45 7 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
    assert disturbance.parse_busy_s(text, 100) == pytest.approx(2.0)


def test_busy_time_of_this_machine_grows_with_work() -> None:
    before, own = disturbance.busy_s(), os.times()
    while os.times().user - own.user < 0.3:
        sum(range(10_000))
    assert disturbance.busy_s() - before >= 0.2


def test_others_are_what_is_left_of_the_machine() -> None:
    assert disturbance.others_cores(machine_s=12.0, own_s=9.0, wall_s=10.0) == pytest.approx(0.3)
    assert disturbance.others_cores(machine_s=9.99, own_s=10.0, wall_s=10.0) == 0.0
