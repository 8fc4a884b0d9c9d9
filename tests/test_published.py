"""The registry of published numbers: faithful to the digit, sound, and right about its slips.

The documents themselves are not in the repository. Where RUNNER_SEED_DOCUMENTS names a folder that
holds them, every number of theirs is held against the registry in both directions; elsewhere the
checksums that the registry keeps stand in.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import NamedTuple

import jsonschema
import pytest

from runner import published
from runner.documents import SCHEMAS
from runner.errors import ConfigurationError, RunnerError
from runner.parameters import SWITCHES_OF_ALL
from runner.published import Document, PublishedNumber, PublishedTable, Revision
from runner.reproduce.values import TIMES
from runner.stats.as_published import AS_PUBLISHED

FOLDER = Path(__file__).parent.parent / "results" / "published"
DOCUMENTS = published.load(FOLDER)
SUITES = [document.suite for document in DOCUMENTS]
IMAGES = {path.name for path in (FOLDER.parents[1] / "images").iterdir()}


def find(suite: str) -> Document:
    return published.find(DOCUMENTS, suite)


def cell(
    suite: str, table: str, row: str, column: str, revision: str | None = None
) -> PublishedNumber:
    (found,) = [
        number
        for number in published.all_numbers(find(suite))
        if (number.revision, number.table, number.row, number.column)
        == (revision, table, row, column)
    ]
    return found


def every_table() -> Iterator[tuple[Document, Revision | None, PublishedTable]]:
    for document in DOCUMENTS:
        yield from ((document, None, table) for table in document.tables)
        for revision in document.revisions:
            yield from ((document, revision, table) for table in revision.tables)


def text_of(table: PublishedTable) -> str:
    return "\n".join("\t".join(row) for row in (table.columns, *table.rows))


# ------------------------------------------------------------------- without the documents


def test_the_five_documents_are_there_in_order() -> None:
    assert SUITES == [
        "tensorlayer-vgg16",
        "high-level-apis",
        "vgg16-xla",
        "pytorch-flux",
        "cifar10-six-libraries",
    ]


def test_the_schema_is_a_schema() -> None:
    schema = json.loads((SCHEMAS / published.SCHEMA).read_text(encoding="utf-8"))

    jsonschema.Draft202012Validator.check_schema(schema)


def test_every_table_holds_what_its_checksum_says() -> None:
    wrong = []
    for document, revision, table in every_table():
        cells = published.numbers(document, table, revision)
        found = published.Checksum(
            numbers=sum(each.value is not None for each in cells),
            absent=sum(each.value is None for each in cells),
            sha256=hashlib.sha256(text_of(table).encode()).hexdigest(),
        )
        if found != table.checksum:
            wrong.append(f"{document.suite} {revision and revision.id} {table.id}: {found}")

    assert wrong == []


def test_digits_units_and_emphasis_are_kept_as_printed() -> None:
    slowest = cell("pytorch-flux", "gpu-models", "Resnet152 / Pytorch 0.4.1", "Backward Pass")

    assert (slowest.printed, slowest.value, slowest.unit) == ("__0.05337 s__", "0.05337", "s")
    assert slowest.emphasised
    assert slowest.number == Decimal("0.05337")
    assert cell("cifar10-six-libraries", "parameters", "all", "printed").number == 1250858


def test_absent_values_are_absent() -> None:
    printed = {
        number.printed
        for document in DOCUMENTS
        for number in published.all_numbers(document)
        if number.value is None
    }

    assert printed == {"", "-", "N/A", "OOM", "none", "didn't test"}
    unmeasured = cell("pytorch-flux", "gpu-models", "Resnet50 / Flux 0.6.8+", "Inference")
    assert (unmeasured.printed, unmeasured.value, unmeasured.number) == ("-", None, None)


def test_commented_out_tables_are_marked_and_empty() -> None:
    document = find("pytorch-flux")
    hidden = [t for t in document.tables if t.commented_out and t.kind == "results"]

    assert [table.id for table in hidden] == ["cpu-models-hidden", "cpu-layers-hidden"]
    for table in hidden:
        assert {number.value for number in published.numbers(document, table)} == {None}


def test_the_innermost_fact_wins() -> None:
    suite = "pytorch-flux"
    on_gpu = cell(suite, "gpu-models", "Resnet101 / Pytorch 0.4.1", "Forward Pass").facts
    smaller = cell(suite, "gpu-models", "Resnet50 / Pytorch 0.4.1", "Forward Pass").facts
    stale = cell(suite, "gpu-models", "Resnet101 / Pytorch 0.4.1", "Inference").facts
    convolution = cell(suite, "gpu-layers", "Conv3x3/1 / Pytorch 0.4.1", "Forward Pass").facts
    dense = cell(suite, "gpu-layers", "Dense / Pytorch 0.4.1", "Forward Pass").facts
    flux = cell(suite, "gpu-models", "Resnet50 / Flux 0.6.8+", "Forward Pass").facts

    assert (on_gpu.batch, smaller.batch, convolution.batch) == (4, 8, 1)
    assert (on_gpu.metric, on_gpu.workload, on_gpu.device) == ("forward_time", "resnet101", "cuda")
    assert on_gpu.reference == "Resnet101 / Pytorch 0.4.1"
    assert (convolution.estimator, flux.estimator) == ("minimum", "minimum")
    assert (dense.estimator or "").startswith("mean")
    assert stale.estimator == "one training forward printed as inference"
    assert (flux.image, flux.parameters) == ("flux-0.6.10", {"part": "forward"})
    assert flux.stands_in_for


def test_every_result_can_be_launched_compared_and_traced() -> None:
    for document in DOCUMENTS:
        for table in document.tables:
            for number in published.numbers(document, table):
                if table.kind != "results":
                    continue
                facts = number.facts
                assert facts.image in IMAGES, number
                assert facts.workload, number
                assert facts.metric, number
                assert facts.better, number
                assert facts.estimator, number
                assert facts.reference, number
                assert facts.hardware, number
                assert facts.device, number
                assert facts.batch, number


def test_numbers_of_other_revisions_say_what_they_are() -> None:
    for document in DOCUMENTS:
        for number in published.all_numbers(document):
            if number.revision is None:
                continue
            facts = number.facts
            assert facts.metric, number
            assert facts.hardware, number
            assert facts.device, number
            assert number.unit or "accuracy" in facts.metric or "loss" in facts.metric, number


def test_a_revision_takes_no_versions_from_the_document() -> None:
    suite = "high-level-apis"
    own = cell(suite, "single-gpu", "VGG16 on fake ImageNet", "Keras").facts
    row = "VGG on fake ImageNet"
    older = cell(suite, "single-gpu", row, "Keras", "2017-05-11").facts
    apart = cell(
        "tensorlayer-vgg16", "throughput", "TensorLayer", "CIFAR-10", "2017-09-14-throughput"
    )

    assert own.software_stated["TensorFlow"] == "1.13.1"
    assert older.software_stated == {"TensorFlow": "1.1", "cuDNN": "5.1"}
    assert (older.unit, older.hardware) == ("images/s", "NVIDIA Tesla M40")
    assert (apart.facts.batch, apart.facts.workload, apart.unit) == (None, None, "images/s")


def test_defects_add_their_parameters_and_never_disagree() -> None:
    loss = cell("cifar10-six-libraries", "results", "5 epo loss", "tensorflow")

    assert {"softmax-twice", "rmsprop-without-memory"} <= set(loss.defects)
    for document in DOCUMENTS:
        by_id = {defect.id: defect for defect in document.defects}
        assert len(by_id) == len(document.defects)
        for number in published.all_numbers(document):
            seen: dict[str, object] = {}
            for each in number.defects:
                for name, value in by_id[each].parameters.items():
                    assert seen.setdefault(name, value) == value, (number, name)


def test_a_switch_is_a_defect_s_and_never_a_row_s_own() -> None:
    switches = {switch.name for switch in SWITCHES_OF_ALL}
    for document in DOCUMENTS:
        for table in document.tables:
            for number in published.numbers(document, table):
                assert not switches & set(number.facts.parameters), number


def test_every_result_of_a_time_names_an_estimator_that_there_is() -> None:
    for document in DOCUMENTS:
        for table in document.tables:
            for number in published.numbers(document, table):
                timed = number.facts.metric in (*TIMES, "images_per_second", "epoch_time")
                if table.kind == "results" and timed:
                    known = {*AS_PUBLISHED, "difference_of_minima"}
                    assert number.facts.statistic in known, number


def test_every_estimator_of_the_schema_is_one_that_there_is() -> None:
    schema = json.loads((SCHEMAS / published.SCHEMA).read_text(encoding="utf-8"))
    named = schema["$defs"]["facts"]["properties"]["statistic"]["enum"]

    assert set(named) == {*AS_PUBLISHED, "difference_of_minima"}


def test_a_defect_says_how_it_comes_back_or_why_not() -> None:
    for document in DOCUMENTS:
        for defect in document.defects:
            assert bool(defect.parameters) != bool(defect.otherwise), defect.id


# ---------------------------------------------------------------------- with the documents

# Digits that are part of a name (VGG16, conv2d_1, i7-6850K) are no numbers.
NUMBER = re.compile(r"(?<![\w.-])\d+(?:[.,]\d+)*(?:e-\d+)?")


def numbers_in(text: str) -> list[str]:
    """Return every number of a Markdown text in order; links, list marks, footnotes are no text."""
    text = re.sub(r"<sup>.*?</sup>|<a .*?</a>|<!--|-->", " ", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    text = re.sub(r"^\s*\d+\. ", "", text, flags=re.MULTILINE)
    return NUMBER.findall(text.replace("__", " "))


def numbers_of(table: PublishedTable) -> list[str]:
    """Return every number that the registry says a table prints, in order.

    The header is the document's own only in its Markdown tables, and in a ``text`` the first
    column is our description where it is called ``what``.
    """
    rows = [table.columns] if table.kind in ("results", "settings") else []
    if table.commented_out and table.id == "cpu-models-hidden":
        rows = []  # it goes on under the header of the table before it
    described = table.kind == "text" and table.columns[0] == "what"
    return numbers_in("\n".join("\t".join(row[described:]) for row in (*rows, *table.rows)))


def markdown_tables(text: str) -> list[list[tuple[str, ...]]]:
    """Return the tables of a Markdown text, rule lines left out; a comment begins a new one."""
    tables: list[list[tuple[str, ...]]] = []
    open_table = False
    for line in text.replace("<!--", "\n\n").replace("-->", "").splitlines():
        cells = [re.sub(r"<sup>.*?</sup>", "", each) for each in line.strip().split("|")[1:-1]]
        # a log of training uses the same bar; it has no bar at its end
        if not line.strip().startswith("|") or not line.strip().endswith("|"):
            open_table = False
            continue
        if not open_table:
            tables.append([])
        open_table = True
        if not all(re.fullmatch(r"\s*:?-+:?\s*", each) for each in cells):
            tables[-1].append(tuple(" ".join(each.split()) for each in cells))
    return tables


@pytest.fixture(params=SUITES)
def document(request: pytest.FixtureRequest) -> Document:
    return find(request.param)


@pytest.fixture
def original(document: Document) -> str:
    folder = os.environ.get("RUNNER_SEED_DOCUMENTS")
    if not folder:
        pytest.skip("RUNNER_SEED_DOCUMENTS names no folder with the original documents")
    data = (Path(folder) / document.file).read_bytes()
    assert hashlib.sha256(data).hexdigest() == document.source.sha256
    return data.decode()


def test_no_number_is_missing_and_none_is_invented(document: Document, original: str) -> None:
    ours = [number for table in document.tables for number in numbers_of(table)]

    assert ours == numbers_in(original)


def test_tables_are_those_of_the_document_cell_by_cell(document: Document, original: str) -> None:
    ours = [
        [*([] if table.id == "cpu-models-hidden" else [table.columns]), *table.rows]
        for table in document.tables
        if table.kind in ("results", "settings")
    ]

    assert ours == markdown_tables(original)


def test_a_changed_digit_is_seen(document: Document, original: str) -> None:
    for table in document.tables:
        if table.kind not in ("results", "log") or table.commented_out:
            continue
        last = [each for each in published.numbers(document, table) if each.value][-1]
        value = last.value or ""
        changed = original.replace(value, value[:-1] + str(9 - int(value[-1])))

        assert value in original
        assert numbers_in(changed) != numbers_in(original)


# --------------------------------------------------------------------------- arithmetic


class Slip(NamedTuple):
    """A printed number that the document's other numbers contradict."""

    suite: str
    revision: str | None
    table: str
    row: str
    column: str
    recomputed: str


def half_unit(number: Decimal) -> Decimal:
    """Return how far the exact value may be from what is printed."""
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return Decimal(1).scaleb(exponent) / 2


def rounded(value: Decimal, like: Decimal) -> Decimal:
    return value.quantize(like, rounding=ROUND_HALF_UP)


def by_cell(
    document: Document, table: PublishedTable, revision: Revision | None = None
) -> dict[tuple[str, str], Decimal]:
    return {
        (each.row, each.column): each.number
        for each in published.numbers(document, table, revision)
        if each.number is not None
    }


def sum_slips(cells: dict[tuple[str, str], Decimal]) -> Iterator[tuple[str, str, str]]:
    for row in dict.fromkeys(row for row, _ in cells):
        parts = [cells.get((row, column)) for column in ("Forward Pass", "Backward Pass")]
        total = cells.get((row, "Total Time"))
        if total is None or parts[0] is None or parts[1] is None:
            continue
        forward, backward = parts[0], parts[1]
        slack = half_unit(forward) + half_unit(backward) + half_unit(total)
        if abs(forward + backward - total) > slack:
            yield row, "Total Time", str(forward + backward)


def memory_slips(cells: dict[tuple[str, str], Decimal]) -> Iterator[tuple[str, str, str]]:
    for (row, column), mean in cells.items():
        largest = cells.get((row, column.replace("Avg", "Max")))
        if column.startswith("Avg") and largest is not None and mean > largest:
            yield row, column, f"at most {largest}"


def rate_slips(cells: dict[tuple[str, str], Decimal]) -> Iterator[tuple[str, str, str]]:
    for (row, column), time in cells.items():
        rate = cells.get(("imgs/s", column))
        if not row.startswith("epo time") or rate is None:
            continue
        low, high = (2400 / (time + sign * half_unit(time)) for sign in (1, -1))
        if not rounded(low, rate) <= rate <= rounded(high, rate):
            yield "imgs/s", column, str(rounded(2400 / time, rate))


def summary_slips(document: Document) -> Iterator[tuple[str, str, str]]:
    """Hold the last document's summary to its own logs."""
    summary = by_cell(document, published.find_table(document, "results"))
    for library in ("keras theano", "keras tensorflow", *SAME_NAME):
        log = published.find_table(document, f"{library.replace(' ', '-')}-log")
        rows = published.numbers(document, log)
        columns: dict[str, list[Decimal]] = {}
        for each in rows:
            if each.number is not None:
                columns.setdefault(each.column, []).append(each.number)
        (times,) = [columns[name] for name in ("time", "time cost", "took") if name in columns]
        assert len(times) == 5
        expected = {
            "epo time(s)": sum(times, Decimal()) / 5,
            "5 epo acc": next(
                columns[name][-1] for name in ("acc", "train acc") if name in columns
            ),
            "5 epo loss": next(
                columns[name][-1] for name in ("loss", "train loss") if name in columns
            ),
        }
        for row, value in expected.items():
            if (right := rounded(value, summary[row, library])) != summary[row, library]:
                yield row, library, str(right)


SAME_NAME = ("pytorch", "tflearn", "tensorflow", "tensorlayer")


def ratio_range(document: Document, revision: Revision | None = None) -> list[Decimal]:
    """Return how many times faster tensorpack is in every pair that the tables allow."""
    tables = {table.id: table for table in (revision or document).tables}
    single = by_cell(document, tables["single-gpu"], revision)
    several = by_cell(document, tables["multi-gpu"], revision)
    ratios = [
        single[row, "tensorpack"] / value
        for (row, column), value in single.items()
        if column != "tensorpack"
    ]
    ratios += [
        several[row.replace("Keras", "tensorpack"), column] / value
        for (row, column), value in several.items()
        if row.startswith("Keras")
    ]
    return ratios


def headline_slips(document: Document) -> Iterator[tuple[str, str, str]]:
    ratios = ratio_range(document)
    for row, ratio in (("at least", min(ratios)), ("at most", max(ratios))):
        printed = cell(document.suite, "headline", row, "printed")
        claimed = Decimal((printed.value or "").removesuffix("x") or "NaN")
        if (right := rounded(ratio, claimed)) != claimed:
            yield row, "printed", f"{right}x"


def slips() -> Iterator[Slip]:
    for document, revision, table in every_table():
        if table.kind != "results":
            continue
        cells = by_cell(document, table, revision)
        for rule in (sum_slips, memory_slips, rate_slips):
            for row, column, right in rule(cells):
                name = revision.id if revision else None
                yield Slip(document.suite, name, table.id, row, column, right)
    suite = "cifar10-six-libraries"
    yield from (Slip(suite, None, "results", *each) for each in summary_slips(find(suite)))
    suite = "high-level-apis"
    yield from (Slip(suite, None, "headline", *each) for each in headline_slips(find(suite)))


def recorded_slips() -> Iterator[Slip]:
    for document in DOCUMENTS:
        for defect in document.defects:
            for touch in defect.touches:
                if touch.recomputed is not None:
                    ((row, column),) = published.touched(document, touch)
                    yield Slip(
                        document.suite, touch.revision, touch.table, row, column, touch.recomputed
                    )


def test_the_recorded_slips_are_those_that_computing_finds() -> None:
    assert sorted(map(str, recorded_slips())) == sorted(map(str, slips()))


def test_computing_finds_the_known_wrong_total() -> None:
    known = Slip(
        "pytorch-flux", None, "cpu-models", "VGG16 BN / Flux 0.6.8+", "Total Time", "48.282"
    )

    assert known in set(slips())
    assert cell(*known[:1], *known[2:5]).value == "49.282"


def test_layers_make_the_printed_number_of_parameters() -> None:
    document = find("cifar10-six-libraries")
    model = published.numbers(document, published.find_table(document, "model"))
    layers = [each.number or Decimal() for each in model if each.column == "Param #"]

    assert sum(layers) == cell(document.suite, "parameters", "all", "printed").number


def test_one_gpu_is_the_same_number_in_both_tables() -> None:
    document = find("high-level-apis")
    compared = 0
    for revision in (None, *document.revisions):
        tables = {table.id: table for table in (revision or document).tables}
        if "multi-gpu" not in tables:
            continue
        single = by_cell(document, tables["single-gpu"], revision)
        for (row, column), value in by_cell(document, tables["multi-gpu"], revision).items():
            if column == "1 GPU":
                library, _, network = row.partition("+")
                assert single[f"{network or 'ResNet50'} on fake ImageNet", library] == value
                compared += 1

    assert compared == 16


# ------------------------------------------------------------------------------ asking


def test_unknown_names_say_what_there_is() -> None:
    with pytest.raises(RunnerError, match=r"'pytorch-fluxx'; did you mean 'pytorch-flux'\?") as of:
        published.find(DOCUMENTS, "pytorch-fluxx")
    assert all(suite in str(of.value) for suite in SUITES)

    document = find("pytorch-flux")
    with pytest.raises(RunnerError, match=r"did you mean 'gpu-models'.*cpu-models"):
        published.find_table(document, "gpu-model")
    with pytest.raises(RunnerError, match=r"revision of pytorch-flux 'x'.*2018-07-16"):
        published.find_table(document, "gpu-models", revision="x")
    with pytest.raises(RunnerError, match=r"revision of pytorch-flux 'x'"):
        published.suite_page(document, revision="x")


def broken_copy(folder: Path) -> Path:
    """Copy a document and break it in one file that the schema sees."""
    copy = folder / "vgg16-xla"
    copy.mkdir()
    for file in (FOLDER / "vgg16-xla").iterdir():
        text = file.read_text(encoding="utf-8")
        if file.name == "document.yaml":
            text = text.replace("date: ", "dait: ").replace("kind: text", "kind: prose", 1)
        if file.name == "defects.yaml":
            text = text.replace("effect: up", "effect: sideways", 1)
        (copy / file.name).write_text(text, encoding="utf-8")
    return copy


def test_every_problem_of_a_document_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        published.load_document(broken_copy(tmp_path))

    told = str(caught.value)
    assert re.search(r"document.yaml: line \d+: source.dait: unknown key", told)
    assert "'date' is missing" in told
    assert re.search(r"document.yaml: .*'prose' is not known", told)
    assert re.search(r"defects.yaml: .*'sideways' is not known", told)


@pytest.mark.parametrize(
    ("file", "before", "after", "told"),
    [
        (
            "document.yaml",
            "reference: Keras (Theano backend) BN mode 0}",
            "reference: Kears}",
            "no ref",
        ),
        ("document.yaml", "294.063 ms]", "294.063 ms, x]", "has 3 cells, the header 2"),
        ("document.yaml", "name_columns: [Framework]", "name_columns: [Frame]", "no column"),
        (
            "document.yaml",
            "- [Keras (TensorFlow backend), ",
            "- [Keras (Theano backend), ",
            "one name",
        ),
        ("defects.yaml", "{table: vgg16}", "{table: vgg61}", "did you mean 'vgg16'"),
        ("defects.yaml", "rows: [Tensorflow NCHW + BN no XLA]", "rows: [x]", "no row of vgg16-bn"),
        ("revisions.yaml", '- id: "2017-02-22-first"', '- name: "x"', "unknown key"),
    ],
)
def test_names_that_do_not_fit_are_told(
    tmp_path: Path, file: str, before: str, after: str, told: str
) -> None:
    copy = tmp_path / "vgg16-xla"
    copy.mkdir()
    for each in (FOLDER / "vgg16-xla").iterdir():
        text = each.read_text(encoding="utf-8")
        if each.name == file:
            assert before in text
            text = text.replace(before, after, 1)
        (copy / each.name).write_text(text, encoding="utf-8")

    with pytest.raises(ConfigurationError, match=re.escape(told)):
        published.load_document(copy)


# ------------------------------------------------------------------------------- pages


def test_the_list_counts_what_is_there() -> None:
    page = published.list_page(DOCUMENTS)

    for document in DOCUMENTS:
        (line,) = [line for line in page.splitlines() if line.startswith(f"| {document.suite} |")]
        columns = [each.strip() for each in line.strip("|").split("|")]
        assert columns[-1] == str(len(document.defects))
        own = sum(table.checksum.numbers for table in document.tables)
        assert columns[4] == str(own)


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_is_shown_in_the_shape_of_its_original(suite: str) -> None:
    document = find(suite)
    page = published.suite_page(document)

    for table in document.tables:
        if table.kind == "results":
            shown = [tuple(each.replace("__", "**") for each in row) for row in table.rows]
            lines = ["| " + " | ".join(row) + " |" for row in (table.columns, *shown)]
            assert all(line in page for line in lines)
            for number in published.numbers(document, table):
                assert (number.facts.note or "") in page
    for defect in document.defects:
        results = {t.id for t in document.tables if t.kind == "results"}
        if any(t.revision is None and t.table in results for t in defect.touches):
            assert f"`{defect.id}`" in page
    for revision in document.revisions:
        assert revision.source.commit in published.suite_page(document, revision.id)


def test_the_page_of_defects_tells_each_with_evidence_and_effect() -> None:
    page = published.defects_page(DOCUMENTS)

    for document in DOCUMENTS:
        section = page.split(f"## {document.suite}\n", 1)[1].split("\n## ", 1)[0]
        parts = re.split(r"^### ", section, flags=re.MULTILINE)[1:]
        assert [part.splitlines()[0] for part in parts] == [each.id for each in document.defects]
        for part, defect in zip(parts, document.defects, strict=True):
            assert defect.what in part
            assert f"- effect: {defect.effect} (" in part
            assert part.count("- seen: ") == len(defect.evidence)
            assert part.count("- touches: ") == len(defect.touches)
            assert ("reproduce with: " in part) == bool(defect.parameters)
            said = "" if defect.otherwise is None else f"- no parameter: {defect.otherwise}"
            assert said in part
    assert "printed 49.282 s, recomputed 48.282" in page


def test_the_page_of_defects_lists_those_without_a_parameter_and_counts_them() -> None:
    page = published.defects_page(DOCUMENTS)
    every = [(each.suite, defect) for each in DOCUMENTS for defect in each.defects]
    without = {(suite, defect.id) for suite, defect in every if not defect.parameters}

    table = page.split("## Without a parameter\n\n")[1].split("\n\n")[0].splitlines()[2:]
    listed = [tuple(box.strip() for box in line.strip("|").split("|")) for line in table]

    assert {(suite, identity) for suite, identity, *_ in listed} == without
    assert len(listed) == len(without)
    assert all(reason for *_, reason in listed)
    assert f"made again: {len(every) - len(without)} come back through a parameter" in page


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  parameters: {input: drawn}\n", "", "found neither of parameters and otherwise"),
        (
            "  parameters: {input: drawn}\n",
            "  parameters: {input: drawn}\n  otherwise: by itself; it does\n",
            "found both of parameters and otherwise",
        ),
        (
            "  parameters: {input: drawn}\n",
            "  otherwise: somehow\n",
            "otherwise: 'somehow'; expected one of 'by the estimator', 'by the protocol',",
        ),
    ],
)
def test_a_defect_that_does_not_say_how_it_comes_back_is_told(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    folder = tmp_path / "vgg16-xla"
    shutil.copytree(FOLDER / "vgg16-xla", folder)
    path = folder / "defects.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        published.load_document(folder)

    (problem,) = caught.value.problems
    assert problem.startswith("defects.yaml: tensorflow-draws-its-images: ")
    assert words in problem


def test_a_separator_row_holds_no_numbers() -> None:
    document = find("high-level-apis")
    table = published.find_table(document, "multi-gpu")

    assert published.row_names(table)[2] == ""
    assert len(published.numbers(document, table)) == 12
    without = replace(table, rows=(*table.rows[:2], *table.rows[3:]))
    assert published.numbers(document, without) == published.numbers(document, table)
