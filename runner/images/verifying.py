"""``runner images verify``: rebuilds an image from nothing and holds it to what was locked."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from docker import APIClient
from docker.errors import APIError

from runner import pins
from runner.backends import PrepareError, docker_build
from runner.backends.docker_bases import Bases, ResolvedBase, inspect
from runner.errors import RunnerError
from runner.images import distributions, inventory, requirements, sbom
from runner.images.distributions import LABEL, Distribution
from runner.images.engine import reach
from runner.images.inventory import Inventory
from runner.images.requirements import Locked
from runner.model import BuildLimits, Image

_EVIDENCE_LINES = 12

Say = Callable[[str], None]


class VerifyError(RunnerError):
    """The image could not be rebuilt; the message has the end of the build's log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What an image must hold.

    Attributes:
        files: {normalised name: the file it was installed from}, as fetched by the lock.
        scripts: file name to SHA-256, of scripts/ here.
    """

    image: Image
    locked: Mapping[str, Locked]
    files: Mapping[str, Distribution]
    scripts: Mapping[str, str]
    base: Inventory


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a rebuild showed.

    Attributes:
        packages, files: how many were compared.
        differences: each in a sentence; none means that the image is what was locked.
        sbom: the rebuilt image's software bill of materials, CycloneDX JSON.
    """

    image: str
    packages: int
    files: int
    differences: tuple[str, ...]
    sbom: str

    def text(self) -> str:
        """Return the verdict with a line a difference."""
        verdict = "is not what was locked" if self.differences else "is what was locked"
        first = f"{self.image}: {verdict}; {self.packages} packages, {self.files} files compared"
        return "\n".join([first, *(f"  {line}" for line in self.differences)])


def verify(image: Image, root: Path, folders: tuple[Path, ...], say: Say) -> Outcome:
    """Rebuild an image without a cache, compare it with its lock and with the one in use.

    Raises:
        BackendUnavailable: no engine answers.
        VerifyError, FetchError: it cannot be rebuilt, or its files cannot be had any more.
    """
    backend, api = reach(root, folders)
    base = resolve(api, image, say)
    recipe = docker_build.recipe(image, root, base)
    with rebuilt(api, image, recipe, folders, say) as tag:
        made = inventory.read(api, tag)
        with tempfile.TemporaryDirectory() as folder:
            say("fetching the lock's files once more")
            distributions.fetch(api, tag, Path(folder))
            files = distributions.read(Path(folder))
        expected = Expected(
            image=image,
            locked=requirements.locked(pins.lock_path(image).read_text(encoding="utf-8")),
            files=files,
            scripts=copied_scripts(image, root),
            base=inventory.read(api, base.id),
        )
        found = list(differences(expected, made))
        made_sbom = sbom.render(image, made, files)
        used = inspect(api, f"runner/{image.name.lower()}:{recipe.content[:12]}")
        if used is None:
            say(f"{backend.name} has no image of {image.name} in use; only the lock is compared")
        else:
            found += between(inventory.read(api, used["Id"]), made)
    return Outcome(
        image=image.name,
        packages=len(expected.locked),
        files=sum(len(package.recorded) for package in made.packages.values()),
        differences=tuple(found),
        sbom=made_sbom,
    )


def copied_scripts(image: Image, root: Path) -> dict[str, str]:
    """Return {file name: SHA-256} of the scripts that an image copies: those of its language."""
    suffix = Path(image.script).suffix
    paths = (path for path in pins.script_files(root) if path.suffix == suffix)
    return {path.name: pins.file_sha256(path) for path in paths}


def resolve(api: APIClient, image: Image, say: Say) -> ResolvedBase:
    """Return the base that an image is built on.

    Raises:
        VerifyError: there is none.
    """
    try:
        return Bases(api).resolve(image, BuildLimits(), say)
    except PrepareError as error:
        raise VerifyError(str(error)) from error


@contextlib.contextmanager
def rebuilt(
    api: APIClient, image: Image, recipe: docker_build.Recipe, folders: tuple[Path, ...], say: Say
) -> Iterator[str]:
    """Build an image with every step done anew, lend its tag, and remove it.

    Raises:
        VerifyError: it failed.
    """
    tag = f"runner-verify/{image.name.lower()}:{recipe.content[:12]}"
    say(f"building {tag} without a cache")
    lines: deque[str] = deque(maxlen=_EVIDENCE_LINES)
    try:
        with tempfile.TemporaryFile() as archive:
            wheels = pins.admitted_wheels(image, folders)
            docker_build.write_context(recipe.files, wheels, archive)
            messages = api.build(
                fileobj=archive,
                custom_context=True,
                dockerfile=f"images/{image.name}/Dockerfile",
                buildargs=recipe.arguments,
                tag=tag,
                labels={LABEL: "verify"},
                nocache=True,
                rm=True,
                forcerm=True,
                decode=True,
            )
            lines.extend(docker_build.log_lines(messages))
        yield tag
    except (docker_build.BuildFailed, APIError) as error:
        last = "\n".join(lines)
        msg = f"{image.name} cannot be rebuilt: {error}\n{last}"
        raise VerifyError(msg) from error
    finally:
        with contextlib.suppress(APIError):  # it was never made
            api.remove_image(tag)


def differences(expected: Expected, made: Inventory) -> Iterator[str]:
    """Return each way in which an image is not what was locked."""
    yield from _packages(expected, made)
    yield from _installed_files(expected, made)
    yield from _unowned(expected, made)
    yield from _named("script /runner/{}", expected.scripts, made.scripts)
    for name, value in sorted(expected.image.environment.items()):
        inside = made.environment.get(name)
        if inside != value:
            yield f"environment: {name} is {inside!r} inside, {value!r} in image.yaml"
    if not made.command or not made.command[-1].endswith(f"/{expected.image.script}"):
        yield f"command: starts {json.dumps(made.command)}, not {expected.image.script}"
    for folder in made.unreadable:
        yield f"{folder}: no METADATA or no RECORD"


def _packages(expected: Expected, made: Inventory) -> Iterator[str]:
    for name, package in sorted(expected.locked.items()):
        inside, source = made.packages.get(name), expected.files.get(name)
        if inside is None:
            yield f"package {name}: locked at {package.version}, not inside"
        elif inside.version != package.version:
            yield f"package {name}: {inside.version} inside, locked at {package.version}"
        if source is None:
            yield f"package {name}: no file of it was fetched"
        elif source.sha256 not in package.hashes:
            yield f"package {name}: {source.file_name} has SHA-256 {source.sha256}, not in the lock"
    for name, inside in sorted(made.packages.items()):
        if name not in expected.locked and inside != expected.base.packages.get(name):
            yield f"package {name}: {inside.version} inside, neither locked nor of the base"


def _installed_files(expected: Expected, made: Inventory) -> Iterator[str]:
    """Hold what is on the disk to each RECORD, and that to the wheel it came from."""
    for name, package in sorted(made.packages.items()):
        for path, digest in sorted(package.recorded.items()):
            inside = made.files.get(path)
            if inside != digest:
                state = "missing" if inside is None else "altered"
                yield f"package {name}: {path} is {state}"
        source = expected.files.get(name)
        if source is None:
            continue
        ending = {path.partition("site-packages/")[2]: path for path in package.recorded}
        for path, digest in sorted(source.recorded.items()):
            found = package.recorded.get(ending.get(path, ""))
            if found != digest:
                state = "is not installed" if found is None else "is not the wheel's"
                yield f"package {name}: {path} {state} ({source.file_name})"


def _unowned(expected: Expected, made: Inventory) -> Iterator[str]:
    owned = {path for package in made.packages.values() for path in package.recorded}
    for path, digest in sorted(made.files.items()):
        of_metadata = ".dist-info/" in path
        if path not in owned and not of_metadata and expected.base.files.get(path) != digest:
            yield f"file {inventory.PREFIX}/{path}: of no package and not of the base"


def between(used: Inventory, made: Inventory) -> list[str]:
    """Return each way in which the image in use is not the one that was built anew."""
    old = {name: f"{p.version} {p.content_sha256}" for name, p in used.packages.items()}
    new = {name: f"{p.version} {p.content_sha256}" for name, p in made.packages.items()}
    return [
        f"in use: {line}"
        for line in (
            *_named("package {}", new, old),
            *_named("Debian package {}", made.debian, used.debian),
            *_named("script /runner/{}", made.scripts, used.scripts),
            *_named("environment {}", made.environment, used.environment),
        )
    ]


def _named(what: str, expected: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            yield (
                f"{what.format(name)}: expected {expected.get(name, 'none')}, "
                f"found {found.get(name, 'none')}"
            )
