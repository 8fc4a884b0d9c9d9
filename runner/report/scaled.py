"""What more GPUs bring, here and in a published table, side by side in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from runner.report.formats import significant
from runner.scaling import Scaled
from runner.stats.compare import Verdict, judge

HEADS = ("what", "GPUs", "images/s", "efficiency (%)", "95 % interval", "shape")
MARGIN = 0.10
SAID = {
    Verdict.SAME: "reproduced",
    Verdict.FASTER: "differs: scales better",
    Verdict.SLOWER: "differs: scales worse",
    Verdict.AMBIGUOUS: "ambiguous",
}

Rates = Mapping[int, float]


def markdown(
    rows: Sequence[Scaled], published: Mapping[str, Rates], references: Mapping[str, str]
) -> str:
    """Return published rates and measured ones, each over as many times that of one GPU.

    The shape is reproduced where the whole interval of the efficiency lies within 10 % of that
    published for the same network and number of GPUs.

    Args:
        published: images a second by number of GPUs, for each published row.
        references: workload to the published row that its scaling is held to.
    """
    lines = [HEADS, tuple(":---" if head in ("what", "shape") else "---:" for head in HEADS)]
    lines += _published(published)
    lines += [
        _measured(
            row, _efficiency(published.get(references.get(row.cell.workload, ""), {}), row.gpus)
        )
        for row in rows
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _published(published: Mapping[str, Rates]) -> Iterator[tuple[str, ...]]:
    for name, rates in published.items():
        for count, rate in rates.items():
            efficiency = _efficiency(rates, count)
            said = "-" if efficiency is None or count == 1 else significant(efficiency * 100, 3)
            yield f"published: {name}", str(count), f"{rate:.0f}", said, "not stated", "-"


def _efficiency(rates: Rates, count: int) -> float | None:
    return rates[count] / (count * rates[1]) if 1 in rates and count in rates else None


def _measured(row: Scaled, published: float | None) -> tuple[str, ...]:
    name = f"{row.cell.image}/{row.cell.workload}"
    kept = ("precision", "batch")
    name += "".join(f", {key} {row.cell.parameters[key]}" for key in kept)
    rate = row.missing if row.rate is None else significant(row.rate, 3)
    if row.gpus == 1 or row.efficiency is None:
        said = "-" if row.gpus == 1 else row.missing
        return name, str(row.gpus), rate, said, "-", "-"
    interval = "one launch"
    if row.low is not None and row.high is not None:
        interval = f"{row.low * 100:.1f} to {row.high * 100:.1f}"
    efficiency = significant(row.efficiency * 100, 3)
    return name, str(row.gpus), rate, efficiency, interval, _shape(row, published)


def _shape(row: Scaled, published: float | None) -> str:
    if published is None:
        return f"not published on {row.gpus} GPUs"
    if row.low is None or row.high is None:
        return "no verdict: one launch has no interval"
    # `judge` reads ratios of times, of which an efficiency is the inverse
    return SAID[judge(published / row.high, published / row.low, MARGIN)]
