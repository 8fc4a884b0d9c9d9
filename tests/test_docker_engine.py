"""The docker backend on a real engine: real builds, and hostile scripts in real containers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from docker import APIClient

from runner import pins
from runner.backends import PrepareError, docker, docker_bases, docker_job, docker_trial
from runner.backends.docker_engine import DockerBackend
from runner.backends.docker_gpus import Access, Injection, injection
from runner.backends.docker_job import ContainerJob
from runner.backends.docker_options import IMAGE_LABEL, JOB_LABEL, OWNER_LABEL, owner_text
from runner.backends.docker_refusals import refusal
from runner.backends.job_state import this_owner
from runner.backends.process_tree import Process
from runner.backends.process_tree import stat as process_stat
from runner.errors import BackendUnavailable
from runner.images import variants
from runner.model import (
    Base,
    BuildLimits,
    CudaVariant,
    Environment,
    Image,
    Launch,
    Limits,
    Outcome,
    Status,
)
from tests.needs import lack

pytestmark = pytest.mark.engine

HOSTILE = Path(__file__).parent / "hostile"
IMAGES = Path(__file__).parent.parent / "images"
NO_DIGEST = "sha256:" + 64 * "0"
SMALL = Limits(
    memory_bytes=192 * 1024**2,
    processes=64,
    shared_memory_bytes=8 * 1024**2,
    scratch_bytes=16 * 1024**2,
    cores=1,
)


def pinned_base(language_version: str) -> str:
    """Return the base that the project's own images pin for a Python."""
    references = [
        pins.dockerfile_argument(path.read_text(encoding="utf-8"), "BASE") or ""
        for path in sorted(IMAGES.glob("*/Dockerfile"))
    ]
    return next(name for name in references if name.startswith(f"python:{language_version}"))


def make_image(root: Path, dockerfile: str, name: str = "hostile") -> Image:
    """Write an image's folder and the hostile scripts, in the shape of a project."""
    folder = root / "images" / name
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    (folder / "requirements.lock").write_text("", encoding="utf-8")
    shutil.copytree(HOSTILE, root / "scripts", dirs_exist_ok=True)
    return Image(
        name=name,
        folder=folder,
        framework="none",
        framework_version="0",
        released="2026-01-01",
        language="python",
        language_version="3.11",
        script="probe.py",
        workloads=("probe",),
        environment={"OF_THE_IMAGE": "1"},
    )


def connected(root: Path) -> DockerBackend:
    try:
        return docker.connect(root, ())
    except BackendUnavailable as error:
        lack("engine", str(error))


@dataclass(frozen=True)
class Ready:
    backend: DockerBackend
    environment: Environment
    image: Image
    base: str


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    """An engine with a small image on it, made by the backend itself."""
    root = tmp_path_factory.mktemp("project")
    base = pinned_base("3.11")
    image = make_image(
        root,
        f"ARG BASE={base}\nFROM ${{BASE}}\nCOPY scripts/*.py /runner/\n"
        'CMD ["python", "/runner/probe.py"]\n',
    )
    backend = connected(root)
    try:
        environment = backend.prepare(image, BuildLimits(), lambda _: None)
    except PrepareError as error:
        lack("engine", f"{error.reason}\n{error.evidence}")
    yield Ready(backend=backend, environment=environment, image=image, base=base)
    engine().remove_image(environment.location, force=True)


def engine() -> APIClient:
    """The engine, past the backend."""
    return connected(IMAGES.parent)._api


def launch_of(
    ready: Ready,
    *command: str,
    limits: Limits = SMALL,
    cores: tuple[int, ...] | None = None,
    data_file: Path | None = None,
) -> Launch:
    return Launch(
        id=f"test-{time.time_ns():x}",
        environment=ready.environment,
        variables={"OF_THE_CONTRACT": "2"},
        limits=limits,
        cores=cores or (min(os.sched_getaffinity(0)),),
        command=command or None,
        data_file=data_file,
    )


@dataclass(frozen=True)
class Ended:
    stdout: bytes
    stderr: bytes
    outcome: Outcome


def drain(running: ContainerJob, until: Callable[[bytes], bool] = lambda _: False) -> list[bytes]:
    """Read to the end of both streams, or until `until` has seen enough of standard output."""
    both = [bytearray(), bytearray()]
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        try:
            piece = running.read(0.25)
        except EOFError:
            break
        if piece is not None:
            both[piece.stream == "stderr"] += piece.data
        if until(bytes(both[0])):
            break
    else:
        pytest.fail(f"no end after 60 s: {bytes(both[0][-500:])!r} {bytes(both[1][-500:])!r}")
    return [bytes(data) for data in both]


def ended(ready: Ready, launch: Launch) -> Ended:
    running = ready.backend.start(launch)
    try:
        stdout, stderr = drain(running)
    finally:
        outcome = running.finish()
    return Ended(stdout=stdout, stderr=stderr, outcome=outcome)


def containers(**labels: str) -> list[str]:
    """Return the ids of containers, running or not, that carry all these labels."""
    wanted = [f"{name}={value}" for name, value in labels.items()]
    found = engine().containers(all=True, quiet=True, filters={"label": wanted})
    return [entry["Id"] for entry in found]


def building(word: str) -> list[str]:
    """Return the containers of builds whose command holds `word`."""
    return [
        found["Id"]
        for found in engine().containers(all=True)
        if word in found["Command"] and JOB_LABEL not in found["Labels"]
    ]


def on_this_machine(word: str) -> list[int]:
    """Return the processes whose command line holds `word`."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(word in argument for argument in process.info["cmdline"] or ())
    ]


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while not holds() and time.monotonic() < limit:
        time.sleep(0.1)
    return holds()


def test_a_job_can_do_nothing_but_compute(ready: Ready) -> None:
    core = max(os.sched_getaffinity(0))
    found = ended(ready, launch_of(ready, cores=(core,)))

    assert found.outcome.exit_code == 0, found.stderr.decode()
    none = "0000000000000000"
    said = json.loads(found.stdout)
    assert said.pop("network6") in ("ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT")
    assert said.pop("first_process") in ("docker-init", "catatonit")
    assert said == {
        "written": [],
        "scratch": "done",
        "execute_in_scratch": "done",
        "network": "ENETUNREACH",
        "interfaces": ["lo"],
        "raw_socket": "EPERM",
        "become_root": "EPERM",
        "become_root_group": "EPERM",
        "give_to_root": "EPERM",
        "mount": "EPERM",
        "new_user_namespace": "EPERM",
        "chroot": "EPERM",
        "device": "EPERM",
        "user": 65534,
        "group": 65534,
        "groups": [65534],
        "capabilities": dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), none),
        "no_new_privileges": "1",
        "system_call_filter": "2",
        "cores": [core],
        "core_dump": [0, 0],
        "sockets_of_engines": [],
        "home": "/tmp",
        "folder": "/tmp",
    }


def test_variables_of_image_and_contract_arrive(ready: Ready) -> None:
    show = "import os; print(os.environ['OF_THE_IMAGE'], os.environ['OF_THE_CONTRACT'])"

    assert ended(ready, launch_of(ready, "python", "-c", show)).stdout == b"1 2\n"


@pytest.mark.parametrize(
    ("folder", "size"),
    [("/tmp", SMALL.scratch_bytes), ("/dev/shm", SMALL.shared_memory_bytes)],
)
def test_scratch_and_shared_memory_end_where_they_should(
    ready: Ready, folder: str, size: int
) -> None:
    found = ended(ready, launch_of(ready, "python", "/runner/fill.py", folder))

    assert found.stdout == f"{size} ENOSPC\n".encode()


def test_a_fork_bomb_is_held_told_and_ended(ready: Ready) -> None:
    mark = f"bomb-{time.time_ns():x}"
    running = ready.backend.start(launch_of(ready, "python", "/runner/fork_bomb.py", mark))

    drain(running, lambda said: b"refused" in said)
    running.read(0.25)
    here = on_this_machine(mark)
    running.stop()
    outcome = running.finish()

    assert len(here) <= SMALL.processes
    assert outcome.process_limit_hits is None or outcome.process_limit_hits > 0
    assert outcome.exit_code is None
    assert wait_until(lambda: not on_this_machine(mark), 5)


def test_refused_forks_are_counted_where_the_kernel_can_be_asked(ready: Ready) -> None:
    running = ready.backend.start(launch_of(ready, "python", "/runner/fork_bomb.py"))
    seen = running.cgroup

    drain(running, lambda said: b"refused" in said)
    running.stop()
    outcome = running.finish()

    if seen is None:
        lack("engine", "the engine's control groups cannot be seen from here")
    assert outcome.process_limit_hits is not None
    assert outcome.process_limit_hits > 0


def test_memory_beyond_the_limit_is_told_from_a_plain_kill(ready: Ready) -> None:
    eaten = ended(ready, launch_of(ready, "python", "/runner/eat_memory.py")).outcome
    kill = "import os; os.kill(os.getpid(), 9)"
    killed = ended(ready, launch_of(ready, "python", "-c", kill)).outcome

    assert (eaten.exit_code, eaten.signal) == (None, 9)
    assert eaten.oom_kills is not None
    assert eaten.oom_kills >= 1
    assert (killed.exit_code, killed.signal, killed.oom_kills) == (None, 9, 0)


def test_a_child_killed_for_memory_is_told_though_the_job_ends_well(ready: Ready) -> None:
    found = ended(ready, launch_of(ready, "python", "/runner/eat_memory.py", "child"))

    assert found.stdout == b"child -9\n"
    assert found.outcome.exit_code == 0
    assert found.outcome.oom_kills is not None
    assert found.outcome.oom_kills >= 1


def test_memory_can_be_watched_where_the_kernel_accounts(ready: Ready) -> None:
    running = ready.backend.start(launch_of(ready, "python", "/runner/hold_memory.py"))
    drain(running, lambda said: b"holding" in said)
    cgroup = running.cgroup
    text = "" if cgroup is None else (cgroup.memory / "memory.stat").read_text()
    polled = running.poll_memory()
    running.read(0.1)
    running.stop()
    outcome = running.finish()

    if cgroup is None:
        lack("engine", "the engine's control groups cannot be seen from here")
    assert polled is None
    values = {name: int(value) for name, value in map(str.split, text.splitlines())}
    assert values["total_rss" if cgroup.version == 1 else "anon"] > 64 * 1024**2
    assert outcome.memory_peak_bytes is not None
    assert 64 * 1024**2 < outcome.memory_peak_bytes <= SMALL.memory_bytes


def test_memory_of_a_far_engine_is_asked_of_it(ready: Ready) -> None:
    far = DockerBackend(ready.backend._api, "tcp://far:2376", ready.image.folder.parent.parent, ())
    running = far.start(launch_of(ready, "python", "/runner/hold_memory.py"))
    drain(running, lambda said: b"holding" in said)
    cgroup, polled = running.cgroup, running.poll_memory()
    running.stop()
    running.finish()

    assert cgroup is None
    assert polled is not None
    assert 64 * 1024**2 < polled.anonymous_bytes < SMALL.memory_bytes


def test_a_deaf_job_is_ended_with_its_children(ready: Ready) -> None:
    mark = f"deaf-{time.time_ns():x}"
    running = ready.backend.start(launch_of(ready, "python", "/runner/deaf.py", mark))
    drain(running, lambda said: b"child" in said and b"parent" in said)

    started = time.monotonic()
    running.stop()
    drain(running)
    outcome = running.finish()

    assert (outcome.exit_code, outcome.signal, outcome.oom_kills) == (None, 9, 0)
    assert time.monotonic() - started < 20
    assert not on_this_machine(mark)


def test_a_job_that_listens_is_asked_first(ready: Ready) -> None:
    listen = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('listening', flush=True)\ntime.sleep(600)"
    )
    running = ready.backend.start(launch_of(ready, "python", "-c", listen))
    drain(running, lambda said: b"listening" in said)
    running.stop()

    assert running.finish().exit_code == 7


def test_an_orphan_that_holds_the_streams_ends_with_its_job(ready: Ready) -> None:
    mark = f"orphan-{time.time_ns():x}"
    found = ended(ready, launch_of(ready, "python", "/runner/leave_orphan.py", mark))

    assert found.stdout == b"parent done\n"
    assert found.outcome.exit_code == 0
    assert not on_this_machine(mark)


def test_a_job_that_is_still_at_work_when_it_is_finished_is_ended(
    ready: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_job, "_END_S", 1)
    running = ready.backend.start(launch_of(ready, "python", "/runner/deaf.py"))

    assert running.finish().signal == 9


def test_no_output_is_lost(ready: Ready) -> None:
    found = ended(ready, launch_of(ready, "python", "/runner/flood.py"))

    assert found.outcome.exit_code == 0
    assert found.stdout == b"y" * 10_000_000 + b"\n"
    lines = b"".join(b"%09d\n" % number for number in range(1_000_000))
    assert hashlib.sha256(found.stderr).digest() == hashlib.sha256(lines).digest()


def test_a_job_whose_output_nobody_reads_can_be_ended(ready: Ready) -> None:
    write = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
    launch = launch_of(ready, "python", "-c", write)
    running = ready.backend.start(launch)
    time.sleep(1)
    running.stop()

    assert running.finish().signal is not None
    assert containers(**{JOB_LABEL: launch.id}) == []


@pytest.mark.parametrize(
    ("code", "exit_code", "signal"),
    [
        ("pass", 0, None),
        ("raise SystemExit(3)", 3, None),
        ("import os; os.abort()", None, 6),
        ("import ctypes; ctypes.string_at(0)", None, 11),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", None, 15),
    ],
)
def test_exit_status_and_signals(
    ready: Ready, code: str, exit_code: int | None, signal: int | None
) -> None:
    launch = launch_of(ready, "python", "-c", code)
    outcome = ended(ready, launch).outcome

    assert (outcome.exit_code, outcome.signal, outcome.oom_kills) == (exit_code, signal, 0)
    assert containers(**{JOB_LABEL: launch.id}) == []


def test_a_container_that_cannot_start_is_told_and_removed(ready: Ready) -> None:
    launch = launch_of(ready, "true", cores=(4095,))

    with pytest.raises(BackendUnavailable, match=launch.id):
        ready.backend.start(launch)
    assert containers(**{JOB_LABEL: launch.id}) == []


def test_the_command_repeats_the_job_by_hand(ready: Ready) -> None:
    show = "import os; print(os.getuid(), sorted(os.sched_getaffinity(0)), os.listdir('/tmp'))"
    running = ready.backend.start(launch_of(ready, "python", "-c", show))
    said = drain(running)[0]
    running.finish()
    if shutil.which("docker") is None:
        lack("engine", "no docker command on PATH")

    again = subprocess.run(running.command, capture_output=True, check=True, timeout=60)

    assert said == again.stdout
    assert said.startswith(b"65534 [")


def test_a_data_file_goes_there_and_cannot_be_changed(ready: Ready, tmp_path: Path) -> None:
    data = random.Random(0).randbytes(3_000_000)
    digest = hashlib.sha256(data).hexdigest()
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    command = ("python", "/runner/read_data.py")

    try:
        first = ended(ready, launch_of(ready, *command, data_file=path))
        another = connected(ready.image.folder.parent.parent)
        second = ended(
            Ready(another, ready.environment, ready.image, ready.base),
            launch_of(ready, *command, data_file=path),
        )
    finally:
        engine().remove_volume(f"runner-data-{digest}", force=True)

    assert first.stdout.decode().split() == [digest, "EACCES", "EROFS", "EROFS"]
    assert second.stdout == first.stdout


def test_a_second_preparation_builds_nothing(ready: Ready) -> None:
    said: list[str] = []

    again = ready.backend.prepare(ready.image, BuildLimits(), said.append)

    assert again == ready.environment
    assert said == [f"{ready.environment.location} is here"]


def test_another_script_makes_another_image(ready: Ready, tmp_path: Path) -> None:
    image = make_image(tmp_path, (ready.image.folder / "Dockerfile").read_text())
    (tmp_path / "scripts" / "more.py").write_text("pass\n")
    said: list[str] = []

    made = connected(tmp_path).prepare(image, BuildLimits(), said.append)
    engine().remove_image(made.location, force=True)

    assert made.digest != ready.environment.digest
    assert made.location != ready.environment.location
    assert made.scripts_sha256 != ready.environment.scripts_sha256
    assert any(line.startswith("Step ") for line in said)


def test_a_failed_build_shows_its_last_lines(ready: Ready, tmp_path: Path) -> None:
    # The pause keeps the two streams in order, which the engine reads apart.
    lines = "for i in $(seq 50); do echo line $i; done; sleep 1; echo no such thing >&2; exit 3"
    image = make_image(tmp_path, f"ARG BASE={ready.base}\nFROM ${{BASE}}\nRUN {lines}\n", "failing")

    with pytest.raises(PrepareError) as raised:
        connected(tmp_path).prepare(image, BuildLimits(), lambda _: None)

    assert raised.value.status is Status.BUILD_FAILED
    assert raised.value.reason.startswith("building failing failed: ")
    assert "returned a non-zero code: 3" in raised.value.reason
    evidence = raised.value.evidence.splitlines()
    assert "no such thing" in evidence
    assert "line 50" in evidence
    assert len(evidence) <= 20


@pytest.mark.parametrize(
    ("limits", "script", "said"),
    [
        (BuildLimits(timeout_s=60, silence_s=3), "sleep {mark}", "no line for 3 s"),
        (
            BuildLimits(timeout_s=3, silence_s=60),
            "while true; do echo on; sleep 0.{mark}; done",
            "not done after 3 s",
        ),
    ],
    ids=["silent", "endless"],
)
def test_a_hung_build_is_cancelled(
    ready: Ready, tmp_path: Path, limits: BuildLimits, script: str, said: str
) -> None:
    mark = str(random.randrange(10**8, 10**9))
    run = script.format(mark=mark)
    image = make_image(tmp_path, f"ARG BASE={ready.base}\nFROM ${{BASE}}\nRUN {run}\n", "hung")
    started = time.monotonic()

    with pytest.raises(PrepareError, match=said) as raised:
        connected(tmp_path).prepare(image, limits, lambda _: None)

    assert raised.value.status is Status.BUILD_FAILED
    assert time.monotonic() - started < 30
    assert wait_until(lambda: building(mark) == [], 20)


def test_a_build_ends_when_its_listener_gives_up(ready: Ready, tmp_path: Path) -> None:
    mark = str(random.randrange(10**8, 10**9))
    run = f"echo under way; sleep {mark}"
    image = make_image(tmp_path, f"ARG BASE={ready.base}\nFROM ${{BASE}}\nRUN {run}\n", "given-up")

    def say(line: str) -> None:
        if line == "under way":
            raise PrepareError(Status.KILLED, "interrupted by the user")

    with pytest.raises(PrepareError, match="interrupted") as raised:
        connected(tmp_path).prepare(image, BuildLimits(), say)

    assert raised.value.status is Status.KILLED
    assert wait_until(lambda: building(mark) == [], 20)


def test_a_base_that_cannot_be_had(tmp_path: Path) -> None:
    dockerfile = f"ARG BASE=runner-test/none:1@{NO_DIGEST}\nFROM ${{BASE}}\n"
    image = dataclasses.replace(make_image(tmp_path, dockerfile), language_version="9.9")
    backend = connected(tmp_path)

    said: list[str] = []

    with pytest.raises(PrepareError) as raised:
        backend.prepare(image, BuildLimits(timeout_s=60), said.append)

    assert raised.value.status is Status.BASE_UNAVAILABLE
    assert raised.value.evidence == ""
    words = said[-1]  # the engine's own, which the log has, and the reason has not
    assert refusal(words) in raised.value.reason
    assert words not in raised.value.reason
    assert "https:" not in raised.value.reason
    assert "runner-base/python:9.9" in raised.value.reason
    assert "scripts/bases" in raised.value.reason


def test_a_stand_in_is_recorded(ready: Ready, tmp_path: Path) -> None:
    base = ready.environment.base
    assert base is not None
    tag = f"0.{random.randrange(10**6)}"
    engine().tag(ready.environment.digest, "runner-base/python", tag)
    dockerfile = f'ARG BASE=runner-test/none:1@{NO_DIGEST}\nFROM ${{BASE}}\nARG APT="none=1"\n'
    image = dataclasses.replace(make_image(tmp_path, dockerfile, "stood-in"), language_version=tag)

    try:
        made = connected(tmp_path).prepare(image, BuildLimits(), lambda _: None)
    finally:
        engine().remove_image(f"runner-base/python:{tag}", noprune=True)
    engine().remove_image(made.location, force=True)

    assert made.base is not None
    assert made.base.reference == f"runner-test/none:1@{NO_DIGEST}"
    substituted = made.base.substituted_by or ""
    assert substituted.startswith(f"runner-base/python:{tag} {ready.environment.digest}: ")
    assert made.facts["apt"] == "none="


def test_a_variant_is_built_of_its_folder_on_a_base_by_tag(ready: Ready, tmp_path: Path) -> None:
    number = str(random.randrange(10**6))
    tag = f"runner-test/gpu:{number}"
    engine().tag(ready.environment.digest, "runner-test/gpu", number)
    name = "varied"
    dockerfile = "ARG BASE={}\nFROM ${{BASE}}\nRUN echo {} >/tmp/made-of\n"
    plain = make_image(tmp_path, dockerfile.format(ready.base, "cpu"), name)
    folder = plain.folder / "cuda"
    folder.mkdir()
    (folder / "Dockerfile").write_text(dockerfile.format(tag, "cuda"), encoding="utf-8")
    (folder / "requirements.lock").write_text("# another\n", encoding="utf-8")
    stated = CudaVariant(base=tag, newest_major=6)
    variant = variants.required(dataclasses.replace(plain, cuda_variant=stated))
    backend = connected(tmp_path)

    made = backend.prepare(variant, BuildLimits(), lambda _: None)
    beside = backend.prepare(plain, BuildLimits(), lambda _: None)
    labels = docker_bases.labels(docker_bases.inspect(engine(), made.digest) or {})
    for each in (made.location, beside.location):
        engine().remove_image(each, force=True)
    engine().remove_image(tag, noprune=True)

    assert made.location.startswith(f"runner/{name}/cuda:")
    assert labels[IMAGE_LABEL] == f"{name}/cuda"
    assert made.facts["variant"] == f"{name}/cuda"
    assert made.base == Base(reference=tag)  # no digest: it was never pulled
    assert made.lock_sha256 != beside.lock_sha256
    assert beside.location.startswith(f"runner/{name}:")
    assert "variant" not in beside.facts


def test_a_dockerfile_without_a_base_is_a_failed_build(tmp_path: Path) -> None:
    image = make_image(tmp_path, "FROM scratch\n")

    with pytest.raises(PrepareError, match="no line 'ARG BASE") as raised:
        connected(tmp_path).prepare(image, BuildLimits(), lambda _: None)
    assert raised.value.status is Status.BUILD_FAILED


def test_only_what_a_dead_runner_left_is_swept(ready: Ready) -> None:
    short = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    entry = process_stat(short.pid)
    assert entry is not None
    short.communicate(b"\n")
    here = this_owner()
    dead = dataclasses.replace(here, process=entry.process)
    odd = dataclasses.replace(here, process=Process(pid=os.getpid(), started=1))
    api = engine()
    job = f"left-{time.time_ns():x}"

    def left(labels: dict[str, str]) -> str:
        made = api.create_container(ready.environment.digest, ["sleep", "600"], labels=labels)
        api.start(made["Id"])
        return str(made["Id"])

    names = {
        "dead": left({JOB_LABEL: job, OWNER_LABEL: owner_text(dead)}),
        "same number": left({JOB_LABEL: job, OWNER_LABEL: owner_text(odd)}),
        "alive": left({JOB_LABEL: job, OWNER_LABEL: owner_text(here)}),
        "no owner": left({JOB_LABEL: job}),
        "not ours": left({}),
    }
    try:
        said = ready.backend.sweep()
        there = {found["Id"] for found in api.containers(all=True)}
        stayed = {name for name, container in names.items() if container in there}
    finally:
        for container in names.values():
            docker_job.remove(api, container)

    assert stayed == {"alive", "no owner", "not ours"}
    assert len([line for line in said if job in line]) == 2
    assert f"its runner (process {dead.process.pid}) is dead" in "\n".join(said)


def test_the_engine_says_what_it_is(ready: Ready) -> None:
    facts = ready.backend.describe()

    assert facts["version"]
    assert facts["storage_driver"]
    assert facts["cgroup_version"] in ("1", "2")
    assert facts["builder"] == "classic"
    assert facts["not limited"] == ""


def some_library() -> str:
    maps = Path("/proc/self/maps").read_text()
    return next(line.split()[-1] for line in maps.splitlines() if "/libm.so.6" in line)


def test_a_container_is_tried_for_gpus_and_what_it_had_or_the_engines_words_are_told(
    ready: Ready,
) -> None:
    api, image, owner = engine(), ready.environment.location, owner_text(this_owner())
    stand_in = {"PathOnHost": "/dev/null", "PathInContainer": "/dev/nvidia7"}
    devices = {"devices": [{**stand_in, "CgroupPermissions": "r"}]}
    # Some library of this machine under the name of the driver's.
    library = {"binds": [f"{some_library()}:/usr/lib/x86_64-linux-gnu/libcuda.so.1:ro"]}
    runtime = injection(Access(method="runtime", reason=""), ("GPU-1",), {})

    got = docker_trial.attempt(api, image, Injection(host=devices | library), owner)
    half = docker_trial.attempt(api, image, Injection(host=devices), owner)
    nothing = docker_trial.attempt(api, image, Injection(), owner)

    assert docker_trial.newest_image(api)
    assert (got.image, got.devices, got.problem) == (image, ("nvidia7",), "")
    assert half.devices == ("nvidia7",)
    assert half.problem == "its devices are there, but libcuda.so.1 is not found in it"
    assert (nothing.devices, nothing.problem) == ((), "no GPU is among its devices")
    if "nvidia" not in api.info()["Runtimes"]:
        refused = docker_trial.attempt(api, image, runtime, owner)
        assert "nvidia" in refused.problem
    assert not api.containers(all=True, filters={"label": f"{JOB_LABEL}=doctor"})
