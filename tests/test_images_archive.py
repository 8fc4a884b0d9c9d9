"""Verifying and keeping images: rules on made-up content, and a tiny image on a real engine."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import APIClient
from docker.errors import NotFound

from runner.backends import PrepareError, connect
from runner.backends.docker_bases import inspect, restored_name, split_reference
from runner.config import load_images
from runner.errors import BackendUnavailable
from runner.images import archiving, inventory, sbom, verifying
from runner.images.archiving import ArchiveError
from runner.images.distributions import Distribution
from runner.images.engine import reach
from runner.images.inventory import Inventory, Package
from runner.images.requirements import Locked
from runner.images.verifying import Expected
from runner.model import Base, BuildLimits
from tests.needs import lack
from tests.registry_server import serving
from tests.tiny_images import IMAGE, NAME, make_tiny, make_wheel

SITE = "lib/python3.11/site-packages"
FILE = f"{SITE}/tiny.py"


def a_package(**changes: str) -> Package:
    return Package(name="tiny", version="1.0", recorded={FILE: "aa", **changes})


def an_inventory(**changes: object) -> Inventory:
    fields: dict[str, object] = {
        "id": "sha256:1",
        "packages": {"tiny": a_package()},
        "files": {FILE: "aa", "bin/python": "bb"},
        "scripts": {"bench.py": "cc"},
        "environment": {"TINY": "1", "PATH": "/usr/bin"},
        "command": ("python", "/runner/train_tiny.py"),
    }
    return Inventory(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def expected(tmp_path: Path) -> Expected:
    base = an_inventory(packages={}, files={"bin/python": "bb"}, scripts={})
    wheel = Distribution(
        name="tiny",
        version="1.0",
        file_name="tiny-1.0.whl",
        sha256="ff",
        recorded={"tiny.py": "aa"},
    )
    return Expected(
        image=load_images(make_tiny(tmp_path))[IMAGE],
        locked={"tiny": Locked(name="tiny", version="1.0", hashes=frozenset({"ff"}))},
        files={"tiny": wheel},
        scripts={"bench.py": "cc"},
        base=base,
    )


def test_an_image_as_it_was_locked_has_no_difference(expected: Expected) -> None:
    assert list(verifying.differences(expected, an_inventory())) == []


OTHER = Package(name="other", version="2", recorded={})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"packages": {}}, "package tiny: locked at 1.0, not inside"),
        (
            {"packages": {"tiny": dataclasses.replace(a_package(), version="1.1")}},
            "package tiny: 1.1 inside, locked at 1.0",
        ),
        (
            {"packages": {"tiny": a_package(), "other": OTHER}},
            "package other: 2 inside, neither locked nor of the base",
        ),
        ({"files": {FILE: "00", "bin/python": "bb"}}, f"package tiny: {FILE} is altered"),
        ({"files": {"bin/python": "bb"}}, f"package tiny: {FILE} is missing"),
        (
            {
                "packages": {"tiny": a_package(**{FILE: "00"})},
                "files": {FILE: "00", "bin/python": "bb"},
            },
            "package tiny: tiny.py is not the wheel's (tiny-1.0.whl)",
        ),
        (
            {"files": {FILE: "aa", "bin/python": "bb", f"{SITE}/more.py": "dd"}},
            f"file /usr/local/{SITE}/more.py: of no package and not of the base",
        ),
        ({"files": {FILE: "aa", "bin/python": "00"}}, "file /usr/local/bin/python: of no package"),
        ({"scripts": {}}, "script /runner/bench.py: expected cc, found none"),
        ({"environment": {}}, "environment: TINY is None inside, '1' in image.yaml"),
        ({"command": ("python", "/runner/x.py")}, 'command: starts ["python", "/runner/x.py"]'),
        ({"unreadable": (f"{SITE}/x.dist-info",)}, "x.dist-info: no METADATA or no RECORD"),
    ],
)
def test_each_difference_is_told(
    changes: dict[str, object], words: str, expected: Expected
) -> None:
    found = list(verifying.differences(expected, an_inventory(**changes)))

    assert any(line.startswith(words) or line.endswith(words) for line in found), found


def test_a_file_that_the_lock_does_not_admit_is_told(expected: Expected) -> None:
    locked = {"tiny": Locked(name="tiny", version="1.0", hashes=frozenset({"00"}))}

    found = list(
        verifying.differences(dataclasses.replace(expected, locked=locked), an_inventory())
    )

    assert found == ["package tiny: tiny-1.0.whl has SHA-256 ff, not in the lock"]


def test_two_builds_are_compared() -> None:
    used = an_inventory(debian={"libc6": "2.36"}, packages={"tiny": a_package(**{FILE: "00"})})
    made = an_inventory(id="sha256:2", debian={"libc6": "2.37"})

    found = verifying.between(used, made)

    assert [line.split(":")[1].strip() for line in found] == [
        "package tiny",
        "Debian package libc6",
    ]
    assert verifying.between(made, dataclasses.replace(made, id="sha256:3")) == []


def test_a_record_is_read_as_hexadecimal_hashes() -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    line = "tiny.py,sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1"
    text = f"{line}\n../../../bin/t,,\na,md5=0,1\n"

    assert inventory.recorded(text, SITE) == {FILE: digest}


def test_the_same_content_gives_the_same_bill(expected: Expected) -> None:
    first = sbom.render(expected.image, an_inventory(), expected.files)
    again = sbom.render(expected.image, an_inventory(id="sha256:9"), expected.files)
    other = sbom.render(expected.image, an_inventory(scripts={"bench.py": "dd"}), expected.files)

    assert first == again
    assert json.loads(first)["serialNumber"] != json.loads(other)["serialNumber"]
    (tiny,) = (part for part in json.loads(first)["components"] if part["name"] == "tiny")
    assert tiny["purl"] == "pkg:pypi/tiny@1.0"
    assert tiny["hashes"] == [{"alg": "SHA-256", "content": "ff"}]


def test_damage_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x", encoding="utf-8")
    (tmp_path / "c").write_text("x", encoding="utf-8")
    sums = f"{hashlib.sha256(b'y').hexdigest()}  a\n{hashlib.sha256(b'x').hexdigest()}  b\n"

    assert archiving.damage(sums, tmp_path) == [
        "a: its SHA-256 is not the one of SHA256SUMS",
        "b: missing",
        "c: not in SHA256SUMS",
    ]


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.tar"
    path.write_text("hello", encoding="utf-8")

    with pytest.raises(ArchiveError, match="no archive of an image"):
        archiving.unpack(path, tmp_path / "folder")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[tuple[Path, APIClient]]:
    """A tiny project, and an engine with a base for it; the image is removed at the end."""
    root = make_tiny(tmp_path / "project")
    try:
        _, api = reach(root, ())
    except BackendUnavailable as error:
        lack("engine", str(error))
    yield root, api
    for tag in tags(api):
        api.remove_image(tag, force=True)


@pytest.mark.engine
def test_a_restored_base_serves_once_its_registry_is_gone(
    engine: tuple[Path, APIClient], tmp_path: Path
) -> None:
    root, api = engine
    stand_in = inspect(api, "runner-base/python:3.11")
    if stand_in is None:
        pytest.skip("no base runner-base/python:3.11 here: scripts/bases 3.11")
    folders, file = (root / "wheels",), tmp_path / "tiny.tar"
    with serving(api, stand_in["Id"], tmp_path) as reference:
        dockerfile = root / "images" / IMAGE / "Dockerfile"
        text = dockerfile.read_text("utf-8")
        dockerfile.write_text(re.sub("ARG BASE=.*", f"ARG BASE={reference}", text), "utf-8")
        image = load_images(root)[IMAGE]
        pulled = connect("docker", root, folders).prepare(image, BuildLimits(), lambda _: None)
        archiving.archive(image, root, folders, file, lambda _: None)
    repository, digest = split_reference(reference)
    api.remove_image(pulled.location)
    api.remove_image(f"{repository}@{digest}", noprune=True)
    try:
        with pytest.raises(PrepareError, match="cannot be pulled"):
            connect("docker", root, folders).prepare(
                dataclasses.replace(image, language_version="9.9"), BuildLimits(), lambda _: None
            )

        said = archiving.restore(file, root, lambda _: None)

        lines: list[str] = []
        found = connect("docker", root, folders).prepare(image, BuildLimits(), lines.append)
        assert str(restored_name(reference)) in said
        assert f"{pulled.location} is here" in lines
        assert (found.digest, found.base) == (pulled.digest, Base(reference=reference))
        (root / "scripts" / "more.py").write_text("MORE = 1\n", encoding="utf-8")
        built = connect("docker", root, folders).prepare(image, BuildLimits(), lambda _: None)
        assert built.digest != pulled.digest
        assert built.base == Base(reference=reference)
    finally:
        for name in filter(None, [restored_name(reference)]):
            with contextlib.suppress(NotFound):
                api.remove_image(name, noprune=True)


def tags(api: APIClient) -> list[str]:
    found = api.images(name=f"runner/{IMAGE}")
    return [tag for entry in found for tag in entry["RepoTags"] or ()]


@pytest.mark.engine
def test_two_rebuilds_give_the_same_bill_and_no_difference(
    engine: tuple[Path, APIClient],
) -> None:
    root, _ = engine
    image, folders = load_images(root)[IMAGE], (root / "wheels",)

    first, second = (verifying.verify(image, root, folders, lambda _: None) for _ in range(2))

    assert (first.differences, first.packages) == ((), 1)
    assert first.sbom == second.sbom
    assert f"pkg:pypi/{NAME}@1.0" in first.sbom


@pytest.mark.engine
def test_an_image_is_restored_as_it_was_archived(
    engine: tuple[Path, APIClient], tmp_path: Path
) -> None:
    root, api = engine
    image, folders, file = load_images(root)[IMAGE], (root / "wheels",), tmp_path / "tiny.tar"
    said = archiving.archive(image, root, folders, file, lambda _: None)
    (tag,) = tags(api)
    before = api.inspect_image(tag)["Id"]  # type: ignore[no-untyped-call]
    assert before in said
    with pytest.raises(ArchiveError, match="exists"):
        archiving.archive(image, root, folders, file, lambda _: None)
    api.remove_image(tag)
    assert tags(api) == []

    archiving.restore(file, root, lambda _: None)

    assert api.inspect_image(tag)["Id"] == before  # type: ignore[no-untyped-call]
    with tarfile.open(file) as tar:
        names = tar.getnames()
    wheel = make_wheel(tmp_path)
    assert f"distributions/{wheel.name}" in names
    assert {"SHA256SUMS", "sbom.json", f"images/{IMAGE}/requirements.lock"} <= set(names)
    container = api.create_container(
        before,
        ["python", "-c", "import runner_tiny; print(runner_tiny.__version__)"],
        host_config=api.create_host_config(network_mode="none"),
    )["Id"]
    try:
        api.start(container)
        assert api.wait(container)["StatusCode"] == 0
        assert api.logs(container) == b"1.0\n"
    finally:
        api.remove_container(container, force=True)
