"""What is inside an image, read from outside: no program of it is started.

Packages are found by their metadata (``*.dist-info``, PEP 376 and 427), whose RECORD names
each file with its hash. Bases keep Python and all packages below /usr/local.
"""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from docker import APIClient
from docker.errors import NotFound

from runner.backends import docker_build
from runner.images.engine import created, members
from runner.pins import normalised_name

PREFIX = "/usr/local"
SCRIPTS = "/runner"
_DPKG = "/var/lib/dpkg/status"
_INFO = re.compile(r"^(?P<folder>lib/python[\d.]+/site-packages/[^/]+\.dist-info)/(?P<file>[^/]+)$")
_KEPT = ("METADATA", "RECORD")
# Written by the installer, about the installation; what they say differs from one to the next.
_OF_INSTALLER = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """An installed distribution.

    Attributes:
        recorded: path below the prefix to the SHA-256 that its RECORD tells.
    """

    name: str
    version: str
    recorded: dict[str, str]

    @property
    def content_sha256(self) -> str:
        """One hash over the paths and hashes of all that it installed."""
        digest = hashlib.sha256()
        for path, file_digest in sorted(self.recorded.items()):
            if posixpath.basename(path) not in _OF_INSTALLER:
                digest.update(f"{path}\0{file_digest}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """An image's content.

    Attributes:
        files: path below the prefix to SHA-256, compiled bytecode left out.
        scripts: file name below /runner to SHA-256.
        debian: package to version, of the distribution's own packages.
        unreadable: metadata folders without METADATA or RECORD.
    """

    id: str
    packages: dict[str, Package]
    files: dict[str, str]
    scripts: dict[str, str]
    environment: dict[str, str]
    command: tuple[str, ...]
    debian: dict[str, str] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()


def read(api: APIClient, image: str) -> Inventory:
    """Read an image that the engine has."""
    ask: Callable[[str], dict[str, Any]] = api.inspect_image
    inspected = ask(image)
    config = inspected["Config"]
    files: dict[str, str] = {}
    metadata: dict[str, dict[str, str]] = {}
    scripts: dict[str, str] = {}
    with created(api, image) as container:
        for member, file in members(api, container, PREFIX):
            path = member.name.partition("/")[2]
            if file is None or path.endswith(".pyc"):
                continue
            found = _INFO.match(path)
            if found and found["file"] in _KEPT:
                data = file.read()
                files[path] = hashlib.sha256(data).hexdigest()
                texts = metadata.setdefault(found["folder"], {})
                texts[found["file"]] = data.decode("utf-8", "replace")
            else:
                files[path] = sha256_of(file)
        if _has(api, container, SCRIPTS):
            for member, file in members(api, container, SCRIPTS):
                if file is not None:
                    scripts[member.name.partition("/")[2]] = sha256_of(file)
        status = ""
        if _has(api, container, _DPKG):
            for _, file in members(api, container, _DPKG):
                status = "" if file is None else file.read().decode("utf-8", "replace")
    whole = {folder: texts for folder, texts in metadata.items() if set(texts) == set(_KEPT)}
    return Inventory(
        id=inspected["Id"],
        packages=_packages(whole),
        files=files,
        scripts=scripts,
        environment=dict(entry.split("=", 1) for entry in config.get("Env") or ()),
        command=tuple(config.get("Cmd") or ()),
        debian=docker_build.dpkg_versions(status),
        unreadable=tuple(sorted(metadata.keys() - whole.keys())),
    )


def _has(api: APIClient, container: str, path: str) -> bool:
    try:
        api.get_archive(container, path)[0].close()
    except NotFound:
        return False
    return True


def sha256_of(file: IO[bytes]) -> str:
    """Return the hexadecimal SHA-256 of what is left of a file."""
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def _packages(metadata: Mapping[str, Mapping[str, str]]) -> dict[str, Package]:
    found = {}
    for folder, texts in metadata.items():
        name = _field(texts["METADATA"], "Name")
        found[normalised_name(name)] = Package(
            name=normalised_name(name),
            version=_field(texts["METADATA"], "Version"),
            recorded=recorded(texts["RECORD"], posixpath.dirname(folder)),
        )
    return found


def _field(metadata: str, name: str) -> str:
    found = re.search(rf"^{name}: *(.+)$", metadata, re.MULTILINE)
    return found[1].strip() if found else ""


def recorded(record_text: str, folder: str = "") -> dict[str, str]:
    """Return {path: hexadecimal SHA-256} of a RECORD; files without a hash are left out.

    Args:
        folder: what its paths are relative to.
    """
    found = {}
    for row in csv.reader(record_text.splitlines()):
        if len(row) < 2 or not row[1].startswith("sha256="):
            continue
        text = row[1].removeprefix("sha256=")
        try:
            digest = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
        except binascii.Error:
            continue  # told as a file that no RECORD names
        found[posixpath.normpath(posixpath.join(folder, row[0]))] = digest
    return found
