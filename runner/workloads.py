"""The named pieces of work, as the host knows them: parameters, and the numbers to hold them to.

What a workload really computes is in scripts/networks.py, which runs inside the images; the
expected numbers here are stated independently of it, so that a slip there is found.
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.model import Scalar


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One knob of a workload.

    Attributes:
        default: used where a suite says nothing; its type is the parameter's type.
        choices: the values there are; empty for numbers, which need only be positive.
    """

    name: str
    default: Scalar
    choices: tuple[Scalar, ...] = ()
    help: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """A named piece of work with parameters.

    Attributes:
        classes: width of the network's output.
        parameter_count: trainable numbers that the network must have.
        source: where the network and the count come from.
    """

    name: str
    title: str
    classes: int
    parameter_count: int
    source: str
    parameters: tuple[Parameter, ...]

    def defaults(self) -> dict[str, Scalar]:
        """Return every parameter's value where nothing else is said."""
        return {parameter.name: parameter.default for parameter in self.parameters}


COMPILER = Parameter(
    name="compiler",
    default="default",
    choices=("default", "xla", "inductor"),
    help="default: what the framework does by itself; xla, inductor: asked for, and checked",
)


def _optimizer(default: str) -> Parameter:
    return Parameter(
        name="optimizer",
        default=default,
        choices=("rmsprop", "sgd"),
        help="rmsprop: rho 0.9, epsilon 1e-8; sgd: plain, no momentum",
    )


WORKLOADS: dict[str, Workload] = {
    "cifar10-cnn": Workload(
        name="cifar10-cnn",
        title="training of Keras' CIFAR-10 example network on 32 x 32 images",
        classes=10,
        parameter_count=1_250_858,
        source="the summary printed in AloneGu/nn_lib_benchmark, README.md, a4602e25",
        parameters=(
            Parameter(name="batch", default=128, help="images a step"),
            COMPILER,
            _optimizer("rmsprop"),
            Parameter(name="learning_rate", default=0.001, help="constant over the steps"),
        ),
    ),
    "vgg16": Workload(
        name="vgg16",
        title="training of VGG16 on 224 x 224 images, without dropout",
        classes=1000,
        parameter_count=138_357_544,
        source="Simonyan and Zisserman 2014 (arXiv 1409.1556), table 2, configuration D",
        parameters=(
            Parameter(name="batch", default=1, help="images a step"),
            COMPILER,
            _optimizer("sgd"),
            Parameter(name="learning_rate", default=0.01, help="constant over the steps"),
        ),
    ),
}
