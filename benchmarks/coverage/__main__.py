"""``python -m benchmarks.coverage [--quick] [--seed N]``, from the root of the repository."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks.coverage import comparisons, detection, intervals, ordering, ranks, stopping


def main() -> int:
    """Print every table, and what is promised and not kept; 1 if there is any. Seeded."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the simulations")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    share = 0.1 if options.quick else 1.0
    began = time.monotonic()
    broken: list[str] = []
    sections: tuple[tuple[Callable[[np.random.Generator, int], list[str] | None], int], ...] = (
        (intervals.over_series, 2000),
        (intervals.over_launches, 2000),
        (comparisons.false_alarms, 150),
        (comparisons.smallest_found, 2000),
        (detection.main, 150),
        (stopping.main, 1000),
        (ordering.main, 200),
        (ranks.main, 300),
    )
    for number, (section, simulations) in enumerate(sections):
        rng = np.random.default_rng((options.seed, number))
        broken += section(rng, max(20, round(share * simulations))) or []
    print(f"\nseed {options.seed}; {time.monotonic() - began:.0f} s")
    for line in broken:
        print(f"promised and not kept: {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
