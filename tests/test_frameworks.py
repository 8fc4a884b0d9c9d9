"""The main job on real frameworks: every image prepared, conforming, and measured on both backends.

Takes minutes, downloads packages and needs an engine (with stand-in bases where it can pull
none) and the interpreters that the images ask for. Without them it is skipped with the reason;
where RUNNER_REQUIRE names `frameworks`, it fails instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner import store
from runner.backends import connect
from runner.errors import BackendUnavailable
from runner.model import Record, Status
from tests.needs import demand

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(2400)]
ROOT = Path(__file__).parent.parent
# Fewer than the quick profile's: what counts here is that every job works, in bounded time.
LAUNCHES = {"docker": 2, "process": 1}

# What the first table must hold a number for. Others may lack one where a base or an
# interpreter cannot be had, and then say so.
MUST = (
    "keras-1.2.2-theano-0.9.0",
    "tensorflow-1.0.0",
    "pytorch-1.0.1",
    "tensorflow-1.13.1",
    "tensorflow-2.21.0",
    "jax-0.10.2",
    "pytorch-2.13.0",
)
LACKS = (Status.BASE_UNAVAILABLE, Status.UNAVAILABLE)


@pytest.fixture(scope="module", params=LAUNCHES)
def backend(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    demand("frameworks", "measuring real frameworks takes minutes")
    try:
        connect(name, ROOT, ())
    except BackendUnavailable as error:
        pytest.fail(str(error))
    return name


def runner(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runner.cli", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "160"},
    )


def measured(backend: str, results: Path, *arguments: str) -> tuple[str, list[Record]]:
    done = runner(
        *("matrix", "matrix.yaml", "--backend", backend, "--results", str(results)),
        # What counts here is that every job works, whoever else is at work on the machine.
        *("--keep-disturbed", *arguments),
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, store.load_records(store.runs(results)[-1])


def test_the_default_suite_has_a_number_for_every_framework(backend: str, tmp_path: Path) -> None:
    launches = LAUNCHES[backend]
    shown, records = measured(backend, tmp_path, "--launches", str(launches))

    by_image: dict[str, list[Record]] = {}
    for record in records:
        by_image.setdefault(record.cell.image, []).append(record)
    for image in MUST:
        assert [r.status for r in by_image[image]] == [Status.OK] * launches, (
            image,
            by_image[image],
        )
        assert image in shown
    for image in by_image.keys() - set(MUST):
        for record in by_image[image]:
            assert record.status in (Status.OK, *LACKS), (image, record.status, record.reason)
            assert record.status is Status.OK or record.reason
    for record in records:
        if record.status is not Status.OK:
            continue
        assert record.hello is not None
        assert record.hello.threads in (None, 2)
        assert record.environment is not None
        assert (record.environment.base is not None) is (backend == "docker")
        assert record.memory is not None
        assert record.memory.readings > 0
        assert record.memory.peak_bytes > 100 * 1024**2
        assert record.cpu_s is not None
        assert record.cpu_s > 0


def test_a_compiler_is_a_number_only_where_it_compiled(backend: str, tmp_path: Path) -> None:
    _, records = measured(
        backend,
        tmp_path,
        *("--suite", "xla", "--launches", "1"),
        *("--only", "tensorflow-1.*/*/compiler=xla"),
    )

    found = {record.cell.image: record for record in records}
    old, new = found["tensorflow-1.0.0"], found["tensorflow-1.13.1"]
    assert old.status is Status.UNSUPPORTED
    assert "ignored the switch" in old.reason
    assert new.status is Status.OK, new.reason
    assert any(check.name == "compiled" and check.passed for check in new.checks)


def test_vgg16_trains(backend: str, tmp_path: Path) -> None:
    _, records = measured(
        backend, tmp_path, "--suite", "vgg16", "--launches", "1", "--only", "tensorflow-2.21.0"
    )

    assert [record.status for record in records] == [Status.OK], records[0].reason
    assert records[0].losses[0] == pytest.approx(6.909420, abs=2e-4)


@pytest.mark.parametrize("image", MUST)
def test_every_image_conforms(image: str) -> None:
    demand("frameworks", "conformance launches real frameworks")

    done = runner("images", "conform", image, "--backend", "docker")

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{image}: conforms" in done.stdout
