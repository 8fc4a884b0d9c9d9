"""An image's software bill of materials in CycloneDX: the same content gives the same bytes."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from runner.images.distributions import Distribution
from runner.images.inventory import Inventory
from runner.model import Image

_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:runner:sbom")


def render(image: Image, inside: Inventory, files: Mapping[str, Distribution]) -> str:
    """Return the bill as JSON: packages, Debian packages and scripts, sorted.

    The time in it is the release's day and the serial number a hash of the rest, since two
    builds of one image must give the same bill.

    Args:
        files: what the packages were installed from, by normalised name; those of the base
            have none.
    """
    components = [*_python(inside, files), *_debian(inside), *_scripts(inside)]
    content = "\n".join(
        f"{part.purl or part.name} {[str(h.content) for h in part.hashes]}" for part in components
    )
    bom = Bom(
        components=components,
        serial_number=uuid.uuid5(_SPACE, hashlib.sha256(content.encode()).hexdigest()),
    )
    bom.metadata.timestamp = datetime.fromisoformat(image.released).replace(tzinfo=UTC)
    whole = Component(
        name=image.name,
        version=image.framework_version,
        type=ComponentType.CONTAINER,
        bom_ref=f"image:{image.name}",
    )
    bom.metadata.component = whole
    bom.register_dependency(whole, components)
    text: str = JsonV1Dot6(bom).output_as_string(indent=2)
    return text + "\n"


def _python(inside: Inventory, files: Mapping[str, Distribution]) -> Iterator[Component]:
    for name, package in sorted(inside.packages.items()):
        source = files.get(name)
        purl = PackageURL("pypi", None, name, package.version)
        properties = [Property(name="runner:installed-sha256", value=package.content_sha256)]
        if source is not None:
            properties.append(Property(name="runner:file", value=source.file_name))
        yield Component(
            name=name,
            version=package.version,
            type=ComponentType.LIBRARY,
            purl=purl,
            bom_ref=purl.to_string(),
            hashes=() if source is None else (_sha256(source.sha256),),
            properties=properties,
        )


def _debian(inside: Inventory) -> Iterator[Component]:
    for name, version in sorted(inside.debian.items()):
        purl = PackageURL("deb", "debian", name, version)
        yield Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            purl=purl,
            bom_ref=purl.to_string(),
        )


def _scripts(inside: Inventory) -> Iterator[Component]:
    for name, digest in sorted(inside.scripts.items()):
        yield Component(
            name=f"/runner/{name}",
            type=ComponentType.FILE,
            bom_ref=f"script:{name}",
            hashes=(_sha256(digest),),
        )


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)
