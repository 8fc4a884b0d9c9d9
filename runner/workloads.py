"""The named pieces of work, as the host knows them: parameters, and the numbers to hold them to.

What a workload really computes is in scripts/networks.py, which runs inside the images; the
expected numbers here are stated independently of it, so that a slip there is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from runner.model import Scalar
from runner.parameters import (
    BATCH_NORM,
    COMPILER,
    EPOCHS,
    GPUS,
    LAYOUT,
    MODE,
    PART,
    PRECISION,
    SWITCHES,
    Parameter,
    optimizer,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """Trainable numbers of a network where a parameter has a value, or a framework differs.

    Attributes:
        given: parameters that make the difference together; empty: the framework alone does.
        framework: image.yaml's; empty: whichever.
    """

    numbers: int
    source: str
    given: dict[str, Scalar] = field(default_factory=dict)
    framework: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """A named piece of work with parameters.

    Attributes:
        output: shape of the result of one image; (classes,) for a network.
        parameter_count: trainable numbers that the network must have.
        source: where the network and the count come from.
        counts: where another count holds; the first that fits, the framework's own before.
        multiply_adds: of one image's training step, over convolutions and dense layers: the
            forward pass, and as much again for the weights and for the inputs of each layer,
            whose first one needs no input's; 0: not stated.
        dropout: whether each framework draws masks of its own, so that losses agree loosely.
    """

    name: str
    title: str
    output: tuple[int, ...]
    parameter_count: int
    source: str
    parameters: tuple[Parameter, ...]
    counts: tuple[Count, ...] = ()
    multiply_adds: int = 0
    dropout: bool = False

    def defaults(self) -> dict[str, Scalar]:
        """Return the value of each parameter that every cell states, where nothing is said."""
        return {each.name: each.default for each in self.parameters if each.kind == "stated"}

    def settled(self, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Return the parameters of a cell: those that every cell states, and the rest of `given`
        where it is not at its default.
        """
        implied = {each.name: each.default for each in self.parameters if each.kind != "stated"}
        kept = {name: value for name, value in given.items() if implied.get(name) != value}
        return {**self.defaults(), **kept}

    def expected_parameters(self, given: Mapping[str, Scalar], framework: str) -> int:
        """Return the trainable numbers that a cell's network must have in a framework."""
        for own in (framework, ""):
            for count in self.counts:
                fits = all(given.get(name) == value for name, value in count.given.items())
                if count.framework == own and fits:
                    return count.numbers
        return self.parameter_count

    def expected_output(self, given: Mapping[str, Scalar]) -> tuple[int, ...]:
        """Return the shape of a step's result: batch, then height, width, channels or classes."""
        stride = int(given.get("stride", 1))
        maps = tuple(side // stride for side in self.output[:-1])
        return (int(given["batch"]), *maps, self.output[-1])


def _training(batch: int, default: str, learning_rate: float) -> tuple[Parameter, ...]:
    return (
        Parameter(name="batch", default=batch, help="images a step, of each GPU"),
        COMPILER,
        optimizer(default),
        Parameter(name="learning_rate", default=learning_rate, help="constant over the steps"),
        PRECISION,
        LAYOUT,
        GPUS,
        MODE,
        PART,
        *SWITCHES,
    )


def _original(numbers: int, framework: str, source: str) -> Count:
    return Count(
        numbers=numbers,
        source=source,
        given={"architecture": "original"},
        framework=framework,
    )


def _biased(extra: int, numbers: int) -> Count:
    source = f"a convolution of Flux 0.6 always has a bias: {extra} numbers more"
    return Count(numbers=numbers, source=source, framework="flux")


_FLUX = "avik-pal/DeepLearningBenchmarks ef5c1e45, src/flux"
_NO_SCALE = "tdeboissiere/DeepLearningBenchmarks e2e51f03, benchmark_tensorflow.py"
_NORMALISED = "a scale and a shift for each of 4,224 channels more"
_VGG = "Simonyan and Zisserman 2014 (arXiv 1409.1556), table 2, configuration "
_RESNET = "He et al. 2015 (arXiv 1512.03385), table 1, and torchvision's count"


def _vgg(
    name: str, title: str, numbers: int, products: int, source: str, *counts: Count
) -> Workload:
    return Workload(
        name=name,
        title=f"training of {title} on 224 x 224 images, without dropout",
        output=(1000,),
        parameter_count=numbers,
        source=source,
        multiply_adds=products,
        parameters=_training(8, "sgd", 0.01),
        counts=counts,
    )


def _resnet(depth: int, numbers: int, products: int, *counts: Count) -> Workload:
    return Workload(
        name=f"resnet{depth}",
        title=f"training of ResNet-{depth} on 224 x 224 images",
        output=(1000,),
        parameter_count=numbers,
        source=_RESNET,
        multiply_adds=products,
        parameters=_training(8, "sgd", 0.01),
        counts=counts,
    )


def _layer(
    name: str, title: str, output: tuple[int, ...], numbers: int, *more: Parameter
) -> Workload:
    return Workload(
        name=name,
        title=f"{title}, alone",
        output=output,
        parameter_count=numbers,
        source="avik-pal/DeepLearningBenchmarks, README.md, ef5c1e45: its table of layers",
        parameters=(
            Parameter(name="batch", default=1, help="images a pass"),
            replace(PART, default="forward", choices=PART.choices[1:], kind="stated"),
            PRECISION,
            LAYOUT,
            *more,
            *(each for each in SWITCHES if each.name in ("zero_grad", "synchronise")),
        ),
    )


_STRIDE = Parameter(name="stride", default=1, choices=(1, 2), help="in both directions")

WORKLOADS: dict[str, Workload] = {
    each.name: each
    for each in (
        Workload(
            name="cifar10-cnn",
            title="training of Keras' CIFAR-10 example network on 32 x 32 images",
            output=(10,),
            parameter_count=1_250_858,
            source="the summary printed in AloneGu/nn_lib_benchmark, README.md, a4602e25",
            counts=(
                Count(
                    numbers=1_676_842,
                    source="7 x 7 maps in place of 6 x 6 before the first dense layer",
                    given={"pool_padding": "same"},
                ),
            ),
            multiply_adds=61_338_624,
            dropout=True,
            parameters=(*_training(128, "rmsprop", 0.001), *EPOCHS),
        ),
        Workload(
            name="vgg16",
            title="training of VGG16 on 224 x 224 images, without dropout",
            output=(1000,),
            parameter_count=138_357_544,
            source=f"{_VGG}D",
            counts=tuple(
                Count(
                    numbers=138_361_768,
                    source=f"{_NO_SCALE}: a shift for each of 4,224 channels more",
                    given={"batch_norm": kind, "architecture": "original"},
                    framework="tensorflow",
                )
                for kind in ("unfused", "fused")
            )
            + tuple(
                Count(numbers=138_365_992, source=_NORMALISED, given={"batch_norm": kind})
                for kind in BATCH_NORM.choices[1:]
            ),
            multiply_adds=46_324_088_832,
            parameters=(*_training(1, "sgd", 0.01), BATCH_NORM),
        ),
        Workload(
            name="alexnet",
            title="training of one-tower AlexNet on 224 x 224 images",
            output=(1000,),
            parameter_count=49_566_504,
            source="Krizhevsky 2014 (arXiv 1404.5997), first convolution without padding",
            multiply_adds=1_823_417_856,
            dropout=True,
            parameters=_training(64, "sgd", 0.01),
        ),
        Workload(
            name="resnet50",
            title="training of ResNet-50 (version 1) on 224 x 224 images",
            output=(1000,),
            parameter_count=25_557_032,
            source="He et al. 2015 (arXiv 1512.03385), table 1; stride in the first 1 x 1",
            counts=(
                _original(25_583_592, "keras", "keras.applications 2.1.5: biased convolutions"),
                _original(25_583_464, "flux", _FLUX),
                _biased(26_560, 25_583_592),
            ),
            multiply_adds=11_455_905_792,
            parameters=_training(32, "sgd", 0.01),
        ),
        _vgg(
            "vgg16-bn",
            "VGG16 with batch normalisation",
            138_365_992,
            46_324_088_832,
            f"{_VGG}D, and {_NORMALISED}",
            _original(138_365_992, "flux", f"{_FLUX}: other pools, the same numbers"),
        ),
        _vgg("vgg19", "VGG19", 143_667_240, 58_809_483_264, f"{_VGG}E"),
        _vgg(
            "vgg19-bn",
            "VGG19 with batch normalisation",
            143_678_248,
            58_809_483_264,
            f"{_VGG}E, and a scale and a shift for each of 5,504 channels more",
            _original(
                143_675_688, "flux", f"{_FLUX}: three layers of 1,280 channels not normalised"
            ),
        ),
        _resnet(
            18,
            11_689_512,
            5_324_206_080,
            _original(13_070_440, "flux", _FLUX),
            _biased(4_800, 11_694_312),
        ),
        _resnet(
            34,
            21_797_672,
            10_873_270_272,
            _original(23_182_312, "flux", _FLUX),
            _biased(8_512, 21_806_184),
        ),
        _resnet(
            101,
            44_549_160,
            22_592_569_344,
            _original(44_601_704, "flux", _FLUX),
            _biased(52_672, 44_601_832),
        ),
        _resnet(
            152,
            60_192_808,
            33_729_232_896,
            _original(60_268_392, "flux", _FLUX),
            _biased(75_712, 60_268_520),
        ),
        _layer("conv3x3", "a 3 x 3 convolution, 3 to 64 channels", (224, 224, 64), 1_792, _STRIDE),
        _layer("conv5x5", "a 5 x 5 convolution, 3 to 64 channels", (224, 224, 64), 4_864, _STRIDE),
        _layer("dense", "a dense layer, 1024 to 512", (512,), 524_800),
        _layer("batchnorm", "batch normalisation of 3 channels", (224, 224, 3), 6),
    )
}
