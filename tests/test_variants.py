"""scripts/variants.py: what a job may ask to be changed in a network."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
PLAIN = {
    "batch_norm": "none",
    "conv_padding": "network",
    "pool_padding": "valid",
    "dropout": "network",
    "stride": 1,
}


@pytest.fixture
def variants(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module("variants")


def sizes(variants: ModuleType, network: Any, *kinds: str) -> list[int]:  # noqa: ANN401
    """Return the heights of the maps behind each layer of these kinds."""
    return [after[0] for layer, _, after in variants.networks.walk(network) if layer[0] in kinds]


def test_nothing_asked_is_the_network_itself(variants: ModuleType) -> None:
    for name, network in variants.networks.NETWORKS.items():
        assert variants.network(name, PLAIN) == network


def test_batch_normalisation_stands_between_each_convolution_and_its_relu(
    variants: ModuleType,
) -> None:
    network = variants.network("vgg16", {**PLAIN, "batch_norm": "fused"})

    assert network == variants.networks.VGG16_BN
    assert variants.networks.count_parameters(network) == 138_357_544 + 2 * 4_224


def test_the_paddings_of_the_pytorch_original(variants: ModuleType) -> None:
    network = variants.network("cifar10-cnn", {**PLAIN, "conv_padding": "same-same-valid-valid"})

    assert sizes(variants, network, "convolution", "max-pooling") == [32, 32, 16, 14, 12, 6]
    assert variants.networks.count_parameters(network) == 1_250_858
    assert round(variants.networks.count_products(network) / 1e6, 2) == 20.43


def test_pooling_to_the_edge_leaves_more_pixels(variants: ModuleType) -> None:
    network = variants.network("cifar10-cnn", {**PLAIN, "pool_padding": "same"})

    assert sizes(variants, network, "max-pooling") == [15, 7]
    assert variants.networks.count_parameters(network) == 1_676_842
    vgg16 = variants.network("vgg16", {**PLAIN, "pool_padding": "same"})
    assert variants.networks.count_parameters(vgg16) == 138_357_544


@pytest.mark.parametrize(
    ("workload", "asked", "rates"),
    [
        ("cifar10-cnn", "network", [0.25, 0.25, 0.5]),
        ("cifar10-cnn", "none", []),
        ("cifar10-cnn", "keep-prob", [0.75, 0.75, 0.5]),
        ("cifar10-cnn", "after-dense", [0.5]),
        ("cifar10-cnn", "half", [0.5, 0.5, 0.5]),
        ("vgg16", "half", []),
        ("vgg16", "network", []),
        ("vgg16", "after-dense", [0.5, 0.5]),
        ("vgg19-bn", "after-dense", [0.5, 0.5]),
        ("alexnet", "after-dense", [0.5, 0.5]),
    ],
)
def test_dropout_is_as_asked(
    variants: ModuleType, workload: str, asked: str, rates: list[float]
) -> None:
    network = variants.network(workload, {**PLAIN, "dropout": asked})

    layers = network.layers
    assert [layer[1] for layer in layers if layer[0] == "dropout"] == rates
    if asked == "after-dense":
        for place, layer in enumerate(layers):
            if layer[0] == "dropout":
                assert (layers[place - 2][0], layers[place - 1]) == ("dense", ("relu",))


def test_an_original_is_changed_as_the_network_would_be(variants: ModuleType) -> None:
    original = variants.networks.VGG19

    network = variants.network("vgg16", {**PLAIN, "dropout": "after-dense"}, original)

    assert variants.networks.count_parameters(network) == 143_667_240
    assert sum(layer[0] == "dropout" for layer in network.layers) == 2


def test_a_layer_alone_has_its_stride(variants: ModuleType) -> None:
    network = variants.network("conv5x5", {**PLAIN, "stride": 2})

    assert sizes(variants, network, "strided-convolution") == [112]
