"""scripts/data.jl and networks.jl: what the Python side gives, in a container with Julia."""

from __future__ import annotations

import importlib
import itertools
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from tests.julia_container import SCRIPTS, JuliaContainer, julia_container
from tests.test_data import GOLDEN, SEEDS, cifar10_file

pytestmark = pytest.mark.engine

BEGINNING = """
include("/tmp/runner/bench.jl")
include("/tmp/runner/networks.jl")
include("/tmp/runner/originals.jl")
include("/tmp/runner/data.jl")
"""

# Images come as (width, height, channel, image); in memory, (channel, width, height, image)
# lies as Python's (image, height, width, channel) does. So do the kernels as they are.
ARRAYS = """
network = Networks.CIFAR10_CNN
images, labels = Data.generate(network, 2000, 1)
large, _ = Data.generate(Networks.NETWORKS["vgg16"], 1, 1)
kernels = Data.initial_weights(Networks.kernel_shapes(network), 1)
pythons(images) = permutedims(images, (3, 1, 2, 4))
for array in (pythons(images), labels, pythons(large), kernels...)
    write(stdout, array)
end
"""

FLUX_KERNELS = """
layers = [("convolution", 4, 3, "same"), ("relu",), ("flatten",), ("dense", 5), ("dense", 2)]
network = Networks.Network((6, 7, 3), 2, layers)
kernels = Data.initial_weights(Networks.kernel_shapes(network), 1)
convolution, dense, last = Data.flux_kernels(Networks.walk(network), kernels)
Bench.json(stdout, Dict(
    "shapes" => [size(convolution), size(dense), size(last)],
    "convolution" => vec(convolution), "dense" => vec(dense), "last" => vec(last)))
"""

WALKS = """
alone = Dict("$name/$stride" => Networks.layer_alone(name, stride)
    for name in keys(Networks.LAYERS) for stride in (1, 2))
Bench.json(stdout, Dict(
    name => Dict(
        "input_shape" => network.input_shape, "classes" => network.classes,
        "walk" => Networks.walk(network), "kernels" => Networks.kernel_shapes(network),
        "parameters" => Networks.count_parameters(network))
    for (name, network) in merge(Networks.NETWORKS, alone)))
"""

ORIGINALS = """
Bench.json(stdout, Dict(
    name => (Networks.count_parameters(network), Networks.walk(network)[end][3],
        [layer[1] for layer in network.layers])
    for (name, network) in Originals.NETWORKS))
"""

BIASED = """
Bench.json(stdout, Dict(
    name => Networks.count_parameters(network; is_biased = true)
    for (name, network) in Networks.NETWORKS))
"""

ODD_SUM = """
layers = [("fork",), ("convolution", 5, 3, "same"), ("add",)]
Networks.walk(Networks.Network((8, 8, 3), 2, layers))
"""

FEATURES = """
settings = (seed = 1, data_file = nothing)
((features, labels),) = Data.load(settings, Networks.layer_alone("dense", 1), 2)
write(stdout, features)
Bench.json(stderr, (size(features), labels))
"""

UNKNOWN_LAYER = """
Networks.walk(Networks.Network((8, 8, 3), 2, [("maxpool", 2)]))
"""

NUMBERS = """
for seed in (0, 1, 7, 2^32 - 1)
    println(join([string(Data.number(Data.key(seed, 5), 2^20 + place)) for place = 0:99], " "))
end
"""

LOADING = """
settings = (seed = 1, data_file = get(ENV, "DATA", nothing))
network = Networks.NETWORKS[ENV["NETWORK"]]
batches = Data.load(settings, network, parse(Int, ENV["BATCH"]))
images, labels = batches[end]
write(stdout, permutedims(images, (3, 1, 2, 4)))
Bench.json(stderr, (length(batches), size(images), string(eltype(images)), labels,
    string(eltype(labels)), Data.describe(settings, network)))
"""


@pytest.fixture(scope="module")
def julia() -> Iterator[JuliaContainer]:
    with julia_container() as container:
        yield container


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module("data")


@pytest.fixture
def networks(data: ModuleType) -> ModuleType:
    return importlib.import_module("networks")


def written(julia: JuliaContainer, text: str) -> bytes:
    ended = julia.script(BEGINNING + text)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout


def test_arrays_have_the_checksums_of_the_python_side(
    julia: JuliaContainer, networks: ModuleType
) -> None:
    found = written(julia, ARRAYS)

    shapes = networks.kernel_shapes(networks.CIFAR10_CNN)
    floats = [4 * int(np.prod(shape)) for shape in shapes]
    sizes = [2000 * 32 * 32 * 3, 4 * 2000, 224 * 224 * 3, *floats]
    assert len(found) == sum(sizes)
    ends = np.cumsum(sizes).tolist()
    pieces = [found[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    assert [zlib.crc32(piece) for piece in pieces] == GOLDEN


def test_numbers_are_those_of_the_python_side(julia: JuliaContainer, data: ModuleType) -> None:
    lines = written(julia, NUMBERS).decode().splitlines()

    found = [[int(word) for word in line.split()] for line in lines]
    assert found == [data.numbers(seed, 5, 2**20, 100).tolist() for seed in SEEDS]


def test_networks_are_those_of_the_python_side(julia: JuliaContainer, networks: ModuleType) -> None:
    found = json.loads(written(julia, WALKS))

    expected = {name: one for name, one in networks.NETWORKS.items() if name != "alexnet"}
    for name, stride in itertools.product(networks.LAYERS, (1, 2)):
        expected[f"{name}/{stride}"] = networks.layer_alone(name, stride)
    assert found.keys() == expected.keys()
    for name, network in expected.items():
        said = {
            "input_shape": network.input_shape,
            "classes": network.classes,
            "walk": networks.walk(network),
            "kernels": networks.kernel_shapes(network),
            "parameters": networks.count_parameters(network),
        }
        assert found[name] == json.loads(json.dumps(said)), name


def test_originals_of_flux_have_their_published_counts(julia: JuliaContainer) -> None:
    found = json.loads(written(julia, ORIGINALS))

    counts = {name: count for name, (count, _, _) in found.items()}
    assert counts == {
        "vgg16": 138_357_544,
        "vgg16-bn": 138_365_992,
        "vgg19": 143_667_240,
        "vgg19-bn": 143_675_688,  # without the normalisation of 2 x 512 and 256 channels
        "resnet18": 13_070_440,
        "resnet34": 23_182_312,
        "resnet50": 25_583_464,
        "resnet101": 44_601_704,
        "resnet152": 60_268_392,
    }
    for name, (_, shape, kinds) in found.items():
        assert (shape, kinds[-1]) == ([1000], "softmax")
        assert kinds.count("dropout") == (2 if name.startswith("vgg") else 0)
        assert kinds.count("copy") == kinds.count("add")
    assert found["resnet18"][2].count("swap") == 3
    assert found["resnet50"][2].count("swap") == 4


def test_a_bias_in_each_convolution_of_flux_makes_the_difference(
    julia: JuliaContainer, networks: ModuleType
) -> None:
    found = json.loads(written(julia, BIASED))

    assert {
        name: count - networks.count_parameters(networks.NETWORKS[name])
        for name, count in found.items()
        if name.startswith("resnet")
    } == {
        "resnet18": 4_800,
        "resnet34": 8_512,
        "resnet50": 26_560,
        "resnet101": 52_672,
        "resnet152": 75_712,
    }
    assert found["vgg19-bn"] == 143_678_248


def test_ways_that_do_not_fit_are_not_added(julia: JuliaContainer) -> None:
    ended = julia.script(BEGINNING + ODD_SUM)

    assert ended.returncode == 1
    assert "cannot add (8, 8, 5) and (8, 8, 3)" in ended.stderr.decode()


def test_features_are_those_of_the_python_side(
    julia: JuliaContainer, data: ModuleType, networks: ModuleType
) -> None:
    ended = julia.script(BEGINNING + FEATURES)

    assert ended.returncode == 0, ended.stderr.decode()
    settings = SimpleNamespace(seed=1, data_file=None)
    ((features, _),) = data.load(settings, networks.layer_alone("dense", 1), 2)
    assert ended.stdout == features.tobytes()
    assert json.loads(ended.stderr) == [[1024, 2], [0, 0]]


def test_an_unknown_layer_is_refused(julia: JuliaContainer) -> None:
    ended = julia.script(BEGINNING + UNKNOWN_LAYER)

    assert ended.returncode == 1
    assert 'unknown layer ("maxpool", 2)' in ended.stderr.decode()


def test_flux_convolves_the_kernels_that_others_correlate(
    julia: JuliaContainer, data: ModuleType, networks: ModuleType
) -> None:
    found = json.loads(written(julia, FLUX_KERNELS))

    layers = (("convolution", 4, 3, "same"), ("relu",), ("flatten",), ("dense", 5), ("dense", 2))
    network = networks.Network((6, 7, 3), 2, layers)
    convolution, dense, last = data.initial_weights(networks.kernel_shapes(network), 1)
    assert found["shapes"] == [[3, 3, 3, 4], [5, 168], [2, 5]]
    turned = np.array(found["convolution"]).reshape((3, 3, 3, 4), order="F")  # w, h, in, out
    assert np.array_equal(turned, convolution[::-1, ::-1].transpose(1, 0, 2, 3))
    assert np.array_equal(np.array(found["last"]).reshape((2, 5), order="F"), last.T)
    # The same map, flattened in either order, times either kernel.
    maps = np.random.default_rng(1).random((6, 7, 4))  # height, width, channel
    expected = maps.reshape(-1) @ dense
    flattened = maps.transpose(1, 0, 2).reshape(-1, order="F")  # width runs fastest
    turned = np.array(found["dense"]).reshape((5, 168), order="F")
    np.testing.assert_allclose(turned @ flattened, expected, rtol=1e-6)


def loaded(julia: JuliaContainer, network: str, batch: int, file: str = "") -> tuple[bytes, str]:
    """Return the last batch's images as bytes, and in JSON what was said of it."""
    variables = {"NETWORK": network, "BATCH": str(batch), **({"DATA": file} if file else {})}
    ended = julia.script(BEGINNING + LOADING, variables=variables)
    return ended.stdout, ended.stderr.decode()


@pytest.mark.parametrize(("name", "batch", "count"), [("cifar10-cnn", 128, 15), ("vgg16", 2, 1)])
def test_batches_are_those_of_the_python_side(
    julia: JuliaContainer, data: ModuleType, networks: ModuleType, name: str, batch: int, count: int
) -> None:
    images, said = loaded(julia, name, batch)

    network = networks.NETWORKS[name]
    settings = SimpleNamespace(seed=1, data_file=None)
    batches = data.load(settings, network, batch)
    side = network.input_shape[0]
    described = data.describe(settings, network)
    assert images == batches[-1][0].tobytes()
    shape = [side, side, 3, batch]
    labels = batches[-1][1].tolist()
    assert json.loads(said) == [count, shape, "Float32", labels, "Int32", described]


@pytest.mark.parametrize("batch", [0, 2001])
def test_a_batch_that_the_data_cannot_fill_is_refused(julia: JuliaContainer, batch: int) -> None:
    _, said = loaded(julia, "cifar10-cnn", batch)

    assert f"ArgumentError: batch: found {batch}, expected 1 to 2000" in said


def put(julia: JuliaContainer, path: Path) -> str:
    inside = f"/tmp/{path.name}"
    copied = julia.command("sh", "-c", f"cat >{inside}", stdin=path.read_bytes())
    assert copied.returncode == 0, copied.stderr.decode()
    return inside


def test_real_images_are_read_as_the_python_side_reads_them(
    julia: JuliaContainer, data: ModuleType, networks: ModuleType, tmp_path: Path
) -> None:
    path = cifar10_file(tmp_path / "data_batch_1.bin", 2100)

    images, said = loaded(julia, "cifar10-cnn", 100, put(julia, path))

    settings = SimpleNamespace(seed=1, data_file=str(path))
    expected, _ = data.load(settings, networks.CIFAR10_CNN, 100)[-1]
    assert images == expected.tobytes()
    count, _, _, labels, _, described = json.loads(said)
    assert (count, set(labels)) == (20, {3})
    assert described == "the first 2000 images of data_batch_1.bin, in memory"


def test_a_file_of_another_format_is_refused(julia: JuliaContainer, tmp_path: Path) -> None:
    short = cifar10_file(tmp_path / "short.bin", 1999)
    torn = tmp_path / "torn.bin"
    torn.write_bytes(bytes(3073 * 2000 + 1))
    other = cifar10_file(tmp_path / "other.bin", 2000, label=10)

    for path in (short, torn):
        _, said = loaded(julia, "cifar10-cnn", 100, put(julia, path))
        assert "expected records of 3073 bytes, at least 2000" in said
    _, said = loaded(julia, "cifar10-cnn", 100, put(julia, other))
    assert "other.bin: found label 10, expected 0 to 9" in said
