"""scripts/train_torch.py in real environments of PyTorch: parts, layers, switches, epochs.

Each case starts the script as the host would and reads what it wrote. Without
RUNNER_REQUIRE=frameworks it is skipped: environments may have to be made first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner import config
from runner.backends import connect
from runner.contract import Transcript
from runner.model import BuildLimits
from tests import several_devices
from tests.needs import demand

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "train_torch.py"
CIFAR10 = {"batch": "8", "optimizer": "sgd", "learning_rate": "0.01"}
PARTS = ("forward", "backward", "forward-backward", "inference")


@dataclass(frozen=True)
class PyTorch:
    """An interpreter that has PyTorch."""

    image: str
    python: Path

    def run(
        self, workload: str, parameters: Mapping[str, str], protocol: str = "fair"
    ) -> Transcript:
        """Return all that the script said; it must have said it by the contract."""
        asked = {
            "RUNNER_CONTRACT": "1",
            "RUNNER_WORKLOAD": workload,
            "RUNNER_PROTOCOL": protocol,
            "RUNNER_WARMUP_STEPS": "1",
            "RUNNER_MEASURE_STEPS": "3",
            "RUNNER_MEASURE_LIMIT_S": "600",
            "RUNNER_SEED": "1",
            "RUNNER_DEVICE": "cpu",
            "RUNNER_THREADS": "2",
            "OMP_NUM_THREADS": "2",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": os.defpath,
        }
        given = {f"RUNNER_PARAMETER_{name.upper()}": value for name, value in parameters.items()}
        return several_devices.told(self.python, SCRIPT, asked | given)

    def train(self, protocol: str = "fair", **parameters: str) -> Transcript:
        """Return what it said of the small network, which must have succeeded."""
        said = self.run("cifar10-cnn", {**CIFAR10, **parameters}, protocol)
        assert said.error is None, said.error
        return said


NEWEST = "pytorch-2.13.0"


@pytest.fixture(scope="module", params=["pytorch-1.0.1", NEWEST])
def pytorch(request: pytest.FixtureRequest) -> PyTorch:
    demand("frameworks", "training takes minutes")
    if request.param != NEWEST:
        demand("releases", f"{request.param} takes minutes more")
    image = config.load_images(ROOT)[str(request.param)]
    backend = connect("process", ROOT, ())
    limits = BuildLimits(timeout_s=1800, silence_s=600)
    made = backend.prepare(image, limits, print)
    return PyTorch(image=image.name, python=Path(made.location) / "bin" / "python")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_timed_without_loss_and_optimizer(pytorch: PyTorch, part: str) -> None:
    said = pytorch.train(part=part)

    (samples,) = said.samples
    assert (samples.name, samples.items, len(samples.measured_s)) == (part, 8, 3)
    assert said.checks["finite"] is True
    assert said.checks["parameters"] == 1_250_858
    assert said.checks["output_shape"] == [8, 10]
    assert "losses" not in said.checks
    assert "optimizer" not in said.checks
    # Six kernels with their biases have a gradient behind a backward pass.
    assert said.checks.get("gradients") == ([12, 12] if "backward" in part else None)


@pytest.mark.parametrize(
    ("workload", "stride", "parameters", "shape"),
    [
        ("conv3x3", "1", 1_792, [1, 224, 224, 64]),
        ("conv3x3", "2", 1_792, [1, 112, 112, 64]),
        ("conv5x5", "1", 4_864, [1, 224, 224, 64]),
        ("conv5x5", "2", 4_864, [1, 112, 112, 64]),
        ("dense", "", 524_800, [1, 512]),
        ("batchnorm", "", 6, [1, 224, 224, 3]),
    ],
)
def test_a_layer_alone(
    pytorch: PyTorch, workload: str, stride: str, parameters: int, shape: list[int]
) -> None:
    given = {"stride": stride} if stride else {}
    forward = pytorch.run(workload, given)
    backward = pytorch.run(workload, {**given, "part": "backward"})

    for said, part in ((forward, "forward"), (backward, "backward")):
        assert said.error is None, said.error
        assert said.samples[0].name == part
        assert said.checks["parameters"] == parameters
        assert said.checks["output_shape"] == shape
        assert said.checks["finite"] is True
    assert backward.checks["gradients"] == [2, 2]


@pytest.mark.parametrize(
    ("workload", "protocol", "given", "parameters"),
    [
        ("resnet18", "fair", {}, 11_689_512),
        ("resnet50", "as-published", {"architecture": "original"}, 25_557_032),
        ("vgg16", "fair", {"batch_norm": "fused"}, 138_365_992),
        ("vgg19", "as-published", {"dropout": "after-dense"}, 143_667_240),
    ],
)
def test_a_large_network_is_the_published_one(
    pytorch: PyTorch, workload: str, protocol: str, given: dict[str, str], parameters: int
) -> None:
    stated = {"batch": "1", "optimizer": "sgd", "learning_rate": "0.01", "part": "inference"}
    said = pytorch.run(workload, {**stated, **given}, protocol)

    assert said.error is None, said.error
    assert said.checks["parameters"] == parameters
    assert said.checks["output_shape"] == [1, 1000]


def test_epochs_go_over_the_first_images_in_order(pytorch: PyTorch) -> None:
    given = {"batch": "128", "images": "300", "epochs": "3"}

    said = pytorch.train(**given)
    assert [samples.name for samples in said.samples] == ["step"]
    assert len(said.samples[0].measured_s) == 3 * 3 - 1
    assert (said.checks["epoch_steps"], said.checks["epoch_images"]) == (3, 300)
    assert 0 <= said.checks["accuracy"] <= 1
    last = [128 * loss for loss in said.losses[-3:-1]] + [44 * said.losses[-1]]
    assert said.checks["loss"] == pytest.approx(sum(last) / 300)

    dropped = pytorch.train("as-published", **given, drop_remainder="1")
    assert (dropped.checks["epoch_steps"], dropped.checks["epoch_images"]) == (2, 256)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"optimizer": "adam", "learning_rate": "0.0001"},
            "adam: learning rate 0.0001, beta 0.9 and 0.999, epsilon 1e-08 added to the root",
        ),
        (
            {"optimizer": "rmsprop", "rmsprop_rho": "0.99"},
            "rmsprop: learning rate 0.01, rho 0.99, epsilon 1e-08 added to the root, "
            "accumulators from 0",
        ),
    ],
)
def test_an_optimizer_is_as_asked(pytorch: PyTorch, given: dict[str, str], words: str) -> None:
    assert pytorch.train("as-published", **given).checks["optimizer"] == words


def test_switches_change_what_they_say_and_nothing_else(pytorch: PyTorch) -> None:
    plain = pytorch.train("as-published", dropout="none")

    moved = pytorch.train("as-published", dropout="none", conversion_in_timer="1")
    assert moved.losses == pytest.approx(plain.losses, abs=1e-4)
    unsynchronised = pytorch.train("as-published", dropout="none", synchronise="0")
    assert unsynchronised.losses == pytest.approx(plain.losses, abs=1e-4)
    # From the third step on, the gradients of the first are still there.
    added = pytorch.train("as-published", dropout="none", zero_grad="0")
    assert added.losses[:2] == pytest.approx(plain.losses[:2], abs=1e-4)
    assert added.losses[2] != pytest.approx(plain.losses[2], abs=1e-4)
    own = pytorch.train("as-published", dropout="none", initial_weights="library")
    assert own.losses[0] != pytest.approx(plain.losses[0], abs=1e-4)
    padded = pytorch.train("as-published", dropout="none", conv_padding="same-same-valid-valid")
    assert padded.losses[0] != pytest.approx(plain.losses[0], abs=1e-4)
    assert padded.checks["parameters"] == plain.checks["parameters"] == 1_250_858
    wider = pytorch.train("as-published", pool_padding="same")
    assert wider.checks["parameters"] == 1_676_842
    zeros = pytorch.train("as-published", input="zeros", labels="zeros", dropout="none")
    # From zeros and biases of 0 all logits are 0, so that every class is as likely.
    assert zeros.losses[0] == pytest.approx(2.302585, abs=1e-5)


def test_what_pytorch_does_not_have_is_told(pytorch: PyTorch) -> None:
    said = pytorch.run(
        "cifar10-cnn", {**CIFAR10, "mode": "graph", "softmax": "twice"}, "as-published"
    )

    assert said.error is not None
    assert said.error.kind == "unsupported"
    assert "parameter mode: 'graph'; expected native or eager" in said.error.message
    assert "parameter softmax: 'twice'; expected once" in said.error.message


@pytest.fixture(scope="module")
def newest() -> Path:
    demand("frameworks", "training takes minutes")
    return several_devices.interpreter(NEWEST)


def test_two_ranks_learn_what_one_does_from_the_images_of_both(newest: Path) -> None:
    together = several_devices.train(newest, "train_torch", "together")
    doubled = several_devices.train(newest, "train_torch", "doubled")

    assert (together.error, doubled.error) == (None, None)
    assert together.checks["ranks"] == 2
    assert together.losses == pytest.approx(doubled.losses, abs=1e-4)
    assert len(together.losses) == 6
    assert together.samples[0].items == doubled.samples[0].items == 2 * several_devices.BATCH


def test_what_all_reduce_costs_is_told_of_several_ranks_only(newest: Path) -> None:
    cost = several_devices.train(newest, "train_torch", "together").communication
    alone = several_devices.train(newest, "train_torch", "doubled").communication

    assert alone is None
    assert cost is not None
    assert cost.reduced_bytes == 4 * 1_250_858
    # gloo sums each bucket in a call of its own, and the profiler sees all of them
    assert len(cost.all_reduce_s) == 3
    assert cost.probe_bytes == 1024**2
