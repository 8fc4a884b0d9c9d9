"""How well images can still be made: their base, their wheels, their interpreter.

What is asked of the world is a `Probes`, so that the rows are a pure function of the answers.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uv

from runner import pins
from runner.backends import interpreters
from runner.errors import BackendUnavailable
from runner.images import locking, requirements
from runner.images.locking import LockError
from runner.images.registry import Registry, RegistryError, configured
from runner.images.requirements import Locked
from runner.model import Image

OK, NOTE, PROBLEM = "ok", "note", "problem"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One finding on one image.

    Attributes:
        what: ``base``, ``wheels`` or ``interpreter``.
        state: ``ok``; ``note``: something stands in, or it cannot be told; ``problem``: it
            cannot be had.
        remedy: what to do; empty where nothing needs to be done.
    """

    image: str
    what: str
    state: str
    found: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseState:
    """Where a base can be had: each is a name, or None.

    Attributes:
        here: the engine has it.
        pullable: its registry has it.
        stand_in: the engine has this instead.
        archived: a file from ``runner images archive`` holds an image of it.
        problem: why the registry has not; the engine's words.
    """

    here: bool = False
    pullable: bool = False
    stand_in: str | None = None
    archived: str | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probes:
    """What is asked of the world.

    Attributes:
        base: None where no engine answers.
        wheels: hashes that can be had now of each locked package. Raises LockError.
        interpreter: the version found, or None.
    """

    base: Callable[[Image], BaseState | None]
    wheels: Callable[[Image], Mapping[str, Locked]]
    interpreter: Callable[[Image], str | None]


def rows(images: Sequence[Image], probes: Probes) -> tuple[Row, ...]:
    """Return three rows an image of Python, one of another language."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = pool.map(lambda image: tuple(_rows(image, probes)), images)
        return tuple(row for of_image in found for row in of_image)


def _rows(image: Image, probes: Probes) -> Iterator[Row]:
    yield base_row(image, probes.base(image))
    if image.language == "python":
        yield _wheels_row(image, probes)
        yield interpreter_row(image, probes.interpreter(image))


def base_row(image: Image, state: BaseState | None) -> Row:
    """Return the row of a base."""
    remedy = ""
    match state:
        case None:
            words = (NOTE, "no container engine answers, so that it cannot be told")
        case BaseState(here=True):
            words = (OK, "here")
        case BaseState(pullable=True):
            words = (OK, "can be pulled")
        case BaseState(stand_in=str(name)):
            words = (NOTE, f"cannot be pulled; {name} stands in")
        case BaseState(archived=str(name)):
            words = (NOTE, f"cannot be pulled; {name} has it")
            remedy = f"runner images restore {name}"
        case _:
            words = (PROBLEM, f"cannot be pulled ({state.problem}), and nothing stands in")
            remedy = "sudo scripts/bases"
            if image.language == "python":
                remedy += f" {image.language_version}"
    return Row(image=image.name, what="base", state=words[0], found=words[1], remedy=remedy)


def _wheels_row(image: Image, probes: Probes) -> Row:
    locked = requirements.locked(pins.lock_path(image).read_text(encoding="utf-8"))
    try:
        return wheels_row(image, locked, probes.wheels(image))
    except LockError as error:
        words = str(error).strip().splitlines()
        return Row(
            image=image.name,
            what="wheels",
            state=PROBLEM,
            found=" ".join(words[-3:]),
            remedy=f"name a folder that has them (--wheels), or runner images lock {image.name}",
        )


def wheels_row(image: Image, locked: Mapping[str, Locked], there: Mapping[str, Locked]) -> Row:
    """Return the row of an image's wheels: what is locked against what can be had."""
    gone = [name for name in locked if not locked[name].hashes & _hashes(there, name)]
    fewer = [name for name in locked if locked[name].hashes - _hashes(there, name)]
    state, found, remedy = OK, f"all files of {len(locked)} packages can be had", ""
    if gone:
        state, found = PROBLEM, f"no file with a locked hash: {', '.join(sorted(gone))}"
        remedy = f"name a folder that has them (--wheels), or runner images lock {image.name}"
    elif fewer:
        state, found = NOTE, f"some locked files are gone: {', '.join(sorted(fewer))}"
        remedy = f"runner images archive {image.name} -o FILE, while the others are there"
    return Row(image=image.name, what="wheels", state=state, found=found, remedy=remedy)


def _hashes(there: Mapping[str, Locked], name: str) -> frozenset[str]:
    return there[name].hashes if name in there else frozenset()


def interpreter_row(image: Image, version: str | None) -> Row:
    """Return the row of an image's interpreter, which only the process backend needs."""
    found = f"Python {version}" if version else f"no Python {image.language_version} here"
    remedy = "" if version else f"pyenv install {image.language_version}, or use a container engine"
    state = OK if version else NOTE
    return Row(image=image.name, what="interpreter", state=state, found=found, remedy=remedy)


def real_probes(root: Path, folders: tuple[Path, ...], archives: Path | None = None) -> Probes:
    """Return probes of this machine, its engine, and pip's registry.

    Args:
        archives: a folder of files from ``runner images archive``.
    """
    uv_program = uv.find_uv_bin()

    def interpreter(image: Image) -> str | None:
        found = interpreters.find(image.language_version, uv_program)
        return None if found is None else found.version

    def wheels(image: Image) -> Mapping[str, Locked]:
        return locking.in_registry(image, root, _registry(), folders)

    held = {} if archives is None else archived_images(archives)
    return Probes(base=_base_probe(root, held), wheels=wheels, interpreter=interpreter)


def _registry() -> Registry:
    try:
        return configured()
    except RegistryError as error:
        raise LockError(str(error)) from error


def _base_probe(root: Path, archived: Mapping[str, str]) -> Callable[[Image], BaseState | None]:
    from docker.errors import APIError

    from runner.backends.docker_bases import inspect, split_reference
    from runner.images.engine import reach

    try:
        _, api = reach(root, ())
    except BackendUnavailable:
        return lambda _: None

    def probe(image: Image) -> BaseState:
        repository, digest = split_reference(pins.base_reference(image))
        pinned = f"{repository}@{digest}" if digest else repository
        stand_in = f"runner-base/{image.language}:{image.language_version}"
        pullable, problem = False, ""
        ask: Callable[[str], dict[str, Any]] = api.inspect_distribution
        try:
            ask(pinned)
            pullable = True
        except APIError as error:
            problem = str(error.explanation or error)
        return BaseState(
            here=inspect(api, pinned) is not None,
            pullable=pullable,
            stand_in=stand_in if inspect(api, stand_in) is not None else None,
            archived=archived.get(image.name),
            problem=problem,
        )

    return probe


def archived_images(folder: Path) -> dict[str, str]:
    """Return {image's name: path} of the archives in a folder; other files are passed over."""
    import msgspec

    from runner.images.archiving import Manifest

    found = {}
    for path in sorted(folder.glob("*.tar")):
        try:
            with tarfile.open(path, "r:") as tar:
                tar.next()
                member = tar.next()  # written second, so that it is found at once
                file = None if member is None else tar.extractfile(member)
                manifest = msgspec.json.decode(b"" if file is None else file.read(), type=Manifest)
        except (OSError, tarfile.TarError, msgspec.DecodeError):
            continue
        found[manifest.image] = str(path)
    return found
