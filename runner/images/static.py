"""All that can be said of all images without an engine: ``runner check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from runner.config import load_images, load_matrix
from runner.documents import hint, read
from runner.errors import ConfigurationError
from runner.images import compiles, rules, variants
from runner.model import Image


def check(root: Path, names: Sequence[str] = ()) -> tuple[int, tuple[str, ...]]:
    """Hold the images and the matrix of a project to every rule.

    Args:
        names: images to look at; none means all, and the matrix.

    Returns:
        How many images were looked at, and every problem, with the file's path before it.

    Raises:
        ConfigurationError: there is no image of a name.
    """
    readable, found = _readable(root)
    chosen = {name: image for name, image in readable.items() if not names or name in names}
    known = sorted(folder.name for folder in (root / "images").glob("*/"))
    if unknown := [name for name in names if name not in known]:
        source = "images/"
        raise ConfigurationError(
            source, [f"no image {name!r}; {hint(name, known)}" for name in unknown]
        )
    if names:
        found = [line for line in found if line.split("/")[1] in names]
    uncompiled = compiles.problems(list(chosen.values()), root)
    for name, image in chosen.items():
        found += [f"images/{name}/{line}" for line in rules.problems(rules.read(image))]
        variant = variants.cuda(image)
        if variant is not None and variant.variant:
            found += [
                # image.yaml is the image's, whose variant has none of its own
                f"images/{name if line.startswith('image.yaml') else variant.full_name}/{line}"
                for line in rules.problems(rules.read(variant))
            ]
        found += [f"images/{name}/image.yaml: {line}" for line in uncompiled[name]]
    if not names:
        found += _matrix_problems(root, known)
    return len(names) or len(known), tuple(found)


def never_verified(root: Path) -> tuple[str, ...]:
    """Return the images that never were verified, and the CUDA variants, in words, by name."""
    images = _readable(root)[0].values()
    alone = [image.name for image in images if not image.verified]
    variants = [
        f"{image.name} for CUDA {image.cuda} on {image.cuda_variant.base.partition('@')[0]}"
        for image in images
        if image.cuda_variant is not None and not image.cuda_variant.verified
    ]
    return tuple(sorted((*alone, *variants)))


def _readable(root: Path) -> tuple[dict[str, Image], list[str]]:
    """Return the images whose image.yaml can be read, and what is wrong with any of them."""
    try:
        return load_images(root), []
    except ConfigurationError as error:
        found = list(error.problems)
    images = {}
    for folder in sorted((root / "images").glob("*/")):
        try:
            document = read(folder / "image.yaml", folder.name, "image.schema.json")
        except ConfigurationError:
            continue  # told already
        data = document.data | {"name": folder.name, "folder": folder}
        images[folder.name] = msgspec.convert(data, Image)
    return images, found


def _matrix_problems(root: Path, images: Sequence[str]) -> list[str]:
    path = root / "matrix.yaml"
    if not path.is_file():
        return []
    try:
        load_matrix(path, images)
    except ConfigurationError as error:
        return [f"matrix.yaml: {line}" for line in error.problems]
    return []
