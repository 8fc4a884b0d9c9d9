from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from runner.acceptance import Setting, check, loss_problems
from runner.cli import main
from runner.config import load_images
from runner.errors import ConfigurationError
from runner.images import compiles, rules, static
from runner.model import Status, Verification
from runner.report.listing import image_table
from runner.report.releases import runs_on
from runner.session import Connected, connect_backend
from runner.view import view
from tests.makers import make_cell, make_record
from tests.tiny_images import IMAGE, make_tiny

ROOT = Path(__file__).parent.parent


def test_every_image_of_the_project_keeps_every_rule() -> None:
    count, problems = static.check(ROOT)

    assert count == len(list((ROOT / "images").glob("*/image.yaml")))
    assert problems == ()


def test_a_project_that_keeps_the_rules_has_no_problem(tmp_path: Path) -> None:
    assert static.check(make_tiny(tmp_path)) == (1, ())


VARIANT = """\
cuda: "9.0"
cudnn: "7"
minimum_driver: "384.81"
cuda_variant:
  base: tiny/tiny:1.0-gpu
  newest_major: 7
  packages: [runner-tiny-gpu==1.0, more==2]
environment:
"""


def test_a_variant_for_cuda_by_its_tag_is_taken_and_listed_as_never_verified(
    tmp_path: Path,
) -> None:
    path = make_tiny(tmp_path) / "images" / IMAGE / "image.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("environment:\n", VARIANT), encoding="utf-8")

    assert static.check(tmp_path) == (1, ())
    variant = f"{IMAGE} for CUDA 9.0 on tiny/tiny:1.0-gpu"
    assert static.never_verified(tmp_path) == (IMAGE, variant)
    (image,) = load_images(tmp_path).values()
    assert runs_on(image) == "cpu; variant for CUDA 9.0 never verified"
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(image_table([image]))
    assert "cpu; variant for CUDA 9.0 never verified" in console.export_text()
    seen = Verification(where="here", date="2026-01-02")
    assert image.cuda_variant is not None
    shown = replace(image, cuda_variant=replace(image.cuda_variant, verified=(seen,)))
    assert runs_on(shown) == "cpu; variant for CUDA 9.0 verified 2026-01-02"


def test_every_image_that_is_for_processors_and_has_facts_of_cuda_has_a_variant() -> None:
    images = load_images(ROOT).values()
    older = [image for image in images if image.released < "2020"]

    assert len(older) > 15
    assert [image.name for image in older if image.cuda_variant is None] == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('cudnn: "7"\n', "", "cuda_variant: cudnn is not stated"),
        ("  base: tiny/tiny:1.0-gpu\n", "", "'base' is missing"),
        ("  newest_major: 7\n", "", "'newest_major' is missing"),
        ("tiny:1.0-gpu", "tiny", "base"),
        ("1.0-gpu", f"1.0-gpu@sha256:{'0' * 64}", "with 0 base_sources; expected a digest and two"),
        ("  packages", "  base_sources: [one, two]\n  packages", "or a tag alone"),
        ("  packages", "  base_sources: [one]\n  packages", "base_sources"),
        ("-gpu==1.0,", "-gpu==1.1,", "runner-tiny-gpu==1.1, and requirements.in asks for runner-"),
        ("environment:\n", "devices: [cuda]\nenvironment:\n", "devices has cuda already"),
        (VARIANT, 'cuda: "9.0"\nenvironment:\n', "cuda is stated, and neither devices nor"),
    ],
)
def test_a_variant_for_cuda_that_is_half_defined_is_told(
    old: str, new: str, expected: str, tmp_path: Path
) -> None:
    path = make_tiny(tmp_path) / "images" / IMAGE / "image.yaml"
    text = path.read_text(encoding="utf-8").replace("environment:\n", VARIANT)
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")

    _, problems = static.check(tmp_path)

    assert [line for line in problems if expected in line], problems


BREACHES = [
    ("Dockerfile", f"@sha256:{'0' * 64}", "", "expected a tag and @sha256: with 64 hex digits"),
    ("Dockerfile", "@sha256:0000", "@sha256:000", "expected a tag and @sha256:"),
    ("Dockerfile", ":3.11-slim@", "@", "expected a tag and @sha256:"),
    ("Dockerfile", "# source: one/", "# see one/", "1 of 2 lines '# source: ...'"),
    ("Dockerfile", "another/repository, Dockerfile @2", "one/repository, Dockerfile @1", "1 of 2"),
    ("Dockerfile", "ARG BASE=python:3.11", "ARG BASE=python:3.10", "BASE has Python 3.10"),
    ("Dockerfile", "COPY scripts/*.py /runner/", "COPY scripts /runner/", "last instruction but"),
    ("Dockerfile", "train_tiny.py", "train_other.py", "the last instruction must be CMD"),
    ("Dockerfile", "ENV TINY=1", "ENV TINY=2", "ENV TINY is '2', and image.yaml's environment has"),
    ("Dockerfile", "ENV TINY=1\n", "", "ENV TINY is None"),
    ("Dockerfile", " --require-hashes", "", "pip installs without --require-hashes"),
    ("Dockerfile", " --no-deps", "", "pip installs without --no-deps"),
    ("Dockerfile", "== '1.0'", "== '1.1'", "no smoke test that asserts '1.0'"),
    ("Dockerfile", f"COPY images/{IMAGE}/", "COPY images/other-1/", "which is another image's"),
    ("image.yaml", 'version: "1.0"', 'version: "1.1"', "does not fit the folder's name"),
    ("image.yaml", 'version: "1.0"', 'version: "1.1"', "no 'runner-tiny==1.1', which image.yaml"),
    (
        "image.yaml",
        '">=3.6"',
        '">=3.12"',
        "the image has Python 3.11, and the release is for >=3.12",
    ),
    ("image.yaml", '">=3.6"', '">=3.x"', "expected such as '>=3.6,<3.8'"),
    ("image.yaml", '">=3.6"', '"3.6"', "python_versions"),
    (
        "image.yaml",
        "environment:\n",
        "known_defects:\n- {what: x, link: 'https://x', stops: {presicion: tf32}}\nenvironment:\n",
        "known_defects: stops: 'presicion': did you mean 'precision'?",
    ),
    (
        "image.yaml",
        "environment:\n",
        "known_defects:\n  - {what: x, link: 'somewhere'}\nenvironment:\n",
        "known_defects",
    ),
    ("image.yaml", "base_licence: none; it is made up\n", "", "'base_licence' is missing"),
    (
        "image.yaml",
        '"2018-12-07"',
        '"2018-12-07"  # FILL: the day',
        "line 3: still to fill",
    ),
    ("requirements.in", "==1.0", "==1.1", "runner-tiny is 1.0, and requirements.in asks for 1.1"),
    ("requirements.in", "==1.0", "==1.0\nsix", "six of requirements.in is missing"),
    ("requirements.lock", "==1.0", ">=1.0", "'runner-tiny>=1.0' is not 'name==version'"),
    ("requirements.lock", "    --hash=sha256:", "    --hash=md5:", "runner-tiny==1.0 has no hash"),
    ("requirements.lock", "#   a test of images/", "#   ", "does not name the command"),
    ("requirements.lock", "#   a test", "#   https://host/", "has a host or an absolute path"),
    ("requirements.lock", "#   a test", "#   uv --find-links /opt/x", "host or an absolute path"),
]


@pytest.mark.parametrize(("name", "old", "new", "expected"), BREACHES)
def test_a_breach_is_told(name: str, old: str, new: str, expected: str, tmp_path: Path) -> None:
    path = make_tiny(tmp_path) / "images" / IMAGE / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")

    _, problems = static.check(tmp_path)

    assert [line for line in problems if line.startswith(f"images/{IMAGE}/") and expected in line]


def test_every_problem_comes_at_once(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path) / "images" / IMAGE
    (folder / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    (folder / "requirements.lock").write_text("six\n", encoding="utf-8")
    (tmp_path / "images" / "broken-1.0").mkdir()
    (tmp_path / "matrix.yaml").write_text("schema: 1\n", encoding="utf-8")

    count, problems = static.check(tmp_path)

    places = {line.split(":")[0] for line in problems}
    assert count == 2
    assert places == {
        f"images/{IMAGE}/Dockerfile",
        f"images/{IMAGE}/requirements.lock",
        "images/broken-1.0/image.yaml",
        "matrix.yaml",
    }


def test_one_image_is_looked_at_alone(tmp_path: Path) -> None:
    make_tiny(tmp_path)
    (tmp_path / "images" / "broken-1.0").mkdir()

    assert static.check(tmp_path, [IMAGE]) == (1, ())
    with pytest.raises(ConfigurationError, match=f"no image 'runner-tin'.*{IMAGE}"):
        static.check(tmp_path, ["runner-tin"])


def test_the_command_ends_with_status_1_on_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_tiny(tmp_path)
    assert main(["check", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"never verified: {IMAGE}\n1 image, no problems\n"

    (tmp_path / "images" / IMAGE / "requirements.in").unlink()
    assert main(["check", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().out.endswith("1 image, 1 problem\n")


def test_a_script_is_compiled_by_the_python_of_its_image(tmp_path: Path) -> None:
    root = make_tiny(tmp_path)
    (root / "scripts" / "helper.py").write_text("def f(:\n    pass\n", encoding="utf-8")
    script = root / "scripts" / "train_tiny.py"
    script.write_text("import helper\n" + script.read_text(encoding="utf-8"), encoding="utf-8")

    (problem,) = static.check(root)[1]

    assert problem.startswith(f"images/{IMAGE}/image.yaml: scripts/helper.py: line 1: ")
    assert problem.endswith("not of Python 3.11")


def test_what_an_old_python_cannot_read_is_found() -> None:
    if compiles.interpreter("3.6", {"PATH": ""}) is None:
        pytest.skip("no Python 3.6 under ~/.pyenv")
    images = [image for image in load_images(ROOT).values() if image.language_version == "3.6"]

    assert not any(compiles.problems(images, ROOT).values())


def test_a_shim_is_no_interpreter(tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "python3.4").write_text("#!/bin/sh\n", encoding="utf-8")
    (shims / "python3.4").chmod(0o755)

    found = compiles.interpreter("3.4", {"PATH": str(shims), "PYENV_ROOT": str(tmp_path)})

    assert found is None


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("pytorch-2.13.0", (("pytorch", "2.13.0"),)),
        ("keras-1.2.2-theano-0.9.0", (("keras", "1.2.2"), ("theano", "0.9.0"))),
        ("runner-tiny-1.0", (("runner-tiny", "1.0"),)),
        ("pytorch", ()),
        ("2.13.0", ()),
    ],
)
def test_names_come_apart(name: str, pairs: tuple[tuple[str, str], ...]) -> None:
    assert rules.name_pairs(name) == pairs


def test_a_first_loss_is_held_to_that_of_other_images() -> None:
    mine = make_record(make_cell("tiny-1.0"), losses=(2.30,))
    near = make_record(make_cell("torch-1.0"), losses=(2.31,))
    far = make_record(make_cell("torch-1.0"), losses=(6.9,))
    failed = make_record(make_cell("torch-1.0"), losses=(6.9,), status=Status.CHECK_FAILED)
    own = make_record(make_cell("tiny-1.0"), losses=(6.9,))

    assert loss_problems(mine, [near, failed, own]) == []
    (problem,) = loss_problems(mine, [far])
    assert problem.startswith("the first loss is 2.3, and 6.9 in torch-1.0")


def test_without_dropout_first_losses_agree_closely() -> None:
    mine = make_record(make_cell("tiny-1.0", "vgg16"), losses=(6.9094,))
    other = make_record(make_cell("torch-1.0", "vgg16"), losses=(6.9500,))

    assert loss_problems(mine, [other])


@pytest.mark.parametrize("is_broken", [False, True])
def test_an_image_is_taken_through_every_stage(
    is_broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    root = make_tiny(tmp_path / "project")
    if is_broken:
        script = root / "scripts" / "train_tiny.py"
        text = script.read_text(encoding="utf-8").replace("1250858", "1250857")
        script.write_text(text, encoding="utf-8")
    index = tmp_path / "simple"
    index.mkdir()
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.as_uri())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    connected: Connected = connect_backend("process", root, (root / "wheels",))
    said: list[str] = []
    with view(Console(quiet=True)) as observer:
        setting = Setting(
            root=root,
            connected=connected,
            wheels=(root / "wheels",),
            results=tmp_path / "results",
            observer=observer,
            command=("runner", "images", "check"),
        )
        found = check(IMAGE, setting, said.append)

    stages = [(stage.name, not stage.found) for stage in found.stages]
    if is_broken:
        assert stages == [("rules", True), ("build", True), ("conformance", False)]
        assert "check parameters: expected 1250858, found 1250857" in found.text()
        assert found.rows == ()
    else:
        names = ("rules", "build", "conformance", "cifar10-cnn")
        assert stages == [(name, True) for name in names], found.text()
        assert [row.cell.image for made in found.rows for row in made.rows] == [IMAGE]
        assert found.text().startswith(f"{IMAGE}: accepted\n")
