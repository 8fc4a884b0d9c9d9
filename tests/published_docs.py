"""What the documents say of the published comparisons, from the runs of them that are committed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from runner import reproduce_summary, reproduce_text, store
from runner.config import load_matrix
from runner.model import Suite
from runner.published import load_document
from runner.reproduce import PROTOCOLS, Reproduction, reproduce

BACKENDS = ("docker", "process")


def suites(root: Path) -> dict[str, Suite]:
    """Return the suites of published comparisons, which the documents show."""
    images = [folder.name for folder in root.glob("images/*")]
    matrix = load_matrix(root / "matrix.yaml", images)
    return {name: suite for name, suite in matrix.suites.items() if suite.published}


def committed(suite: Suite, root: Path, results: Path) -> dict[str, Reproduction]:
    """Return what a suite's runs make of it, by backend; none where none is in `results`.

    Args:
        results: holds them as SUITE-BACKEND.
    """
    document = load_document(root / "results" / "published" / suite.published)
    found = {}
    for backend in BACKENDS:
        folder = results / f"{suite.name}-{backend}"
        if (folder / "run.json").is_file():
            run, records = store.load_run(folder), store.load_records(folder)
            found[backend] = reproduce(document, suite, run, records)
    return found


def section(suite: Suite, runs: Mapping[str, Reproduction]) -> str:
    """Return a suite's tables as each of its runs made them."""
    return "\n".join(_parts(suite, runs))


def _parts(suite: Suite, runs: Mapping[str, Reproduction]) -> Iterator[str]:
    if not runs:
        yield f"{_none(suite)}.\n"
        return
    yield f"{reproduce_summary.summary(runs.values())}\n"
    refused: list[tuple[str, ...]] = []
    for backend, made in runs.items():
        folder = f"results/reference/{suite.name}-{backend}"
        yield f"### {suite.name} on {backend}\n"
        reasons = _reasons(made)
        if reasons in refused:
            yield f"No number here either, for the same reasons: `{folder}`.\n"
            continue
        if not any(found.launches for again in made.tables for found in again.found):
            refused.append(reasons)
        yield reproduce_text.markdown(made, level=4)
        yield f"Made by `runner reproduce {suite.name} --run {folder} --format markdown`.\n"


def _reasons(made: Reproduction) -> tuple[str, ...]:
    """Return why each number is not there, in order; empty where it is."""
    return tuple(found.reason for again in made.tables for found in again.found)


def counts(everything: Mapping[str, Mapping[str, Reproduction]], known: Mapping[str, Suite]) -> str:
    """Return a table of all runs where a number was made, under both protocols; what has no run.

    Args:
        everything: name of a suite to its runs by backend.
    """
    runs = [made for runs in everything.values() for made in runs.values()]
    return _told(runs, everything, known, PROTOCOLS)


def short(everything: Mapping[str, Mapping[str, Reproduction]], known: Mapping[str, Suite]) -> str:
    """Return the same of one run a suite, the first, as published."""
    runs = [next(iter(runs.values())) for runs in everything.values() if runs]
    return _told(runs, everything, known, ("as-published",))


def _told(
    runs: Sequence[Reproduction],
    everything: Mapping[str, Mapping[str, Reproduction]],
    known: Mapping[str, Suite],
    protocols: Sequence[str],
) -> str:
    parts = [reproduce_summary.summary(runs, protocols, empty=False)] if runs else []
    lacking = [f"- {_none(known[name])}" for name, found in everything.items() if not found]
    return "\n\n".join(parts + ["\n".join(lacking)] * bool(lacking)) + "\n"


def _none(suite: Suite) -> str:
    return f"{suite.name}: no run of it is committed; `runner reproduce {suite.name}` makes one"
