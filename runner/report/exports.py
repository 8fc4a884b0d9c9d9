"""A run in the forms that other tools read: one function a form, listed in EXPORTS.

What has no number is left out where a form has no word for it, and said where it has one.
Sources of the forms: pyperf's documentation of its JSON, version 1.0; Bencher Metric Format,
version 0; github-action-benchmark's custom tools; OpenMetrics 1.0; asv's results, version 2.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime

from runner.errors import RunnerError
from runner.model import Status
from runner.report.exports_asv import asv
from runner.report.formats import frame, significant
from runner.report.panel import images_per_s
from runner.report.source import Source
from runner.report.table import Row

_MIB = 1024**2
_DIGITS = {
    "median_ms": 3,
    "interval_percent": 2,
    "images_per_s": 3,
    "cold_start_s": 3,
    "memory_peak_mib": 4,
}


class ExportError(RunnerError):
    """A run cannot be put into a form; the message says why and what to do."""


def _measured(source: Source) -> Iterator[Row]:
    return (row for row in source.table.rows if row.estimate is not None)


def _dumped(value: object) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


# ------------------------------------------------------------------------------------- pyperf


def pyperf(source: Source) -> bytes:
    """Return pyperf's JSON: a benchmark a cell, a run a launch, in seconds.

    Values are the steps of each launch's steady part; all before them are warm-ups, the cold
    first step too, so that pyperf estimates from the same steps as the table.
    """
    benchmarks = [
        {
            "metadata": {"name": row.cell.label, "unit": "second", "loops": 1},
            "runs": list(_pyperf_runs(row)),
        }
        for row in _measured(source)
    ]
    if not benchmarks:
        msg = f"run {source.run.id}: no cell has a number, and pyperf knows no empty file"
        raise ExportError(msg)
    facts = {
        "cpu_model_name": str(source.run.host.get("cpu_model") or "unknown"),
        "hostname": source.run.fingerprint,
        "runner_backend": source.run.backend,
        "runner_run": source.run.id,
    }
    return _dumped({"version": "1.0", "metadata": facts, "benchmarks": benchmarks})


def _pyperf_runs(row: Row) -> Iterator[dict[str, object]]:
    if row.steady is None:
        return
    for record, part in zip(row.used, row.steady.parts, strict=True):
        samples = record.samples[0]
        before = samples.measured_s[: len(samples.measured_s) - len(part)]
        warmups = (samples.first_s, *samples.warmup_s, *before)
        moment = datetime.fromisoformat(record.started_at).replace(tzinfo=None)
        yield {
            "metadata": {
                "date": moment.isoformat(sep=" ", timespec="microseconds"),
                "duration": record.wall_s,
            },
            "warmups": [[1, seconds] for seconds in warmups],
            "values": list(part),
        }


# ------------------------------------------------------------------- Bencher, GitHub's action


def bencher(source: Source) -> bytes:
    """Return Bencher's metric format: latency in ns and throughput in images/s, with bounds."""
    return _dumped({row.cell.label: _bencher_measures(row) for row in _measured(source)})


def _bencher_measures(row: Row) -> dict[str, object]:
    speed, slow, fast = images_per_s(row)
    times, cold = row.estimate, row.numbers["cold_start_s"]
    peak = row.numbers["memory_peak_mib"]
    assert times is not None
    known = {
        "latency": (times.value * 1e9, _scaled(times.low, 1e9), _scaled(times.high, 1e9)),
        "throughput": (speed, slow, fast),
        "cold-start": (cold, None, None),
        "memory-peak": (_scaled(peak, _MIB), None, None),
    }
    return {
        name: {
            key: number
            for key, number in zip(("value", "lower_value", "upper_value"), values, strict=True)
            if number is not None
        }
        for name, values in known.items()
        if values[0] is not None
    }


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def github_smaller(source: Source) -> bytes:
    """Return github-action-benchmark's ``customSmallerIsBetter``: median step in ms."""
    return _dumped([_github(row, "median_ms", "ms") for row in _measured(source)])


def github_bigger(source: Source) -> bytes:
    """Return github-action-benchmark's ``customBiggerIsBetter``: images a second."""
    return _dumped([_github(row, "images_per_s", "images/s") for row in _measured(source)])


def _github(row: Row, key: str, unit: str) -> dict[str, object]:
    value, half = row.numbers[key], row.numbers["interval_percent"]
    assert value is not None
    spread = {} if half is None else {"range": f"± {half:.2g} %"}
    extra = f"{row.launches} of {row.asked} launches"
    return {"name": row.cell.label, "unit": unit, "value": value, **spread, "extra": extra}


# -------------------------------------------------------------------------------- OpenMetrics


def openmetrics(source: Source) -> bytes:
    """Return OpenMetrics text: gauges a cell, and a state set of its status."""
    lines = list(_info(source))
    families: tuple[tuple[str, str, str, Callable[[Row], float | None]], ...] = (
        ("step_seconds", "seconds", "median step", _value),
        ("step_low_seconds", "seconds", "95 % from", _low),
        ("step_high_seconds", "seconds", "95 % to", _high),
        ("images_per_second", "", "images a second", lambda row: row.numbers["images_per_s"]),
        ("cold_start_seconds", "seconds", "cold start", lambda row: row.numbers["cold_start_s"]),
        (
            "memory_peak_bytes",
            "bytes",
            "peak memory",
            lambda row: _scaled(row.numbers["memory_peak_mib"], _MIB),
        ),
        ("launches", "", "launches that went well", lambda row: float(row.launches)),
    )
    for name, unit, words, value in families:
        lines += _head(f"runner_{name}", "gauge", unit, words)
        for row in source.table.rows:
            number = value(row)
            if number is not None:
                lines.append(f"runner_{name}{_labels(source, row)} {number!r}")
    lines += _head("runner_cell_status", "stateset", "", "how the cell ended")
    for row in source.table.rows:
        for status in Status:
            state = _labels(source, row, runner_cell_status=str(status))
            lines.append(f"runner_cell_status{state} {int(row.status is status)}")
    return "\n".join([*lines, "# EOF", ""]).encode()


def _value(row: Row) -> float | None:
    return None if row.estimate is None else row.estimate.value


def _low(row: Row) -> float | None:
    return None if row.estimate is None else row.estimate.low


def _high(row: Row) -> float | None:
    return None if row.estimate is None else row.estimate.high


def _head(name: str, kind: str, unit: str, words: str) -> list[str]:
    made = [f"# TYPE {name} {kind}"]
    made += [f"# UNIT {name} {unit}"] if unit else []
    return [*made, f"# HELP {name} {words}"]


def _info(source: Source) -> Iterator[str]:
    run = source.run
    yield from _head("runner_run", "info", "", "the run that all of this is of")
    facts = {"run": run.id, "suite": run.suite, "backend": run.backend, "machine": run.fingerprint}
    yield f"runner_run_info{_braces(facts)} 1"


def _labels(source: Source, row: Row, **more: str) -> str:
    cell = row.cell
    facts = {"suite": cell.suite, "image": cell.image, "workload": cell.workload}
    facts |= {"variant": cell.variant, "backend": source.run.backend, **more}
    return _braces(facts)


def _braces(labels: dict[str, str]) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "{" + ",".join(f'{name}="{escaped(text)}"' for name, text in labels.items()) + "}"


# ----------------------------------------------------------------------------- LaTeX, Parquet


def latex(source: Source) -> bytes:
    """Return a LaTeX table (booktabs): labels, main numbers; a missing number is its status."""
    from pandas import isna

    made = frame(source.table)
    columns = {
        "image": "image",
        "workload": "workload",
        "variant": "variant",
        "median_ms": "step (ms)",
        "interval_percent": "± (%)",
        "images_per_s": "images/s",
        "cold_start_s": "cold start (s)",
        "memory_peak_mib": "memory (MiB)",
    }
    if not made["variant"].any():
        del columns["variant"]
    shown = made[list(columns)].astype(object)
    for column in (name for name in columns if name in _DIGITS):
        shown[column] = [
            str(status) if isna(value) else significant(value, _DIGITS[column])
            for value, status in zip(shown[column], made["status"], strict=True)
        ]
    style = shown.rename(columns=columns).style.hide(axis="index")
    style = style.format(escape="latex").format_index(escape="latex", axis="columns")
    left = 3 if "variant" in columns else 2
    text = style.to_latex(hrules=True, column_format="l" * left + "r" * (len(columns) - left))
    return text.encode()


def parquet(source: Source) -> bytes:
    """Return the table as Parquet: the columns of ``csv``, numbers as numbers.

    Raises:
        ExportError: pyarrow is not installed.
    """
    import io

    made = frame(source.table)
    buffer = io.BytesIO()
    try:
        made.to_parquet(buffer, engine="pyarrow", index=False)
    except ImportError:
        msg = "parquet: needs pyarrow; install it, or take --format csv"
        raise ExportError(msg) from None
    return buffer.getvalue()


EXPORTS: dict[str, Callable[[Source], bytes]] = {
    "latex": latex,
    "parquet": parquet,
    "pyperf": pyperf,
    "bencher": bencher,
    "github-smaller": github_smaller,
    "github-bigger": github_bigger,
    "openmetrics": openmetrics,
}
FOLDERS: dict[str, Callable[[Source], dict[str, bytes]]] = {"asv": asv}
