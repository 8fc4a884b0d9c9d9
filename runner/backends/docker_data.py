"""A file of the host for jobs to read, through nothing but the engine's API: in a volume."""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
import threading
from pathlib import Path
from typing import IO

from docker import APIClient
from docker.errors import NotFound

from runner.backends.docker_options import (
    DATA_FILE,
    DATA_FOLDER,
    DATA_LABEL,
    JOB_LABEL,
    OWNER_LABEL,
)
from runner.pins import file_sha256

# Comes after the file, so that a copy that was cut short is made again.
_MARKER = f"{DATA_FILE}.complete"


class Volumes:
    """The volumes that hold files, each named by its file's SHA-256 and filled once."""

    def __init__(self, api: APIClient, owner: str) -> None:
        self._api = api
        self._owner = owner
        self._lock = threading.Lock()
        self._known: dict[tuple[Path, int, int], str] = {}

    def holding(self, path: Path, image: str) -> str:
        """Return the name of a volume that holds `path` as DATA_FILE.

        Args:
            image: any image; a container of it, which never starts, lends the way in.
        """
        status = path.stat()
        key = (path.resolve(), status.st_mtime_ns, status.st_size)
        with self._lock:
            if key not in self._known:
                self._known[key] = self._filled(path, image)
            return self._known[key]

    def _filled(self, path: Path, image: str) -> str:
        digest = file_sha256(path)
        name = f"runner-data-{digest}"
        self._api.create_volume(name, labels={DATA_LABEL: digest})
        container = self._api.create_container(
            image,
            ["true"],
            labels={JOB_LABEL: name, OWNER_LABEL: self._owner},
            host_config=self._api.create_host_config(binds=[f"{name}:{DATA_FOLDER}:rw"]),
        )["Id"]
        try:
            if not self._is_complete(container):
                with tempfile.TemporaryFile() as archive:
                    _pack(path, archive)
                    self._api.put_archive(container, DATA_FOLDER, archive)
        finally:
            self._api.remove_container(container, force=True)
        return name

    def _is_complete(self, container: str) -> bool:
        with contextlib.suppress(NotFound):
            for _ in self._api.get_archive(container, _MARKER)[0]:
                pass
            return True
        return False


def _pack(path: Path, archive: IO[bytes]) -> None:
    with tarfile.open(fileobj=archive, mode="w") as tar, path.open("rb") as file:
        member = tarfile.TarInfo(Path(DATA_FILE).name)
        member.size, member.mode = path.stat().st_size, 0o444
        tar.addfile(member, file)
        tar.addfile(tarfile.TarInfo(Path(_MARKER).name))
    archive.seek(0)
