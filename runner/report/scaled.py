"""What more GPUs bring, here and in a published table, side by side in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from runner.report.formats import significant
from runner.scaling import Communicated, Scaled
from runner.stats.compare import Verdict, judge

HEADS = ("what", "GPUs", "images/s", "efficiency (%)", "95 % interval", "shape")
COMMUNICATION_HEADS = (
    "what",
    "GPUs",
    "step (ms)",
    "not hidden (ms)",
    "all-reduce (ms)",
    "of the step (%)",
    "gradients (MB)",
    "bandwidth in the step (GB/s)",
    "alone (GB/s)",
    "of it (%)",
)
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

    Where cells told what their all-reduce costs, a table of it stands below.

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
    cost = _communication(rows)
    return _table(lines) + (f"\n{cost}" if cost else "")


def _communication(rows: Sequence[Scaled]) -> str:
    """Return what all-reduce costs each cell that told it; empty where none did.

    `not hidden` is what a step takes longer than without any sum; `all-reduce` how long the
    kernels ran, hidden or not. Bandwidths are NCCL's bus bandwidth: of a step's gradients, and
    of a large all-reduce by itself.
    """
    told = [(row, row.communication) for row in rows if row.communication is not None]
    if not told:
        return ""
    lines = [COMMUNICATION_HEADS, (":---",) + ("---:",) * (len(COMMUNICATION_HEADS) - 1)]
    return _table(lines + [_cost(row, each) for row, each in told])


def _cost(row: Scaled, cost: Communicated) -> tuple[str, ...]:
    kernels = ["not told"] * 2
    bandwidth = ["not told", significant(cost.link_bandwidth_bytes_per_s / 1e9, 3), "not told"]
    if cost.all_reduce_s is not None and cost.all_reduce_bandwidth_bytes_per_s is not None:
        reached = cost.all_reduce_bandwidth_bytes_per_s
        kernels = [_thousandfold(cost.all_reduce_s), _percent(cost.all_reduce_s, cost.step_s)]
        bandwidth[0] = significant(reached / 1e9, 3)
        bandwidth[2] = _percent(reached, cost.link_bandwidth_bytes_per_s)
    return (
        _name(row),
        str(row.gpus),
        _thousandfold(cost.step_s),
        _thousandfold(cost.exposed_communication_s),
        *kernels,
        significant(cost.reduced_bytes / 1e6, 3),
        *bandwidth,
    )


def _thousandfold(seconds: float) -> str:
    return significant(seconds * 1000, 3)


def _percent(part: float, whole: float) -> str:
    return significant(part / whole * 100, 3)


def _table(lines: Sequence[tuple[str, ...]]) -> str:
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
    name = _name(row)
    rate = row.missing if row.rate is None else significant(row.rate, 3)
    if row.gpus == 1 or row.efficiency is None:
        said = "-" if row.gpus == 1 else row.missing
        return name, str(row.gpus), rate, said, "-", "-"
    interval = "one launch"
    if row.low is not None and row.high is not None:
        interval = f"{row.low * 100:.1f} to {row.high * 100:.1f}"
    efficiency = significant(row.efficiency * 100, 3)
    return name, str(row.gpus), rate, efficiency, interval, _shape(row, published)


def _name(row: Scaled) -> str:
    kept = ("precision", "batch")
    said = "".join(
        f", {key} {row.cell.parameters[key]}" for key in kept if key in row.cell.parameters
    )
    return f"{row.cell.image}/{row.cell.workload}{said}"


def _shape(row: Scaled, published: float | None) -> str:
    if published is None:
        return f"not published on {row.gpus} GPUs"
    if row.low is None or row.high is None:
        return "no verdict: one launch has no interval"
    # `judge` reads ratios of times, of which an efficiency is the inverse
    return SAID[judge(published / row.high, published / row.low, MARGIN)]
