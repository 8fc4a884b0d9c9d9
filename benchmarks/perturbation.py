"""Does being watched change a job's speed? Interleaved pairs of the same launch.

    python -m benchmarks.perturbation [--image NAME] [--pairs 10] [--what sampler]
                                      [--cores 1] [--output FILE]

`runner`: watched as always, against a bare `docker run` of the very same command. `sampler`:
watched as always (control group read ten times a second, the machine's load at both edges),
against launches that the runner only reads to their end. Which goes first alternates. The
ratio is that of the step times, with its interval over pairs. `--cores` leaves the others to
the runner, where there are any. Raw seconds go to FILE as JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from runner import contract, session
from runner.backends import Backend
from runner.config import load_images, wheel_folders
from runner.contract import Listener, Transcript
from runner.model import BuildLimits, Cell, Environment, Job, Launch, Limits, Sampling, Tolerance
from runner.request import choose_cores
from runner.stats.compare import compare_pairs
from runner.telemetry.disturbance import excesses
from runner.watching import watch
from runner.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent
STEPS = {"cifar10-cnn": (5, 30), "vgg16": (2, 8)}


def measure(
    backend: Backend,
    environment: Environment,
    workload: str,
    pairs: int,
    what: str,
    cores: tuple[int, ...],
) -> dict[str, Any]:
    """Print the ratio of watched to bare, or to unsampled, step times of one workload."""
    plain = {"runner": "bare", "sampler": "unsampled"}[what]
    warmup, steps = STEPS[workload]
    limits = Limits(memory_bytes=8 * 1024**3, cores=len(cores))
    cell = Cell(
        suite="perturbation",
        image=environment.image.name,
        workload=workload,
        protocol="fair",
        parameters=WORKLOADS[workload].defaults(),
    )
    sampling = Sampling(
        launches=pairs, warmup_steps=warmup, measure_steps=steps, measure_limit_s=600
    )
    job = Job(id=workload, cell=cell, launch=0, sampling=sampling, limits=limits, cores=cores)
    watched, bare, disturbed = [], [], 0
    command: tuple[str, ...] = ()
    for pair in range(pairs):
        for kind in ("watched", plain) if pair % 2 == 0 else (plain, "watched"):
            launch = Launch(
                id=f"perturbation-{workload}-{pair}-{kind}-{os.getpid()}",
                environment=environment,
                variables=contract.variables(job),
                limits=limits,
                cores=cores,
            )
            if kind == "watched":
                seen = watch(launch, backend, io.BytesIO())
                command = seen.command
                watched.append(_steps(seen.said))
                disturbed += bool(excesses(seen.load, seen.gpu, Tolerance()))
            elif kind == "unsampled":
                bare.append(_steps(watch(launch, backend, io.BytesIO(), looking=False).said))
            else:
                bare.append(_steps(_bare(command)))
    found = compare_pairs(bare, watched, margin={"runner": 0.02, "sampler": 0.005}[what])
    interval = found.method
    if found.low is not None:
        interval = f"{found.level:.0%} interval {found.low:.4f} to {found.high:.4f}"
    print(
        f"{workload}: watched {found.value * 1e3:.2f} ms, {plain} {found.base_value * 1e3:.2f} ms "
        f"a step, {pairs} launches each; ratio {found.ratio:.4f}, {interval}: {found.verdict} "
        f"within {found.margin:.1%}; {disturbed} of the watched launches were disturbed"
    )
    return {"workload": workload, "cores": cores, "watched_s": watched, f"{plain}_s": bare}


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
    found = [
        measure(backend, environment, workload, asked.pairs, asked.what, cores)
        for workload in asked.workload or STEPS
    ]
    if asked.output:
        document = {"image": image.name, "what": asked.what, "measured": found}
        asked.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
