"""The scripts of Keras and TensorFlow 1 in the real releases: the same network in each of them.

Takes half an hour and downloads packages: RUNNER_REQUIRE=releases asks for it. The default suite,
which RUNNER_REQUIRE=frameworks asks for, trains in three of them already.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.backends import process
from runner.config import load_images, wheel_folders
from runner.model import BuildLimits
from tests.needs import demand

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[1]
KERAS = (
    "keras-1.2.2-theano-0.9.0",
    "keras-1.2.2-tensorflow-1.0.0",
    "keras-2.0.8-theano-0.9.0",
    "keras-2.0.8-tensorflow-1.3.0",
    "keras-2.1.5-tensorflow-1.13.1",
    "keras-2.2.4-tensorflow-1.13.1",
)
TENSORFLOW = ("tensorflow-1.0.0", "tensorflow-1.3.0", "tensorflow-1.13.1")
SMALL = {"workload": "cifar10-cnn", "batch": "128", "optimizer": "rmsprop", "learning_rate": "1e-3"}
LARGE = {"workload": "vgg16", "batch": "1", "optimizer": "sgd", "learning_rate": "0.01"}
# Of vgg16 with the seeded weights on the first image, in every framework
FIRST_LOSS = 6.909420


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a script said: its checks by name, how many samples of each name, its last line."""

    checks: dict[str, object]
    counts: dict[str, int]
    last: dict[str, str]

    @property
    def losses(self) -> list[float]:
        found = self.checks["losses"]
        assert isinstance(found, list)
        return found


Launch = Callable[..., Told]


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Launch:
    demand("releases", "these releases take half an hour")
    images = load_images(ROOT)
    backend = process.connect(ROOT, wheel_folders(os.environ, Path.home()))

    def launched(name: str, protocol: str = "fair", steps: int = 2, **asked: str) -> Told:
        image = images[name]
        made = backend.prepare(image, BuildLimits(), lambda _: None)
        workload = asked.pop("workload")
        given = {f"RUNNER_PARAMETER_{key.upper()}": value for key, value in asked.items()}
        variables = {
            "RUNNER_CONTRACT": "1",
            "RUNNER_WORKLOAD": workload,
            "RUNNER_PROTOCOL": protocol,
            "RUNNER_WARMUP_STEPS": "1",
            "RUNNER_MEASURE_STEPS": str(steps),
            "RUNNER_MEASURE_LIMIT_S": "60",
            "RUNNER_SEED": "1",
            "RUNNER_DEVICE": "cpu",
            "RUNNER_THREADS": "2",
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path_factory.mktemp("home")),
        }
        done = subprocess.run(
            (f"{made.location}/bin/python", str(ROOT / "scripts" / image.script)),
            env={**variables, **image.environment, **given},
            capture_output=True,
            text=True,
            timeout=600,
        )
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return Told(
            checks={e["name"]: e["value"] for e in events if e["event"] == "check"},
            counts={e["name"]: 1 + len(e["measured_s"]) for e in events if "measured_s" in e},
            last=events[-1] if events else {"event": "nothing", "message": done.stderr},
        )

    return launched


@pytest.mark.parametrize("image", [*KERAS, *TENSORFLOW])
def test_the_small_network_trains(launch: Launch, image: str) -> None:
    told = launch(image, steps=6, **SMALL)

    assert told.last["event"] == "result", told.last
    assert told.checks["parameters"] == 1_250_858
    assert told.checks["output_shape"] == [128, 10]
    assert told.losses[0] == pytest.approx(2.31, abs=0.05)
    assert told.losses[-1] < told.losses[0]


@pytest.mark.parametrize("image", [*KERAS, *TENSORFLOW])
def test_the_large_network_begins_with_the_same_loss(launch: Launch, image: str) -> None:
    told = launch(image, **LARGE)

    assert told.last["event"] == "result", told.last
    assert told.checks["parameters"] == 138_357_544
    assert told.losses[0] == pytest.approx(FIRST_LOSS, abs=2e-4)
    assert told.losses[-1] < told.losses[0]


@pytest.mark.parametrize("image", ["keras-1.2.2-theano-0.9.0", "keras-1.2.2-tensorflow-1.0.0"])
def test_the_modes_of_keras_1_normalise_alike(launch: Launch, image: str) -> None:
    told = [launch(image, batch_norm=f"keras-mode-{mode}", **LARGE) for mode in (0, 2)]

    assert [each.last["event"] for each in told] == ["result", "result"]
    assert [each.checks["parameters"] for each in told] == [138_365_992] * 2
    assert told[0].losses[0] == pytest.approx(told[1].losses[0], rel=1e-3)


@pytest.mark.parametrize("image", TENSORFLOW)
def test_fused_and_unfused_normalisation_agree(launch: Launch, image: str) -> None:
    told = [launch(image, batch_norm=kind, **LARGE) for kind in ("unfused", "fused")]

    assert [each.last["event"] for each in told] == ["result", "result"]
    assert [each.checks["parameters"] for each in told] == [138_365_992] * 2
    assert told[0].losses[0] == pytest.approx(told[1].losses[0], rel=1e-3)


@pytest.mark.parametrize("image", TENSORFLOW)
def test_channels_first_is_refused_in_the_words_of_the_release(launch: Launch, image: str) -> None:
    told = launch(image, layout="channels_first", **LARGE)

    assert (told.last["event"], told.last.get("kind")) == ("error", "unsupported")
    assert "only supports NHWC" in told.last["message"]


@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd", "adam"])
def test_every_way_of_tensorflow_takes_the_same_steps(launch: Launch, optimizer: str) -> None:
    asked = {**LARGE, "optimizer": optimizer, "learning_rate": "1e-4"}
    ways = [
        launch("tensorflow-1.13.1", mode=mode, **asked) for mode in ("native", "graph", "eager")
    ]

    for told in ways:
        assert told.last["event"] == "result", told.last
        assert told.losses == pytest.approx(ways[0].losses, rel=1e-3)
        assert told.checks["optimizer"] == ways[0].checks["optimizer"]


@pytest.mark.parametrize("mode", ["native", "graph", "eager"])
def test_a_softmax_of_a_softmax_flattens_the_loss(launch: Launch, mode: str) -> None:
    told = launch("tensorflow-1.13.1", "as-published", softmax="twice", mode=mode, **LARGE)

    assert told.last["event"] == "result", told.last
    # Of a uniform distribution, and of one that is 1 at one of 1000 classes
    assert told.losses[0] == pytest.approx(FIRST_LOSS, abs=2e-3)
    assert min(told.losses) >= 5.9


@pytest.mark.parametrize("image", ["keras-2.0.8-theano-0.9.0", "keras-2.0.8-tensorflow-1.3.0"])
def test_epochs_of_keras_validate_what_they_trained_on(launch: Launch, image: str) -> None:
    asked = {**SMALL, "images": "2000", "epochs": "2", "metrics": "accuracy"}
    validation = {"validation": "first-400-of-training", "validation_in_timer": "1"}

    told = launch(image, "as-published", **asked, **validation)

    assert told.last["event"] == "result", told.last
    assert (told.checks["epoch_steps"], told.checks["epoch_images"]) == (16, 2000)
    assert told.counts == {"step": 32, "validation": 2}
    assert 0 < float(str(told.checks["accuracy"])) <= 1


def test_epochs_of_tensorflow_are_as_the_published_script_had_them(launch: Launch) -> None:
    told = launch(
        "tensorflow-1.3.0",
        "as-published",
        **SMALL,
        images="2000",
        epochs="2",
        drop_remainder="1",
        softmax="twice",
        rmsprop_rho="0",
        second_forward="1",
        validation="training-images",
        validation_in_timer="1",
        initial_weights="library",
    )

    assert told.last["event"] == "result", told.last
    assert (told.checks["epoch_steps"], told.checks["epoch_images"]) == (15, 1920)
    # A softmax of a softmax over ten classes leaves the loss between these
    assert 1.461 <= min(told.losses) <= max(told.losses) <= 2.462
    assert "rho 0," in str(told.checks["optimizer"])


def test_the_network_of_keras_applications_has_its_own_count(launch: Launch) -> None:
    asked = {"workload": "resnet50", "batch": "2", "optimizer": "sgd", "learning_rate": "0.01"}

    reference = launch("keras-2.1.5-tensorflow-1.13.1", **asked)
    original = launch(
        "keras-2.1.5-tensorflow-1.13.1", "as-published", architecture="original", **asked
    )

    assert reference.checks["parameters"] == 25_557_032
    assert original.checks["parameters"] == 25_583_592


@pytest.mark.parametrize("given", ["random", "drawn"])
def test_images_that_are_drawn_in_the_step_are_others_in_each(launch: Launch, given: str) -> None:
    asked = {**LARGE, "learning_rate": "1e-12", "input": given}

    told = launch("tensorflow-1.3.0", protocol="as-published", **asked)

    assert told.last["event"] == "result", told.last
    # Nothing is learned at this rate, so a loss changes with the images alone.
    spread = max(told.losses) - min(told.losses)
    assert spread > 1e-4 if given == "drawn" else spread < 1e-5


@pytest.mark.parametrize("image", ["keras-2.1.5-tensorflow-1.13.1", "tflearn-0.3.2"])
def test_images_fed_in_double_precision_begin_with_the_same_loss(
    launch: Launch, image: str
) -> None:
    told = launch(image, protocol="as-published", fed_as="float64", **LARGE)

    assert told.last["event"] == "result", told.last
    assert told.losses[0] == pytest.approx(FIRST_LOSS, abs=2e-4)
