"""A training script on two devices of this machine's processors, in place of two GPUs.

Started as a program, it is the script that SEVERAL_SCRIPT names, with what only GPUs may do
allowed on processors, and without dropout, which draws anew on each device. With SEVERAL_FORM
`together` it trains on two devices; with `apart`, too, summing nothing; with `doubled` on one, on
the images of both, and a rank's loss is what the first of two ranks would have told.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.contract import Transcript

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
BATCH = 8

Ask = Callable[..., Any]


def interpreter(image: str) -> Path:
    """Return the Python of an image's environment, which is made where it is not there."""
    # Only the tests have the runner; what is started as a program has no more than a framework.
    from runner import config
    from runner.backends import connect
    from runner.model import BuildLimits

    backend = connect("process", ROOT, ())
    limits = BuildLimits(timeout_s=1800, silence_s=600)
    made = backend.prepare(config.load_images(ROOT)[image], limits, print)
    return Path(made.location) / "bin" / "python"


def train(python: Path, script: str, form: str) -> Transcript:
    """Return what the script said, started with an interpreter that has its framework."""
    together = form != "doubled"
    asked = {
        "RUNNER_CONTRACT": "1",
        "RUNNER_WORKLOAD": "cifar10-cnn",
        "RUNNER_PROTOCOL": "fair",
        "RUNNER_WARMUP_STEPS": "1",
        "RUNNER_MEASURE_STEPS": "4",
        "RUNNER_MEASURE_LIMIT_S": "600",
        "RUNNER_SEED": "1",
        "RUNNER_DEVICE": "cpu",
        "RUNNER_THREADS": "1",
        "RUNNER_PARAMETER_BATCH": str(BATCH if together else 2 * BATCH),
        "RUNNER_PARAMETER_GPUS": "2" if together else "1",
        "RUNNER_PARAMETER_OPTIMIZER": "sgd",
        "RUNNER_PARAMETER_LEARNING_RATE": "0.05",
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.defpath,
        "SEVERAL_SCRIPT": script,
        "SEVERAL_FORM": form,
    }
    return told(python, Path(__file__).resolve(), asked)


def told(python: Path, script: Path, asked: Mapping[str, str]) -> Transcript:
    """Return all that a script said, started as the host would; it must be by the contract."""
    from runner.contract import Listener

    ended = subprocess.run([str(python), str(script)], env=asked, capture_output=True, timeout=600)
    listener = Listener()
    listener.feed(ended.stdout)
    said = listener.transcript()
    assert said.problems == (), ended.stderr.decode()
    assert said.finished is (ended.returncode == 0)
    return said


def main() -> None:
    sys.path[0] = str(SCRIPTS)
    names = ("bench", "data", "training", os.environ["SEVERAL_SCRIPT"])
    modules: list[Any] = [importlib.import_module(name) for name in names]
    bench, data, training, script = modules
    training.ask = allowing(bench, training.ask)
    if os.environ["SEVERAL_FORM"] == "doubled":
        data.load = of_both(data, data.load)
    if script.__name__ == "train_torch":
        script.__file__ = __file__  # what other ranks are started with
        script.torch_place.refuse_what_is_missing = lambda *_: None
        if os.environ["SEVERAL_FORM"] == "doubled":
            steps = script.torch_steps
            steps.build_update = telling_of_the_first(steps.build_update)
    elif os.environ["SEVERAL_FORM"] == "apart":
        really_build = script.build_update
        script.build_update = lambda *about, **_: really_build(*about, is_reduced=False)
    if os.environ.get("RUNNER_RANK"):
        script.follow(int(os.environ["RUNNER_RANK"]))
    else:
        bench.main(script.train)


def allowing(bench: Any, ask: Ask) -> Ask:  # noqa: ANN401 - a script's module
    """Return `ask` as it is of a GPU, and without dropout."""

    def asking(job: Any, **about: object) -> Any:  # noqa: ANN401 - of a script's module
        asked = ask(bench.Job(job.settings._replace(device="cuda"), None), **about)
        layers = tuple(layer for layer in asked.network.layers if layer[0] != "dropout")
        return asked._replace(network=asked.network._replace(layers=layers))

    return asking


def of_both(data: Any, load: Ask) -> Ask:  # noqa: ANN401 - a script's module
    """Return `load` with the images of two ranks in each batch."""

    def loading(settings: Any, network: object, batch: int, *asked: object) -> Any:  # noqa: ANN401
        first, second = (
            load(settings._replace(seed=settings.seed + rank), network, batch // 2, *asked)
            for rank in range(2)
        )
        return [
            tuple(map(data.numpy.concatenate, zip(one, other, strict=True)))
            for one, other in zip(first, second, strict=True)
        ]

    return loading


def telling_of_the_first(build: Ask) -> Ask:
    """Return `build` of a step that tells the loss of the first half of its batch."""

    def building(torch: Any, *about: object) -> Any:  # noqa: ANN401 - a framework
        update = build(torch, *about)

        def step(images: object, labels: Any) -> Any:  # noqa: ANN401 - a framework's
            _, logits = update(images, labels)
            first = torch.nn.functional.cross_entropy(logits[:BATCH], labels[:BATCH])
            return first, logits

        vars(step)["optimizer"] = update.optimizer
        return step

    return building


if __name__ == "__main__":
    main()
