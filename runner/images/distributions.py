"""The files that an image's packages were installed from, fetched once more by its own pip."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from docker import APIClient

from runner.errors import RunnerError
from runner.images import inventory
from runner.images.engine import members
from runner.images.legacy_pip import split_file_name
from runner.pins import file_sha256

_TIMEOUT_S = 1800
_FOLDER = "/distributions"
_LOCK = "/wheels/requirements.lock"
_EVIDENCE_LINES = 12
# Of no image's own: the label of whatever this makes, so that it is known whose it is.
LABEL = "runner.images"


class FetchError(RunnerError):
    """The files cannot be had any more; the message is pip's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """A wheel or a source distribution.

    Attributes:
        recorded: of a wheel: path below the prefix's site-packages to SHA-256, as far as it is
            installed unchanged; empty for a source distribution, which is built on installing.
    """

    name: str
    version: str
    file_name: str
    sha256: str
    recorded: dict[str, str]


def fetch(api: APIClient, image: str, folder: Path) -> None:
    """Fetch every file of the image's lock into `folder`, each held to the lock's hashes.

    The image's own pip does it, as it did when the image was built, and so takes the same
    files. It is the one container that has a network.

    Raises:
        FetchError: some file is gone, or has another hash.
    """
    command = [
        *("python", "-m", "pip", "download", "--no-cache-dir", "--no-deps", "--require-hashes"),
        *("--find-links", "/wheels", "--requirement", _LOCK, "--dest", _FOLDER),
    ]
    container = str(api.create_container(image, command, labels={LABEL: "fetch"})["Id"])
    try:
        api.start(container)
        status = api.wait(container, timeout=_TIMEOUT_S)["StatusCode"]
        if status:
            words = api.logs(container, tail=_EVIDENCE_LINES).decode("utf-8", "replace").strip()
            msg = f"the lock's files cannot be had any more; pip ended with {status}:\n{words}"
            raise FetchError(msg)
        for member, file in members(api, container, _FOLDER):
            if file is None:
                continue
            with (folder / Path(member.name).name).open("wb") as target:
                while piece := file.read(1 << 20):
                    target.write(piece)
    finally:
        api.remove_container(container, force=True)


def read(folder: Path) -> dict[str, Distribution]:
    """Return {normalised name: distribution} of a folder of wheels and source distributions."""
    found = {}
    for path in sorted(folder.iterdir()):
        name, version = split_file_name(path.name)
        found[name] = Distribution(
            name=name,
            version=version,
            file_name=path.name,
            sha256=file_sha256(path),
            recorded=_unchanged(path) if path.suffix == ".whl" else {},
        )
    return found


def _unchanged(wheel: Path) -> dict[str, str]:
    """Return what a wheel's own RECORD says of the files that are installed as they are.

    Scripts get another first line, and headers and data another place: they are left out.
    """
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/RECORD"))
        text = archive.read(name).decode("utf-8")
    found = {}
    for path, digest in inventory.recorded(text).items():
        first, _, rest = path.partition("/")
        if not first.endswith(".data"):
            found[path] = digest
        elif rest.startswith(("purelib/", "platlib/")):
            found[rest.partition("/")[2]] = digest
    return found


def sums(files: dict[str, Path]) -> str:
    """Return the text of SHA256SUMS for files by the names that they have beside it."""
    return "".join(f"{file_sha256(path)}  {name}\n" for name, path in sorted(files.items()))
