"""The releases there are and what is known of each, as a table in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from runner.model import Image, KnownDefect

_THREAD = re.compile(r"^https://github\.com/([^/]+/[^/]+)/(?:issues|pull)/(\d+)")
_HEADS = (
    *("image", "released", "Python", "for Python", "runs on"),
    *("CUDA", "cuDNN", "GPU architectures", "known defects"),
)


def markdown(images: Iterable[Image]) -> str:
    """Return one row an image, oldest release first."""
    ordered = sorted(images, key=lambda image: (image.released, image.name))
    lines = [_row(_HEADS), _row(":---" for _ in _HEADS), *(_row(_boxes(one)) for one in ordered)]
    return "\n".join(lines) + "\n"


def _boxes(image: Image) -> tuple[str, ...]:
    language = image.language_version
    return (
        image.name,
        image.released,
        language if image.language == "python" else f"{image.language} {language}",
        image.python_versions or "-",
        runs_on(image),
        image.cuda or "-",
        image.cudnn or "-",
        ", ".join(image.gpu_architectures) or "-",
        "; ".join(f"{defect.what} ({link(defect)})" for defect in image.known_defects) or "-",
    )


def runs_on(image: Image) -> str:
    """Return the devices that an image is for, and what is known of its variant for CUDA."""
    devices = ", ".join(image.devices)
    if image.cuda_variant is None:
        return devices
    seen = image.cuda_variant.verified
    when = f"verified {max(each.date for each in seen)}" if seen else "never verified"
    return f"{devices}; variant for CUDA {image.cuda} {when}"


def link(defect: KnownDefect) -> str:
    """Return where a defect is told, as Markdown: a thread by its repository and number.

    >>> link(KnownDefect(what="it is slow", link="https://github.com/a/b/issues/7"))
    '[a/b#7](https://github.com/a/b/issues/7)'
    """
    thread = _THREAD.match(defect.link)
    return f"[{thread[1]}#{thread[2]}]({defect.link})" if thread else f"<{defect.link}>"


def _row(boxes: Iterable[str]) -> str:
    return f"| {' | '.join(box.replace('|', chr(92) + '|') for box in boxes)} |"
