"""What tests of jobs on GPUs share: a setting without a backend, which nothing may start on."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import create_autospec

from runner.backends import Backend
from runner.execute import Observer, Setting
from runner.model import Environment, Record

from .makers import make_image


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
