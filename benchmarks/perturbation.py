"""Does being watched change a job's speed? Interleaved pairs of the same launch.

    python -m benchmarks.perturbation [--image NAME] [--pairs 10] [--what sampler]
                                      [--cores 1] [--output FILE]

`runner`: watched as always, against a bare `docker run` of the very same command. Which goes
first alternates. `sampler`: within long launches the control group is read as in every job (ten
times a second) for some steps, not read for as many, and so on; each such window is compared
with the one beside it, so that neither what differs between launches nor what moves the machine's
speed more slowly is part of it. The ratio is that of the step times, with its interval over
pairs. `--cores` leaves the others to the runner, where there are any. Raw seconds go to FILE as
JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runner import contract, session
from runner.backends import Backend, Running
from runner.config import load_images, wheel_folders
from runner.contract import Listener, Transcript
from runner.model import BuildLimits, Cell, Environment, Job, Launch, Limits, Sampling, Tolerance
from runner.request import choose_cores
from runner.stats.compare import compare_pairs
from runner.telemetry import cgroup
from runner.telemetry.disturbance import excesses
from runner.telemetry.sampler import MemorySampler
from runner.watching import watch
from runner.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent
STEPS = {"cifar10-cnn": (5, 30), "vgg16": (2, 8)}
LONG_STEPS = {"cifar10-cnn": (5, 500), "vgg16": (2, 80)}
WINDOW_S = {"cifar10-cnn": 0.7, "vgg16": 4.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What is launched, and where."""

    backend: Backend
    environment: Environment
    workload: str
    pairs: int
    cores: tuple[int, ...]

    def launch(self, label: str, warmup: int, steps: int) -> Launch:
        """Return one launch of so many steps."""
        limits = Limits(memory_bytes=8 * 1024**3, cores=len(self.cores))
        cell = Cell(
            suite="perturbation",
            image=self.environment.image.name,
            workload=self.workload,
            protocol="fair",
            parameters=WORKLOADS[self.workload].defaults(),
        )
        sampling = Sampling(
            launches=self.pairs, warmup_steps=warmup, measure_steps=steps, measure_limit_s=600
        )
        job = Job(id=label, cell=cell, launch=0, sampling=sampling, limits=limits, cores=self.cores)
        return Launch(
            id=f"perturbation-{self.workload}-{label}-{os.getpid()}",
            environment=self.environment,
            variables=contract.variables(job),
            limits=limits,
            cores=self.cores,
        )


def against_bare(setting: Setting) -> dict[str, Any]:
    """Measure launches under the runner beside bare ones, in pairs."""
    watched, bare, disturbed = [], [], 0
    command: tuple[str, ...] = ()
    for pair in range(setting.pairs):
        for kind in ("watched", "bare") if pair % 2 == 0 else ("bare", "watched"):
            if kind == "watched":
                launch = setting.launch(str(pair), *STEPS[setting.workload])
                seen = watch(launch, setting.backend, io.BytesIO())
                command = seen.command
                watched.append(_steps(seen.said))
                disturbed += bool(excesses(seen.load, seen.gpu, Tolerance()))
            else:
                bare.append(_steps(_bare(command)))
    print(f"{disturbed} of the watched launches were disturbed")
    return _compared(setting, "watched", watched, "bare", bare, margin=0.02)


def against_unread(setting: Setting) -> dict[str, Any]:
    """Measure steps while the control group is read beside steps while it is not."""
    read, unread = [], []
    for launch in range(setting.pairs):
        noting = _Noting(setting.backend)
        begun: list[float] = []

        def heard(what: object, begun: list[float] = begun) -> None:
            if what == "begin measure":
                begun.append(time.monotonic())

        asked = setting.launch(str(launch), *LONG_STEPS[setting.workload])
        window_s = WINDOW_S[setting.workload]
        with _read_in_turns(noting, setting.cores, window_s) as windows:
            said = watch(asked, noting, io.BytesIO(), heard, looking=False).said
        steps = _steps(said)
        ends = (begun[-1] + np.cumsum(steps)).tolist()
        for one, other in zip(windows[::2], windows[1::2], strict=False):
            inside = {w.read: _inside(w, steps, ends) for w in (one, other)}
            if all(inside.values()):
                read.append(inside[True])
                unread.append(inside[False])
    return _compared(setting, "read", read, "unread", unread, margin=0.005)


def _inside(window: Window, steps: Sequence[float], ends: Sequence[float]) -> list[float]:
    """Return the steps that lie in the window from their start to their end."""
    return [
        step
        for step, end in zip(steps, ends, strict=True)
        if window.begin_s <= end - step and end <= window.end_s
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A stretch of time, in seconds of the monotonic clock, and whether was read in it."""

    begin_s: float
    end_s: float
    read: bool


class _Noting:
    """A backend that keeps what it started, for others to look at."""

    def __init__(self, backend: Backend) -> None:
        self.name = backend.name
        self.describe = backend.describe
        self.sweep = backend.sweep
        self.prepare = backend.prepare
        self._backend = backend
        self.running: Running | None = None

    def start(self, launch: Launch) -> Running:
        self.running = self._backend.start(launch)
        return self.running


@contextlib.contextmanager
def _read_in_turns(
    noting: _Noting, cores: tuple[int, ...], window_s: float
) -> Iterator[list[Window]]:
    """Read what is running and do not; in pairs, of which every other begins with either.

    The list is whole once the block has ended.
    """
    windows: list[Window] = []
    ended = threading.Event()

    def turns() -> None:
        while noting.running is None:
            if ended.wait(window_s):
                return
        folders = noting.running.cgroup
        assert folders is not None, "no control group is seen from here"
        with cgroup.Reader(folders) as reader:
            for reading in itertools.cycle((True, False, False, True)):
                if ended.is_set():
                    return
                sampler = MemorySampler(reader.memory, "", job_cores=cores)
                if reading:
                    sampler.start()
                begin_s = time.monotonic()
                ended.wait(window_s)
                end_s = time.monotonic()
                sampler.stop()
                windows.append(Window(begin_s=begin_s, end_s=end_s, read=reading))

    thread = threading.Thread(target=turns)
    thread.start()
    try:
        yield windows
    finally:
        ended.set()
        thread.join()


def _compared(
    setting: Setting,
    name: str,
    steps: Sequence[Sequence[float]],
    base_name: str,
    base: Sequence[Sequence[float]],
    margin: float,
) -> dict[str, Any]:
    """Print the ratio with its interval; return the raw seconds."""
    found = compare_pairs(base, steps, margin=margin)
    interval = found.method
    if found.low is not None:
        interval = f"{found.level:.0%} interval {found.low:.4f} to {found.high:.4f}"
    print(
        f"{setting.workload}: {name} {found.value * 1e3:.2f} ms, {base_name} "
        f"{found.base_value * 1e3:.2f} ms a step, {len(steps)} pairs; ratio {found.ratio:.4f}, "
        f"{interval}: {found.verdict} within {found.margin:.1%}"
    )
    return {
        "workload": setting.workload,
        "cores": setting.cores,
        f"{name}_s": steps,
        f"{base_name}_s": base,
    }


def _bare(command: tuple[str, ...]) -> Transcript:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    listener = Listener()
    listener.feed(done.stdout)
    return listener.transcript()


def _steps(said: Transcript) -> tuple[float, ...]:
    if said.problems or not said.finished:
        sys.exit(f"a launch failed: {said.error or said.problems}")
    return said.samples[0].measured_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--image", default="pytorch-2.13.0")
    parser.add_argument("--pairs", type=int, default=10)
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
    measure = {"runner": against_bare, "sampler": against_unread}[asked.what]
    found = [
        measure(
            Setting(
                backend=backend,
                environment=environment,
                workload=workload,
                pairs=asked.pairs,
                cores=cores,
            )
        )
        for workload in asked.workload or STEPS
    ]
    if asked.output:
        document = {"image": image.name, "what": asked.what, "measured": found}
        asked.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
