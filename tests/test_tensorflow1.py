"""scripts/train_tensorflow1.py: what it says of an order of images that TensorFlow cannot take.

A package of the test's own stands where TensorFlow is, and ends as TensorFlow was seen to.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
VARIABLES = {
    "RUNNER_CONTRACT": "1",
    "RUNNER_WORKLOAD": "vgg16",
    "RUNNER_PROTOCOL": "fair",
    "RUNNER_WARMUP_STEPS": "1",
    "RUNNER_MEASURE_STEPS": "1",
    "RUNNER_MEASURE_LIMIT_S": "1",
    "RUNNER_SEED": "1",
    "RUNNER_DEVICE": "cpu",
    "RUNNER_THREADS": "1",
    "RUNNER_PARAMETER_BATCH": "1",
    "RUNNER_PARAMETER_OPTIMIZER": "sgd",
    "RUNNER_PARAMETER_LEARNING_RATE": "0.01",
    "RUNNER_PARAMETER_LAYOUT": "channels_first",
}
CHECK = "Check failed: data_format == FORMAT_NHWC Generic conv implementation only supports NHWC"
STAND_IN = """
import os, sys, types

class OpError(Exception):
    def __init__(self, message):
        super().__init__(message)
        self.message = message

class UnimplementedError(OpError):
    pass

errors = types.SimpleNamespace(OpError=OpError)

def set_random_seed(seed):
    {deed}
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module("train_tensorflow1")


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, deed: str) -> None:
    (folder / "tensorflow.py").write_text(STAND_IN.format(deed=deed), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def refusal(script: ModuleType) -> str:
    bench = importlib.import_module("bench")
    with pytest.raises(bench.Unsupported) as caught:
        script.try_apart()
    return str(caught.value)


def test_a_process_that_aborts_is_quoted(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    line = f"2017-02-15 00:00:00.0: F tensorflow/core/kernels/conv_ops.cc:65] {CHECK}"
    stand_in(monkeypatch, tmp_path, f"os.write(2, {line!r}.encode()); os.abort()")

    assert refusal(script).endswith(CHECK)


def test_an_exception_is_quoted_by_its_first_line(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = "Generic conv implementation only supports NHWC tensor format for now."
    deed = f"raise UnimplementedError({words!r} + chr(10) + '[[node Conv2D]]')"
    stand_in(monkeypatch, tmp_path, deed)

    assert refusal(script).endswith(f": UnimplementedError: {words}")


def test_a_silent_end_is_told_by_its_status(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(monkeypatch, tmp_path, "os._exit(7)")

    assert refusal(script).endswith("exit status 7")
    assert script.TRIAL not in os.environ


def test_a_release_without_its_own_keras_is_refused_by_name(script: ModuleType) -> None:
    bench, training = importlib.import_module("bench"), importlib.import_module("training")
    defaults = {name: default for name, (_, default) in training.PARAMETERS.items()}
    asked = training.Training(workload="vgg16", network=None, **{**defaults, "mode": "graph"})
    old = ModuleType("tensorflow")
    old.__dict__["__version__"] = "1.0.0"

    with pytest.raises(bench.Unsupported, match=r"mode graph: TensorFlow 1\.0\.0 has no"):
        script.refuse_what_is_missing(old, asked)
