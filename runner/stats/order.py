"""The order in which cells are launched."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def order(cells: Sequence[Item], launches: int, seed: int) -> list[tuple[Item, int]]:
    """Return (cell, launch number) pairs: rounds over all cells, each shuffled anew.

    A drift of the machine's speed then touches every cell alike, and no cell always follows
    the same neighbour. Sorted by ``random()``, the one method whose sequence for a seed Python
    promises to keep between versions.

    Source: randomised complete blocks, Fisher, The Design of Experiments (1935), chapter 4;
    for benchmarks in randomised interleaving: Abedi and Brecht, ICPE 2017, 287-292.
    """
    generator = random.Random(seed)
    rounds: list[tuple[Item, int]] = []
    for launch in range(launches):
        cells_of_round = sorted(cells, key=lambda _: generator.random())
        rounds.extend((cell, launch) for cell in cells_of_round)
    return rounds
