"""The remarks below a table: what its numbers stand on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from runner.model import GpuMemory, Peak, Record

# People tell images apart by twelve digits; the record has them all.
_SHA256 = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")


def of_speeds(rows: Sequence[Mapping[str, float | None]], peak: Peak | None) -> list[str]:
    """Say what GFLOP/s are counted from and what the peak is, where a row has them."""
    if all(numbers["gflops"] is None for numbers in rows):
        return []
    said = "GFLOP/s: two for each multiply-add of the network's definition"
    if peak is not None and any(numbers["peak_percent"] is not None for numbers in rows):
        said += f"; peak: {peak.flops / 1e9:.4g} GFLOP/s, {peak.method}"
    return [said]


def of_left_out(records: int) -> list[str]:
    """Say how many records are of an older identity."""
    if records == 0:
        return []
    return [f"{records} older records left out: another script, lock, limit or host made them"]


def _short_digests(text: str) -> str:
    return _SHA256.sub(r"\1", text)


def of_records(records: Sequence[Record]) -> list[str]:
    """Say what data, substituted bases and ways of reading memory the numbers stand on."""
    remarks = []
    data = sorted({record.hello.data for record in records if record.hello is not None})
    if data:
        remarks.append(f"data: {'; '.join(data)}")
    substitutes = sorted(
        {
            (base.reference.partition("@")[0], base.substituted_by)
            for record in records
            if record.environment is not None
            and (base := record.environment.base) is not None
            and base.substituted_by is not None
        }
    )
    remarks += [
        f"base substituted: {_short_digests(by)} stands in for {name}" for name, by in substitutes
    ]
    methods = sorted({record.memory.method for record in records if record.memory is not None})
    if methods:
        remarks.append(f"memory: {'; '.join(methods)}, while measuring")
    return remarks


_GPU_MEMORY = {
    "sampling": "what the driver lists for the job's processes, read from outside while measuring",
    "accounting": "the driver's high-water mark of the whole job",
    "allocator": "the framework's word of its own pool",
}


def of_gpu_memory(peaks: Iterable[Sequence[GpuMemory]]) -> list[str]:
    """Say how each cell's peaks of GPU memory were come by."""
    methods = sorted({peak.method for found in peaks for peak in found})
    told = "; ".join(_GPU_MEMORY[method] for method in methods)
    return [f"GPU memory: {told}"] if told else []
