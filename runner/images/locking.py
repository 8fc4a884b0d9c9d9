"""``runner images lock``: the only thing that writes pins. uv resolves; nothing is installed.

The resolver is told the image's own Python, pip's registry and the folders of wheels that pip
is configured with. requirements.in may add options in a line ``# lock: ...``, such as
``--exclude-newer 2019-06-01`` for a lock of that time, or ``--python-version 3.5`` for a Python
that uv does not start.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uv

from runner import pins
from runner.backends import interpreters
from runner.documents import hint
from runner.errors import RunnerError
from runner.images import legacy_pip, requirements
from runner.images.registry import Registry, clean_environment
from runner.model import Image

_TIMEOUT_S = 900.0
_OLDEST_OF_UV = (3, 6)  # it starts an interpreter with -I, which older ones do not know
_PLATFORM = "x86_64-manylinux_2_31"  # what the images are, where this machine is something else
_UNSOLVED = 1  # uv's status where the registry answered, and what was asked for is not there
# resolves for a Python that uv does not start, such as 3.5, by way of the oldest that it does
_PYTHON_VERSION = "--python-version"
# option of the line "# lock:" to the number of words that follow it
OPTIONS = {
    "--exclude-newer": 1,
    "--exclude-newer-package": 1,
    "--prerelease": 1,
    "--no-deps": 0,
    _PYTHON_VERSION: 1,
}


class LockError(RunnerError):
    """No lock could be made; the one that was there is as it was."""


class Unanswered(LockError):
    """The registry does not answer, or this machine cannot ask it: nothing is known to be gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One package of a lock, before and after; None where it is not in it."""

    name: str
    old: str | None
    new: str | None
    hashes_changed: bool


def lock(
    image: Image, root: Path, registry: Registry, folders: tuple[Path, ...], *, upgrade: bool
) -> tuple[Change, ...]:
    """Write an image's requirements.lock anew and return what changed.

    A lock in which nothing changes is left as it is, header and all: environments and records
    are known by its hash.

    Args:
        folders: more folders that may serve wheels.
        upgrade: take the newest versions that fit, instead of those that are locked.

    Raises:
        LockError: it cannot be made; nothing was changed.
    """
    if image.language != "python":
        msg = f"{image.name}: its lock is Julia's Manifest.toml, which Pkg writes, not this command"
        raise LockError(msg)
    asked = image.folder / "requirements.in"
    if not asked.is_file():
        msg = f"{image.name}: no requirements.in; write what is asked for into it"
        raise LockError(msg)
    options = _checked_options(image, requirements.lock_options(asked.read_text("utf-8")))
    target = pins.lock_path(image)
    old = target.read_text(encoding="utf-8") if target.exists() else ""
    started = _started(image, options)
    program = _interpreter(image, started)
    if _version(started) < _OLDEST_OF_UV:
        _refuse_options(image, options)
        body = legacy_pip.resolve(program, asked, folders)
        command = legacy_pip.shown_command(image.language_version, image.full_name)
    else:
        body = _compiled(image, root, registry, folders, options, program, old, upgrade)
        command = _shown(image, options, with_wheels=_serves(body, folders))
    if unhashed := list(requirements.loose(body)):
        msg = f"{image.name}: the lock is kept as it is: " + "; ".join(unhashed)
        raise LockError(msg)
    found = changes(old, body)
    if found or not old:
        write_whole(target, header(image, command) + body)
    return found


def header(image: Image, command: str) -> str:
    """Return the comment that a lock begins with: how it was made, and of what."""
    variant = f" --variant {image.variant}" if image.variant else ""
    lines = [
        "Made in the repository's root by",
        f"  runner images lock {image.name}{variant}",
        f"which resolves for Python {image.language_version} with",
        f"  {command}",
    ]
    if "WHEELS" in command:
        lines.append("where WHEELS is a folder of wheels that no index has.")
    lines.append("Install with --no-deps --require-hashes.")
    return "".join(f"# {line}\n" for line in lines)


def changes(old_text: str, new_text: str) -> tuple[Change, ...]:
    """Return the packages that differ between two locks, by name."""
    old, new = requirements.locked(old_text), requirements.locked(new_text)
    found = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before != after:
            change = Change(
                name=name,
                old=None if before is None else before.version,
                new=None if after is None else after.version,
                hashes_changed=before is not None
                and after is not None
                and before.hashes != after.hashes,
            )
            found.append(change)
    return tuple(found)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])


def _started(image: Image, options: Sequence[str]) -> str:
    """Return the version of the Python that resolves: the image's own, if no option names it."""
    if _PYTHON_VERSION not in options:
        return image.language_version
    named = options[options.index(_PYTHON_VERSION) + 1]
    if named != image.language_version:
        msg = (
            f"{_asked(image)}: line '# lock:': {_PYTHON_VERSION} {named}, and the image has Python "
            f"{image.language_version}"
        )
        raise LockError(msg)
    return ".".join(map(str, max(_version(named), _OLDEST_OF_UV)))


def _interpreter(image: Image, wanted: str) -> Path:
    found = interpreters.find(wanted, uv.find_uv_bin())
    if found is None:
        msg = (
            f"{image.name}: a lock is resolved by the image's own Python, and no Python {wanted} "
            f"is on PATH, under {interpreters.pyenv_root()} or among uv's; install one, such as "
            f"`pyenv install {wanted}` or `uv python install {wanted}`"
        )
        raise Unanswered(msg)
    return found.path


def _checked_options(image: Image, words: Sequence[str]) -> tuple[str, ...]:
    left = list(words)
    while left:
        option = left.pop(0)
        if option not in OPTIONS or len(left) < OPTIONS[option]:
            problem = "needs a value" if option in OPTIONS else hint(option, OPTIONS)
            msg = f"{_asked(image)}: line '# lock:': {option!r}: {problem}"
            raise LockError(msg)
        del left[: OPTIONS[option]]
    return tuple(words)


def _refuse_options(image: Image, options: Sequence[str]) -> None:
    if options:
        msg = (
            f"{_asked(image)}: line '# lock:': Python {image.language_version} "
            "is resolved by its own pip, which has none of these options; pin versions instead"
        )
        raise LockError(msg)


def _compiled(
    image: Image,
    root: Path,
    registry: Registry,
    folders: tuple[Path, ...],
    options: Sequence[str],
    program: Path,
    old: str,
    upgrade: bool,
) -> str:
    more = (*options, *(("--upgrade",) if upgrade else ()), _asked(image))
    try:
        return _uv(root, registry, folders, program, more, old)
    except Unanswered as error:
        msg = f"{image.name}: the registry could not be asked; {_kept(image)}.\n{error}"
        raise Unanswered(msg) from error
    except LockError as error:
        raise LockError(_unresolved(image, str(error))) from error


def _uv(
    root: Path,
    registry: Registry,
    folders: tuple[Path, ...],
    program: Path,
    more: Sequence[str],
    old: str,
    limit_s: float = _TIMEOUT_S,
) -> str:
    """Have uv resolve and return the lock's lines; it keeps to the versions of `old`."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "lock"
        output.write_text(old, encoding="utf-8")
        command = [
            uv.find_uv_bin(),
            *("pip", "compile", "--no-config", "--quiet", "--python", str(program)),
            *_FORM,
            *(word for place in folders for word in ("--find-links", str(place.absolute()))),
            *(() if _is_like_images() else ("--python-platform", _PLATFORM)),
            *("--output-file", str(output)),
            *more,
        ]
        try:
            done = subprocess.run(
                command,
                cwd=root,
                env=clean_environment() | registry.uv_variables(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            msg = f"no answer within {limit_s:g} s"
            raise Unanswered(msg) from error
        if done.returncode == _UNSOLVED:
            raise LockError(done.stderr.strip())
        if done.returncode:
            raise Unanswered(done.stderr.strip())
        return output.read_text(encoding="utf-8")


def in_registry(
    image: Image,
    root: Path,
    registry: Registry,
    folders: tuple[Path, ...],
    limit_s: float = _TIMEOUT_S,
) -> dict[str, requirements.Locked]:
    """Return the locked versions with the hashes that the registry and the folders have now.

    Raises:
        Unanswered: no answer within `limit_s`, or this machine has no Python to ask with.
        LockError: a version is gone.
    """
    if _version(image.language_version) < _OLDEST_OF_UV:
        msg = f"Python {image.language_version} is older than uv can ask for"
        raise Unanswered(msg)
    locked = requirements.locked(pins.lock_path(image).read_text(encoding="utf-8"))
    pinned = "".join(f"{package.name}=={package.version}\n" for package in locked.values())
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "pinned.in"
        asked.write_text(pinned, encoding="utf-8")
        # With dependencies uv would build every source package, to read what it asks for.
        more = ("--no-deps", str(asked))
        program = _interpreter(image, image.language_version)
        body = _uv(root, registry, folders, program, more, "", limit_s)
    found = requirements.locked(body)
    # Without them it hashes no file of a folder.
    for wheel in pins.admitted_wheels(image, folders):
        package = locked[pins.normalised_name(wheel.name.split("-")[0])]
        known = found.get(package.name, dataclasses.replace(package, hashes=frozenset()))
        hashes = known.hashes | {pins.file_sha256(wheel)}
        found[package.name] = dataclasses.replace(package, hashes=hashes)
    return found


_FORM = ("--generate-hashes", "--no-header", "--no-annotate")


def _is_like_images() -> bool:
    return (platform.system(), platform.machine()) == ("Linux", "x86_64")


def _asked(image: Image) -> str:
    return f"images/{image.full_name}/requirements.in"


def _shown(image: Image, options: Sequence[str], *, with_wheels: bool) -> str:
    words = ["uv pip compile --python", f"python{_started(image, options)}", *_FORM, *options]
    if with_wheels:
        words.append("--find-links WHEELS")
    return " ".join([*words, _asked(image)])


def _serves(body: str, folders: tuple[Path, ...]) -> bool:
    """Tell whether any of the folders' wheels is in the lock."""
    locked = requirements.locked(body)
    for wheel in (path for folder in folders for path in folder.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        package = locked.get(pins.normalised_name(name))
        if package and package.version == version and pins.file_sha256(wheel) in package.hashes:
            return True
    return False


def _unresolved(image: Image, words: str) -> str:
    return (
        f"{image.name}: {_kept(image)}: what requirements.in asks for cannot be resolved "
        "together.\n"
        f"{words.strip()}\n"
        "Where the packages work together all the same, name every one of them with its version\n"
        "in requirements.in and add the line '# lock: --no-deps': the lock is then made of these\n"
        "alone, and is installed with --no-deps as every lock is."
    )


def _kept(image: Image) -> str:
    there = pins.lock_path(image).exists()
    return "requirements.lock is kept as it is" if there else "no lock was written"
