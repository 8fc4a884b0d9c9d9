"""scripts/data.py: the same arrays in every language, held to a reference in plain Python."""

from __future__ import annotations

import importlib
import sys
import zlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
SEEDS = [0, 1, 7, 2**32 - 1]
# CRC-32 of the bytes, seed 1: cifar10-cnn's images and labels, vgg16's first image, and
# cifar10-cnn's kernels in order.
GOLDEN = [
    2366293640,
    1395167183,
    154592256,
    4131266574,
    3101424357,
    454815344,
    652215321,
    2168599455,
    3198305047,
]


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module("data")


@pytest.fixture
def networks(data: ModuleType) -> ModuleType:
    return importlib.import_module("networks")


def mix(number: int) -> int:
    """MurmurHash3's 32-bit finaliser on Python's own integers."""
    number ^= number >> 16
    number = number * 0x85EBCA6B % 2**32
    number ^= number >> 13
    number = number * 0xC2B2AE35 % 2**32
    return number ^ number >> 16


def number(seed: int, stream: int, index: int) -> int:
    return mix(mix(index) ^ mix((mix(seed) + stream) % 2**32))


def pixel(seed: int, label: int, place: tuple[int, int, int, int], size: int) -> int:
    image, row, column, channel = place
    patch = (row * 8 // size * 8 + column * 8 // size) * 3 + channel
    colour = number(seed, 2, label * 192 + patch) % 256
    noise = number(seed, 3, ((image * size + row) * size + column) * 3 + channel) % 256
    return (3 * colour + noise) // 4


def settings(data_file: Path | None = None, seed: int = 1) -> SimpleNamespace:
    return SimpleNamespace(seed=seed, data_file=None if data_file is None else str(data_file))


def cifar10_file(path: Path, images: int, label: int = 3) -> Path:
    """Write records whose red is the image's number, green its row and blue its column."""
    records = np.zeros((images, 3073), np.uint8)
    records[:, 0] = label
    planes = records[:, 1:].reshape(images, 3, 32, 32)
    planes[:, 0] = np.arange(images, dtype=np.int64)[:, None, None] % 256
    planes[:, 1] = np.arange(32)[:, None]
    planes[:, 2] = np.arange(32)
    path.write_bytes(records.tobytes())
    return path


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_are_those_of_the_reference(data: ModuleType, seed: int) -> None:
    first = 2**20

    found = data.numbers(seed, 5, first, 100)

    assert found.dtype == np.uint32
    assert found.tolist() == [number(seed, 5, first + index) for index in range(100)]


def test_the_mixer_gives_known_values(data: ModuleType) -> None:
    found = data.mix(np.array([0, 1, 0xFFFFFFFF], np.uint32)).tolist()

    assert found == [0, 0x514E28B7, 0x81F16F39]  # MurmurHash3's fmix32


@pytest.mark.parametrize("seed", SEEDS)
def test_small_images_are_those_of_the_reference(
    data: ModuleType, networks: ModuleType, seed: int
) -> None:
    images, labels = data.generate(networks.CIFAR10_CNN, 3, seed)

    assert (images.shape, images.dtype) == ((3, 32, 32, 3), np.uint8)
    assert labels.tolist() == [number(seed, 1, image) % 10 for image in range(3)]
    places = [(int(i), int(r), int(c), int(k)) for i, r, c, k in np.ndindex(3, 32, 32, 3)]
    expected = [pixel(seed, int(labels[place[0]]), place, 32) for place in places]
    assert images.ravel().tolist() == expected


def test_large_images_are_those_of_the_reference(data: ModuleType, networks: ModuleType) -> None:
    images, labels = data.generate(networks.VGG16, 2, 1)

    assert labels.tolist() == [number(1, 1, image) % 1000 for image in range(2)]
    for place in [(0, 0, 0, 0), (0, 27, 28, 1), (1, 223, 223, 2), (1, 100, 7, 0)]:
        assert images[place] == pixel(1, int(labels[place[0]]), place, 224)


def test_arrays_have_the_checksums_that_other_languages_must_reach(
    data: ModuleType, networks: ModuleType
) -> None:
    network = networks.CIFAR10_CNN
    images, labels = data.generate(network, 2000, 1)
    kernels = data.initial_weights(networks.kernel_shapes(network), 1)
    large, _ = data.generate(networks.VGG16, 1, 1)

    found = [zlib.crc32(array.tobytes()) for array in (images, labels, large, *kernels)]

    assert found == GOLDEN


def test_classes_look_different(data: ModuleType, networks: ModuleType) -> None:
    images, labels = data.generate(networks.CIFAR10_CNN, 500, 1)
    centres = np.stack([images[labels == label].mean(axis=0) for label in range(10)])

    distances = ((images[:, None].astype("float32") - centres) ** 2).mean(axis=(2, 3, 4))

    assert (distances.argmin(axis=1) == labels).all()


def test_weights_are_uniform_within_glorots_limit(data: ModuleType) -> None:
    (kernel,) = data.initial_weights([(3, 3, 4, 12)], 7)

    limit = np.float32((6 / (9 * (4 + 12))) ** 0.5)
    expected = [
        np.float32((number(7, 16, index) >> 8) / 2**23 - 1) * limit for index in range(kernel.size)
    ]
    assert kernel.dtype == np.float32
    assert kernel.ravel().tolist() == [float(value) for value in expected]
    assert abs(float(kernel.mean())) < 0.1 * float(limit)


def test_weights_longer_than_a_chunk_continue_the_sequence(data: ModuleType) -> None:
    (kernel,) = data.initial_weights([(2, data.CHUNK)], 1)

    limit = np.float32((6 / (2 + data.CHUNK)) ** 0.5)
    index = data.CHUNK + 1
    assert kernel[1, 1] == np.float32((number(1, 16, index) >> 8) / 2**23 - 1) * limit


def test_turned_weights_give_the_same_network(data: ModuleType, networks: ModuleType) -> None:
    layers = (("convolution", 4, 3, "same"), ("flatten",), ("dense", 5), ("dense", 2))
    network = networks.Network((6, 7, 3), 2, layers)
    steps = networks.walk(network)
    kernels = data.initial_weights(networks.kernel_shapes(network), 1)
    maps = np.random.default_rng(1).random((2, 6, 7, 4), np.float32)

    convolution, dense, last = data.channels_first(steps, kernels)

    assert convolution.shape == (4, 3, 3, 3)
    assert convolution[3, 2, 0, 1] == kernels[0][0, 1, 2, 3]
    expected = maps.reshape(2, -1) @ kernels[1]
    found = maps.transpose(0, 3, 1, 2).reshape(2, -1) @ dense.T
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.array_equal(last, kernels[2].T)


def test_batches_are_whole_and_scaled(data: ModuleType, networks: ModuleType) -> None:
    batches = data.load(settings(), networks.CIFAR10_CNN, 128)

    assert len(batches) == 15
    images, labels = batches[14]
    assert (images.shape, images.dtype) == ((128, 32, 32, 3), np.float32)
    assert (labels.shape, labels.dtype) == ((128,), np.int32)
    raw, _ = data.generate(networks.CIFAR10_CNN, 2000, 1)
    assert np.array_equal(images, raw[14 * 128 : 15 * 128].astype("float32") / 127.5 - 1)


def test_large_images_come_as_one_batch(data: ModuleType, networks: ModuleType) -> None:
    ((images, labels),) = data.load(settings(), networks.VGG16, 2)

    assert images.shape == (2, 224, 224, 3)
    assert labels.shape == (2,)
    assert data.describe(settings(), networks.VGG16) == "one batch generated from seed 1, in memory"


def asked(**given: object) -> SimpleNamespace:
    plain = {"images": 0, "drop_remainder": False, "input": "random", "labels": "random"}
    return SimpleNamespace(**{**plain, "batch": 128, "validation": "none", **given})


def test_the_first_images_come_in_order_to_the_last(data: ModuleType, networks: ModuleType) -> None:
    plain = data.load(settings(), networks.CIFAR10_CNN, 128)

    batches = data.load(settings(), networks.CIFAR10_CNN, 128, asked(images=2000))

    assert [len(labels) for _, labels in batches] == [128] * 15 + [80]
    for (images, labels), (others, same) in zip(batches, plain, strict=False):
        assert np.array_equal(images, others)
        assert np.array_equal(labels, same)
    few = data.load(settings(), networks.CIFAR10_CNN, 128, asked(images=300, drop_remainder=True))
    assert [len(labels) for _, labels in few] == [128, 128]
    assert np.array_equal(few[1][0], plain[1][0])


def test_images_and_labels_may_be_zeros(data: ModuleType, networks: ModuleType) -> None:
    wanted = asked(input="zeros", labels="zeros")

    ((images, labels),) = data.load(settings(), networks.VGG16, 2, wanted)

    assert not images.any()
    assert not labels.any()
    described = data.describe(settings(), networks.VGG16, wanted)
    assert described == "one batch generated from seed 1, all set to 0, all labels 0, in memory"
    drawn = data.describe(settings(), networks.VGG16, asked(input="drawn"))
    assert drawn.endswith("its images left aside for others drawn in each step, in memory")
    said = data.describe(settings(), networks.CIFAR10_CNN, asked(images=300))
    assert said == "300 images generated from seed 1, in memory"


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ({}, []),
        ({"validation": "first-400-of-training"}, [128, 128, 128, 16]),
        ({"validation": "first-400-of-training", "drop_remainder": True}, [128] * 3),
        ({"validation": "training-images"}, [128] * 15 + [80]),
        ({"validation": "training-images", "drop_remainder": True}, [128] * 15),
    ],
)
def test_validation_goes_over_training_images_again(
    data: ModuleType, networks: ModuleType, given: dict[str, object], sizes: list[int]
) -> None:
    wanted = asked(images=2000, **given)
    batches = data.load(settings(), networks.CIFAR10_CNN, 128, wanted)

    again = data.load_validation(batches, wanted)

    assert [len(images) for images, _ in again] == sizes
    for (images, labels), (others, same) in zip(again, batches, strict=False):
        assert np.array_equal(images, others[: len(images)])
        assert np.array_equal(labels, same[: len(labels)])


def test_a_layer_that_takes_features_gets_them(data: ModuleType, networks: ModuleType) -> None:
    ((features, labels),) = data.load(settings(), networks.layer_alone("dense", 1), 2)

    assert (features.shape, features.dtype) == ((2, 1024), np.float32)
    expected = [number(1, 3, index) % 256 / 127.5 - 1 for index in range(2048)]
    np.testing.assert_allclose(features.ravel(), expected, rtol=1e-5, atol=1e-7)
    assert labels.tolist() == [0, 0]


def test_more_images_than_there_are_are_refused(data: ModuleType, networks: ModuleType) -> None:
    with pytest.raises(ValueError, match="images: found 2001, expected 1 to 2000"):
        data.load(settings(), networks.CIFAR10_CNN, 128, asked(images=2001))


@pytest.mark.parametrize("batch", [0, 2001])
def test_a_batch_that_the_data_cannot_fill_is_refused(
    data: ModuleType, networks: ModuleType, batch: int
) -> None:
    with pytest.raises(ValueError, match=f"batch: found {batch}, expected 1 to 2000"):
        data.load(settings(), networks.CIFAR10_CNN, batch)


def test_of_other_images_there_are_as_many_as_a_batch_asks_for(
    data: ModuleType, networks: ModuleType
) -> None:
    [(features, labels)] = data.load(settings(), networks.layer_alone("dense", 1), 2001)

    assert (len(features), len(labels)) == (2001, 2001)


def test_real_images_are_read_in_their_order(
    data: ModuleType, networks: ModuleType, tmp_path: Path
) -> None:
    path = cifar10_file(tmp_path / "data_batch_1.bin", 2100)

    batches = data.load(settings(path), networks.CIFAR10_CNN, 100)

    assert len(batches) == 20
    images, labels = batches[1]
    assert set(labels.tolist()) == {3}
    raw = np.rint((images + 1) * 127.5).astype(int)
    assert raw[7, 4, 9].tolist() == [107, 4, 9]
    described = data.describe(settings(path), networks.CIFAR10_CNN)
    assert described == "the first 2000 images of data_batch_1.bin, in memory"


def test_real_images_are_not_taken_for_a_network_of_another_size(
    data: ModuleType, networks: ModuleType, tmp_path: Path
) -> None:
    path = cifar10_file(tmp_path / "data_batch_1.bin", 2000)

    assert "generated" in data.describe(settings(path), networks.VGG16)
    assert data.load(settings(path), networks.VGG16, 1)[0][0].shape == (1, 224, 224, 3)


def test_a_file_of_another_format_is_refused(data: ModuleType, tmp_path: Path) -> None:
    short = cifar10_file(tmp_path / "short.bin", 1999)
    torn = tmp_path / "torn.bin"
    torn.write_bytes(bytes(3073 * 2000 + 1))
    other = cifar10_file(tmp_path / "other.bin", 2000, label=10)

    for path in (short, torn):
        with pytest.raises(ValueError, match=r"expected records of 3073 bytes, at least 2000"):
            data.read_cifar10(str(path))
    with pytest.raises(ValueError, match=r"other\.bin: found label 10, expected 0 to 9"):
        data.read_cifar10(str(other))
