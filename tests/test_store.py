from __future__ import annotations

import multiprocessing
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import store
from runner.model import Check, Record, Status
from tests.makers import make_cell, make_record, make_run

SAME = Check(name="parameters", value="7", expected="7", passed=True)


def fell(how: str) -> Check:
    return Check(name="loss_falls", value=how, expected="falls", passed=True)


def test_what_is_appended_is_read_back_equal(tmp_path: Path) -> None:
    records = [make_record(launch=number) for number in range(3)]
    writer = store.Writer(tmp_path / "run", make_run())
    for record in records:
        writer.append(record)
    writer.close()

    assert store.load_records(tmp_path / "run") == records
    assert store.load_run(tmp_path / "run") == make_run()


@given(
    st.text(),
    st.lists(st.floats(min_value=1e-9, max_value=1e9), min_size=1),
    st.sampled_from(list(Status)),
)
def test_any_record_survives(reason: str, losses: list[float], status: Status) -> None:
    record = make_record(reason=reason, losses=tuple(losses), status=status)

    read = msgspec.json.decode(msgspec.json.encode(record), type=Record, strict=False)

    assert read == record


def test_a_torn_last_line_is_dropped_and_written_over(tmp_path: Path) -> None:
    writer = store.Writer(tmp_path, make_run())
    writer.append(make_record(launch=0))
    writer.close()
    path = tmp_path / "records.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])

    assert len(store.load_records(tmp_path)) == 1

    again = store.Writer(tmp_path, make_run())
    again.append(make_record(launch=1))
    again.close()
    assert [record.launch for record in store.load_records(tmp_path)] == [0, 1]


def test_a_file_that_is_one_torn_line_is_empty(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_bytes(b'{"schema": 1, "jo')

    writer = store.Writer(tmp_path, make_run())
    writer.close()

    assert (tmp_path / "records.jsonl").read_bytes() == b""


def _append_forever(folder: Path) -> None:
    writer = store.Writer(folder, make_run())
    for launch in range(1_000_000):
        writer.append(make_record(launch=launch))


def test_records_survive_a_runner_that_is_killed(tmp_path: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=_append_forever, args=(tmp_path,))
    child.start()
    while not (tmp_path / "records.jsonl").exists() or len(store.load_records(tmp_path)) < 20:
        assert child.is_alive()
    child.kill()
    child.join()

    launches = [record.launch for record in store.load_records(tmp_path)]
    assert launches == list(range(len(launches)))
    assert len(launches) >= 20


def test_two_runners_never_write_one_run(tmp_path: Path) -> None:
    first = store.Writer(tmp_path, make_run())

    with pytest.raises(store.StoreError, match="another runner is writing there"):
        store.Writer(tmp_path, make_run())
    first.close()
    store.Writer(tmp_path, make_run()).close()


def test_newer_schemas_are_refused_with_what_to_do(tmp_path: Path) -> None:
    line = msgspec.json.encode(make_record(schema=99)) + b"\n"
    (tmp_path / "records.jsonl").write_bytes(line)

    with pytest.raises(store.StoreError, match=r"records.jsonl:1: written in schema 99.*update it"):
        store.load_records(tmp_path)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    good = msgspec.json.encode(make_record()) + b"\n"
    (tmp_path / "records.jsonl").write_bytes(good + b'{"schema": 1, "job": 7}\n')

    with pytest.raises(store.StoreError, match=r"records.jsonl:2: damaged"):
        store.load_records(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(store.StoreError, match="cannot be written: Not a directory"):
        store.Writer(tmp_path / "file" / "run", make_run())


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(store.StoreError, match=r"run.json: cannot be read"):
        store.load_run(tmp_path)


def test_a_loss_that_is_no_number_is_kept_as_none(tmp_path: Path) -> None:
    writer = store.Writer(tmp_path, make_run())
    writer.append(make_record(losses=(2.0, None), status=Status.CHECK_FAILED, reason="nan"))
    writer.close()

    assert store.load_records(tmp_path)[0].losses == (2.0, None)


def test_runs_are_listed_oldest_first(tmp_path: Path) -> None:
    for name in ("2026-01-02T00-00-00-decade-docker", "2026-01-01T00-00-00-decade-docker"):
        store.Writer(tmp_path / name, make_run()).close()
    (tmp_path / "notes").mkdir()

    assert [folder.name[:10] for folder in store.runs(tmp_path)] == ["2026-01-01", "2026-01-02"]


def test_what_records_have_in_common_is_one_value(tmp_path: Path) -> None:
    cell, other = make_cell("torch-1.0"), make_cell("torch-1.1")
    records = [
        make_record(cell, 0, variables={"A": "1"}, checks=(SAME, fell("2.3 to 0.1"))),
        make_record(other, 0, variables={"A": "1"}, checks=(SAME, fell("2.2 to 0.1"))),
        make_record(cell, 1, variables={"A": "2"}, checks=(SAME, fell("2.1 to 0.1"))),
    ]
    writer = store.Writer(tmp_path, make_run())
    for record in records:
        writer.append(record)
    writer.close()

    first, second, third = store.load_records(tmp_path)

    assert [first, second, third] == records
    assert first.cell is third.cell is not second.cell
    assert first.variables is second.variables is not third.variables
    assert first.checks[0] is second.checks[0] is third.checks[0]
    assert first.limits is second.limits is third.limits


def test_what_is_new_in_every_record_is_not_kept_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_SHARED", 2)
    records = [make_record(launch=n, variables={"A": str(n)}) for n in range(7)]
    writer = store.Writer(tmp_path, make_run())
    for record in records:
        writer.append(record)
    writer.close()

    assert store.load_records(tmp_path) == records


def test_what_a_record_leaves_out_has_its_default(tmp_path: Path) -> None:
    whole = msgspec.json.decode(msgspec.json.encode(make_record()))
    needed = {field.name for field in fields(Record) if field.default is field.default_factory}
    line = {name: value for name, value in whole.items() if name in needed}
    (tmp_path / "records.jsonl").write_bytes(msgspec.json.encode(line) + b"\n")

    (found,) = store.load_records(tmp_path)

    assert found == msgspec.convert(line, Record, strict=False)
    assert (found.command, found.variables, found.environment) == ((), {}, None)


@pytest.mark.parametrize(
    ("part", "value"),
    [("cell", {"suite": 1}), ("variables", {"A": 1}), ("checks", [{"name": "x"}]), ("cores", "0")],
)
def test_a_damaged_part_that_is_shared_is_named_too(
    part: str, value: object, tmp_path: Path
) -> None:
    line = msgspec.json.decode(msgspec.json.encode(make_record())) | {part: value}
    (tmp_path / "records.jsonl").write_bytes(msgspec.json.encode(line) + b"\n")

    with pytest.raises(store.StoreError, match=rf"records.jsonl:1: damaged: .*\$\.{part}"):
        store.load_records(tmp_path)
