"""The container engine for work on images themselves: the docker backend's, reached again."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from docker import APIClient
from docker.utils import kwargs_from_env

from runner.backends import Backend, connect

# Saving or loading an image may take the engine long between two bytes.
_CALL_S = 900


def reach(root: Path, folders: tuple[Path, ...]) -> tuple[Backend, APIClient]:
    """Return the docker backend and a client of the same engine.

    Raises:
        BackendUnavailable: no engine answers.
    """
    backend = connect("docker", root, folders)
    host = backend.describe()["socket"]
    named: dict[str, Any] = {"base_url": host}
    if host == os.environ.get("DOCKER_HOST"):
        named |= kwargs_from_env()
    return backend, APIClient(version="auto", timeout=_CALL_S, **named)


@contextmanager
def created(api: APIClient, image: str) -> Iterator[str]:
    """Lend a container of an image that is never started: a way to its files."""
    container = str(api.create_container(image, ["true"])["Id"])
    try:
        yield container
    finally:
        api.remove_container(container, force=True)


def members(
    api: APIClient, container: str, path: str
) -> Generator[tuple[tarfile.TarInfo, IO[bytes] | None], None, None]:
    """Return the files below a path of a container, as they arrive; names begin with its last
    part. A file must be read before the next is asked for."""
    chunks, _ = api.get_archive(container, path)
    with tarfile.open(fileobj=io.BufferedReader(_Chunks(chunks)), mode="r|") as tar:
        for member in tar:
            yield member, tar.extractfile(member) if member.isfile() else None


class _Chunks(io.RawIOBase):
    """Chunks of bytes as a file that is read once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        while not self._rest:
            piece = next(self._chunks, None)
            if piece is None:
                return 0
            self._rest = piece
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)
