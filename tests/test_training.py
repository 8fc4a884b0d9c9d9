"""scripts/training.py: what a script asks of its job, and what it must refuse."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runner.workloads import WORKLOADS

SCRIPTS = Path(__file__).parents[1] / "scripts"
STATED = {"batch": "8", "optimizer": "sgd", "learning_rate": "0.01"}
BOTH = ("fair", "as-published")

Ask = Callable[..., Any]


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module("training")


@pytest.fixture
def ask(training: ModuleType) -> Ask:
    bench = training.bench

    def asked(
        given: dict[str, str], workload: str = "vgg16", protocol: str = "fair", **can: object
    ) -> object:
        variables = {
            "RUNNER_CONTRACT": "1",
            "RUNNER_WORKLOAD": workload,
            "RUNNER_PROTOCOL": protocol,
            "RUNNER_WARMUP_STEPS": "1",
            "RUNNER_MEASURE_STEPS": "1",
            "RUNNER_MEASURE_LIMIT_S": "1",
            "RUNNER_SEED": "1",
            "RUNNER_DEVICE": "cpu",
            "RUNNER_THREADS": "1",
        }
        stated = STATED if workload in training.networks.NETWORKS else {}
        told = {bench.PREFIX + name.upper(): text for name, text in {**stated, **given}.items()}
        job = bench.Job(bench.read_settings(variables | told), None)
        return training.ask(job, compilers=("default",), **{"protocols": BOTH, **can})

    return asked


def test_what_is_not_said_is_at_its_fair_default(ask: Ask, training: ModuleType) -> None:
    asked = ask({})

    assert asked.network == training.networks.VGG16
    assert (asked.part, asked.precision, asked.gpus, asked.images) == ("step", "float32", 1, 0)
    assert (asked.zero_grad, asked.rmsprop_rho, asked.adam_epsilon) == (True, 0.9, 1e-8)


def test_scripts_know_exactly_the_parameters_that_the_host_has(training: ModuleType) -> None:
    for name, workload in WORKLOADS.items():
        had = {each for each in training.PARAMETERS if training._has(name, each)}
        assert had == {parameter.name for parameter in workload.parameters}, name


def test_defaults_and_words_are_those_of_the_host(training: ModuleType) -> None:
    for name, workload in WORKLOADS.items():
        for parameter in workload.parameters:
            kind, default = training.PARAMETERS[parameter.name]
            if name in training.networks.LAYERS:
                default = training.DEFAULTS_OF_LAYERS.get(parameter.name, default)
            assert default is None or default == parameter.default, (name, parameter.name)
            if isinstance(kind, tuple):
                assert set(parameter.choices) <= set(kind), (name, parameter.name)


def test_every_workload_of_the_host_is_known(training: ModuleType) -> None:
    known = {**training.networks.NETWORKS, **training.networks.LAYERS}

    assert known.keys() == WORKLOADS.keys()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"part": "forward"}, "parameter part: 'forward'; expected step, all that this script"),
        ({"mode": "graph"}, "parameter mode: 'graph'; expected native"),
        ({"optimizer": "adam"}, "parameter optimizer: 'adam'; expected rmsprop or sgd"),
        ({"batch_norm": "fused"}, "parameter batch_norm: 'fused'; expected none"),
        ({"part": "sideways"}, "parameter part: 'sideways'; expected step or forward or"),
        ({"batch": "0"}, "batch: 0, gpus: 1; expected 1 or more"),
        ({"gpus": "2"}, "gpus: 2; this script trains on one device"),
        ({"images": "100"}, "unknown parameter 'images'"),
        ({"stride": "2"}, "unknown parameter 'stride'"),
    ],
)
def test_what_a_script_does_not_name_is_refused(
    ask: Ask, training: ModuleType, given: dict[str, str], words: str
) -> None:
    with pytest.raises(training.bench.Unsupported) as caught:
        ask(given)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [("dropout", "none"), ("zero_grad", "0"), ("rmsprop_rho", "0.99"), ("input", "zeros")],
)
def test_a_switch_moves_only_as_published_and_where_the_script_names_it(
    ask: Ask, training: ModuleType, name: str, text: str
) -> None:
    able = {
        "dropout": ("network", "none"),
        "input": ("random", "zeros"),
        "zero_grad": True,
        "rmsprop_rho": True,
    }

    with pytest.raises(training.bench.Unsupported, match="under the protocol fair it is"):
        ask({name: text}, able=able)
    with pytest.raises(training.bench.Unsupported, match="all that this script can do"):
        ask({name: text}, protocol="as-published")
    asked = ask({name: text}, protocol="as-published", able=able)
    assert getattr(asked, name) != training.PARAMETERS[name][1]


def test_every_problem_is_told_at_once(ask: Ask, training: ModuleType) -> None:
    with pytest.raises(training.bench.Unsupported) as caught:
        ask({"part": "forward", "mode": "eager", "softmax": "twice"}, protocol="as-published")

    for name in ("part", "mode", "softmax"):
        assert f"parameter {name}: " in str(caught.value)


def test_the_protocol_of_the_originals_must_be_named(ask: Ask, training: ModuleType) -> None:
    with pytest.raises(training.bench.Unsupported, match="protocol: 'as-published'; known: fair"):
        ask({}, protocol="as-published", protocols=("fair",))


def test_epochs_and_images_belong_together(ask: Ask, training: ModuleType) -> None:
    able = dict.fromkeys(("images", "epochs", "drop_remainder"), True)

    asked = ask({"images": "2000", "epochs": "5"}, "cifar10-cnn", able=able)
    assert (asked.images, asked.epochs, asked.drop_remainder) == (2000, 5, False)
    with pytest.raises(training.bench.Unsupported, match="images: 2000, epochs: 0; expected both"):
        ask({"images": "2000"}, "cifar10-cnn", able=able)
    with pytest.raises(training.bench.Unsupported, match="drop_remainder: only with images"):
        ask({"drop_remainder": "1"}, "cifar10-cnn", "as-published", able=able)


def test_a_layer_alone_is_asked_for_its_forward_pass(ask: Ask, training: ModuleType) -> None:
    able = {"part": ("step", "forward", "backward")}

    asked = ask({"stride": "2"}, "conv3x3", able=able)

    assert (asked.workload, asked.part, asked.batch) == ("conv3x3", "forward", 1)
    (((_, before, after)),) = training.networks.walk(asked.network)
    assert (before, after) == ((224, 224, 3), (112, 112, 64))
    with pytest.raises(training.bench.Unsupported, match="a layer alone has no loss"):
        ask({"part": "step"}, "dense", able=able)
    with pytest.raises(training.bench.Unsupported, match="stride: 3; expected 1 or 2"):
        ask({"stride": "3"}, "conv5x5", able=able)


def test_paddings_of_pools_are_of_those_that_do_not_overlap(ask: Ask, training: ModuleType) -> None:
    able = {"pool_padding": ("valid", "same")}

    assert ask({"pool_padding": "same"}, "vgg19", "as-published", able=able)
    with pytest.raises(training.bench.Unsupported, match="alexnet has no pooling without overlap"):
        ask({"pool_padding": "same"}, "alexnet", "as-published", able=able)


def test_an_original_architecture_is_the_scripts_own(ask: Ask, training: ModuleType) -> None:
    originals = training.networks.TORCHVISION_RESNETS
    given = {"architecture": "original"}

    asked = ask(given, "resnet50", "as-published", originals=originals)
    assert asked.network == originals["resnet50"]
    assert ask({}, "resnet50", originals=originals).network == training.networks.RESNET50
    with pytest.raises(training.bench.Unsupported, match="architecture: 'original'"):
        ask(given, "vgg16", "as-published", originals=originals)
    with pytest.raises(training.bench.Unsupported, match="under the protocol fair"):
        ask(given, "resnet50", originals=originals)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("sgd", {}, "sgd: learning rate 0.01, no momentum"),
        (
            "adam",
            {"epsilon": 1e-8, "where": "to the root"},
            "adam: learning rate 0.01, beta 0.9 and 0.999, epsilon 1e-08 added to the root",
        ),
        (
            "rmsprop",
            {"rho": 0.9, "epsilon": 1e-8, "where": "under the root"},
            "rmsprop: learning rate 0.01, rho 0.9, epsilon 1e-08 added under the root, "
            "accumulators from 0",
        ),
    ],
)
def test_an_optimizer_is_worded(
    training: ModuleType, name: str, given: dict[str, Any], words: str
) -> None:
    assert training.optimizer_words(name, 0.01, **given) == words


def test_training_works_in_python_2(training: ModuleType) -> None:
    from tests.test_bench import find_python

    python = find_python("2.7")
    if python is None:
        pytest.skip("no Python 2.7 here")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True\n"
        "import bench, training\n"
        "given = dict(batch='8', optimizer='sgd', learning_rate='0.1', zero_grad='0')\n"
        "settings = bench.Settings('vgg16', 'as-published', given, 1, 1, 1, 1, 'cpu', 1, None)\n"
        "asked = training.ask(bench.Job(settings, None), ('default',),\n"
        "    protocols=('as-published',), able={'zero_grad': True})\n"
        "assert asked.zero_grad is False and len(asked.network.layers) == 37\n"
    )
    ended = subprocess.run([python, "-c", code, str(SCRIPTS)], capture_output=True, text=True)

    assert ended.returncode == 0, ended.stderr
