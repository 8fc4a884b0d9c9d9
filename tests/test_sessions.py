"""scripts/sessions.py: what the libraries on TensorFlow 1 share, held without TensorFlow."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module


@pytest.fixture
def sessions(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("sessions")


class Pads:
    """TensorFlow as far as paddings go, on NumPy's arrays."""

    def pad(self, tensor: Array, widths: list[list[int]]) -> Array:
        return np.pad(tensor, widths)


def graph(*shapes: tuple[int, ...]) -> SimpleNamespace:
    """Return TensorFlow with a graph of trainable variables of these shapes."""

    class Shape(tuple[int, ...]):
        def as_list(self) -> list[int]:
            return list(self)

    variables = [SimpleNamespace(get_shape=lambda shape=shape: Shape(shape)) for shape in shapes]
    return SimpleNamespace(trainable_variables=lambda: variables)


IMAGE = np.ones((1, 8, 8, 2))


@pytest.mark.parametrize(
    ("layer", "word", "side"),
    [
        (("strided-convolution", 64, 11, 4, 0, True), "VALID", 8),
        (("strided-convolution", 64, 3, 1, 1, False), "SAME", 8),
        (("strided-convolution", 64, 5, 1, 1, False), "VALID", 10),
        (("strided-convolution", 64, 7, 2, 3, False), "VALID", 14),
        (("strided-max-pooling", 3, 2, 0), "VALID", 8),
        (("strided-max-pooling", 3, 2, 1), "VALID", 10),
    ],
)
def test_a_strided_layer_has_the_pixels_of_its_network_on_every_side(
    sessions: ModuleType, layer: tuple[Any, ...], word: str, side: int
) -> None:
    tensor, padding = sessions.padded(Pads(), IMAGE, layer)

    assert (padding, tensor.shape) == (word, (1, side, side, 2))
    assert tensor.sum() == IMAGE.sum()
    assert np.array_equal(tensor, tensor[:, ::-1, ::-1])


def test_only_an_epoch_that_keeps_its_short_batch_leaves_the_batch_open(
    sessions: ModuleType,
) -> None:
    cases = [(0, False, 128), (5, False, None), (5, True, 128)]

    for epochs, drop_remainder, expected in cases:
        asked = SimpleNamespace(epochs=epochs, drop_remainder=drop_remainder, batch=128)
        assert sessions.batch_dimension(asked) == expected


def test_kernels_are_given_to_the_variables_of_their_shapes_in_order(sessions: ModuleType) -> None:
    tensorflow = graph((3, 3, 3, 32), (32,), (2304, 10), (10,))
    kernels = [np.zeros((3, 3, 3, 32)), np.ones((2304, 10))]

    found = sessions.kernels_of(tensorflow, kernels)

    variables = tensorflow.trainable_variables()
    assert [variable for variable, _ in found] == [variables[0], variables[2]]
    assert [array is kernel for (_, array), kernel in zip(found, kernels, strict=True)] == [
        True
    ] * 2
    assert sessions.count_parameters(tensorflow) == 864 + 32 + 23_040 + 10


def test_a_graph_with_other_kernels_than_the_network_is_refused(sessions: ModuleType) -> None:
    with pytest.raises(RuntimeError, match=r"the graph's kernels are \[\(5, 5, 3, 32\)\]"):
        sessions.kernels_of(graph((5, 5, 3, 32), (32,)), [np.zeros((3, 3, 3, 32))])


def test_what_is_right_is_counted_for_classes_and_for_rows_of_0_and_1(sessions: ModuleType) -> None:
    logits = np.array([[3.0, 1.0], [0.0, 2.0], [5.0, 4.0]])
    classes = np.array([0, 1, 1])

    for labels in (classes, np.eye(2)[classes]):
        assert sessions.count_right(sessions.Outcome(0.0, logits, labels)) == 2


def test_the_optimizer_is_told_as_tensorflow_holds_it(sessions: ModuleType) -> None:
    held = {
        "sgd": SimpleNamespace(_learning_rate=0.01),
        "adam": SimpleNamespace(_lr=1e-4, _beta1=0.9, _beta2=0.999, _epsilon=1e-8),
        "rmsprop": SimpleNamespace(_learning_rate=1e-3, _decay=0.0, _epsilon=1e-8),
    }

    told = {
        name: sessions.describe_optimizer(SimpleNamespace(optimizer=name), optimizer)
        for name, optimizer in held.items()
    }

    assert told == {
        "sgd": "sgd: learning rate 0.01, no momentum",
        "adam": "adam: learning rate 0.0001, beta 0.9 and 0.999, "
        "epsilon 1e-08 added to the root before its correction",
        "rmsprop": "rmsprop: learning rate 0.001, rho 0, epsilon 1e-08 added under the root, "
        "accumulators from 0",
    }


class Events:
    """Remembers what a job tells."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def write(self, event: str, **fields: object) -> None:
        self.told.append((event, fields))

    def checks(self) -> dict[str, Any]:
        return {fields["name"]: fields["value"] for event, fields in self.told if event == "check"}

    def samples(self) -> dict[str, Any]:
        return {fields["name"]: fields for event, fields in self.told if event == "samples"}


def measured(
    load: Callable[[str], ModuleType], **asked: object
) -> tuple[Events, list[int], tuple[int, ...]]:
    """Return what is told of a step that finds every image of class 0, what was validated on."""
    sessions, bench, events = load("sessions"), load("bench"), Events()
    settings = SimpleNamespace(warmup_steps=1, measure_steps=3, measure_limit_s=60.0)
    defaults = {
        "batch": 128,
        "epochs": 0,
        "images": 0,
        "drop_remainder": False,
        "validation": "none",
    }
    labels = np.arange(300) % 10
    batches = [(np.zeros((len(part), 2)), part) for part in np.split(labels, [128, 256])]
    validated = []

    def step(images: Array, labels: Labels) -> object:
        return sessions.Outcome(2.5, np.eye(10)[np.zeros(len(images), int)], labels)

    def evaluate(images: Array, labels: Labels) -> None:
        validated.append(len(images))

    shape = sessions.measure(
        bench.Job(settings, events),
        SimpleNamespace(**{**defaults, **asked}),
        load("data"),
        batches,
        step,
        evaluate,
    )
    return events, validated, shape


def test_steps_go_round_the_batches(load: Callable[[str], ModuleType]) -> None:
    events, validated, shape = measured(load)

    assert events.checks()["losses"] == [2.5] * 5
    assert len(events.samples()["train_step"]["measured_s"]) == 3
    assert (validated, shape) == ([], (128, 10))


def test_epochs_end_with_a_validation_and_tell_the_last_ones_accuracy(
    load: Callable[[str], ModuleType],
) -> None:
    events, validated, shape = measured(
        load, epochs=2, images=300, validation="first-400-of-training"
    )

    assert shape == (128, 10)
    assert events.checks()["accuracy"] == pytest.approx(0.1)
    assert events.checks()["epoch_images"] == 300
    assert validated == [128, 128, 44] * 2
    assert len(events.samples()["step"]["measured_s"]) == 5
    assert len(events.samples()["validation"]["measured_s"]) == 1
