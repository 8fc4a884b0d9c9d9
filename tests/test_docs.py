"""What the documents show is what the program makes of the committed records.

`python -m tests.test_docs` writes the tables anew.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from benchmarks import spread_cells
from runner import published, scaling, store
from runner.config import load_images
from runner.report import formats, releases, scaled, table
from runner.reproduce import Reproduction
from tests import published_docs

ROOT = Path(__file__).parent.parent
MARK = re.compile(r"(<!-- table: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
RELEASES = re.compile(r"(<!-- releases -->\n)(.*?)(<!-- end -->)", re.DOTALL)
SCALING = re.compile(r"(<!-- scaling: ([^>]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
PRINTED = re.compile(r"(<!-- file: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
REPRODUCED = re.compile(r"(<!-- reproduced: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
SUMMARY = re.compile(r"(<!-- reproduced -->\n)(.*?)(<!-- end -->)", re.DOTALL)
PAGES = tuple(
    f"docs/published/{name}.md"
    for name in (
        "tensorlayer-vgg16",
        "high-level-apis",
        "vgg16-xla",
        "pytorch-flux",
        "cifar10-six-libraries",
    )
)
DOCUMENTS = (
    "README.md",
    "docs/gpus.md",
    "docs/published.md",
    "docs/releases.md",
    "docs/scaling.md",
    *PAGES,
)
REFERENCE = ROOT / "results" / "reference"


def made(run: str) -> str:
    folder = ROOT / run
    return formats.markdown(table.build(store.load_run(folder), store.load_records(folder)))


def scaled_beside_published(runs: str) -> str:
    document = published.load_document(ROOT / "results/published/high-level-apis")
    rates: dict[str, dict[int, float]] = {}
    references = {}
    for each in published.numbers(document, published.find_table(document, "multi-gpu")):
        if each.number is not None:
            rates.setdefault(each.row, {})[int(each.column.split()[0])] = float(each.number)
            references[each.facts.workload or ""] = each.facts.reference or ""
    folders = [ROOT / run for run in runs.split()]
    rows = [
        row
        for folder in folders
        for row in scaling.rows(store.load_run(folder), store.load_records(folder))
    ]
    return scaled.markdown(rows, rates, references)


@cache
def reproductions() -> dict[str, dict[str, Reproduction]]:
    return {
        name: published_docs.committed(suite, ROOT, REFERENCE)
        for name, suite in published_docs.suites(ROOT).items()
    }


def reproduced(name: str) -> str:
    if name == "all":
        return published_docs.counts(reproductions(), published_docs.suites(ROOT))
    return published_docs.section(published_docs.suites(ROOT)[name], reproductions()[name])


def reproduced_in_short() -> str:
    return published_docs.short(reproductions(), published_docs.suites(ROOT))


def printed(path: str) -> str:
    """Return what a benchmark printed, as a block of code."""
    return f"```text\n{(ROOT / path).read_text(encoding='utf-8')}```"


def refreshed(text: str) -> str:
    text = MARK.sub(lambda found: f"{found[1]}\n{made(found[2])}\n{found[4]}", text)
    text = SCALING.sub(
        lambda found: f"{found[1]}\n{scaled_beside_published(found[2])}\n{found[4]}", text
    )
    text = PRINTED.sub(lambda found: f"{found[1]}\n{printed(found[2])}\n\n{found[4]}", text)
    text = REPRODUCED.sub(lambda found: f"{found[1]}\n{reproduced(found[2])}\n{found[4]}", text)
    text = SUMMARY.sub(lambda found: f"{found[1]}\n{reproduced_in_short()}\n{found[3]}", text)
    listed = releases.markdown(load_images(ROOT).values())
    return RELEASES.sub(lambda found: f"{found[1]}\n{listed}\n{found[3]}", text)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_tables_are_those_of_the_records_and_the_images(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")

    assert any(mark.search(text) for mark in (MARK, RELEASES, SCALING, PRINTED, REPRODUCED))
    assert refreshed(text) == text


def test_what_cells_on_one_gpu_and_on_two_took_is_what_their_records_say() -> None:
    runs = [store.load_records(REFERENCE / f"h200-eight-on-{count}") for count in ("one", "two")]
    told = (ROOT / "results/benchmarks/spread-cells.txt").read_text(encoding="utf-8")

    assert told.splitlines() == spread_cells.told(*runs)


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/gpus.md",
        "docs/published.md",
        "docs/releases.md",
        "docs/reproduce.md",
        *PAGES,
    ],
)
def test_links_lead_somewhere(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")

    for target in re.findall(r"\]\((?!https:)([^)#]+)\)", text):
        assert (ROOT / path).parent.joinpath(target).exists(), target


def test_every_published_comparison_is_shown_with_a_run_or_without_one() -> None:
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in PAGES]
    shown = [found[2] for text in texts for found in REPRODUCED.finditer(text)]
    known = published_docs.suites(ROOT)

    assert sorted(shown) == sorted(known)
    assert len(known) == 9  # five, and the four of them that have numbers of GPUs


def test_every_exit_status_is_documented() -> None:
    from runner import cli, errors

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    classes = (errors.RunnerError, errors.NothingSelected, errors.BackendUnavailable)
    statuses = {cls.exit_status for cls in classes}
    statuses |= {cli.EXIT_OK, cli.EXIT_INCOMPLETE, cli.EXIT_INTERRUPTED}
    documented = {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}

    assert documented == statuses


if __name__ == "__main__":
    for document in DOCUMENTS:
        path = ROOT / document
        path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")
