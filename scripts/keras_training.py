"""What the scripts of Keras 1 and 2 share: the step, its checks, and the two backends.

Keras' own model, loss and optimizer. A step is `train_on_batch`, which takes NumPy arrays, so
that their conversion is always in its time, and returns the loss when the update is done. The
softmax is the last layer, as Keras' loss expects. Initial weights are Glorot uniform from
`data`, or with `initial_weights: library` Keras' own draw of the same; dropout draws from the
backend's generator. `labels: zeros` are rows of zeros, of no class at all, which is what the
comparison that did this trained on: loss and gradients are then 0. Over epochs the accuracy is
a metric that Keras computes in the step, since nothing else of Keras' tells it. Images that are
`fed_as` double precision the backend turns into single precision in every step.
"""

import ctypes
import operator
import os

import bench
import layouts
import training

# Everything that changes Theano's speed is said here, since its defaults depend on what it
# finds on the machine. Its cache of compiled code goes under HOME.
THEANO_FLAGS = "device=cpu,floatX=float32,openmp=True,blas.ldflags=-lopenblas,cxx=g++"

# Of the normalisation: 1e-5 in single precision is a little less than 1e-5, which Theano refuses.
EPSILON = 1.001e-5

ABLE = {
    "adam_epsilon": True,
    "conversion_in_timer": True,
    "drop_remainder": True,
    "dropout": ("network", "none", "keep-prob", "after-dense"),
    "epochs": True,
    "fed_as": ("float32", "float64"),
    "images": True,
    "initial_weights": ("seeded", "library"),
    "input": ("random", "zeros"),
    "labels": ("random", "zeros"),
    "metrics": ("none", "accuracy"),
    "mode": ("native", "graph"),
    "optimizer": ("rmsprop", "sgd", "adam"),
    "pool_padding": ("valid", "same"),
    "rmsprop_rho": True,
    "validation": ("none", "first-400-of-training", "training-images"),
    "validation_in_timer": True,
}


class Theano(object):
    """Its convolutions flip their kernels, and its native order is channels first."""

    libraries = ("keras", "theano", "numpy", "scipy")
    native = "channels_first"
    flips = True

    def __init__(self, settings):
        self.settings = settings

    def prepare(self):
        """Set what must be set before it is imported."""
        cache = os.path.join(os.path.expanduser("~"), "theano")
        os.environ["THEANO_FLAGS"] = THEANO_FLAGS + ",base_compiledir=" + cache

    def start(self, backend, layout):
        """Set what must be set before anything is computed.

        Args:
            backend: the module keras.backend.
        """
        import theano

        if not theano.config.openmp:
            raise bench.Unsupported("Theano turned openmp off: the compiler has none")
        order_images(backend, layout)

    def count_threads(self):
        """Return how many threads Theano's own code uses, and where that was read."""
        gomp = ctypes.CDLL("libgomp.so.1").omp_get_max_threads()
        openblas = ctypes.CDLL("libopenblas.so.0").openblas_get_num_threads()
        return gomp, "omp_get_max_threads() of libgomp; OpenBLAS says %d" % openblas


class TensorFlow(object):
    """Its processor kernels take channels last; Keras turns images that come otherwise."""

    libraries = ("keras", "tensorflow", "numpy")
    native = "channels_last"
    flips = False

    def __init__(self, settings):
        self.settings = settings

    def prepare(self):
        """Nothing need be set before it is imported."""

    def start(self, backend, layout):
        """Have Keras use a session with the threads that are asked for."""
        import tensorflow

        threads = self.settings.threads
        config = tensorflow.ConfigProto(
            intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads
        )
        backend.set_session(tensorflow.Session(config=config))
        tensorflow.set_random_seed(self.settings.seed)
        order_images(backend, layout)

    def count_threads(self):
        source = (
            "TensorFlow 1 does not say; the session asks for %d (intra_op and"
            " inter_op_parallelism_threads)" % self.settings.threads
        )
        return None, source


BACKENDS = {"theano": Theano, "tensorflow": TensorFlow}


def train(job, build, able=None, originals=None):
    """Train the network that is asked for.

    Args:
        build: (keras, data, asked, channels_first, flips, seed) -> the model.
        able, originals: as `training.ask` has them, beyond ABLE.
    """
    asked = training.ask(
        job,
        compilers=("default",),
        layouts=("native", "channels_first", "channels_last"),
        protocols=("fair", "as-published"),
        originals=originals,
        able=dict(ABLE, **(able or {})),
    )
    settings = job.settings
    named = os.environ.get("KERAS_BACKEND")
    if named not in BACKENDS:
        known = ", ".join(sorted(BACKENDS))
        raise bench.Unsupported("KERAS_BACKEND: %s; known: %s" % (named, known))
    backend = BACKENDS[named](settings)
    layout = backend.native if asked.layout == "native" else asked.layout
    backend.prepare()
    with job.phase("import"):
        import keras
        import data

        backend.start(keras.backend, layout)
    threads, source = backend.count_threads()
    job.hello(
        framework="keras",
        framework_version=keras.__version__,
        libraries=bench.versions(*backend.libraries),
        threads=threads,
        threads_source=source,
        data=data.describe(settings, asked.network, asked),
    )
    channels_first = layout == "channels_first"
    with job.phase("data"):
        loaded = data.load(settings, asked.network, asked.batch, asked)
        validation = data.load_validation(loaded, asked)
        batches, validation = (
            [turn_batch(keras, asked, batch, channels_first) for batch in some]
            for some in (loaded, validation)
        )
    with job.phase("build"):
        data.numpy.random.seed(settings.seed)  # on Theano, Keras seeds its dropout from it
        model = build(keras, data, asked, channels_first, backend.flips, settings.seed)
        optimizer = build_optimizer(keras, asked)
        watched = asked.metrics == "accuracy" or asked.epochs
        metrics = ["accuracy"] if watched else []
        model.compile(loss="categorical_crossentropy", optimizer=optimizer, metrics=metrics)
    work(job, asked, model, batches, validation)
    count = keras.backend.count_params
    job.check("parameters", int(sum(count(weight) for weight in model.trainable_weights)))
    job.check("output_shape", list(model.predict_on_batch(batches[0][0]).shape))
    job.check("optimizer", describe_optimizer(keras.backend, asked.optimizer, optimizer))


def order_images(backend, layout):
    if hasattr(backend, "set_image_data_format"):  # since Keras 2
        backend.set_image_data_format(layout)
    else:
        backend.set_image_dim_ordering({"channels_first": "th", "channels_last": "tf"}[layout])


def turn_batch(keras, asked, batch, channels_first):
    """Return a batch as Keras takes it: labels are rows of one 1, or of none."""
    images, labels = batch
    rows = keras.utils.np_utils.to_categorical(labels, asked.network.classes).astype("float32")
    if asked.labels == "zeros":
        rows[:] = 0
    return layouts.turn_images(images, channels_first).astype(asked.fed_as), rows


def work(job, asked, model, batches, validation):
    """Do the steps, or the epochs."""
    if not asked.epochs:
        first = operator.itemgetter(0) if asked.metrics == "accuracy" else float
        job.steps(model.train_on_batch, batches, items=asked.batch, read_loss=first)
        return

    def step(images, labels):
        return model.train_on_batch(images, labels), len(images)

    def read(told):
        (loss, accuracy), size = told
        return loss, int(round(accuracy * size))

    def validate():
        for images, labels in validation:
            model.test_on_batch(images, labels)
        return sum(len(images) for images, _ in validation)

    job.epochs(
        step,
        batches,
        asked.epochs,
        sizes=[len(images) for images, _ in batches],
        read=read,
        validate=validate if validation else None,
    )


def build_optimizer(keras, asked):
    rate = asked.learning_rate
    if asked.optimizer == "sgd":
        return keras.optimizers.SGD(lr=rate)
    if asked.optimizer == "adam":
        first, second = training.BETAS
        return keras.optimizers.Adam(
            lr=rate, beta_1=first, beta_2=second, epsilon=asked.adam_epsilon
        )
    return keras.optimizers.RMSprop(lr=rate, rho=asked.rmsprop_rho, epsilon=training.EPSILON)


def describe_optimizer(backend, name, optimizer):
    rate = float(backend.get_value(optimizer.lr))
    if name == "sgd":
        return training.optimizer_words(name, rate)
    if name == "adam":
        betas = [float(backend.get_value(b)) for b in (optimizer.beta_1, optimizer.beta_2)]
        where = "to the root before its correction"
        return training.optimizer_words(
            name, rate, epsilon=optimizer.epsilon, where=where, betas=betas
        )
    rho = float(backend.get_value(optimizer.rho))
    return training.optimizer_words(name, rate, rho, optimizer.epsilon, "to the root")
