"""The tool measured by itself: does a container change what a cell's steps take?

The same cell is launched inside a container and outside, interleaved; which goes first
alternates, so that a drift of the machine touches both alike.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

from runner import contract
from runner.backends import Backend
from runner.errors import RunnerError
from runner.model import (
    BuildLimits,
    Cell,
    Image,
    Job,
    Launch,
    Limits,
    Sampling,
    Status,
    Tolerance,
)
from runner.request import choose_cores
from runner.stats.compare import Comparison, compare_pairs
from runner.stats.steady import find_steady_parts
from runner.telemetry.disturbance import excesses
from runner.verdict import judge
from runner.watching import watch
from runner.workloads import WORKLOADS

SAMPLING = Sampling(launches=5, warmup_steps=5, measure_steps=30, measure_limit_s=60.0)


class SelftestFailed(RunnerError):
    """A launch did not go well; the message has its status and reason."""

    exit_status = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """The step times of both sides compared: the base is outside, the other inside.

    Attributes:
        disturbed: what else happened, a line a launch that was disturbed; all are kept.
    """

    cell: Cell
    comparison: Comparison
    launches: int
    disturbed: tuple[str, ...]

    def text(self) -> str:
        """Return the ratio with its interval, and what disturbed it."""
        found = self.comparison
        interval = "no interval"
        if found.low is not None and found.high is not None:
            interval = f"{found.level:.0%} interval {found.low:.4f} to {found.high:.4f}"
        lines = [
            f"{self.cell.label}: inside a container {found.value * 1e3:.2f} ms, outside "
            f"{found.base_value * 1e3:.2f} ms a step, {self.launches} launches each",
            f"ratio {found.ratio:.4f}, {interval}: {found.verdict} within {found.margin:.0%}",
        ]
        return "\n".join([*lines, *(f"disturbed: {line}" for line in self.disturbed)])


def job_of(image: Image, workload: str, sampling: Sampling, limits: Limits) -> Job:
    """Return a job of one cell with the workload's defaults."""
    cell = Cell(
        suite="selftest",
        image=image.name,
        workload=workload,
        protocol="fair",
        parameters=WORKLOADS[workload].defaults(),
    )
    return Job(
        id=f"selftest-{image.name}-{workload}",
        cell=cell,
        launch=0,
        sampling=sampling,
        limits=limits,
        cores=choose_cores(limits.cores),
    )


def noise(
    image: Image,
    workload: str,
    inside: Backend,
    outside: Backend,
    *,
    pairs: int,
    cores: int,
    say: Callable[[str], None],
) -> Noise:
    """Launch a cell `pairs` times on each side, on `cores` cores, and compare the pairs.

    Raises:
        SelftestFailed: a launch ended otherwise than ``ok``.
        PrepareError: the image could not be made ready on a side.
    """
    job = job_of(image, workload, SAMPLING, Limits(cores=cores))
    sides = {"inside": inside, "outside": outside}
    prepared = {
        name: backend.prepare(image, BuildLimits(), lambda _: None)
        for name, backend in sides.items()
    }
    taken: dict[str, list[tuple[float, ...]]] = {"inside": [], "outside": []}
    disturbed = []
    for pair in range(pairs):
        for name in sorted(sides, reverse=pair % 2 == 1):
            launch = Launch(
                id=f"{job.id}-{pair}-{name}",
                environment=prepared[name],
                variables=contract.variables(job),
                limits=job.limits,
                cores=job.cores,
            )
            seen = watch(launch, sides[name], io.BytesIO())
            verdict = judge(job, image, seen.said, seen.outcome, seen.ended)
            if verdict.status is not Status.OK:
                msg = f"{name}, launch {pair + 1}: {verdict.status}: {verdict.reason}"
                raise SelftestFailed(msg)
            taken[name].append(seen.said.samples[0].measured_s)
            found = "; ".join(excesses(seen.load, seen.gpu, Tolerance()))
            disturbed += [f"{name}, launch {pair + 1}: {found}"] if found else []
            say(f"{pair + 1}/{pairs} {name}{f': {found}' if found else ''}")
    comparison = compare_pairs(_steady(taken["outside"]), _steady(taken["inside"]))
    return Noise(cell=job.cell, comparison=comparison, launches=pairs, disturbed=tuple(disturbed))


def _steady(launches: list[tuple[float, ...]]) -> tuple[tuple[float, ...], ...]:
    return find_steady_parts(launches).parts
