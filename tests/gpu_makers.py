"""What tests of jobs on GPUs share: a setting that nothing may start on, and when to skip."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import create_autospec

from runner.backends import Backend, PrepareError
from runner.errors import BackendUnavailable
from runner.execute import Observer, Setting
from runner.model import Environment, Record

from .makers import make_image
from .needs import lack


@contextlib.contextmanager
def skipping_where_it_is_not(backend: str) -> Iterator[None]:
    """Skip where a backend or an image on it is not there; fail where `gpu` is required."""
    try:
        yield
    except (BackendUnavailable, PrepareError) as error:
        lack("gpu", f"{backend}: {error}")


def make_setting() -> tuple[Setting, list[Record]]:
    stored: list[Record] = []
    backend = create_autospec(Backend, instance=True)
    backend.name = "process"
    backend.start.side_effect = AssertionError("nothing may start")
    image = make_image()
    setting = Setting(
        backend=backend,
        images={image.name: image},
        fingerprint="f",
        log_path=lambda job, _: Path("/nowhere") / job,
        store=stored.append,
        observer=create_autospec(Observer, instance=True),
    )
    return setting, stored


def make_environment() -> Environment:
    return Environment(
        image=make_image(), digest="sha256:1", location="", lock_sha256="", scripts_sha256=""
    )
