"""What an image's folder pins, read from its files: hashes, base, apt packages, wheels.

Functions over files, used by every backend and by the checks of images; nothing here writes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from runner.model import Image

SCRIPT_SUFFIXES = (".py", ".jl")
# Folders below an image's own, each of which makes a variant of it: an image with another base.
VARIANTS = ("cuda",)

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)", re.MULTILINE)
_ARGUMENT = r'^ARG {name}=(?:"([^"]*)"|(\S+))\s*$'


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock_path(image: Image) -> Path:
    """Return where the image's lock is: Julia's is its Manifest."""
    return image.folder / ("Manifest.toml" if image.language == "julia" else "requirements.lock")


def lock_sha256(image: Image) -> str:
    """Return the hash of the image's lock file."""
    return file_sha256(lock_path(image))


def script_files(root: Path) -> tuple[Path, ...]:
    """Return the files of scripts/ that go into every image, sorted by name."""
    return tuple(sorted(p for p in (root / "scripts").iterdir() if p.suffix in SCRIPT_SUFFIXES))


def scripts_sha256(root: Path) -> str:
    """Return one hash over names and contents of all that `script_files` returns."""
    digest = hashlib.sha256()
    for path in script_files(root):
        digest.update(f"{path.name}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def normalised_name(name: str) -> str:
    """Return a distribution's name as the packaging standard compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked_versions(lock_text: str) -> dict[str, str]:
    """Return {normalised name: version} of every requirement of a lock."""
    return {normalised_name(name): version for name, version in _REQUIREMENT.findall(lock_text)}


def locked_hashes(lock_text: str) -> frozenset[str]:
    """Return every SHA-256 that a lock admits."""
    return frozenset(_HASH.findall(lock_text))


def admitted_wheels(image: Image, folders: Iterable[Path]) -> tuple[Path, ...]:
    """Return the wheels of `folders` that the image's lock admits by hash.

    A wheel of another name or version is not read, so that large folders cost nothing.
    """
    if image.language != "python":
        return ()
    text = lock_path(image).read_text(encoding="utf-8")
    versions, hashes = locked_versions(text), locked_hashes(text)
    wheels = (path for folder in folders for path in sorted(folder.glob("*.whl")))
    return tuple(
        wheel
        for wheel in wheels
        if versions.get(normalised_name(wheel.name.split("-")[0])) == wheel.name.split("-")[1]
        and file_sha256(wheel) in hashes
    )


def dockerfile_argument(dockerfile_text: str, name: str) -> str | None:
    """Return the default of a build argument, or None where the Dockerfile declares none."""
    found = re.search(_ARGUMENT.format(name=re.escape(name)), dockerfile_text, re.MULTILINE)
    return None if found is None else found.group(1) or found.group(2) or ""


def base_reference(image: Image) -> str:
    """Return the pinned base of the image's Dockerfile: the default of its argument BASE.

    Raises:
        ValueError: the Dockerfile has no such argument.
    """
    path = image.folder / "Dockerfile"
    reference = dockerfile_argument(path.read_text(encoding="utf-8"), "BASE")
    if not reference:
        msg = f"{path}: no line 'ARG BASE=tag@sha256:...'"
        raise ValueError(msg)
    return reference


def unpinned_apt(packages: str) -> str:
    """Return apt packages without their versions.

    A stand-in base may be of another Debian release, which has other versions.
    """
    return " ".join(word.split("=")[0] for word in packages.split())
