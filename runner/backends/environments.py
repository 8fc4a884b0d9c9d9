"""Virtual environments of images, made by uv from the same locks as the containers, and kept.

An environment is made in a staging folder and renamed when it is whole, so that a half-made
one never counts; a file lock keeps two runners from making the same one at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path

import uv

from runner import pins
from runner.backends import PrepareError, host_needs, interpreters
from runner.backends.interpreters import Interpreter
from runner.model import BuildLimits, Environment, Image, Status

_EVIDENCE_LINES = 20
_OLDEST_PYTHON = (3, 6)  # uv starts an interpreter with -I, which older ones do not know
_HIDDEN = ("PYTHON", "VIRTUAL_ENV", "CONDA")

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """All that decides what comes out."""

    image: Image
    interpreter: Interpreter
    uv_version: str
    lock: Path
    wheel_folders: tuple[Path, ...]

    @property
    def digest(self) -> str:
        """Identity of the content: locks, interpreter's version, installer's version."""
        parts = [
            pins.file_sha256(self.lock),
            self.interpreter.version,
            self.uv_version,
        ]
        return "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def folder_name(self) -> str:
        """Name in the cache; an environment is bound to its interpreter's place too."""
        key = hashlib.sha256(f"{self.digest}\n{self.interpreter.path}".encode()).hexdigest()
        return f"{self.image.name}-{key[:16]}"


def uv_version() -> str:
    """Return the version of the installed uv."""
    return installed_version("uv")


def recipe(image: Image, wheel_folders: tuple[Path, ...]) -> Recipe:
    """Find all that `image` needs on this host.

    Raises:
        PrepareError: ``unavailable``: something is not there; the reason says how to get it.
    """
    if image.language != "python":
        raise PrepareError(
            Status.UNAVAILABLE,
            f"{image.name}: the process backend makes environments for Python only, and the image "
            f"asks for {image.language} {image.language_version}; use the docker backend",
        )
    _refuse_old(image)
    lacking = host_needs.missing(image.host_needs)
    if lacking:
        packages = " ".join(image.host_needs.packages)
        todo = f"; on Debian: apt-get install {packages}" if packages else ""
        reason = f"{image.name}: this host has no {', no '.join(lacking)}{todo}"
        raise PrepareError(Status.UNAVAILABLE, reason)
    interpreter = interpreters.find(image.language_version, uv.find_uv_bin())
    if interpreter is None:
        wanted = image.language_version
        raise PrepareError(
            Status.UNAVAILABLE,
            f"{image.name}: no Python {wanted} on PATH, under {interpreters.pyenv_root()} or among "
            f"uv's; install one, such as `pyenv install {wanted}` or `uv python install {wanted}`",
        )
    return Recipe(
        image=image,
        interpreter=interpreter,
        uv_version=uv_version(),
        lock=pins.lock_path(image).absolute(),
        wheel_folders=wheel_folders,
    )


def _refuse_old(image: Image) -> None:
    found = tuple(int(part) for part in image.language_version.split(".")[:2])
    if found < _OLDEST_PYTHON:
        reason = (
            f"{image.name}: uv makes no environment for Python {image.language_version}, only for "
            f"{'.'.join(map(str, _OLDEST_PYTHON))} and later; use the docker backend"
        )
        raise PrepareError(Status.UNAVAILABLE, reason)


def make(recipe: Recipe, cache: Path, limits: BuildLimits, say: Say) -> Path:
    """Return the environment's folder below `cache`, making it where it is not there.

    Raises:
        PrepareError: ``build-failed``, with the last lines that the failing tool wrote.
    """
    folder = cache / recipe.folder_name
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + limits.timeout_s
    with _locked(cache / f".{recipe.folder_name}.lock", deadline, say):
        if folder.is_dir():
            return folder
        staged = cache / f".{recipe.folder_name}.partial"
        shutil.rmtree(staged, ignore_errors=True)
        try:
            for command, accepted in commands(recipe, staged, folder):
                bounded(command, deadline, limits, say, accepted)
            staged.rename(folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return folder


def commands(
    recipe: Recipe, staged: Path, folder: Path
) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Return what makes the environment in `staged`, so that it works in `folder`.

    Each is a command and the exit statuses that mean that it did.
    """
    binary = uv.find_uv_bin()
    python = str(staged / "bin/python")
    places = (str(place.absolute()) for place in recipe.wheel_folders)
    links = (word for place in places for word in ("--find-links", place))
    minor = ".".join(recipe.interpreter.version.split(".")[:2])
    library = f"lib/python{minor}/site-packages"
    venv = (binary, "venv", "--relocatable", "--no-project")
    # the lock holds what source distributions are built with too, as far as it names it
    lock = str(recipe.lock)
    install = (binary, "pip", "install", "--python", python, "--no-deps", "--require-hashes")
    # uv's own --compile-bytecode fails on 3.6. Status 1: a file was no Python of this version,
    # which many packages carry as a template or a test
    compiled = (python, "-m", "compileall", "-qq", "-d", str(folder / library))
    return [
        ((*venv, "--python", str(recipe.interpreter.path), str(staged)), (0,)),
        ((*install, *links, "-r", lock, "--build-constraints", lock), (0,)),
        ((*compiled, str(staged / library)), (0, 1)),
    ]


@contextlib.contextmanager
def _locked(path: Path, deadline: float, say: Say) -> Iterator[None]:
    with path.open("w") as file:
        said = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    reason = f"another runner still makes this environment; it holds {path}"
                    raise PrepareError(Status.BUILD_FAILED, reason) from None
            if not said:
                say("waiting for another runner that makes the same environment")
                said = True
            time.sleep(0.2)
        yield


def bounded(
    command: tuple[str, ...],
    deadline: float,
    limits: BuildLimits,
    say: Say,
    accepted: tuple[int, ...] = (0,),
) -> None:
    """Let a tool do its work, at most until `deadline`, never silent for too long.

    It starts in the root folder, where it finds no project whose settings it would heed.

    Raises:
        PrepareError: ``build-failed``: it failed, or was ended with all that it had started.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
    process = subprocess.Popen(
        command,
        cwd="/",
        env=kept,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    last: deque[str] = deque(maxlen=_EVIDENCE_LINES)
    tool = " ".join((Path(command[0]).name, *command[1:3]))
    try:
        problem = _follow(process, deadline, limits, say, last)
        if problem is None and process.wait() not in accepted:
            problem = f"exit status {process.returncode}"
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    if problem is not None:
        raise PrepareError(Status.BUILD_FAILED, f"`{tool}`: {problem}", "\n".join(last))


def _follow(
    process: subprocess.Popen[bytes],
    deadline: float,
    limits: BuildLimits,
    say: Say,
    last: deque[str],
) -> str | None:
    """Pass on every line until the tool ends; return what limit it broke, if any."""
    assert process.stdout is not None
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if not selector.select(max(0.0, min(left, limits.silence_s))):
                if left <= limits.silence_s:
                    return f"took longer than {limits.timeout_s:g} s"
                return f"silent for {limits.silence_s:g} s"
            data = os.read(process.stdout.fileno(), 65536)
            *lines, rest = (rest + data).split(b"\n")
            for line in [*lines, rest] if not data else lines:
                if text := line.decode(errors="replace").rstrip():
                    last.append(text)
                    say(text)
            if not data:
                return None


def environment(recipe: Recipe, folder: Path, scripts_sha256: str) -> Environment:
    """Return the made environment with all that a record says of it."""
    image = recipe.image
    facts = {
        "interpreter": f"CPython {recipe.interpreter.version}",
        "interpreter_found_by": recipe.interpreter.found_by,
        "uv": recipe.uv_version,
        **host_needs.facts(image.host_needs),
    }
    if libc := host_needs.libc_version():
        facts["libc"] = libc
    return Environment(
        image=image,
        digest=recipe.digest,
        location=str(folder),
        lock_sha256=pins.file_sha256(recipe.lock),
        scripts_sha256=scripts_sha256,
        facts=facts,
    )


def copy_scripts(root: Path, cache: Path) -> str:
    """Copy the project's scripts to a folder named by their hash; return the hash.

    Jobs start from the copy, so that editing a script while a matrix is measured changes
    nothing. The copy is hashed, not the original, and a copy that was altered is replaced.
    """
    cache.mkdir(parents=True, exist_ok=True)
    staged = cache / f".{os.getpid()}.{time.monotonic_ns()}.partial"
    inside = staged / "scripts"
    inside.mkdir(parents=True)
    try:
        for path in pins.script_files(root):
            shutil.copyfile(path, inside / path.name)
            (inside / path.name).chmod(0o444)
        digest = pins.scripts_sha256(staged)
        target = cache / digest
        if target.is_dir() and pins.scripts_sha256(target) != digest:
            shutil.rmtree(target)
        try:
            staged.rename(target)
        except OSError:
            if not target.is_dir():  # else it was there before, or another runner was faster
                raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return digest
