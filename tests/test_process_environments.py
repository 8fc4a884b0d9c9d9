"""Virtual environments really made by uv, and what is said where one cannot be."""

from __future__ import annotations

import dataclasses
import fcntl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runner import pins
from runner.backends import PrepareError, environments, host_needs, interpreters
from runner.backends.interpreters import Interpreter
from runner.backends.process import Cache, ProcessBackend
from runner.model import BuildLimits, HostNeeds, Image, Status

SIX = """six==1.17.0 \\
    --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274 \\
    --hash=sha256:ff70335d468e7eb6ec65b95b99d3a2836546063f63acc5171de367e834932a81
"""
BRIEF = BuildLimits(timeout_s=60, silence_s=60)


def silent(line: str) -> None:
    """Take a line of progress and do nothing."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/train.py").write_text("print(1)\n")
    return tmp_path


@pytest.fixture
def backend(root: Path) -> ProcessBackend:
    return ProcessBackend(root, (), Cache(root=root / "cache"), "not needed here")


def make_image(root: Path, version: str = "3.11", lock: str = "") -> Image:
    folder = root / "images/small"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.lock").write_text(lock)
    return Image(
        name="small",
        folder=folder,
        framework="none",
        framework_version="1",
        released="2020-01-01",
        language="python",
        language_version=version,
        script="train.py",
        workloads=("nothing",),
    )


def refusal(backend: ProcessBackend, image: Image, limits: BuildLimits = BRIEF) -> PrepareError:
    with pytest.raises(PrepareError) as caught:
        backend.prepare(image, limits, silent)
    return caught.value


def oldest() -> str:
    """The oldest Python here that uv can make an environment of."""
    for minor in range(6, 12):
        if interpreters.find(f"3.{minor}", "uv-is-not-asked") is not None:
            return f"3.{minor}"
    pytest.fail("there is no Python")


@pytest.mark.parametrize("which", ["oldest", "3.11"])
def test_a_lock_is_installed_with_bytecode_and_kept(
    backend: ProcessBackend, root: Path, which: str
) -> None:
    version = oldest() if which == "oldest" else which
    said: list[str] = []
    image = make_image(root, version, SIX)

    made = backend.prepare(image, BRIEF, said.append)
    again = backend.prepare(image, BRIEF, lambda line: pytest.fail("it was made twice"))

    library = Path(made.location) / f"lib/python{version}/site-packages"
    assert any("six==1.17.0" in line for line in said)
    assert list((library / "__pycache__").glob("six.*.pyc"))
    code = (
        "import six, sys; "
        "print(six.__version__, sys.prefix, six.add_metaclass.__code__.co_filename)"
    )
    out = subprocess.check_output((f"{made.location}/bin/python", "-c", code), text=True).split()
    assert out == ["1.17.0", made.location, f"{library}/six.py"]
    assert again == made
    assert made.lock_sha256 == pins.lock_sha256(image)
    assert made.scripts_sha256 == pins.scripts_sha256(root)
    assert made.facts["interpreter"].startswith(f"CPython {version}.")
    assert made.facts["uv"] == environments.uv_version()
    assert [path for path in Path(made.location).parent.iterdir() if "partial" in path.name] == []


def test_a_wrong_hash_fails_with_evidence_and_leaves_nothing(
    backend: ProcessBackend, root: Path
) -> None:
    wrong = SIX.replace("sha256:4721", "sha256:0000").replace("sha256:ff70", "sha256:0000")

    error = refusal(backend, make_image(root, lock=wrong))

    assert error.status is Status.BUILD_FAILED
    assert error.reason == "`uv pip install`: exit status 1"
    assert "Hash mismatch for `six==1.17.0`" in error.evidence
    kept = [path.name for path in (root / "cache/environments").iterdir()]
    assert all(name.endswith(".lock") for name in kept)


def test_a_lock_without_hashes_fails(backend: ProcessBackend, root: Path) -> None:
    error = refusal(backend, make_image(root, lock="six==1.17.0\n"))
    assert error.status is Status.BUILD_FAILED
    assert "hash" in error.evidence


def test_another_lock_is_another_environment(backend: ProcessBackend, root: Path) -> None:
    one = backend.prepare(make_image(root), BRIEF, silent)
    other = backend.prepare(make_image(root, lock="# a comment\n"), BRIEF, silent)
    assert one.digest != other.digest
    assert one.location != other.location


def test_a_missing_interpreter_is_named_with_what_to_do(
    backend: ProcessBackend, root: Path
) -> None:
    error = refusal(backend, make_image(root, version="3.98"))
    assert error.status is Status.UNAVAILABLE
    assert "no Python 3.98 on PATH" in error.reason
    assert "`pyenv install 3.98`" in error.reason


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"language_version": "2.7"}, "no environment for Python 2.7, only for 3.6"),
        ({"language": "julia", "language_version": "1.6"}, "asks for julia 1.6"),
        (
            {"host_needs": HostNeeds(programs=("no-such-cc",), libraries=("no-such",))},
            "no program 'no-such-cc', no library 'libno-such.so'",
        ),
        (
            {"host_needs": HostNeeds(libraries=("no-such",), packages=("libno-such-dev", "g++"))},
            "apt-get install libno-such-dev g++",
        ),
    ],
)
def test_what_this_host_cannot_do_is_unavailable(
    backend: ProcessBackend, root: Path, changes: dict[str, Any], said: str
) -> None:
    error = refusal(backend, dataclasses.replace(make_image(root), **changes))
    assert error.status is Status.UNAVAILABLE
    assert error.reason.startswith("small: ")
    assert said in error.reason


def test_a_library_counts_only_where_it_links() -> None:
    assert host_needs.linkable("c")
    assert not host_needs.linkable("no-such-library")


def test_a_program_of_the_host_says_its_version() -> None:
    assert host_needs.missing(HostNeeds(programs=("sh", "env"))) == ()
    told = host_needs.facts(HostNeeds(programs=("env",)))
    assert "env" in told["env"]


def test_interpreters_are_asked_and_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "python3.97"
    shim.write_text("#!/bin/sh\necho 'not an active version' >&2; exit 127\n")
    shim.chmod(0o755)
    (tmp_path / "versions").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert interpreters.ask(shim, "PATH") is None
    assert interpreters.find("3.97", "no-uv") is None


def test_the_newest_patch_release_of_pyenv_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("3.96.9", "3.96.10", "3.95.30"):
        program = tmp_path / f"versions/{version}/bin/python{version.rpartition('.')[0]}"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho CPython; echo {version}; echo $0\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))

    found = interpreters.find("3.96", "no-uv")

    assert found == Interpreter(
        path=tmp_path / "versions/3.96.10/bin/python3.96", version="3.96.10", found_by="pyenv"
    )
    exact = interpreters.find("3.96.9", "no-uv")
    assert exact is not None
    assert exact.version == "3.96.9"


@pytest.mark.parametrize(
    ("code", "limits", "said"),
    [
        ("sleep 60", BuildLimits(timeout_s=60, silence_s=0.3), "silent for 0.3 s"),
        (
            "while true; do echo x; sleep 0.05; done",
            BuildLimits(timeout_s=0.4, silence_s=60),
            "took longer than 0.4 s",
        ),
        ("echo one; echo two >&2; exit 3", BRIEF, "exit status 3"),
    ],
)
def test_a_tool_is_bounded_and_its_last_words_are_kept(
    code: str, limits: BuildLimits, said: str
) -> None:
    heard: list[str] = []
    deadline = time.monotonic() + limits.timeout_s
    with pytest.raises(PrepareError) as caught:
        environments.bounded(("/bin/sh", "-c", code), deadline, limits, heard.append)
    assert caught.value.status is Status.BUILD_FAILED
    assert said in caught.value.reason
    assert caught.value.evidence.split("\n") == (heard[-20:] or [""])


def test_packages_and_what_builds_them_are_held_to_the_lock(root: Path) -> None:
    recipe = environments.recipe(make_image(root), (Path("wheels"),))
    install = environments.commands(recipe, root / "staged", root / "final")[1][0]
    lock = str(root / "images/small/requirements.lock")
    assert {"--no-deps", "--require-hashes"} <= set(install)
    assert install[install.index("-r") + 1] == lock
    assert install[install.index("--build-constraints") + 1] == lock
    assert install[install.index("--find-links") + 1] == str(Path("wheels").absolute())


def test_one_environment_is_made_once_by_two_runners(backend: ProcessBackend, root: Path) -> None:
    image = make_image(root)
    recipe = environments.recipe(image, ())
    folder = root / "cache/environments"
    folder.mkdir(parents=True)
    said: list[str] = []
    with (folder / f".{recipe.folder_name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        thread = threading.Thread(target=backend.prepare, args=(image, BRIEF, said.append))
        thread.start()
        while not said:
            time.sleep(0.01)
        (folder / recipe.folder_name).mkdir()  # the other runner finishes
    thread.join()
    assert said == ["waiting for another runner that makes the same environment"]
    assert list((folder / recipe.folder_name).iterdir()) == []


def test_waiting_for_another_runner_ends_in_time(backend: ProcessBackend, root: Path) -> None:
    image = make_image(root)
    folder = root / "cache/environments"
    folder.mkdir(parents=True)
    name = environments.recipe(image, ()).folder_name
    with (folder / f".{name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        error = refusal(backend, image, BuildLimits(timeout_s=0.3))
    assert error.status is Status.BUILD_FAILED
    assert "another runner still makes" in error.reason


def test_a_half_made_environment_does_not_count(backend: ProcessBackend, root: Path) -> None:
    image = make_image(root)
    half = root / "cache/environments" / f".{environments.recipe(image, ()).folder_name}.partial"
    half.mkdir(parents=True)
    (half / "rubbish").write_text("")
    made = backend.prepare(image, BRIEF, silent)
    assert (Path(made.location) / "bin/python").exists()
    assert not (Path(made.location) / "rubbish").exists()
    assert not half.exists()


def test_copies_of_scripts_are_made_once_and_made_good(root: Path) -> None:
    cache = root / "copies"
    first = environments.copy_scripts(root, cache)
    assert environments.copy_scripts(root, cache) == first == pins.scripts_sha256(root)
    assert [path.name for path in cache.iterdir()] == [first]
    copy = cache / first / "scripts/train.py"
    copy.chmod(0o644)
    copy.write_text("altered")
    environments.copy_scripts(root, cache)
    assert copy.read_text() == "print(1)\n"
    (root / "scripts/train.py").write_text("print(2)\n")
    assert environments.copy_scripts(root, cache) != first
