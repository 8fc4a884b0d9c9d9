from __future__ import annotations

from pathlib import Path

import pytest

from runner import pins
from runner.backends import interpreters
from runner.config import load_images
from runner.images import compiles, health, legacy_pip, locking, registry, requirements
from runner.images.locking import Change, LockError, Unanswered
from runner.images.registry import Registry
from runner.model import Image
from tests.tiny_images import IMAGE, NAME, make_index, make_tiny, make_wheel


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return load_images(make_tiny(tmp_path / "project"))[IMAGE]


def root_of(image: Image) -> Path:
    return image.folder.parent.parent


def set_asked(image: Image, text: str) -> None:
    (image.folder / "requirements.in").write_text(text, encoding="utf-8")


def locked(image: Image) -> str:
    return pins.lock_path(image).read_text(encoding="utf-8")


def test_a_lock_has_every_hash_and_says_how_it_was_made(image: Image, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "files")
    index = make_index(tmp_path, wheel)
    pins.lock_path(image).unlink()

    found = locking.lock(image, root_of(image), Registry(index=index), (), upgrade=False)

    text = locked(image)
    assert found == (Change(name=NAME, old=None, new="1.0", hashes_changed=False),)
    assert requirements.locked(text)[NAME].hashes == {pins.file_sha256(wheel)}
    assert f"#   runner images lock {IMAGE}\n" in text
    assert f"images/{IMAGE}/requirements.in\n" in text
    assert "://" not in text
    assert str(tmp_path) not in text


def test_what_is_locked_stays_unless_an_upgrade_is_asked_for(image: Image, tmp_path: Path) -> None:
    wheels = [make_wheel(tmp_path / "files", version) for version in ("1.0", "1.1")]
    known = Registry(index=make_index(tmp_path, *wheels))
    set_asked(image, f"{NAME}\n")
    before = locked(image)

    assert locking.lock(image, root_of(image), known, (), upgrade=False) == ()
    assert locked(image) == before  # header and all: environments are known by its hash
    found = locking.lock(image, root_of(image), known, (), upgrade=True)
    assert found == (Change(name=NAME, old="1.0", new="1.1", hashes_changed=True),)


def test_a_folder_of_wheels_serves_and_is_not_named(image: Image, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "more", "1.2")
    set_asked(image, f"{NAME}==1.2\n")

    locking.lock(
        image, root_of(image), Registry(index=make_index(tmp_path)), (wheel.parent,), upgrade=False
    )

    assert requirements.locked(locked(image))[NAME].hashes == {pins.file_sha256(wheel)}
    assert "--find-links WHEELS images/" in locked(image)
    assert str(tmp_path) not in locked(image)


def test_what_does_not_resolve_leaves_the_lock_as_it_is(image: Image, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "files", requires=f"{NAME}-none==3")
    known = Registry(index=make_index(tmp_path, wheel))
    before = locked(image)

    with pytest.raises(LockError, match=r"requirements\.lock is kept as it is") as caught:
        locking.lock(image, root_of(image), known, (), upgrade=True)
    assert f"{NAME}-none" in str(caught.value)
    assert "# lock: --no-deps" in str(caught.value)
    assert locked(image) == before

    set_asked(image, f"# lock: --no-deps\n{NAME}==1.0\n")
    locking.lock(image, root_of(image), known, (), upgrade=True)
    assert " --no-deps images/" in locked(image)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("# lock: --exclude-never 2019-01-01", "did you mean '--exclude-newer'"),
        ("# lock: --exclude-newer", "needs a value"),
        ("# lock: --index-url somewhere", "'--index-url'"),
    ],
)
def test_an_unknown_option_is_refused(line: str, expected: str, image: Image) -> None:
    set_asked(image, f"{line}\n{NAME}==1.0\n")

    with pytest.raises(LockError, match=expected):
        locking.lock(image, root_of(image), Registry(), (), upgrade=False)


def test_an_image_without_its_python_is_refused(
    image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreters, "find", lambda *_: None)

    with pytest.raises(LockError, match=r"no Python 3\.11 is on PATH.*pyenv install 3\.11"):
        locking.lock(image, root_of(image), Registry(), (), upgrade=False)


def test_a_python_older_than_uv_knows_is_resolved_by_its_own_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiles.interpreter("2.7", {"PATH": ""}) is None:
        pytest.skip("no Python 2.7 under ~/.pyenv")
    root = make_tiny(tmp_path)
    path = root / "images" / IMAGE / "image.yaml"
    path.write_text(path.read_text("utf-8").replace('"3.11"', '"2.7"'), encoding="utf-8")
    image = load_images(root)[IMAGE]
    before = locked(image)
    pins.lock_path(image).write_text("", encoding="utf-8")
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    locking.lock(image, root, Registry(), (root / "wheels",), upgrade=False)

    assert requirements.locked(locked(image)) == requirements.locked(before)
    assert "python2.7 -m pip download --dest FILES" in locked(image)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl",
            ("tensorflow-cpu", "2.21.0"),
        ),
        ("Keras-1.2.2.tar.gz", ("keras", "1.2.2")),
        ("a-b-1.0.zip", ("a-b", "1.0")),
    ],
)
def test_files_of_packages_are_told_apart(name: str, expected: tuple[str, str]) -> None:
    assert legacy_pip.split_file_name(name) == expected


def test_a_file_that_is_no_package_is_refused() -> None:
    with pytest.raises(legacy_pip.LegacyPipError, match=r"notes\.txt: neither a wheel"):
        legacy_pip.split_file_name("notes.txt")


def test_pips_configuration_is_read_as_pip_ranks_it() -> None:
    found = registry.parse(
        "global.index-url='https://general/simple'\n"
        "install.index-url='https://install/simple'\n"
        "global.extra-index-url='https://more/simple file:///here/simple'\n"
        "global.cert='/certificates.pem'\n"
        "freeze.timeout='10'\n"
    )

    assert found == Registry(
        index="https://install/simple",
        extra=("https://more/simple",),
        left_out=("file:///here/simple",),
        certificates="/certificates.pem",
    )
    assert found.uv_variables()["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert registry.parse(":env:.index-url='https://env/'\nglobal.index-url='a'").index == (
        "https://env/"
    )
    assert registry.parse("").uv_variables() == {}


def test_wheels_that_are_gone_are_found(image: Image, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "files")
    known = Registry(index=make_index(tmp_path / "now", wheel))
    there = locking.in_registry(image, root_of(image), known, ())
    mine = requirements.locked(locked(image))

    assert health.wheels_row(image, mine, there).state == health.OK
    other = {NAME: requirements.Locked(name=NAME, version="1.0", hashes=frozenset({"0" * 64}))}
    gone = health.wheels_row(image, mine, other)
    assert (gone.state, gone.found) == (health.PROBLEM, f"no file with a locked hash: {NAME}")
    both = {NAME: requirements.Locked(name=NAME, version="1.0", hashes=frozenset({"0", "1"}))}
    one = {NAME: requirements.Locked(name=NAME, version="1.0", hashes=frozenset({"0"}))}
    assert health.wheels_row(image, both, one).state == health.NOTE
    empty = Registry(index=make_index(tmp_path / "later"))
    with pytest.raises(LockError):
        locking.in_registry(image, root_of(image), empty, ())
    assert locking.in_registry(image, root_of(image), empty, (wheel.parent,)) == mine


def test_a_registry_that_does_not_answer_is_not_one_that_has_lost_a_wheel(image: Image) -> None:
    closed = Registry(index="http://127.0.0.1:9/simple")

    with pytest.raises(Unanswered, match=r"no answer within 0\.01 s"):
        locking.in_registry(image, root_of(image), closed, (), limit_s=0.01)


@pytest.mark.parametrize(
    ("state", "expected", "words"),
    [
        (None, health.NOTE, "no container engine answers"),
        (health.BaseState(here=True), health.OK, "here"),
        (health.BaseState(pullable=True), health.OK, "can be pulled"),
        (health.BaseState(stand_in="base"), health.NOTE, "cannot be pulled; base stands in"),
        (health.BaseState(stand_in="base", pullable=None), health.NOTE, "base stands in"),
        (health.BaseState(archived="old.tar"), health.NOTE, "cannot be pulled; old.tar has it"),
        (health.BaseState(pullable=None), health.NOTE, "was not asked"),
        (health.BaseState(problem="no host"), health.PROBLEM, "(no host), and nothing stands in"),
    ],
)
def test_where_a_base_can_be_had(
    state: health.BaseState | None, expected: str, words: str, image: Image
) -> None:
    row = health.base_row(image, state)

    assert row.state == expected
    assert words in row.found
    assert bool(row.remedy) == (row.state != health.OK)


@pytest.mark.parametrize(
    ("error", "expected"), [(LockError, health.PROBLEM), (Unanswered, health.NOTE)]
)
def test_a_failing_probe_is_a_row(error: type[LockError], expected: str, image: Image) -> None:
    def gone(_: Image) -> dict[str, requirements.Locked]:
        msg = "one\ntwo\nno such version"
        raise error(msg)

    found = health.rows([image], health.Probes(base=lambda _: None, wheels=gone))

    assert [(row.what, row.state) for row in found] == [
        ("base", health.NOTE),
        ("wheels", expected),
    ]
    assert found[1].found.endswith("no such version")
    assert found[1].remedy


def test_wheels_that_were_not_asked_for_have_no_row(image: Image) -> None:
    probes = health.Probes(base=lambda _: None, wheels=lambda _: None)

    assert [row.what for row in health.rows([image], probes)] == ["base"]
