"""Parameters and expected numbers of the workloads."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import store
from runner.model import Scalar
from runner.parameters import SWITCHES_OF_ALL
from runner.workloads import WORKLOADS

REFERENCE = Path(__file__).parent.parent / "results" / "reference"
OLD = {"batch", "compiler", "optimizer", "learning_rate", "precision", "layout", "gpus"}


@pytest.mark.parametrize("name", ["cifar10-cnn", "vgg16", "alexnet", "resnet50"])
def test_what_older_records_state_is_what_a_cell_without_changes_states(name: str) -> None:
    assert set(WORKLOADS[name].defaults()) == OLD


def test_the_cells_of_reference_runs_are_what_the_same_request_gives_today() -> None:
    runs = store.runs(REFERENCE)
    cells = [cell for folder in runs for cell in store.load_run(folder).cells]

    assert cells
    for cell in cells:
        assert WORKLOADS[cell.workload].settled(cell.parameters) == cell.parameters


def test_a_parameter_at_its_default_is_left_out_of_a_cell_and_any_other_is_in_it() -> None:
    workload = WORKLOADS["cifar10-cnn"]

    settled = workload.settled({"batch": 32, "softmax": "once", "rmsprop_rho": 0, "images": 0})

    assert settled == {**workload.defaults(), "batch": 32, "rmsprop_rho": 0}


def test_every_default_is_a_choice_and_every_switch_is_left_out_at_it() -> None:
    for workload in WORKLOADS.values():
        names = [parameter.name for parameter in workload.parameters]
        assert len(set(names)) == len(names)
        for parameter in workload.parameters:
            assert not parameter.choices or parameter.default in parameter.choices
    assert {each.kind for each in SWITCHES_OF_ALL} == {"switch"}


def vgg(convolutions: tuple[int, ...], *, is_normalised: bool) -> int:
    """Count VGG's numbers from its definition: 3 x 3 convolutions with bias, three dense."""
    count, before = 0, 3
    for block, repeats in enumerate(convolutions):
        for _ in range(repeats):
            filters = min(64 * 2**block, 512)
            count += 9 * before * filters + filters + (2 * filters if is_normalised else 0)
            before = filters
    dense = ((7 * 7 * 512, 4096), (4096, 4096), (4096, 1000))
    return count + sum(inputs * outputs + outputs for inputs, outputs in dense)


def resnet(blocks: tuple[int, ...], *, is_deep: bool, is_biased: bool = False) -> int:
    """Count a ResNet's numbers from table 1 of He et al.: projections where shapes change."""

    def unit(inputs: int, outputs: int, size: int) -> int:
        return size * size * inputs * outputs + (3 if is_biased else 2) * outputs

    count, before = unit(3, 64, 7), 64
    for stage, repeats in enumerate(blocks):
        width = 64 * 2**stage
        after = 4 * width if is_deep else width
        for _ in range(repeats):
            count += unit(before, width, 1 if is_deep else 3) + unit(width, width, 3)
            count += unit(width, after, 1) if is_deep else 0
            count += unit(before, after, 1) if before != after else 0
            before = after
    return count + before * 1000 + 1000


D, E = (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)
DEPTHS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
    "resnet152": ((3, 8, 36, 3), True),
}


def test_stated_counts_follow_from_the_papers() -> None:
    found = {name: workload.expected_parameters({}, "any") for name, workload in WORKLOADS.items()}

    assert found["vgg16"] == vgg(D, is_normalised=False)
    assert found["vgg16-bn"] == vgg(D, is_normalised=True)
    assert found["vgg19"] == vgg(E, is_normalised=False)
    assert found["vgg19-bn"] == vgg(E, is_normalised=True)
    for name, (blocks, is_deep) in DEPTHS.items():
        assert found[name] == resnet(blocks, is_deep=is_deep)
    assert found["conv3x3"] == 9 * 3 * 64 + 64
    assert found["conv5x5"] == 25 * 3 * 64 + 64
    assert found["dense"] == 1024 * 512 + 512
    assert found["batchnorm"] == 2 * 3


@pytest.mark.parametrize("name", DEPTHS)
def test_convolutions_of_flux_have_a_bias(name: str) -> None:
    blocks, is_deep = DEPTHS[name]

    found = WORKLOADS[name].expected_parameters({}, "flux")

    assert found == resnet(blocks, is_deep=is_deep, is_biased=True)


@pytest.mark.parametrize(
    ("name", "given", "framework", "count"),
    [
        ("vgg16", {"batch_norm": "fused"}, "tensorflow", 138_365_992),
        ("vgg16", {"architecture": "original"}, "flux", 138_357_544),
        ("vgg16", {"architecture": "original"}, "tensorflow", 138_357_544),
        (
            "vgg16",
            {"architecture": "original", "batch_norm": "fused"},
            "tensorflow",
            138_357_544 + 4_224,
        ),
        ("vgg19-bn", {"architecture": "original"}, "flux", 143_675_688),
        ("resnet50", {"architecture": "original"}, "keras", 25_583_592),
        ("resnet50", {"architecture": "original"}, "flux", 25_583_464),
        ("resnet50", {"architecture": "original"}, "pytorch", 25_557_032),
        ("cifar10-cnn", {"pool_padding": "same"}, "tflearn", 1_676_842),
    ],
)
def test_a_change_of_the_network_has_a_count_of_its_own(
    name: str, given: dict[str, Scalar], framework: str, count: int
) -> None:
    assert WORKLOADS[name].expected_parameters(given, framework) == count


@pytest.mark.parametrize(
    ("name", "given", "shape"),
    [
        ("vgg16", {"batch": 4}, (4, 1000)),
        ("conv3x3", {"batch": 1, "stride": 1}, (1, 224, 224, 64)),
        ("conv5x5", {"batch": 2, "stride": 2}, (2, 112, 112, 64)),
        ("dense", {"batch": 1}, (1, 512)),
        ("batchnorm", {"batch": 1}, (1, 224, 224, 3)),
    ],
)
def test_the_shape_of_a_result_is_batch_height_width_channels(
    name: str, given: dict[str, Scalar], shape: tuple[int, ...]
) -> None:
    assert WORKLOADS[name].expected_output(given) == shape
