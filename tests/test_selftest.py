"""The tool measured by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import selftest
from runner.backends import Backend, connect
from runner.cli import main
from runner.config import load_images
from runner.model import Image
from runner.selftest import SelftestFailed
from tests.makers import TINY_SCRIPT, make_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make_project(tmp_path / "project")


def sides(root: Path) -> tuple[Image, Backend]:
    return load_images(root)["torch-1.0"], connect("process", root, ())


def test_both_sides_are_launched_in_turns_and_compared(project: Path) -> None:
    image, backend = sides(project)
    said: list[str] = []

    found = selftest.noise(
        image, "cifar10-cnn", backend, backend, pairs=3, cores=2, say=said.append
    )

    order = [line.split(":")[0] for line in said]
    assert order == [
        "1/3 inside",
        "1/3 outside",
        "2/3 outside",
        "2/3 inside",
        "3/3 inside",
        "3/3 outside",
    ]
    assert found.comparison.low is not None
    assert found.comparison.low < found.comparison.ratio
    text = found.text()
    assert "torch-1.0/cifar10-cnn: inside a container" in text
    assert "95% interval" in text


def test_a_launch_that_fails_ends_it_with_its_reason(project: Path) -> None:
    script = TINY_SCRIPT.replace("1250858", "1")
    (project / "scripts/train_tiny.py").write_text(script, encoding="utf-8")
    image, backend = sides(project)

    with pytest.raises(SelftestFailed, match="inside, launch 1: check-failed: parameters"):
        selftest.noise(image, "cifar10-cnn", backend, backend, pairs=2, cores=2, say=lambda _: None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["torch-2.0"], "no image 'torch-2.0'; did you mean 'torch-1.0'?"),
        (["torch-1.0", "--workload", "vgg61"], "no workload 'vgg61'"),
        (["torch-1.0", "--launches", "1"], "an interval needs 2 or more"),
        (["torch-1.0", "--cores", "0"], "--cores 0: a job needs 1 or more"),
    ],
)
def test_each_mistake_is_told(
    arguments: list[str], words: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["selftest", "noise", *arguments, "--root", str(project)]) == 2

    assert words in capsys.readouterr().err
