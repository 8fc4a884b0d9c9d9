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


@pytest.mark.parametrize(("name", "count"), [("cifar10-cnn", 1_250_858), ("vgg16", 138_357_544)])
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


def test_an_unknown_layer_is_refused(networks: ModuleType) -> None:
    network = networks.Network((8, 8, 3), 2, (("maxpool", 2),))

    with pytest.raises(ValueError, match=r"unknown layer \('maxpool', 2\)"):
        networks.walk(network)
