"""Does being watched change a job's speed? Windows of one launch beside windows of another.

    python -m benchmarks.perturbation [--image NAME] [--launches 10] [--what sampler]
                                      [--cores 1] [--output FILE]

`runner`: a launch watched as always and a bare `docker run` of the very same command work on the
same cores in turns, a few seconds each, the other one paused, and the runner with it. `sampler`:
within a launch the control group is read as in every job (ten times a second) for some steps, not
read for as many, and so on. Each window is compared with the one beside it, so that what moves the
machine's speed more slowly is no part of it; steps that a window's edge cuts do not count. The
ratio is that of the step times, with its interval over pairs of windows. `--cores` leaves the
others to the runner, where there are any. Raw seconds go to FILE as JSON.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from runner import contract, session
from runner.backends import Backend, Running
from runner.backends.docker_options import JOB_LABEL
from runner.config import load_images, wheel_folders
from runner.contract import Listener, Progress, Transcript
from runner.model import BuildLimits, Cell, Environment, Job, Launch, Limits, Sampling
from runner.request import choose_cores
from runner.stats.compare import compare_pairs
from runner.telemetry import cgroup
from runner.telemetry.sampler import MemorySampler
from runner.watching import watch
from runner.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent
STEPS = {"cifar10-cnn": (5, 500), "vgg16": (2, 80)}
WINDOW_S = {"cifar10-cnn": 0.7, "vgg16": 4.0}
# by how much the steps may fail to fill the time that they took, as seen from here
GAP_S = 0.3
KNOWN = ("already paused", "not paused", "not running", "No such container")
Pair = tuple[list[float], list[float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What is launched, and where."""

    backend: Backend
    environment: Environment
    workload: str
    launches: int
    cores: tuple[int, ...]

    def launch(self, label: str) -> Launch:
        """Return one launch, of a minute or so."""
        warmup, steps = STEPS[self.workload]
        limits = Limits(memory_bytes=8 * 1024**3, cores=len(self.cores))
        cell = Cell(
            suite="perturbation",
            image=self.environment.image.name,
            workload=self.workload,
            protocol="fair",
            parameters=WORKLOADS[self.workload].defaults(),
        )
        sampling = Sampling(
            launches=self.launches, warmup_steps=warmup, measure_steps=steps, measure_limit_s=600
        )
        job = Job(id=label, cell=cell, launch=0, sampling=sampling, limits=limits, cores=self.cores)
        return Launch(
            id=f"perturbation-{self.workload}-{label}-{os.getpid()}",
            environment=self.environment,
            variables=contract.variables(job),
            limits=limits,
            cores=self.cores,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A stretch of time, in seconds of the monotonic clock, and what was so in it."""

    begin_s: float
    end_s: float
    kind: str


@dataclass(kw_only=True)
class Followed:
    """A launch, and when its measured steps began and ended, in seconds of the monotonic clock."""

    said: Transcript | None = None
    edges_s: dict[str, float] = field(default_factory=dict)
    begun: threading.Event = field(default_factory=threading.Event)

    def heard(self, what: Progress | str, time_s: float | None = None) -> None:
        """Note the edges of the measured steps, of all that a launch says at once."""
        if isinstance(what, str) and what.endswith(" measure"):
            self.edges_s[what.split()[0]] = time_s or time.monotonic()
            self.begun.set()

    def steps_in(self, window: Window) -> list[float]:
        """Return the steps that lie in the window from their start to their end."""
        steps = self._steps()
        ends = (self.edges_s["begin"] + np.cumsum(steps)).tolist()
        return [
            step
            for step, end in zip(steps, ends, strict=True)
            if window.begin_s <= end - step and end <= window.end_s
        ]

    def gap_s(self) -> float:
        """Return by how much the steps fail to fill the time from their begin to their end."""
        return abs(self.edges_s["end"] - self.edges_s["begin"] - sum(self._steps()))

    def _steps(self) -> tuple[float, ...]:
        said = self.said
        if said is None or said.problems or not said.finished:
            sys.exit(f"a launch failed: {said and (said.error or said.problems)}")
        return said.samples[0].measured_s


class _Telling:
    """A backend that tells what it started."""

    def __init__(self, backend: Backend, tell: Callable[[Running], None]) -> None:
        self.name = backend.name
        self.describe = backend.describe
        self.no_way_to_gpus = backend.no_way_to_gpus
        self.sweep = backend.sweep
        self.prepare = backend.prepare
        self._backend = backend
        self._tell = tell

    def start(self, launch: Launch) -> Running:
        running = self._backend.start(launch)
        self._tell(running)
        return running


def against_bare(setting: Setting, window_s: float) -> list[Pair]:
    """Measure a watched and a bare launch in turns."""
    found = []
    for label in map(str, range(setting.launches)):
        hears, tells = multiprocessing.Pipe(duplex=False)
        # Forked: what is watching can be stopped then as a whole, as the bare side has nobody.
        launch, name = setting.launch(label), f"perturbation-bare-{label}-{os.getpid()}"
        runner = multiprocessing.get_context("fork").Process(
            target=_watch_and_tell, args=(launch, setting.backend, tells)
        )
        runner.start()
        tells.close()
        command = hears.recv()
        ours = f"label={JOB_LABEL}={launch.id}"
        containers = {"watched": _docker("ps", "--quiet", "--filter", ours), "bare": name}
        watched, bare = Followed(), Followed()
        with ThreadPoolExecutor(2) as pool:
            working = [
                pool.submit(_follow, hears, watched),
                pool.submit(_start_bare, command, name, bare),
            ]
            for side in (watched, bare):
                side.begun.wait(timeout=600)
            turns = _Turns(containers, runner.pid or 0)
            try:
                windows = _in_turns(("watched", "bare"), window_s, turns.turn, working)
            finally:
                turns.end()
        runner.join()
        found += _pairs(windows, {"watched": watched, "bare": bare})
    return found


class _Turns:
    """Two containers that work in turns, and the process that watches the first."""

    def __init__(self, containers: Mapping[str, str], runner: int) -> None:
        self._containers = containers
        self._runner = runner

    def turn(self, kind: str) -> None:
        """Pause the other one, and let this one work."""
        if kind == "bare":
            os.kill(self._runner, signal.SIGSTOP)
        for name, container in self._containers.items():
            if name != kind:
                _docker("pause", container)
        _docker("unpause", self._containers[kind])
        if kind == "watched":
            os.kill(self._runner, signal.SIGCONT)

    def end(self) -> None:
        """Let both work to their ends."""
        for container in self._containers.values():
            _docker("unpause", container)
        os.kill(self._runner, signal.SIGCONT)


def against_unread(setting: Setting, window_s: float) -> list[Pair]:
    """Measure steps while the control group is read beside steps while it is not."""
    found = []
    for label in map(str, range(setting.launches)):
        followed = Followed()
        started: Future[Running] = Future()
        telling = _Telling(setting.backend, started.set_result)
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(_watch_only, setting.launch(label), telling, followed)
            running = started.result(timeout=60)
            followed.begun.wait(timeout=600)
            folders = running.cgroup  # there is none before the container has begun
            assert folders is not None, "no control group is seen from here"
            with cgroup.Reader(folders) as reader:
                switch = _Switch(reader, setting.cores)
                windows = _in_turns(("read", "unread"), window_s, switch.turn, [watching])
                switch.turn("unread")
        found += _pairs(windows, {"read": followed, "unread": followed})
    return found


class _Switch:
    """The sampler of a control group, switched on and off."""

    def __init__(self, reader: cgroup.Reader, cores: tuple[int, ...]) -> None:
        self._reader = reader
        self._cores = cores
        self._sampler: MemorySampler | None = None

    def turn(self, kind: str) -> None:
        """Read from now on, or do not."""
        if self._sampler is not None:
            self._sampler.stop()
            self._sampler = None
        if kind == "read":
            self._sampler = MemorySampler(self._reader.memory, "", job_cores=self._cores)
            self._sampler.start()


def _in_turns(
    kinds: tuple[str, str],
    window_s: float,
    turn: Callable[[str], None],
    working: Sequence[Future[None]],
) -> list[Window]:
    """Make it so and otherwise until either has ended; every other pair begins with either."""
    first, second = kinds
    windows: list[Window] = []
    for kind in itertools.cycle((first, second, second, first)):
        turn(kind)
        begin_s = time.monotonic()
        if wait(working, timeout=window_s, return_when=FIRST_COMPLETED).done:
            break
        windows.append(Window(begin_s=begin_s, end_s=time.monotonic(), kind=kind))
    return windows


def _pairs(windows: Sequence[Window], followed: Mapping[str, Followed]) -> list[Pair]:
    """Return the steps of each pair of neighbouring windows, where both have any."""
    gap_s = max(one.gap_s() for one in followed.values())
    if gap_s > GAP_S:
        print(f"a launch is left out: its steps miss {gap_s:.2f} s, so when each was is not known")
        return []
    found = []
    for pair in zip(windows[::2], windows[1::2], strict=False):
        steps = {window.kind: followed[window.kind].steps_in(window) for window in pair}
        if all(steps.values()):
            one, other = (steps[kind] for kind in followed)
            found.append((one, other))
    return found


def _watch_only(launch: Launch, backend: Backend, followed: Followed) -> None:
    followed.said = watch(launch, backend, io.BytesIO(), followed.heard, looking=False).said


def _watch_and_tell(launch: Launch, backend: Backend, tells: Connection) -> None:
    """Watch a launch as always; tell its command, what is heard and when, and its transcript."""
    seen = watch(
        launch,
        _Telling(backend, lambda running: tells.send(running.command)),
        io.BytesIO(),
        lambda what: tells.send((what, time.monotonic())),
    )
    tells.send(seen.said)


def _follow(hears: Connection, followed: Followed) -> None:
    while not isinstance(told := hears.recv(), Transcript):
        followed.heard(*told)
    followed.said = told


def _start_bare(command: tuple[str, ...], name: str, followed: Followed) -> None:
    run = command.index("run") + 1
    listener = Listener()
    with subprocess.Popen(
        (*command[:run], f"--name={name}", *command[run:]),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    ) as process:
        assert process.stdout is not None
        while data := process.stdout.read(65536):
            for what in listener.feed(data):
                followed.heard(what)
    followed.said = listener.transcript()


def _docker(*words: str) -> str:
    """Call the engine's client; that it is so already, or has ended, is no failure here."""
    done = subprocess.run(("docker", *words), capture_output=True, text=True)
    if done.returncode and not any(known in done.stderr for known in KNOWN):
        sys.exit(done.stderr)
    return done.stdout.strip()


def compared(setting: Setting, names: tuple[str, str], pairs: Sequence[Pair], margin: float) -> Any:
    """Print the ratio with its interval; return the raw seconds."""
    sides = {name: [pair[side] for pair in pairs] for side, name in enumerate(names)}
    steps, base = sides.values()
    found = compare_pairs(base, steps, margin=margin)
    interval = found.method
    if found.low is not None:
        interval = f"{found.level:.0%} interval {found.low:.4f} to {found.high:.4f}"
    print(
        f"{setting.workload}: {names[0]} {found.value * 1e3:.2f} ms, {names[1]} "
        f"{found.base_value * 1e3:.2f} ms a step, {setting.launches} launches, {len(pairs)} pairs "
        f"of windows; ratio {found.ratio:.4f}, {interval}: {found.verdict} within {margin:.1%}"
    )
    raw = {f"{name}_s": seconds for name, seconds in sides.items()}
    return {"workload": setting.workload, "cores": setting.cores, **raw}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--image", default="pytorch-2.13.0")
    parser.add_argument("--launches", type=int, default=10)
    parser.add_argument("--what", choices=("runner", "sampler"), default="runner")
    parser.add_argument("--workload", choices=tuple(STEPS), action="append")
    parser.add_argument("--cores", type=int, nargs="+")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    backend = session.connect_backend(
        "docker", ROOT, wheel_folders(os.environ, Path.home())
    ).backend
    image = load_images(ROOT)[asked.image]
    environment = backend.prepare(image, BuildLimits(), lambda _: None)
    cores = tuple(asked.cores or choose_cores(2))
    measure, names, margin = {
        "runner": (against_bare, ("watched", "bare"), 0.02),
        "sampler": (against_unread, ("read", "unread"), 0.005),
    }[asked.what]
    measured = []
    for workload in asked.workload or STEPS:
        setting = Setting(
            backend=backend,
            environment=environment,
            workload=workload,
            launches=asked.launches,
            cores=cores,
        )
        pairs = measure(setting, WINDOW_S[workload])
        measured.append(compared(setting, names, pairs, margin))
    if asked.output:
        document = {"image": image.name, "what": asked.what, "measured": measured}
        asked.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
