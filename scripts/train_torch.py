"""Train a network with PyTorch, from 1.0.

Channels first, eager; with the compiler `inductor` the forward pass and the loss, and with
them the backward pass, go through torch.compile, the optimizer stays eager. Initial weights
are Glorot uniform from `data`, the same in every framework. Dropout draws from PyTorch's
own generator.
"""

import os
import shutil

import bench
import networks
import training


def train(job):
    asked = training.ask(job, compilers=("default", "inductor"))
    # Below HOME, as cold or warm as the host makes that; by default it outlives the job.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(os.path.expanduser("~"), "inductor")
    with job.phase("import"):
        import torch
        import data

        torch.set_num_threads(job.settings.threads)
    job.hello(
        framework="pytorch",
        framework_version=torch.__version__,
        libraries=bench.versions("torch", "numpy"),
        threads=torch.get_num_threads(),
        threads_source="torch.get_num_threads()",
        data=data.describe(job.settings, asked.network),
    )
    if asked.compiler == "inductor" and not hasattr(torch, "compile"):
        raise bench.Unsupported("PyTorch %s has no torch.compile" % torch.__version__)
    if asked.compiler == "inductor" and not shutil.which("g++"):
        raise bench.Unsupported("torch.compile needs g++, which is not on PATH")
    with job.phase("data"):
        torch.manual_seed(job.settings.seed)
        batches = [
            (torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), torch.from_numpy(labels).long())
            for images, labels in data.load(job.settings, asked.network, asked.batch)
        ]
    with job.phase("build"):
        model = build(torch, data, asked.network, job.settings.seed)
        optimizer = build_optimizer(torch, asked, model)
        forward = forward_and_loss(torch, model)
        if asked.compiler == "inductor":
            forward = torch.compile(forward)
    shapes = []

    def step(images, labels):
        optimizer.zero_grad()
        loss, logits = forward(images, labels)
        loss.backward()
        optimizer.step()
        shapes[:] = [logits.shape]
        return loss

    job.steps(step, batches, items=asked.batch, read_loss=lambda loss: loss.item())
    job.check("parameters", sum(p.numel() for p in model.parameters() if p.requires_grad))
    job.check("output_shape", list(shapes[0]))
    job.check("optimizer", describe_optimizer(asked.optimizer, optimizer.param_groups[0]))
    if asked.compiler == "inductor":
        job.check("compiled", torch._dynamo.utils.counters["stats"]["unique_graphs"])


def build(torch, data, network, seed):
    """Return the network as a Sequential with its initial weights, in training mode."""
    nn = torch.nn

    class Flatten(nn.Module):  # torch.nn.Flatten came with 1.2
        def forward(self, images):
            return images.view(images.size(0), -1)

    steps = networks.walk(network)
    kernels = data.initial_weights(networks.kernel_shapes(network), seed)
    rest = iter(data.channels_first(steps, kernels))
    modules = []
    for layer, before, _ in steps:
        kind = layer[0]
        if kind == "convolution":
            padding = layer[2] // 2 if layer[3] == "same" else 0
            module = nn.Conv2d(before[-1], layer[1], layer[2], padding=padding)
        elif kind == "dense":
            module = nn.Linear(before[0], layer[1])
        elif kind == "relu":
            module = nn.ReLU()
        elif kind == "max-pooling":
            module = nn.MaxPool2d(layer[1])
        elif kind == "dropout":
            module = nn.Dropout(layer[1])
        elif kind == "flatten":
            module = Flatten()
        else:
            raise bench.Unsupported("layer %s" % kind)
        if kind in ("convolution", "dense"):
            module.weight.data = torch.from_numpy(next(rest))
            module.bias.data.zero_()
        modules.append(module)
    return nn.Sequential(*modules).train()


def build_optimizer(torch, asked, model):
    if asked.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=asked.learning_rate)
    return torch.optim.RMSprop(
        model.parameters(), lr=asked.learning_rate, alpha=training.RHO, eps=training.EPSILON
    )


def describe_optimizer(name, group):
    if name == "sgd":
        return training.optimizer_words(name, group["lr"])
    return training.optimizer_words(name, group["lr"], group["alpha"], group["eps"], "to the root")


def forward_and_loss(torch, model):
    """Return the function that is compiled: the softmax is in the cross entropy."""

    def forward(images, labels):
        logits = model(images)
        return torch.nn.functional.cross_entropy(logits, labels), logits

    return forward


if __name__ == "__main__":
    bench.main(train)
