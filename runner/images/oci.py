"""Saved images as an OCI image layout in a tar, which engines that know only Docker's own load too.

Engines before Docker 25 save in a format of their own. The same configurations and layers are
written as blobs by digest, with the index that the OCI image layout asks for, and beside it the
``manifest.json`` that older engines read. Source: OCI Image Format Specification 1.1, "Image
Layout"; a layer's and a configuration's bytes stay as they are, and with them every image's id.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_MARK = "oci-layout"
_PIECE = 1 << 20


class Saved(msgspec.Struct, frozen=True, rename="pascal"):
    """An entry of an engine's manifest.json: paths in the tar, and the names it had."""

    config: str
    layers: tuple[str, ...]
    repo_tags: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """Bytes by their digest."""

    sha256: str
    size: int

    @property
    def path(self) -> str:
        """Where an image layout has it."""
        return f"blobs/sha256/{self.sha256}"

    def descriptor(self, media_type: str) -> dict[str, Any]:
        """Return how a manifest or an index names it."""
        return {"mediaType": media_type, "digest": f"sha256:{self.sha256}", "size": self.size}


def rewrite(saved: Path, target: Path) -> None:
    """Write an engine's saved images to `target` as an image layout; one that is one is copied.

    Raises:
        KeyError, msgspec.DecodeError: `saved` is not what an engine saves.
    """
    with tarfile.open(saved, "r:") as source, tarfile.open(target, "w") as made:
        if _MARK in source.getnames():
            _copy(source, made)
            return
        entries = msgspec.json.decode(_file(source, "manifest.json").read(), type=list[Saved])
        blobs: dict[str, Blob] = {}
        written: set[str] = set()
        for name in dict.fromkeys(path for one in entries for path in (one.config, *one.layers)):
            blobs[name] = _digest(_file(source, name))
            if blobs[name].sha256 not in written:
                _add(made, blobs[name].path, _file(source, name), blobs[name].size)
                written.add(blobs[name].sha256)
        index = [_manifest(made, entry, blobs) for entry in entries]
        for path, content in (
            (_MARK, {"imageLayoutVersion": "1.0.0"}),
            (
                "index.json",
                {
                    "schemaVersion": 2,
                    "mediaType": _INDEX,
                    "manifests": [descriptor for named in index for descriptor in named],
                },
            ),
            ("manifest.json", [_old(entry, blobs) for entry in entries]),
        ):
            _write(made, path, json.dumps(content).encode())


def _manifest(
    made: tarfile.TarFile, entry: Saved, blobs: Mapping[str, Blob]
) -> list[dict[str, Any]]:
    """Write an image's manifest; return its descriptors, one a name, or one without a name."""
    content = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": blobs[entry.config].descriptor(_CONFIG),
            "layers": [blobs[name].descriptor(_LAYER) for name in entry.layers],
        }
    ).encode()
    blob = _digest(io.BytesIO(content))
    _write(made, blob.path, content)
    plain = blob.descriptor(_MANIFEST)
    return [
        {**plain, "annotations": {"org.opencontainers.image.ref.name": name}}
        for name in entry.repo_tags or ()
    ] or [plain]


def _old(entry: Saved, blobs: Mapping[str, Blob]) -> dict[str, Any]:
    return {
        "Config": blobs[entry.config].path,
        "RepoTags": entry.repo_tags,
        "Layers": [blobs[name].path for name in entry.layers],
    }


def _file(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    """Open a file of a tar; a link leads to what it names, as a layer that two images share."""
    file = tar.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file


def _digest(file: IO[bytes]) -> Blob:
    digest, size = hashlib.sha256(), 0
    while piece := file.read(_PIECE):
        digest.update(piece)
        size += len(piece)
    return Blob(sha256=digest.hexdigest(), size=size)


def _write(made: tarfile.TarFile, path: str, content: bytes) -> None:
    _add(made, path, io.BytesIO(content), len(content))


def _add(made: tarfile.TarFile, path: str, file: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(path)
    member.size, member.mode = size, 0o644
    made.addfile(member, file)


def _copy(source: tarfile.TarFile, made: tarfile.TarFile) -> None:
    for member in source:
        if member.isfile():
            _add(made, member.name, _file(source, member.name), member.size)
