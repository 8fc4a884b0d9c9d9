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
        multiply_adds: of one image's training step, over convolutions and dense layers: the
            forward pass, and as much again for the weights and for the inputs of each layer,
            whose first one needs no input's; 0: not stated.
        dropout: whether each framework draws masks of its own, so that losses agree loosely.
    """

    name: str
    title: str
    classes: int
    parameter_count: int
    source: str
    parameters: tuple[Parameter, ...]
    multiply_adds: int = 0
    dropout: bool = False

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


PRECISION = Parameter(
    name="precision",
    default="float32",
    choices=("float32", "tf32", "bfloat16"),
    help="of products and convolutions, held by a probe; weights and update are float32",
)
LAYOUT = Parameter(
    name="layout",
    default="native",
    choices=("native", "channels_first", "channels_last"),
    help="order of images in memory; native: what the framework is made for",
)
GPUS = Parameter(name="gpus", default=1, help="GPUs of a cuda job, data-parallel; batch is each's")


WORKLOADS: dict[str, Workload] = {
    "cifar10-cnn": Workload(
        name="cifar10-cnn",
        title="training of Keras' CIFAR-10 example network on 32 x 32 images",
        classes=10,
        parameter_count=1_250_858,
        source="the summary printed in AloneGu/nn_lib_benchmark, README.md, a4602e25",
        multiply_adds=61_338_624,
        dropout=True,
        parameters=(
            Parameter(name="batch", default=128, help="images a step"),
            COMPILER,
            _optimizer("rmsprop"),
            Parameter(name="learning_rate", default=0.001, help="constant over the steps"),
            PRECISION,
            LAYOUT,
            GPUS,
        ),
    ),
    "vgg16": Workload(
        name="vgg16",
        title="training of VGG16 on 224 x 224 images, without dropout",
        classes=1000,
        parameter_count=138_357_544,
        source="Simonyan and Zisserman 2014 (arXiv 1409.1556), table 2, configuration D",
        multiply_adds=46_324_088_832,
        parameters=(
            Parameter(name="batch", default=1, help="images a step"),
            COMPILER,
            _optimizer("sgd"),
            Parameter(name="learning_rate", default=0.01, help="constant over the steps"),
            PRECISION,
            LAYOUT,
            GPUS,
        ),
    ),
    "alexnet": Workload(
        name="alexnet",
        title="training of one-tower AlexNet on 224 x 224 images",
        classes=1000,
        parameter_count=49_566_504,
        source="Krizhevsky 2014 (arXiv 1404.5997), first convolution without padding",
        multiply_adds=1_823_417_856,
        dropout=True,
        parameters=(
            Parameter(name="batch", default=64, help="images a step, of each GPU"),
            COMPILER,
            _optimizer("sgd"),
            Parameter(name="learning_rate", default=0.01, help="constant over the steps"),
            PRECISION,
            LAYOUT,
            GPUS,
        ),
    ),
    "resnet50": Workload(
        name="resnet50",
        title="training of ResNet-50 (version 1) on 224 x 224 images",
        classes=1000,
        parameter_count=25_557_032,
        source="He et al. 2015 (arXiv 1512.03385), table 1; stride in the first 1 x 1",
        multiply_adds=11_455_905_792,
        parameters=(
            Parameter(name="batch", default=32, help="images a step, of each GPU"),
            COMPILER,
            _optimizer("sgd"),
            Parameter(name="learning_rate", default=0.01, help="constant over the steps"),
            PRECISION,
            LAYOUT,
            GPUS,
        ),
    ),
}
