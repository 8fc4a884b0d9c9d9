"""Jobs as ordinary processes in virtual environments: what is left where no engine answers.

Memory, processes and cores are kept within limits by a control group where this user may make
one, else by a thread that looks ten times a second. Not kept: network access, and the sizes of
scratch space and shared memory; ``describe`` says so.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import uv

from runner.backends import (
    PrepareError,
    environments,
    host_needs,
    job_cgroup,
    job_state,
    process_tree,
    stand_in,
)
from runner.backends.job_cgroup import Hierarchy, JobCgroup
from runner.backends.job_state import JobState, Owned
from runner.backends.process_job import GRACE_S, ProcessJob, Start
from runner.backends.process_tree import MARK
from runner.errors import BackendUnavailable, RunnerError
from runner.model import BuildLimits, Environment, Image, Launch, Status

_SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
_PREFIX = "runner-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cache:
    """Folders that outlive a runner."""

    root: Path

    @property
    def environments(self) -> Path:
        """Virtual environments by name and hash."""
        return self.root / "environments"

    @property
    def scripts(self) -> Path:
        """Copies of the project's scripts by hash; the scripts are in scripts/ of each."""
        return self.root / "scripts"

    @property
    def jobs(self) -> Path:
        """A file for each job that is not finished."""
        return self.root / "jobs"


def cache_folder() -> Path:
    """Return ``runner`` in the user's cache folder (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".cache") / "runner"


def connect(root: Path, wheel_folders: tuple[Path, ...]) -> ProcessBackend:
    """Find the tools.

    Raises:
        BackendUnavailable: this is no Linux, or uv's program is not there.
    """
    if platform.system() != "Linux":
        msg = f"the process backend needs Linux, and this is {platform.system()}"
        raise BackendUnavailable(msg)
    try:
        uv.find_uv_bin()
    except FileNotFoundError as error:
        msg = f"uv's program is not there ({error}); reinstall the package `uv`"
        raise BackendUnavailable(msg) from None
    return ProcessBackend(root, wheel_folders, Cache(root=cache_folder()), job_cgroup.find())


class ProcessBackend:
    """``runner.backends.Backend`` without an engine."""

    name = "process"

    def __init__(
        self,
        root: Path,
        wheel_folders: tuple[Path, ...],
        cache: Cache,
        hierarchy: Hierarchy | str,
    ) -> None:
        """Take `hierarchy` from ``job_cgroup.find``: a place for groups, or why there is none."""
        self._root = root
        self._wheel_folders = wheel_folders
        self._cache = cache
        self._hierarchy = hierarchy
        self._here = job_state.this_owner()

    def describe(self) -> dict[str, str]:
        """Return versions, how limits are kept, and what is not kept."""
        if isinstance(self._hierarchy, Hierarchy):
            limits = f"cgroup v{self._hierarchy.version}"
        else:
            limits = f"polling ({self._hierarchy})"
        told = {
            "uv": environments.uv_version(),
            "kernel": platform.release(),
            "limits": limits,
            "not_enforced": "network, scratch_bytes, shared_memory_bytes",
        }
        if libc := host_needs.libc_version():
            told["libc"] = libc
        if shutil.which("setpriv") is None:
            told["parent_death_signal"] = "no setpriv: a killed runner's job ends at the next sweep"
        return told

    def no_way_to_gpus(self) -> str:
        """Say nothing: a job here has what the machine has."""
        return ""

    def sweep(self) -> list[str]:
        """End and remove what a dead runner left behind; say each in a sentence."""
        said = []
        for path in sorted(self._cache.jobs.glob("*.json")):
            state = job_state.read(path)
            if state is None:
                continue
            owned = job_state.owned(state, self._here)
            if owned is Owned.ALIVE:
                continue
            said.append(self._remove(state, path, processes=owned is Owned.DEAD))
        return said

    def _remove(self, state: JobState, path: Path, *, processes: bool) -> str:
        job = f"job {state.id} of a runner that has gone (pid {state.owner.process.pid})"
        groups = tuple(map(Path, state.cgroups))
        if processes:
            left = _end(state, groups)
            if left:
                pids = ", ".join(str(process.pid) for process in sorted(left, key=_pid))
                return f"{job}: could not end process {pids}; left for the next sweep"
            if not job_cgroup.remove(groups):
                return f"{job}: could not remove {', '.join(state.cgroups)}"
        shutil.rmtree(state.folder, ignore_errors=True)
        path.unlink(missing_ok=True)
        return f"{job}: ended and removed"

    def prepare(self, image: Image, limits: BuildLimits, say: Callable[[str], None]) -> Environment:
        """Make the image's virtual environment, or take the one that is there.

        Where its packages cannot be had, and RUNNER_STAND_IN is set, an interpreter that holds
        them all stands in for it; never unasked, since no hash is compared then.
        """
        recipe = environments.recipe(image, self._wheel_folders)
        stand: stand_in.StandIn | None = None
        folder = self._cache.environments
        try:
            folder = environments.make(recipe, folder, limits, say)
        except PrepareError as error:
            if error.status is not Status.BUILD_FAILED or not os.environ.get("RUNNER_STAND_IN"):
                raise
            found = stand_in.find(image)
            if isinstance(found, str):
                raise
            stand = found
            say(f"{error}; {stand.folder} holds what is locked, and stands in for it")
        digest = environments.copy_scripts(self._root, self._cache.scripts)
        if stand is None:
            return environments.environment(recipe, folder, digest)
        return self._standing(image, stand, environments.environment(recipe, stand.folder, digest))

    def _standing(self, image: Image, stand: stand_in.StandIn, made: Environment) -> Environment:
        words = (
            f"stand-in: {stand.folder}, CPython {stand.version}, holds the lock's packages at their"
            " versions; nothing was installed, hashes were not compared"
        )
        facts = {**made.facts, "interpreter": f"CPython {stand.version}", "environment": words}
        return replace(made, digest=stand.digest(image), facts=facts)

    def start(self, launch: Launch) -> ProcessJob:
        """Start one process in an environment, limited as `launch` says.

        Raises:
            RunnerError: it could not be started; nothing is left behind.
        """
        name = _PREFIX + quote(launch.id, safe="")
        folder = Path(tempfile.gettempdir()) / f"{name}-{uuid.uuid4().hex[:8]}"
        groups = self._group_folders(name)
        state = JobState(
            id=launch.id, owner=self._here, folder=str(folder), cgroups=tuple(map(str, groups))
        )
        path = self._cache.jobs / f"{quote(launch.id, safe='')}.json"
        self._claim(path, state)
        group: JobCgroup | None = None
        try:
            group = self._make(launch, name, folder)
            variables = self._variables(launch, folder)
            return ProcessJob(
                Start(
                    command=self._command(launch, variables["PATH"]),
                    variables=variables,
                    cores=launch.cores,
                    limits=launch.limits,
                    state=state,
                    state_path=path,
                ),
                group,
            )
        except RunnerError:
            if group is not None:
                group.remove()
            shutil.rmtree(folder, ignore_errors=True)
            path.unlink(missing_ok=True)
            raise

    def _group_folders(self, name: str) -> tuple[Path, ...]:
        if not isinstance(self._hierarchy, Hierarchy):
            return ()
        return tuple(dict.fromkeys(job_cgroup.folders(self._hierarchy, name).values()))

    def _claim(self, path: Path, state: JobState) -> None:
        """Write the job down before anything is made for it."""
        if path.exists():
            msg = f"job {state.id!r} is already under way, or was left behind ({path}); sweep first"
            raise RunnerError(msg)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            job_state.write(path, state)
        except OSError as error:
            msg = f"{path}: {error.strerror}; the job cannot be written down, so is not started"
            raise RunnerError(msg) from None

    def _make(self, launch: Launch, name: str, folder: Path) -> JobCgroup | None:
        """Make the job's folders and its control group."""
        try:
            for place in (folder, folder / "home", folder / "tmp"):
                place.mkdir(mode=0o700)
            if not isinstance(self._hierarchy, Hierarchy):
                return None
            return JobCgroup.make(self._hierarchy, name, launch.limits, launch.cores)
        except OSError as error:
            msg = f"job {launch.id!r}: {error.filename}: {error.strerror}"
            raise RunnerError(msg) from None

    def _command(self, launch: Launch, path: str) -> tuple[str, ...]:
        if launch.command is not None:
            program = shutil.which(launch.command[0], path=path)
            return (program or launch.command[0], *launch.command[1:])
        environment = launch.environment
        scripts = self._cache.scripts / environment.scripts_sha256 / "scripts"
        script = scripts / environment.image.script
        if not script.is_file():
            msg = f"{script}: the copy of the script is not there; prepare {environment.image.name}"
            raise RunnerError(msg)
        return (str(Path(environment.location) / "bin/python"), str(script))

    def _variables(self, launch: Launch, folder: Path) -> dict[str, str]:
        """Return the whole environment, made from nothing; the last to say something is heard."""
        image = launch.environment.image
        found = filter(None, map(shutil.which, image.host_needs.programs))
        places = (
            str(Path(launch.environment.location) / "bin"),
            *(str(Path(program).parent) for program in found),
            *_SYSTEM_PATH,
        )
        variables = {"PATH": os.pathsep.join(dict.fromkeys(places)), "LANG": "C.UTF-8"}
        variables |= image.environment | launch.variables
        if launch.data_file is not None:
            variables["RUNNER_DATA_FILE"] = str(launch.data_file.absolute())
        own = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), MARK: launch.id}
        return variables | own


def _pid(process: process_tree.Process) -> int:
    return process.pid


def _end(state: JobState, groups: tuple[Path, ...]) -> set[process_tree.Process]:
    """End every process of a dead runner's job; return who could not be ended."""

    def find() -> set[process_tree.Process]:
        found = process_tree.marked(state.id)
        for folder in groups:
            found |= job_cgroup.inside(folder)
        if state.process is not None and process_tree.alive(state.process):
            found |= process_tree.Tree(state.process, state.id).find()
        return found

    return process_tree.end(find, GRACE_S, lambda: job_cgroup.kill(groups))
