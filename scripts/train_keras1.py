"""Train a network with Keras 1 on Theano.

Keras' own model, loss and optimizer; a step is `train_on_batch`, which takes NumPy arrays
and gives the loss. Images are channels first, Theano's native order, which is faster there
than letting Keras turn them at every convolution; weights are turned to match, so that the
network is the same one. Theano's convolutions flip the kernel, so it is flipped beforehand.
The softmax is the last layer, as Keras' loss expects. Initial weights are Glorot uniform
from `data`; dropout draws from Theano's own generator.
"""

import ctypes
import os

import bench
import networks
import training

# Everything that changes Theano's speed is said here, since its defaults depend on what it
# finds on the machine. Its cache of compiled code goes under HOME.
THEANO_FLAGS = "device=cpu,floatX=float32,openmp=True,blas.ldflags=-lopenblas,cxx=g++"


def train(job):
    asked = training.ask(job, compilers=("default",))
    os.environ["THEANO_FLAGS"] = (
        THEANO_FLAGS + ",base_compiledir=" + os.path.join(os.path.expanduser("~"), "theano")
    )
    with job.phase("import"):
        import keras
        import theano
        import data

        backend = keras.backend
        if backend.backend() != "theano":
            raise bench.Unsupported("KERAS_BACKEND: %s; known: theano" % backend.backend())
        backend.set_image_dim_ordering("th")
    threads, source = count_threads()
    job.hello(
        framework="keras",
        framework_version=keras.__version__,
        libraries=bench.versions("keras", "theano", "numpy", "scipy"),
        threads=threads,
        threads_source=source,
        data=data.describe(job.settings, asked.network),
    )
    if not theano.config.openmp:
        raise bench.Unsupported("Theano turned openmp off: the compiler has none")
    with job.phase("data"):
        batches = [
            (
                images.transpose(0, 3, 1, 2).copy(),
                keras.utils.np_utils.to_categorical(labels, asked.network.classes),
            )
            for images, labels in data.load(job.settings, asked.network, asked.batch)
        ]
    with job.phase("build"):
        data.numpy.random.seed(job.settings.seed)  # Keras seeds its dropout from it
        model = build(keras, data, asked.network, job.settings.seed)
        optimizer = build_optimizer(keras, asked)
        model.compile(loss="categorical_crossentropy", optimizer=optimizer)
    job.steps(model.train_on_batch, batches, items=asked.batch)
    job.check("parameters", sum(backend.get_value(w).size for w in model.trainable_weights))
    job.check("output_shape", list(model.predict_on_batch(batches[0][0]).shape))
    job.check("optimizer", describe_optimizer(backend, asked.optimizer, optimizer))


def count_threads():
    """Return how many threads Theano's own code uses, and where that was read."""
    gomp = ctypes.CDLL("libgomp.so.1").omp_get_max_threads()
    openblas = ctypes.CDLL("libopenblas.so.0").openblas_get_num_threads()
    return gomp, "omp_get_max_threads() of libgomp; OpenBLAS says %d" % openblas


def build(keras, data, network, seed):
    """Return the network with its initial weights."""
    layers = keras.layers
    steps = networks.walk(network)
    kernels = data.initial_weights(networks.kernel_shapes(network), seed)
    rest = iter(data.channels_first(steps, kernels))
    height, width, channels = network.input_shape
    model = keras.models.Sequential()
    model.add(layers.InputLayer(input_shape=(channels, height, width)))
    for layer, _, after in steps:
        kind = layer[0]
        if kind == "convolution":
            _, filters, size, padding = layer
            model.add(layers.Convolution2D(filters, size, size, border_mode=padding))
            kernel = next(rest)[:, :, ::-1, ::-1]
            model.layers[-1].set_weights([kernel, data.numpy.zeros(after[-1], "float32")])
        elif kind == "dense":
            model.add(layers.Dense(layer[1]))
            model.layers[-1].set_weights([next(rest).T, data.numpy.zeros(after[-1], "float32")])
        elif kind == "relu":
            model.add(layers.Activation("relu"))
        elif kind == "max-pooling":
            model.add(layers.MaxPooling2D((layer[1], layer[1])))
        elif kind == "dropout":
            model.add(layers.Dropout(layer[1]))
        elif kind == "flatten":
            model.add(layers.Flatten())
        else:
            raise bench.Unsupported("layer %s" % kind)
    model.add(layers.Activation("softmax"))
    return model


def build_optimizer(keras, asked):
    if asked.optimizer == "sgd":
        return keras.optimizers.SGD(lr=asked.learning_rate)
    return keras.optimizers.RMSprop(
        lr=asked.learning_rate, rho=training.RHO, epsilon=training.EPSILON
    )


def describe_optimizer(backend, name, optimizer):
    rate = float(backend.get_value(optimizer.lr))
    if name == "sgd":
        return training.optimizer_words(name, rate)
    rho = float(backend.get_value(optimizer.rho))
    return training.optimizer_words(name, rate, rho, optimizer.epsilon, "to the root")


if __name__ == "__main__":
    bench.main(train)
