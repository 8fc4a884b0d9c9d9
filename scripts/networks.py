"""The networks, each described once, as data that every framework's script walks through.

A network is a Network; a layer is a tuple of its kind and its settings:

    ("convolution", filters, size, padding)  size x size, stride 1, with bias; "same" or
                                             "valid" padding
    ("strided-convolution", filters, size, stride, padding, bias)
                                             `padding` pixels of 0 at every side; bias or not
    ("batch-normalisation",)                 over batch, height and width, with a scale and a
                                             shift; epsilon 1e-5, or the number behind; running
                                             means are kept, a tenth of the new each step
    ("relu",)
    ("max-pooling", size)                    size x size, stride `size`, no padding; what is
                                             left at the edge is passed over, or taken in if
                                             "same" stands behind
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
(height, width, channels) of one image, or (features,). What a job may ask to be changed is in
variants.py.
"""

import collections

Network = collections.namedtuple("Network", "input_shape classes layers")

CONVOLUTIONS = ("convolution", "strided-convolution")


def _vgg(blocks, is_normalised):
    """A block's convolutions by number; all but the last double the filters, from 64 to 512."""
    normalisation = (("batch-normalisation",),) if is_normalised else ()
    layers = ()
    for place, convolutions in enumerate(blocks):
        filters = 64 * 2 ** min(place, 3)
        one = (("convolution", filters, 3, "same"),) + normalisation + (("relu",),)
        layers += one * convolutions + (("max-pooling", 2),)
    hidden = (("dense", 4096), ("relu",))
    layers += (("flatten",),) + hidden * 2 + (("dense", 1000),)
    return Network(input_shape=(224, 224, 3), classes=1000, layers=layers)


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

# Simonyan and Zisserman, 2014 (arXiv:1409.1556), configurations D and E, without their
# dropout; with batch normalisation the convolutions keep their bias.
VGG16 = _vgg((2, 2, 3, 3, 3), False)
VGG16_BN = _vgg((2, 2, 3, 3, 3), True)
VGG19 = _vgg((2, 2, 4, 4, 4), False)
VGG19_BN = _vgg((2, 2, 4, 4, 4), True)

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


def _basic(filters, stride):
    return ((filters, 3, stride), (filters, 3, 1))


def _bottleneck(filters, stride):
    return ((filters, 1, stride), (filters, 3, 1), (4 * filters, 1, 1))


def _bottleneck_strided_later(filters, stride):
    return ((filters, 1, 1), (filters, 3, stride), (4 * filters, 1, 1))


def _resnet(blocks, block, bias=False, normalisation=("batch-normalisation",), pool_padding=1):
    """Four stages of so many blocks; `block` gives (filters, size, stride) of its convolutions.

    The first block of a stage has the stride, and projects its shortcut where shapes change.
    """

    def convolve(filters, size, stride):
        convolution = ("strided-convolution", filters, size, stride, size // 2, bias)
        return (convolution, normalisation)

    layers = convolve(64, 7, 2) + (("relu",), ("strided-max-pooling", 3, 2, pool_padding))
    channels = 64
    for stage, count in enumerate(blocks):
        for place in range(count):
            stride = 2 if stage > 0 and place == 0 else 1
            main = block(64 * 2**stage, stride)
            outputs = main[-1][0]
            layers += (("fork",),) + convolve(*main[0])
            for settings in main[1:]:
                layers += (("relu",),) + convolve(*settings)
            if stride > 1 or outputs != channels:
                layers += (("swap",),) + convolve(outputs, 1, stride)
            layers += (("add",), ("relu",))
            channels = outputs
    layers += (("average-pooling",), ("dense", 1000))
    return Network(input_shape=(224, 224, 3), classes=1000, layers=layers)


# He, Zhang, Ren and Sun, 2015 (arXiv:1512.03385), table 1: the stride of a stage is in its
# first convolution ("version 1"), with bottlenecks the 1x1, not the 3x3 one.
RESNET18 = _resnet((2, 2, 2, 2), _basic)
RESNET34 = _resnet((3, 4, 6, 3), _basic)
RESNET50 = _resnet((3, 4, 6, 3), _bottleneck)
RESNET101 = _resnet((3, 4, 23, 3), _bottleneck)
RESNET152 = _resnet((3, 8, 36, 3), _bottleneck)

NETWORKS = {
    "alexnet": ALEXNET,
    "cifar10-cnn": CIFAR10_CNN,
    "resnet101": RESNET101,
    "resnet152": RESNET152,
    "resnet18": RESNET18,
    "resnet34": RESNET34,
    "resnet50": RESNET50,
    "vgg16": VGG16,
    "vgg16-bn": VGG16_BN,
    "vgg19": VGG19,
    "vgg19-bn": VGG19_BN,
}

# torchvision's bottlenecks have the stride in the 3x3 convolution; the counts are the same.
TORCHVISION_RESNETS = {
    "resnet18": RESNET18,
    "resnet34": RESNET34,
    "resnet50": _resnet((3, 4, 6, 3), _bottleneck_strided_later),
    "resnet101": _resnet((3, 4, 23, 3), _bottleneck_strided_later),
    "resnet152": _resnet((3, 8, 36, 3), _bottleneck_strided_later),
}

# keras.applications of Keras 2.1.5: biases under the normalisation, whose epsilon is 1e-3, and
# no padding before the pooling.
KERAS_RESNET50 = _resnet((3, 4, 6, 3), _bottleneck, True, ("batch-normalisation", 1e-3), 0)

# Layers alone, by the shape that goes in.
LAYERS = {
    "batchnorm": ((224, 224, 3), ("batch-normalisation",)),
    "conv3x3": ((224, 224, 3), ("strided-convolution", 64, 3, 1, 1, True)),
    "conv5x5": ((224, 224, 3), ("strided-convolution", 64, 5, 1, 2, True)),
    "dense": ((1024,), ("dense", 512)),
}


def layer_alone(name, stride):
    """Return a Network of one layer, a convolution with this stride; all its labels are 0."""
    input_shape, layer = LAYERS[name]
    if layer[0] == "strided-convolution":
        layer = layer[:3] + (stride,) + layer[4:]
    return Network(input_shape=input_shape, classes=1, layers=(layer,))


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
        edge = layer[1] - 1 if layer[2:] == ("same",) else 0
        return tuple((length + edge) // layer[1] for length in shape[:2]) + shape[2:]
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
        if layer[0] in CONVOLUTIONS:
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
        if layer[0] in CONVOLUTIONS + ("dense",):
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
        if layer[0] in CONVOLUTIONS + ("dense",):
            products = 1
            for length in next(shapes):
                products *= length
            total += products * (1 if layer[0] == "dense" else after[0] * after[1])
    return total
