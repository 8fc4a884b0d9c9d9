"""A run's machine in a few words."""

from __future__ import annotations

from collections.abc import Collection

from runner.model import Run


def cpu_name(run: Run) -> str:
    """Return the machine's processor, as its kernel names it."""
    return str(run.host.get("cpu_model") or "unknown CPU")


def gpu_names(run: Run, uuids: Collection[str] = ()) -> list[str]:
    """Return the machine's GPUs as their driver names them, equal ones counted; often none.

    Args:
        uuids: of those that count; all of them where it is empty.
    """
    found = run.host.get("gpus")
    devices = found if isinstance(found, list | tuple) else ()
    names = [
        str(one["name"])
        for one in devices
        if isinstance(one, dict) and "name" in one and (not uuids or one.get("uuid") in uuids)
    ]
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    return [name if count == 1 else f"{count} x {name}" for name, count in counts.items()]
