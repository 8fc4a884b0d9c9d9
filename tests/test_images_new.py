from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runner.cli import main
from runner.config import load_images
from runner.images import outdated, scaffold, static
from runner.images.registry import RegistryError
from runner.images.scaffold import Wish

ROOT = Path(__file__).parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("images", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def a_first(language_version: str) -> Wish:
    return Wish(
        framework="chainer",
        version="7.8.1",
        language_version=language_version,
        script="train_mxnet.py",
    )


def test_a_release_comes_from_its_predecessor(project: Path) -> None:
    wish = Wish(framework="pytorch", version="2.14.0", source="pytorch-2.13.0")

    made = scaffold.new(wish, project, load_images(project))

    old, new = project / "images/pytorch-2.13.0", project / "images/pytorch-2.14.0"
    assert made.folder == new
    assert {path.name for path in new.iterdir()} == {path.name for path in old.iterdir()}
    assert "torch==2.14.0+cpu\n" in (new / "requirements.in").read_text("utf-8")
    assert "2.13.0" not in (new / "Dockerfile").read_text("utf-8")
    assert "== '2.14.0+cpu'" in (new / "Dockerfile").read_text("utf-8")
    image = load_images(project)["pytorch-2.14.0"]
    assert image.framework_version == "2.14.0+cpu"
    assert image.script == "train_torch.py"
    assert (image.verified, image.known_defects) == ((), ())


def test_what_only_a_person_knows_is_marked_and_refused(project: Path) -> None:
    wish = Wish(framework="pytorch", version="2.14.0", source="pytorch-2.13.0")
    made = scaffold.new(wish, project, load_images(project))

    _, problems = static.check(project, ["pytorch-2.14.0"])

    assert len(made.marks) == len(problems) >= 3
    assert all("still to fill" in problem for problem in problems)


def test_a_name_of_two_parts_moves_both(project: Path) -> None:
    wish = Wish(
        framework="keras",
        version="1.2.3",
        source="keras-1.2.2-theano-0.9.0",
        companions=(("theano", "1.0.4"),),
    )

    made = scaffold.new(wish, project, load_images(project))

    assert made.folder.name == "keras-1.2.3-theano-1.0.4"
    text = (made.folder / "Dockerfile").read_text("utf-8")
    assert "== ('1.2.3', '1.0.4')" in text
    assert "ARG APT=" in text
    asked = (made.folder / "requirements.in").read_text("utf-8")
    assert "Keras==1.2.3\nTheano==1.0.4\n" in asked
    assert any("line below holds" in mark for mark in made.marks)  # its # lock: options


def test_the_first_of_a_framework_comes_from_templates(project: Path) -> None:
    wish = Wish(
        framework="chainer", version="7.8.1", language_version="3.8", script="train_mxnet.py"
    )

    made = scaffold.new(wish, project, load_images(project))

    text = (made.folder / "Dockerfile").read_text("utf-8")
    same = (project / "images/mxnet-1.9.1/Dockerfile").read_text("utf-8")
    base = next(line for line in same.splitlines() if line.startswith("ARG BASE="))
    told = load_images(project)
    assert told["chainer-7.8.1"].base_licence == told["mxnet-1.9.1"].base_licence
    assert base in text  # another image's with this Python, with its sources
    assert text.endswith('CMD ["python", "/runner/train_mxnet.py"]\n')
    _, problems = static.check(project, ["chainer-7.8.1"])
    assert problems
    assert all("still to fill" in problem for problem in problems)


def test_a_python_that_no_image_has_leaves_the_base_to_fill(project: Path) -> None:
    wish = Wish(
        framework="chainer", version="7.8.1", language_version="3.9", script="train_mxnet.py"
    )

    scaffold.new(wish, project, load_images(project))

    _, problems = static.check(project, ["chainer-7.8.1"])
    assert any("digest and Debian release of the base" in problem for problem in problems)
    assert any("64 hex digits" in problem for problem in problems)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["pytorch", "2.13.0", "--from", "pytorch-2.13.0"], "images/pytorch-2.13.0 exists"),
        (["pytorch", "2.14.0", "--from", "pytorch-2.13"], "did you mean 'pytorch-2.13.0'"),
        (["pytorch", "2.14.0", "--from", "jax-0.10.2"], "is of another framework than pytorch"),
        (["pytorch", "v2", "--from", "pytorch-2.13.0"], "version 'v2': expected such as 2.14.0"),
        (["PyTorch", "2", "--python", "3.11", "--script", "train_torch.py"], "lower-case letters"),
        (["new", "1.0"], "--python is needed"),
        (["new", "1.0", "--python", "3.11", "--script", "train_torh.py"], "'train_torch.py'"),
        (["keras", "1.2.3", "--from", "keras-1.2.2-theano-0.9.0", "--with", "cntk==1"], "no such"),
        (["new", "1.0", "--with", "cntk"], "expected NAME==VERSION"),
    ],
)
def test_a_wish_that_cannot_be_met_changes_nothing(
    arguments: list[str], expected: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(project.rglob("*"))

    assert main(["images", "new", *arguments, "--root", str(project)]) == 2

    assert expected in capsys.readouterr().err
    assert sorted(project.rglob("*")) == before


def test_newer_releases_come_with_the_command_that_adds_them(project: Path) -> None:
    offered = {
        "torch": ("2.15.0", "2.14.0", "2.16.0rc1", "2.13.0+cpu"),
        "jax": ("0.10.2", "0.9.0"),
    }

    def releases(distribution: str) -> tuple[str, ...]:
        if distribution not in offered:
            msg = f"no index has {distribution}"
            raise RegistryError(msg)
        return offered[distribution]

    found = {row.framework: row for row in outdated.find(load_images(project), releases)}

    assert found["pytorch"].newest == "2.15.0"
    assert (
        found["pytorch"].text().endswith("runner images new pytorch 2.15.0 --from pytorch-2.13.0")
    )
    assert found["jax"].newest is None
    assert found["mxnet"].problem == "no index has mxnet"
    assert found["keras"].image == "keras-3.15.1-jax-0.10.2"
