"""The knobs of the workloads, each described once; runner/workloads.py says which has which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runner.model import Scalar


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One knob of a workload.

    Attributes:
        default: used where a suite says nothing; its type is the parameter's type.
        choices: the values there are; empty for numbers.
        kind: ``stated``: in every cell. ``implied``: in a cell only where it is not at its
            default, so that a script and a record that know nothing of it stand. ``switch``:
            implied, and what an original did wrong: under ``fair`` it stays at its default.
        lowest: of a number, the smallest value there is; None: anything above 0.
    """

    name: str
    default: Scalar
    choices: tuple[Scalar, ...] = ()
    help: str = ""
    kind: Literal["stated", "implied", "switch"] = "stated"
    lowest: float | None = None


COMPILER = Parameter(
    name="compiler",
    default="default",
    choices=("default", "xla", "inductor"),
    help="default: what the framework does by itself; xla, inductor: asked for, and checked",
)


def optimizer(default: str) -> Parameter:
    return Parameter(
        name="optimizer",
        default=default,
        choices=("rmsprop", "sgd", "adam"),
        help="rmsprop: rho 0.9, epsilon 1e-8; sgd: plain, no momentum; adam: beta 0.9 and 0.999, "
        "epsilon 1e-8",
    )


PRECISION = Parameter(
    name="precision",
    default="float32",
    choices=("float32", "tf32", "bfloat16", "float64"),
    help="of products and convolutions, held by a probe; weights and update are float32; "
    "float64: all of it",
)
LAYOUT = Parameter(
    name="layout",
    default="native",
    choices=("native", "channels_first", "channels_last"),
    help="order of images in memory; native: what the framework is made for",
)
GPUS = Parameter(name="gpus", default=1, help="GPUs of a cuda job, data-parallel; batch is each's")
MODE = Parameter(
    name="mode",
    default="native",
    choices=("native", "graph", "eager"),
    help="native: what the framework does by itself",
    kind="implied",
)
PART = Parameter(
    name="part",
    default="step",
    choices=("step", "forward", "backward", "forward-backward", "inference"),
    help="what is timed; step: the whole training step; the others have no loss and no "
    "optimizer, and go backward from a gradient of ones",
    kind="implied",
)


def _switch(name: str, *choices: Scalar, help: str) -> Parameter:
    return Parameter(name=name, default=choices[0], choices=choices, help=help, kind="switch")


# What the published comparisons did, one parameter a deed; the first value is the fair one.
SWITCHES = (
    _switch("softmax", "once", "twice", help="twice: once in the network, once in the loss"),
    _switch(
        "input",
        "random",
        "zeros",
        "drawn",
        help="images; drawn: anew in each step, by the framework, within the step",
    ),
    _switch("labels", "random", "zeros", help="zeros: every image is of class 0"),
    _switch(
        "dropout",
        "network",
        "none",
        "keep-prob",
        "after-dense",
        "half",
        help="keep-prob: the rate is taken for the share that is kept; after-dense: 0.5 after "
        "both hidden dense layers; half: 0.5 wherever the network drops",
    ),
    Parameter(
        name="rmsprop_rho",
        default=0.9,
        lowest=0.0,
        help="of RMSprop's running mean",
        kind="switch",
    ),
    Parameter(name="adam_epsilon", default=1e-8, help="added by Adam", kind="switch"),
    _switch(
        "preprocess", False, True, help="the graph scales by 255 and subtracts the mean colour"
    ),
    _switch("zero_grad", True, False, help="false: gradients add up from step to step"),
    _switch("synchronise", True, False, help="false: the clock does not wait for the device"),
    _switch(
        "conversion_in_timer",
        False,
        True,
        help="host array to tensor, and to the device, inside the timer",
    ),
    _switch(
        "fed_as",
        "float32",
        "float64",
        help="images as they are handed to a step, which computes in single precision",
    ),
    _switch("pool_padding", "valid", "same", help="of the max-pools"),
    _switch("metrics", "none", "accuracy", help="computed in every step"),
    _switch("initial_weights", "seeded", "library", help="library: the framework's own"),
    _switch("second_forward", False, True, help="on the same batch, after the update, timed"),
    _switch(
        "architecture",
        "reference",
        "original",
        help="original: the library's own variant of the network, as the published script had it",
    ),
)
EPOCHS = (
    Parameter(
        name="images",
        default=0,
        lowest=0,
        help="train on the first so many images, in order; 0: on batches again and again",
        kind="implied",
    ),
    Parameter(name="epochs", default=0, lowest=0, help="times over these images", kind="implied"),
    _switch("drop_remainder", False, True, help="leave out a last batch that is not full"),
    _switch(
        "validation",
        "none",
        "first-400-of-training",
        "training-images",
        help="a forward pass over these after each epoch",
    ),
    _switch("validation_in_timer", False, True, help="count it to the epoch"),
    _switch(
        "conv_padding",
        "network",
        "same-same-valid-valid",
        help="of the four convolutions",
    ),
)
BATCH_NORM = Parameter(
    name="batch_norm",
    default="none",
    choices=("none", "unfused", "fused", "keras-mode-0", "keras-mode-2"),
    help="after each convolution, before the ReLU",
    kind="implied",
)
# Every switch that any workload has.
SWITCHES_OF_ALL = tuple(each for each in (*SWITCHES, *EPOCHS) if each.kind == "switch")
