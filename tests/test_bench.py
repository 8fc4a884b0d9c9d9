"""scripts/bench.py against docs/contract.md, in every Python that is here.

Each test starts a script in a process of its own and reads what it wrote.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from runner.images import compiles

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "scripts"
VERSIONS = ["2.7", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]
NOISE = "noise of ümlaut 1"

ASKED = {
    "RUNNER_CONTRACT": "1",
    "RUNNER_WORKLOAD": "cifar10-cnn",
    "RUNNER_PROTOCOL": "fair",
    "RUNNER_PARAMETER_BATCH": "4",
    "RUNNER_WARMUP_STEPS": "2",
    "RUNNER_MEASURE_STEPS": "6",
    "RUNNER_MEASURE_LIMIT_S": "60",
    "RUNNER_SEED": "1",
    "RUNNER_DEVICE": "cpu",
    "RUNNER_THREADS": "1",
}

BEGINNING = """
import ctypes, os, subprocess, sys, time
sys.path.insert(0, os.environ["SCRIPTS"])
import bench

def hello(job):
    with job.phase("import"):
        import json
    job.hello("none", "1.0", bench.versions("json"), None, "no threads", "nothing")

"""

GOOD = """
def train(job):
    hello(job)
    with job.phase("build"):
        given = job.parameters({"batch": int, "mode": ("plain", "fancy")}, {"mode": "plain"})
    seen = []
    def step(first, second):
        seen.append(first)
        return len(seen) * 0.5
    job.steps(step, [(1, 2), (3, 4)], items=given.batch)
    job.check("seen", seen)
    job.check("mode", given.mode)
    job.memory(12345)
"""

NOISY = """
def train(job):
    print("noise of print")
    os.write(1, b"noise of a descriptor\\n")
    subprocess.check_call([sys.executable, "-c", "print('noise of a child')"])
    libc = ctypes.CDLL(None)
    libc.puts(b"noise of C")
    libc.fflush(None)
    hello(job)
"""

INHERITED = """
def train(job):
    private = os.readlink("/proc/self/fd/%d" % job._events._descriptor)
    look = "import os; print([os.readlink('/proc/self/fd/' + n) for n in '0123456789'" \\
        " if os.path.exists('/proc/self/fd/' + n)])"
    held = subprocess.check_output([sys.executable, "-c", look], close_fds=False)
    job.check("private", private)
    job.check("held", held.decode())
"""

SLOW = """
regions = []
def train(job):
    def step():
        begun = bench.clock()
        time.sleep(0.03)
        regions.append((begun - bench.STARTED, bench.clock() - bench.STARTED))
        return 0.0
    job.steps(step, [()], items=1)
    job.check("regions", regions)
"""

ODD = """
def train(job):
    values = [float("nan"), float("inf"), float("-inf"), 1.5]
    job.steps(lambda: values.pop(0), [()], items=1)
    job.check("nested", {"a": (float("nan"), [float("inf")])})
"""

EPOCHS = """
def train(job):
    hello(job)
    seen = []
    def step(first, second):
        seen.append(first)
        return len(seen), first
    def validate():
        seen.append("validated")
        return 5
    job.epochs(
        step, [(1, 2), (3, 4)], epochs=2, sizes=[3, 1], read=lambda result: result,
        validate=validate if os.environ.get("VALIDATE") else None)
    job.check("seen", seen)
"""

PREPARED = """
def train(job):
    hello(job)
    order = []
    def prepare(first, second):
        order.append("prepare")
        return (first + second,)
    def timed_call(step, batch):
        order.append("begin")
        step(*batch)
        order.append("end")
        return None, 0.5
    job.steps(order.append, [(1, 2), (3, 4)], items=2, read_loss=None, name="backward",
        prepare=prepare, timed_call=timed_call, synchronised="none")
    job.check("order", order)
"""

RAISING = """
def train(job):
    with job.phase("import"):
        %s
"""


@functools.cache
def find_python(version: str) -> str | None:
    """Return an interpreter of `version`: of pyenv, where there is one, or on PATH."""
    root = os.environ.get("PYENV_ROOT")
    if root is None and (pyenv := shutil.which("pyenv")):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True).stdout.strip()
    found = sorted(Path(root).glob(f"versions/{version}.*/bin/python{version}")) if root else []
    candidates = [*map(str, found), shutil.which(f"python{version}")]
    return next((path for path in candidates if path and _answers(path)), None)


def _answers(path: str) -> bool:
    """A shim of pyenv's is on PATH whether or not its interpreter may be used."""
    return subprocess.run([path, "-c", ""], capture_output=True).returncode == 0


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    path = find_python(request.param)
    if path is None:
        pytest.skip(f"no Python {request.param} here")
    return path


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    events: list[dict[str, Any]]
    log: str
    status: int

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    @property
    def checks(self) -> dict[str, Any]:
        return {event["name"]: event["value"] for event in self.of("check")}


def start(python: str, folder: Path, body: str, **variables: str | None) -> Ended:
    script = folder / "script.py"
    script.write_text(BEGINNING + body + '\nif __name__ == "__main__":\n    bench.main(train)\n')
    environment = {
        "PATH": os.defpath,
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
        "SCRIPTS": str(SCRIPTS),
    }
    asked = {name: value for name, value in {**ASKED, **variables}.items() if value is not None}
    ended = subprocess.run(
        [python, str(script)], env=environment | asked, capture_output=True, timeout=120
    )
    lines = ended.stdout.decode("ascii").splitlines()
    events = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    return Ended(
        events=events, log=ended.stderr.decode("utf-8", "replace"), status=ended.returncode
    )


def test_a_good_job_says_everything_in_order(python: str, tmp_path: Path) -> None:
    ended = start(python, tmp_path, GOOD)

    assert ended.status == 0, ended.log
    said = [
        f"{event['name']} {event['state']}" if event["event"] == "phase" else event["event"]
        for event in ended.events
        if event["event"] != "progress"
    ]
    assert said == [
        *["import begin", "import end", "hello", "build begin", "build end"],
        *["first-step begin", "first-step end", "warm-up begin", "warm-up end"],
        *["measure begin", "measure end", "samples", *["check"] * 3, "memory", "result"],
    ]
    times = [event["time_s"] for event in ended.events]
    assert times == sorted(times)
    assert times[0] >= 0
    (hello,) = ended.of("hello")
    assert hello["contract"] == 1
    assert (hello["language"], hello["threads"]) == ("python", None)
    assert hello["language_version"].startswith(python.rsplit("python", 1)[1] + ".")
    assert list(hello["libraries"]) == ["json"]
    assert ended.of("memory")[0]["allocator_peak_bytes"] == 12345


def test_steps_are_sampled_in_order_from_the_batches_in_turn(python: str, tmp_path: Path) -> None:
    ended = start(python, tmp_path, GOOD)

    (samples,) = ended.of("samples")
    assert (samples["name"], samples["items"]) == ("train_step", 4)
    assert samples["synchronised"] == "implicit"
    assert (len(samples["warmup_s"]), len(samples["measured_s"])) == (2, 6)
    assert all(0 < s < 1 for s in [samples["first_s"], *samples["measured_s"]])
    assert ended.checks["losses"] == [0.5 * step for step in range(1, 10)]
    assert ended.checks["seen"] == [1, 3, 1, 3, 1, 3, 1, 3, 1]


def test_epochs_are_whole_and_in_order(python: str, tmp_path: Path) -> None:
    ended = start(python, tmp_path, EPOCHS, VALIDATE="1", RUNNER_MEASURE_LIMIT_S="1e-9")

    assert ended.status == 0, ended.log
    steps, validation = ended.of("samples")
    assert (steps["name"], steps["items"], steps["warmup_s"]) == ("step", 3, [])
    assert (validation["name"], validation["items"]) == ("validation", 5)
    assert (len(steps["measured_s"]), len(validation["measured_s"])) == (3, 1)
    assert ended.checks["seen"] == [1, 3, "validated", 1, 3, "validated"]
    # Steps tell 1, 2, then 4 and 5 as losses, and as many right as their batch's first number.
    assert ended.checks["losses"] == [1, 2, 4, 5]
    assert ended.checks["loss"] == (4 * 3 + 5 * 1) / 4
    assert ended.checks["accuracy"] == (1 + 3) / 4
    assert (ended.checks["epoch_steps"], ended.checks["epoch_images"]) == (2, 4)
    phases = [event["name"] for event in ended.of("phase") if event["state"] == "begin"]
    assert phases == ["import", "first-step", "measure"]


def test_epochs_without_validation_have_one_series(python: str, tmp_path: Path) -> None:
    ended = start(python, tmp_path, EPOCHS)

    assert [samples["name"] for samples in ended.of("samples")] == ["step"]
    assert ended.checks["seen"] == [1, 3, 1, 3]


def test_what_prepares_a_step_is_not_in_its_time(python: str, tmp_path: Path) -> None:
    ended = start(python, tmp_path, PREPARED)

    assert ended.status == 0, ended.log
    (samples,) = ended.of("samples")
    assert (samples["name"], samples["synchronised"]) == ("backward", "none")
    assert [samples["first_s"], *samples["warmup_s"], *samples["measured_s"]] == [0.5] * 9
    made = [3, 7, 3, 7, 3, 7, 3, 7, 3]
    told = [word for number in made for word in ("prepare", "begin", number, "end")]
    assert ended.checks["order"] == told
    assert "losses" not in ended.checks


def test_noise_lands_in_the_log(python: str, tmp_path: Path) -> None:
    ended = start(python, tmp_path, NOISY, RUNNER_NOISE=NOISE)

    assert ended.status == 0, ended.log
    for source in ("print", "a descriptor", "a child", "C"):
        assert f"noise of {source}\n" in ended.log
    assert ended.log.splitlines().count(NOISE) == 4  # itself and a child, at both ends
    assert ended.log.startswith(NOISE)
    assert [event["event"] for event in ended.events] == ["phase", "phase", "hello", "result"]


def test_noise_is_made_before_an_error_too(python: str, tmp_path: Path) -> None:
    ended = start(python, tmp_path, RAISING % "raise ValueError", RUNNER_NOISE=NOISE)

    assert ended.log.splitlines().count(NOISE) == 4
    assert ended.events[-1]["event"] == "error"


def test_the_private_descriptor_is_not_inherited(python: str, tmp_path: Path) -> None:
    ended = start(python, tmp_path, INHERITED)

    assert ended.status == 0, ended.log
    assert ended.checks["private"].startswith("pipe:")
    assert "pipe:" in ended.checks["held"]
    assert ended.checks["private"] not in ended.checks["held"]


def test_numbers_that_json_lacks_are_words(python: str, tmp_path: Path) -> None:
    variables = {"RUNNER_WARMUP_STEPS": "0", "RUNNER_MEASURE_STEPS": "3"}
    ended = start(python, tmp_path, ODD, **variables)

    assert ended.status == 0, ended.log
    assert ended.checks["losses"] == ["nan", "inf", "-inf", 1.5]
    assert ended.checks["nested"] == {"a": ["nan", ["inf"]]}


def test_measuring_ends_at_its_limit_once_five_steps_are_in(python: str, tmp_path: Path) -> None:
    variables = {"RUNNER_MEASURE_STEPS": "1000", "RUNNER_MEASURE_LIMIT_S": "0.01"}
    ended = start(python, tmp_path, SLOW, **variables)

    assert ended.status == 0, ended.log
    assert len(ended.of("samples")[0]["measured_s"]) == 5


def test_progress_is_rare_and_never_inside_a_timed_region(python: str, tmp_path: Path) -> None:
    ended = start(python, tmp_path, SLOW, RUNNER_MEASURE_STEPS="25")

    progress = ended.of("progress")
    times = [event["time_s"] for event in progress]
    assert len(times) >= 2
    assert all(after - before >= 0.24 for before, after in itertools.pairwise(times))
    regions = ended.checks["regions"]
    assert not [time for time in times for begun, end in regions if begun < time < end]
    assert progress[-1]["phase"] == "measure"
    assert 0 < progress[-1]["done"] <= progress[-1]["total"] == 25


@pytest.mark.parametrize(
    ("statement", "kind", "message"),
    [
        ("raise bench.Unsupported('no such thing')", "unsupported", "no such thing"),
        ("raise ValueError('odd')", "exception", "ValueError: odd"),
        ("raise ValueError(u'\\xfc')", "exception", "ValueError"),
        ("raise MemoryError()", "out-of-memory", "MemoryError"),
        ("raise RuntimeError('CUDA out of memory. Tried')", "out-of-memory", "out of memory"),
        ("sys.exit(0)", "exception", "SystemExit: 0"),
        ("import no_such_framework", "exception", "no_such_framework"),
    ],
)
def test_whatever_is_raised_becomes_one_error(
    python: str, tmp_path: Path, statement: str, kind: str, message: str
) -> None:
    ended = start(python, tmp_path, RAISING % statement)

    assert ended.status == 1
    assert [event["event"] for event in ended.events] == ["phase", "phase", "error"]
    error = ended.events[-1]
    assert error["kind"] == kind
    assert message in error["message"]
    assert "Traceback (most recent call last):" in ended.log


@pytest.mark.parametrize("version", ["2", None])
def test_another_version_of_the_contract_is_refused(
    python: str, tmp_path: Path, version: str | None
) -> None:
    ended = start(python, tmp_path, GOOD, RUNNER_CONTRACT=version)

    assert ended.status == 1
    (error,) = ended.events
    assert error["kind"] == "contract"
    assert "this script knows version 1" in error["message"]


def test_every_missing_or_malformed_variable_is_named(python: str, tmp_path: Path) -> None:
    variables = {
        "RUNNER_WORKLOAD": None,
        "RUNNER_PROTOCOL": "quick",
        "RUNNER_SEED": "-1",
        "RUNNER_MEASURE_STEPS": "many",
        "RUNNER_MEASURE_LIMIT_S": "nan",
    }
    ended = start(python, tmp_path, GOOD, **variables)

    assert ended.status == 1
    (error,) = ended.events
    assert error["kind"] == "contract"
    assert all(name in error["message"] for name in variables)
    assert "RUNNER_SEED: found '-1', expected an integer in [0, 2^32)" in error["message"]
    assert "RUNNER_DEVICE" not in error["message"]


def test_every_unknown_or_malformed_parameter_is_named(python: str, tmp_path: Path) -> None:
    variables = {
        "RUNNER_PARAMETER_BATCH": "big",
        "RUNNER_PARAMETER_MODE": "odd",
        "RUNNER_PARAMETER_SPEED": "1",
    }
    ended = start(python, tmp_path, GOOD, **variables)

    error = ended.events[-1]
    assert (ended.status, error["kind"]) == (1, "unsupported")
    assert "unknown parameter 'speed'; known: batch, mode" in error["message"]
    assert "parameter batch: 'big'; expected int" in error["message"]
    assert "parameter mode: 'odd'; expected plain or fancy" in error["message"]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module("bench")


def test_parameters_have_the_types_that_were_asked_for(bench: ModuleType) -> None:
    given = {"batch": "8", "rate": "1e-3", "fused": "0", "mode": "fancy"}
    kinds = {"batch": int, "rate": float, "fused": bool, "mode": ("plain", "fancy")}

    read = bench.read_parameters(given, kinds, {})

    assert read == {"batch": 8, "rate": 0.001, "fused": False, "mode": "fancy"}
    assert read["fused"] is False


@pytest.mark.parametrize("text", ["yes", "2", None])
def test_a_boolean_is_0_or_1(bench: ModuleType, text: str | None) -> None:
    given = {} if text is None else {"fused": text}

    with pytest.raises(bench.Unsupported, match=r"parameter fused: .* expected 0 or 1"):
        bench.read_parameters(given, {"fused": bool}, {})


def _compiled() -> list[tuple[str, str]]:
    """Return (script, Python version): each script by what its images and the contract name."""
    shared = ["bench.py", "networks.py", "training.py", "variants.py"]
    pairs = {(script, version) for script in shared for version in VERSIONS}
    for path in sorted(ROOT.glob("images/*/image.yaml")):
        image = yaml.safe_load(path.read_text())
        if image["language"] == "python":
            names = compiles.needed(SCRIPTS, image["script"])
            pairs |= {(name, image["language_version"]) for name in names}
    return sorted(pairs)


def test_every_python_script_belongs_to_an_image() -> None:
    assert {script for script, _ in _compiled()} == {path.name for path in SCRIPTS.glob("*.py")}


@pytest.mark.parametrize(("script", "version"), _compiled())
def test_scripts_compile_in_the_pythons_that_they_are_for(script: str, version: str) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    code = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')"

    ended = subprocess.run(
        [python, "-c", code, str(SCRIPTS / script)], capture_output=True, text=True
    )

    assert ended.returncode == 0, ended.stderr
