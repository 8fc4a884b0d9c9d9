"""Which frameworks have newer releases in the registry that pip is configured with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from runner.images import registry
from runner.images.registry import RegistryError
from runner.model import Image

Releases = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Newer:
    """A framework's newest image, and what the registry has beyond it.

    Attributes:
        newest: the newest final release there, or None where that is the image's.
        problem: why the registry could not tell; empty where it could.
    """

    image: str
    framework: str
    has: str
    newest: str | None
    problem: str = ""

    def text(self) -> str:
        """Return a line with the command that would add the release."""
        if self.problem:
            return f"{self.framework}: {self.has} ({self.image}); unknown: {self.problem}"
        if self.newest is None:
            return f"{self.framework}: {self.has} ({self.image}) is the newest"
        command = f"runner images new {self.framework} {self.newest} --from {self.image}"
        return f"{self.framework}: {self.has} ({self.image}), {self.newest} is there: {command}"


def find(images: Mapping[str, Image], releases: Releases = registry.releases) -> tuple[Newer, ...]:
    """Return a row a framework, by name."""
    newest = newest_images(images)
    with ThreadPoolExecutor() as pool:
        return tuple(pool.map(lambda image: _row(image, releases), newest))


def newest_images(images: Mapping[str, Image]) -> tuple[Image, ...]:
    """Return each framework's image of the highest version; Python's packages only."""
    best: dict[str, Image] = {}
    for image in images.values():
        if image.language != "python":
            continue
        other = best.get(image.framework)
        if other is None or _version(image) > _version(other):
            best[image.framework] = image
    return tuple(best[name] for name in sorted(best))


def _row(image: Image, releases: Releases) -> Newer:
    newest, problem = None, ""
    try:
        offered = [Version(text) for text in releases(image.distribution or image.framework)]
    except (RegistryError, InvalidVersion) as error:
        offered, problem = [], str(error)
    # A local version (2.13.0+cpu) is a build of a release, not a later one.
    has = Version(_version(image).public)
    later = [v for v in offered if not v.is_prerelease and Version(v.public) > has]
    if later:
        newest = max(later).public
    return Newer(
        image=image.name,
        framework=image.framework,
        has=image.framework_version,
        newest=newest,
        problem=problem,
    )


def _version(image: Image) -> Version:
    return Version(image.framework_version)
