"""What a table is made of, read without the rest of its records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from runner import store
from runner.model import Check, Record, Status
from runner.report import formats, table
from tests.makers import make_record, make_run
from tests.report_makers import write_hostile_run, write_published_run, write_run


@pytest.mark.parametrize("write", [write_run, write_hostile_run, write_published_run])
def test_a_table_needs_no_more_than_is_read_for_it(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    folder = write(tmp_path / "run")
    run = store.load_run(folder)

    made = [
        formats.markdown(table.build(run, store.load_records(folder, for_table=lean)))
        for lean in (False, True)
    ]

    assert made[0] == made[1]


def write_records(folder: Path, *records: Record) -> Path:
    writer = store.Writer(folder, make_run((records[0].cell,)))
    for record in records:
        writer.append(record)
    writer.close()
    return folder


def test_losses_and_checks_are_those_of_each_first_good_launch(tmp_path: Path) -> None:
    checks = (Check(name="parameters", value="7", expected="7", passed=True),)
    first = make_record(
        losses=(2.0, 1.0), checks=checks, command=("python",), variables={"A": "b"}, log="logs/0"
    )
    bad = replace(first, status=Status.CRASHED, reason="it fell")
    second = replace(first, launch=1)
    edited = replace(first, launch=2, identity="another")
    folder = write_records(tmp_path / "run", bad, first, second, edited)

    found = store.load_records(folder, for_table=True)

    assert [bool(record.losses) for record in found] == [False, True, False, True]
    assert [bool(record.checks) for record in found] == [False, True, False, True]
    assert (found[1].losses, found[1].checks) == (first.losses, first.checks)


@pytest.mark.parametrize("write", [write_run, write_hostile_run])
def test_what_is_read_is_what_is_stored(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    folder = write(tmp_path / "run")

    for whole, lean in zip(
        store.load_records(folder), store.load_records(folder, for_table=True), strict=True
    ):
        for name in set(store.IN_TABLES) - {"losses", "checks"}:
            assert_same(getattr(whole, name), getattr(lean, name))


def assert_same(whole: object, lean: object) -> None:
    """Hold every field that the lean value has against the whole one's."""
    if isinstance(lean, tuple) and isinstance(whole, tuple):
        for one, other in zip(whole, lean, strict=True):
            assert_same(one, other)
    elif isinstance(lean, msgspec.Struct):
        for name in lean.__struct_fields__:
            assert_same(getattr(whole, name), getattr(lean, name))
    else:
        assert whole == lean


@pytest.mark.parametrize(
    ("name", "refused"), [("samples", True), ("wall_s", True), ("command", False)]
)
def test_what_is_read_is_checked(tmp_path: Path, name: str, refused: bool) -> None:
    folder = write_records(tmp_path / "run", make_record())
    path = folder / "records.jsonl"
    damaged = {**msgspec.json.decode(path.read_bytes()), name: {"no": "such thing"}}
    path.write_bytes(msgspec.json.encode(damaged) + b"\n")

    with pytest.raises(store.StoreError, match=r"records.jsonl:1: damaged"):
        store.load_records(folder)
    if refused:
        with pytest.raises(store.StoreError, match=r"records.jsonl:1: damaged"):
            store.load_records(folder, for_table=True)
    else:
        assert len(store.load_records(folder, for_table=True)) == 1


def test_what_is_not_json_is_refused_anywhere(tmp_path: Path) -> None:
    folder = write_records(tmp_path / "run", make_record())
    path = folder / "records.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"variables":', b'"variables"'))

    with pytest.raises(store.StoreError, match=r"records.jsonl:1: damaged"):
        store.load_records(folder, for_table=True)
