"""Train a network with Keras 2.0 to 2.2, on Theano or on TensorFlow 1; keras_training.py has
the step.

On Theano images are channels first, its native order, on TensorFlow channels last; weights are
turned to match, so that the network is the same one. Theano's convolutions flip the kernel, so
it is flipped beforehand. `architecture: original` of resnet50 is that of keras.applications:
convolutions with a bias, a normalisation whose epsilon is 1e-3, and no padding of the pooling.
"""

import bench
import keras_training
import layouts
import networks


def train(job):
    keras_training.train(job, build_trained, originals={"resnet50": networks.KERAS_RESNET50})


def build_trained(keras, data, asked, channels_first, flips, seed):
    return build(keras, data, asked, channels_first, flips, seed, ends_in_softmax=True)


def build(keras, data, asked, channels_first, flips, seed, ends_in_softmax):
    """Return the network with its initial weights. Serves TensorFlow's own Keras, too.

    Args:
        flips: whether the backend's convolutions flip their kernels.
    """
    layers = keras.layers
    steps = networks.walk(asked.network)
    images = tensor = layers.Input(shape=layouts.shape_of(asked.network, channels_first))
    aside = []
    weighted = []
    for layer, _, after in steps:
        kind = layer[0]
        if kind == "fork":
            aside.append(tensor)
        elif kind == "swap":
            tensor, aside[-1] = aside[-1], tensor
        elif kind == "add":
            tensor = layers.add([tensor, aside.pop()])
        else:
            made = make_layers(layers, layer, after, channels_first)
            for one in made:
                tensor = one(tensor)
            if kind in networks.CONVOLUTIONS + ("dense",):
                weighted.append((made[-1], layer, after))
    if ends_in_softmax:
        tensor = layers.Activation("softmax")(tensor)
    model = keras.models.Model(images, tensor)
    if asked.initial_weights == "seeded":
        kernels = data.initial_weights(networks.kernel_shapes(asked.network), seed)
        kernels = layouts.turn_kernels(data, steps, kernels, channels_first)
        set_weights(data.numpy, weighted, kernels, flips)
    return model


def make_layers(layers, layer, after, channels_first):
    """Return the layers of Keras that one of the network is made of; a kernel is in the last."""
    kind = layer[0]
    if kind == "convolution":
        return [layers.Conv2D(layer[1], layer[2], padding=layer[3])]
    if kind == "strided-convolution":
        _, filters, size, stride, padding, bias = layer
        ahead = [layers.ZeroPadding2D(padding)] if padding else []
        return ahead + [layers.Conv2D(filters, size, strides=stride, use_bias=bias)]
    if kind == "batch-normalisation":
        epsilon = layer[1] if len(layer) > 1 else keras_training.EPSILON
        axis = 1 if channels_first else -1
        return [layers.BatchNormalization(axis=axis, momentum=0.9, epsilon=epsilon)]
    if kind == "dense":
        return [layers.Dense(layer[1])]
    if kind == "relu":
        return [layers.Activation("relu")]
    if kind == "max-pooling":
        padding = layer[2] if len(layer) > 2 else "valid"
        return [layers.MaxPooling2D(layer[1], padding=padding)]
    if kind == "strided-max-pooling":
        _, size, stride, padding = layer
        # It comes behind a ReLU, where zeros are never larger than what they stand beside.
        ahead = [layers.ZeroPadding2D(padding)] if padding else []
        return ahead + [layers.MaxPooling2D(size, strides=stride)]
    if kind == "average-pooling":
        return [layers.GlobalAveragePooling2D()]
    if kind == "dropout":
        return [layers.Dropout(layer[1])]
    if kind == "flatten":
        return [layers.Reshape(after)]  # Flatten turns channels first back, from Keras 2.2 on
    raise bench.Unsupported("layer %s" % kind)


def set_weights(numpy, weighted, kernels, flips):
    for (layer, described, after), kernel in zip(weighted, kernels):
        if flips and kernel.ndim == 4:
            kernel = kernel[::-1, ::-1]
        has_bias = networks.has_bias(described)
        layer.set_weights([kernel] + [numpy.zeros(after[-1], "float32")] * has_bias)


if __name__ == "__main__":
    bench.main(train)
