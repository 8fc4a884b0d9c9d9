"""The process backend with real processes; each test runs over both ways to keep limits."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from runner.backends import job_cgroup, process_tree
from runner.backends.job_cgroup import Hierarchy
from runner.backends.process import Cache, ProcessBackend, cache_folder, connect
from runner.backends.process_job import ProcessJob
from runner.errors import BackendUnavailable, RunnerError
from runner.model import BuildLimits, Environment, Image, Launch, Limits, Outcome
from runner.telemetry.gpu import job_pids
from tests.needs import lack

ROOMY = Limits(timeout_s=60, silence_s=60, memory_bytes=1024**3, processes=64)
MIB = 1024**2
SCRIPT = "print('from the script')\n"

# Ends its own parent's family: a daemon in a session of its own that no signal but KILL ends
DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(sys.argv[1], 'w').write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
"""


def hierarchy(kind: str) -> Hierarchy | str:
    if kind == "polling":
        return "as a test asks"
    found = job_cgroup.find()
    if isinstance(found, str):
        lack("cgroup", f"no control group can be made: {found}")
    return found


class Watched(ProcessBackend):
    """Finishes the jobs of a test that failed before it could."""

    def __init__(
        self, root: Path, wheel_folders: tuple[Path, ...], cache: Cache, where: Hierarchy | str
    ) -> None:
        super().__init__(root, wheel_folders, cache, where)
        self._jobs: list[ProcessJob] = []

    def start(self, launch: Launch) -> ProcessJob:
        job = super().start(launch)
        self._jobs.append(job)
        return job

    def finish_all(self) -> None:
        for job in self._jobs:
            if job._start.state_path.exists():
                job.stop()
                job.finish()


def make_image(root: Path, name: str = "plain", version: str = "3.11", lock: str = "") -> Image:
    folder = root / "images" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.lock").write_text(lock)
    return Image(
        name=name,
        folder=folder,
        framework="none",
        framework_version="1",
        released="2020-01-01",
        language="python",
        language_version=version,
        script="train.py",
        workloads=("nothing",),
        environment={"IMAGE_SAYS": "image", "BOTH_SAY": "image"},
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cache, Environment]:
    root = tmp_path_factory.mktemp("project")
    (root / "scripts").mkdir()
    (root / "scripts/train.py").write_text(SCRIPT)
    cache = Cache(root=root / "cache")
    backend = ProcessBackend(root, (), cache, "preparing needs none")
    return root, cache, backend.prepare(make_image(root), BuildLimits(), lambda line: None)


@pytest.fixture(params=["cgroup", "polling"])
def backend(
    request: pytest.FixtureRequest, prepared: tuple[Path, Cache, Environment]
) -> Iterator[ProcessBackend]:
    root, cache, _ = prepared
    watched = Watched(root, (), cache, hierarchy(request.param))
    yield watched
    watched.finish_all()
    assert list(cache.jobs.glob("*")) == []


@pytest.fixture
def grouped(prepared: tuple[Path, Cache, Environment]) -> Iterator[ProcessBackend]:
    watched = Watched(prepared[0], (), prepared[1], hierarchy("cgroup"))
    yield watched
    watched.finish_all()


@pytest.fixture
def polled(prepared: tuple[Path, Cache, Environment]) -> Iterator[ProcessBackend]:
    watched = Watched(prepared[0], (), prepared[1], hierarchy("polling"))
    yield watched
    watched.finish_all()


@pytest.fixture
def environment(prepared: tuple[Path, Cache, Environment]) -> Environment:
    return prepared[2]


def make_launch(
    environment: Environment,
    code: str | None = None,
    *arguments: str,
    limits: Limits = ROOMY,
    cores: tuple[int, ...] = (),
    variables: dict[str, str] | None = None,
) -> Launch:
    return Launch(
        id=f"test-{uuid.uuid4().hex[:8]}",
        environment=environment,
        variables=variables or {},
        limits=limits,
        cores=cores,
        command=None if code is None else ("python", "-c", code, *arguments),
    )


def output_of(job: ProcessJob) -> tuple[bytes, bytes]:
    streams = {"stdout": b"", "stderr": b""}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            piece = job.read(1.0)
        except EOFError:
            return streams["stdout"], streams["stderr"]
        if piece is not None:
            streams[piece.stream] += piece.data
    job.stop()
    pytest.fail(f"the job did not end; so far {streams}")


def ended(backend: ProcessBackend, launch: Launch) -> tuple[bytes, bytes, Outcome]:
    job = backend.start(launch)
    out, err = output_of(job)
    return out, err, job.finish()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


def pid_in(path: Path) -> int:
    wait_for(lambda: path.exists() and path.read_text() != "")
    return int(path.read_text())


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_script_is_started_from_its_copy(
    backend: ProcessBackend, prepared: tuple[Path, Cache, Environment]
) -> None:
    root, cache, environment = prepared
    (root / "scripts/train.py").write_text("raise SystemExit('edited while measured')\n")
    try:
        job = backend.start(make_launch(environment))
        out, err = output_of(job)
        outcome = job.finish()
    finally:
        (root / "scripts/train.py").write_text(SCRIPT)
    assert (out, err) == (b"from the script\n", b"")
    assert (outcome.exit_code, outcome.signal) == (0, None)
    assert job.command[1] == str(
        cache.scripts / environment.scripts_sha256 / "scripts" / "train.py"
    )


def test_the_environment_is_built_from_nothing(
    backend: ProcessBackend, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAKED", "1")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    code = (
        "import json, os; leads = os.getsid(0) == os.getpid(); "
        "print(json.dumps([dict(os.environ), os.getcwd(), leads]))"
    )
    launch = make_launch(
        environment, code, variables={"RUNNER_SEED": "1", "BOTH_SAY": "launch", "HOME": "/"}
    )

    out, err, _ = ended(backend, launch)

    found, folder, leads_session = json.loads(out)
    assert err == b""
    assert set(found) == {
        "PATH", "LANG", "HOME", "TMPDIR", "RUNNER_JOB_ID", "RUNNER_SEED", "IMAGE_SAYS", "BOTH_SAY"
    }  # fmt: skip
    assert (found["IMAGE_SAYS"], found["BOTH_SAY"]) == ("image", "launch")
    assert found["PATH"].split(":")[0] == f"{environment.location}/bin"
    assert found["HOME"] == folder != "/"
    assert leads_session


def test_home_is_fresh_and_removed(backend: ProcessBackend, environment: Environment) -> None:
    code = (
        "import os; home, tmp = os.environ['HOME'], os.environ['TMPDIR']; "
        "print(home, tmp, os.listdir(home), os.listdir(tmp)); "
        "open(home + '/left', 'w').write('x'); os.mkdir(tmp + '/left')"
    )
    first, second = (ended(backend, make_launch(environment, code))[0].split() for _ in range(2))
    assert first[2:] == second[2:] == [b"[]", b"[]"]
    assert first[0] != second[0]
    for path in (*first[:2], *second[:2]):
        assert not Path(path.decode()).exists()
        assert not Path(path.decode()).parent.exists()


def test_a_data_file_is_named_where_it_lies(
    backend: ProcessBackend, environment: Environment, tmp_path: Path
) -> None:
    (tmp_path / "data.bin").write_bytes(b"abc")
    launch = make_launch(
        environment, "import os; print(open(os.environ['RUNNER_DATA_FILE']).read())"
    )
    out, _, _ = ended(backend, dataclasses.replace(launch, data_file=tmp_path / "data.bin"))
    assert out == b"abc\n"


def test_no_output_is_lost(backend: ProcessBackend, environment: Environment) -> None:
    code = (
        "import os\n"
        "for i in range(200): os.write(1, b'o' * 5000); os.write(2, b'e' * 3000)\n"
        "os.write(1, b'last'); os._exit(3)"
    )
    out, err, outcome = ended(backend, make_launch(environment, code))
    assert (len(out), len(err)) == (200 * 5000 + 4, 200 * 3000)
    assert out.endswith(b"last")
    assert outcome.exit_code == 3


def test_reading_waits_no_longer_than_asked(
    backend: ProcessBackend, environment: Environment
) -> None:
    job = backend.start(make_launch(environment, "import time; time.sleep(60)"))
    assert job.read(0.05) is None
    job.stop()
    assert output_of(job) == (b"", b"")
    with pytest.raises(EOFError):
        job.read(1.0)
    outcome = job.finish()
    assert (outcome.exit_code, outcome.signal) == (None, signal.SIGTERM)


def test_a_job_that_closes_its_streams_has_not_ended(
    backend: ProcessBackend, environment: Environment
) -> None:
    code = "import os, time; os.close(1); os.close(2); time.sleep(0.5); os._exit(4)"
    job = backend.start(make_launch(environment, code))
    job.read(0.3)
    out, err = output_of(job)
    assert (out, err) == (b"", b"")
    assert job.finish().exit_code == 4


def test_finish_alone_waits_and_drops_the_output(
    backend: ProcessBackend, environment: Environment
) -> None:
    code = "import os; [os.write(1, b'x' * 65536) for _ in range(20)]; os._exit(5)"
    assert backend.start(make_launch(environment, code)).finish().exit_code == 5


def test_stop_ends_children_that_ignore_the_signal_and_daemons(
    backend: ProcessBackend, environment: Environment, tmp_path: Path
) -> None:
    code = (
        f"{DAEMON}\n"
        "import subprocess\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    open(sys.argv[1] + '.child', 'w').write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        "print('up', flush=True); time.sleep(600)\n"
    )
    job = backend.start(make_launch(environment, code, str(tmp_path / "daemon")))
    pids = [pid_in(tmp_path / "daemon"), pid_in(tmp_path / "daemon.child")]
    processes = [process_tree.stat(pid) for pid in pids]
    assert None not in processes

    job.stop()

    assert [process_tree.stat(pid) for pid in pids] == [None, None]
    assert output_of(job)[0] == b"up\n"
    assert job.finish().signal == signal.SIGKILL


def test_a_daemon_left_behind_neither_holds_the_output_open_nor_survives(
    backend: ProcessBackend, environment: Environment, tmp_path: Path
) -> None:
    code = f"{DAEMON}\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)\nprint('done')"
    job = backend.start(make_launch(environment, code, str(tmp_path / "daemon")))
    out, _ = output_of(job)
    pid = pid_in(tmp_path / "daemon")
    assert out == b"done\n"
    assert process_tree.stat(pid) is not None

    assert job.finish().exit_code == 0

    assert process_tree.stat(pid) is None


def test_out_of_memory_is_told_from_a_kill(
    backend: ProcessBackend, environment: Environment
) -> None:
    tight = dataclasses.replace(ROOMY, memory_bytes=96 * MIB)
    code = "import time; x = bytearray(400 << 20); x[::4096] = x[::4096]; time.sleep(60)"
    _, _, hungry = ended(backend, make_launch(environment, code, limits=tight))
    killed = "import os; os.kill(os.getpid(), 9)"
    _, _, plain = ended(backend, make_launch(environment, killed, limits=tight))
    assert (hungry.signal, hungry.oom_kills) == (signal.SIGKILL, 1)
    assert (plain.signal, plain.oom_kills) == (signal.SIGKILL, 0)


def test_memory_of_a_child_counts(backend: ProcessBackend, environment: Environment) -> None:
    tight = dataclasses.replace(ROOMY, memory_bytes=96 * MIB)
    code = "import os, time\nos.fork() or bytearray(400 << 20)\ntime.sleep(2)"
    _, _, outcome = ended(backend, make_launch(environment, code, limits=tight))
    assert outcome.oom_kills == 1


def test_the_kernel_s_peak_is_kept(grouped: ProcessBackend, environment: Environment) -> None:
    _, _, outcome = ended(grouped, make_launch(environment, "x = bytearray(50 << 20)"))
    assert outcome.memory_peak_bytes is not None
    assert 50 * MIB <= outcome.memory_peak_bytes < 90 * MIB


def test_forks_beyond_the_limit_are_refused_and_counted(
    grouped: ProcessBackend, environment: Environment
) -> None:
    code = (
        "import subprocess\nkept = []\n"
        "try:\n    for i in range(20): kept.append(subprocess.Popen(['sleep', '60']))\n"
        "except OSError as error: print(len(kept), error.errno)\n"
    )
    few = dataclasses.replace(ROOMY, processes=5)
    out, _, outcome = ended(grouped, make_launch(environment, code, limits=few))
    assert out == b"4 11\n"
    assert outcome.process_limit_hits is not None
    assert outcome.process_limit_hits >= 1
    assert outcome.exit_code == 0


def test_too_many_processes_end_a_polled_job(
    polled: ProcessBackend, environment: Environment
) -> None:
    code = (
        "import subprocess, time\n"
        "kept = [subprocess.Popen(['sleep', '60']) for i in range(8)]; time.sleep(60)"
    )
    few = dataclasses.replace(ROOMY, processes=5)
    _, _, outcome = ended(polled, make_launch(environment, code, limits=few))
    assert (outcome.signal, outcome.process_limit_hits, outcome.oom_kills) == (9, 1, 0)


def test_cores_are_the_job_s_from_the_start(
    backend: ProcessBackend, environment: Environment
) -> None:
    before = os.sched_getaffinity(0)
    core = max(before)
    out, _, _ = ended(
        backend,
        make_launch(environment, "import os; print(os.sched_getaffinity(0))", cores=(core,)),
    )
    assert out == f"{{{core}}}\n".encode()
    assert os.sched_getaffinity(0) == before


def test_a_core_that_is_not_there_is_refused_and_leaves_nothing(
    backend: ProcessBackend,
    environment: Environment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = open_descriptors()
    with pytest.raises(RunnerError):
        backend.start(make_launch(environment, "pass", cores=(4095,)))
    assert list(tmp_path.iterdir()) == []
    assert open_descriptors() == before


def test_a_cgroup_holds_cores_against_the_job_itself(
    grouped: ProcessBackend, environment: Environment
) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("needs two cores")
    code = f"import os; os.sched_setaffinity(0, {set(cores)}); print(os.sched_getaffinity(0))"
    out, _, _ = ended(grouped, make_launch(environment, code, cores=(cores[0],)))
    assert out == f"{{{cores[0]}}}\n".encode()


def test_no_core_dump_is_written(backend: ProcessBackend, environment: Environment) -> None:
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
    assert ended(backend, make_launch(environment, code))[0] == b"(0, 0)\n"


def test_memory_can_be_read_either_way(backend: ProcessBackend, environment: Environment) -> None:
    code = "x = bytearray(64 << 20); print('held', flush=True); import time; time.sleep(60)"
    job = backend.start(make_launch(environment, code))
    piece = job.read(30)
    group, reading = job.cgroup, job.poll_memory()
    if group is None:
        held = 0 if reading is None else reading.anonymous_bytes
    else:
        assert reading is None
        name = "memory.usage_in_bytes" if group.version == 1 else "memory.current"
        held = int((group.memory / name).read_text())
        assert group.cpu.is_dir()
    job.stop()
    job.finish()
    assert piece is not None
    assert 64 * MIB <= held < 128 * MIB
    assert job.poll_memory() is None
    assert "RssAnon" in job.memory_method


def test_the_processes_of_a_job_can_be_told_either_way(
    backend: ProcessBackend, environment: Environment
) -> None:
    code = """
import os, subprocess
child = subprocess.Popen(["sleep", "60"])
print(os.getpid(), child.pid, flush=True)
child.wait()
"""
    job = backend.start(make_launch(environment, code))
    piece = job.read(30)
    assert piece is not None
    own = frozenset(map(int, piece.data.split()))

    def told() -> frozenset[int]:
        group, found = job.cgroup, job.poll_pids()
        assert (group is None) != (found is None)
        return job_pids(group) if group is not None else found or frozenset()

    wait_for(lambda: told() == own)
    assert len(own) == 2
    job.stop()
    job.finish()


def test_twenty_jobs_leave_no_descriptor_thread_zombie_or_folder(
    backend: ProcessBackend,
    environment: Environment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended(backend, make_launch(environment, "pass"))
    descriptors, threads = open_descriptors(), threading.active_count()
    children = set(psutil.Process().children())
    groups = [group_of(backend, environment) for _ in range(20)]
    assert (open_descriptors(), threading.active_count()) == (descriptors, threads)
    assert list(tmp_path.iterdir()) == []
    assert not any(path.exists() for path in groups if path is not None)
    # a browser of other tests may be a child of this process too: only new ones count
    assert set(psutil.Process().children()) <= children


def group_of(backend: ProcessBackend, environment: Environment) -> Path | None:
    job = backend.start(make_launch(environment, "pass"))
    job.finish()
    return None if job.cgroup is None else job.cgroup.memory


def test_an_id_is_not_used_twice_at_once(backend: ProcessBackend, environment: Environment) -> None:
    launch = make_launch(environment, "import time; print('up', flush=True); time.sleep(60)")
    job = backend.start(launch)
    while job.read(1.0) is None:
        pass
    with pytest.raises(RunnerError, match="already under way"):
        backend.start(launch)
    job.stop()
    assert job.finish().signal == signal.SIGTERM


def test_a_program_that_is_not_there_is_seen_in_the_log(
    backend: ProcessBackend, environment: Environment
) -> None:
    launch = dataclasses.replace(make_launch(environment), command=("no-such-program",))
    _, err, outcome = ended(backend, launch)
    assert outcome.exit_code == 127
    assert b"no-such-program" in err


OWNER = """
import dataclasses, sys, time
from pathlib import Path
import msgspec
from runner.backends import job_cgroup
from runner.backends.process import Cache, ProcessBackend
from runner.model import Launch
root, polling, text = Path(sys.argv[1]), sys.argv[2] == "polling", sys.argv[3]
hierarchy = "as a test asks" if polling else job_cgroup.find()
backend = ProcessBackend(root, (), Cache(root=root / "cache"), hierarchy)
launch = msgspec.json.decode(text, type=Launch, dec_hook=lambda kind, value: kind(value))
backend.start(launch)
print("started", flush=True)
time.sleep(600)
"""


@pytest.fixture
def orphaned(
    backend: ProcessBackend, prepared: tuple[Path, Cache, Environment], tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A runner of its own with a job that left a daemon; the test may kill it."""
    root, _, environment = prepared
    launch = make_launch(
        environment, f"{DAEMON}\nprint('x', flush=True); time.sleep(600)", str(tmp_path / "daemon")
    )
    kind = "cgroup" if isinstance(backend._hierarchy, Hierarchy) else "polling"
    text = msgspec.json.encode(launch, enc_hook=str).decode()
    with subprocess.Popen(
        (sys.executable, "-c", OWNER, str(root), kind, text), stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"started\n"
        yield owner, tmp_path / "daemon"
        owner.kill()


def test_a_killed_runner_takes_its_job_along_and_the_sweep_the_rest(
    backend: ProcessBackend,
    orphaned: tuple[subprocess.Popen[bytes], Path],
    prepared: tuple[Path, Cache, Environment],
) -> None:
    owner, told = orphaned
    daemon = pid_in(told)
    (path,) = prepared[1].jobs.glob("*.json")
    state = json.loads(path.read_text())
    wait_for(lambda: json.loads(path.read_text())["process"] is not None)
    main = json.loads(path.read_text())["process"]["pid"]

    assert backend.sweep() == [], "a living runner's job was touched"
    assert process_tree.stat(daemon) is not None
    owner.kill()
    owner.wait()
    wait_for(lambda: process_tree.stat(main) is None)
    assert process_tree.stat(daemon) is not None
    said = backend.sweep()

    assert said == [
        f"job {state['id']} of a runner that has gone (pid {owner.pid}): ended and removed"
    ]
    assert process_tree.stat(daemon) is None
    assert not Path(state["folder"]).exists()
    assert not any(Path(folder).exists() for folder in state["cgroups"])
    assert backend.sweep() == []


def test_sweep_removes_folders_of_before_the_boot_and_nothing_of_another_machine(
    backend: ProcessBackend, prepared: tuple[Path, Cache, Environment], tmp_path: Path
) -> None:
    jobs = prepared[1].jobs
    jobs.mkdir(exist_ok=True)
    for name, change in (("old", {"boot_id": "other"}), ("far", {"node": "other", "boot_id": "x"})):
        (tmp_path / name).mkdir()
        owner = dataclasses.asdict(backend._here) | change
        state = {"id": name, "owner": owner, "folder": str(tmp_path / name), "cgroups": []}
        (jobs / f"{name}.json").write_text(json.dumps(state))
    (jobs / "torn.json").write_text("{")

    said = backend.sweep()

    assert len(said) == 1
    assert said[0].startswith("job old ")
    assert not (tmp_path / "old").exists()
    assert (tmp_path / "far").exists()
    assert sorted(path.name for path in jobs.iterdir()) == ["far.json", "torn.json"]
    for path in jobs.iterdir():
        path.unlink()


def test_describe_says_how_limits_are_kept_and_what_is_not(
    grouped: ProcessBackend, polled: ProcessBackend
) -> None:
    assert grouped.describe()["limits"] in ("cgroup v1", "cgroup v2")
    assert polled.describe()["limits"] == "polling (as a test asks)"
    for told in (grouped.describe(), polled.describe()):
        assert told["kernel"] == os.uname().release
        assert "network" in told["not_enforced"]
        assert told["uv"]


def test_connect_finds_the_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "runner"
    assert connect(tmp_path, ()).name == "process"

    def missing() -> str:
        raise FileNotFoundError("uv")

    monkeypatch.setattr("uv.find_uv_bin", missing)
    with pytest.raises(BackendUnavailable, match="reinstall the package `uv`"):
        connect(tmp_path, ())
