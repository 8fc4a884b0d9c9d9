"""``runner images archive`` and ``restore``: an environment that survives its registry.

An archive is a tar of: ``image.tar`` (an OCI archive of the image and its base, see ``oci``),
``distributions/`` (every file of the lock), ``images/NAME/`` and ``scripts/`` (what it was
built from), ``sbom.json``, ``manifest.json`` and ``SHA256SUMS`` over all of them, which
``sha256sum --check`` reads.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec
from docker import APIClient

from runner.backends import PrepareError, docker_build
from runner.backends.docker_bases import inspect, restored_name
from runner.backends.docker_job import engine_errors
from runner.errors import RunnerError
from runner.images import distributions, inventory, oci, sbom
from runner.images.engine import reach
from runner.images.verifying import resolve
from runner.model import BuildLimits, Image
from runner.pins import file_sha256

SCHEMA = 1
_SUM = re.compile(r"^([0-9a-f]{64})  (\S.*)$")

Say = Callable[[str], None]


class ArchiveError(RunnerError):
    """An archive cannot be made, is damaged, or is not what came out of the engine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What an archive says of itself.

    Attributes:
        id, base_id: of the image and of its base, as the engine knows them by content.
        tag: name under which the docker backend looks for the image.
        base_reference: as the Dockerfile pins it.
        base_tag: the stand-in's name, or None where the pinned base was used.
    """

    schema: int
    image: str
    id: str
    tag: str
    base_id: str
    base_reference: str
    base_tag: str | None


def archive(image: Image, root: Path, folders: tuple[Path, ...], target: Path, say: Say) -> str:
    """Write an image with all that it was made of to `target`; return a sentence about it.

    Raises:
        BackendUnavailable: no engine answers.
        ArchiveError: `target` exists, or the image cannot be made.
        FetchError: a file of the lock cannot be had any more.
    """
    if target.exists():
        msg = f"{target} exists; remove it or take another name"
        raise ArchiveError(msg)
    backend, api = reach(root, folders)
    base = resolve(api, image, say)
    recipe = docker_build.recipe(image, root, base)
    try:
        environment = backend.prepare(image, BuildLimits(), lambda _: None)
    except PrepareError as error:
        msg = f"{image.name} cannot be made: {error}\n{error.evidence}"
        raise ArchiveError(msg) from error
    stand_in = base.base.substituted_by
    manifest = Manifest(
        schema=SCHEMA,
        image=image.name,
        id=environment.digest,
        tag=environment.location,
        base_id=base.id,
        base_reference=base.base.reference,
        base_tag=None if stand_in is None else stand_in.split(" ")[0],
    )
    with tempfile.TemporaryDirectory(dir=target.absolute().parent) as work:
        folder = Path(work)
        (folder / "distributions").mkdir()
        say("fetching the lock's files")
        distributions.fetch(api, manifest.id, folder / "distributions")
        files = distributions.read(folder / "distributions")
        bill = sbom.render(image, inventory.read(api, manifest.id), files)
        (folder / "sbom.json").write_text(bill, encoding="utf-8")
        (folder / "manifest.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        )
        for name, path in recipe.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        say("saving the image")
        with engine_errors(f"saving {image.name}"):
            _save(api, manifest, folder / "saved.tar")
        _rewrite(folder / "saved.tar", folder / "image.tar")
        inside = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
        (folder / "SHA256SUMS").write_text(distributions.sums(inside), encoding="utf-8")
        say(f"writing {target}")
        _pack(folder, target)
    size = target.stat().st_size / 1e6
    return f"{image.name}: {target}, {size:.0f} MB, {len(files)} distributions, {manifest.id}"


def _save(api: APIClient, manifest: Manifest, target: Path) -> None:
    """Save image and base by one call, so that the layers that they share are there once."""
    response = api.get(
        f"{api.base_url}/v{api.api_version}/images/get",
        params={"names": [manifest.tag, manifest.base_tag or manifest.base_id]},
        stream=True,
    )
    with contextlib.closing(response), target.open("wb") as file:
        response.raise_for_status()
        for piece in response.iter_content(1 << 20):
            file.write(piece)


def _rewrite(saved: Path, target: Path) -> None:
    try:
        oci.rewrite(saved, target)
    except (KeyError, OSError, tarfile.TarError, msgspec.DecodeError) as error:
        msg = f"what the engine saved cannot be made an OCI archive: {error}"
        raise ArchiveError(msg) from error
    saved.unlink()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _pack(folder: Path, target: Path) -> None:
    """Write the folder as a tar; SHA256SUMS and the manifest come first, to be read at once."""
    partial = target.with_name(f".{target.name}.partial")
    first = [folder / "SHA256SUMS", folder / "manifest.json"]
    try:
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
            for path in [*first, *(path for path in _files(folder) if path not in first)]:
                member = tarfile.TarInfo(path.relative_to(folder).as_posix())
                member.size, member.mode = path.stat().st_size, 0o644
                with path.open("rb") as file:
                    tar.addfile(member, file)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def restore(source: Path, root: Path, say: Say) -> str:
    """Load an archive into the engine; return a sentence about it. Needs no network.

    Raises:
        BackendUnavailable: no engine answers.
        ArchiveError: the file is damaged, or the engine made another image of it.
    """
    _, api = reach(root, ())
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as work:
        folder = Path(work)
        manifest = unpack(source, folder)
        say(f"checksums agree; loading {manifest.image}")
        before = None if manifest.base_tag is None else inspect(api, manifest.base_tag)
        with (
            engine_errors(f"loading {manifest.image}"),
            (folder / "image.tar").open("rb") as file,
        ):
            load: Callable[[IO[bytes]], Iterator[dict[str, str]]] = api.load_image
            for message in load(file):
                if "error" in message:
                    msg = f"{source}: the engine refused it: {message['error']}"
                    raise ArchiveError(msg)
    return _loaded(api, manifest, None if before is None else str(before["Id"]))


def _loaded(api: APIClient, manifest: Manifest, base_before: str | None) -> str:
    """Hold what the engine now has to the manifest, and put a base that was moved back."""
    found = inspect(api, manifest.tag)
    if found is None or found["Id"] != manifest.id:
        has = "none" if found is None else found["Id"]
        msg = f"{manifest.tag}: the archive is of {manifest.id}, and the engine has {has}"
        raise ArchiveError(msg)
    words = f"{manifest.image}: {manifest.tag} is {manifest.id}, as it was archived"
    if manifest.base_tag is not None and base_before not in (None, manifest.base_id):
        repository, _, tag = manifest.base_tag.rpartition(":")
        api.tag(base_before, repository, tag)
        words += (
            f"; its base {manifest.base_id[:19]} is there too, but {manifest.base_tag} stays the "
            "one that it was here, so that a launch builds the image anew on that"
        )
    name = restored_name(manifest.base_reference)
    if manifest.base_tag is None and name is not None:
        repository, _, tag = name.rpartition(":")
        with engine_errors(f"naming the base of {manifest.image}"):
            api.tag(manifest.base_id, repository, tag)
        words += f"; its base is {name}, by which a launch finds it"
    return words


def unpack(source: Path, folder: Path) -> Manifest:
    """Unpack an archive into `folder`, hold it to its checksums, and return its manifest.

    Raises:
        ArchiveError: it is no archive of ours, or damaged.
    """
    try:
        with tarfile.open(source, "r:") as tar:
            tar.extractall(folder, filter="data")
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
        sums = (folder / "SHA256SUMS").read_text(encoding="utf-8")
    except (OSError, tarfile.TarError, msgspec.DecodeError) as error:
        msg = f"{source}: no archive of an image: {error}"
        raise ArchiveError(msg) from error
    if manifest.schema > SCHEMA:
        msg = f"{source}: written in schema {manifest.schema}; this runner reads up to {SCHEMA}"
        raise ArchiveError(msg)
    wrong = damage(sums, folder)
    if wrong:
        msg = "\n".join([f"{source}: damaged", *(f"  {line}" for line in wrong)])
        raise ArchiveError(msg)
    return manifest


def damage(sums: str, folder: Path) -> list[str]:
    """Return what of a folder is not as its SHA256SUMS has it."""
    expected = {match[2]: match[1] for line in sums.splitlines() if (match := _SUM.match(line))}
    found = []
    for name, digest in sorted(expected.items()):
        path = folder / name
        if not path.is_file():
            found.append(f"{name}: missing")
        elif file_sha256(path) != digest:
            found.append(f"{name}: its SHA-256 is not the one of SHA256SUMS")
    present = {path.relative_to(folder).as_posix() for path in _files(folder)}
    extra = present - expected.keys() - {"SHA256SUMS"}
    return found + [f"{name}: not in SHA256SUMS" for name in sorted(extra)]
