"""Train a network with PyTorch, from 1.0.

Eager; with the compiler `inductor` the forward pass and the loss, and with them the backward
pass, go through torch.compile, the optimizer stays eager. Channels first, unless the layout
says otherwise. Initial weights are Glorot uniform from `data`, the same in every framework, or
PyTorch's own. Dropout draws from PyTorch's own generator.

On a GPU a step is timed by its device events. `tf32` lets products and convolutions take
TF32; `bfloat16` is PyTorch's autocast: products in bfloat16, weights and update in single
precision. cuDNN tries its algorithms in the first step. On several GPUs it is
DistributedDataParallel over NCCL: this process is rank 0 and starts one more for each GPU.

Where `conversion_in_timer` is asked for, a step begins with copying its batch to the device,
from tensors of the host. Without `synchronise` the clock is read when the calls return.
"""

import os

import bench
import networks
import torch_communication
import torch_network
import torch_place
import torch_ranks
import torch_steps
import training
import variants

VGGS = {name: one for name, one in networks.NETWORKS.items() if name.startswith("vgg")}
# torchvision's: its VGGs have dropout, its bottlenecks the stride in the 3x3 convolution.
ORIGINALS = {
    name: network._replace(layers=variants.dropped_after_dense(network.layers))
    for name, network in VGGS.items()
}
ORIGINALS.update(networks.TORCHVISION_RESNETS)

ABLE = {
    "optimizer": ("rmsprop", "sgd", "adam"),
    "mode": ("native", "eager"),
    "part": ("step", "forward", "backward", "forward-backward", "inference"),
    "batch_norm": ("none", "fused"),
    "input": ("random", "zeros"),
    "labels": ("random", "zeros"),
    "dropout": ("network", "none", "keep-prob", "after-dense"),
    "conv_padding": ("network", "same-same-valid-valid"),
    "pool_padding": ("valid", "same"),
    "initial_weights": ("seeded", "library"),
}
ABLE.update(
    dict.fromkeys(
        ("images", "epochs", "drop_remainder", "rmsprop_rho", "adam_epsilon", "zero_grad")
        + ("synchronise", "conversion_in_timer"),
        True,
    )
)


def ask(job):
    return training.ask(
        job,
        compilers=("default", "inductor"),
        devices=("cpu", "cuda"),
        precisions=("float32", "tf32", "bfloat16"),
        layouts=("native", "channels_first", "channels_last"),
        parallel=True,
        protocols=("fair", "as-published"),
        originals=ORIGINALS,
        able=ABLE,
    )


def train(job):
    asked = ask(job)
    with job.phase("import"):
        torch, data = torch_place.load(job.settings)
    on_gpu = job.settings.device == "cuda"
    job.hello(
        framework="pytorch",
        framework_version=torch.__version__,
        libraries=torch_place.describe_libraries(torch, on_gpu),
        **torch_place.tell_threads(torch),
        data=data.describe(job.settings, asked.network, asked),
        device="cuda: " + torch.cuda.get_device_name(0) if on_gpu else None,
    )
    torch_place.refuse_what_is_missing(torch, asked, on_gpu)
    place = torch_place.Place(torch, job.settings.device, asked)
    ranks = torch_ranks.Ranks(torch, place, asked.gpus, __file__) if asked.gpus > 1 else None
    try:
        work(job, asked, torch, data, place, ranks)
    finally:
        if ranks is not None:
            ranks.end()


def work(job, asked, torch, data, place, ranks):
    with job.phase("data"):
        torch.manual_seed(job.settings.seed)
        batches = load_batches(torch, data, place, asked, job.settings)
    with job.phase("build"):
        job.check("precision", place.probe(data.numpy))
        if ranks is not None:
            ranks.meet()
        model = build(torch, data, asked, place, job.settings.seed)
        timing = choose_timing(torch, asked, place, ranks)
        if asked.part == "step":
            update = torch_steps.build_update(torch, asked, place, model)
        else:
            take = torch_steps.build_part(torch, asked, place, model)
        if ranks is not None:
            ranks.wait()
    if asked.part != "step":
        shape = measure_part(job, asked, model, take, batches, timing)
    elif asked.epochs:
        shape = measure_epochs(job, asked, update, batches, timing)
    else:
        shape = measure_steps(job, asked, update, batches, timing)
    job.check("parameters", sum(p.numel() for p in model.parameters() if p.requires_grad))
    job.check("output_shape", shape[:1] + shape[2:] + shape[1:2])  # channels last
    if asked.part == "step":
        group = update.optimizer.param_groups[0]
        job.check("optimizer", torch_steps.describe_optimizer(asked.optimizer, group))
    if asked.compiler == "inductor":
        job.check("compiled", torch._dynamo.utils.counters["stats"]["unique_graphs"])
    if place.on_gpu:
        job.memory(torch.cuda.max_memory_allocated())
    if ranks is not None:
        torch_communication.tell(job, torch, place, ranks, update, batches)
        job.check("ranks", ranks.count())


def choose_timing(torch, asked, place, ranks):
    """Return how `bench.Job.steps` is to time."""
    if ranks is not None:
        timed_call = torch_communication.timed_together(torch, place, ranks, "step")
    elif not place.on_gpu:
        return {}  # a call returns when its work is done
    elif not asked.synchronise:
        return {"synchronised": "none"}
    else:
        timed_call = torch_steps.timed_by_events(torch, lambda: None)
    return {"synchronised": "event" if place.on_gpu else "implicit", "timed_call": timed_call}


def measure_steps(job, asked, update, batches, timing):
    """Measure training steps; return the shape of the logits."""
    shapes = []

    def step(images, labels):
        loss, logits = update(images, labels)
        shapes[:] = [logits.shape]
        return loss

    items = asked.batch * asked.gpus
    job.steps(step, batches, items=items, read_loss=lambda loss: loss.item(), **timing)
    return list(shapes[0])


def measure_epochs(job, asked, update, batches, timing):
    """Measure whole epochs; return the shape of a full batch's logits."""
    shapes = []

    def step(images, labels):
        return update(images, labels) + (labels,)

    def read(result):
        loss, logits, labels = result
        shapes.append(list(logits.shape))
        right = (logits.argmax(1) == labels.to(logits.device)).sum()
        return loss.item(), right.item()

    sizes = [len(labels) for _, labels in batches]
    job.epochs(step, batches, asked.epochs, sizes, read, **timing)
    return shapes[0]


def measure_part(job, asked, model, take, batches, timing):
    """Measure a pass without loss and update; return the shape of its output."""
    seen = []

    def prepare(*batch):
        seen.clear()  # with the last output go all that was kept for its gradient
        return take.prepare(*batch)

    def step(*arguments):
        seen.append(take(*arguments))

    job.steps(
        step,
        batches,
        items=asked.batch,
        read_loss=None,
        name=asked.part,
        prepare=prepare,
        **timing,
    )
    (outputs,) = seen
    job.check("finite", bool((outputs.detach().abs().max() < float("inf")).item()))
    if "backward" in asked.part:
        slopes = [parameter.grad.abs().sum().item() for parameter in model.parameters()]
        found = sum(0 < slope < float("inf") for slope in slopes)
        job.check("gradients", [found, len(slopes)])
    return list(outputs.shape)


def load_batches(torch, data, place, asked, settings):
    """Return [(images, labels)], on the device unless the step is to bring them there."""
    return [
        tuple(map(place.hold if asked.conversion_in_timer else place.move, pair))
        for pair in (
            (torch.from_numpy(images_first(images)), torch.from_numpy(labels).long())
            for images, labels in data.load(settings, asked.network, asked.batch, asked)
        )
    ]


def images_first(images):
    """Return images with their channels first; features as they are."""
    return images.transpose(0, 3, 1, 2).copy() if images.ndim == 4 else images


def build(torch, data, asked, place, seed):
    """Return the model on its device."""
    own = asked.initial_weights == "library"
    model = torch_network.build(torch, data, asked.network, None if own else seed)
    model = model.to(place.device)
    return model.to(**place.options) if place.options else model


def follow(rank):
    """Take part in every step as another rank than 0. Each trains on images of its own."""
    job = bench.Job(bench.read_settings(os.environ), None)
    asked = ask(job)
    settings = job.settings._replace(seed=(job.settings.seed + rank) % 2**32)
    torch, data = torch_place.load(settings)
    store = torch_ranks.connect(torch, asked.gpus)
    place = torch_place.Place(torch, settings.device, asked, rank)
    torch.manual_seed(settings.seed)
    batches = load_batches(torch, data, place, asked, settings)
    torch_ranks.join(torch, place, store, rank, asked.gpus)
    model = build(torch, data, asked, place, job.settings.seed)
    update = torch_steps.build_update(torch, asked, place, model)
    actions = torch_communication.actions(torch, place, update)
    torch_ranks.follow(torch, place, store, actions, batches)


if __name__ == "__main__":
    if os.environ.get(torch_ranks.RANK):
        follow(int(os.environ[torch_ranks.RANK]))
    else:
        bench.main(train)
