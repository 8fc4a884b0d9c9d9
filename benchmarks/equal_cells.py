"""A against A on real jobs: how often do cells that do the same work come out as different?

    runner matrix matrix.yaml --suite equal
    python -m benchmarks.equal_cells results/RUN

The cells of suite `equal` differ in a learning rate, which costs nothing: every verdict but
`same` and `ambiguous` between two of one image is a false alarm. Printed of each comparison by
itself at 95 %, and of all of an image's corrected as `runner compare` corrects a table; beside
them what pyperf's and asv's tests say of the same steps, which take these for independent.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.coverage.alternatives import asv_differs, pyperf_differs
from runner import cells
from runner.stats.compare import Comparison, Launches, compare, compare_all
from runner.stats.estimate import estimate
from runner.store import load_records


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.equal_cells")
    parser.add_argument("run", type=Path)
    records = cells.by_cell(load_records(parser.parse_args().run))
    images: defaultdict[str, list[Launches]] = defaultdict(list)
    for found in records.values():
        good = cells.good(cells.current(found))
        images[good[0].cell.image].append(cells.steady_parts(good).parts)
    alone, corrected = Counter[str](), Counter[str]()
    alarms = {"pyperf's test": 0, "asv's test": 0}
    for name, sides in sorted(images.items()):
        pairs = list(combinations(sides, 2))
        one_by_one = [compare(base, other) for base, other in pairs]
        together = compare_all(pairs)
        print(f"{name}: {len(sides)} equal cells; {said(sides, one_by_one)}")
        print(f"  each by itself: {counted(one_by_one)}; corrected: {counted(together)}")
        alone.update(str(found.verdict) for found in one_by_one)
        corrected.update(str(found.verdict) for found in together)
        for base, other in pairs:
            steps = [np.concatenate(side)[None] for side in (base, other)]
            alarms["pyperf's test"] += int(pyperf_differs(*steps).sum())
            alarms["asv's test"] += int(asv_differs(*steps).sum())
    for title, verdicts in (("each by itself", alone), ("corrected for their number", corrected)):
        false = verdicts["faster"] + verdicts["slower"]
        print(f"{title}: {false} false alarms in {verdicts.total()}")
    for title, false in alarms.items():
        print(f"{title} of all steps: {false} false alarms in {alone.total()}")


def said(sides: Sequence[Launches], found: Sequence[Comparison]) -> str:
    """Return how the cells lie: launches, spread between them, and the ratio furthest from 1."""
    spread = [estimate(launches).between_cv or 0.0 for launches in sides]
    furthest = max((pair.ratio for pair in found), key=lambda ratio: max(ratio, 1 / ratio))
    launches = sorted({len(launches) for launches in sides})
    return (
        f"{'-'.join(map(str, launches))} launches each, which spread by {min(spread):.1%} to "
        f"{max(spread):.1%}; the ratio furthest from 1 is {furthest:.4f}"
    )


def counted(found: Sequence[Comparison]) -> str:
    verdicts = Counter(str(pair.verdict) for pair in found)
    return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())


if __name__ == "__main__":
    main()
