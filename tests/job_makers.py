"""A setting to launch jobs in, with stand-ins for the backend and for who looks on."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock, create_autospec

from runner.backends import Backend
from runner.execute import Observer, Setting
from runner.model import Environment, Record

from .makers import make_image


def make_backend() -> Mock:
    """Return a backend that finds every image built, and that nothing may start on."""
    backend: Mock = create_autospec(Backend, instance=True)
    backend.name = "docker"
    backend.describe.return_value = {}
    backend.prepare.return_value = make_environment()
    backend.start.side_effect = AssertionError("nothing may start")
    return backend


def make_observer() -> Mock:
    observer: Mock = create_autospec(Observer, instance=True)
    return observer


def make_setting(backend: Mock | None = None) -> tuple[Setting, list[Record]]:
    """Return a setting and what it stores."""
    stored: list[Record] = []
    image = make_image()
    setting = Setting(
        backend=backend or make_backend(),
        images={image.name: image},
        fingerprint="f",
        log_path=lambda job, _: Path("/nowhere") / job,
        store=stored.append,
        observer=make_observer(),
    )
    return setting, stored


def make_environment() -> Environment:
    return Environment(
        image=make_image(), digest="sha256:1", location="", lock_sha256="", scripts_sha256=""
    )
