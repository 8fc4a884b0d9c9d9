"""The networks, each described once, as data that every framework's script walks through.

A network is a Network; a layer is a tuple of its kind and its settings:

    ("convolution", filters, size, padding)  size x size, stride 1, with bias; "same" or
                                             "valid" padding
    ("relu",)
    ("max-pooling", size)                    size x size, stride `size`, no padding
    ("dropout", rate)                        `rate` of the inputs is dropped, the rest scaled
    ("flatten",)                             in the order height, width, channels
    ("dense", outputs)                       with bias

The last layer gives logits: the softmax belongs to the loss and is applied once. Shapes are
(height, width, channels) of one image, or (features,).
"""

import collections

Network = collections.namedtuple("Network", "input_shape classes layers")


def _vgg_block(convolutions, filters):
    one = (("convolution", filters, 3, "same"), ("relu",))
    return one * convolutions + (("max-pooling", 2),)


# The example network of early Keras releases (examples/cifar10_cnn.py).
CIFAR10_CNN = Network(
    input_shape=(32, 32, 3),
    classes=10,
    layers=(
        ("convolution", 32, 3, "same"),
        ("relu",),
        ("convolution", 32, 3, "valid"),
        ("relu",),
        ("max-pooling", 2),
        ("dropout", 0.25),
        ("convolution", 64, 3, "same"),
        ("relu",),
        ("convolution", 64, 3, "valid"),
        ("relu",),
        ("max-pooling", 2),
        ("dropout", 0.25),
        ("flatten",),
        ("dense", 512),
        ("relu",),
        ("dropout", 0.5),
        ("dense", 10),
    ),
)

# Simonyan and Zisserman, 2014 (arXiv:1409.1556), configuration D, without its dropout.
VGG16 = Network(
    input_shape=(224, 224, 3),
    classes=1000,
    layers=_vgg_block(2, 64)
    + _vgg_block(2, 128)
    + _vgg_block(3, 256)
    + _vgg_block(3, 512)
    + _vgg_block(3, 512)
    + (
        ("flatten",),
        ("dense", 4096),
        ("relu",),
        ("dense", 4096),
        ("relu",),
        ("dense", 1000),
    ),
)

NETWORKS = {"cifar10-cnn": CIFAR10_CNN, "vgg16": VGG16}


def walk(network):
    """Return [(layer, shape that goes in, shape that comes out)] in order."""
    steps = []
    shape = network.input_shape
    for layer in network.layers:
        after = _shape_after(layer, shape)
        steps.append((layer, shape, after))
        shape = after
    return steps


def _shape_after(layer, shape):
    kind = layer[0]
    if kind == "convolution":
        _, filters, size, padding = layer
        lost = {"same": 0, "valid": size - 1}[padding]
        return (shape[0] - lost, shape[1] - lost, filters)
    if kind == "max-pooling":
        return (shape[0] // layer[1], shape[1] // layer[1], shape[2])
    if kind == "flatten":
        return (shape[0] * shape[1] * shape[2],)
    if kind == "dense":
        return (layer[1],)
    if kind in ("relu", "dropout"):
        return shape
    raise ValueError("unknown layer %r" % (layer,))


def kernel_shapes(network):
    """Return the kernels' shapes in order; the bias has the length of the last dimension.

    (height, width, inputs, outputs) of a convolution, (inputs, outputs) of a dense layer.
    """
    shapes = []
    for layer, before, after in walk(network):
        if layer[0] == "convolution":
            shapes.append((layer[2], layer[2], before[-1], after[-1]))
        elif layer[0] == "dense":
            shapes.append((before[0], after[0]))
    return shapes


def count_parameters(network):
    """Return how many numbers are trained.

    >>> count_parameters(CIFAR10_CNN), count_parameters(VGG16)
    (1250858, 138357544)
    """
    total = 0
    for shape in kernel_shapes(network):
        kernel = 1
        for length in shape:
            kernel *= length
        total += kernel + shape[-1]
    return total
