"""A published table made again, from made-up records: every number has a verdict, none is blank."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from runner import published, reproduce_json, reproduce_text
from runner.config import load_matrix
from runner.model import Cell, Check, MemoryUse, Record, Samples, Status, Suite
from runner.published import Document
from runner.reproduce import PROTOCOLS, Found, Outcome, Reproduction, boxes, expand, reproduce
from runner.reproduce.judging import is_like
from runner.reproduce_text import Choice, Grid
from runner.workloads import WORKLOADS
from tests.makers import make_hello, make_image, make_record, make_run

ROOT = Path(__file__).parent.parent
DOCUMENTS = {each.suite: each for each in published.load(ROOT / "results" / "published")}
NAMES = [path.name for path in (ROOT / "images").iterdir()]
SUITES = {
    name: suite
    for name, suite in load_matrix(ROOT / "matrix.yaml", NAMES).suites.items()
    if suite.published
}
JITTER = (0.99, 1.0, 1.01)
REAL = make_hello(data="the first 2000 images of data_batch_1.bin, in memory")


def document_of(suite: Suite) -> Document:
    return DOCUMENTS[suite.published]


def cells_of(suite: Suite) -> tuple[Cell, ...]:
    """Return every cell, those for one defect alone among them."""
    found = boxes(document_of(suite), suite)
    every = [cell for box in found for cell in (*box.cells.values(), *box.singles.values())]
    return tuple({cell.label: cell for cell in every}.values())


def steps(seconds: float, count: int = 6, items: int = 16, name: str = "train_step") -> Samples:
    return Samples(
        name=name,
        items=items,
        synchronised="implicit",
        first_s=seconds,
        warmup_s=(),
        measured_s=(seconds,) * count,
    )


def made_up(
    suite: Suite, seconds: Callable[[Cell], float], jitter: Sequence[float] = JITTER
) -> tuple[Record, ...]:
    """Return launches of every cell of a suite that take so many seconds a step."""
    records = []
    for cell in cells_of(suite):
        for launch, factor in enumerate(jitter):
            count = 79 if "epochs" in cell.parameters else 6
            samples = [steps(seconds(cell) * factor, count)]
            if cell.parameters.get("validation", "none") != "none":
                samples.append(steps(0.5 * factor, 4, 400, "validation"))
            told = {"accuracy": 0.4, "loss": 1.6 * factor, "epoch_steps": 16, "epoch_images": 2000}
            records.append(
                make_record(
                    cell,
                    launch,
                    hello=REAL,
                    samples=tuple(samples),
                    checks=tuple(
                        Check(name=name, value=str(value), expected="", passed=True)
                        for name, value in told.items()
                    ),
                    memory=MemoryUse(
                        peak_bytes=2 * 1024**3,
                        average_bytes=1024**3,
                        readings=10,
                        interval_s=0.1,
                        method="made up",
                    ),
                )
            )
    return tuple(records)


def again(
    suite: Suite, records: Sequence[Record], protocols: Sequence[str] = PROTOCOLS
) -> Reproduction:
    run = make_run(cells_of(suite), suite=suite.name)
    return reproduce(document_of(suite), suite, run, records, protocols=protocols)


def of(made: Reproduction, row: str, column: str, protocol: str = "as-published") -> Found:
    (found,) = [
        each
        for table in made.tables
        for each in table.found
        if (each.box.number.row, each.box.number.column, each.protocol) == (row, column, protocol)
    ]
    return found


def printed_seconds(suite: Suite, table: str) -> Callable[[Cell], float]:
    """Return the seconds that a published table of step times prints for a cell."""
    known = {
        cell.label: float(box.number.number or 0) / 1e3
        for box in boxes(document_of(suite), suite)
        for cell in (*box.cells.values(), *box.singles.values())
    }
    return lambda cell: known[cell.label]


# ---------------------------------------------------------------------------- what is launched


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_every_number_has_cells_or_a_reason(suite: Suite) -> None:
    for box in boxes(document_of(suite), suite):
        assert bool(box.cells) != bool(box.reason), box.number
        for protocol, cell in box.cells.items():
            assert cell.protocol in (protocol, "fair")
            known = {each.name: each for each in WORKLOADS[cell.workload].parameters}
            for name, value in cell.parameters.items():
                parameter = known[name]
                assert not parameter.choices or value in parameter.choices, (box.number, name)
                fair = cell.protocol != "fair" or parameter.kind != "switch"
                assert fair or value == parameter.default


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_cells_that_do_the_same_are_one_cell_and_others_have_labels_of_their_own(
    suite: Suite,
) -> None:
    cells = [cell for box in boxes(document_of(suite), suite) for cell in box.cells.values()]
    by_label: dict[str, Cell] = {}
    for cell in cells:
        assert by_label.setdefault(cell.label, cell) == cell
    work = {(c.image, c.workload, c.protocol, *sorted(c.parameters.items())) for c in cells}
    assert len(work) == len(by_label)


def test_a_defect_reaches_all_numbers_of_the_launch_that_it_touches() -> None:
    suite = SUITES["tensorlayer-vgg16"]
    own = {
        box.number.column: box
        for box in boxes(document_of(suite), suite)
        if box.table.id == "cpu" and box.number.row == "Eager / PyTorch"
    }

    assert len({box.cells["as-published"].label for box in own.values()}) == 1
    switches = own["Avg CPU Memory (MB)"].switches
    assert switches == {"dropout": "after-dense", "zero_grad": False}
    assert own["Runtime (sec)"].cells["fair"].parameters["batch"] == 1


def test_a_batch_that_is_cut_is_told() -> None:
    suite = SUITES["vgg16-xla"]

    assert {box.remark for box in boxes(document_of(suite), suite)} == {"batch 2 in place of 16"}
    uncut = SUITES["vgg16-xla-gpu"]
    assert {box.remark for box in boxes(document_of(uncut), uncut)} == {""}


@pytest.mark.parametrize("name", ["tensorlayer-vgg16-gpu", "pytorch-flux-gpu"])
def test_an_image_that_stands_in_is_told_and_keeps_its_own_name(name: str) -> None:
    suite = SUITES[name]
    plain = replace(suite, stand_ins={})
    pairs = zip(boxes(document_of(suite), suite), boxes(document_of(suite), plain), strict=True)
    changed = [(one, other) for one, other in pairs if one.remark != other.remark]

    assert changed
    for one, other in changed:
        (here,), (there,) = ({cell.image for cell in box.cells.values()} for box in (one, other))
        assert (here, there) == ("pytorch-2.11.0", other.number.facts.image)
        assert one.remark == f"{here} in place of {there}"
        assert one.number == other.number


def test_images_that_are_not_there_are_skipped_with_the_reason() -> None:
    suite = SUITES["cifar10-six-libraries"]
    images = {"tensorflow-1.3.0": make_image("tensorflow-1.3.0", workloads=("vgg16",))}

    plan = expand(document_of(suite), suite, images)

    assert plan.cells == ()
    reasons = {skip.reason for skip in plan.skips}
    assert "there is no image pytorch-1.0.0 yet" in reasons
    assert "tensorflow-1.3.0 does not claim the workload cifar10-cnn" in reasons


# ----------------------------------------------------------------------------------- verdicts


def test_twice_the_published_times_are_the_published_shape() -> None:
    suite = SUITES["vgg16-xla"]
    printed = printed_seconds(suite, "vgg16")

    made = again(suite, made_up(suite, lambda cell: 2 * printed(cell)))

    for table in made.tables:
        outcomes = [each.outcome for each in table.found]
        assert outcomes.count(Outcome.REFERENCE) == 1
        assert outcomes.count(Outcome.SHAPE) == len(outcomes) - 1
        (ranks,) = table.ranks
        assert ranks.found.value == pytest.approx(1.0)
        assert ranks.numbers == ranks.found.rows == len(table.found)
    found = of(made, "Tensorflow NHWC no XLA", "Time")
    assert found.there == pytest.approx(365.122 / 241.478)
    assert found.ratio is not None
    assert found.ratio.ratio == pytest.approx(365.122 / 241.478, rel=0.01)
    assert found.here is not None
    assert found.here.value == pytest.approx(2 * 365.122)


def test_a_row_that_is_out_of_shape_differs_and_the_others_do_not() -> None:
    suite = SUITES["vgg16-xla"]
    printed = printed_seconds(suite, "vgg16")

    def seconds(cell: Cell) -> float:
        slow = cell.image == "tensorflow-1.13.1" and "batch_norm" not in cell.parameters
        return printed(cell) * (3 if slow else 1)

    made = again(suite, made_up(suite, seconds))

    assert of(made, "Tensorflow NHWC with XLA", "Time").outcome is Outcome.DIFFERS
    assert of(made, "Tensorflow NHWC no XLA", "Time").outcome is Outcome.SHAPE


def test_launches_that_scatter_decide_nothing() -> None:
    suite = SUITES["vgg16-xla"]
    records = made_up(suite, printed_seconds(suite, "vgg16"), jitter=(0.5, 1.0, 2.0))

    found = of(again(suite, records), "Tensorflow NHWC no XLA", "Time")

    assert found.outcome is Outcome.AMBIGUOUS
    assert found.reason == "undecided by these launches: the interval reaches the margin"


def test_one_launch_has_no_interval_and_so_no_verdict() -> None:
    suite = SUITES["vgg16-xla"]
    records = made_up(suite, printed_seconds(suite, "vgg16"), jitter=(1.0,))

    found = of(again(suite, records), "Tensorflow NHWC no XLA", "Time")

    assert (found.outcome, found.reason) == (
        Outcome.NOT_COMPARABLE,
        "one launch has no interval",
    )


def test_a_failed_cell_shows_its_status_and_another_row_becomes_the_reference() -> None:
    suite = SUITES["vgg16-xla"]
    records = [
        replace(record, status=Status.UNSUPPORTED, reason="no such layout")
        if record.cell.image == "keras-1.2.2-theano-0.9.0"
        else record
        for record in made_up(suite, printed_seconds(suite, "vgg16"))
    ]

    made = again(suite, records)

    failed = of(made, "Keras (Theano backend)", "Time")
    assert (failed.missing, failed.reason) == ("unsupported", "no such layout")
    assert failed.outcome is Outcome.NOT_COMPARABLE
    instead = of(made, "Keras (TensorFlow backend)", "Time")
    assert instead.outcome is Outcome.REFERENCE
    assert "in place of Keras (Theano backend), which has no value here" in instead.reason
    other = of(made, "Tensorflow NHWC no XLA", "Time")
    assert other.there == pytest.approx(365.122 / 362.206)
    assert other.outcome is Outcome.SHAPE


def test_absolute_values_count_on_the_published_hardware_only() -> None:
    suite = replace(SUITES["tensorlayer-vgg16"], batches={})
    seconds = {"keras-2.2.4-tensorflow-1.13.1": 410 / 300}
    records = made_up(suite, lambda cell: seconds.get(cell.image, 200 / 300))
    document = document_of(suite)
    alike = make_run(cells_of(suite), host={"cpu_model": "Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz"})

    there = reproduce(document, suite, alike, records)
    elsewhere = again(suite, records)

    def keras(made: Reproduction) -> Found:
        (found,) = [
            each
            for table in made.tables
            if (table.table.id, table.protocol) == ("cpu", "as-published")
            for each in table.found
            if (each.box.number.row, each.box.number.column) == ("Graph / Keras", "Runtime (sec)")
        ]
        return found

    assert keras(there).outcome is Outcome.ABSOLUTE
    assert keras(elsewhere).outcome is Outcome.SHAPE


@pytest.mark.parametrize(
    ("host", "device", "published_as", "is_so"),
    [
        ({"cpu_model": "Intel(R) Xeon(R) Silver 4114 CPU"}, "cpu", "Intel Xeon Silver 4114", True),
        ({"cpu_model": "AMD EPYC"}, "cpu", "Intel Xeon Silver 4114", False),
        ({"cpu_model": "AMD EPYC 7B13"}, "cpu", "AMD EPYC", False),
        ({"gpus": [{"name": "Tesla V100-SXM2-16GB"}]}, "cuda", "8 NVIDIA Tesla V100", True),
        ({"gpus": [{"name": "NVIDIA H100 80GB HBM3"}]}, "cuda", "8 NVIDIA Tesla V100", False),
        ({"gpus": []}, "cuda", "8 NVIDIA Tesla V100", False),
    ],
)
def test_like_hardware_goes_by_its_designation(
    host: dict[str, object], device: str, published_as: str, is_so: bool
) -> None:
    assert is_like(published_as, make_run(host=host), device) is is_so


# ----------------------------------------------------------------------------- each document


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_no_box_of_any_suite_is_blank(suite: Suite) -> None:
    for records in (made_up(suite, lambda _: 0.5), ()):
        made = again(suite, records)
        for table in made.tables:
            for found in table.found:
                assert found.here is not None or (found.missing and found.reason), found
                verdict = found.outcome is not Outcome.NOT_COMPARABLE or found.reason
                assert verdict, found
        page = reproduce_text.markdown(made)
        assert "|  |" not in page
        json.loads(reproduce_json.as_json(made))


def test_a_sum_over_300_iterations_is_that_of_300_however_few_were_made() -> None:
    suite = SUITES["tensorlayer-vgg16"]
    cold = [
        replace(record, samples=(replace(record.samples[0], first_s=10.0),))
        for record in made_up(suite, lambda _: 0.5, jitter=(1.0, 1.0))
    ]

    made = again(suite, cold)

    runtimes = {
        table.protocol: found.launches
        for table in made.tables
        for found in table.found
        if found.box.number.column == "Runtime (sec)" and found.box.number.row == "Graph / Keras"
    }
    assert runtimes == {
        "as-published": pytest.approx((10 + 299 * 0.5,) * 2),
        "fair": pytest.approx((300 * 0.5,) * 2),
    }


def test_memory_is_in_the_documents_mb_and_gpu_memory_has_a_reason() -> None:
    suite = SUITES["tensorlayer-vgg16"]
    made = again(suite, made_up(suite, lambda _: 0.5))
    found = {
        (each.box.number.table, each.box.number.column): each
        for each in made.tables[0].found + made.tables[1].found
    }

    assert found["cpu", "Max CPU Memory (MB)"].launches == (2048.0,) * 3
    assert found["cpu", "Avg CPU Memory (MB)"].launches == (1024.0,) * 3
    on_gpu = found["gpu", "Max GPU Memory (MB)"]
    assert on_gpu.missing == "not measured"
    assert "no GPU memory" in on_gpu.reason


def test_epochs_count_validation_only_as_published_and_images_as_each_counts_them() -> None:
    suite = SUITES["cifar10-six-libraries"]
    made = again(suite, made_up(suite, lambda _: 0.1, jitter=(1.0, 1.0)))

    def value(row: str, column: str, protocol: str) -> float:
        return of(made, row, column, protocol).launches[0]

    assert value("epo time(s)", "keras tensorflow", "as-published") == pytest.approx(1.6 + 0.5)
    assert value("epo time(s)", "keras tensorflow", "fair") == pytest.approx(1.6)
    assert value("epo time(s)", "pytorch", "as-published") == pytest.approx(1.6)
    assert value("imgs/s", "pytorch", "as-published") == pytest.approx(2400 / 1.6)
    assert value("imgs/s", "pytorch", "fair") == pytest.approx(2000 / 1.6)
    assert value("5 epo acc", "pytorch", "as-published") == 0.4


def test_accuracy_of_generated_images_is_not_held_against_that_of_real_ones() -> None:
    suite = SUITES["cifar10-six-libraries"]
    generated = make_hello(data="2000 images generated from seed 1, in memory")
    records = [replace(record, hello=generated) for record in made_up(suite, lambda _: 0.1)]

    found = of(again(suite, records), "5 epo acc", "tflearn")

    assert found.missing == "not measured"
    assert "--cifar10" in found.reason


def test_flux_backward_is_the_difference_of_two_minima_and_pytorch_inference_a_forward() -> None:
    suite = SUITES["pytorch-flux"]
    seconds = {"forward": 1.0, "backward": 7.0, "forward-backward": 3.0, "inference": 0.5}
    made = again(suite, made_up(suite, lambda cell: seconds[str(cell.parameters["part"])]))

    def first(table: str, row: str, column: str, protocol: str) -> float:
        return next(
            each.launches[1]
            for made_table in made.tables
            if (made_table.table.id, made_table.protocol) == (table, protocol)
            for each in made_table.found
            if (each.box.number.row, each.box.number.column) == (row, column)
        )

    flux, torch = "VGG16 / Flux 0.6.8+", "VGG16 / Pytorch 0.4.1"
    assert first("gpu-models", flux, "Backward Pass", "as-published") == pytest.approx(2.0)
    assert first("gpu-models", flux, "Backward Pass", "fair") == pytest.approx(7.0)
    assert first("cpu-models", flux, "Backward Pass", "as-published") == pytest.approx(7.0)
    assert first("gpu-models", torch, "Inference", "as-published") == pytest.approx(1.0)
    assert first("gpu-models", torch, "Inference", "fair") == pytest.approx(0.5)
    assert first("gpu-layers", "Dense / Flux 0.6.8+", "Forward Pass", "fair") == pytest.approx(1e3)


# -------------------------------------------------------------------------------- the defects


def test_what_a_defect_was_worth_is_parted_from_what_the_estimator_was() -> None:
    suite = SUITES["vgg16-xla"]
    slow = 1.5

    def seconds(cell: Cell) -> float:
        return 0.2 * (slow if cell.protocol == "as-published" else 1)

    made = again(suite, made_up(suite, seconds))
    (worth,) = [w for w in made.worths if w.box.number.row == "Tensorflow NHWC no XLA"]

    drawn = {"softmax": "twice", "input": "drawn", "learning_rate": 0.1}
    assert dict(worth.box.switches) == drawn
    assert worth.switches is not None
    assert worth.switches.ratio == pytest.approx(slow)
    assert worth.estimator is not None
    assert worth.estimator.ratio == pytest.approx(1.0)
    page = reproduce_text.markdown(made)
    assert "softmax=twice, input=drawn, learning_rate=0.1" in page


def test_each_defect_alone_has_a_cell_and_a_worth_of_its_own() -> None:
    suite = SUITES["vgg16-xla"]

    def seconds(cell: Cell) -> float:
        alone = {
            "softmax-twice": 1.4,
            "tensorflow-draws-its-images": 0.9,
            "learning-rates-differ": 1.1,
        }
        factors = [alone[name] for name in alone if cell.variant.startswith(f"only={name}")]
        return 0.2 * (factors[0] if factors else 1)

    made = again(suite, made_up(suite, seconds))
    (worth,) = [w for w in made.worths if w.box.number.row == "Tensorflow NHWC no XLA"]

    assert {name: round(found.ratio, 3) for name, found in worth.each.items()} == {
        "softmax-twice": 1.4,
        "tensorflow-draws-its-images": 0.9,
        "learning-rates-differ": 1.1,
    }
    label = worth.box.singles["softmax-twice"].label
    assert label == (
        "tensorflow-1.0.0/vgg16/only=softmax-twice,layout=channels_last,batch_norm=none"
    )
    images = {cell.image: make_image(cell.image, ("vgg16",)) for cell in cells_of(suite)}
    document = document_of(suite)
    with_each = {cell.label for cell in expand(document, suite, images, each=True).cells}
    assert label in with_each
    assert label not in {cell.label for cell in expand(document, suite, images).cells}


def test_a_defect_that_is_the_only_one_has_the_cell_as_published() -> None:
    suite = SUITES["pytorch-flux"]
    (box,) = [
        box
        for box in boxes(document_of(suite), suite)
        if (box.table.id, box.number.row, box.number.column)
        == ("gpu-layers", "Dense / Pytorch 0.4.1", "Backward Pass")
    ]

    assert dict(box.singles) == {"gradients-accumulate": box.cells["as-published"]}


# -------------------------------------------------------------------------------------- pages


def test_the_page_has_the_documents_tables_in_their_order_and_shape() -> None:
    suite = SUITES["vgg16-xla"]
    made = again(suite, made_up(suite, printed_seconds(suite, "vgg16")))

    parts = list(reproduce_text.sections(made))

    shapes = [each for each in parts if each.level == 2 and each.grid is not None][:4]
    assert [each.heading.rsplit(": ", 1)[1] for each in shapes] == [
        "as-published",
        "as-published",
        "fair",
        "fair",
    ]
    grid = shapes[0].grid
    assert grid is not None
    assert grid.head == ("Framework", "Time")
    assert [row[0] for row in grid.rows] == [
        "Keras (Theano backend)",
        "Keras (TensorFlow backend)",
        "Tensorflow NHWC no XLA",
        "Tensorflow NHWC with XLA",
        "Tensorflow NCHW no XLA",
        "Tensorflow NCHW with XLA",
    ]
    assert grid.rows[0][1] == "241.478 ms / 241.5 (reference)"
    assert grid.rows[2][1] == "365.122 ms / 365.1 (shape reproduced)"


def test_a_long_reason_that_several_numbers_share_is_told_once() -> None:
    suite = SUITES["pytorch-flux"]
    why = "base julia:1.0 is not here and cannot be pulled (no network: no such host); bring it"
    records = [
        replace(record, status=Status.BASE_UNAVAILABLE, reason=why)
        if record.cell.image == "flux-0.6.10"
        else record
        for record in made_up(suite, lambda _: 0.5)
    ]
    made = again(suite, records)

    (part,) = [
        each
        for each in reproduce_text.sections(made)
        if each.heading == "Single layers on the GPU: fair, number by number"
    ]

    assert part.grid is not None
    whys = {row[0]: row[-1] for row in part.grid.rows if row[2] == "base-unavailable"}
    assert set(whys.values()) == {"reason 1"}
    assert part.lines == (f"reason 1 ({len(whys)} numbers): {why}",)
    assert len(whys) >= 12
    assert json.loads(reproduce_json.as_json(made))["numbers"][-1]["reason"] == why


def test_a_choice_of_rows_and_metrics_narrows_what_is_listed() -> None:
    suite = SUITES["tensorlayer-vgg16"]
    made = again(suite, made_up(suite, lambda _: 0.5))
    choice = Choice(rows=("Graph / Keras",), metrics=("runtime",))

    listed = [
        row
        for part in reproduce_text.sections(made, choice)
        if part.level == 3 and part.grid is not None
        for row in part.grid.rows
    ]

    assert {row[0] for row in listed} == {"Graph / Keras, Runtime (sec)"}
    numbers = json.loads(reproduce_json.as_json(made, choice))["numbers"]
    assert {(each["row"], each["metric"]) for each in numbers} == {("Graph / Keras", "runtime")}


def test_a_grid_too_wide_for_its_words_is_told_in_lines() -> None:
    grid = Grid(head=("row", "value", "why"), rows=(("one", "12", "no interval"), ("two", "", "-")))

    assert grid.narrowest == (2 + 3) + (2 + 5) + (2 + 8)
    assert list(grid.lines()) == [
        "* one",
        "    value: 12",
        "    why: no interval",
        "* two",
        "    value: ",
        "    why: -",
    ]
