"""scripts/networks.py: the networks that every framework's script walks through."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module("networks")


COUNTS = [
    ("cifar10-cnn", 1_250_858),
    ("vgg16", 138_357_544),
    ("alexnet", 49_566_504),
    ("resnet50", 25_557_032),
]


@pytest.mark.parametrize(("name", "count"), COUNTS)
def test_parameters_are_those_of_the_published_network(
    networks: ModuleType, name: str, count: int
) -> None:
    assert networks.count_parameters(networks.NETWORKS[name]) == count


def test_maps_of_the_cifar10_network_shrink_as_its_paddings_say(networks: ModuleType) -> None:
    walked = networks.walk(networks.CIFAR10_CNN)

    resized = [after[0] for layer, _, after in walked if layer[0] in ("convolution", "max-pooling")]
    assert resized == [32, 30, 15, 15, 13, 6]
    assert (36 * 64,) in [before for _, before, _ in walked]


def test_every_network_ends_in_one_logit_a_class(networks: ModuleType) -> None:
    for network in networks.NETWORKS.values():
        layer, _, after = networks.walk(network)[-1]
        assert layer[0] == "dense"
        assert after == (network.classes,)


def test_vgg16_has_thirteen_convolutions_and_three_dense_layers(networks: ModuleType) -> None:
    shapes = networks.kernel_shapes(networks.VGG16)

    assert [len(shape) for shape in shapes] == [4] * 13 + [2] * 3
    assert shapes[0] == (3, 3, 3, 64)
    assert shapes[13] == (7 * 7 * 512, 4096)


def test_maps_of_alexnet_shrink_as_its_strides_say(networks: ModuleType) -> None:
    walked = networks.walk(networks.ALEXNET)

    kinds = ("strided-convolution", "strided-max-pooling")
    assert [after[0] for layer, _, after in walked if layer[0] in kinds] == [54, 26, 12, 5]


def test_resnet50_has_its_strides_in_the_first_convolution_of_a_stage(
    networks: ModuleType,
) -> None:
    walked = networks.walk(networks.RESNET50)

    strided = [
        (layer[2], before[0], after[0])
        for layer, before, after in walked
        if layer[0] == "strided-convolution" and layer[3] == 2
    ]
    # 7 x 7, then the 1 x 1 and the projection of three stages
    assert strided == [
        (7, 224, 112),
        *[(1, 56, 28)] * 2,
        *[(1, 28, 14)] * 2,
        *[(1, 14, 7)] * 2,
    ]
    assert sum(layer[0] == "add" for layer, _, _ in walked) == 3 + 4 + 6 + 3
    assert round(networks.count_products(networks.RESNET50) / 1e9, 2) == 3.86


def test_ways_that_do_not_fit_are_not_added(networks: ModuleType) -> None:
    layers = (("fork",), ("convolution", 5, 3, "same"), ("add",))

    with pytest.raises(ValueError, match=r"cannot add \(8, 8, 5\) and \(8, 8, 3\)"):
        networks.walk(networks.Network((8, 8, 3), 2, layers))


def test_an_unknown_layer_is_refused(networks: ModuleType) -> None:
    network = networks.Network((8, 8, 3), 2, (("maxpool", 2),))

    with pytest.raises(ValueError, match=r"unknown layer \('maxpool', 2\)"):
        networks.walk(network)
