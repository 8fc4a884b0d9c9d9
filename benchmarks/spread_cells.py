"""Jobs spread over several GPUs: how much sooner a matrix ends, and whether its numbers stay.

    runner matrix matrix.yaml --suite gpu-eight --gpu 0 --results DIR
    runner matrix matrix.yaml --suite gpu-eight --results DIR
    python -m benchmarks.spread_cells RUN_ON_ONE_GPU RUN_ON_ALL

Printed: the time from the first job's start to the last one's end in each run, their ratio,
and each cell's median step in both. Starting takes some ten seconds of a job, and two that
start at once share the host, so that the ratio stays above one over the number of GPUs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from runner import cells
from runner.model import Record
from runner.stats.estimate import estimate
from runner.store import load_records


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spread_cells")
    parser.add_argument("one", type=Path, metavar="RUN_ON_ONE_GPU")
    parser.add_argument("all", type=Path, metavar="RUN_ON_ALL")
    asked = parser.parse_args()
    one, spread = load_records(asked.one), load_records(asked.all)
    print("\n".join(told(one, spread)))


def told(one: Sequence[Record], spread: Sequence[Record]) -> list[str]:
    """Return both runs' times and medians in words.

    Raises:
        KeyError: a cell of the first run has no number in the second.
    """
    seconds, seconds_spread = span_s(one), span_s(spread)
    before, after = medians(one), medians(spread)
    ratios = {label: after[label] / value for label, value in before.items()}
    lines = [
        f"{len(one)} jobs on {gpus(one)}: {seconds:.0f} s",
        f"{len(spread)} jobs on {gpus(spread)}: {seconds_spread:.0f} s, "
        f"{seconds_spread / seconds:.3f} of that",
    ]
    for label, ratio in ratios.items():
        lines.append(
            f"  {label}: {before[label] * 1e3:.1f} and {after[label] * 1e3:.1f} ms ({ratio:.4f})"
        )
    furthest = max(abs(ratio - 1) for ratio in ratios.values())
    return [*lines, f"medians are {furthest:.2%} apart at most"]


def span_s(records: Sequence[Record]) -> float:
    """Return seconds from the first job's start to the last one's end; starts are whole seconds."""
    starts = [datetime.fromisoformat(record.started_at).timestamp() for record in records]
    ends = [start + (record.wall_s or 0.0) for start, record in zip(starts, records, strict=True)]
    return max(ends) - min(starts)


def medians(records: Sequence[Record]) -> dict[str, float]:
    """Return {cell: median step in seconds}."""
    found = cells.by_cell(records)
    return {
        label: estimate(cells.steady_parts(cells.good(cells.current(each))).parts).value
        for label, each in sorted(found.items())
    }


def gpus(records: Sequence[Record]) -> str:
    """Return how many different GPUs the jobs ran on."""
    found = {gpu.uuid for record in records if (gpu := record.gpu)}
    return f"{len(found)} GPU" + ("" if len(found) == 1 else "s")


if __name__ == "__main__":
    main()
