"""A network as a plain graph of TensorFlow 1, for the mode `native`.

Kernels are (height, width, inputs, outputs) in both layouts. The batch normalisation is
`nn.moments` and `nn.batch_normalization` where it is asked to be unfused, else
`nn.fused_batch_norm`; its running means follow with each step, a tenth of the new. With
`architecture: original` it is `contrib.layers.batch_norm`, which has no scale, and whose
running means nobody moves.
"""

import bench
import networks

DECAY = 0.9  # of the running means


class Layers(object):
    """The trained parts of a network, and how to go through them.

    Attributes:
        initial: {placeholder: kernel} by which the initial kernels come in; a graph cannot hold
            more than 2 GiB.
        updates: operations of a step beside the optimizer's.
    """

    def __init__(self, tensorflow, asked, channels_first, kernels):
        self.tensorflow = tensorflow
        self.asked = asked
        self.order = "NCHW" if channels_first else "NHWC"
        self.initial = {}
        self.updates = []
        rest = iter(kernels)
        self.steps = [
            (layer, self._make_weights(layer, after, rest))
            for layer, _, after in networks.walk(asked.network)
        ]

    def _make_weights(self, layer, after, kernels):
        """Return the variables of a layer."""
        tensorflow = self.tensorflow
        kind = layer[0]
        if kind in networks.CONVOLUTIONS + ("dense",):
            variables = [self._make_kernel(next(kernels))]
            if networks.has_bias(layer):
                variables.append(tensorflow.Variable(tensorflow.zeros(after[-1:])))
            return variables
        if kind == "batch-normalisation" and self.asked.architecture == "reference":
            ones, zeros = tensorflow.ones(after[-1:]), tensorflow.zeros(after[-1:])
            trained = [tensorflow.Variable(ones), tensorflow.Variable(zeros)]
            running = [tensorflow.Variable(first, trainable=False) for first in (zeros, ones)]
            return trained + running
        return []

    def _make_kernel(self, values):
        tensorflow = self.tensorflow
        if self.asked.initial_weights == "library":
            name = "kernel%d" % len(tensorflow.trainable_variables())
            return tensorflow.get_variable(name, values.shape)
        first = tensorflow.placeholder("float32", values.shape)
        self.initial[first] = values
        return tensorflow.Variable(first)

    def apply(self, images, drops):
        """Return the logits of images.

        Args:
            drops: whether dropout drops, as in training.
        """
        tensor = images
        aside = []
        for layer, weights in self.steps:
            kind = layer[0]
            if kind == "fork":
                aside.append(tensor)
            elif kind == "swap":
                tensor, aside[-1] = aside[-1], tensor
            elif kind == "add":
                tensor = tensor + aside.pop()
            elif kind != "dropout":
                tensor = self._apply_one(layer, weights, tensor)
            elif drops:
                tensor = self.tensorflow.nn.dropout(tensor, keep_prob=1 - layer[1])
        return tensor

    def _apply_one(self, layer, weights, tensor):
        nn = self.tensorflow.nn
        kind = layer[0]
        if kind == "convolution":
            return self._convolve(tensor, weights, 1, layer[3].upper())
        if kind == "strided-convolution":
            return self._convolve(self._pad(tensor, layer[4]), weights, layer[3], "VALID")
        if kind == "batch-normalisation":
            return self._normalise(layer, weights, tensor)
        if kind == "dense":
            return nn.bias_add(self.tensorflow.matmul(tensor, weights[0]), weights[1])
        if kind == "relu":
            return nn.relu(tensor)
        if kind == "max-pooling":
            padding = layer[2].upper() if len(layer) > 2 else "VALID"
            window = self._window(layer[1])
            return nn.max_pool(tensor, window, window, padding, data_format=self.order)
        if kind == "strided-max-pooling":
            # It comes behind a ReLU, where zeros are never larger than what they stand beside.
            _, size, stride, padding = layer
            size, stride = self._window(size), self._window(stride)
            padded = self._pad(tensor, padding)
            return nn.max_pool(padded, size, stride, "VALID", data_format=self.order)
        if kind == "average-pooling":
            return self.tensorflow.reduce_mean(tensor, self._map_axes())
        if kind == "flatten":
            size = 1
            for length in tensor.get_shape().as_list()[1:]:
                size *= length
            return self.tensorflow.reshape(tensor, (-1, size))
        raise bench.Unsupported("layer %s" % kind)

    def _window(self, size):
        return (1, 1, size, size) if self.order == "NCHW" else (1, size, size, 1)

    def _map_axes(self):
        return [2, 3] if self.order == "NCHW" else [1, 2]

    def _pad(self, tensor, padding):
        if not padding:
            return tensor
        sides = [[0, 0] for _ in range(4)]
        for axis in self._map_axes():
            sides[axis] = [padding, padding]
        return self.tensorflow.pad(tensor, sides)

    def _convolve(self, tensor, weights, stride, padding):
        nn = self.tensorflow.nn
        strides = self._window(stride)
        tensor = nn.conv2d(tensor, weights[0], strides, padding, data_format=self.order)
        if len(weights) == 1:
            return tensor
        return nn.bias_add(tensor, weights[1], data_format=self.order)

    def _normalise(self, layer, weights, tensor):
        fused = self.asked.batch_norm != "unfused"
        if self.asked.architecture == "original":
            normalise = self.tensorflow.contrib.layers.batch_norm
            return normalise(tensor, data_format=self.order, fused=fused, is_training=True)
        epsilon = layer[1] if len(layer) > 1 else 1e-5
        scale, shift = weights[:2]
        if fused:
            normalised, mean, variance = self.tensorflow.nn.fused_batch_norm(
                tensor, scale, shift, epsilon=epsilon, data_format=self.order
            )
        else:
            normalised, mean, variance = self._normalise_unfused(tensor, scale, shift, epsilon)
        for running, new in zip(weights[2:], (mean, variance)):
            follow = DECAY * running + (1 - DECAY) * new
            self.updates.append(self.tensorflow.assign(running, follow))
        return normalised

    def _normalise_unfused(self, tensor, scale, shift, epsilon):
        nn = self.tensorflow.nn
        axes = [0] + self._map_axes()
        mean, variance = nn.moments(tensor, axes, keep_dims=True)
        shape = (1, -1, 1, 1) if self.order == "NCHW" else (1, 1, 1, -1)
        scale, shift = (self.tensorflow.reshape(one, shape) for one in (scale, shift))
        normalised = nn.batch_normalization(tensor, mean, variance, shift, scale, epsilon)
        flat = [self.tensorflow.reshape(one, (-1,)) for one in (mean, variance)]
        return [normalised] + flat
