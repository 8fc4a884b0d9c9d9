from __future__ import annotations

import csv
import io
import json
import random
from dataclasses import replace

import pytest
from rich.console import Console

from runner.model import GpuMemory, GpuUse, MemoryUse, Peak, Sampling, Status
from runner.report import formats, table
from runner.report.table import COLUMNS
from tests.makers import make_cell, make_record, make_run, make_samples

GOOD = make_cell("torch-1.0")
BAD = make_cell("theano-0.9")
SKIPPED = make_cell("flux-0.6")


def memory(mib: int) -> MemoryUse:
    return MemoryUse(
        peak_bytes=mib * 1024**2,
        average_bytes=mib * 1024**2,
        readings=9,
        interval_s=0.1,
        method="cgroup v2 memory.stat anon",
    )


def make_table() -> table.Table:
    records = [
        make_record(GOOD, 0, samples=(make_samples(0.10, 0.11, 0.10),), memory=memory(300)),
        make_record(GOOD, 1, samples=(make_samples(0.12, 0.12, 0.12),), memory=memory(310)),
        make_record(GOOD, 2, status=Status.TIMEOUT, reason="not done after 60 s"),
        make_record(BAD, 0, status=Status.BUILD_FAILED, reason="no | such <wheel>", samples=()),
        make_record(SKIPPED, 0, status=Status.SKIPPED, reason="needs Julia"),
    ]
    return table.build(make_run((GOOD, BAD, SKIPPED, make_cell("jax-0.1"))), records)


def test_numbers_are_those_of_the_launches_that_went_well() -> None:
    row = make_table().rows[0]

    assert row.numbers["median_ms"] == pytest.approx(110.0)
    assert row.numbers["images_per_s"] == pytest.approx(128 / 0.11)
    assert row.numbers["cold_start_s"] == 3.5
    assert row.numbers["memory_peak_mib"] == 305
    assert (row.launches, row.asked) == (2, 3)
    assert row.reason == "2 of 3 launches; one ended timeout: not done after 60 s"


def test_every_cell_has_a_row_and_every_box_a_number_or_why_not() -> None:
    made = make_table()

    assert [row.status for row in made.rows] == ["ok", "build-failed", "skipped", "killed"]
    for row in made.rows:
        for column in COLUMNS:
            assert formats.shown(row, column).strip()
    assert formats.shown(made.rows[1], COLUMNS[0]) == "build-failed"
    assert made.rows[3].reason == "not measured: the run ended before its turn"


def test_one_launch_says_so_where_an_interval_would_stand() -> None:
    made = table.row(GOOD, [make_record(GOOD)], Sampling(launches=1))

    assert made.numbers["interval_percent"] is None
    assert made.missing["interval_percent"] == "one launch"


def test_two_backends_never_stand_in_one_table() -> None:
    records = [make_record(GOOD, 0), make_record(GOOD, 1, backend="docker")]

    with pytest.raises(ValueError, match="docker and process cannot stand in one table"):
        table.build(make_run(), records)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.012345, 3, "0.0123"),
        (1.2, 3, "1.20"),
        (9.999, 3, "10.0"),
        (123.4, 3, "123"),
        (12345.6, 3, "12300"),
        (0.0, 2, "0"),
    ],
)
def test_numbers_are_rounded_to_significant_digits(value: float, digits: int, text: str) -> None:
    assert formats.significant(value, digits) == text


def test_markdown_keeps_its_columns_whatever_a_reason_holds() -> None:
    lines = formats.markdown(make_table()).splitlines()
    rows = [line for line in lines if line.startswith("|")]

    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
    assert "- theano-0.9/cifar10-cnn: build-failed: no \\| such &lt;wheel>" in lines


def test_csv_is_whole_and_read_back() -> None:
    rows = list(csv.DictReader(io.StringIO(formats.csv(make_table()))))

    assert [row["status"] for row in rows] == ["ok", "build-failed", "skipped", "killed"]
    assert float(rows[0]["median_ms"]) == pytest.approx(110.0)
    assert rows[1]["median_ms"] == "build-failed"
    assert rows[1]["reason"] == "no | such <wheel>"


def test_json_has_parameters_and_phases() -> None:
    made = json.loads(formats.as_json(make_table()))

    assert made["rows"][0]["parameters"]["batch"] == 128
    assert made["rows"][0]["phases_s"] == {"first-step": 2.5}
    assert made["rows"][1]["median_ms"] is None
    assert made["rows"][1]["status"] == "build-failed"


@pytest.mark.parametrize("width", [80, 140])
def test_a_terminal_shows_each_image_and_status(width: int) -> None:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(formats.rich_table(make_table(), width))
    text = console.export_text()

    assert all(len(line) <= width for line in text.splitlines())
    for word in ("torch-1.0", "theano-0.9", "110", "skipped"):
        assert word in text


def test_a_row_among_many_is_the_row_alone() -> None:
    random_ = random.Random(1)
    measured = []
    for number, launches in enumerate((0, 1, 2, 5, 6, 12, 3)):
        cell = make_cell(f"torch-1.{number}")
        records = [
            make_record(
                cell,
                launch,
                samples=(make_samples(*(random_.uniform(0.1, 0.12) for _ in range(5 + number))),),
                memory=memory(300 + launch),
            )
            for launch in range(launches)
        ]
        failed = make_record(cell, launches, status=Status.TIMEOUT, reason="late", samples=())
        measured.append((cell, [*records, failed]))

    found = table.rows(measured, Sampling(), Peak(flops=1e12, method="made up"))

    alone = [
        table.row(cell, records, Sampling(), Peak(flops=1e12, method="made up"))
        for cell, records in measured
    ]
    assert found == alone
    assert [row.status for row in found] == ["timeout", *["ok"] * 6]


def test_no_cells_are_no_rows() -> None:
    assert table.rows([], Sampling()) == []


def gpu_facts(uuid: str) -> dict[str, str]:
    return {"name": "NVIDIA H100", "uuid": uuid}


def test_a_run_on_gpus_names_them_and_shows_the_memory_that_a_job_held_there() -> None:
    cell = replace(GOOD, device="cuda")
    gpu = GpuUse(
        uuid="GPU-0",
        memory=(
            GpuMemory(peak_bytes=90 * 2**20, method="allocator"),
            GpuMemory(peak_bytes=300 * 2**20, method="sampling", interval_s=0.1),
        ),
    )
    host = {"cpu_model": "Test CPU", "gpus": [gpu_facts("GPU-0"), gpu_facts("GPU-1")]}
    run = make_run((cell,), host=host)
    unsampled = replace(gpu, memory=gpu.memory[:1])

    made = table.build(run, [make_record(cell, gpu=gpu), make_record(cell, 1, gpu=unsampled)])
    without = table.build(make_run((GOOD,), host=host), [make_record(GOOD)])
    unseen = table.build(run, [make_record(cell)])

    assert made.rows[0].numbers["gpu_memory_peak_mib"] == 300
    assert made.subtitle.endswith("cores a job, NVIDIA H100")
    assert unseen.subtitle.endswith("2 x NVIDIA H100")
    assert "GPU memory (MiB)" in formats.markdown(made)
    assert any(remark.startswith("GPU memory: what the driver lists") for remark in made.remarks)
    assert "GPU" not in formats.markdown(without)
    assert "gpu_memory_peak_mib" not in formats.csv(without)
    assert ",not seen," in formats.csv(unseen)


def refused(number: int) -> table.Row:
    cell = replace(
        make_cell("keras-1.2.2-tensorflow-1.0.0"),
        variant=f"as-published,layout=channels_first,batch_norm=keras-mode-{number}",
    )
    reason = "code up to 6.x" if number else "something else"
    record = make_record(cell, status=Status.UNSUPPORTED_DEVICE, reason=reason)
    return table.row(cell, [record], Sampling(launches=3))


def test_a_reason_that_rows_share_is_told_once_with_how_many() -> None:
    rows = tuple(map(refused, (1, 0, 2)))

    lines = formats.notes(table.Table(title="", subtitle="", rows=rows, remarks=()))

    assert len(lines) == 2
    assert lines[0].startswith(f"{rows[0].cell.label} and 1 more: unsupported-device: ")
    assert lines[1] == f"{rows[1].cell.label}: unsupported-device: something else"


@pytest.mark.parametrize("width", [50, 60, 80, 200])
def test_long_names_give_way_to_statuses_and_counts(width: int) -> None:
    rows = (refused(1),)
    made = table.Table(title="", subtitle="", rows=rows, remarks=())
    text = io.StringIO()
    console = Console(width=width, file=text)

    console.print(formats.rich_table(made, width))

    shown = text.getvalue()
    assert "unsupported-device " in shown
    assert "0/3" in shown
