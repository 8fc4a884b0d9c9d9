"""What of a machine will disturb a measurement, and what to do about it. Pure functions.

How busy others are is measured too: processor time of the whole machine over a stretch, less
what the job and the runner used.
"""

from __future__ import annotations

import os
from pathlib import Path

from runner.model import GpuUse, Load, Tolerance
from runner.telemetry.host import Advice, GpuFacts, HostFacts

BUSY_CORES = 0.1


def disturbances(
    facts: HostFacts,
    *,
    job_cores: tuple[int, ...] = (),
    others_cores: float | None = None,
) -> tuple[Advice, ...]:
    """Return what will disturb; empty for a machine that is made ready.

    Args:
        job_cores: which cores the job will have; empty if not decided.
        others_cores: how many cores others keep busy, where it was measured; else the load
            average stands for it, which also counts what ended up to a minute ago.
    """
    found = (
        _governor(facts),
        _turbo(facts),
        _swap(facts),
        _siblings(facts, job_cores),
        _sampler(facts, job_cores),
        _others(facts, others_cores),
        _hypervisor(facts),
    )
    return tuple(advice for advice in found if advice is not None)


def _governor(facts: HostFacts) -> Advice | None:
    if facts.governor in (None, "performance"):
        return None
    return Advice(
        problem=f"frequency governor {facts.governor!r}: the clock follows the load",
        remedy="cpupower frequency-set --governor performance",
    )


def _turbo(facts: HostFacts) -> Advice | None:
    if not facts.turbo:
        return None
    return Advice(
        problem="turbo is on: the clock depends on temperature and on what other cores do",
        remedy="echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo, or "
        "echo 0 > /sys/devices/system/cpu/cpufreq/boost",
    )


def _swap(facts: HostFacts) -> Advice | None:
    if not facts.swap_bytes:
        return None
    return Advice(
        problem=f"swap is on ({facts.swap_bytes / 1024**3:.1f} GiB): the job's pages may be moved "
        "to disk while it is timed",
        remedy="swapoff --all",
    )


def _siblings(facts: HostFacts, job_cores: tuple[int, ...]) -> Advice | None:
    """Say that two threads share a core's units: inside the job, or the job's with a neighbour."""
    if not facts.smt:
        return None
    shared = [group for group in facts.siblings if len(group) > 1]
    if job_cores:
        shared = [group for group in shared if set(group) & set(job_cores)]
        if not shared:
            return None
    first = ",".join(map(str, shared[0])) if shared else "unknown"
    return Advice(
        problem=f"simultaneous multithreading is on: cores {first} share one core's units",
        remedy="echo off > /sys/devices/system/cpu/smt/control, or give jobs one core of each "
        "pair and keep the other idle",
    )


def _sampler(facts: HostFacts, job_cores: tuple[int, ...]) -> Advice | None:
    if facts.logical_cores is None:
        return None
    if facts.logical_cores > max(len(job_cores), 1):
        return None
    return Advice(
        problem=f"the job has all {facts.logical_cores} cores, so the memory sampler shares one "
        "with it",
        remedy="give the job one core fewer",
    )


def _others(facts: HostFacts, others_cores: float | None) -> Advice | None:
    if others_cores is not None:
        busy, how = others_cores, f"others keep {others_cores:.2f} cores busy"
    elif facts.load_average is not None:
        busy, how = facts.load_average, f"load average {facts.load_average:.2f} before starting"
    else:
        return None
    if busy <= BUSY_CORES:
        return None
    return Advice(
        problem=f"{how}, more than {BUSY_CORES:g}",
        remedy="end other work, or wait a minute; `top` shows who it is",
    )


def _hypervisor(facts: HostFacts) -> Advice | None:
    if not facts.virtualised:
        return None
    return Advice(
        problem="a virtual machine: the host may take cores away, and its clock is not to be seen",
        remedy="measure on bare metal, or compare only what was measured on this machine",
    )


def of_gpu(gpu: GpuFacts, number: int) -> tuple[Advice, ...]:
    """Return what of a GPU's settings will disturb; `number` is its index, for the remedies."""
    command = f"nvidia-smi --id={number}"
    limited = (
        gpu.power_limit_w is not None
        and gpu.default_power_limit_w is not None
        and gpu.power_limit_w < gpu.default_power_limit_w
    )
    found = (
        (
            gpu.persistence is False,
            "persistence mode is off: the driver may be loaded anew for each job",
            f"{command} --persistence-mode=1",
        ),
        (
            limited,
            f"its power limit is {gpu.power_limit_w} W, below its own {gpu.default_power_limit_w}",
            f"{command} --power-limit={gpu.default_power_limit_w}",
        ),
        (
            gpu.mig is True,
            "it is divided into instances, which share its memory's bandwidth and its power",
            f"{command} --multi-instance-gpu=0, or compare only within one instance",
        ),
        (
            gpu.accounting is False,
            "accounting is off: peak memory can only be sampled",
            f"{command} --accounting-mode=1",
        ),
    )
    return tuple(
        Advice(problem=problem, remedy=remedy) for holds, problem, remedy in found if holds
    )


def parse_busy_s(text: str, ticks_per_s: int) -> float:
    """Return processor seconds since boot in which cores were not idle, from /proc/stat.

    Waiting for input and output is idle. What a hypervisor stole is not: it disturbs as much as
    a neighbour on the same machine. Guest time is in user time already (proc(5)).
    """
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, text.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / ticks_per_s


def busy_s(root: Path = Path("/")) -> float:
    """Return processor seconds since boot in which this machine's cores were not idle."""
    return parse_busy_s((root / "proc/stat").read_text(), os.sysconf("SC_CLK_TCK"))


def others_cores(*, machine_s: float, own_s: float, wall_s: float) -> float:
    """Return how many cores others kept busy over a stretch.

    Args:
        machine_s: growth of ``busy_s``.
        own_s: processor seconds that the job and the runner used meanwhile.
        wall_s: length of the stretch, more than 0.

    Returns:
        Cores, at least 0: the kernel counts the one in ticks and the other exactly.
    """
    return max(0.0, (machine_s - own_s) / wall_s)


def excesses(load: Load | None, gpu: GpuUse | None, tolerance: Tolerance) -> tuple[str, ...]:
    """Return in words what disturbed a job more than `tolerance` has it; empty if nothing did.

    What is not known disturbs nobody: a record says None where it could not be seen.
    """
    found = [] if load is None else _of_load(load, tolerance)
    return tuple(filter(None, found + ([] if gpu is None else _of_gpu(gpu, tolerance))))


def _of_load(load: Load, tolerance: Tolerance) -> list[str]:
    return [
        _above("others used {} of its cores' time", load.others_share, tolerance.others_share),
        _above(
            "the hypervisor took {} of its cores' time", load.steal_share, tolerance.steal_share
        ),
        _above("processes waited for memory {} of it", load.stall_share, tolerance.stall_share),
        _swapped(load, tolerance),
        _slowed("its cores", load.frequency_hz, load.nominal_hz, tolerance),
        f"its cores slowed themselves down {load.throttle_events} times for heat or power"
        if tolerance.throttled and load.throttle_events
        else "",
    ]


def _above(text: str, share: float | None, most: float | None) -> str:
    if share is None or most is None or share <= most:
        return ""
    return f"{text.format(f'{share:.1%}')}, more than {most:.0%}"


def _swapped(load: Load, tolerance: Tolerance) -> str:
    moved, most = load.swapped_bytes, tolerance.swapped_bytes
    if moved is None or most is None or moved <= most:
        return ""
    return f"{moved / 1024**2:.1f} MiB went to or from swap, more than {most / 1024**2:g}"


def _slowed(what: str, clock: float | None, nominal: float | None, tolerance: Tolerance) -> str:
    least = tolerance.frequency_share
    if clock is None or nominal is None or least is None or clock >= least * nominal:
        return ""
    return (
        f"{what} ran at {clock / 1e9:.2f} GHz, below {least:.0%} of their {nominal / 1e9:.2f} GHz"
    )


# Reasons that mean slower than the GPU can for long: heat and hardware limits. A power cap is
# how a GPU under load works by its design, and the clocks are judged by themselves.
DISTURBING_REASONS = ("hw_slowdown", "hw_thermal_slowdown", "hw_power_brake", "sw_thermal_slowdown")


def _of_gpu(gpu: GpuUse, tolerance: Tolerance) -> list[str]:
    reasons = [reason for reason in gpu.throttle_reasons if reason in DISTURBING_REASONS]
    return [
        _slowed("the GPU's processors", gpu.clock_hz, gpu.nominal_hz, tolerance),
        f"the GPU slowed itself down: {', '.join(reasons)}"
        if tolerance.throttled and reasons
        else "",
        f"{gpu.others} other {'process' if gpu.others == 1 else 'processes'} computed on the GPU"
        if tolerance.shared_gpu and gpu.others
        else "",
    ]
