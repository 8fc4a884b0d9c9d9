"""The networks, each described once, as data that every framework's script walks through.

A network is a Network; a layer is a tuple of its kind and its settings:

    ("convolution", filters, size, padding)  size x size, stride 1, with bias; "same" or
                                             "valid" padding
    ("strided-convolution", filters, size, stride, padding, bias)
                                             `padding` pixels of 0 at every side; bias or not
    ("batch-normalisation",)                 over batch, height and width, with a scale and a
                                             shift; epsilon 1e-5; running means are kept, a
                                             tenth of the new each step
    ("relu",)
    ("max-pooling", size)                    size x size, stride `size`, no padding
    ("strided-max-pooling", size, stride, padding)
                                             `padding` pixels at every side, never the largest
    ("average-pooling",)                     over the whole height and width
    ("dropout", rate)                        `rate` of the inputs is dropped, the rest scaled
    ("flatten",)                             in the order height, width, channels
    ("dense", outputs)                       with bias
    ("fork",)                                sets the tensor aside, and goes on with it
    ("swap",)                                changes places with the one set aside last
    ("add",)                                 adds the one set aside last

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

# Krizhevsky, 2014 (arXiv:1404.5997): one tower, no local response normalisation. With no
# padding before the first convolution its maps are 54, 26, 12 and 5 pixels wide.
ALEXNET = Network(
    input_shape=(224, 224, 3),
    classes=1000,
    layers=(
        ("strided-convolution", 64, 11, 4, 0, True),
        ("relu",),
        ("strided-max-pooling", 3, 2, 0),
        ("convolution", 192, 5, "same"),
        ("relu",),
        ("strided-max-pooling", 3, 2, 0),
        ("convolution", 384, 3, "same"),
        ("relu",),
        ("convolution", 256, 3, "same"),
        ("relu",),
        ("convolution", 256, 3, "same"),
        ("relu",),
        ("strided-max-pooling", 3, 2, 0),
        ("flatten",),
        ("dense", 4096),
        ("relu",),
        ("dropout", 0.5),
        ("dense", 4096),
        ("relu",),
        ("dropout", 0.5),
        ("dense", 1000),
    ),
)


def _normalised(filters, size, stride):
    convolution = ("strided-convolution", filters, size, stride, size // 2, False)
    return (convolution, ("batch-normalisation",))


def _bottleneck(filters, stride, is_first):
    """1x1, 3x3 and 1x1 beside a shortcut, which the first of a stage projects."""
    shortcut = _normalised(4 * filters, 1, stride) if is_first else ()
    return (
        (("fork",),)
        + _normalised(filters, 1, stride)
        + (("relu",),)
        + _normalised(filters, 3, 1)
        + (("relu",),)
        + _normalised(4 * filters, 1, 1)
        + (((("swap",),) + shortcut) if is_first else ())
        + (("add",), ("relu",))
    )


def _stage(blocks, filters, stride):
    rest = _bottleneck(filters, 1, False) * (blocks - 1)
    return _bottleneck(filters, stride, True) + rest


# He, Zhang, Ren and Sun, 2015 (arXiv:1512.03385), table 1: the stride of a stage is in its
# first 1x1 convolution ("version 1"), not in the 3x3 one.
RESNET50 = Network(
    input_shape=(224, 224, 3),
    classes=1000,
    layers=_normalised(64, 7, 2)
    + (("relu",), ("strided-max-pooling", 3, 2, 1))
    + _stage(3, 64, 1)
    + _stage(4, 128, 2)
    + _stage(6, 256, 2)
    + _stage(3, 512, 2)
    + (("average-pooling",), ("dense", 1000)),
)

NETWORKS = {
    "alexnet": ALEXNET,
    "cifar10-cnn": CIFAR10_CNN,
    "resnet50": RESNET50,
    "vgg16": VGG16,
}


def walk(network):
    """Return [(layer, shape that goes in, shape that comes out)] in order."""
    steps = []
    aside = []
    shape = network.input_shape
    for layer in network.layers:
        before = shape
        if layer[0] == "fork":
            aside.append(shape)
        elif layer[0] == "swap":
            shape, aside[-1] = aside[-1], shape
        elif layer[0] == "add":
            kept = aside.pop()
            if kept != shape:
                raise ValueError("cannot add %r and %r" % (shape, kept))
        else:
            shape = _shape_after(layer, shape)
        steps.append((layer, before, shape))
    return steps


def _shape_after(layer, shape):
    kind = layer[0]
    if kind == "convolution":
        _, filters, size, padding = layer
        lost = {"same": 0, "valid": size - 1}[padding]
        return (shape[0] - lost, shape[1] - lost, filters)
    if kind == "strided-convolution":
        _, filters, size, stride, padding, _ = layer
        return _slid(shape, size, stride, padding) + (filters,)
    if kind == "max-pooling":
        return (shape[0] // layer[1], shape[1] // layer[1], shape[2])
    if kind == "strided-max-pooling":
        return _slid(shape, *layer[1:]) + (shape[2],)
    if kind == "average-pooling":
        return shape[2:]
    if kind == "flatten":
        return (shape[0] * shape[1] * shape[2],)
    if kind == "dense":
        return (layer[1],)
    if kind in ("relu", "dropout", "batch-normalisation"):
        return shape
    raise ValueError("unknown layer %r" % (layer,))


def _slid(shape, size, stride, padding):
    """Return height and width of what a window leaves of a shape."""
    return tuple((length + 2 * padding - size) // stride + 1 for length in shape[:2])


def kernel_shapes(network):
    """Return the kernels' shapes in order; a bias has the length of the last dimension.

    (height, width, inputs, outputs) of a convolution, (inputs, outputs) of a dense layer.
    """
    shapes = []
    for layer, before, after in walk(network):
        if layer[0] in ("convolution", "strided-convolution"):
            shapes.append((layer[2], layer[2], before[-1], after[-1]))
        elif layer[0] == "dense":
            shapes.append((before[0], after[0]))
    return shapes


def has_bias(layer):
    """Tell whether a layer with a kernel has a bias, too."""
    return layer[-1] if layer[0] == "strided-convolution" else True


def count_parameters(network):
    """Return how many numbers are trained.

    >>> count_parameters(CIFAR10_CNN), count_parameters(VGG16)
    (1250858, 138357544)
    >>> count_parameters(ALEXNET), count_parameters(RESNET50)
    (49566504, 25557032)
    """
    total = 0
    shapes = iter(kernel_shapes(network))
    for layer, before, after in walk(network):
        if layer[0] in ("convolution", "strided-convolution", "dense"):
            kernel = 1
            for length in next(shapes):
                kernel *= length
            total += kernel + (after[-1] if has_bias(layer) else 0)
        elif layer[0] == "batch-normalisation":
            total += 2 * before[-1]
    return total


def count_products(network):
    """Return how many multiplications the kernels take for one image, forward.

    >>> [round(count_products(n) / 1e9, 2) for n in (ALEXNET, RESNET50, VGG16)]
    [0.63, 3.86, 15.47]
    """
    total = 0
    shapes = iter(kernel_shapes(network))
    for layer, _, after in walk(network):
        if layer[0] in ("convolution", "strided-convolution", "dense"):
            products = 1
            for length in next(shapes):
                products *= length
            total += products * (1 if layer[0] == "dense" else after[0] * after[1])
    return total
