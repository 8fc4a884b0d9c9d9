"""`runner images conform`: a script that keeps the contract passes, and each breach is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import conform
from runner.backends import Backend, process
from runner.errors import ConfigurationError
from tests.makers import TINY_SCRIPT, make_project

GOOD = TINY_SCRIPT.replace(
    '    with job.phase("import"):',
    """\
    job.require("workload", ("cifar10-cnn",))
    asked = job.parameters(
        {
            "batch": int, "compiler": ("default",), "optimizer": ("rmsprop",),
            "learning_rate": float, "precision": ("float32",), "layout": ("native",), "gpus": int,
        },
        defaults={},
    )
    with job.phase("import"):""",
    1,
).replace("[128, 10]", "[asked.batch, 10]")


def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> conform.Report:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = make_project(tmp_path / "project", script)
    backend: Backend = process.connect(root, ())
    [found] = conform.conform(["torch-*"], root, backend)
    return found


def test_a_good_script_conforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = report(tmp_path, monkeypatch, GOOD)

    assert found.passed, found.text()
    assert found.text().startswith("torch-1.0: conforms\n")
    assert len(found.found) == 5


@pytest.mark.parametrize(
    ("old", "new", "case", "words"),
    [
        (
            "import bench\n",
            "import os\nos.write(1, b'Using Theano backend.\\n')\nimport bench\n",
            "measures",
            "Using Theano backend.",
        ),
        ("1250858", "1250857", "measures", "check parameters: expected 1250858, found 1250857"),
        ("[asked.batch, 10]", "[128, 10]", "measures", "check output_shape"),
        ('job.require("workload", ("cifar10-cnn",))', "", "unknown workload", "no 'error'"),
        ('framework_version="1.0"', 'framework_version="2.0"', "measures", "framework_version"),
        ("threads=job.settings.threads", "threads=7", "measures", "check threads"),
        (
            'with job.phase("build"):',
            'os_abort = __import__("os").abort()\n    with job.phase("build"):',
            "measures",
            "exit status None, expected 0",
        ),
    ],
)
def test_each_breach_is_named(
    old: str,
    new: str,
    case: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert old in GOOD

    found = report(tmp_path, monkeypatch, GOOD.replace(old, new, 1))

    assert not found.passed
    breaches = [line for name, lines in found.found if case in name for line in lines]
    assert any(words in line for line in breaches), found.text()


def test_an_unknown_image_gets_a_hint(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")

    with pytest.raises(ConfigurationError, match=r"no image 'torch-1.1'; did you mean 'torch-1.0'"):
        list(conform.conform(["torch-1.1"], root, process.connect(root, ())))


def test_an_image_that_cannot_be_made_says_how_that_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "simple").mkdir()
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / "simple").as_uri())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = make_project(tmp_path / "project")
    lock = root / "images" / "torch-1.0" / "requirements.lock"
    lock.write_text(f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")

    [found] = conform.conform(["torch-*"], root, process.connect(root, ()))

    lines = found.text().splitlines()
    assert lines[:2] == ["torch-1.0: does not conform", "  prepare: broken"]
    assert any(line.startswith("    log: ") and "no-such-package" in line for line in lines)
