"""The networks as PyTorch's modules, channels first."""

import bench
import networks


def build(torch, data, network, seed=None):
    """Return the network as a Sequential, in training mode.

    Args:
        seed: of the initial weights from `data`; None: each layer keeps PyTorch's own.
    """
    steps = networks.walk(network)
    outside = []  # for each fork: the modules before it, and those of its first way
    modules = []
    for layer, before, _ in steps:
        kind = layer[0]
        if kind == "fork":
            outside.append((modules, None))
            modules = []
        elif kind == "swap":
            outside[-1] = (outside[-1][0], modules)
            modules = []
        elif kind == "add":
            ahead, main = outside.pop()
            both = (modules, ()) if main is None else (main, modules)
            modules = ahead + [add_module(torch, *both)]
        else:
            modules.append(make_module(torch, layer, before))
    model = torch.nn.Sequential(*modules).train()
    if seed is not None:
        kernels = data.initial_weights(networks.kernel_shapes(network), seed)
        set_weights(torch, model, data.channels_first(steps, kernels))
    return model


def set_weights(torch, model, kernels):
    """Give kernels, in order, to the modules that have one; set every bias to 0, scales to 1."""
    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    weighted = [module for module in model.modules() if isinstance(module, kinds)]
    for module, kernel in zip(weighted, kernels):
        module.weight.data = torch.from_numpy(kernel)
        if module.bias is not None:
            module.bias.data.zero_()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.fill_(1)  # PyTorch before 1.2 draws it from [0, 1)


def make_module(torch, layer, before):
    """Return the module of a layer, given the shape that goes in."""
    nn = torch.nn
    kind = layer[0]
    if kind == "convolution":
        padding = layer[2] // 2 if layer[3] == "same" else 0
        return nn.Conv2d(before[-1], layer[1], layer[2], padding=padding)
    if kind == "strided-convolution":
        _, filters, size, stride, padding, bias = layer
        return nn.Conv2d(before[-1], filters, size, stride, padding, bias=bias)
    if kind == "batch-normalisation":
        return nn.BatchNorm2d(before[-1], *layer[1:])
    if kind == "dense":
        return nn.Linear(before[0], layer[1])
    if kind == "relu":
        return nn.ReLU(inplace=True)
    if kind == "max-pooling":
        return nn.MaxPool2d(layer[1], ceil_mode=layer[2:] == ("same",))
    if kind == "strided-max-pooling":
        return nn.MaxPool2d(*layer[1:])
    if kind == "average-pooling":
        return average_module(torch)
    if kind == "dropout":
        return nn.Dropout(layer[1])
    if kind == "flatten":
        return flatten_module(torch)
    raise bench.Unsupported("layer %s" % kind)


def flatten_module(torch):
    class Flatten(torch.nn.Module):  # torch.nn.Flatten came with 1.2
        def forward(self, images):
            return images.reshape(images.size(0), -1)

    return Flatten()


def average_module(torch):
    class Average(torch.nn.Module):
        def forward(self, images):
            return images.mean((2, 3))

    return Average()


def add_module(torch, main, shortcut):
    class Sum(torch.nn.Module):
        def __init__(self):
            super(Sum, self).__init__()
            self.main = torch.nn.Sequential(*main)
            self.shortcut = torch.nn.Sequential(*shortcut)

        def forward(self, images):
            return self.main(images) + self.shortcut(images)

    return Sum()
