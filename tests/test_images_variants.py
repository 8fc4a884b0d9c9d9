"""What an image is made of for GPUs: its folder cuda/, its base, its lock, and where it may go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner import pins
from runner.backends import interpreters
from runner.backends.docker_bases import (
    ResolvedBase,
    as_pulled,
    base_unavailable,
    stand_in_of,
)
from runner.backends.docker_build import recipe
from runner.cli import main
from runner.config import load_images
from runner.errors import RunnerError
from runner.images import locking, requirements, static, variants
from runner.images.locking import LockError
from runner.images.registry import Registry
from runner.model import Base, Image, Status
from runner.preflight import refuse
from runner.request import plan_request
from runner.telemetry.host import GpuFacts
from tests.makers import make_request
from tests.tiny_images import DOCKERFILE, IMAGE, NAME, lock_text, make_index, make_tiny, make_wheel

ROOT = Path(__file__).parent.parent
IMAGES = load_images(ROOT)
STATED = {name: image for name, image in IMAGES.items() if image.cuda_variant is not None}
HOPPER = GpuFacts(
    name="NVIDIA H100",
    uuid="GPU-1",
    driver="580.159.04",
    cuda="13.0",
    memory_bytes=80 * 1024**3,
    compute_capability="9.0",
)
PASCAL = replace(HOPPER, name="GTX 1080 Ti", compute_capability="6.1", memory_bytes=11 * 1024**3)

YAML = """\
cuda: "9.0"
cudnn: "7"
gpu_architectures: [sm_60, compute_60]
minimum_driver: "384.81"
cuda_variant:
  base: tiny/tiny:1.0-gpu
  newest_major: 7
  language_version: "3.5"
  packages: [runner-tiny-gpu==1.0]
environment:
"""


def make_variant(root: Path) -> Path:
    """Write a project whose one image has a CUDA variant that keeps every rule."""
    folder = make_tiny(root) / "images" / IMAGE
    path = folder / "image.yaml"
    text = path.read_text("utf-8").replace("environment:\n", YAML)
    path.write_text(text.replace('">=3.6"', '">=3.5"'), encoding="utf-8")
    place = f"images/{IMAGE}"
    lock = lock_text(root / "wheels" / "runner_tiny-1.0-py2.py3-none-any.whl")
    made = {
        "Dockerfile": DOCKERFILE.replace(f"python:3.11-slim@sha256:{'0' * 64}", "tiny/tiny:1.0-gpu")
        .replace(f"{place}/requirements.lock", f"{place}/cuda/requirements.lock")
        .replace('"python", "/', '"python3", "/'),
        "requirements.in": f"# lock: --python-version 3.5\n{NAME}-gpu==1.0\n",
        "requirements.lock": lock.replace(f"{place}/", f"{place}/cuda/").replace(
            f"{NAME}==", f"{NAME}-gpu=="
        ),
    }
    (folder / "cuda").mkdir()
    for name, content in made.items():
        (folder / "cuda" / name).write_text(content, encoding="utf-8")
    return root


def variant_of(root: Path) -> Image:
    return variants.required(load_images(root)[IMAGE])


# ------------------------------------------------------------------------- the project's own


def test_every_historical_image_has_a_variant_that_is_built_or_says_why_not() -> None:
    made = {name: variants.cuda(image) for name, image in STATED.items()}

    assert len(made) == 17
    assert [name for name, variant in made.items() if variant is None] == ["flux-0.6.10"]
    itself = [name for name, variant in made.items() if variant is not None and not variant.variant]
    assert itself == ["pytorch-1.0.0", "pytorch-1.0.1"]
    for name, variant in made.items():
        if variant is not None and variant.variant:
            assert variant.full_name == f"{name}/cuda"
            lock = requirements.locked(pins.lock_path(variant).read_text(encoding="utf-8"))
            stated = STATED[name].cuda_variant
            assert stated is not None
            for package in stated.packages:
                found, _, version = package.partition("==")
                assert lock[found].version == version


@pytest.mark.parametrize("name", STATED)
def test_no_variant_goes_to_a_gpu_that_its_cuda_does_not_know(name: str) -> None:
    stated = STATED[name].cuda_variant
    assert stated is not None
    for image in (STATED[name], variants.on(IMAGES, "cuda")[name]):
        for workload in image.workloads:
            found = refuse(image, workload, (HOPPER,), 1)

            assert found is not None
            assert found.status is Status.UNSUPPORTED_DEVICE
            assert "NVIDIA H100 is of compute capability 9.0" in found.reason
            assert f"have code up to {stated.newest_major}.x" in found.reason


def test_images_are_their_variants_on_a_gpu_only() -> None:
    assert variants.on(IMAGES, "cpu") == IMAGES
    on_gpu = variants.on(IMAGES, "cuda")
    assert list(on_gpu) == list(IMAGES)
    assert on_gpu["tensorflow-1.0.0"].full_name == "tensorflow-1.0.0/cuda"
    assert on_gpu["jax-0.11.2"] == IMAGES["jax-0.11.2"]


def test_a_suite_on_gpus_takes_the_variants_and_keeps_the_images_names() -> None:
    asked = replace(make_request(ROOT), suite="gpu-decade")

    planned = plan_request(asked)

    cells = {cell.image: planned.images[cell.image] for cell in planned.plan.cells}
    assert cells["tensorflow-1.13.1"].full_name == "tensorflow-1.13.1/cuda"
    assert all(image.name == name for name, image in cells.items())
    plain = plan_request(replace(asked, suite="decade", only=("mxnet-*",), launches=1))
    assert plain.images == IMAGES


# ------------------------------------------------------------------------------ where it may go


def test_a_variant_whose_script_trains_on_no_gpu_is_refused_before_it_is_built(
    tmp_path: Path,
) -> None:
    variant = variant_of(make_variant(tmp_path))

    found = refuse(variant, "cifar10-cnn", (PASCAL,), 1)

    assert found is not None
    assert found.status is Status.UNSUPPORTED_DEVICE
    assert found.reason.endswith("on a GPU, with CUDA 9.0, it was never verified")


def test_a_variant_whose_script_trains_goes_to_the_gpus_that_it_knows(tmp_path: Path) -> None:
    path = make_variant(tmp_path) / "images" / IMAGE / "image.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("newest_major: 7", "newest_major: 7\n  trains: true"), "utf-8")
    variant = variant_of(tmp_path)

    assert variant.devices == ("cuda",)
    assert refuse(variant, "cifar10-cnn", (PASCAL,), 1) is None
    newer = refuse(variant, "cifar10-cnn", (HOPPER,), 1)  # which compute_60 alone would not refuse
    assert newer is not None
    assert "have code up to 7.x" in newer.reason
    old = refuse(variant, "cifar10-cnn", (replace(PASCAL, driver="367.48"),), 1)
    assert old is not None
    assert old.status is Status.DRIVER_TOO_OLD


# ------------------------------------------------------------------------------ what it is made of


def test_a_variant_is_built_of_its_own_folder_and_changes_nothing_of_the_image(
    tmp_path: Path,
) -> None:
    resolved = ResolvedBase(base=Base(reference="tiny/tiny:1.0-gpu"), id="sha256:99")
    plain = load_images(make_tiny(tmp_path / "plain"))[IMAGE]
    root = make_variant(tmp_path / "variant")
    image, variant = load_images(root)[IMAGE], variant_of(root)

    alone = recipe(plain, tmp_path / "plain", resolved)
    beside = recipe(image, root, resolved)
    of_variant = recipe(variant, root, resolved)

    assert beside.content == alone.content != of_variant.content
    assert beside.files.keys() == alone.files.keys()
    own = {name for name in of_variant.files if name.startswith("images/")}
    files = ("Dockerfile", "requirements.in", "requirements.lock")
    assert own == {f"images/{IMAGE}/cuda/{name}" for name in files}


def test_nothing_of_processors_stands_in_for_a_base_with_cuda(tmp_path: Path) -> None:
    variant = variant_of(make_variant(tmp_path))

    assert stand_in_of(variant) == "runner-base/python-cuda:3.5"
    assert stand_in_of(load_images(tmp_path)[IMAGE]) == "runner-base/python:3.11"
    said = base_unavailable("tiny/tiny:1.0-gpu", "no network", stand_in_of(variant))
    assert "docker save" in said
    assert "scripts/bases" not in said


@pytest.mark.parametrize(
    ("digests", "expected"),
    [
        (["tiny/tiny@sha256:12"], "tiny/tiny:1.0-gpu@sha256:12"),
        (["other@sha256:77", "host.test/tiny/tiny@sha256:12"], "tiny/tiny:1.0-gpu@sha256:12"),
        (["other/tiny@sha256:77"], "tiny/tiny:1.0-gpu"),
        ([], "tiny/tiny:1.0-gpu"),
        (None, "tiny/tiny:1.0-gpu"),
    ],
)
def test_a_tag_is_told_with_the_digest_that_it_had_when_pulled(
    digests: list[str] | None, expected: str
) -> None:
    assert as_pulled("tiny/tiny:1.0-gpu", {"RepoDigests": digests}) == expected


# --------------------------------------------------------------------------------------- rules


def test_a_variant_that_keeps_the_rules_has_no_problem(tmp_path: Path) -> None:
    assert static.check(make_variant(tmp_path)) == (1, ())


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("Dockerfile", ":1.0-gpu", ":1.1-gpu", "cuda_variant's base 'tiny/tiny:1.0-gpu'"),
        ("Dockerfile", "== '1.0'", "== '1.1'", "no smoke test that asserts '1.0'"),
        ("Dockerfile", "ENV TINY=1\n", "", "ENV TINY is None"),
        ("Dockerfile", "--require-hashes", "", "pip installs without --require-hashes"),
        ("requirements.in", "-gpu==1.0", "-gpu==1.1", "no 'runner-tiny-gpu==1.0', which image"),
        ("requirements.lock", "-gpu==1.0", "-gpu==1.1", "runner-tiny-gpu is 1.1"),
        ("requirements.lock", "/cuda/", "/", "does not name the command that made it of"),
    ],
)
def test_a_variant_that_breaks_a_rule_is_told_with_its_file(
    file: str, old: str, new: str, expected: str, tmp_path: Path
) -> None:
    path = make_variant(tmp_path) / "images" / IMAGE / "cuda" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")

    _, problems = static.check(tmp_path)

    assert [line for line in problems if expected in line], problems
    assert all(line.startswith(f"images/{IMAGE}/cuda/") for line in problems)


def test_a_python_that_the_release_is_not_for_is_told_of_the_images_own_file(
    tmp_path: Path,
) -> None:
    path = make_variant(tmp_path) / "images" / IMAGE / "image.yaml"
    path.write_text(path.read_text("utf-8").replace('">=3.5"', '">=3.6"'), encoding="utf-8")

    _, (problem,) = static.check(tmp_path)

    assert problem.startswith(f"images/{IMAGE}/image.yaml: the image has Python 3.5, and")


# ---------------------------------------------------------------------------------------- lock


def test_a_python_that_is_not_here_is_resolved_for_by_the_oldest_that_uv_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = variant_of(make_variant(tmp_path))
    (variant.folder / "requirements.in").write_text(f"# lock: --python-version 3.5\n{NAME}==1.0\n")
    known = Registry(index=make_index(tmp_path, make_wheel(tmp_path / "files")))
    asked: list[str] = []
    real = interpreters.find

    def find(wanted: str, program: str) -> interpreters.Interpreter | None:
        asked.append(wanted)
        return real("3.11", program)  # which this project needs, and so is here

    monkeypatch.setattr(interpreters, "find", find)
    locking.lock(variant, tmp_path, known, (), upgrade=False)

    text = pins.lock_path(variant).read_text(encoding="utf-8")
    assert asked == ["3.6"]
    assert f"#   runner images lock {IMAGE} --variant cuda\n" in text
    assert "--python python3.6 " in text
    assert f"--python-version 3.5 images/{IMAGE}/cuda/requirements.in" in text
    assert requirements.locked(text)[NAME].version == "1.0"


def test_the_python_that_is_resolved_for_is_the_images(tmp_path: Path) -> None:
    variant = variant_of(make_variant(tmp_path))
    (variant.folder / "requirements.in").write_text(f"# lock: --python-version 3.4\n{NAME}==1.0\n")

    with pytest.raises(LockError, match=r"--python-version 3\.4, and the image has Python 3\.5"):
        locking.lock(variant, tmp_path, Registry(), (), upgrade=False)


# ------------------------------------------------------------------------------- command line


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("jax-0.11.2", "the image itself is for GPUs"),
        ("mxnet-1.9.1", "image.yaml states none"),
        ("flux-0.6.10", "nothing builds it"),
    ],
)
def test_an_image_without_a_variant_says_why(image: str, expected: str) -> None:
    with pytest.raises(RunnerError, match=expected):
        variants.required(IMAGES[image])


def test_no_variant_is_built_without_an_engine_or_under_another_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["images", "build", IMAGE, "--root", str(make_variant(tmp_path))]

    assert main([*common, "--backend", "process", "--variant", "cuda"]) == 2
    assert "built by a container engine" in capsys.readouterr().err
    assert main([*common, "--backend", "process", "--variant", "cudo"]) == 2
    assert "no variant 'cudo'" in capsys.readouterr().err
