"""Train a network with TensorFlow 2: tf.keras' layers and optimizer, one `tf.function` a step.

Channels last. A call of the step returns when the update is done. The compiler `xla` is
`jit_compile=True`; how many executables of XLA's really ran is counted in the profiler's
trace of one more step, outside the measured ones. Initial weights are Glorot uniform from
`data`; dropout draws from Keras' own generator.
"""

import glob
import os
import shutil
import tempfile

import bench
import networks
import training

EXECUTION_EVENT = "CpuExecutable::ExecuteAsyncOnStream"  # of XLA, one for each executable


def train(job):
    asked = training.ask(job, compilers=("default", "xla"))
    with job.phase("import"):
        import tensorflow
        import data

        keras = tensorflow.keras
        threading = tensorflow.config.threading
        threading.set_intra_op_parallelism_threads(job.settings.threads)
        threading.set_inter_op_parallelism_threads(job.settings.threads)
    libraries = dict(bench.versions("tensorflow", "numpy"), keras=keras.__version__)
    job.hello(
        framework="tensorflow",
        framework_version=tensorflow.__version__,
        libraries=libraries,
        threads=threading.get_intra_op_parallelism_threads(),
        threads_source="tensorflow.config.threading.get_intra_op_parallelism_threads()",
        data=data.describe(job.settings, asked.network),
    )
    with job.phase("data"):
        batches = [
            (tensorflow.constant(images), tensorflow.constant(labels))
            for images, labels in data.load(job.settings, asked.network, asked.batch)
        ]
    with job.phase("build"):
        keras.utils.set_random_seed(job.settings.seed)
        model = build(keras, data, asked.network, job.settings.seed)
        optimizer = build_optimizer(keras, asked)
        optimizer.build(model.trainable_variables)
        update = build_update(tensorflow, model, optimizer, asked.compiler == "xla")
    shapes = []

    def step(images, labels):
        loss, logits = update(images, labels)
        shapes[:] = [logits.shape]
        return loss

    job.steps(step, batches, items=asked.batch)
    job.check("parameters", sum(int(v.numpy().size) for v in model.trainable_variables))
    job.check("output_shape", list(shapes[0]))
    job.check("optimizer", describe_optimizer(asked.optimizer, optimizer))
    if asked.compiler == "xla":
        job.check("compiled", count_compiled(tensorflow, step, batches[0]))


def build(keras, data, network, seed):
    """Return the network with its initial weights."""
    layers = keras.layers
    kernels = iter(data.initial_weights(networks.kernel_shapes(network), seed))
    model = keras.Sequential([keras.Input(network.input_shape)])
    for layer, _, after in networks.walk(network):
        kind = layer[0]
        if kind == "convolution":
            model.add(layers.Conv2D(layer[1], layer[2], padding=layer[3]))
        elif kind == "dense":
            model.add(layers.Dense(layer[1]))
        elif kind == "relu":
            model.add(layers.ReLU())
        elif kind == "max-pooling":
            model.add(layers.MaxPooling2D(layer[1]))
        elif kind == "dropout":
            model.add(layers.Dropout(layer[1]))
        elif kind == "flatten":
            model.add(layers.Flatten())
        else:
            raise bench.Unsupported("layer %s" % kind)
        if kind in ("convolution", "dense"):
            model.layers[-1].set_weights([next(kernels), data.numpy.zeros(after[-1], "float32")])
    return model


def build_optimizer(keras, asked):
    if asked.optimizer == "sgd":
        return keras.optimizers.SGD(asked.learning_rate)
    return keras.optimizers.RMSprop(asked.learning_rate, rho=training.RHO, epsilon=training.EPSILON)


def build_update(tensorflow, model, optimizer, jit_compile):
    """Return the step: (images, labels) -> (loss, logits). The softmax is in the loss."""
    loss_of = tensorflow.keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tensorflow.function(jit_compile=jit_compile)
    def update(images, labels):
        with tensorflow.GradientTape() as tape:
            logits = model(images, training=True)
            loss = loss_of(labels, logits)
        slopes = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(slopes, model.trainable_variables))
        return loss, logits

    return update


def describe_optimizer(name, optimizer):
    rate = float(optimizer.learning_rate)
    if name == "sgd":
        return training.optimizer_words(name, rate)
    return training.optimizer_words(name, rate, optimizer.rho, optimizer.epsilon, "under the root")


def count_compiled(tensorflow, step, batch):
    """Return how many executables of XLA's ran in one more step."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    folder = tempfile.mkdtemp()
    try:
        with tensorflow.profiler.experimental.Profile(folder):
            step(*batch)
        (path,) = glob.glob(os.path.join(folder, "plugins", "profile", "*", "*.xplane.pb"))
        with open(path, "rb") as trace:
            space = xplane_pb2.XSpace.FromString(trace.read())
    finally:
        shutil.rmtree(folder)
    return sum(
        plane.event_metadata[event.metadata_id].name == EXECUTION_EVENT
        for plane in space.planes
        for line in plane.lines
        for event in line.events
    )


if __name__ == "__main__":
    bench.main(train)
