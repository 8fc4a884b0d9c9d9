"""A control group for each job of the process backend, where this user may make one.

Version 1 has a folder for each controller, version 2 one for all. A job's group is made below
the runner's own, so that limits that already hold for the runner hold for its jobs too.
Sources: Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst of the Linux kernel.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from runner.backends.process_tree import Process, stat
from runner.model import Cgroup, Limits

_V1_NEEDED = ("memory", "pids", "cpuacct")
_V2_NEEDED = ("memory", "pids")
_SUPERVISOR = "runner-supervisor"
_REMOVE_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Hierarchy:
    """Where groups for jobs can be made.

    Attributes:
        parents: controller to the folder below which a job's group goes; the same folder for
            all on version 2. ``cpuset`` may be missing.
    """

    version: int
    parents: dict[str, Path]


def candidates(cgroup_text: str, mountinfo_text: str) -> tuple[dict[str, Path], Path | None]:
    """Return the folders of the runner's own groups: version 1 by controller, and version 2's.

    Args:
        cgroup_text: /proc/self/cgroup.
        mountinfo_text: /proc/self/mountinfo.
    """
    first: dict[str, tuple[str, Path]] = {}
    second: tuple[str, Path] | None = None
    for line in mountinfo_text.splitlines():
        before, _, after = line.partition(" - ")
        mount_root, mount_point = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind == "cgroup":
            for name in options.split(","):
                first[name] = (mount_root, Path(mount_point))
        elif kind == "cgroup2":
            second = (mount_root, Path(mount_point))
    own: dict[str, str] = {}
    for line in cgroup_text.splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    found = {name: _below(*first[name], own[name]) for name in first.keys() & own.keys()}
    v2 = _below(*second, own[""]) if second is not None and "" in own else None
    return {name: path for name, path in found.items() if path is not None}, v2


def _below(mount_root: str, mount_point: Path, path: str) -> Path | None:
    """Return where `path` of /proc/self/cgroup is seen, or None where the mount hides it."""
    try:
        return mount_point / Path(path).relative_to(mount_root)
    except ValueError:
        return None


def find(root: Path = Path("/")) -> Hierarchy | str:
    """Return where this process may make groups, or a sentence that says why nowhere."""
    proc = root / "proc/self"
    try:
        texts = (proc / "cgroup").read_text(), (proc / "mountinfo").read_text()
    except OSError as error:
        return f"no control groups: {error.filename}: {error.strerror}"
    first, second = candidates(*texts)
    first = {name: root / path.relative_to("/") for name, path in first.items()}
    if "memory" in first:
        return _find_v1(first)
    if second is None:
        return "no control groups are mounted"
    return _find_v2(root / second.relative_to("/"), os.getpid())


def _find_v1(own: dict[str, Path]) -> Hierarchy | str:
    parents = {name: own[name] for name in (*_V1_NEEDED, "cpuset") if name in own}
    missing = [name for name in _V1_NEEDED if name not in parents]
    if missing:
        return f"cgroup v1 without the controllers {', '.join(missing)}"
    closed = [str(path) for path in parents.values() if not os.access(path, os.W_OK | os.X_OK)]
    return f"may not write {', '.join(closed)}" if closed else Hierarchy(version=1, parents=parents)


def _find_v2(own: Path, pid: int) -> Hierarchy | str:
    """Look below the runner's own group, then beside it, then make room in a delegated one.

    A group with processes in it cannot hand its controllers down (the "no internal processes"
    rule), which is why the place beside the runner's own is the usual one.
    """
    for folder in (own, own.parent):
        enabled = _words(folder / "cgroup.subtree_control")
        if enabled.issuperset(_V2_NEEDED) and _writable(folder):
            return _v2(folder, enabled)
    if _make_room(own, pid):
        return _v2(own, _words(own / "cgroup.subtree_control"))
    return (
        f"{own} hands no memory and pids controllers down to this user; "
        "`systemd-run --user --scope -p Delegate=yes runner ...` makes a place that does"
    )


def _v2(folder: Path, enabled: set[str]) -> Hierarchy:
    names = (*_V2_NEEDED, "cpuset")
    return Hierarchy(version=2, parents={name: folder for name in names if name in enabled})


def _words(path: Path) -> set[str]:
    try:
        return set(path.read_text().split())
    except OSError:
        return set()


def _writable(folder: Path) -> bool:
    # moving a process needs its common ancestor's cgroup.procs to be writable too
    inside = folder / "cgroup.procs"
    return os.access(folder, os.W_OK | os.X_OK) and os.access(inside, os.W_OK)


def _make_room(own: Path, pid: int) -> bool:
    """Move the runner one level down, where its group was delegated and holds it alone."""
    controllers = _words(own / "cgroup.controllers")
    alone = _words(own / "cgroup.procs") == {str(pid)}
    if not (alone and controllers.issuperset(_V2_NEEDED) and _writable(own)):
        return False
    wanted = [name for name in (*_V2_NEEDED, "cpuset") if name in controllers]
    below = own / _SUPERVISOR
    try:
        below.mkdir(exist_ok=True)
        (below / "cgroup.procs").write_text(str(pid))
        (own / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in wanted))
    except OSError:
        return False
    return True


class JobCgroup:
    """One job's group. Made before the job starts; removed after its last process ended."""

    def __init__(self, version: int, folders: dict[str, Path]) -> None:
        self._version = version
        self._folders = folders
        self._process_limit_hits: int | None = None
        # A thread that moves itself alone needs no lock over all of the machine's processes. The
        # file for that takes any process, such as the stub, on version 1 only.
        self._entrance = "tasks" if version == 1 else "cgroup.procs"

    @classmethod
    def make(
        cls, hierarchy: Hierarchy, name: str, limits: Limits, cores: tuple[int, ...]
    ) -> JobCgroup:
        """Make the folders and write the limits.

        Raises:
            OSError: the kernel refused; nothing is left behind.
        """
        group = cls(hierarchy.version, folders(hierarchy, name))
        try:
            for folder in group.paths:
                folder.mkdir()
            for path, value in settings(hierarchy, group._folders, limits, cores):
                path.write_text(value)
        except OSError:
            group.remove()
            raise
        return group

    @property
    def paths(self) -> tuple[Path, ...]:
        """Each folder once."""
        return tuple(dict.fromkeys(self._folders.values()))

    @property
    def entrances(self) -> tuple[Path, ...]:
        """The files that a process writes itself into."""
        return tuple(folder / self._entrance for folder in self.paths)

    @property
    def public(self) -> Cgroup:
        """The folders that a sampler reads."""
        memory = self._folders["memory"]
        return Cgroup(
            version=self._version, memory=memory, cpu=self._folders.get("cpuacct", memory)
        )

    def processes(self) -> set[Process]:
        """Return who is inside: the same in each folder, since the stub joins all or ends."""
        return inside(self._folders["pids"])

    def kill(self) -> None:
        """Do as ``kill`` below; forks that are refused from now on are not counted."""
        self._process_limit_hits = self.process_limit_hits()
        kill(self.paths)

    def oom_kills(self) -> int | None:
        """Return how many processes the kernel ended for this group's memory."""
        name = "memory.oom_control" if self._version == 1 else "memory.events"
        return _keyed(self._folders["memory"] / name, "oom_kill")

    def process_limit_hits(self) -> int | None:
        """Return how many forks the kernel refused, not counting those after ``kill``."""
        if self._process_limit_hits is not None:
            return self._process_limit_hits
        return _keyed(self._folders["pids"] / "pids.events", "max")

    def memory_peak_bytes(self) -> int | None:
        """Return the kernel's high-water mark; None before Linux 5.19 on version 2."""
        name = "memory.max_usage_in_bytes" if self._version == 1 else "memory.peak"
        try:
            return int((self._folders["memory"] / name).read_text())
        except OSError:
            return None

    def remove(self) -> bool:
        """Remove the folders; True where none is left."""
        return remove(self.paths)


def folders(hierarchy: Hierarchy, name: str) -> dict[str, Path]:
    """Return the folder of each controller for a job's group."""
    return {controller: parent / name for controller, parent in hierarchy.parents.items()}


def settings(
    hierarchy: Hierarchy, made: dict[str, Path], limits: Limits, cores: tuple[int, ...]
) -> list[tuple[Path, str]]:
    """Return what is written where, in order. A file that this kernel lacks is left out."""
    memory, pids = made["memory"], made["pids"]
    size = str(limits.memory_bytes)
    if hierarchy.version == 1:
        # memsw counts memory and swap together: the same number leaves no swap on top
        table = [
            (memory / "memory.limit_in_bytes", size),
            (memory / "memory.memsw.limit_in_bytes", size),
        ]
    else:
        table = [(memory / "memory.max", size), (memory / "memory.swap.max", "0")]
    table.append((pids / "pids.max", str(limits.processes)))
    if "cpuset" in made:
        table += _cpuset(hierarchy, made["cpuset"], ",".join(map(str, cores)))
    optional = ("memory.memsw.limit_in_bytes", "memory.swap.max")
    return [(path, value) for path, value in table if path.name not in optional or path.exists()]


def _cpuset(hierarchy: Hierarchy, made: Path, cores: str) -> list[tuple[Path, str]]:
    """Return a job's cores; on version 1 a group takes no process before it has both kinds."""
    if hierarchy.version == 2:
        return [(made / "cpuset.cpus", cores)] if cores else []
    parent = hierarchy.parents["cpuset"]
    return [
        (made / "cpuset.cpus", cores or (parent / "cpuset.effective_cpus").read_text().strip()),
        (made / "cpuset.mems", (parent / "cpuset.effective_mems").read_text().strip()),
    ]


def inside(folder: Path) -> set[Process]:
    """Return the living processes of one folder; none where it has gone."""
    found = (stat(int(word)) for word in _words(folder / "cgroup.procs"))
    return {entry.process for entry in found if entry is not None}


def kill(paths: tuple[Path, ...]) -> None:
    """Stop groups from growing and end them, as far as the kernel does so at once.

    Version 1 has no file that kills; with no fork allowed, one signal to each is enough.
    """
    for path in paths:
        for name, value in (("pids.max", "0"), ("cgroup.kill", "1")):  # Linux 4.3 and 5.14
            if (path / name).exists():
                with contextlib.suppress(OSError):
                    (path / name).write_text(value)


def remove(paths: tuple[Path, ...]) -> bool:
    """Remove groups; a group stays busy for a moment after its last process ended."""
    deadline = time.monotonic() + _REMOVE_S
    left = [path for path in paths if path.exists()]
    while left:
        for path in left:
            with contextlib.suppress(OSError):
                path.rmdir()
        left = [path for path in left if path.exists()]
        if left and time.monotonic() > deadline:
            return False
        if left:
            time.sleep(0.01)
    return True


def _keyed(path: Path, key: str) -> int | None:
    """Return a value of a file of lines ``key value``; None where file or key is missing."""
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return int(value)
    return None
