"""Images, labels and initial weights: the same arrays in every language and release.

Frameworks' own generators differ between releases, so numbers come from a counter instead:
the number at an index depends on the seed, a stream and the index alone. With 32-bit
unsigned arithmetic that wraps around,

    key(seed, stream) = mix(mix(seed) + stream)
    number(seed, stream, index) = mix(mix(index) ^ key(seed, stream))

where mix is the finaliser of MurmurHash3's 32-bit variant, by Austin Appleby, in the public
domain (github.com/aappleby/smhasher, src/MurmurHash3.cpp, fmix32).

Arrays are filled in row-major order, images as (image, height, width, channel). NumPy 1.13
to 2.4.
"""

import os

import numpy

LABELS, PATTERNS, NOISE = 1, 2, 3  # streams
WEIGHTS = 16  # stream of the first kernel; the next kernel's is one more
PATCHES = 8  # a class's pattern is PATCHES x PATCHES patches of one colour
CIFAR10_IMAGES = 2000  # as many as the images that are generated for 32 x 32
CIFAR10_RECORD_BYTES = 1 + 3072  # a label, then 1024 bytes of each of red, green and blue
CHUNK = 1 << 16  # numbers made at a time, so that they stay in the processor's cache


def mix(numbers):
    """Scramble a uint32 array in place and return it."""
    numbers ^= numbers >> numpy.uint32(16)
    numbers *= numpy.uint32(0x85EBCA6B)
    numbers ^= numbers >> numpy.uint32(13)
    numbers *= numpy.uint32(0xC2B2AE35)
    numbers ^= numbers >> numpy.uint32(16)
    return numbers


def key(seed, stream):
    """Return the uint32 array of one number that selects a sequence."""
    return mix(mix(numpy.array([seed], numpy.uint32)) + numpy.array([stream], numpy.uint32))


def numbers(seed, stream, first, count):
    """Return uint32 (count,): the numbers at the indices from `first` on."""
    indices = numpy.arange(first, first + count, dtype=numpy.uint32)
    return mix(mix(indices) ^ key(seed, stream))


def generate(network, count, seed):
    """Return uint8 images (count, height, width, channels) and int32 labels (count,).

    An image is its class's pattern of coloured patches, three parts, with one part noise,
    so that a few steps of training show in the loss. Where a network takes (features,), they
    are noise, uint8 (count, features).
    """
    if len(network.input_shape) == 1:
        noise = numbers(seed, NOISE, 0, count * network.input_shape[0]) & numpy.uint32(255)
        return noise.astype("uint8").reshape(count, -1), numpy.zeros(count, "int32")
    height, width, channels = network.input_shape
    labels = (numbers(seed, LABELS, 0, count) % numpy.uint32(network.classes)).astype("int32")
    size = PATCHES * PATCHES * channels
    patterns = numpy.stack(
        [numbers(seed, PATTERNS, int(label) * size, size) & numpy.uint32(255) for label in labels]
    ).reshape(count, PATCHES, PATCHES, channels)
    rows = numpy.arange(height) * PATCHES // height
    columns = numpy.arange(width) * PATCHES // width
    coloured = patterns[:, rows][:, :, columns]
    noise = numbers(seed, NOISE, 0, coloured.size).reshape(coloured.shape) & numpy.uint32(255)
    images = (coloured * numpy.uint32(3) + noise) >> numpy.uint32(2)
    return images.astype("uint8"), labels


def read_cifar10(path):
    """Return the first images of a file in CIFAR-10's binary format, as `generate` does.

    Format: www.cs.toronto.edu/~kriz/cifar.html, "Binary version".

    Raises:
        ValueError: it is not such a file, or holds fewer than CIFAR10_IMAGES images.
    """
    size = os.path.getsize(path)
    expected = CIFAR10_IMAGES * CIFAR10_RECORD_BYTES
    if size < expected or size % CIFAR10_RECORD_BYTES:
        raise ValueError(
            "%s: found %d bytes, expected records of %d bytes, at least %d of them"
            % (path, size, CIFAR10_RECORD_BYTES, CIFAR10_IMAGES)
        )
    records = numpy.fromfile(path, numpy.uint8, expected)
    records = records.reshape(CIFAR10_IMAGES, CIFAR10_RECORD_BYTES)
    labels = records[:, 0].astype("int32")
    if labels.max() > 9:
        raise ValueError("%s: found label %d, expected 0 to 9" % (path, labels.max()))
    images = records[:, 1:].reshape(CIFAR10_IMAGES, 3, 32, 32).transpose(0, 2, 3, 1)
    return numpy.ascontiguousarray(images), labels


def load(settings, network, batch, asked=None):
    """Return [(images, labels)], batches in memory.

    Images are float32 (batch, height, width, channels) in [-1, 1], labels int32 (batch,);
    what goes into a network of (features,) is (batch, features). There are 2000 images of
    32 x 32, or the first `asked.images`; of others, one batch. A last batch that is not full is
    left out, unless there are `asked.images` and no `asked.drop_remainder`.

    Args:
        asked: None, or the training.Training: `input` and `labels` may be `zeros`. Images that
            are `drawn` in the step are another matter; those from here are then left aside.

    Raises:
        ValueError: the batch is larger than the data, or the file cannot be used.
    """
    count = asked.images if asked is not None and asked.images else CIFAR10_IMAGES
    if count > CIFAR10_IMAGES:
        raise ValueError("images: found %d, expected 1 to %d" % (count, CIFAR10_IMAGES))
    most = count if _small(network) else batch  # of others, as many as the batch asks for
    if not 1 <= batch <= most:
        raise ValueError("batch: found %d, expected 1 to %d" % (batch, count))
    if _from_file(settings, network):
        images, labels = (array[:count] for array in read_cifar10(settings.data_file))
    else:
        images, labels = generate(network, count if _small(network) else batch, settings.seed)
    scaled = images.astype("float32") / numpy.float32(127.5) - numpy.float32(1)
    if asked is not None and asked.input == "zeros":
        scaled[:] = 0
    if asked is not None and asked.labels == "zeros":
        labels[:] = 0
    has_rest = asked is not None and asked.images and not asked.drop_remainder
    end = len(scaled) if has_rest else len(scaled) - batch + 1
    return [(scaled[at : at + batch], labels[at : at + batch]) for at in range(0, end, batch)]


def load_validation(batches, asked):
    """Return the batches that are validated on: none, or images of the training batches again.

    Args:
        batches: as `load` gives them.
        asked: the training.Training; `drop_remainder` holds here, too.
    """
    if asked.validation != "first-400-of-training":
        return batches if asked.validation == "training-images" else []
    images, labels = (numpy.concatenate(arrays)[:400] for arrays in zip(*batches))
    end = len(images) - asked.batch + 1 if asked.drop_remainder else len(images)
    starts = range(0, end, asked.batch)
    return [(images[at : at + asked.batch], labels[at : at + asked.batch]) for at in starts]


def describe(settings, network, asked=None):
    """Return in words what `load` gives."""
    few = asked.images if asked is not None and asked.images else CIFAR10_IMAGES
    if _from_file(settings, network):
        name = os.path.basename(settings.data_file)
        said = "the first %d images of %s" % (few, name)
    else:
        count = "%d images" % few if _small(network) else "one batch"
        said = "%s generated from seed %d" % (count, settings.seed)
    if asked is not None and asked.input == "zeros":
        said += ", all set to 0"
    if asked is not None and asked.input == "drawn":
        said += ", its images left aside for others drawn in each step"
    if asked is not None and asked.labels == "zeros":
        said += ", all labels 0"
    return said + ", in memory"


def _small(network):
    return network.input_shape == (32, 32, 3)


def _from_file(settings, network):
    return settings.data_file is not None and _small(network) and network.classes == 10


def initial_weights(shapes, seed):
    """Return [kernel], float32 and uniform as Glorot and Bengio (2010) have it.

    Within +-sqrt(6 / (inputs + outputs)), where both count a convolution's height x width.
    Biases begin at 0.

    Args:
        shapes: of the kernels, as `networks.kernel_shapes` gives them.
    """
    return [_glorot(shape, seed, WEIGHTS + place) for place, shape in enumerate(shapes)]


def _glorot(shape, seed, stream):
    field = int(numpy.prod(shape[:-2]))
    limit = numpy.float32((6.0 / (field * (shape[-2] + shape[-1]))) ** 0.5)
    kernel = numpy.empty(int(numpy.prod(shape)), numpy.float32)
    for first in range(0, kernel.size, CHUNK):
        part = kernel[first : first + CHUNK]
        part[:] = numbers(seed, stream, first, part.size) >> numpy.uint32(8)
        part *= numpy.float32(2.0**-23)  # 24 bits in [0, 2), exact
        part -= numpy.float32(1)
        part *= limit
    return kernel.reshape(shape)


def channels_first(steps, kernels):
    """Return the kernels for a framework whose images are (channels, height, width).

    A convolution's become (outputs, inputs, height, width). A dense one's become (outputs,
    inputs); behind the flattening, its inputs are put into that framework's order.

    Args:
        steps: as `networks.walk` gives them.
        kernels: as `initial_weights` gives them.
    """
    rest = iter(kernels)
    flattened = None
    turned = []
    for layer, before, _ in steps:
        if layer[0] in ("convolution", "strided-convolution"):
            turned.append(numpy.ascontiguousarray(next(rest).transpose(3, 2, 0, 1)))
        elif layer[0] == "flatten":
            flattened = before
        elif layer[0] == "dense":
            kernel = next(rest)
            if flattened is not None:
                pixels = kernel.reshape(flattened + (-1,)).transpose(2, 0, 1, 3)
                kernel = pixels.reshape(kernel.shape)
                flattened = None
            turned.append(numpy.ascontiguousarray(kernel.T))
    return turned
