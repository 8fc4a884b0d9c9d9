"""From an image's folder to an image of the engine: recipe, context, build, facts."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import socket
import tarfile
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from docker import APIClient
from docker.errors import APIError, create_api_error_from_http_exception
from requests import Response
from requests.exceptions import HTTPError, ReadTimeout, RequestException
from urllib3.exceptions import ReadTimeoutError

from runner import pins
from runner.backends import PrepareError
from runner.backends.docker_bases import ResolvedBase, Say
from runner.backends.docker_job import engine_words
from runner.model import BuildLimits, Image, Status

_EVIDENCE_LINES = 20
_LEFT_OUT = {"__pycache__", *pins.VARIANTS}  # a variant is an image of its own
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """All that decides what comes out of a build, but for the wheels, which the lock decides.

    Attributes:
        files: path in the build context to path here.
        arguments: build arguments.
        apt: names of the packages of the argument APT.
        content: SHA-256 over all of it, the base's id included.
    """

    files: dict[str, Path]
    arguments: dict[str, str]
    apt: tuple[str, ...]
    content: str


def recipe(image: Image, root: Path, resolved: ResolvedBase) -> Recipe:
    """Return what an image is built from.

    Raises:
        PrepareError: a file is missing.
    """
    folder = f"images/{image.full_name}"
    files = {
        f"{folder}/{path.relative_to(image.folder).as_posix()}": path
        for path in sorted(image.folder.rglob("*"))
        if path.is_file() and not _LEFT_OUT & set(path.relative_to(image.folder).parts[:-1])
    }
    try:
        files |= {f"scripts/{path.name}": path for path in pins.script_files(root)}
        text = (image.folder / "Dockerfile").read_text(encoding="utf-8")
        arguments = build_arguments(text, resolved)
        # How a restored base is named changes nothing that comes out: its id is hashed as such.
        decisive = {} if resolved.base.substituted_by is None else arguments
        # Nor does a fact in image.yaml, which is not copied: where it was seen to work, say.
        built = {name: path for name, path in files.items() if name != f"{folder}/image.yaml"}
        content = content_sha256(built, decisive, resolved.id)
    except OSError as error:
        msg = f"{image.full_name}: {error.filename}: {error.strerror}"
        raise PrepareError(Status.BUILD_FAILED, msg) from error
    apt = pins.unpinned_apt(pins.dockerfile_argument(text, "APT") or "").split()
    return Recipe(files=files, arguments=arguments, apt=tuple(apt), content=content)


def build_arguments(dockerfile_text: str, resolved: ResolvedBase) -> dict[str, str]:
    """Return the build arguments: none with the pinned base as pulled, else what is there."""
    if resolved.base.substituted_by is None:
        return {"BASE": resolved.id} if resolved.restored else {}
    apt = pins.dockerfile_argument(dockerfile_text, "APT")
    unpinned = {} if apt is None else {"APT": pins.unpinned_apt(apt)}
    return {"BASE": resolved.id, **unpinned}


def content_sha256(files: Mapping[str, Path], arguments: Mapping[str, str], base_id: str) -> str:
    """Return a hash over all that decides what comes out of a build."""
    digest = hashlib.sha256(f"{base_id}\n{json.dumps(dict(arguments), sort_keys=True)}\n".encode())
    for name, path in sorted(files.items()):
        digest.update(f"{name}\0{_mode(path):o}\0{pins.file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def write_context(files: Mapping[str, Path], wheels: Iterable[Path], archive: IO[bytes]) -> None:
    """Write a build context as tar, the same bytes for the same files: owner and times are none."""
    members = {**files, **{f"wheels/{wheel.name}": wheel for wheel in wheels}}
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, path in sorted(members.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = path.stat().st_size, _mode(path)
            with path.open("rb") as file:
                tar.addfile(member, file)
    archive.seek(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One build: what, under which tag and labels, within which limits."""

    image: Image
    recipe: Recipe
    wheels: tuple[Path, ...]
    tag: str
    labels: dict[str, str]
    limits: BuildLimits


class BuildFailed(Exception):
    """A build ended without an image; the message says why."""


def build(api: APIClient, order: Order, say: Say) -> None:
    """Build an image. When `say` raises, the engine is made to give the build up, too.

    Raises:
        PrepareError: it failed, or went past a limit; the evidence is the end of its log.
    """
    last: deque[str] = deque(maxlen=_EVIDENCE_LINES)
    try:
        with tempfile.TemporaryFile() as archive:
            write_context(order.recipe.files, order.wheels, archive)
            with contextlib.closing(_messages(api, order, archive)) as messages:
                for line in log_lines(messages):
                    last.append(line)
                    say(line)
    except (BuildFailed, APIError) as error:
        words = engine_words(error) if isinstance(error, APIError) else str(error)
        reason = f"building {order.image.full_name} failed: {words}"
        raise PrepareError(Status.BUILD_FAILED, reason, "\n".join(last)) from error


def log_lines(messages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Return the lines of a build's log, whole and without colours.

    Raises:
        BuildFailed: the engine said so.
    """
    rest = ""
    for message in messages:
        *lines, rest = _COLOURS.sub("", rest + message.get("stream", "")).split("\n")
        yield from (line.rstrip() for line in lines if line.strip())
        if "error" in message:
            if rest.strip():
                yield rest.rstrip()
            raise BuildFailed(str(message["error"]).strip())
    if rest.strip():
        yield rest.rstrip()


def _messages(
    api: APIClient, order: Order, archive: IO[bytes]
) -> Generator[dict[str, Any], None, None]:
    """Post a build and return the engine's messages.

    The engine gives a build up when its connection is closed. The library's own call keeps the
    connection to itself, and has no limit of time: hence the request by hand.
    """
    until = time.monotonic() + order.limits.timeout_s
    response = _posted(api, order, archive)
    with contextlib.closing(response), Deadline(response.raw.fileno(), until) as deadline:
        try:
            for line in response.iter_lines(chunk_size=None):
                if line:
                    yield json.loads(line)
        except (RequestException, json.JSONDecodeError) as error:
            if not deadline.has_passed:
                raise BuildFailed(_cut_off(error, order.limits)) from error
        if deadline.has_passed:
            msg = f"cancelled: not done after {order.limits.timeout_s:g} s"
            raise BuildFailed(msg)


def _posted(api: APIClient, order: Order, archive: IO[bytes]) -> Response:
    parameters = {
        "t": order.tag,
        "dockerfile": f"images/{order.image.full_name}/Dockerfile",
        "buildargs": json.dumps(order.recipe.arguments),
        "labels": json.dumps(order.labels),
        "forcerm": "1",
    }
    try:
        response = api.post(
            f"{api.base_url}/v{api.api_version}/build",
            params=parameters,
            data=archive,
            headers={"Content-Type": "application/x-tar"},
            stream=True,
            timeout=min(order.limits.silence_s, order.limits.timeout_s),
        )
    except RequestException as error:
        raise BuildFailed(_cut_off(error, order.limits)) from error
    try:
        response.raise_for_status()
    except HTTPError as error:
        raise create_api_error_from_http_exception(error) from error
    return response


def _cut_off(error: Exception, limits: BuildLimits) -> str:
    silent = isinstance(error, ReadTimeout) or any(
        isinstance(argument, ReadTimeoutError) for argument in error.args
    )
    if silent:
        return f"cancelled: no line for {min(limits.silence_s, limits.timeout_s):g} s"
    return f"the engine broke off: {error}"


class Deadline:
    """Cuts a connection off at a moment of the monotonic clock, whoever is reading from it."""

    def __init__(self, descriptor: int, until: float) -> None:
        self._connection = socket.socket(fileno=os.dup(descriptor))
        self._timer = threading.Timer(max(0.0, until - time.monotonic()), self._cut)
        self._timer.daemon = True
        self.has_passed = False

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._timer.join()
        self._connection.close()

    def _cut(self) -> None:
        self.has_passed = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


def apt_versions(api: APIClient, image: str, names: Iterable[str]) -> str:
    """Return the versions of Debian packages in an image, as apt would be asked for them."""
    container = api.create_container(image, ["true"])["Id"]
    try:
        chunks, _ = api.get_archive(container, "/var/lib/dpkg/status")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            member = tar.extractfile("status")
            text = "" if member is None else member.read().decode("utf-8", "replace")
    except APIError:
        return "unknown: not a Debian image"
    finally:
        api.remove_container(container, force=True)
    versions = dpkg_versions(text)
    return " ".join(f"{name}={versions.get(name, '')}" for name in names)


def dpkg_versions(status_text: str) -> dict[str, str]:
    """Return {package: version} of /var/lib/dpkg/status."""
    return dict(re.findall(r"^Package: (\S+)\n(?:\S.*\n| .*\n)*?Version: (\S+)", status_text, re.M))
