"""A run's machine in a few words."""

from __future__ import annotations

from runner.model import Run


def cpu_name(run: Run) -> str:
    """Return the machine's processor, as its kernel names it."""
    return str(run.host.get("cpu_model") or "unknown CPU")


def gpu_names(run: Run) -> list[str]:
    """Return the machine's GPUs as their driver names them, equal ones counted; often none."""
    found = run.host.get("gpus")
    devices = found if isinstance(found, list | tuple) else ()
    names = [str(one["name"]) for one in devices if isinstance(one, dict) and "name" in one]
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    return [name if count == 1 else f"{count} x {name}" for name, count in counts.items()]
