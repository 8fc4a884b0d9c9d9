"""An image as what it is made of for GPUs: its CUDA variant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from runner import pins
from runner.errors import RunnerError
from runner.model import CudaVariant, Image

(CUDA,) = pins.VARIANTS


class NoVariantError(RunnerError):
    """An image has no variant that can be built; the message says why."""


def cuda(image: Image) -> Image | None:
    """Return an image's CUDA variant: what its folder cuda/ makes, or the image itself where it
    brings CUDA already. None: it states none, or nothing builds it.
    """
    stated = image.cuda_variant
    if stated is None:
        return None
    devices = (CUDA,) if stated.trains else image.devices
    itself = replace(image, devices=devices, verified=stated.verified)
    folder = image.folder / CUDA
    if (folder / "Dockerfile").is_file():
        version = stated.language_version or image.language_version
        return replace(itself, variant=CUDA, folder=folder, language_version=version)
    return itself if _is_itself(image, stated) else None


def required(image: Image) -> Image:
    """Return an image's CUDA variant.

    Raises:
        NoVariantError: there is none.
    """
    found = cuda(image)
    if found is not None:
        return found
    if CUDA in image.devices:
        why = "the image itself is for GPUs"
    elif image.cuda_variant is None:
        why = "image.yaml states none"
    else:
        why = f"nothing builds it: there is no images/{image.name}/{CUDA}/; image.yaml says why"
    msg = f"{image.name} has no variant {CUDA!r}: {why}"
    raise NoVariantError(msg)


def on(images: Mapping[str, Image], device: str) -> dict[str, Image]:
    """Return images as they are for a device, each under its own name."""
    if device != CUDA:
        return dict(images)
    return {name: cuda(image) or image for name, image in images.items()}


def _is_itself(image: Image, stated: CudaVariant) -> bool:
    return not stated.packages and pins.base_reference(image) == stated.base
