"""Train a network with Keras 1, on Theano or on TensorFlow 1; keras_training.py has the step.

On Theano images are channels first, its native order, which is faster there than letting Keras
turn them at every convolution, on TensorFlow channels last; weights are turned to match, so
that the network is the same one. Theano's convolutions flip the kernel, so it is flipped
beforehand. `batch_norm` takes the modes of Keras 1: 0 keeps running means for later, 2 does
not, and both normalise by the batch's own in training.
"""

import bench
import keras_training
import networks

MODES = {"keras-mode-0": 0, "keras-mode-2": 2}


def train(job):
    able = {"batch_norm": ("none",) + tuple(sorted(MODES))}
    keras_training.train(job, build, able)


def build(keras, data, asked, channels_first, flips, seed):
    """Return the network with its initial weights, a softmax behind it.

    Args:
        flips: whether the backend's convolutions flip their kernels.
    """
    layers = keras.layers
    network = asked.network
    steps = networks.walk(network)
    rest = iter(turn_kernels(data, network, channels_first, flips, seed))
    height, width, channels = network.input_shape
    shape = (channels, height, width) if channels_first else network.input_shape
    model = keras.models.Sequential()
    model.add(layers.InputLayer(input_shape=shape))
    for layer, _, after in steps:
        kind = layer[0]
        if kind == "convolution":
            _, filters, size, padding = layer
            model.add(layers.Convolution2D(filters, size, size, border_mode=padding))
        elif kind == "batch-normalisation":
            settings = {"epsilon": keras_training.EPSILON, "momentum": 0.9}
            axis = 1 if channels_first else -1
            mode = MODES[asked.batch_norm]
            model.add(layers.BatchNormalization(axis=axis, mode=mode, **settings))
        elif kind == "dense":
            model.add(layers.Dense(layer[1]))
        elif kind == "relu":
            model.add(layers.Activation("relu"))
        elif kind == "max-pooling":
            padding = layer[2] if len(layer) > 2 else "valid"
            model.add(layers.MaxPooling2D((layer[1], layer[1]), border_mode=padding))
        elif kind == "dropout":
            model.add(layers.Dropout(layer[1]))
        elif kind == "flatten":
            model.add(layers.Flatten())
        else:
            raise bench.Unsupported("layer %s" % kind)
        if kind in ("convolution", "dense") and asked.initial_weights == "seeded":
            bias = data.numpy.zeros(after[-1], "float32")
            model.layers[-1].set_weights([next(rest), bias])
    model.add(layers.Activation("softmax"))
    return model


def turn_kernels(data, network, channels_first, flips, seed):
    """Return the initial kernels as this layout and backend take them.

    Keras 1 keeps a convolution's as (outputs, inputs, height, width) where images are channels
    first, else as (height, width, inputs, outputs); a dense layer's as (inputs, outputs).
    """
    kernels = data.initial_weights(networks.kernel_shapes(network), seed)
    if channels_first:
        turned = data.channels_first(networks.walk(network), kernels)
        kernels = [one if one.ndim == 4 else one.T for one in turned]
    if not flips:
        return kernels
    if channels_first:
        return [one[:, :, ::-1, ::-1] if one.ndim == 4 else one for one in kernels]
    return [one[::-1, ::-1] if one.ndim == 4 else one for one in kernels]


if __name__ == "__main__":
    bench.main(train)
