"""A container with Julia and the project's Julia scripts in it, for the tests of those."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.needs import lack

SCRIPTS = Path(__file__).parents[1] / "scripts"
BASE = "runner-base/julia:1.5.3"
FOLDER = "/tmp/runner"  # holds scripts/*.jl
LONGEST_S = 1800  # it ends by itself, should nobody end it

# As the docker backend confines a job.
OPTIONS = [
    *["--rm", "--init", "--network=none", "--read-only", "--user=65534:65534", "--cap-drop=ALL"],
    *["--security-opt=no-new-privileges", "--tmpfs=/tmp:exec,mode=1777", "--env=HOME=/tmp"],
]


def _docker(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["docker", *arguments], input=stdin, capture_output=True, timeout=300)


@dataclass(frozen=True)
class JuliaContainer:
    """A container that waits for commands."""

    id: str

    def command(
        self, *command: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Return how a command ended; its two streams are two pipes."""
        given = [f"--env={name}={value}" for name, value in (variables or {}).items()]
        return _docker("exec", "--interactive", *given, self.id, *command, stdin=stdin)

    def script(
        self,
        text: str,
        shell: str = "julia /tmp/script.jl",
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Return how the Julia script `text` ended, started by a line of shell."""
        started = f"cat >/tmp/script.jl && {{ {shell}; }} </dev/null"
        return self.command("sh", "-c", started, stdin=text.encode(), variables=variables)


@contextlib.contextmanager
def julia_container() -> Iterator[JuliaContainer]:
    """Start a container, and end it; skip or fail where there is no engine or no base."""
    if shutil.which("docker") is None:
        lack("engine", "no docker on PATH")
    answer = _docker("version", "--format", "{{.Server.Version}}")
    if answer.returncode:
        lack("engine", f"no engine answers: {answer.stderr.decode()}")
    if _docker("image", "inspect", BASE).returncode:
        lack("engine", f"no image {BASE}; make it with 'scripts/bases julia'")
    started = _docker("run", "--detach", *OPTIONS, BASE, "sleep", str(LONGEST_S))
    assert started.returncode == 0, started.stderr.decode()
    container = JuliaContainer(started.stdout.decode().strip())
    try:
        unpack = f"mkdir {FOLDER} && tar -x -C {FOLDER}"
        copied = container.command("sh", "-c", unpack, stdin=_archive())
        assert copied.returncode == 0, copied.stderr.decode()
        yield container
    finally:
        _docker("rm", "--force", container.id)


def _archive() -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in sorted(SCRIPTS.glob("*.jl")):
            tar.add(path, path.name)
    return archive.getvalue()
