"""What the published suites ask for, put to the scripts of their images, without a framework.

A script reads what is asked of it before it imports anything, so its answer can be had here.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from runner import contract
from runner.config import load_images
from runner.model import Cell, Image
from tests.makers import make_job
from tests.test_reproduce import SUITES, cells_of

ROOT = Path(__file__).parent.parent
IMAGES = load_images(ROOT)
ON_PROCESSORS = {name: suite for name, suite in SUITES.items() if suite.device == "cpu"}


class Admitted(Exception):
    """The script took what it was asked for."""


class Silence:
    """Events that nobody hears."""

    def write(self, event: str, **fields: object) -> None:
        """Drop an event."""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    training = importlib.import_module("training")
    ask = training.ask

    def only_ask(*arguments: object, **named: object) -> None:
        ask(*arguments, **named)
        raise Admitted

    monkeypatch.setattr(training, "ask", only_ask)
    return importlib.import_module("bench")


def answer(bench: ModuleType, image: Image, cell: Cell) -> str:
    """Return what a script objects to; empty where it would go on to import its framework."""
    script = importlib.import_module(image.script.removesuffix(".py"))
    settings = bench.read_settings(contract.variables(make_job(cell)))
    try:
        script.train(bench.Job(settings, Silence()))
    except Admitted:
        return ""
    except bench.Unsupported as error:
        return f"{cell.label}: {error}"
    return f"{cell.label}: the script never asked what to do"


@pytest.mark.parametrize("name", ON_PROCESSORS)
def test_every_cell_of_a_suite_is_one_that_its_script_knows(bench: ModuleType, name: str) -> None:
    objections = [
        answer(bench, IMAGES[cell.image], cell)
        for cell in cells_of(ON_PROCESSORS[name])
        if IMAGES[cell.image].language == "python" and cell.workload in IMAGES[cell.image].workloads
    ]

    assert [each for each in objections if each] == []


def test_a_parameter_that_no_script_knows_is_objected_to(bench: ModuleType) -> None:
    cell = next(c for c in cells_of(SUITES["vgg16-xla"]) if c.image == "tensorflow-1.0.0")
    cell.parameters["sleep"] = "long"

    assert "unknown parameter 'sleep'" in answer(bench, IMAGES[cell.image], cell)
