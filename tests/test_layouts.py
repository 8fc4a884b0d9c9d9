"""scripts/layouts.py and the kernels of Keras 1: one network, whatever the order of its images."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

SCRIPTS = Path(__file__).parents[1] / "scripts"

Floats = NDArray[np.float32]


@pytest.fixture(autouse=True)
def _scripts_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.fixture
def layouts() -> ModuleType:
    return importlib.import_module("layouts")


@pytest.fixture
def data() -> ModuleType:
    return importlib.import_module("data")


@pytest.fixture
def networks() -> ModuleType:
    return importlib.import_module("networks")


@pytest.fixture
def keras1() -> ModuleType:
    return importlib.import_module("train_keras1")


def small(networks: ModuleType) -> object:
    """Return a network in which an order of pixels or channels that is wrong would show."""
    return networks.Network(
        input_shape=(5, 4, 3),
        classes=2,
        layers=(
            ("convolution", 4, 3, "valid"),
            ("relu",),
            ("flatten",),
            ("dense", 5),
            ("relu",),
            ("dense", 2),
        ),
    )


def convolve(images: Floats, kernel: Floats) -> Floats:
    """Slide a kernel (height, width, inputs, outputs) over images that are channels last."""
    height, width = kernel.shape[:2]
    rows, columns = images.shape[1] - height + 1, images.shape[2] - width + 1
    return np.stack(
        [
            np.stack(
                [
                    np.einsum("nhwi,hwio->no", images[:, r : r + height, c : c + width], kernel)
                    for c in range(columns)
                ],
                axis=1,
            )
            for r in range(rows)
        ],
        axis=1,
    )


def forward(images: Floats, kernels: list[Floats], *, channels_first: bool) -> Floats:
    """Return logits of images in either order; kernels of convolutions are as `convolve` has."""
    first, hidden, last = kernels
    seen = images.transpose(0, 2, 3, 1) if channels_first else images
    maps = np.maximum(convolve(seen, first), 0)
    flat = maps.transpose(0, 3, 1, 2) if channels_first else maps
    return np.maximum(flat.reshape(len(flat), -1) @ hidden, 0) @ last


@pytest.fixture
def images() -> Floats:
    return np.random.RandomState(1).randn(2, 5, 4, 3).astype("float32")


def test_turned_kernels_make_the_same_network(
    layouts: ModuleType, data: ModuleType, networks: ModuleType, images: Floats
) -> None:
    network = small(networks)
    kernels = data.initial_weights(networks.kernel_shapes(network), 1)
    logits = forward(images, kernels, channels_first=False)

    turned = layouts.turn_kernels(data, networks.walk(network), kernels, True)
    found = forward(layouts.turn_images(images, True), turned, channels_first=True)

    np.testing.assert_allclose(found, logits, rtol=1e-5)
    unturned = forward(layouts.turn_images(images, True), kernels, channels_first=True)
    assert not np.allclose(unturned, logits, rtol=1e-2)


def test_channels_last_is_left_as_it_is(
    layouts: ModuleType, data: ModuleType, networks: ModuleType, images: Floats
) -> None:
    network = small(networks)
    kernels = data.initial_weights(networks.kernel_shapes(network), 1)

    assert layouts.turn_kernels(data, networks.walk(network), kernels, False) is kernels
    assert layouts.turn_images(images, False) is images
    assert layouts.shape_of(network, False) == (5, 4, 3)
    assert layouts.shape_of(network, True) == (3, 5, 4)


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("flips", [False, True])
def test_kernels_of_keras_1_fit_layout_and_backend(
    layouts: ModuleType,
    data: ModuleType,
    networks: ModuleType,
    keras1: ModuleType,
    images: Floats,
    channels_first: bool,
    flips: bool,
) -> None:
    network = small(networks)
    kernels = data.initial_weights(networks.kernel_shapes(network), 1)
    logits = forward(images, kernels, channels_first=False)

    first, *rest = keras1.turn_kernels(data, network, channels_first, flips, 1)
    kept = first.transpose(2, 3, 1, 0) if channels_first else first  # as Keras 1 keeps it
    slid = kept[::-1, ::-1] if flips else kept  # as the backend slides it
    turned = layouts.turn_images(images, channels_first)
    found = forward(turned, [slid, *rest], channels_first=channels_first)

    np.testing.assert_allclose(found, logits, rtol=1e-5)
