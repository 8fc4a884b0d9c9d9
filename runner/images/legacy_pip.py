"""Locking for a Python that uv does not start (2.7, 3.5): its own pip resolves and downloads.

Only the files that fit this machine are hashed, since such a pip does not tell the others.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from runner import pins
from runner.errors import RunnerError
from runner.images.registry import clean_environment

_TIMEOUT_S = 900.0
_SOURCE = re.compile(r"^(?P<name>.+)-(?P<version>\d[^-]*)\.(?:tar\.gz|tar\.bz2|zip|tgz)$")


class LegacyPipError(RunnerError):
    """That pip is missing or failed; the message has its words."""


def shown_command(language_version: str, image: str) -> str:
    """Return the command for a lock's header."""
    return (
        f"python{language_version} -m pip download --dest FILES "
        f"--requirement images/{image}/requirements.in, and the SHA-256 of each file"
    )


def resolve(program: Path, asked: Path, folders: tuple[Path, ...]) -> str:
    """Return a lock's lines: every file that the program's pip downloads for `asked`.

    Raises:
        LegacyPipError: it has no pip, or it cannot resolve or download.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(str(program), "-m", "pip", "--disable-pip-version-check", "download", "--quiet"),
            *("--dest", folder, "--requirement", str(asked)),
            *(word for place in folders for word in ("--find-links", str(place.absolute()))),
        ]
        done = subprocess.run(
            command,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            msg = f"{asked.parent.name}: pip of {program.name} failed:\n{done.stderr.strip()}"
            raise LegacyPipError(msg)
        return lines(tuple(sorted(Path(folder).iterdir())))


def lines(files: tuple[Path, ...]) -> str:
    """Return a requirement with its hash for each file of a package, sorted by name.

    Raises:
        LegacyPipError: a file is neither a wheel nor a source distribution.
    """
    found = {}
    for path in files:
        name, version = split_file_name(path.name)
        found[name] = (version, pins.file_sha256(path))
    return "".join(
        f"{name}=={version} \\\n    --hash=sha256:{digest}\n"
        for name, (version, digest) in sorted(found.items())
    )


def split_file_name(file_name: str) -> tuple[str, str]:
    """Return the normalised name and the version of a wheel or a source distribution.

    >>> split_file_name("tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl")
    ('tensorflow-cpu', '2.21.0')

    Raises:
        LegacyPipError: it is neither.
    """
    if file_name.endswith(".whl"):
        name, version = file_name.split("-")[:2]
    elif match := _SOURCE.match(file_name):
        name, version = match["name"], match["version"]
    else:
        msg = f"{file_name}: neither a wheel nor a source distribution"
        raise LegacyPipError(msg)
    return pins.normalised_name(name), version
