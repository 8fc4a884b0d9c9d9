"""scripts/bench.jl against docs/contract.md: bench.py's cases, in a container with Julia.

Julia is Debian 11's 1.5.3; the images have 1.0, so no newer part of the language may be used.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping

import pytest

from tests.julia_container import FOLDER, JuliaContainer, julia_container
from tests.test_bench import ASKED, NOISE, Ended

pytestmark = pytest.mark.engine

BEGINNING = """
include("/tmp/runner/bench.jl")

function hello(job)
    Bench.phase(job, "import") do
        @eval import Dates
    end
    Bench.hello(job; framework = "none", framework_version = "1.0",
        libraries = Dict("Dates" => "1.0"), threads = nothing,
        threads_source = "no threads", data = "nothing")
end
"""

GOOD = """
function train(job)
    hello(job)
    given = Bench.phase(job, "build") do
        kinds = Dict("batch" => Int, "mode" => ("plain", "fancy"))
        Bench.parameters(job, kinds, Dict("mode" => "plain"))
    end
    seen = Int[]
    function step(first, second)
        push!(seen, first)
        return length(seen) * 0.5f0
    end
    Bench.steps(job, step, [(1, 2), (3, 4)]; items = given.batch)
    Bench.check(job, "seen", seen)
    Bench.check(job, "mode", given.mode)
    Bench.memory(job, 12345)
end
"""

NOISY = r"""
function train(job)
    println("noise of print")
    write_to(descriptor, text) =
        ccall(:write, Cssize_t, (Cint, Cstring, Csize_t), descriptor, text, sizeof(text))
    write_to(1, "noise of a descriptor\n")
    run(`echo noise of a child`)
    run(`julia -e 'println("noise of a Julia")'`)
    ccall(:puts, Cint, (Cstring,), "noise of C")
    Libc.flush_cstdio()
    hello(job)
end
"""

INHERITED = """
function train(job)
    held(links) = [readlink(link) for link in links if islink(link)]
    private = readlink("/proc/self/fd/$(job.events.descriptor)")
    Bench.check(job, "private", private)
    Bench.check(job, "own", held("/proc/self/fd/" .* readdir("/proc/self/fd")))
    Bench.check(job, "childs", read(`ls -l /proc/self/fd`, String))
end
"""

SLOW = """
const regions = []
function train(job)
    function step()
        begun = Bench.clock()
        sleep(0.03)
        push!(regions, (begun, Bench.clock()))
        return 0.0
    end
    Bench.steps(job, step, [()]; items = 1)
    Bench.check(job, "regions", regions)
end
"""

ODD = r"""
function train(job)
    values = [NaN, Inf, -Inf, 1.5]
    Bench.steps(job, () -> popfirst!(values), [()]; items = 1)
    Bench.check(job, "nested", Dict("a" => (NaN32, [Inf])))
    Bench.check(job, "plain", (true, nothing, 1, 0x02, -3, 0.5f0, 1e300, 1e-7))
    Bench.check(job, "text", "\"\\\n\u00fc\U1F600\x01")
    Bench.check(job, "torn", "a\xffb")
end
"""

RAISING = """
function train(job)
    Bench.phase(job, "import") do
        %s
    end
end
"""

LONG = """
function train(job)
    for place = 1:50
        Bench.check(job, string(place), repeat("x", 20000))
    end
end
"""


@pytest.fixture(scope="module")
def julia() -> Iterator[JuliaContainer]:
    with julia_container() as container:
        yield container


def start(
    julia: JuliaContainer,
    body: str,
    variables: Mapping[str, str | None] | None = None,
    shell: str = "julia -O0 /tmp/script.jl",
) -> Ended:
    given = {**ASKED, **(variables or {})}
    asked = {name: value for name, value in given.items() if value is not None}
    ended = julia.script(f"{BEGINNING}{body}\nBench.main(train)\n", shell, asked)
    lines = ended.stdout.decode("ascii").splitlines()
    return Ended(
        events=[json.loads(line, parse_constant=pytest.fail) for line in lines],
        log=ended.stderr.decode("utf-8", "replace"),
        status=ended.returncode,
    )


def test_a_good_job_says_everything_in_order(julia: JuliaContainer) -> None:
    ended = start(julia, GOOD)

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
    assert (hello["language"], hello["language_version"]) == ("julia", "1.5.3")
    assert (hello["threads"], hello["libraries"]) == (None, {"Dates": "1.0"})
    assert ended.of("memory")[0]["allocator_peak_bytes"] == 12345
    (samples,) = ended.of("samples")
    assert (samples["name"], samples["items"]) == ("train_step", 4)
    assert samples["synchronised"] == "implicit"
    assert (len(samples["warmup_s"]), len(samples["measured_s"])) == (2, 6)
    assert all(0 < s < 1 for s in [samples["first_s"], *samples["measured_s"]])
    assert ended.checks["losses"] == [0.5 * step for step in range(1, 10)]
    assert ended.checks["seen"] == [1, 3, 1, 3, 1, 3, 1, 3, 1]
    assert ended.checks["mode"] == "plain"


def test_noise_lands_in_the_log(julia: JuliaContainer) -> None:
    ended = start(julia, NOISY, {"RUNNER_NOISE": NOISE})

    assert ended.status == 0, ended.log
    for source in ("print", "a descriptor", "a child", "a Julia", "C"):
        assert f"noise of {source}\n" in ended.log
    assert ended.log.splitlines().count(NOISE) == 4  # itself and a child, at both ends
    assert ended.log.startswith(NOISE)
    assert [event["event"] for event in ended.events] == ["phase", "phase", "hello", "result"]


@pytest.mark.parametrize("statement", ['error("odd")', "exit(0)"])
def test_noise_is_made_before_an_error_too(julia: JuliaContainer, statement: str) -> None:
    ended = start(julia, RAISING % statement, {"RUNNER_NOISE": NOISE})

    assert ended.log.splitlines().count(NOISE) == 4
    assert ended.events[-1]["event"] == "error"


def test_the_private_descriptor_is_held_once_and_not_inherited(julia: JuliaContainer) -> None:
    ended = start(julia, INHERITED)

    assert ended.status == 0, ended.log
    assert ended.checks["private"].startswith("pipe:")
    assert ended.checks["own"].count(ended.checks["private"]) == 1
    assert "pipe:" in ended.checks["childs"]
    assert ended.checks["private"] not in ended.checks["childs"]


@pytest.mark.parametrize(
    "shell",
    [
        "julia -O0 /tmp/script.jl >/tmp/out && cat /tmp/out",  # a file
        "julia -O0 /tmp/script.jl | (sleep 8; cat)",  # a pipe that is full for a while
    ],
)
def test_nothing_is_lost_whatever_the_output_is(julia: JuliaContainer, shell: str) -> None:
    ended = start(julia, LONG, shell=shell)

    assert ended.status == 0, ended.log
    assert list(ended.checks.values()) == ["x" * 20_000] * 50
    assert ended.events[-1]["event"] == "result"


def test_what_json_lacks_is_words_and_the_rest_is_json(julia: JuliaContainer) -> None:
    ended = start(julia, ODD, {"RUNNER_WARMUP_STEPS": "0", "RUNNER_MEASURE_STEPS": "3"})

    assert ended.status == 0, ended.log
    assert ended.checks["losses"] == ["nan", "inf", "-inf", 1.5]
    assert ended.checks["nested"] == {"a": ["nan", ["inf"]]}
    assert ended.checks["plain"] == [True, None, 1, 2, -3, 0.5, 1e300, 1e-7]
    assert ended.checks["text"] == '"\\\nü\N{GRINNING FACE}\x01'
    assert ended.checks["torn"] == "a\N{REPLACEMENT CHARACTER}b"


def test_measuring_ends_at_its_limit_once_five_steps_are_in(julia: JuliaContainer) -> None:
    ended = start(julia, SLOW, {"RUNNER_MEASURE_STEPS": "1000", "RUNNER_MEASURE_LIMIT_S": "0.01"})

    assert ended.status == 0, ended.log
    assert len(ended.of("samples")[0]["measured_s"]) == 5


def test_progress_is_rare_and_never_inside_a_timed_region(julia: JuliaContainer) -> None:
    ended = start(julia, SLOW, {"RUNNER_MEASURE_STEPS": "25"})

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
        ('throw(Bench.Unsupported("no such thing"))', "unsupported", "no such thing"),
        (
            'include_string(Main, """throw(Bench.Unsupported("deep"))""")',
            "unsupported",
            "deep",
        ),
        ('error("odd")', "exception", "ErrorException: odd"),
        ('throw(ArgumentError("odd"))', "exception", "ArgumentError: odd"),
        (r'error("\xfc")', "exception", "ErrorException: \N{REPLACEMENT CHARACTER}"),
        ("throw(OutOfMemoryError())", "out-of-memory", "OutOfMemoryError"),
        ('error("CUDA error: out of memory")', "out-of-memory", "out of memory"),
        ("@eval import NoSuchFramework", "exception", "NoSuchFramework"),
    ],
)
def test_whatever_is_raised_becomes_one_error(
    julia: JuliaContainer, statement: str, kind: str, message: str
) -> None:
    ended = start(julia, RAISING % statement)

    assert ended.status == 1
    assert [event["event"] for event in ended.events] == ["phase", "phase", "error"]
    error = ended.events[-1]
    assert error["kind"] == kind
    assert message in error["message"]
    assert "Stacktrace:" in ended.log


def test_an_exit_before_the_end_is_an_error(julia: JuliaContainer) -> None:
    ended = start(julia, RAISING % "exit(0)")

    assert ended.status == 1
    assert [event["event"] for event in ended.events] == ["phase", "phase", "error"]
    error = ended.events[-1]
    assert (error["kind"], error["message"]) == ("exception", "exit() was called before the end")


def test_a_long_message_is_cut(julia: JuliaContainer) -> None:
    ended = start(julia, RAISING % r'error(repeat("\u00fc", 5000))')

    message = ended.events[-1]["message"]
    assert message == "ErrorException: " + "ü" * (4000 - len("ErrorException: "))


@pytest.mark.parametrize("version", ["2", None])
def test_another_version_of_the_contract_is_refused(
    julia: JuliaContainer, version: str | None
) -> None:
    ended = start(julia, GOOD, {"RUNNER_CONTRACT": version})

    assert ended.status == 1
    (error,) = ended.events
    assert error["kind"] == "contract"
    assert "this script knows version 1" in error["message"]


def test_every_missing_or_malformed_variable_is_named(julia: JuliaContainer) -> None:
    variables = {
        "RUNNER_WORKLOAD": None,
        "RUNNER_PROTOCOL": "quick",
        "RUNNER_SEED": "-1",
        "RUNNER_MEASURE_STEPS": "many",
        "RUNNER_MEASURE_LIMIT_S": "nan",
    }
    ended = start(julia, GOOD, variables)

    assert ended.status == 1
    (error,) = ended.events
    assert error["kind"] == "contract"
    assert all(name in error["message"] for name in variables)
    assert "RUNNER_SEED: found '-1', expected an integer in [0, 2^32)" in error["message"]
    assert "RUNNER_DEVICE" not in error["message"]


def test_every_unknown_or_malformed_parameter_is_named(julia: JuliaContainer) -> None:
    variables = {
        "RUNNER_PARAMETER_BATCH": "big",
        "RUNNER_PARAMETER_MODE": "odd",
        "RUNNER_PARAMETER_SPEED": "1",
    }
    ended = start(julia, GOOD, variables)

    error = ended.events[-1]
    assert (ended.status, error["kind"]) == (1, "unsupported")
    assert "unknown parameter 'speed'; known: batch, mode" in error["message"]
    assert "parameter batch: 'big'; expected int" in error["message"]
    assert "parameter mode: 'odd'; expected plain or fancy" in error["message"]


READING = r"""
include("/tmp/runner/bench.jl")

kinds = Dict("batch" => Int, "rate" => Float64, "fused" => Bool, "mode" => ("plain", "fancy"))
given = Dict("batch" => "8", "rate" => "1e-3", "fused" => "0", "mode" => "fancy")
read = Bench.read_parameters(given, kinds, Dict{String,String}())
read === (batch = 8, fused = false, mode = "fancy", rate = 1e-3) || error(read)

function message(given)
    try
        Bench.read_parameters(given, Dict("fused" => Bool), Dict{String,String}())
    catch error
        return sprint(showerror, error)
    end
end
println(message(Dict("fused" => "yes")))
println(message(Dict("fused" => "2")))
println(message(Dict{String,String}()))

manifest = "[[A]]\ndeps = [\"B\"]\nversion = \"1.2.3\"\n\n[[B]]\nversion = \"0.1.0\"\n"
println(join(sort(collect(Bench.manifest_versions(manifest, ("A", "B")))), " "))
try
    Bench.manifest_versions(manifest, ("A", "C"))
catch error
    println(sprint(showerror, error))
end
"""


def test_parameters_and_versions_are_read_as_what_they_are(julia: JuliaContainer) -> None:
    ended = julia.script(READING)

    assert ended.returncode == 0, ended.stderr.decode()
    assert ended.stdout.decode().splitlines() == [
        "parameter fused: 'yes'; expected 0 or 1",
        "parameter fused: '2'; expected 0 or 1",
        "parameter fused: none; expected 0 or 1",
        '"A" => "1.2.3" "B" => "0.1.0"',
        "the Manifest has no version of C",
    ]


def test_the_flux_script_says_that_flux_is_missing(julia: JuliaContainer) -> None:
    parameters = {
        f"RUNNER_PARAMETER_{name}": value
        for name, value in {"OPTIMIZER": "sgd", "LEARNING_RATE": "0.01"}.items()
    }
    ended = julia.command(
        "julia", "-O0", f"{FOLDER}/train_flux.jl", variables={**ASKED, **parameters}
    )

    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 1
    assert [event["event"] for event in events] == ["phase", "phase", "error"]
    assert events[-1]["kind"] == "exception"
    assert "Package Flux not found" in events[-1]["message"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "RUNNER_WORKLOAD",
            "alexnet",
            "workload: 'alexnet'; known: batchnorm, cifar10-cnn, conv3x3, conv5x5, dense,"
            " resnet101, resnet152, resnet18, resnet34, resnet50, vgg16, vgg16-bn, vgg19, vgg19-bn",
        ),
        ("RUNNER_DEVICE", "cuda", "device: 'cuda'; known: cpu"),
        (
            "RUNNER_PARAMETER_ZERO_GRAD",
            "0",
            "parameter zero_grad: 'false'; under the protocol fair it is true",
        ),
        (
            "RUNNER_PARAMETER_ARCHITECTURE",
            "original",
            "architecture: 'original'; this script has none of cifar10-cnn; part: 'step'; the"
            " originals were not trained, and end in a softmax; parameter architecture:"
            " 'original'; under the protocol fair it is reference",
        ),
        ("RUNNER_PARAMETER_COMPILER", "xla", "parameter compiler: 'xla'; expected default"),
        ("RUNNER_PARAMETER_GPUS", "2", "gpus: 2; this script trains on one device"),
    ],
)
def test_the_flux_script_refuses_what_it_cannot_do(
    julia: JuliaContainer, name: str, value: str, message: str
) -> None:
    parameters = {"RUNNER_PARAMETER_OPTIMIZER": "sgd", "RUNNER_PARAMETER_LEARNING_RATE": "0.01"}
    asked = {**ASKED, **parameters, name: value}
    ended = julia.command("julia", "-O0", f"{FOLDER}/train_flux.jl", variables=asked)

    (event,) = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 1
    assert (event["kind"], event["message"]) == ("unsupported", message)


@pytest.mark.parametrize(
    ("workload", "given", "message"),
    [
        ("conv3x3", {"PART": "step"}, "part: 'step'; a layer alone has no loss and no optimizer"),
        ("conv5x5", {"STRIDE": "3"}, "stride: 3; expected 1 or 2"),
        (
            "dense",
            {"STRIDE": "2"},
            "unknown parameter 'stride'; known: batch, layout, part, precision, synchronise,"
            " zero_grad",
        ),
    ],
)
def test_the_flux_script_refuses_what_a_layer_alone_cannot_do(
    julia: JuliaContainer, workload: str, given: dict[str, str], message: str
) -> None:
    parameters = {f"RUNNER_PARAMETER_{name}": value for name, value in given.items()}
    asked = {**ASKED, **parameters, "RUNNER_WORKLOAD": workload}
    ended = julia.command("julia", "-O0", f"{FOLDER}/train_flux.jl", variables=asked)

    (event,) = [json.loads(line) for line in ended.stdout.splitlines()]
    assert (event["kind"], event["message"]) == ("unsupported", message)


PREPARED = """
function train(job)
    hello(job)
    order = Any[]
    prepare(first, second) = (push!(order, "prepare"); (first + second,))
    step(sum) = (push!(order, sum); nothing)
    Bench.steps(job, step, [(1, 2), (3, 4)]; items = 2, read_loss = nothing, name = "backward",
        prepare = prepare, synchronised = "none")
    Bench.check(job, "order", order)
end
"""


def test_a_step_is_prepared_and_may_have_no_loss(julia: JuliaContainer) -> None:
    ended = start(julia, PREPARED)

    assert ended.status == 0, ended.log
    (samples,) = ended.of("samples")
    assert (samples["name"], samples["synchronised"]) == ("backward", "none")
    assert len(samples["measured_s"]) == 6
    told = [word for made in (3, 7) for word in ("prepare", made)]
    assert ended.checks["order"] == told * 4 + told[:2]
    assert "losses" not in ended.checks
