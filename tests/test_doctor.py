"""What stands in the way of a measurement, and what to do about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner import doctor
from runner.backends.docker_gpus import Access
from runner.backends.docker_trial import Trial
from runner.cli import main
from runner.doctor import Machine, Row
from runner.images.health import BaseState, Probes
from runner.images.requirements import Locked
from runner.model import Image
from runner.telemetry import disturbance, host
from runner.telemetry.host import GpuFacts
from tests.host_trees import unpack
from tests.makers import make_image
from tests.tiny_images import IMAGE, make_tiny

UNASKED = Probes(base=lambda _: None, wheels=lambda _: None)


def machine(tmp_path: Path, name: str, **changes: object) -> Machine:
    made = Machine(
        root=tmp_path,
        images={},
        wheels=(),
        results=tmp_path / "results",
        facts=host.read(unpack(name, tmp_path)),
        cores=2,
        job_cores=(0, 1),
        others_cores=0.0,
        probes=UNASKED,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def rows(check: str, looked_at: Machine) -> list[Row]:
    return list(doctor.CHECKS[check](looked_at))


def test_a_laptop_has_much_to_be_told_and_each_row_says_what_to_do(tmp_path: Path) -> None:
    found = rows("quiet", machine(tmp_path, "intel-laptop", others_cores=1.5))

    assert {row.state for row in found} == {"note"}
    assert all(row.remedy for row in found)
    text = " ".join(row.found for row in found)
    for word in ("governor", "turbo", "swap", "multithreading", "1.50 cores"):
        assert word in text


def test_a_machine_that_is_made_ready_is_ok(tmp_path: Path) -> None:
    assert [row.state for row in rows("quiet", machine(tmp_path, "amd-server"))] == ["ok"]


def test_too_few_cores_are_a_problem_and_the_rest_is_told_all_the_same(tmp_path: Path) -> None:
    [*_, row] = rows("quiet", machine(tmp_path, "amd-server", job_cores=(0,)))

    assert row.state == "problem"
    assert row.found == "a job has 2 cores, and this process may use 1"
    assert "limits.cores" in row.remedy


def test_without_an_engine_it_says_what_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")

    [row] = rows("engine", machine(tmp_path, "amd-server"))

    assert row.state == "note"
    assert "/nowhere/docker.sock" in row.found
    assert "--backend process" in row.remedy


def test_images_are_told_by_the_python_they_would_have(tmp_path: Path) -> None:
    good = replace(make_image("torch-1.0"), language_version="3.11")
    lost = replace(make_image("torch-0.1"), language_version="3.99")
    other = replace(make_image("flux-0.6"), language="julia", language_version="1.0")
    looked_at = machine(tmp_path, "amd-server", images={i.name: i for i in (good, lost, other)})

    first, second, third = rows("interpreters", looked_at)

    assert first.state == "ok"
    assert "Python 3.11" in first.found
    assert (second.state, third.state) == ("note", "note")
    assert "no Python 3.99" in second.found
    assert "julia" in third.found


def test_images_are_told_by_what_they_are_made_of(tmp_path: Path) -> None:
    kept, gone = (locked_image(tmp_path / name, name) for name in ("torch-1.0", "torch-0.1"))
    there = Locked(name="torch", version="1.0", hashes=frozenset({"0" * 64}))
    probes = Probes(
        base=lambda image: BaseState(here=image is kept, problem="no such host"),
        wheels=lambda image: {"torch": there} if image is kept else {},
    )
    images = {image.name: image for image in (kept, gone)}

    found = rows("sources", machine(tmp_path, "amd-server", images=images, probes=probes))

    assert [(row.area, row.state, row.found) for row in found] == [
        ("image torch-1.0", "ok", "base: here"),
        ("image torch-1.0", "ok", "wheels: every file of the lock can be had"),
        (
            "image torch-0.1",
            "problem",
            "base: cannot be pulled (no such host), and nothing stands in",
        ),
        ("image torch-0.1", "problem", "wheels: no file with a locked hash: torch"),
    ]
    assert all(row.remedy for row in found[2:])


def locked_image(folder: Path, name: str) -> Image:
    folder.mkdir()
    text = f"torch==1.0 --hash=sha256:{'0' * 64}\n"
    (folder / "requirements.lock").write_text(text, encoding="utf-8")
    return replace(make_image(name), folder=folder)


def test_an_image_that_this_processor_cannot_run_is_told(tmp_path: Path) -> None:
    images = {
        "needs": replace(make_image("torch-1.0"), cpu_instructions=("avx", "avx512f")),
        "runs": replace(make_image("torch-0.1"), cpu_instructions=("avx",)),
        "cuda": replace(make_image("torch-2.0"), devices=("cuda",), minimum_driver="580"),
    }
    has = frozenset({"avx", "sse4_2"})

    first, second = rows(
        "processors", machine(tmp_path, "amd-server", images=images, instructions=has)
    )

    assert first.found == "its binaries need avx512f, which this processor has not"
    assert "unsupported-device: asked for 1, found no NVIDIA GPU" in second.found
    assert rows("processors", machine(tmp_path, "amd-server", images=images)) == [second]


def test_a_gpu_is_told_with_its_settings(tmp_path: Path) -> None:
    gpu = GpuFacts(
        name="NVIDIA H100",
        uuid="GPU-1",
        driver="550.54",
        cuda="12.4",
        power_limit_w=500.0,
        default_power_limit_w=700.0,
        persistence=False,
        accounting=True,
        mig=False,
    )
    looked_at = machine(tmp_path, "amd-server")
    looked_at = replace(looked_at, facts=replace(looked_at.facts, gpus=(gpu,)))

    head, *found = rows("gpus", looked_at)

    assert head.found == "NVIDIA H100, driver 550.54, CUDA 12.4"
    assert [row.remedy for row in found] == [
        "nvidia-smi --id=0 --persistence-mode=1",
        "nvidia-smi --id=0 --power-limit=700.0",
    ]
    assert disturbance.of_gpu(GpuFacts(name="old", uuid=""), 0) == ()


def test_how_gpus_get_into_containers_is_told_with_what_came_of_trying() -> None:
    def row(trial: Trial | None) -> Row:
        way = Access(method="toolkit", reason="the hook is on PATH")
        return doctor.gpu_containers_row(way, trial)

    got = row(Trial(image="runner/tiny:1", devices=("nvidia0", "nvidia1")))
    refused = row(Trial(image="runner/tiny:1", problem="unrecognized option"))
    untried = row(Trial(image=""))
    none = doctor.gpu_containers_row(Access(method="", reason="CDI is off"), None)

    assert (got.state, got.remedy) == ("ok", "")
    assert got.found.endswith("; a container of runner/tiny:1 had nvidia0, nvidia1")
    assert refused.state == "problem"
    assert refused.found.endswith("but not in a container of runner/tiny:1: unrecognized option")
    assert (untried.state, none.state) == ("note", "note")
    assert untried.found.endswith("; not tried")
    assert none.found == "none: CDI is off"
    assert all(one.remedy for one in (refused, untried, none))


def test_this_machine_is_examined_whole(tmp_path: Path) -> None:
    looked_at = doctor.look(tmp_path, {}, (), tmp_path / "results", 1, UNASKED)

    found = doctor.examine(looked_at)

    assert {row.area for row in found} >= {"machine", "engine", "process backend", "disk", "gpu"}
    assert looked_at.others_cores is not None
    assert all(row.remedy for row in found if row.state != "ok")


def test_the_command_asks_no_registry_where_it_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setenv("COLUMNS", "240")
    root = make_tiny(tmp_path / "project")

    status = main(["doctor", "--offline", "--root", str(root), "--cores", "1"])

    said = capsys.readouterr().out
    assert status == 0
    [base] = [line for line in said.splitlines() if " base: " in line]
    assert base.startswith(f"image {IMAGE} ")
    assert "no container engine answers" in base
    assert "wheels" not in said
