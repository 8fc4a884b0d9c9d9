"""Finding a Python of a given version on this machine; nothing is downloaded."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# each on a line: what it is, and where the installation that a virtual environment builds on is
_ASK = (
    "import os, platform, sys; "
    "base = getattr(sys, 'base_prefix', sys.prefix); "
    "name = 'python%d.%d' % sys.version_info[:2]; "
    "path = os.path.join(base, 'bin', name); "
    "print(platform.python_implementation()); "
    "print(platform.python_version()); "
    "print(path if os.path.exists(path) else sys.executable)"
)
_ASK_LIMIT_S = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """A Python that answered.

    Attributes:
        version: in full, ``3.6.15``.
        found_by: ``PATH``, ``pyenv`` or ``uv``.
    """

    path: Path
    version: str
    found_by: str


def find(version: str, uv: str) -> Interpreter | None:
    """Return a CPython of `version` (``3.6``, or in full), from PATH, then pyenv, then uv."""
    wanted = version.split(".")
    minor = ".".join(wanted[:2])
    for found_by, path in _places(minor, uv):
        found = ask(path, found_by)
        if found is not None and found.version.split(".")[: len(wanted)] == wanted:
            return found
    return None


def _places(minor: str, uv: str) -> Iterator[tuple[str, Path]]:
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = Path(place or ".") / f"python{minor}"
        if os.access(path, os.X_OK):
            yield "PATH", path.absolute()
    versions = pyenv_root() / "versions"
    for folder in sorted(versions.glob(f"{minor}.*"), key=_natural, reverse=True):
        yield "pyenv", folder / "bin" / f"python{minor}"
    asked = (uv, "python", "find", minor, "--python-preference", "only-managed", "--offline")
    answer = _output(asked, os.environ | {"UV_PYTHON_DOWNLOADS": "never"})
    if answer is not None:
        yield "uv", Path(answer.strip())


def pyenv_root() -> Path:
    """Return pyenv's folder, which need not exist."""
    root = os.environ.get("PYENV_ROOT")
    if root is None and (pyenv := shutil.which("pyenv")):
        root = (_output((pyenv, "root"), os.environ) or "").strip()
    return Path(root) if root else Path.home() / ".pyenv"


def _natural(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.name)]


def ask(path: Path, found_by: str) -> Interpreter | None:
    """Ask an executable what it is; None where it is no CPython that starts.

    A shim of pyenv is there for each version that is installed, but starts only an active one.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    lines = (_output((str(path), "-c", _ASK), kept) or "").splitlines()
    if len(lines) != 3 or lines[0] != "CPython":
        return None
    return Interpreter(path=Path(lines[2]), version=lines[1], found_by=found_by)


def _output(command: tuple[str, ...], environment: dict[str, str] | os._Environ[str]) -> str | None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_ASK_LIMIT_S,
            check=True,
            text=True,
        ).stdout
    return None
