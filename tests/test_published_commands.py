"""``runner published`` and ``runner reproduce`` as a user types them, on a run that is there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from runner import store
from runner.cli import main
from tests.makers import make_project, make_run
from tests.test_reproduce import ROOT, SUITES, cells_of, made_up, printed_seconds

SUITE = SUITES["vgg16-xla"]


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder with one whole run of vgg16-xla."""
    folder = tmp_path_factory.mktemp("results")
    run = make_run(cells_of(SUITE), suite=SUITE.name, id="2026-01-01T00-00-00-vgg16-xla-process")
    writer = store.Writer(folder / run.id, run)
    for record in made_up(SUITE, printed_seconds(SUITE, "vgg16")):
        writer.append(record)
    writer.close()
    return folder


def reproduce(results: Path, *more: str) -> int:
    return main(["reproduce", "vgg16-xla", "--run", "latest", "--results", str(results), *more])


def test_a_finished_run_is_shown_in_both_protocols(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = reproduce(results, "--format", "markdown")

    page = capsys.readouterr().out
    assert status == 0
    titles = re.findall("^## (.*)", page, re.MULTILINE)
    plain, normalised = (
        "VGG16 without batch normalisation",
        "VGG16 with batch normalisation after each convolution",
    )
    assert titles == [
        f"{plain}: as-published",
        f"{normalised}: as-published",
        f"{plain}: fair",
        f"{normalised}: fair",
        "What the originals' ways were worth",
    ]
    assert "| Tensorflow NHWC with XLA | 300.424 ms / 300.4 (shape reproduced) |" in page
    assert "rank correlation of step_time, 12 of 12 numbers: 1.00" in page


def test_one_protocol_is_shown_alone_and_on_a_terminal(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce(results, "--protocol", "fair") == 0

    shown = capsys.readouterr().out
    assert "VGG16 without batch normalisation: fair" in shown
    assert "normalisation: as-published" not in shown
    assert "shape reproduced" in shown


def test_machines_get_every_number_with_full_digits(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = "Tensorflow NCHW no XLA"
    assert reproduce(results, "--format", "json", "--row", row, "--protocol", "fair") == 0

    found = json.loads(capsys.readouterr().out)
    (number,) = found["numbers"]
    assert (number["row"], number["verdict"], number["published"]) == (
        row,
        "shape reproduced",
        "298.478 ms",
    )
    assert number["ratio_there"] == pytest.approx(298.478 / 241.478)


def test_a_narrower_margin_is_harder(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce(results, "--format", "json", "--margin", "0.1%") == 0

    verdicts = {each["verdict"] for each in json.loads(capsys.readouterr().out)["numbers"]}
    assert verdicts == {"reference", "ambiguous"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["vgg16-xl"], "no suite 'vgg16-xl'; did you mean 'vgg16-xla'? There is "),
        (["decade"], "no suite 'decade'; there is cifar10-six-libraries, high-level-apis"),
        (["vgg16-xla", "--protocol", "fiar"], "no protocol 'fiar'; did you mean 'fair'?"),
        (["vgg16-xla", "--profile", "fulll"], "no profile 'fulll'; did you mean 'full'?"),
        (["vgg16-xla", "--metric", "speed"], "no metric 'speed'; there is step_time"),
        (["vgg16-xla", "--row", "Tensorflow NHWC"], "no row 'Tensorflow NHWC'; did you mean "),
        (["vgg16-xla", "--margin", "x"], "--margin x: expected a share such as 25%"),
        (["vgg16-xla", "--matrix", "nothing.yaml"], "nothing.yaml"),
    ],
)
def test_what_is_unknown_is_told_with_what_there_is(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", *arguments]) == 2

    assert told in capsys.readouterr().err


def test_every_mistake_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "vgg16-xla", "--protocol", "x", "--metric", "y"]) == 2

    assert "2 problems" in capsys.readouterr().err


def test_a_run_of_another_suite_is_refused(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["reproduce", "pytorch-flux", "--run", "latest", "--results", str(results)]

    assert main(arguments) == 2
    assert "it is a run of suite 'vgg16-xla', not of 'pytorch-flux'" in capsys.readouterr().err


def test_a_cell_without_a_number_is_the_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(cells_of(SUITE), suite=SUITE.name)
    store.Writer(tmp_path / run.id, run).close()

    assert reproduce(tmp_path, "--format", "markdown") == 1
    assert "killed (not comparable)" in capsys.readouterr().out


def test_published_lists_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["published"]) == 0
    listed = capsys.readouterr().out
    assert main(["published", "pytorch-flux"]) == 0
    shown = capsys.readouterr().out
    assert main(["published", "defects"]) == 0
    defects = capsys.readouterr().out

    assert all(f"| {name} |" in listed for name in ("vgg16-xla", "pytorch-flux"))
    assert "__" not in shown
    assert "| VGG16 | Pytorch 0.4.1 | **0.0245 s**" in shown
    assert "### softmax-twice" in defects


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["vgg16-lxa"], "no suite 'vgg16-lxa'; did you mean 'vgg16-xla'?"),
        (["defect"], "no suite 'defect'; did you mean 'defects'?"),
        (["vgg16-xla", "--revision", "x"], "no revision of vgg16-xla 'x'"),
        (["--root", "tests"], "no such folder; name the project's with --root"),
    ],
)
def test_an_unknown_publication_is_told_with_what_there_is(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["published", *arguments]) == 2 or "revision" in told

    assert told in capsys.readouterr().err


SCRIPT = """\
import time

import bench


def train(job):
    with job.phase("import"):
        pass
    job.hello(
        framework="tensorflow", framework_version="1.0", libraries={},
        threads=job.settings.threads, threads_source="as told", data="none",
    )
    given = job.settings.parameters
    if given["layout"] == "channels_first":
        raise bench.Unsupported("NCHW asks for a GPU")
    normalised = given.get("batch_norm", "none") != "none"
    losses = iter(range(1000, 0, -1))

    def step(number):
        time.sleep(0.004 if given.get("softmax") == "twice" else 0.002)
        return next(losses)

    job.steps(step, [(1,)], items=2, read_loss=float)
    job.check("parameters", 138365992 if normalised else 138357544)
    job.check("output_shape", [2, 1000])


if __name__ == "__main__":
    bench.main(train)
"""
SUITE_YAML = """\
  vgg16-xla:
    title: a published table
    published: vgg16-xla
    batches: {vgg16: 2}
"""


def test_a_suite_is_launched_and_answered_with_a_verdict_for_every_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path / "project", SCRIPT, images=("tensorflow-1.0.0",))
    image = project / "images" / "tensorflow-1.0.0" / "image.yaml"
    text = image.read_text().replace("framework: torch", "framework: tensorflow")
    image.write_text(text.replace("cifar10-cnn", "vgg16"))
    published = project / "results" / "published"
    shutil.copytree(ROOT / "results" / "published" / "vgg16-xla", published / "vgg16-xla")
    matrix = (project / "matrix.yaml").read_text().replace("cifar10-cnn", "vgg16")
    (project / "matrix.yaml").write_text(matrix + SUITE_YAML)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(project)
    rows = ("Tensorflow NHWC no XLA", "Tensorflow NCHW no XLA", "Keras (Theano backend)")
    chosen = [word for row in rows for word in ("--row", row)]

    status = main(["reproduce", "vgg16-xla", "--backend", "process", "--format", "json", *chosen])

    found = json.loads(capfd.readouterr().out)
    verdicts = {
        (each["row"], each["protocol"]): (each["verdict"], each["missing"], each["reason"])
        for each in found["numbers"]
    }
    skipped = "there is no image keras-1.2.2-theano-0.9.0 yet"
    instead = "the others are ratios to it, in place of Keras (Theano backend), which has no value"
    for protocol in ("as-published", "fair"):
        assert verdicts[rows[2], protocol] == ("not comparable", "skipped", skipped)
        assert verdicts[rows[1], protocol][1:] == ("unsupported", "NCHW asks for a GPU")
        assert verdicts[rows[0], protocol] == ("reference", "", f"{instead} here")
    (worth,) = [each for each in found["worths"] if each["row"] == rows[0]]
    assert worth["parameters"] == {"softmax": "twice", "input": "drawn", "learning_rate": 0.1}
    assert worth["work"] is not None
    assert status == 1
