"""Train a network with TFLearn on TensorFlow 1, and one session that is fed NumPy arrays.

TFLearn's own layers, loss and optimizer. A step is one `session.run`, which returns when the
update is done, with the loss and the logits. Channels last. Initial weights are Glorot uniform
from `data`. Under `fair` it is trained without TFLearn's Trainer, whose gradients are clipped
at a norm of 5, and without clipping are not held back until every layer has read the kernels
that they update: losses then differ from launch to launch.

What the published comparisons did: under `as-published` the Trainer makes the operation that is
timed, gradients are clipped, the loss is that of a softmax layer's output, and each step sets the
training mode and computes the summaries, as its `fit` does; they are written nowhere.
`conversion_in_timer` is what feeding a session does by itself, and so is turning images that are
`fed_as` double precision into single precision.
"""

import bench
import networks
import sessions
import training

ABLE = {"conversion_in_timer": True, "fed_as": ("float32", "float64")}


def train(job):
    asked = sessions.ask(job, sessions.ABLE_IN_EPOCHS, ABLE)
    as_published = job.settings.protocol == "as-published"
    with job.phase("import"):
        import pkg_resources
        import tensorflow
        import tflearn
        import data
    version = pkg_resources.get_distribution("tflearn").version  # the module has none
    sessions.greet(job, data, asked, "tflearn", version)
    with job.phase("data"):
        batches = load(data, job.settings, asked)
    with job.phase("build"):
        tensorflow.set_random_seed(job.settings.seed)
        batch = sessions.batch_dimension(asked)
        images = tensorflow.placeholder("float32", (batch,) + asked.network.input_shape)
        labels = tensorflow.placeholder("float32", (batch, asked.network.classes))
        logits = build(tensorflow, tflearn, asked.network, images)
        optimizer = build_optimizer(tflearn, asked)
        session = tensorflow.Session(config=sessions.configure(tensorflow, job.settings.threads))
        tflearn.config.init_training_mode()  # a variable, to be initialised with the others
        if as_published:
            logits = tflearn.activation(logits, "softmax")
            fetches = train_operation(
                tensorflow, tflearn, asked, logits, labels, optimizer, session
            )
        else:
            loss = tflearn.objectives.softmax_categorical_crossentropy(logits, labels)
            fetches = (loss, logits, optimizer.get_tensor().minimize(loss))
        initialise(tensorflow, data, session, optimizer.get_tensor(), asked, job.settings.seed)
        tflearn.is_training(True, session=session)

    def step(batch_images, batch_labels):
        if as_published:
            tflearn.is_training(True, session=session)
        found = session.run(fetches, {images: batch_images, labels: batch_labels})
        return sessions.Outcome(found[0], found[1], batch_labels)

    def evaluate(batch_images, batch_labels):
        tflearn.is_training(False, session=session)
        found = session.run(fetches[:2], {images: batch_images, labels: batch_labels})
        tflearn.is_training(True, session=session)
        return sessions.Outcome(found[0], found[1], batch_labels)

    shape = sessions.measure(job, asked, data, batches, step, evaluate)
    job.check("parameters", sessions.count_parameters(tensorflow))
    job.check("output_shape", list(shape))
    job.check("optimizer", sessions.describe_optimizer(asked, optimizer.get_tensor()))


def load(data, settings, asked):
    """Return the batches with labels as TFLearn takes them: float32 rows, 1 at the class."""
    rows = data.numpy.eye(asked.network.classes, dtype="float32")
    found = data.load(settings, asked.network, asked.batch, asked)
    return [(images.astype(asked.fed_as), rows[labels]) for images, labels in found]


def build(tensorflow, tflearn, network, tensor):
    """Return the logits; initial weights are TFLearn's own."""
    aside = []
    for layer, _, _ in networks.walk(network):
        kind = layer[0]
        if kind == "convolution":
            tensor = tflearn.conv_2d(tensor, layer[1], layer[2], padding=layer[3])
        elif kind == "strided-convolution":
            _, filters, size, stride, _, bias = layer
            tensor, padding = sessions.padded(tensorflow, tensor, layer)
            tensor = tflearn.conv_2d(tensor, filters, size, stride, padding.lower(), bias=bias)
        elif kind == "batch-normalisation":
            epsilon = layer[1] if len(layer) > 1 else 1e-5
            tensor = tflearn.batch_normalization(tensor, epsilon=epsilon, decay=0.9, stddev=0.0)
        elif kind == "dense":
            tensor = tflearn.fully_connected(tensor, layer[1])
        elif kind == "relu":
            tensor = tflearn.activation(tensor, "relu")
        elif kind == "max-pooling":
            padding = sessions.pooling_padding(layer).lower()
            tensor = tflearn.max_pool_2d(tensor, layer[1], padding=padding)
        elif kind == "strided-max-pooling":
            tensor, padding = sessions.padded(tensorflow, tensor, layer)
            tensor = tflearn.max_pool_2d(tensor, layer[1], layer[2], padding.lower())
        elif kind == "average-pooling":
            tensor = tflearn.global_avg_pool(tensor)
        elif kind == "dropout":
            tensor = tflearn.dropout(tensor, keep_prob=1 - layer[1])
        elif kind == "flatten":
            tensor = tflearn.flatten(tensor)
        elif kind == "fork":
            aside.append(tensor)
        elif kind == "swap":
            tensor, aside[-1] = aside[-1], tensor
        elif kind == "add":
            tensor = tensor + aside.pop()
        else:
            raise bench.Unsupported("layer %s" % kind)
    return tensor


def build_optimizer(tflearn, asked):
    if asked.optimizer == "sgd":
        return tflearn.optimizers.SGD(asked.learning_rate)
    if asked.optimizer == "adam":
        beta1, beta2 = training.BETAS
        return tflearn.optimizers.Adam(asked.learning_rate, beta1, beta2, asked.adam_epsilon)
    return tflearn.optimizers.RMSProp(
        asked.learning_rate, decay=asked.rmsprop_rho, epsilon=training.EPSILON
    )


def train_operation(tensorflow, tflearn, asked, result, labels, optimizer, session):
    """Return loss, result, and what a step of the Trainer runs: its operation and summaries."""
    metric = None if asked.metrics == "none" else asked.metrics
    objective = tflearn.objectives.categorical_crossentropy
    tflearn.regression(result, labels, optimizer, objective, metric, asked.learning_rate)
    (operation,) = tensorflow.get_collection(tensorflow.GraphKeys.TRAIN_OPS)
    tflearn.Trainer(operation, session=session)
    return operation.loss, result, operation.train, operation.summ_op


def initialise(tensorflow, data, session, optimizer, asked, seed):
    pairs = []
    if asked.initial_weights == "seeded":
        kernels = data.initial_weights(networks.kernel_shapes(asked.network), seed)
        pairs = sessions.kernels_of(tensorflow, kernels)
    clearing = sessions.clear_accumulators(tensorflow, optimizer)
    sessions.initialise(tensorflow, session, pairs)
    session.run(clearing)


if __name__ == "__main__":
    bench.main(train)
