"""How well images can still be made: where their bases and their wheels can be had.

What is asked of the world is a `Probes`, so that the rows are a pure function of the answers.
"""

from __future__ import annotations

import functools
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from docker import APIClient
from docker.errors import APIError
from requests.exceptions import RequestException

from runner import pins
from runner.backends.docker_bases import (
    carrying,
    inspect,
    restored_name,
    split_reference,
    stand_in_of,
)
from runner.backends.docker_job import engine_words
from runner.backends.docker_refusals import refusal
from runner.errors import BackendUnavailable
from runner.images import locking, requirements
from runner.images.archiving import Manifest
from runner.images.engine import reach
from runner.images.locking import LockError, Unanswered
from runner.images.registry import Registry, RegistryError, configured
from runner.images.requirements import Locked
from runner.model import Image

OK, NOTE, PROBLEM = "ok", "note", "problem"
# of each question to a registry; several are under way at once
LIMIT_S = 30
_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One finding on one image.

    Attributes:
        what: ``base`` or ``wheels``.
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
        reference: the base, as the Dockerfile pins it.
        here: the engine has it, pulled or out of an archive.
        pullable: its registry has it; None where that was not asked.
        stand_in: the engine has this instead.
        archived: a file from ``runner images archive`` holds an image of it.
        problem: why the registry has not.
    """

    reference: str = ""
    here: bool = False
    pullable: bool | None = False
    stand_in: str | None = None
    archived: str | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probes:
    """What is asked of the world.

    Attributes:
        base: None where no engine answers.
        wheels: hashes that can be had now of each locked package; None where that was not
            asked. Raises LockError: some version is gone; Unanswered: it cannot be told.
    """

    base: Callable[[Image], BaseState | None]
    wheels: Callable[[Image], Mapping[str, Locked] | None]


def rows(images: Sequence[Image], probes: Probes) -> tuple[Row, ...]:
    """Return two rows an image: of its base, and, of Python's that were asked for, its wheels."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        found = pool.map(lambda image: tuple(_rows(image, probes)), images)
        return tuple(row for of_image in found for row in of_image)


def _rows(image: Image, probes: Probes) -> Iterator[Row]:
    yield base_row(image, probes.base(image))
    if image.language == "python":
        yield from _wheels_rows(image, probes)


def base_row(image: Image, state: BaseState | None) -> Row:
    """Return the row of a base."""
    remedy = ""
    pulling = "" if state is None or state.pullable is None else "cannot be pulled; "
    match state:
        case None:
            words = (NOTE, "no container engine answers, so that it cannot be told")
            remedy = "start an engine, or measure with --backend process"
        case BaseState(here=True):
            words = (OK, "here")
        case BaseState(pullable=True):
            words = (OK, "can be pulled")
        case BaseState(stand_in=str(name)):
            words = (NOTE, f"{pulling}{name} stands in")
            remedy = "let it serve: every record says so"
        case BaseState(archived=str(name)):
            words = (NOTE, f"{pulling}{name} has it")
            remedy = f"runner images restore {name}"
        case BaseState(pullable=None):
            words = (NOTE, "not here, and its registry was not asked")
            remedy = "ask again without --offline"
        case _:
            words = (PROBLEM, f"cannot be pulled ({state.problem}), and nothing stands in")
            remedy = _base_remedy(image, state.reference)
    return Row(image=image.name, what="base", state=words[0], found=words[1], remedy=remedy)


def _base_remedy(image: Image, reference: str) -> str:
    carried = carrying(reference)
    if image.language != "python":
        return carried
    return f"{carried}; or sudo scripts/bases {image.language_version}"


def _wheels_rows(image: Image, probes: Probes) -> Iterator[Row]:
    locked = requirements.locked(pins.lock_path(image).read_text(encoding="utf-8"))
    try:
        there = probes.wheels(image)
    except Unanswered as error:
        found, remedy = f"it cannot be told: {_end(error)}", "ask again later, or --offline"
        yield Row(image=image.name, what="wheels", state=NOTE, found=found, remedy=remedy)
    except LockError as error:
        found, remedy = _end(error), _replace(image)
        yield Row(image=image.name, what="wheels", state=PROBLEM, found=found, remedy=remedy)
    else:
        if there is not None:
            yield wheels_row(image, locked, there)


def _end(error: LockError) -> str:
    return " ".join(str(error).strip().splitlines()[-3:])


def _replace(image: Image) -> str:
    return f"name a folder that has them (--wheels), or runner images lock {image.name}"


def wheels_row(image: Image, locked: Mapping[str, Locked], there: Mapping[str, Locked]) -> Row:
    """Return the row of an image's wheels: what is locked against what can be had."""
    gone = [name for name in locked if not locked[name].hashes & _hashes(there, name)]
    fewer = [name for name in locked if locked[name].hashes - _hashes(there, name)]
    state, found, remedy = OK, "every file of the lock can be had", ""
    if gone:
        state, found = PROBLEM, f"no file with a locked hash: {', '.join(sorted(gone))}"
        remedy = _replace(image)
    elif fewer:
        state, found = NOTE, f"some locked files are gone: {', '.join(sorted(fewer))}"
        remedy = f"runner images archive {image.name} -o FILE, while the others are there"
    return Row(image=image.name, what="wheels", state=state, found=found, remedy=remedy)


def _hashes(there: Mapping[str, Locked], name: str) -> frozenset[str]:
    return there[name].hashes if name in there else frozenset()


def real_probes(
    root: Path,
    folders: tuple[Path, ...],
    archives: Path | None = None,
    *,
    is_offline: bool = False,
) -> Probes:
    """Return probes of this machine's engine, and of the registries where they may be asked.

    Args:
        folders: more folders that may serve wheels.
        archives: a folder of files from ``runner images archive``.
    """

    def wheels(image: Image) -> Mapping[str, Locked] | None:
        if is_offline:
            return None
        return locking.in_registry(image, root, _registry(), folders, limit_s=LIMIT_S)

    held = {} if archives is None else archived_images(archives)
    return Probes(base=_base_probe(root, held, is_offline=is_offline), wheels=wheels)


@functools.cache
def _registry() -> Registry:
    try:
        return configured()
    except RegistryError as error:
        raise Unanswered(str(error)) from error


def _base_probe(
    root: Path, archived: Mapping[str, str], *, is_offline: bool
) -> Callable[[Image], BaseState | None]:
    try:
        _, api = reach(root, ())
    except BackendUnavailable:
        return lambda _: None
    api.timeout = LIMIT_S
    asked: dict[str, str] = {}
    lock = threading.Lock()  # many images share a base, and a registry is asked of each but once

    def why_not(pinned: str) -> str:
        """Return why a base cannot be pulled, or nothing."""
        with lock:
            if pinned not in asked:
                asked[pinned] = _refusal(api, pinned)
            return asked[pinned]

    def probe(image: Image) -> BaseState:
        reference = pins.base_reference(image)
        repository, digest = split_reference(reference)
        pinned = f"{repository}@{digest}" if digest else repository
        stand_in = stand_in_of(image)
        names = filter(None, (pinned, restored_name(reference)))
        is_here = any(inspect(api, name) is not None for name in names)
        problem = "" if is_here or is_offline else why_not(pinned)
        return BaseState(
            reference=reference,
            here=is_here,
            pullable=None if is_offline else not problem,
            stand_in=stand_in if inspect(api, stand_in) is not None else None,
            archived=archived.get(image.name),
            problem=problem,
        )

    return probe


def _refusal(api: APIClient, pinned: str) -> str:
    ask: Callable[[str], dict[str, Any]] = api.inspect_distribution
    try:
        ask(pinned)
    except APIError as error:
        return refusal(engine_words(error))
    except RequestException:
        return f"no answer within {LIMIT_S:g} s"
    return ""


def archived_images(folder: Path) -> dict[str, str]:
    """Return {image's name: path} of the archives in a folder; other files are passed over."""
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
