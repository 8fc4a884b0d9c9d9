"""results/: one folder a run. Append, load, upgrade old schemas.

``run.json`` says what was asked for, on what host; ``records.jsonl`` has one line a job,
fsynced before the next starts; ``logs/`` what each job wrote beside its contract.
"""

from __future__ import annotations

import fcntl
import gc
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from pathlib import Path
from types import GenericAlias, MappingProxyType
from typing import Any, cast, get_type_hints

import msgspec

from runner.errors import ConfigurationError, RunnerError
from runner.model import (
    Cell,
    Check,
    EnvironmentFacts,
    Hello,
    MemoryUse,
    Phase,
    Record,
    Run,
    Samples,
    Status,
)

SCHEMA = 1
SHARED = ("cell", "sampling", "limits", "cores", "environment", "command", "variables", "hello")
IN_TABLES = (
    *("schema", "cell", "launch", "backend", "status", "reason", "started_at", "wall_s", "cores"),
    *("seed", "identity", "environment", "hello", "phases", "samples", "losses", "checks"),
    *("memory", "gpu", "communication"),
)
# Images are held against each other by one launch each.
FIRST = ("losses", "checks")
# What is new in every record would fill the memory that sharing saves.
MOST_SHARED = 65536
READ_BYTES = 2**18

# version -> function that turns a record's plain data of that version into the next one's
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


class StoreError(RunnerError):
    """A run's folder cannot be read or written; the message says which and why."""


def now() -> str:
    """Return this moment in UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def new_run_id(suite: str, backend: str) -> str:
    """Return a folder name that sorts by time and says what it is."""
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
    return f"{moment}-{suite}-{backend}"


class Writer:
    """The folder of a run under way; holds its lock until closed.

    Raises:
        StoreError: another runner is writing there, or the folder cannot be made.
    """

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder = folder
        try:
            (folder / "logs").mkdir(parents=True, exist_ok=True)
            self._file = (folder / "records.jsonl").open("ab+")
        except OSError as error:
            msg = f"{folder}: cannot be written: {error.strerror}"
            raise StoreError(msg) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            msg = f"{folder}: another runner is writing there; wait for it, or start a new run"
            raise StoreError(msg) from None
        _drop_torn_line(self._file.fileno())
        if not (folder / "run.json").exists():
            _write_whole(folder / "run.json", msgspec.json.format(msgspec.json.encode(run)))

    def append(self, record: Record) -> None:
        """Store one record so that it survives whatever comes next."""
        self._file.write(msgspec.json.encode(record) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def log_path(self, job_id: str, number: int) -> Path:
        """Return where a job's log goes; `number` keeps repeated launches apart."""
        return self.folder / "logs" / f"{number:04d}-{job_id}.log"

    def close(self) -> None:
        """Give the folder up for others."""
        self._file.close()


def _drop_torn_line(descriptor: int) -> None:
    """Cut what a runner that was killed left after the last whole line; its job is repeated."""
    size = os.fstat(descriptor).st_size
    end = size
    while end > 0:
        start = max(0, end - 65536)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_run(folder: Path) -> Run:
    """Read run.json.

    Raises:
        StoreError: there is none, it is of a newer schema, or it is damaged.
    """
    path = folder / "run.json"
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}; a run's folder holds run.json"
        raise StoreError(msg) from None
    _refuse_newer(path, data)
    try:
        return msgspec.json.decode(data, type=Run, strict=False)
    except msgspec.DecodeError as error:
        msg = f"{path}: damaged: {error}"
        raise StoreError(msg) from None


class _Versioned(msgspec.Struct):
    schema: int


def _refuse_newer(path: Path, data: bytes) -> int:
    try:
        schema = msgspec.json.decode(data, type=_Versioned).schema
    except msgspec.DecodeError as error:
        msg = f"{path}: damaged: {error}"
        raise StoreError(msg) from None
    if schema > SCHEMA:
        msg = f"{path}: written in schema {schema}; this runner reads up to {SCHEMA}: update it"
        raise StoreError(msg)
    return schema


def load_records(folder: Path, *, for_table: bool = False) -> list[Record]:
    """Read all records of a run, oldest first; a torn last line is left out.

    What records have in common (cell, environment, command ...) they share in memory.

    Args:
        for_table: read what a table is made of: IN_TABLES alone, and losses and checks of each
            cell's first launch of an identity that ended ``ok`` (the others' are empty), as
            msgspec's own type in place of Record, without any other attribute. A third of the
            time; that the rest is JSON is checked, no more.

    Raises:
        StoreError: a whole line is damaged, or of a newer schema.
    """
    path = folder / "records.jsonl"
    if not path.exists():
        return []
    # Nothing here makes cycles, and the collector would look through every record again and
    # again as their number grows: a third of the time for 100,000 of them.
    collected = gc.isenabled()
    gc.disable()
    try:
        reader = _TableReader() if for_table else _Reader()
        return list(_records(path, reader.record))
    finally:
        if collected:
            gc.enable()


def _records(path: Path, read: Callable[[bytes], Record]) -> Iterator[Record]:
    # A line is about as long as the usual buffer, and would mostly be put together from two.
    with path.open("rb", buffering=READ_BYTES) as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                record = read(line)
            except msgspec.DecodeError:
                record = None
            if record is not None and record.schema == SCHEMA:
                yield record
            else:
                yield _of_another_schema(path.with_name(f"{path.name}:{number}"), line)


class _Reader:
    """Decodes the lines of one file; what many of them have in common is decoded once and shared.

    Most of a line (its cell, environment, command, checks ...) is the same in many others of its
    run. Such a part is first left as bytes and looked up: equal bytes become the same value, which
    saves two thirds of the memory that many records take.
    """

    def __init__(self) -> None:
        hints = get_type_hints(Record)
        self._shared = [(name, _Shared(hints[name])) for name in SHARED]
        self._checks = _Shared(Check)
        raw = {**dict.fromkeys(SHARED, msgspec.Raw), "checks": tuple[msgspec.Raw, ...]}
        self._line = msgspec.json.Decoder(_struct(Record, other=raw), strict=False)

    def record(self, line: bytes) -> Record:
        """Decode a line.

        Raises:
            msgspec.DecodeError: it is no record of today's schema.
        """
        values = msgspec.structs.asdict(self._line.decode(line))
        for name, shared in self._shared:
            values[name] = shared[bytes(values[name])]
        values["checks"] = tuple([self._checks[bytes(check)] for check in values["checks"]])
        return Record(**values)


class _TableReader:
    """Decodes of each line what a table is made of; see ``load_records``."""

    def __init__(self) -> None:
        hints = get_type_hints(Record)
        self._cells = _Shared(Cell)
        self._first = [(name, msgspec.json.Decoder(hints[name], strict=False)) for name in FIRST]
        self._seen: set[tuple[bytes, str | None]] = set()
        lean = {
            "environment": _struct(EnvironmentFacts, ("base",)) | None,
            "hello": _struct(Hello, ("data",)) | None,
            "phases": GenericAlias(tuple, (_struct(Phase), ...)),
            "samples": GenericAlias(tuple, (_struct(Samples), ...)),
            "memory": _struct(MemoryUse, ("peak_bytes", "method")) | None,
            **dict.fromkeys(("cell", *FIRST), msgspec.Raw),
        }
        self._line = msgspec.json.Decoder(_struct(Record, IN_TABLES, lean), strict=False)

    def record(self, line: bytes) -> Record:
        """Decode a line; raises as that of all of it does."""
        found = self._line.decode(line)
        cell = bytes(found.cell)
        found.cell = self._cells[cell]
        result = (cell, found.identity)
        first = found.status is Status.OK and result not in self._seen
        if first:
            self._seen.add(result)
        for name, decoder in self._first:
            setattr(found, name, decoder.decode(getattr(found, name)) if first else ())
        return cast(Record, found)


def _struct(
    kind: type[Any], names: Sequence[str] = (), other: Mapping[str, Any] = MappingProxyType({})
) -> type[Any]:
    """Return fields of a dataclass, or all, as msgspec's own type, which is made much faster.

    Args:
        other: types that take the place of a field's own; of Raw, the default is JSON.
    """
    hints = {**get_type_hints(kind), **other}
    made: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in fields(kind):
        hint, default = hints[field.name], field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        if names and field.name not in names:
            continue
        if default is MISSING:
            made.append((field.name, hint))
        elif hint is msgspec.Raw:
            made.append((field.name, hint, msgspec.Raw(msgspec.json.encode(default))))
        else:
            made.append((field.name, hint, default))
    return msgspec.defstruct(kind.__name__, made, kw_only=True, gc=False)


class _Shared(dict[bytes, Any]):
    """JSON to its value: decoded when it is first asked for."""

    def __init__(self, kind: Any) -> None:  # noqa: ANN401 - whatever a field of Record may be
        self._decoder = msgspec.json.Decoder(kind, strict=False)

    def __missing__(self, encoded: bytes) -> Any:  # noqa: ANN401
        if len(self) >= MOST_SHARED:
            self.clear()
        value = self[encoded] = self._decoder.decode(encoded)
        return value


def _of_another_schema(where: Path, line: bytes) -> Record:
    """Decode a line that is no record of this schema: an older one, or damaged."""
    schema = _refuse_newer(where, line)
    try:
        return _upgraded(line, schema)
    except msgspec.DecodeError as error:
        msg = f"{where}: damaged: {error}"
        raise StoreError(msg) from None


def _upgraded(line: bytes, schema: int) -> Record:
    data = msgspec.json.decode(line)
    for version in range(schema, SCHEMA):
        data = UPGRADES[version](data)
    return msgspec.convert(data, Record, strict=False)


def runs(results: Path) -> list[Path]:
    """Return the folders of all runs below `results`, oldest first."""
    return sorted((path.parent for path in results.glob("*/run.json")), key=lambda p: p.name)


def find_run(name: Path, results: Path) -> Path:
    """Return a run's folder by its path, its name below `results`, or ``latest``.

    Raises:
        ConfigurationError: there is no such run; the message lists what there is.
    """
    folders = runs(results)
    if str(name) == "latest" and folders:
        return folders[-1]
    for candidate in (name, results / name):
        if (candidate / "run.json").is_file():
            return candidate
    from runner.documents import hint  # reads YAML, which nothing else here needs

    near = hint(name.name, [folder.name for folder in folders])
    raise ConfigurationError(str(name), [f"no run; {results}/ has: {near}"])
