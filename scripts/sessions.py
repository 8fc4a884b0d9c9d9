"""What libraries on TensorFlow 1 share: a session that is fed NumPy arrays, told and timed alike.

Each library builds the graph its own way; its script says how. Here are what TensorFlow itself
brings (optimizers, the session's settings, paddings that are not its own) and the two forms of
work: steps, and epochs over the same images.
"""

import collections

import bench
import training

# What a step or an evaluation gives: a number, (batch, classes), and the batch's labels
Outcome = collections.namedtuple("Outcome", "loss logits labels")


# What a script on TensorFlow 1 does whichever its library, and what it adds for epochs.
ABLE = {
    "optimizer": ("rmsprop", "sgd", "adam"),
    "mode": ("native", "graph"),
    "adam_epsilon": True,
    "dropout": ("network", "none", "keep-prob", "after-dense", "half"),
    "initial_weights": ("seeded", "library"),
    "input": ("random", "zeros"),
    "labels": ("random", "zeros"),
    "metrics": ("none", "accuracy"),
    "pool_padding": ("valid", "same"),
    "rmsprop_rho": True,
}
ABLE_IN_EPOCHS = {
    "drop_remainder": True,
    "epochs": True,
    "images": True,
    "validation": ("none", "first-400-of-training", "training-images"),
    "validation_in_timer": True,
}


def ask(job, *more):
    """Return the Training of a job of a library on TensorFlow 1.

    Args:
        more: dicts as `able` of `training.ask`, beside ABLE.
    """
    able = dict(ABLE)
    for own in more:
        able.update(own)
    return training.ask(
        job,
        compilers=("default",),
        layouts=("native", "channels_last"),
        protocols=("fair", "as-published"),
        able=able,
    )


def greet(job, data, asked, framework, version):
    """Say hello for a library on TensorFlow, which is imported."""
    job.hello(
        framework=framework,
        framework_version=version,
        libraries=bench.versions("tensorflow", "numpy"),
        threads=None,
        threads_source="TensorFlow 1 does not say; the session asks for %d (intra_op and"
        " inter_op_parallelism_threads)" % job.settings.threads,
        data=data.describe(job.settings, asked.network, asked),
    )


def configure(tensorflow, threads):
    """Return the session's settings."""
    return tensorflow.ConfigProto(
        intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads
    )


def batch_dimension(asked):
    """Return the batch's length in the graph: None where the last batch of an epoch is shorter."""
    return None if asked.epochs and not asked.drop_remainder else asked.batch


def padded(tensorflow, tensor, layer):
    """Return a strided layer's input and the padding's word, "SAME" or "VALID".

    TensorFlow's SAME puts more at the lower right than at the upper left where the stride is
    not 1, so the pixels are put there beforehand. They are 0, as a pooling behind a ReLU may
    have them.
    """
    if layer[0] == "strided-convolution":
        _, _, size, stride, padding, _ = layer
    else:
        _, size, stride, padding = layer
    if padding == 0:
        return tensor, "VALID"
    if layer[0] == "strided-convolution" and stride == 1 and 2 * padding == size - 1:
        return tensor, "SAME"
    around = [padding, padding]
    return tensorflow.pad(tensor, [[0, 0], around, around, [0, 0]]), "VALID"


def pooling_padding(layer):
    """Return the padding's word of a layer ("max-pooling", size) or with "same" behind."""
    return "SAME" if layer[2:] == ("same",) else "VALID"


def build_optimizer(tensorflow, asked):
    train = tensorflow.train
    if asked.optimizer == "sgd":
        return train.GradientDescentOptimizer(asked.learning_rate)
    if asked.optimizer == "adam":
        beta1, beta2 = training.BETAS
        return train.AdamOptimizer(asked.learning_rate, beta1, beta2, asked.adam_epsilon)
    return train.RMSPropOptimizer(
        asked.learning_rate, decay=asked.rmsprop_rho, epsilon=training.EPSILON
    )


def describe_optimizer(asked, optimizer):
    """Return the check `optimizer`, from what TensorFlow's own object holds."""
    if asked.optimizer == "sgd":
        return training.optimizer_words("sgd", optimizer._learning_rate)
    if asked.optimizer == "adam":
        return training.optimizer_words(
            "adam",
            optimizer._lr,
            epsilon=optimizer._epsilon,
            where="to the root before its correction",
            betas=(optimizer._beta1, optimizer._beta2),
        )
    return training.optimizer_words(
        "rmsprop", optimizer._learning_rate, optimizer._decay, optimizer._epsilon, "under the root"
    )


def clear_accumulators(tensorflow, optimizer):
    """Return the operations that set RMSProp's accumulators to 0; here they begin with 1."""
    if "rms" not in optimizer.get_slot_names():
        return []
    slots = [optimizer.get_slot(v, "rms") for v in tensorflow.trainable_variables()]
    return [tensorflow.assign(slot, tensorflow.zeros_like(slot)) for slot in slots]


def kernels_of(tensorflow, kernels):
    """Return [(variable, array)] for the trainable variables that are kernels, in order.

    Raises:
        RuntimeError: the graph has others than `kernels`, which `data.initial_weights` gave.
    """
    variables = [v for v in tensorflow.trainable_variables() if len(v.get_shape()) > 1]
    shapes = [tuple(v.get_shape().as_list()) for v in variables]
    if shapes != [kernel.shape for kernel in kernels]:
        raise RuntimeError("the graph's kernels are %s" % shapes)
    return list(zip(variables, kernels))


def initialise(tensorflow, session, pairs):
    """Initialise all variables, those of [(variable, array)] to their arrays.

    An array takes the place of what the initialiser would have drawn, which is then not drawn.
    """
    values = {variable.initializer.inputs[1]: array for variable, array in pairs}
    session.run(tensorflow.global_variables_initializer(), values)


def accuracy(tensorflow, logits, labels):
    """Return the share of a batch that is right, computed in the graph."""
    right = tensorflow.equal(tensorflow.cast(tensorflow.argmax(logits, 1), "int32"), labels)
    return tensorflow.reduce_mean(tensorflow.cast(right, "float32"))


def count_right(outcome):
    """Return how many of a batch are right; its labels are classes, or one row of 0 and 1 each."""
    labels = outcome.labels
    classes = labels.argmax(1) if labels.ndim == 2 else labels
    return int((outcome.logits.argmax(1) == classes).sum())


def measure(job, asked, data, batches, step, evaluate=None):
    """Do the work that was asked for, steps or epochs, and return the shape of the logits.

    Args:
        batches: as `data.load` gives them.
        step: called with a batch's images and labels; returns an Outcome.
        evaluate: the same, without dropout and without an update; for validation.
    """
    shapes = []

    def remembered(images, labels):
        outcome = step(images, labels)
        if not shapes:
            shapes.append(outcome.logits.shape)
        return outcome

    if not asked.epochs:
        job.steps(remembered, batches, items=asked.batch, read_loss=lambda one: one.loss)
        return shapes[0]
    kept = data.load_validation(batches, asked)

    def validate():
        for images, labels in kept:
            evaluate(images, labels)
        return sum(len(labels) for _, labels in kept)

    job.epochs(
        remembered,
        batches,
        asked.epochs,
        sizes=[len(labels) for _, labels in batches],
        read=lambda outcome: (outcome.loss, count_right(outcome)),
        validate=validate if kept else None,
    )
    return shapes[0]


def count_parameters(tensorflow):
    """Return how many numbers are trained, as the graph has them."""
    shapes = [v.get_shape().as_list() for v in tensorflow.trainable_variables()]
    total = 0
    for shape in shapes:
        size = 1
        for length in shape:
            size *= length
        total += size
    return total
