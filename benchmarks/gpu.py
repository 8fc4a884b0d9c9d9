"""Our training step on a GPU against the same models written plainly, and against its peak.

    python benchmarks/gpu.py FILE

Needs one GPU, and torch, torchvision and timm in this interpreter; nothing of the runner's own.
In one process, in interleaved rounds: the training script's own step for VGG16 and ResNet-50,
and the same network, precision, layout, batch and optimizer on torchvision's and timm's models.
Steps are timed by device events and by the clock at once. The peak is what a product of 8192 x
8192 matrices in bfloat16 reaches here. Raw seconds go to FILE as JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
ROUNDS, STEPS, WARMUP = 4, 8, 6
SIZE = 8192
CASES = (
    ("vgg16", "bfloat16", "channels_last", 256),
    ("resnet50", "bfloat16", "channels_last", 256),
    ("vgg16", "float32", "channels_first", 32),
    ("resnet50", "float32", "channels_first", 64),
)

Step = Callable[[], Any]


def main() -> None:
    sys.path.insert(0, str(SCRIPTS))
    import torch

    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(0),
        "torch": torch.__version__,
        "steps": {},
    }
    found["peak"] = peak(torch)
    for workload, precision, layout, batch in CASES:
        steps = variants(torch, workload, precision, layout, batch)
        name = f"{workload} {precision} {layout} batch {batch}"
        found["steps"][name] = interleaved(torch, steps)
        del steps
        torch.cuda.empty_cache()
    steps = {
        "ours, inductor": ours(torch, "vgg16", "bfloat16", "channels_last", 256, "inductor"),
    }
    found["steps"]["vgg16 bfloat16 channels_last batch 256, compiled"] = interleaved(torch, steps)
    found["peak_after"] = peak(torch)
    Path(sys.argv[1]).write_text(json.dumps(found, indent=1), encoding="utf-8")
    print("\n".join(told(found)))


def peak(torch: Any) -> list[float]:
    """Return seconds of products of random matrices, after some that are not counted."""
    left, right = (torch.randn(SIZE, SIZE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    seconds = [both(torch, lambda: left @ right)[0] for _ in range(30)]
    return seconds[10:]


def both(torch: Any, step: Step) -> tuple[float, float]:
    """Return one step's seconds by device events, and by the clock, synchronised at both ends."""
    begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    at = time.monotonic()
    begun.record()
    step()
    ended.record()
    torch.cuda.synchronize()
    return begun.elapsed_time(ended) / 1000, time.monotonic() - at


def interleaved(torch: Any, steps: dict[str, Step]) -> dict[str, list[tuple[float, float]]]:
    """Return {variant: [(seconds by events, seconds by the clock)]}."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(WARMUP):
            step()
    for turn in range(ROUNDS):
        order = list(steps.items())[turn % len(steps) :] + list(steps.items())[: turn % len(steps)]
        for name, step in order:
            step()
            found[name] += [both(torch, step) for _ in range(STEPS)]
    return found


def variants(torch: Any, workload: str, precision: str, layout: str, batch: int) -> dict[str, Step]:
    """Return the steps to compare, by name."""
    import timm
    import torchvision

    options = {"dropout": 0.0} if workload == "vgg16" else {}
    made = getattr(torchvision.models, workload)(weights=None, **options)
    others = {"torchvision": made, "timm": timm.create_model(workload, pretrained=False)}
    steps = {"ours": ours(torch, workload, precision, layout, batch, "default")}
    for name, model in others.items():
        steps[name] = plain(torch, first_version(model), precision, layout, batch)
    return steps


def ours(torch: Any, workload: str, precision: str, layout: str, batch: int, compiler: str) -> Step:
    """Return the training script's own step over one batch."""
    import data
    import networks
    import train_torch
    import training

    asked = training.Training(
        network=networks.NETWORKS[workload],
        batch=batch,
        compiler=compiler,
        optimizer="sgd",
        learning_rate=0.01,
        precision=precision,
        layout=layout,
        gpus=1,
    )
    place = train_torch.Place(torch, "cuda", asked)
    _, update = train_torch.build_update(torch, data, asked, place, 1)
    images, labels = inputs(torch, layout, batch)
    return lambda: update(images, labels)


def plain(torch: Any, model: Any, precision: str, layout: str, batch: int) -> Step:
    """Return a step of a model as its own documentation trains one."""
    place = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    model = model.to("cuda", memory_format=place).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images, labels = inputs(torch, layout, batch)

    def step() -> Any:
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def inputs(torch: Any, layout: str, batch: int) -> tuple[Any, Any]:
    place = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    images = torch.randn(batch, 3, 224, 224, device="cuda").contiguous(memory_format=place)
    return images, torch.randint(1000, (batch,), device="cuda")


def first_version(model: Any) -> Any:
    """Move each stride of a ResNet from the 3 x 3 convolution to the 1 x 1 before it, as ours."""
    for module in model.modules():
        if hasattr(module, "conv3") and module.conv2.stride == (2, 2):
            module.conv1.stride, module.conv2.stride = (2, 2), (1, 1)
    return model


def told(found: dict[str, Any]) -> list[str]:
    """Return the figures in words."""
    import networks

    best = 2 * SIZE**3 / statistics.median(found["peak"] + found["peak_after"])
    lines = [f"{found['device']}, product of {SIZE}: {best / 1e12:.0f} TFLOP/s in bfloat16"]
    for case, timed in found["steps"].items():
        medians = {name: statistics.median(s for s, _ in pairs) for name, pairs in timed.items()}
        clocks = {name: statistics.median(s for _, s in pairs) for name, pairs in timed.items()}
        mine = min(value for name, value in medians.items() if name.startswith("ours"))
        others = [value for name, value in medians.items() if not name.startswith("ours")]
        words = ", ".join(f"{name} {value * 1e3:.2f} ms" for name, value in medians.items())
        lines.append(f"{case}: {words}")
        off = max(abs(clocks[name] / medians[name] - 1) for name in medians)
        lines.append(f"  clock against events: {off:.2%} apart at most")
        if others:
            lines.append(f"  ours is {mine / min(others):.3f} of the best other")
        workload, _, precision = case.partition(" ")
        if precision.startswith("bfloat16"):
            batch = int(case.partition("batch ")[2].partition(",")[0])
            rate = 6 * networks.count_products(networks.NETWORKS[workload]) * batch / mine
            lines.append(f"  {rate / 1e12:.0f} TFLOP/s, {rate / best:.3f} of the product's")
    return lines


if __name__ == "__main__":
    main()
