"""Each form is given to the program that reads it, or held to the form's published schema."""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
from asv.results import Results, iter_results_for_machine
from markdown_it import MarkdownIt
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from runner import cli, report_commands
from runner.model import Status
from runner.report import exports, formats
from runner.report.source import Source
from tests.report_makers import HOSTILE, IMAGES, load, write_hostile_run, write_run

# Facts of their form: https://bencher.dev/bmf.json with the lengths of names that
# https://bencher.dev/docs/reference/bencher-metric-format/ gives; and what github-action-benchmark
# (benchmark-action/github-action-benchmark, c38cce98) parses in src/extract.ts, BenchmarkResult.
BENCHER = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"maxLength": 64},
        "additionalProperties": {
            "type": "object",
            "properties": {name: {"type": "number"} for name in ("lower_value", "upper_value")}
            | {"value": {"type": "number"}},
            "required": ["value"],
            "additionalProperties": False,
        },
    },
    "propertyNames": {"maxLength": 1024},
}
GITHUB = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            **{name: {"type": "string"} for name in ("name", "unit", "range", "extra")},
            "value": {"type": "number"},
        },
        "required": ["name", "unit", "value"],
        "additionalProperties": False,
    },
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return load(write_run(tmp_path_factory.mktemp("runs") / "one"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return load(write_hostile_run(tmp_path_factory.mktemp("runs") / "hostile"))


def test_every_form_that_is_offered_is_there() -> None:
    assert set(report_commands.TEXTS) == set(formats.FORMATS)
    assert set(report_commands.EXPORTS) == set(exports.EXPORTS)
    assert set(report_commands.FOLDERS) == set(exports.FOLDERS)


def pyperf(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyperf", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_pyperf_compares_two_runs(source: Source, tmp_path: Path) -> None:
    other = load(write_run(tmp_path / "two", seed=2))
    for name, run in (("a.json", source), ("b.json", other)):
        (tmp_path / name).write_bytes(exports.pyperf(run))

    done = pyperf("compare_to", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--table")
    checked = pyperf("metadata", str(tmp_path / "a.json"))

    assert done.returncode == 0, done.stderr
    assert "Benchmark" in done.stdout or "not significant" in done.stdout
    assert checked.returncode == 0, checked.stderr
    assert "cpu_model_name: Test CPU" in checked.stdout


def test_pyperf_estimates_from_the_steps_of_the_table(source: Source) -> None:
    loaded = json.loads(exports.pyperf(source))

    for made, row in zip(loaded["benchmarks"], source.table.rows, strict=False):
        assert made["metadata"]["name"] == row.cell.label
        assert row.steady is not None
        assert [tuple(run["values"]) for run in made["runs"]] == list(row.steady.parts)
        samples = row.used[0].samples[0]
        every = [
            *(seconds for _, seconds in made["runs"][0]["warmups"]),
            *made["runs"][0]["values"],
        ]
        assert every == [samples.first_s, *samples.warmup_s, *samples.measured_s]


def test_pyperf_of_a_run_without_numbers_is_refused(tmp_path: Path) -> None:
    from tests.makers import make_cell, make_run

    empty = Source(
        run=make_run((make_cell(),)),
        table=load(write_run(tmp_path / "x")).table.__class__(
            title="t", subtitle="s", rows=(), remarks=()
        ),
        records={},
    )
    with pytest.raises(exports.ExportError, match="no cell has a number"):
        exports.pyperf(empty)


@pytest.mark.parametrize("which", ["source", "hostile"])
def test_bencher_takes_it(which: str, request: pytest.FixtureRequest) -> None:
    run: Source = request.getfixturevalue(which)
    made = json.loads(exports.bencher(run))

    jsonschema.validate(made, BENCHER)
    measured = [row for row in run.table.rows if row.status is Status.OK]
    assert list(made) == [row.cell.label for row in measured]
    first, row = made[measured[0].cell.label], measured[0]
    assert row.estimate is not None
    assert first["latency"]["value"] == pytest.approx(row.estimate.value * 1e9)
    for measures in made.values():
        for one in measures.values():
            low, high = one.get("lower_value", -math.inf), one.get("upper_value", math.inf)
            assert low <= one["value"] <= high


@pytest.mark.parametrize(
    ("form", "unit"), [("github-smaller", "ms"), ("github-bigger", "images/s")]
)
def test_github_action_benchmark_takes_it(source: Source, form: str, unit: str) -> None:
    made = json.loads(exports.EXPORTS[form](source))

    jsonschema.validate(made, GITHUB)
    assert len(made) == len(IMAGES)
    assert {one["unit"] for one in made} == {unit}


@pytest.mark.parametrize("which", ["source", "hostile"])
def test_prometheus_reads_it(which: str, request: pytest.FixtureRequest) -> None:
    run: Source = request.getfixturevalue(which)
    text = exports.openmetrics(run).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}

    steps = {
        sample.labels["image"]: sample.value for sample in families["runner_step_seconds"].samples
    }
    for row in run.table.rows:
        if row.estimate is not None:
            assert steps[row.cell.image] == row.estimate.value
    states = families["runner_cell_status"].samples
    told = {(s.labels["image"], s.labels["runner_cell_status"]) for s in states if s.value == 1}
    assert told == {(row.cell.image, str(row.status)) for row in run.table.rows}
    assert families["runner_step_seconds"].unit == "seconds"


def test_prometheus_reads_hostile_names_as_they_are(hostile: Source) -> None:
    families = text_string_to_metric_families(exports.openmetrics(hostile).decode())
    labels = [sample.labels for family in families for sample in family.samples]

    assert any(one.get("image") == f"evil{HOSTILE}" for one in labels)


def test_asv_reads_it(source: Source, tmp_path: Path) -> None:
    for name, data in exports.FOLDERS["asv"](source).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    machine = next(path.name for path in tmp_path.iterdir() if path.is_dir())
    found: dict[str, Results] = {}
    for result in iter_results_for_machine(str(tmp_path), machine):
        (requirement,) = [*result._requirements.items()] or [("", "")]
        found[" ".join(requirement)] = result

    assert len(found) == 7  # six releases, and one of those that have no release date
    row = source.table.rows[0]
    result = found["keras 1.2.2"]
    params: list[object] = []
    assert row.estimate is not None
    assert result.get_result_value("cifar10-cnn", params) == [row.estimate.value]
    (stats,) = result.get_result_stats("cifar10-cnn", params)
    assert (stats["ci_99_a"], stats["ci_99_b"]) == (row.estimate.low, row.estimate.high)
    (samples,) = result.get_result_samples("cifar10-cnn", params)
    assert row.steady is not None
    assert samples == [seconds for part in row.steady.parts for seconds in part]
    assert result.date == 1487548800000


def test_parquet_is_read_back_with_numbers_as_numbers(source: Source) -> None:
    made = pd.read_parquet(io.BytesIO(exports.parquet(source)))

    assert list(made["image"])[:2] == ["keras-1.2.2-theano-0.9.0", "tensorflow-1.0.0"]
    assert made["median_ms"].dtype == "float64"
    assert list(made["status"])[-2:] == ["build-failed", "oom-host"]


def test_latex_has_one_line_a_cell_and_escapes(source: Source, hostile: Source) -> None:
    text = exports.latex(source).decode()
    lines = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert len(lines) == 1 + len(source.table.rows)
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {6}
    assert "e+0" not in text

    bad = exports.latex(hostile).decode()
    assert "\\{\\{7*7\\}\\}" in bad
    assert "'\\&" in bad


@pytest.mark.parametrize("which", ["source", "hostile"])
def test_latex_is_typeset(which: str, request: pytest.FixtureRequest) -> None:
    """plasTeX expands the macros of a document as TeX does, booktabs' among them."""
    tex = importlib.import_module("plasTeX.TeX")  # it has no types
    run: Source = request.getfixturevalue(which)
    table = exports.latex(run).decode()
    made = tex.TeX()
    made.input(
        "\\documentclass{article}\\usepackage{booktabs}"
        f"\\begin{{document}}\n{table}\\end{{document}}"
    )

    (tabular,) = made.parse().getElementsByTagName("tabular")
    rows = [
        [cell.textContent.strip() for cell in row.childNodes]
        for row in tabular.getElementsByTagName("ArrayRow")
    ]
    rows = [row for row in rows if any(row)]

    assert len(rows) == 1 + len(run.table.rows)
    assert {len(row) for row in rows} == {len(rows[0])}
    unquoted = dict.fromkeys(map(ord, "\"'\u2018\u2019\u201c\u201d"))  # TeX sets quotes its way
    for shown, row in zip(rows[1:], run.table.rows, strict=True):
        assert shown[0].translate(unquoted) == row.cell.image.translate(unquoted)


@pytest.mark.parametrize("which", ["source", "hostile"])
def test_markdown_is_one_table_with_a_row_a_cell(
    which: str, request: pytest.FixtureRequest
) -> None:
    run: Source = request.getfixturevalue(which)
    tokens = (
        MarkdownIt("commonmark", {"html": True}).enable("table").parse(formats.markdown(run.table))
    )

    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 1
    assert kinds.count("tr_open") == 1 + len(run.table.rows)
    width = kinds.count("th_open")
    assert kinds.count("td_open") == width * len(run.table.rows)
    assert "html_block" not in kinds
    inner = [child.type for token in tokens for child in token.children or ()]
    assert "html_inline" not in inner


def test_a_form_goes_to_a_file_or_says_why_not(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    run = str(write_run(tmp_path / "run"))

    assert cli.main(["report", run, "--format", "pyperf", "-o", str(tmp_path / "x.json")]) == 1
    assert json.loads((tmp_path / "x.json").read_text())["version"] == "1.0"
    assert cli.main(["report", run, "--format", "asv"]) == 2
    assert cli.main(["report", run, "--format", "asv", "-o", str(tmp_path / "asv")]) == 1
    assert (tmp_path / "asv" / "benchmarks.json").is_file()
    capfdbinary.readouterr()
    assert cli.main(["report", run, "--format", "csv"]) == 1
    rows = list(csv.DictReader(io.StringIO(capfdbinary.readouterr().out.decode())))
    assert [row["status"] for row in rows[-2:]] == ["build-failed", "oom-host"]
    assert cli.main(["report", run, "--format", "csv", "-o", str(tmp_path)]) == 2
    assert b"cannot be written" in capfdbinary.readouterr().err
