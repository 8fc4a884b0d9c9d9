"""The main job from the command line, with real processes: no engine, no framework needed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import store
from runner.model import Record, Status
from tests.makers import MATRIX_YAML, TINY_SCRIPT, make_project


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def project(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.chdir(make_project(tmp_path / "project"))
    return Path.cwd()


def runner(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runner.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "160", **variables},
    )


def matrix(*arguments: str) -> subprocess.CompletedProcess[str]:
    return runner("matrix", "matrix.yaml", "--backend", "process", *arguments)


def records() -> list[Record]:
    return store.load_records(store.runs(Path("results"))[-1])


def edit(text: str) -> None:
    Path("scripts/train_tiny.py").write_text(text, encoding="utf-8")


def test_a_run_measures_stores_and_prints_a_table(project: Path) -> None:
    done = matrix()

    assert (done.returncode, done.stderr) == (0, "")
    assert "torch-1.0" in done.stdout
    assert "2/2" in done.stdout
    assert f"run: {store.runs(Path('results'))[0]}" in done.stdout
    assert [record.status for record in records()] == [Status.OK, Status.OK]


def test_a_record_says_all_there_is_to_know(project: Path) -> None:
    edit(TINY_SCRIPT.replace("time.sleep(0.002)", "time.sleep(0.15)"))
    matrix()
    record = records()[0]

    assert record.environment is not None
    assert record.environment.digest.startswith("sha256:")
    assert len(record.samples[0].measured_s) == 3
    assert len(record.losses) == 5
    assert [phase.name for phase in record.phases] == [
        "import",
        "data",
        "build",
        "first-step",
        "warm-up",
        "measure",
    ]
    assert record.memory is not None
    assert 1024**2 < record.memory.peak_bytes < 1024**3
    assert record.outcome is not None
    assert record.outcome.exit_code == 0
    assert all(check.passed for check in record.checks)
    run = store.load_run(store.runs(Path("results"))[-1])
    assert run.matrix_text == MATRIX_YAML
    assert run.command[:2] == ("runner", "matrix")
    assert (store.runs(Path("results"))[-1] / record.log).is_file()


def test_reports_in_every_format(project: Path) -> None:
    matrix()

    assert "| torch-1.0 |" in runner("report", "latest", "--format", "markdown").stdout
    assert runner("report", "latest", "--format", "csv").stdout.startswith("suite,image,")
    rows = json.loads(runner("report", "latest", "--format", "json").stdout)["rows"]
    assert rows[0]["launches"] == 2
    assert runner("report", str(store.runs(Path("results"))[0])).returncode == 0


def test_a_dry_run_starts_nothing(project: Path) -> None:
    done = matrix("--dry-run")

    assert done.returncode == 0
    assert "1 cells of 1 images, 2 jobs, 0 skipped; profile quick" in done.stdout
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [
        ("import os\nos.abort()\n", Status.CRASHED, "SIGABRT"),
        ("print('hello')\n", Status.BAD_OUTPUT, "not an event of the contract: 'hello'"),
        ("import sys\nsys.exit(3)\n", Status.CRASHED, "exit status 3 without hello"),
        ("import time\ntime.sleep(90)\n", Status.SILENT, "no output for 1 s"),
        (
            "import sys, time\nwhile True:\n    sys.stderr.write('.')\n    time.sleep(.1)\n",
            Status.TIMEOUT,
            "not done after 3 s",
        ),
        (
            TINY_SCRIPT.replace('with job.phase("build"):', "raise ValueError('broken')"),
            Status.CRASHED,
            "broken",
        ),
        (TINY_SCRIPT.replace("1250858", "1250857"), Status.CHECK_FAILED, "parameters: expected"),
        (TINY_SCRIPT.replace("1000, 0, -1", "1, 1000"), Status.CHECK_FAILED, "loss_falls"),
        (
            TINY_SCRIPT.replace('with job.phase("build"):', "raise bench.Unsupported('not here')"),
            Status.UNSUPPORTED,
            "not here",
        ),
    ],
)
def test_failure_is_data(project: Path, script: str, status: Status, words: str) -> None:
    if status in (Status.SILENT, Status.TIMEOUT):
        limits = (
            "timeout_s: 3, silence_s: 1"
            if status is Status.SILENT
            else "timeout_s: 3, silence_s: 30"
        )
        text = MATRIX_YAML.replace("timeout_s: 60, silence_s: 30", limits)
        Path("matrix.yaml").write_text(text, encoding="utf-8")
    edit(script.replace("    raise", "raise") if "raise" not in script else _reindent(script))

    done = matrix("--launches", "1")

    assert done.returncode == 1
    [record] = records()
    assert record.status is status
    assert words in record.reason
    assert str(status) in done.stdout
    assert words in done.stdout.replace("\n", " ")


def _reindent(script: str) -> str:
    """Drop what follows a raise within train(), which is now unreachable and badly indented."""
    head, _, rest = script.partition("    raise ")
    line, _, _ = rest.partition("\n")
    return f"{head}    raise {line}\n\n\nif __name__ == '__main__':\n    bench.main(train)\n"


def test_memory_beyond_the_limit_is_oom_host(project: Path) -> None:
    edit("held = bytearray(2 * 1024**3)\nimport time\ntime.sleep(30)\n")

    matrix("--launches", "1")

    [record] = records()
    assert record.status is Status.OOM_HOST
    assert "memory limit of 1 GiB" in record.reason


def test_being_killed_by_another_is_not_oom(project: Path) -> None:
    edit("import os\nos.kill(os.getpid(), 9)\n")

    matrix("--launches", "1")

    assert [record.status for record in records()] == [Status.KILLED]


def test_resume_goes_by_identity(project: Path) -> None:
    matrix()
    first = records()

    again = matrix("--resume")
    assert again.returncode == 0
    assert len(records()) == len(first)

    edit(TINY_SCRIPT + "# another script is another result\n")
    matrix("--resume")
    assert len(records()) == 2 * len(first)


def test_a_refusal_is_recorded_once_however_often_a_run_is_gone_on_with(project: Path) -> None:
    image = next(Path("images").glob("*/image.yaml"))
    text = image.read_text(encoding="utf-8")
    image.write_text(re.sub(r"language_version: .*", 'language_version: "3.99"', text), "utf-8")
    matrix()
    first = records()
    assert {record.status for record in first} == {Status.UNAVAILABLE}

    assert matrix("--resume").returncode == 1
    assert records() == first

    image.write_text(text, encoding="utf-8")
    assert matrix("--resume").returncode == 0
    assert [record.status for record in records()[len(first) :]] == [Status.OK] * len(first)


def test_resume_keeps_the_suite(project: Path) -> None:
    matrix()
    Path("matrix.yaml").write_text(MATRIX_YAML.replace("tiny", "other"), encoding="utf-8")

    done = matrix("--resume")

    assert done.returncode == 2
    assert "was made with suite 'tiny', and 'other' is asked for now" in done.stderr


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children heed an interrupt, even where a shell put these tests in its background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def started(*arguments: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "runner.cli",
            "matrix",
            "matrix.yaml",
            "--backend",
            "process",
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not sleepers():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return child


def sleepers() -> list[int]:
    """Return the processes of this project's script: they were started from its own cache."""
    mine = os.environ["XDG_CACHE_HOME"].encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if words[-2:-1] and words[-2].startswith(mine) and words[-2].endswith(b".py"):
                    found.append(int(folder.name))
    return found


LONG = TINY_SCRIPT.replace("time.sleep(0.002)", "time.sleep(30)")


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_cleanly_and_can_be_resumed(
    project: Path, number: signal.Signals
) -> None:
    edit(LONG)
    child = started("--launches", "1")

    child.send_signal(number)
    _, errors = child.communicate(timeout=30)

    assert child.returncode == 130
    assert "interrupted" in errors
    assert not sleepers()
    assert [record.status for record in records()] == [Status.KILLED]

    edit(TINY_SCRIPT)
    assert matrix("--resume", "--launches", "1").returncode == 0
    assert [record.status for record in records()] == [Status.KILLED, Status.OK]


def test_a_killed_runner_leaves_nothing_once_the_next_has_started(project: Path) -> None:
    edit(LONG)
    child = started()

    child.kill()
    child.communicate()
    edit(TINY_SCRIPT)
    done = matrix()

    assert done.returncode == 0
    assert not sleepers()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--only", "tensorflow-*"], 3, "no cell matches 'tensorflow-*'"),
        (["--suite", "nosuch"], 2, "no suite 'nosuch'; there is tiny"),
        (["--profile", "quik"], 2, "did you mean 'quick'?"),
        (["--launches", "0"], 2, "--launches 0: expected 1 or more"),
        (["--resume", "nothing"], 2, "no run; results/ has: there is none"),
        (["--cifar10", "nothing"], 2, "no such file"),
    ],
)
def test_each_mistake_has_one_message_and_its_status(
    project: Path, arguments: list[str], status: int, words: str
) -> None:
    done = matrix(*arguments)

    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_matrix_that_is_not_there(project: Path) -> None:
    done = runner("matrix", "none.yaml")

    assert done.returncode == 2
    assert "none.yaml: 1 problem\n  cannot be read: No such file or directory" in done.stderr


def test_an_engine_that_does_not_answer_has_its_own_status(project: Path) -> None:
    done = runner(
        "matrix", "matrix.yaml", "--backend", "docker", DOCKER_HOST="unix:///nowhere/docker.sock"
    )

    assert done.returncode == 4
    assert "/nowhere/docker.sock" in done.stderr
    assert "Traceback" not in done.stderr


def test_auto_says_what_it_took_and_why(project: Path) -> None:
    done = runner("matrix", "matrix.yaml", DOCKER_HOST="unix:///nowhere/docker.sock")

    assert done.returncode == 0
    assert done.stdout.startswith("backend process: no container engine answers")


def test_an_image_that_cannot_be_built_does_not_stop_the_others(project: Path) -> None:
    make_project(project / "more", images=("torch-1.1",))
    broken = project / "images" / "torch-1.1"
    (project / "more/images/torch-1.1").rename(broken)
    (broken / "requirements.lock").write_text(
        "no-such-package-of-ours==1.0 --hash=sha256:" + "0" * 64
    )

    done = matrix("--launches", "1")

    assert done.returncode == 1
    statuses = {record.cell.image: record.status for record in records()}
    assert statuses == {"torch-1.0": Status.OK, "torch-1.1": Status.BUILD_FAILED}
    assert "build-failed" in done.stdout
    [bad] = [record for record in records() if record.status is Status.BUILD_FAILED]
    assert "no-such-package-of-ours" in bad.evidence


# Two images with one script: the steps of one take as long in every launch, those of the other
# take one time or three times as long, in turns. Their launches are counted in a file.
RESTLESS = TINY_SCRIPT.replace(
    "time.sleep(0.002)",
    """time.sleep(0.05 * factor)""",
).replace(
    'with job.phase("data"):',
    """import os
    factor = 1
    if os.environ.get("RESTLESS"):
        with open(os.environ["RESTLESS"], "a+") as file:
            file.write("x")
            factor = 3 if file.tell() % 2 else 1
    with job.phase("data"):""",
)


def restless_project(project: Path) -> None:
    make_project(project / "more", images=("torch-1.1",))
    (project / "more/images/torch-1.1").rename(project / "images/torch-1.1")
    with (project / "images/torch-1.1/image.yaml").open("a", encoding="utf-8") as file:
        file.write(f"environment: {{RESTLESS: {project / 'count'}}}\n")
    precise = "launches: 3, precision: 40%, max_launches: 6"
    text = MATRIX_YAML.replace("launches: 2", precise)
    Path("matrix.yaml").write_text(text, encoding="utf-8")
    edit(RESTLESS)


def launches() -> dict[str, list[int]]:
    found: dict[str, list[int]] = {"torch-1.0": [], "torch-1.1": []}
    for record in records():
        assert record.status is Status.OK
        found[record.cell.image].append(record.launch)
    return found


def test_a_cell_is_launched_until_it_is_precise_or_its_launches_are_spent(project: Path) -> None:
    restless_project(project)

    done = matrix()

    assert done.returncode == 0
    assert launches() == {"torch-1.0": [0, 1, 2], "torch-1.1": [0, 1, 2, 3, 4, 5]}
    told = done.stdout.replace("\n", " ")
    assert "torch-1.0/cifar10-cnn: precision 40 % reached: ±" in told
    assert "3 of 3 launches, asked for by the first 3" in told
    assert "torch-1.1/cifar10-cnn: precision 40 % not reached: ±" in told
    assert "6 of 6 launches, the most there may be (" in told


def test_a_precise_run_is_resumed_where_it_stopped(project: Path) -> None:
    restless_project(project)
    matrix()
    folder = store.runs(Path("results"))[-1]
    whole = (folder / "records.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "records.jsonl").write_text("".join(whole[:7]), encoding="utf-8")

    assert matrix("--resume").returncode == 0

    assert {image: len(made) for image, made in launches().items()} == {
        "torch-1.0": 3,
        "torch-1.1": 6,
    }
    assert matrix("--resume").returncode == 0
    assert len(records()) == 9


def test_a_number_of_launches_on_the_command_line_is_kept_to(project: Path) -> None:
    restless_project(project)

    assert matrix("--launches", "2").returncode == 0

    assert launches() == {"torch-1.0": [0, 1], "torch-1.1": [0, 1]}


def test_a_precision_needs_a_first_batch(project: Path) -> None:
    text = MATRIX_YAML.replace("launches: 2", "launches: 1, precision: 5%")
    Path("matrix.yaml").write_text(text, encoding="utf-8")

    done = matrix()

    assert done.returncode == 2
    assert "the first batch, launches 1, must be at least 2" in done.stderr


def test_a_disturbed_job_is_marked_repeated_and_kept(project: Path) -> None:
    edit(TINY_SCRIPT.replace("time.sleep(0.002)", "time.sleep(0.6)"))
    spinner = subprocess.Popen(
        [sys.executable, "-c", "while True: pass"],
        preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    )
    text = MATRIX_YAML.replace("others_percent: null", "others_percent: 30, repeats: 1")
    Path("matrix.yaml").write_text(text, encoding="utf-8")
    try:
        done = matrix("--launches", "1")
    finally:
        spinner.kill()
        spinner.wait()

    assert done.returncode == 1
    first, second = records()
    assert (first.status, second.status) == (Status.DISTURBED, Status.DISTURBED)
    assert first.job == second.job
    assert first.load is not None
    assert first.load.others_share is not None
    assert first.load.others_share > 0.3
    assert "while it measured, others used" in first.reason
    assert len(first.samples[0].measured_s) == 3
    assert "disturbed" in done.stdout

    assert matrix("--launches", "1", "--resume", "--keep-disturbed").returncode == 0
    assert [record.status for record in records()][2:] == [Status.OK]
