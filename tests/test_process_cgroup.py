"""Where groups are made and what is written into them, on recorded machines."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from runner.backends import job_cgroup, process_tree
from runner.backends.job_cgroup import Hierarchy, JobCgroup
from runner.model import Limits
from tests.host_trees import unpack
from tests.needs import lack

LIMITS = Limits(memory_bytes=2**30, processes=100)
SLICE = "sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice"
V1_MOUNTS = "30 20 0:30 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
V2_MOUNTS = "30 20 0:30 {root} /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_version_1_below_the_runner_s_own_group(tmp_path: Path) -> None:
    root = unpack("virtual-machine", tmp_path)
    groups = root / "sys/fs/cgroup"

    found = job_cgroup.find(root)

    names = ("memory", "pids", "cpuacct", "cpuset")
    assert found == Hierarchy(
        version=1, parents={name: groups / name / "session-1" for name in names}
    )


def test_version_2_beside_the_runner_s_own_group(tmp_path: Path) -> None:
    root = unpack("debian-cgroup-v2", tmp_path)
    place = root / SLICE
    assert job_cgroup.find(root) == Hierarchy(version=2, parents={"memory": place, "pids": place})


def test_version_2_without_controllers_handed_down_says_what_to_do(tmp_path: Path) -> None:
    root = unpack("debian-cgroup-v2", tmp_path)
    (root / SLICE / "cgroup.subtree_control").write_text("pids\n")
    found = job_cgroup.find(root)
    assert isinstance(found, str)
    assert "Delegate=yes" in found


def test_version_2_makes_room_in_a_delegated_group_that_holds_the_runner_alone(
    tmp_path: Path,
) -> None:
    root = unpack("debian-cgroup-v2", tmp_path)
    own = root / SLICE / "run-r3.scope"
    (root / SLICE / "cgroup.subtree_control").write_text("pids\n")
    (own / "cgroup.procs").write_text(f"{os.getpid()}\n")

    job_cgroup.find(root)

    # the kernel, unlike a plain file, would now show "memory pids" there
    assert (own / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert (own / "runner-supervisor/cgroup.procs").read_text() == str(os.getpid())


def test_a_group_with_others_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    root = unpack("debian-cgroup-v2", tmp_path)
    own = root / SLICE / "run-r3.scope"
    (root / SLICE / "cgroup.subtree_control").write_text("")
    (own / "cgroup.procs").write_text(f"{os.getpid()}\n1\n")
    assert isinstance(job_cgroup.find(root), str)
    assert not (own / "runner-supervisor").exists()


def test_no_groups_at_all(tmp_path: Path) -> None:
    found = job_cgroup.find(tmp_path)
    assert isinstance(found, str)
    assert found.startswith("no control groups: ")


@pytest.mark.parametrize(
    ("mount_root", "own", "expected"),
    [
        ("/", "/a/b", "/sys/fs/cgroup/memory/a/b"),
        ("/docker/1", "/docker/1", "/sys/fs/cgroup/memory"),
        ("/docker/1", "/docker/1/x", "/sys/fs/cgroup/memory/x"),
        ("/docker/1", "/docker/2", None),
    ],
)
def test_own_group_as_the_mount_shows_it(mount_root: str, own: str, expected: str | None) -> None:
    first, second = job_cgroup.candidates(
        f"4:memory:{own}\n0::/\n", V1_MOUNTS.format(root=mount_root)
    )
    assert first == ({} if expected is None else {"memory": Path(expected)})
    assert second is None


def test_own_group_of_version_2(tmp_path: Path) -> None:
    first, second = job_cgroup.candidates("0::/x.scope\n", V2_MOUNTS.format(root="/"))
    assert (first, second) == ({}, Path("/sys/fs/cgroup/x.scope"))


def test_settings_of_version_1(tmp_path: Path) -> None:
    root = unpack("virtual-machine", tmp_path)
    hierarchy = job_cgroup.find(root)
    assert isinstance(hierarchy, Hierarchy)
    made = job_cgroup.folders(hierarchy, "runner-job")
    (made["memory"] / "memory.memsw.limit_in_bytes").write_text("0\n")
    assert job_cgroup.settings(hierarchy, made, LIMITS, (0, 1)) == [
        (made["memory"] / "memory.limit_in_bytes", "1073741824"),
        (made["memory"] / "memory.memsw.limit_in_bytes", "1073741824"),
        (made["pids"] / "pids.max", "100"),
        (made["cpuset"] / "cpuset.cpus", "0,1"),
        (made["cpuset"] / "cpuset.mems", "0"),
    ]


def test_a_kernel_that_does_not_account_swap_is_not_asked_to_limit_it(tmp_path: Path) -> None:
    for name, file in (
        ("virtual-machine", "memory.memsw.limit_in_bytes"),
        ("debian-cgroup-v2", "memory.swap.max"),
    ):
        hierarchy = job_cgroup.find(unpack(name, tmp_path / name))
        assert isinstance(hierarchy, Hierarchy)
        made = job_cgroup.folders(hierarchy, "runner-job")
        (made["memory"] / file).unlink(missing_ok=True)
        written = job_cgroup.settings(hierarchy, made, LIMITS, (0,))
        assert file not in {path.name for path, _ in written}


def test_settings_and_counters_of_version_2(tmp_path: Path) -> None:
    root = unpack("debian-cgroup-v2", tmp_path)
    hierarchy = job_cgroup.find(root)
    assert isinstance(hierarchy, Hierarchy)
    made = job_cgroup.folders(hierarchy, "runner-job")
    job = root / SLICE / "runner-job"

    group = JobCgroup(2, made)

    assert job_cgroup.settings(hierarchy, made, LIMITS, (0, 1)) == [
        (job / "memory.max", "1073741824"),
        (job / "memory.swap.max", "0"),
        (job / "pids.max", "100"),
    ]
    assert group.entrances == (job / "cgroup.procs",)
    assert (group.public.memory, group.public.cpu) == (job, job)
    assert (group.oom_kills(), group.process_limit_hits()) == (1, 3)
    assert group.memory_peak_bytes() == 67108864


def test_version_2_gives_cores_where_the_controller_is_handed_down(tmp_path: Path) -> None:
    hierarchy = Hierarchy(version=2, parents=dict.fromkeys(("memory", "pids", "cpuset"), tmp_path))
    made = job_cgroup.folders(hierarchy, "job")
    assert job_cgroup.settings(hierarchy, made, LIMITS, (2, 3))[-1] == (
        tmp_path / "job/cpuset.cpus",
        "2,3",
    )
    assert job_cgroup.settings(hierarchy, made, LIMITS, ())[-1][0].name == "pids.max"


def test_counters_of_version_1_and_none_of_ours_among_them(tmp_path: Path) -> None:
    hierarchy = job_cgroup.find(unpack("virtual-machine", tmp_path))
    assert isinstance(hierarchy, Hierarchy)
    made = job_cgroup.folders(hierarchy, "runner-job")
    group = JobCgroup(1, made)
    assert (group.oom_kills(), group.memory_peak_bytes()) == (1, 67108864)
    assert group.process_limit_hits() == 6
    group.kill()
    (made["pids"] / "pids.events").write_text("max 900\n")
    assert group.process_limit_hits() == 6
    assert (made["pids"] / "pids.max").read_text() == "0"


def test_a_kernel_without_the_counters_is_unknown(tmp_path: Path) -> None:
    group = JobCgroup(2, {"memory": tmp_path, "pids": tmp_path})
    assert (group.oom_kills(), group.process_limit_hits(), group.memory_peak_bytes()) == (
        None, None, None
    )  # fmt: skip


def test_what_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    hierarchy = Hierarchy(version=2, parents={"memory": tmp_path, "pids": tmp_path / "not there"})
    with pytest.raises(FileNotFoundError):
        JobCgroup.make(hierarchy, "job", LIMITS, ())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def unified() -> Path:
    """A real folder of version 2, with or without controllers."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
    if not points or not os.access(points[0], os.W_OK):
        lack("cgroup", "no cgroup v2 that may be written")
    return Path(points[0])


def test_the_kernel_ends_a_group_of_version_2_at_once(unified: Path) -> None:
    folder = unified / f"runner-test-{os.getpid()}"
    folder.mkdir()
    join = f"echo 0 >{folder}/cgroup.procs; echo in; exec sleep 600"
    with subprocess.Popen(("/bin/sh", "-c", join), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        group = JobCgroup(2, {"memory": folder, "pids": folder})
        inside = group.processes()
        assert {entry.pid for entry in inside} == {process.pid}
        if not (folder / "cgroup.kill").exists():
            process_tree.end(group.processes, 0.0)
        group.kill()
        assert process.wait(30) == -9
    assert group.processes() == set()
    assert group.remove()
    assert not folder.exists()
