"""Two runs, or two images of one, held against each other."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from runner import compare
from runner.cli import main
from runner.compare import ComparisonRefused, Loaded
from runner.errors import ConfigurationError
from runner.model import Cell, Limits, Record, Sampling, Status
from runner.report import comparison
from tests.makers import make_cell, make_record, make_run, make_samples

TORCH = make_cell("torch-1.0")
JAX = make_cell("jax-0.1")
XLA = make_cell("jax-0.1", variant="compiler=xla", compiler="xla")
STEPS = (0.1000, 0.1001, 0.0999, 0.1002, 0.0998)


def records(cell: Cell, factor: float = 1.0, **changes: object) -> list[Record]:
    return [
        make_record(cell, number, samples=(make_samples(*[factor * step] * 3),), **changes)
        for number, step in enumerate(STEPS)
    ]


def loaded(name: str, *found: list[Record], **changes: object) -> Loaded:
    cells = tuple(dict.fromkeys(own[0].cell.label for own in found))
    by_label = {own[0].cell.label: own[0].cell for own in found}
    run = make_run(tuple(by_label[label] for label in cells), id=name, **changes)
    return Loaded(run=run, records=tuple(record for own in found for record in own))


def two(**changes: object) -> compare.Compared:
    base = loaded("a", records(TORCH), records(JAX))
    other = loaded("b", records(TORCH, 1.5), records(JAX, 1.001), **changes)
    return compare.runs(base, other, margin=0.02, force=False)


def test_each_cell_has_its_ratio_its_interval_and_its_verdict() -> None:
    slower, same = two().rows

    assert (slower.label, slower.verdict) == ("torch-1.0/cifar10-cnn", "slower")
    assert slower.compared is not None
    assert slower.compared.ratio == pytest.approx(1.5)
    assert slower.compared.low is not None
    assert 1.48 < slower.compared.low < 1.5
    assert slower.compared.cells == 2
    assert same.verdict == "same"
    assert slower.launches == (5, 5)


def test_a_cell_that_one_side_lacks_is_missing_and_says_why() -> None:
    bad = [make_record(JAX, 0, status=Status.TIMEOUT, reason="not done after 9 s", samples=())]
    base = loaded("a", records(TORCH), records(JAX))

    found = compare.runs(base, loaded("b", bad), margin=0.02, force=False)

    assert [row.verdict for row in found.rows] == ["missing", "missing"]
    assert found.rows[0].missing == "other: has no such cell"
    assert found.rows[1].missing == "other: timeout: not done after 9 s"


def test_two_protocols_are_compared_and_named() -> None:
    published = replace(TORCH, protocol="as-published", suite="old")

    found = compare.runs(
        loaded("a", records(TORCH)), loaded("b", records(published)), margin=0.02, force=False
    )

    assert found.rows[0].verdict == "same"
    assert "protocol: fair and as-published" in found.remarks


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"backend": "docker"}, "backend: 'process' and 'docker'"),
        ({"host": {"cpu_model": "Other CPU"}}, "cpu_model: 'Test CPU' and 'Other CPU'"),
        ({"host": {"cpu_model": "Test CPU", "turbo": True}}, "turbo: None and True"),
        ({"fingerprint": "e" * 16}, f"host fingerprint: {'f' * 16} and {'e' * 16}"),
    ],
)
def test_conditions_that_differ_are_refused_each_by_its_name(
    changes: dict[str, object], named: str
) -> None:
    with pytest.raises(ComparisonRefused) as caught:
        two(**changes)

    assert f"\n  {named}\n" in str(caught.value)
    assert "--force" in str(caught.value)


def test_limits_that_differ_are_refused() -> None:
    base = loaded("a", records(TORCH))
    narrow = Limits(memory_bytes=1024**3)
    other = loaded("b", records(TORCH, limits=narrow, cores=(0,)))

    with pytest.raises(ComparisonRefused) as caught:
        compare.runs(base, other, margin=0.02, force=False)

    assert "limit memory_bytes: 8589934592 and 1073741824" in str(caught.value)
    assert "limit core numbers: (0, 1) and (0,)" in str(caught.value)
    forced = compare.runs(base, other, margin=0.02, force=True)
    assert len(forced.differences) == 2
    assert any("in spite of limit memory_bytes" in note for note in comparison.notes(forced))


def test_another_number_of_steps_or_engine_is_a_remark() -> None:
    found = two(sampling=Sampling(measure_steps=9), engine={"uv": "0.14"})

    assert set(found.remarks) == {"measured steps: 20 and 9", "engine's uv: 0.13 and 0.14"}


def test_two_images_of_one_run_are_matched_by_their_work() -> None:
    one = loaded("a", records(TORCH), records(JAX, 0.5), records(XLA))

    found = compare.images(one, "torch-1.0", "jax-0.1", margin=0.02)

    assert [(row.label, row.verdict) for row in found.rows] == [
        ("cifar10-cnn", "faster"),
        ("jax-0.1/cifar10-cnn/compiler=xla", "missing"),
    ]
    with pytest.raises(ConfigurationError, match=r"no image 'torch-1\.1'; did you mean"):
        compare.images(one, "torch-1.1", "jax-0.1", margin=0.02)


def test_every_format_says_the_same() -> None:
    found = two()
    console = Console(width=150, file=io.StringIO(), record=True)
    console.print(comparison.rich_table(found))

    assert "1.5000" in console.export_text()
    assert "| torch-1.0/cifar10-cnn | 100.0 | 150.0 | 1.5000 |" in comparison.markdown(found)
    rows = list(csv.DictReader(io.StringIO(comparison.csv(found))))
    assert [row["verdict"] for row in rows] == ["slower", "same"]
    assert float(rows[0]["ratio"]) == pytest.approx(1.5)
    made = json.loads(comparison.as_json(found))
    assert made["rows"][0]["ratio"] == pytest.approx(1.5)
    assert (made["base"], made["other"]) == ("a", "b")


def store(results: Path, one: Loaded) -> None:
    folder = results / one.run.id
    folder.mkdir(parents=True)
    (folder / "run.json").write_bytes(msgspec.json.encode(one.run))
    lines = b"".join(msgspec.json.encode(record) + b"\n" for record in one.records)
    (folder / "records.jsonl").write_bytes(lines)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["a", "b"], 0),
        (["a", "b", "--fail-on", "slower"], 1),
        (["a", "b", "--fail-on", "slower", "--margin", "60%"], 0),
        (["a", "b", "--fail-on", "ambiguous", "--fail-on", "missing"], 0),
        (["b", "a", "--fail-on", "slower"], 0),
        (["b", "a", "--fail-on", "faster"], 1),
        (["a", "c"], 2),
        (["a", "c", "--force"], 0),
        (["a", "--image", "torch-1.0", "--image", "jax-0.1"], 0),
        (["a"], 2),
        (["a", "b", "--image", "torch-1.0"], 2),
        (["a", "b", "--margin", "wide"], 2),
        (["a", "nosuch"], 2),
    ],
)
def test_the_command_line_and_its_exit_status(
    arguments: list[str], status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(tmp_path, loaded("a", records(TORCH), records(JAX)))
    store(tmp_path, loaded("b", records(TORCH, 1.5), records(JAX)))
    store(tmp_path, loaded("c", records(TORCH), records(JAX), backend="docker"))

    assert main(["compare", *arguments, "--results", str(tmp_path), "--format", "csv"]) == status

    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    assert shown.out.startswith("workload,") == (status != 2)
