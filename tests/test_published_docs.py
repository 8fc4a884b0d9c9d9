"""What the documents say of published comparisons, on made-up runs of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import published_docs
from tests.report_makers import ROOT, write_published_run

SUITE = "vgg16-xla"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    write_published_run(folder / f"{SUITE}-docker", SUITE)
    return folder


def test_a_run_is_found_by_suite_and_backend_and_all_its_tables_are_shown(results: Path) -> None:
    suite = published_docs.suites(ROOT)[SUITE]
    runs = published_docs.committed(suite, ROOT, results)
    text = published_docs.section(suite, runs)

    assert list(runs) == ["docker"]
    headings = re.findall(r"^##### (.+)$", text, re.MULTILINE)
    titles = [each.table.title for each in runs["docker"].tables]
    protocols = [each.protocol for each in runs["docker"].tables]
    assert headings[:4] == [f"{t}: {p}" for t, p in zip(titles, protocols, strict=True)]
    assert "| Keras (Theano backend) | 241.478 ms / " in text
    assert "--run results/reference/vgg16-xla-docker --format markdown" in text
    assert "|  |" not in text


def test_long_tables_are_folded_and_those_of_the_documents_shape_are_not(results: Path) -> None:
    suite = published_docs.suites(ROOT)[SUITE]
    text = published_docs.section(suite, published_docs.committed(suite, ROOT, results))
    open_ = re.sub(r"<details.*?</details>", "", text, flags=re.DOTALL)

    assert text.count("<details") == text.count("</details>") == 5
    assert "| ratio there |" not in open_
    assert "| Framework | Time |" in open_


def test_the_summary_counts_every_number_once_and_says_what_has_no_run(results: Path) -> None:
    known = published_docs.suites(ROOT)
    everything = {
        name: published_docs.committed(suite, ROOT, results) for name, suite in known.items()
    }
    lines = published_docs.short(everything, known).splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith(f"| {SUITE}")]

    assert [(row[1], row[4]) for row in rows] == [
        ("VGG16 without batch normalisation", "6"),
        ("VGG16 with batch normalisation after each convolution", "12"),
    ]
    assert {(row[2], row[3]) for row in rows} == {("docker, quick", "as-published")}
    for row in rows:
        assert sum(map(int, row[5:10])) == int(row[4])
        assert re.fullmatch(r"step time: -?\d\.\d\d \(-?\d\.\d\d to \d\.\d\d\)", row[10])
    lacking = [line for line in lines if "no run of it is committed" in line]
    assert len(lacking) == len(known) - 1


def test_without_any_run_there_is_a_sentence_a_suite_and_no_table(tmp_path: Path) -> None:
    known = published_docs.suites(ROOT)

    text = published_docs.short({name: {} for name in known}, known)

    assert "|" not in text
    assert text.count("`runner reproduce ") == len(known)
    for name, suite in known.items():
        assert published_docs.committed(suite, ROOT, tmp_path) == {}
        assert published_docs.section(suite, {}).startswith(f"{name}: no run of it is committed")


def test_a_run_that_was_refused_like_another_is_told_in_a_line() -> None:
    name = "vgg16-xla-gpu"
    suite = published_docs.suites(ROOT)[name]
    runs = published_docs.committed(suite, ROOT, ROOT / "results" / "reference")
    text = published_docs.section(suite, runs)

    assert list(runs) == ["docker", "process"]
    assert text.count("| Framework | Time |") == 4
    assert "No number here either, for the same reasons: `results/reference/" in text
