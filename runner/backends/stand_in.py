"""An interpreter of this machine that holds an image's lock already, where none can be installed.

As a stand-in base is for containers: what is locked is there at the locked versions, and nothing
was installed, so that the lock's hashes were not compared. The record says so.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from runner import pins
from runner.model import Image

_ASK_S = 60.0
_QUESTION = """
import importlib.metadata, json, platform, sys
held = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
print(json.dumps({"version": platform.python_version(), "prefix": sys.prefix, "held": held}))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class StandIn:
    """An interpreter with packages.

    Attributes:
        folder: its prefix, which has ``bin/python``.
        version: of the interpreter.
        held: normalised name to version of every package in it.
    """

    folder: Path
    version: str
    held: dict[str, str]

    def digest(self, image: Image) -> str:
        """Return the identity of the content, as far as it is known: lock and interpreter."""
        parts = ["stand-in", pins.lock_sha256(image), self.version, str(self.folder)]
        return "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()


def find(image: Image) -> StandIn | str:
    """Return an interpreter on PATH that holds the lock of `image`, or why there is none."""
    problems = []
    for name in (f"python{image.language_version}", "python3"):
        path = shutil.which(name)
        if path is None:
            continue
        found = ask(path)
        if found is None or not found.version.startswith(f"{image.language_version}."):
            continue
        lacking = missing(found.held, pins.locked_versions(pins.lock_path(image).read_text()))
        if not lacking:
            return found
        problems.append(f"{path} lacks {', '.join(lacking[:3])} and {len(lacking) - 1} more")
    return "; ".join(problems) or f"no Python {image.language_version} on PATH"


def ask(path: str) -> StandIn | None:
    """Ask an interpreter what it holds; None where it does not answer."""
    try:
        ended = subprocess.run(
            [path, "-c", _QUESTION], capture_output=True, timeout=_ASK_S, check=True, cwd="/"
        )
        told = json.loads(ended.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    held = {pins.normalised_name(name): version for name, version in told["held"].items() if name}
    return StandIn(folder=Path(told["prefix"]), version=told["version"], held=held)


def missing(held: dict[str, str], locked: dict[str, str]) -> list[str]:
    """Return ``name==version`` of each locked package that is not held at that version."""
    return [
        f"{name}=={version}"
        for name, version in sorted(locked.items())
        if held.get(name) != version
    ]
