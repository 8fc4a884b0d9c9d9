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


# Published counts: Keras' summary of the first; the papers'; torchvision's of the ResNets.
COUNTS = [
    ("cifar10-cnn", 1_250_858),
    ("vgg16", 138_357_544),
    ("vgg16-bn", 138_365_992),
    ("vgg19", 143_667_240),
    ("vgg19-bn", 143_678_248),
    ("alexnet", 49_566_504),
    ("resnet18", 11_689_512),
    ("resnet34", 21_797_672),
    ("resnet50", 25_557_032),
    ("resnet101", 44_549_160),
    ("resnet152", 60_192_808),
]

# Thousand millions of multiply-adds of one image's forward pass: of torchvision's networks.
PRODUCTS = {
    "resnet18": 1.814,
    "resnet34": 3.664,
    "resnet50": 4.089,
    "resnet101": 7.801,
    "resnet152": 11.514,
}


@pytest.mark.parametrize(("name", "count"), COUNTS)
def test_parameters_are_those_of_the_published_network(
    networks: ModuleType, name: str, count: int
) -> None:
    assert networks.count_parameters(networks.NETWORKS[name]) == count


def test_every_network_has_a_count(networks: ModuleType) -> None:
    assert networks.NETWORKS.keys() == {name for name, _ in COUNTS}


@pytest.mark.parametrize(("name", "products"), PRODUCTS.items())
def test_torchvisions_resnets_have_the_same_count_and_more_work(
    networks: ModuleType, name: str, products: float
) -> None:
    network = networks.TORCHVISION_RESNETS[name]

    assert networks.count_parameters(network) == dict(COUNTS)[name]
    assert round(networks.count_products(network) / 1e9, 3) == products


def test_the_resnet50_of_keras_applications_has_biases(networks: ModuleType) -> None:
    walked = networks.walk(networks.KERAS_RESNET50)

    assert networks.count_parameters(networks.KERAS_RESNET50) == 25_583_592
    assert round(networks.count_products(networks.KERAS_RESNET50) / 1e9, 2) == 3.83
    assert [after[0] for layer, _, after in walked if layer[0] == "strided-max-pooling"] == [55]
    assert {layer for layer, _, _ in walked if layer[0] == "batch-normalisation"} == {
        ("batch-normalisation", 1e-3)
    }


@pytest.mark.parametrize(
    ("name", "stride", "count", "shape"),
    [
        ("conv3x3", 1, 1_792, (224, 224, 64)),
        ("conv3x3", 2, 1_792, (112, 112, 64)),
        ("conv5x5", 1, 4_864, (224, 224, 64)),
        ("conv5x5", 2, 4_864, (112, 112, 64)),
        ("dense", 1, 524_800, (512,)),
        ("batchnorm", 1, 6, (224, 224, 3)),
    ],
)
def test_a_layer_alone_is_a_network(
    networks: ModuleType, name: str, stride: int, count: int, shape: tuple[int, ...]
) -> None:
    network = networks.layer_alone(name, stride)

    assert networks.count_parameters(network) == count
    assert networks.walk(network)[-1][2] == shape


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


@pytest.mark.parametrize(("name", "blocks"), [("resnet18", 8), ("resnet34", 16), ("resnet101", 33)])
def test_resnets_add_a_shortcut_to_every_block(
    networks: ModuleType, name: str, blocks: int
) -> None:
    walked = networks.walk(networks.NETWORKS[name])

    assert sum(layer[0] == "add" for layer, _, _ in walked) == blocks
    # Stages of basic blocks begin with as many channels as they end with, but for the first.
    projected = sum(layer[0] == "swap" for layer, _, _ in walked)
    assert projected == (4 if name == "resnet101" else 3)


def test_ways_that_do_not_fit_are_not_added(networks: ModuleType) -> None:
    layers = (("fork",), ("convolution", 5, 3, "same"), ("add",))

    with pytest.raises(ValueError, match=r"cannot add \(8, 8, 5\) and \(8, 8, 3\)"):
        networks.walk(networks.Network((8, 8, 3), 2, layers))


def test_an_unknown_layer_is_refused(networks: ModuleType) -> None:
    network = networks.Network((8, 8, 3), 2, (("maxpool", 2),))

    with pytest.raises(ValueError, match=r"unknown layer \('maxpool', 2\)"):
        networks.walk(network)
