"""Where an image's base comes from: here, out of an archive, pulled, or something stands in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from docker import APIClient
from docker.errors import APIError
from requests.exceptions import RequestException

from runner import pins
from runner.backends import PrepareError
from runner.backends.docker_job import engine_words
from runner.backends.docker_options import SUBSTITUTE_LABEL
from runner.backends.docker_refusals import refusal
from runner.model import Base, BuildLimits, Image, Status

_STAND_IN = "runner-base"
_RESTORED = "runner-archive/base"

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedBase:
    """A base that the engine has: what is recorded of it, and the engine's id.

    Attributes:
        restored: it is the pinned one, but came out of an archive, so that the engine does not
            know it by the pinned digest, and a build must be told its id.
    """

    base: Base
    id: str
    restored: bool = False


class Bases:
    """Finds each base once: here, out of an archive, by a pull, or a stand-in. Thread-safe."""

    def __init__(self, api: APIClient) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], ResolvedBase | PrepareError] = {}

    def resolve(self, image: Image, limits: BuildLimits, say: Say) -> ResolvedBase:
        """Return the pinned base of an image, or what stands in for it.

        Raises:
            PrepareError: there is neither, or the Dockerfile pins none.
        """
        try:
            reference = pins.base_reference(image)
        except (ValueError, OSError) as error:
            raise PrepareError(Status.BUILD_FAILED, str(error)) from error
        stand_in = stand_in_of(image)
        with self._lock:
            key = (reference, stand_in)
            if key not in self._known:
                try:
                    self._known[key] = self._find(reference, stand_in, limits, say)
                except PrepareError as error:
                    if error.status is not Status.BASE_UNAVAILABLE:
                        raise
                    self._known[key] = error
            found = self._known[key]
        if isinstance(found, PrepareError):
            raise PrepareError(found.status, found.reason, found.evidence)
        return found

    def _find(self, reference: str, stand_in: str, limits: BuildLimits, say: Say) -> ResolvedBase:
        repository, digest = split_reference(reference)
        pinned = f"{repository}@{digest}" if digest else repository
        problem = ""
        found = inspect(self._api, pinned)
        kept = restored_name(reference)
        restored = None if found is not None or kept is None else inspect(self._api, kept)
        if restored is not None:
            say(f"{reference}: {kept}, out of an archive")
            return ResolvedBase(base=Base(reference=reference), id=restored["Id"], restored=True)
        if found is None:
            problem = self._pull(repository, digest, limits, say)
            found = None if problem else inspect(self._api, pinned)
        if found is not None:
            known = reference if digest else as_pulled(reference, found)
            if known != reference:
                say(f"{reference} has no digest; it is {known}, as every record says")
            return ResolvedBase(base=Base(reference=known), id=found["Id"])
        substitute = inspect(self._api, stand_in)
        if substitute is None:
            reason = base_unavailable(reference, problem, stand_in)
            raise PrepareError(Status.BASE_UNAVAILABLE, reason)
        made_of = labels(substitute).get(SUBSTITUTE_LABEL, "it does not say what it is made of")
        say(f"{reference} cannot be pulled ({problem}); {stand_in} stands in for it")
        name = f"{stand_in} {substitute['Id']}: {made_of}"
        return ResolvedBase(
            base=Base(reference=reference, substituted_by=name), id=substitute["Id"]
        )

    def _pull(self, repository: str, digest: str, limits: BuildLimits, say: Say) -> str:
        """Pull a base within the time of a build; return what went wrong, or nothing.

        The engine's own words are said, for the log.
        """
        until = time.monotonic() + limits.timeout_s
        try:
            for message in self._api.pull(repository, digest or None, stream=True, decode=True):
                if "error" in message:
                    return _refused(str(message["error"]), say)
                if "progress" not in message:
                    say(f"{message.get('id', repository)}: {message.get('status', '')}")
                if time.monotonic() > until:
                    return f"not done after {limits.timeout_s:g} s"
        except (APIError, RequestException) as error:
            return _refused(engine_words(error), say)
        return ""


def _refused(words: str, say: Say) -> str:
    say(words)
    return refusal(words)


def split_reference(reference: str) -> tuple[str, str]:
    """Return a pinned base without its tag, which is for people, and its digest.

    >>> split_reference("host:5000/python:3.11-slim@sha256:1234")
    ('host:5000/python', 'sha256:1234')
    >>> split_reference("python:3.11-slim")
    ('python:3.11-slim', '')
    """
    name, _, digest = reference.partition("@")
    if not digest:
        return name, ""
    folders, slash, last = name.rpartition("/")
    return f"{folders}{slash}{last.partition(':')[0]}", digest


def as_pulled(reference: str, inspected: Mapping[str, Any]) -> str:
    """Return a tag with the digest that it was pulled by; alone where it was never pulled.

    >>> as_pulled("a/b:1", {"RepoDigests": ["other@sha256:77", "a/b@sha256:12"]})
    'a/b:1@sha256:12'
    """
    repository = split_reference(f"{reference}@unknown")[0]
    for name in inspected.get("RepoDigests") or ():
        found, _, digest = name.partition("@")
        if found == repository or found.endswith(f"/{repository}"):
            return f"{reference}@{digest}"
    return reference


def stand_in_of(image: Image) -> str:
    """Return the name of what stands in for an image's base where that cannot be had."""
    kind = f"{image.language}-{image.variant}" if image.variant else image.language
    return f"{_STAND_IN}/{kind}:{image.language_version}"


def restored_name(reference: str) -> str | None:
    """Return the name that a pinned base has once it came out of an archive; None if not pinned.

    An engine learns the digest of a base only where it pulls it.

    >>> restored_name("python:3.11-slim@sha256:0123456789abcdef")
    'runner-archive/base:0123456789ab'
    """
    digest = split_reference(reference)[1].removeprefix("sha256:")
    return f"{_RESTORED}:{digest[:12]}" if digest else None


def base_unavailable(reference: str, problem: str, stand_in: str) -> str:
    """Return the reason of a base that cannot be had, with what to do."""
    # The script makes stand-ins of this machine's Python, not of CUDA.
    is_variant = any(f"-{name}:" in stand_in for name in pins.VARIANTS)
    makeable = "" if is_variant else ", or make a stand-in with scripts/bases"
    return (
        f"base {reference} is not here and cannot be pulled ({problem}), and there is no stand-in"
        f" {stand_in}; {carrying(reference)}{makeable}"
    )


def carrying(reference: str) -> str:
    """Return how to bring a base here by hand; loading alone does not tell its digest."""
    name = restored_name(reference)
    named = f" and 'docker tag' it {name}" if name else ""
    return (
        "where its registry can be reached, 'docker pull' and 'docker save' it; here, 'docker load'"
        f" it{named}"
    )


def inspect(api: APIClient, name: str) -> dict[str, Any] | None:
    """Return what the engine says of an image, or None where it has none of that name."""
    ask: Callable[[str], dict[str, Any]] = api.inspect_image
    try:
        return ask(name)
    except APIError:  # not found, or no name that an image can have
        return None


def labels(inspected: Mapping[str, Any]) -> dict[str, str]:
    """Return an inspected image's labels."""
    return dict((inspected.get("Config") or {}).get("Labels") or {})
