"""What the docker backend asks of an engine, as tables of expected values: needs no engine."""

from __future__ import annotations

import hashlib
import io
import itertools
import socket
import struct
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.backends.docker import candidates, connect
from runner.backends.docker_bases import (
    ResolvedBase,
    base_unavailable,
    restored_name,
    split_reference,
)
from runner.backends.docker_build import (
    BuildFailed,
    build_arguments,
    content_sha256,
    dpkg_versions,
    log_lines,
    recipe,
    write_context,
)
from runner.backends.docker_cgroup import Counters, Groups, groups
from runner.backends.docker_job import frames, memory_reading, outcome
from runner.backends.docker_options import (
    abandoned,
    command_line,
    options,
    owner_text,
    parse_owner,
)
from runner.backends.job_state import Owner
from runner.backends.process_tree import Process
from runner.errors import BackendUnavailable
from runner.model import (
    Base,
    Cgroup,
    Environment,
    Image,
    Launch,
    Limits,
    MemoryReading,
    Outcome,
)
from tests.makers import make_project

IMAGE = Image(
    name="keras-1.2.2",
    folder=Path("images/keras-1.2.2"),
    framework="keras",
    framework_version="1.2.2",
    released="2017-02-20",
    language="python",
    language_version="3.6",
    script="train_keras.py",
    workloads=("vgg16",),
    environment={"KERAS_BACKEND": "theano", "RUNNER_SEED": "0"},
)
LAUNCH = Launch(
    id="keras-1.2.2_vgg16.1",
    environment=Environment(
        image=IMAGE,
        digest="sha256:1111",
        location="runner/keras-1.2.2:222222222222",
        lock_sha256="33",
        scripts_sha256="44",
    ),
    variables={"RUNNER_SEED": "7", "HOME": "/home/somebody"},
    limits=Limits(
        memory_bytes=4_000_000_000,
        processes=99,
        shared_memory_bytes=64_000_000,
        scratch_bytes=500_000_000,
    ),
    cores=(2, 5),
)
OWNER = Owner(
    node="host",
    boot_id="0f-1e",
    pid_namespace="pid:[4026531836]",
    process=Process(pid=4321, started=987654),
)
OWNER_TEXT = "host 0f-1e pid:[4026531836] 4321 987654"
CONTAINER = "5f" * 32


def test_every_option_of_a_container() -> None:
    made = options(LAUNCH, OWNER_TEXT)

    assert made.container == {
        "image": "sha256:1111",
        "command": None,
        "environment": {"KERAS_BACKEND": "theano", "RUNNER_SEED": "7", "HOME": "/tmp"},
        "user": "65534:65534",
        "working_dir": "/tmp",
        "labels": {"runner.job": "keras-1.2.2_vgg16.1", "runner.owner": OWNER_TEXT},
        "healthcheck": {"test": ["NONE"]},
    }
    assert made.host == {
        "network_mode": "none",
        "ipc_mode": "private",
        "read_only": True,
        "tmpfs": {"/tmp": "rw,exec,nosuid,nodev,mode=1777,size=500000000"},
        "shm_size": 64_000_000,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mem_limit": 4_000_000_000,
        "memswap_limit": 4_000_000_000,
        "pids_limit": 99,
        "cpuset_cpus": "2,5",
        "ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "nofile", "Soft": 4096, "Hard": 4096},
            {"Name": "nproc", "Soft": 32768, "Hard": 32768},
        ],
        "init": True,
        "log_config": {"Type": "none", "Config": {}},
    }


def test_a_data_file_is_a_read_only_volume_and_a_variable() -> None:
    launch = replace(LAUNCH, data_file=Path("/somewhere/data_batch_1.bin"))

    made = options(launch, OWNER_TEXT, "runner-data-55")

    assert made.container["environment"]["RUNNER_DATA_FILE"] == "/data/file"
    assert [dict(mount) for mount in made.host["mounts"]] == [
        {"Target": "/data", "Source": "runner-data-55", "Type": "volume", "ReadOnly": True}
    ]


def test_the_command_line_repeats_the_container_by_hand() -> None:
    launch = replace(LAUNCH, command=("python", "-c", "print('a b')"))

    assert command_line(options(launch, OWNER_TEXT, "runner-data-55")) == (
        "docker",
        "run",
        "--rm",
        "--network=none",
        "--ipc=private",
        "--read-only",
        "--tmpfs=/tmp:rw,exec,nosuid,nodev,mode=1777,size=500000000",
        "--shm-size=64000000",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--memory=4000000000",
        "--memory-swap=4000000000",
        "--pids-limit=99",
        "--cpuset-cpus=2,5",
        "--ulimit=core=0:0",
        "--ulimit=nofile=4096:4096",
        "--ulimit=nproc=32768:32768",
        "--init",
        "--log-driver=none",
        "--mount=type=volume,src=runner-data-55,dst=/data,readonly",
        "--user=65534:65534",
        "--workdir=/tmp",
        "--no-healthcheck",
        "--env=KERAS_BACKEND=theano",
        "--env=RUNNER_SEED=7",
        "--env=HOME=/tmp",
        "--env=RUNNER_DATA_FILE=/data/file",
        "sha256:1111",
        "python",
        "-c",
        "print('a b')",
    )


def test_an_owner_survives_its_label() -> None:
    assert owner_text(OWNER) == OWNER_TEXT
    assert parse_owner(OWNER_TEXT) == OWNER


@pytest.mark.parametrize("text", ["", "host 0f 1 2", "host 0f-1e pid:[1] x 5", "a b c 1 2 3"])
def test_a_label_of_somebody_else_is_no_owner(text: str) -> None:
    assert parse_owner(text) is None


@pytest.mark.parametrize(
    ("there", "is_running", "owner_lives", "expected"),
    [
        ({}, True, True, False),
        ({}, True, False, True),
        ({}, False, False, True),
        ({"node": "another"}, False, False, False),
        ({"pid_namespace": "pid:[1]"}, True, False, False),
        ({"boot_id": "earlier"}, False, True, True),
        ({"boot_id": "earlier"}, True, False, False),
    ],
)
def test_only_what_is_dead_for_certain_is_abandoned(
    there: dict[str, Any], is_running: bool, owner_lives: bool, expected: bool
) -> None:
    owner = replace(OWNER, **there)

    seen = abandoned(owner, OWNER, is_running=is_running, alive=lambda _: owner_lives)

    assert seen is expected


V1 = "12:pids:{0}\n9:memory:{0}\n4:cpu,cpuacct:{0}\n1:name=systemd:{0}\n0::{0}\n"


@pytest.mark.parametrize(
    ("text", "version", "memory", "cpu", "pids"),
    [
        (
            V1.format(f"/docker/{CONTAINER}"),
            1,
            f"memory/docker/{CONTAINER}",
            f"cpuacct/docker/{CONTAINER}",
            f"pids/docker/{CONTAINER}",
        ),
        (
            V1.format(f"/system.slice/docker-{CONTAINER}.scope"),
            1,
            f"memory/system.slice/docker-{CONTAINER}.scope",
            f"cpuacct/system.slice/docker-{CONTAINER}.scope",
            f"pids/system.slice/docker-{CONTAINER}.scope",
        ),
        (
            f"0::/system.slice/docker-{CONTAINER}.scope\n",
            2,
            *[f"system.slice/docker-{CONTAINER}.scope"] * 3,
        ),
        (
            f"0::/user.slice/user-1000.slice/libpod-{CONTAINER}.scope/container\n",
            2,
            *[f"user.slice/user-1000.slice/libpod-{CONTAINER}.scope"] * 3,
        ),
    ],
    ids=["v1 cgroupfs", "v1 systemd", "v2 systemd", "v2 podman"],
)
def test_control_groups_are_found(
    text: str, version: int, memory: str, cpu: str, pids: str
) -> None:
    root = Path("/sys/fs/cgroup")

    assert groups(text, CONTAINER) == Groups(
        cgroup=Cgroup(version=version, memory=root / memory, cpu=root / cpu), pids=root / pids
    )


def test_another_process_of_the_same_number_is_not_taken_for_the_container() -> None:
    assert groups(V1.format("/user.slice"), CONTAINER) is None


@pytest.mark.parametrize(
    ("status", "was_out_of_memory", "counters", "expected"),
    [
        (0, False, Counters(), Outcome(exit_code=0, signal=None, oom_kills=0)),
        (3, False, Counters(), Outcome(exit_code=3, signal=None, oom_kills=0)),
        (137, False, Counters(), Outcome(exit_code=None, signal=9, oom_kills=0)),
        (137, True, Counters(), Outcome(exit_code=None, signal=9, oom_kills=1)),
        (134, False, Counters(), Outcome(exit_code=None, signal=6, oom_kills=0)),
        (255, False, Counters(), Outcome(exit_code=255, signal=None, oom_kills=0)),
        (
            0,
            True,
            Counters(oom_kills=3, process_limit_hits=2, memory_peak_bytes=5),
            Outcome(
                exit_code=0,
                signal=None,
                oom_kills=3,
                process_limit_hits=2,
                memory_peak_bytes=5,
            ),
        ),
    ],
)
def test_how_a_container_ended(
    status: int, was_out_of_memory: bool, counters: Counters, expected: Outcome
) -> None:
    assert outcome(status, was_out_of_memory, counters) == expected


@pytest.mark.parametrize("size", [1, 3, 8, 9, 1000])
def test_streams_are_taken_apart_whatever_the_pieces(size: int) -> None:
    sent = [(1, b"one\n"), (2, b"noise"), (1, b""), (1, b"x" * 300)]
    wire = b"".join(struct.pack(">BxxxL", number, len(data)) + data for number, data in sent)
    pieces = iter([*(wire[at : at + size] for at in range(0, len(wire), size)), b""])

    assert list(frames(lambda: next(pieces))) == sent


def test_a_frame_that_is_cut_short_is_not_lost() -> None:
    pieces = iter([struct.pack(">BxxxL", 1, 100) + b"partial", b""])

    assert list(frames(lambda: next(pieces))) == [(1, b"partial")]


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        (
            {"usage": 90, "stats": {"total_rss": 50, "total_shmem": 7}},
            MemoryReading(anonymous_bytes=57, total_bytes=90),
        ),
        (
            {"usage": 90, "stats": {"anon": 40, "shmem": 5, "file": 45}},
            MemoryReading(anonymous_bytes=45, total_bytes=90),
        ),
        ({}, None),
    ],
)
def test_the_engines_statistics_are_read(
    stats: dict[str, Any], expected: MemoryReading | None
) -> None:
    assert memory_reading(stats) == expected


@pytest.mark.parametrize(
    ("environment", "context", "expected"),
    [
        ({"DOCKER_HOST": "tcp://far:2376"}, "unix:///x.sock", ("tcp://far:2376",)),
        ({}, "ssh://far", ("ssh://far",)),
        (
            {"XDG_RUNTIME_DIR": "/run/user/7"},
            "unix:///var/run/docker.sock",
            (
                "unix:///var/run/docker.sock",
                "unix:///run/user/7/docker.sock",
                "unix:///run/user/7/podman/podman.sock",
                "unix:///run/podman/podman.sock",
            ),
        ),
    ],
)
def test_what_the_user_named_is_the_only_engine_tried(
    environment: dict[str, str], context: str, expected: tuple[str, ...]
) -> None:
    assert candidates(environment, context) == expected


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("unix://{folder}/none.sock", "No such file or directory"),
        ("unix://{folder}/closed.sock", "Connection refused"),
        ("tcp://127.0.0.1:1", "Connection refused"),
    ],
)
def test_an_engine_that_does_not_answer(
    host: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(tmp_path / "closed.sock"))
    host = host.format(folder=tmp_path)
    monkeypatch.setenv("DOCKER_HOST", host)

    with pytest.raises(BackendUnavailable) as raised:
        connect(tmp_path, ())

    assert str(raised.value).splitlines() == [
        "no container engine answers; tried",
        f"  {host}: {problem}",
        "start one (dockerd, or 'podman system service --time 0'), or set DOCKER_HOST;"
        " '--backend process' needs none",
    ]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("python:3.6.15-slim@sha256:ab", ("python", "sha256:ab")),
        ("host:5000/nvidia/cuda:8.0@sha256:ab", ("host:5000/nvidia/cuda", "sha256:ab")),
        ("host:5000/python@sha256:ab", ("host:5000/python", "sha256:ab")),
        ("python:3.11-slim", ("python:3.11-slim", "")),
    ],
)
def test_a_base_is_asked_for_by_its_digest(reference: str, expected: tuple[str, str]) -> None:
    assert split_reference(reference) == expected


def test_a_base_that_cannot_be_had_says_what_to_do() -> None:
    said = base_unavailable("python:3.6@sha256:ab", "no such host", "runner-base/python:3.6")

    assert "python:3.6@sha256:ab" in said
    assert "no such host" in said
    assert "scripts/bases" in said
    assert "runner-base/python:3.6" in said
    assert "'docker tag' it runner-archive/base:ab" in said


PINNED = ResolvedBase(base=Base(reference="python:3.6@sha256:ab"), id="sha256:99")
RESTORED = replace(PINNED, restored=True)
STOOD_IN = replace(PINNED, base=Base(reference="python:3.6@sha256:ab", substituted_by="ours"))
DOCKERFILE = 'ARG BASE=python:3.6@sha256:ab\nFROM ${BASE}\nARG APT="g++=4:10.2.1-1 libx=1"\n'


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        (DOCKERFILE, PINNED, {}),
        (DOCKERFILE, RESTORED, {"BASE": "sha256:99"}),
        (DOCKERFILE, STOOD_IN, {"BASE": "sha256:99", "APT": "g++ libx"}),
        ("ARG BASE=b@sha256:1\nFROM ${BASE}\n", STOOD_IN, {"BASE": "sha256:99"}),
    ],
)
def test_a_stand_in_takes_apt_packages_without_versions(
    text: str, base: ResolvedBase, expected: dict[str, str]
) -> None:
    assert build_arguments(text, base) == expected


def test_what_changes_nothing_inside_changes_no_content(tmp_path: Path) -> None:
    root = make_project(tmp_path, images=("torch-1.0",))
    image = replace(IMAGE, name="torch-1.0", folder=root / "images" / "torch-1.0")
    (image.folder / "Dockerfile").write_text(DOCKERFILE)
    pulled, restored, stood_in = (recipe(image, root, b) for b in (PINNED, RESTORED, STOOD_IN))

    (image.folder / "image.yaml").write_text("verified: []\n")
    later = recipe(image, root, PINNED)
    (image.folder / "requirements.lock").write_text("six==1.17.0\n")

    assert restored.content == pulled.content == later.content != stood_in.content
    assert recipe(image, root, PINNED).content != pulled.content
    assert restored_name("python:3.6@sha256:0123456789abcdef") == "runner-archive/base:0123456789ab"
    assert restored_name("python:3.6") is None


def test_content_changes_with_all_that_decides_what_is_built(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    other.write_text("2")
    same = {"Dockerfile": one}
    variants = [
        content_sha256(same, {"APT": "g++"}, "sha256:1"),
        content_sha256(same, {}, "sha256:1"),
        content_sha256(same, {}, "sha256:2"),
        content_sha256({"Dockerfile": other}, {}, "sha256:1"),
        content_sha256({"requirements.lock": one}, {}, "sha256:1"),
    ]

    assert all(a != b for a, b in itertools.combinations(variants, 2))
    assert content_sha256(same, {}, "sha256:1") == variants[1]


def test_a_context_is_the_same_bytes_for_the_same_files(tmp_path: Path) -> None:
    def packed(folder: Path) -> bytes:
        folder.mkdir()
        (folder / "Dockerfile").write_text("FROM scratch\n")
        (folder / "a-1-py3-none-any.whl").write_bytes(b"wheel")
        archive = io.BytesIO()
        files = {"images/x/Dockerfile": folder / "Dockerfile"}
        write_context(files, [folder / "a-1-py3-none-any.whl"], archive)
        return archive.getvalue()

    first, second = packed(tmp_path / "first"), packed(tmp_path / "second")

    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        assert tar.getnames() == ["images/x/Dockerfile", "wheels/a-1-py3-none-any.whl"]


def test_a_build_log_is_whole_lines_without_colours() -> None:
    messages: list[dict[str, Any]] = [
        {"stream": "Step 1/2 : FROM"},
        {"stream": " base\n ---> 12\n\n"},
        {"aux": {"ID": "sha256:1"}},
        {"stream": "\x1b[91mWARNING: old\x1b[0m\n"},
        {"stream": "the end"},
    ]

    assert list(log_lines(messages)) == [
        "Step 1/2 : FROM base",
        " ---> 12",
        "WARNING: old",
        "the end",
    ]


def test_a_build_that_the_engine_ends_is_told_in_its_words() -> None:
    lines = log_lines([{"stream": "last words\n"}, {"error": "returned a non-zero code: 1"}])

    assert next(lines) == "last words"
    with pytest.raises(BuildFailed, match=r"^returned a non-zero code: 1$"):
        next(lines)


def test_apt_versions_are_read_of_dpkgs_own_list() -> None:
    text = (
        "Package: g++\nStatus: install ok installed\nDepends: gcc\nVersion: 4:12.2.0-3\n"
        "Description: compiler\n more: of it\n\n"
        "Package: libx\nDescription: one\n two\nVersion: 1.0-1+deb\n\n"
    )

    assert dpkg_versions(text) == {"g++": "4:12.2.0-3", "libx": "1.0-1+deb"}
