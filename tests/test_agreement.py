"""Did the images of a run compute the same thing, and how much of it a second."""

from __future__ import annotations

import importlib
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from runner import agreement
from runner.agreement import EXACT, LOOSE
from runner.model import Check, Peak, Record
from runner.report import table
from runner.telemetry import peak
from runner.workloads import WORKLOADS
from tests.makers import make_cell, make_hello, make_record, make_run, make_samples

SCRIPTS = Path(__file__).parents[1] / "scripts"
LOSSES = (6.9, 6.8, 6.7, 6.6, 6.5, 6.4, 6.3)


def record(image: str, scale: float = 1.0, workload: str = "vgg16", **changes: object) -> Record:
    cell = make_cell(image, workload)
    checks = (
        Check(name="parameters", value="138357544", expected="138357544", passed=True),
        Check(name="output_shape", value="[1, 1000]", expected="[1, 1000]", passed=True),
    )
    fields: dict[str, object] = {
        "losses": tuple(scale * loss for loss in LOSSES),
        "checks": checks,
        **changes,
    }
    return make_record(cell, 0, **fields)


def test_images_that_start_and_learn_alike_agree_with_figures() -> None:
    [found] = agreement.check([record("torch-1.0"), record("jax-0.1", 1.00001)])

    assert found.agrees
    assert found.text == (
        "2 images agree on vgg16, batch 1: parameters 138357544; output [1, 1000]; "
        "first loss 6.9 to 6.9001, within 0.01% of the median; "
        "loss after 5 updates 6.4 to 6.4001, within 0.10% of the first"
    )


def test_cells_of_one_image_are_not_taken_for_images() -> None:
    plain = record("torch-1.0")
    compiled = replace(plain, cell=replace(plain.cell, variant="compiler=xla"))

    [found] = agreement.check([plain, compiled])

    assert found.text.startswith("2 cells of 1 image agree on vgg16")


def test_the_one_that_computes_something_else_is_named() -> None:
    same = [record("torch-1.0"), record("jax-0.1"), record("tensorflow-1.0", 1.0)]

    [found] = agreement.check([*same, record("theano-0.9", 1.001)])

    assert not found.agrees
    assert "4 images DISAGREE on vgg16" in found.text
    assert "not within 0.01% of the median around 6.9: theano-0.9 has 6.9069" in found.text


def on_a_gpu(image: str, precision: str, losses: tuple[float, ...]) -> Record:
    made = record(image, losses=losses)
    parameters = {**made.cell.parameters, "precision": precision}
    return replace(made, cell=replace(made.cell, device="cuda", parameters=parameters))


# resnet50 at batch 64 on an H100, first launches of two images
IN_FLOAT32 = (7.7132, 7.319, 6.9208, 6.6137, 6.2782, 6.0051)
IN_FLOAT32_ELSEWHERE = (7.7132, 7.3245, 6.9779, 6.6161, 6.2865, 5.9769)
IN_BFLOAT16 = (7.7127, 7.2788, 6.9119, 6.5982, 6.2881, 5.9971)
IN_BFLOAT16_ELSEWHERE = (7.7031, 7.2807, 6.9719, 6.608, 6.2962, 5.9949)


@pytest.mark.parametrize(
    ("precision", "one", "other", "agrees"),
    [
        ("float32", IN_FLOAT32, IN_FLOAT32_ELSEWHERE, True),
        ("float32", IN_BFLOAT16, IN_BFLOAT16_ELSEWHERE, False),
        ("bfloat16", IN_BFLOAT16, IN_BFLOAT16_ELSEWHERE, True),
        ("float32", IN_FLOAT32, (*IN_FLOAT32[:5], 6.4), False),
    ],
)
def test_on_a_gpu_chance_and_the_precision_are_allowed_for(
    precision: str, one: tuple[float, ...], other: tuple[float, ...], agrees: bool
) -> None:
    records = [on_a_gpu("torch-1.0", precision, one), on_a_gpu("jax-0.1", precision, other)]

    [found] = agreement.check(records)

    assert found.agrees is agrees
    assert ("batch 1, bfloat16:" in found.text) is (precision == "bfloat16")


# vgg16 with batch normalisation, two images a batch, by TensorFlow 1.0.0 and 1.13.1
JUMPING = (9.10342, 2.72756, 99.04962, 7.20373, 0.85859, 8.54074)
JUMPING_ELSEWHERE = (9.10351, 2.68821, 98.68353, 6.27522, 0.00033, 0.00032)


def test_losses_after_a_jump_are_not_held_against_each_other_and_that_is_said() -> None:
    one, other = record("one", losses=JUMPING), record("other", losses=JUMPING_ELSEWHERE)

    [found] = agreement.check([one, other])
    [parted] = agreement.check([one, replace(other, losses=(9.2, *JUMPING_ELSEWHERE[1:]))])

    assert found.agrees
    words = "the loss jumps (one: 2.73, then 99), so that later losses say nothing"
    assert found.text.endswith(words)
    assert not parted.agrees


def test_losses_near_nothing_are_held_against_each_other_by_the_first() -> None:
    one = record("one", losses=(6.9, 3.0, 1.0, 0.1, 0.0, 0.0))
    other = record("other", losses=(6.9, 3.0, 1.0, 0.1, 0.0, 1.2e-7))

    [found] = agreement.check([one, other])

    assert found.agrees


def test_what_has_dropout_is_compared_loosely_and_says_why() -> None:
    workload = "cifar10-cnn"
    near, far = record("jax-0.1", 1.02, workload), record("jax-0.1", 1.5, workload)

    [agreed] = agreement.check([record("torch-1.0", 1.0, workload), near])
    [parted] = agreement.check([record("torch-1.0", 1.0, workload), far])

    assert agreed.agrees
    assert "each framework with dropout masks of its own" in agreed.text
    assert not parted.agrees
    assert LOOSE.first > EXACT.first


def test_parameters_and_shapes_are_held_against_each_other_too() -> None:
    odd = Check(name="parameters", value="138357543", expected="138357544", passed=True)

    [found] = agreement.check([record("torch-1.0"), record("jax-0.1", checks=(odd,))])

    assert not found.agrees
    assert "parameters 138357544 of torch-1.0; 138357543 of jax-0.1" in found.text


def test_only_the_same_work_is_held_together() -> None:
    other_data = make_hello(data="real images")
    alone = [record("torch-1.0"), record("jax-0.1", seed=2), record("x-1", hello=other_data)]

    assert agreement.check(alone) == ()
    assert agreement.check([record("torch-1.0")]) == ()


def test_a_loss_that_was_not_finite_is_left_to_its_own_check() -> None:
    [found] = agreement.check([record("torch-1.0"), record("jax-0.1", losses=(None,) * 7)])

    assert "first loss" not in found.text


def test_the_table_tells_of_agreement_and_of_peak() -> None:
    cells = (make_cell("torch-1.0", "vgg16"), make_cell("jax-0.1", "vgg16"))
    records = [
        record("torch-1.0", samples=(make_samples(2.0, 2.0),)),
        record("jax-0.1", samples=(make_samples(4.0, 4.0),)),
    ]
    found = Peak(flops=1e14, method="a product of matrices")

    made = table.build(make_run(cells, peak=found), records)

    assert any("2 images agree on vgg16" in remark for remark in made.remarks)
    assert any("peak: 1e+05 GFLOP/s, a product of matrices" in remark for remark in made.remarks)
    # the samples' 128 images in 2 s, each 2 x 46,324,088,832 operations
    assert made.rows[0].numbers["gflops"] == pytest.approx(128 / 2 * 2 * 46.324088832)
    assert made.rows[0].numbers["peak_percent"] == pytest.approx(5.929, rel=1e-3)
    without = table.build(make_run(cells), records).rows[0]
    assert without.numbers["peak_percent"] is None
    assert without.missing["peak_percent"] == "not measured"


def test_a_table_of_gpus_has_no_share_of_what_processors_can_do() -> None:
    cell = replace(make_cell("torch-1.0", "vgg16"), device="cuda")
    run = make_run((cell,), peak=Peak(flops=1e14, method="a product of matrices"))

    made = table.build(run, [replace(record("torch-1.0"), cell=cell)])

    keys = [column.key for column in made.columns]
    assert "gflops" in keys
    assert "gpu_memory_peak_mib" in keys
    assert "peak_percent" not in keys
    assert "GFLOP/s: two for each multiply-add of the network's definition" in made.remarks


def test_where_nothing_is_counted_nothing_is_said_of_counting() -> None:
    cell = make_cell("torch-1.0", "vgg16", part="forward")

    made = table.build(make_run((cell,)), [replace(record("torch-1.0"), cell=cell)])

    assert made.rows[0].missing["gflops"] == "not counted"
    assert not any("GFLOP/s" in remark for remark in made.remarks)


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module("networks")


@pytest.mark.parametrize("name", [each.name for each in WORKLOADS.values() if each.multiply_adds])
def test_stated_operations_are_those_of_the_network(networks: ModuleType, name: str) -> None:
    network = networks.NETWORKS[name]
    forward = []
    for layer, before, after in networks.walk(network):
        if layer[0].endswith("convolution"):
            forward.append(math.prod(after) * layer[2] ** 2 * before[2])
        elif layer[0] == "dense":
            forward.append(before[0] * after[0])

    assert WORKLOADS[name].multiply_adds == 3 * sum(forward) - forward[0]
    has_dropout = any(layer[0] == "dropout" for layer in network.layers)
    assert WORKLOADS[name].dropout == has_dropout


def test_the_peak_of_this_machine_is_measured() -> None:
    found = peak.measure((0,), size=64, products=2)

    assert found is not None
    assert found.flops > 1e6
    assert "float32 matrix product of 64 x 64, NumPy" in found.method
    assert "1 threads outside any container" in found.method
    assert peak.measure((10**6,)) is None
