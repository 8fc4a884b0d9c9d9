"""Train a network with TensorLayer 2 on TensorFlow 2: its own layers, model and loss.

Mode `eager`, which is what it does by itself, calls the layers one by one and differentiates
along a tape; mode `graph` has the same step traced once by `tf.function`. TensorFlow's
optimizer. Channels last. A call returns when the update is done. Initial weights are Glorot
uniform from `data`.

What the published comparison did: `preprocess` scales by 255 and subtracts ImageNet's mean
colour in the step; `conversion_in_timer` has each step turn its NumPy arrays into tensors;
`initial_weights: library` are the layers' own.
"""

import itertools

import bench
import networks
import training

ABLE = {
    "optimizer": ("rmsprop", "sgd", "adam"),
    "mode": ("native", "graph", "eager"),
    "adam_epsilon": True,
    "conversion_in_timer": True,
    "dropout": ("network", "none", "keep-prob", "after-dense"),
    "initial_weights": ("seeded", "library"),
    "input": ("random", "zeros"),
    "labels": ("random", "zeros"),
    "pool_padding": ("valid", "same"),
    "preprocess": True,
    "rmsprop_rho": True,
}
MEAN_COLOUR = (123.68, 116.779, 103.939)  # of ImageNet, red, green and blue


def train(job):
    asked = training.ask(
        job,
        compilers=("default",),
        layouts=("native", "channels_last"),
        protocols=("fair", "as-published"),
        able=ABLE,
    )
    with job.phase("import"):
        import tensorflow
        import tensorlayer
        import data

        threading = tensorflow.config.threading
        threading.set_intra_op_parallelism_threads(job.settings.threads)
        threading.set_inter_op_parallelism_threads(job.settings.threads)
    job.hello(
        framework="tensorlayer",
        framework_version=tensorlayer.__version__,
        libraries=bench.versions("tensorflow", "numpy"),
        threads=threading.get_intra_op_parallelism_threads(),
        threads_source="tensorflow.config.threading.get_intra_op_parallelism_threads()",
        data=data.describe(job.settings, asked.network, asked),
    )

    def as_tensors(images, labels):
        return tensorflow.constant(images), tensorflow.constant(labels)

    with job.phase("data"):
        batches = data.load(job.settings, asked.network, asked.batch, asked)
        if not asked.conversion_in_timer:
            batches = [as_tensors(*batch) for batch in batches]
    with job.phase("build"):
        tensorflow.random.set_seed(job.settings.seed)
        model = build(tensorflow, tensorlayer, data, asked, job.settings.seed)
        optimizer = build_optimizer(tensorflow, asked)
        update = build_update(tensorflow, tensorlayer, asked, model, optimizer)
        if asked.mode == "graph":
            update = tensorflow.function(update)
    shapes = []

    def step(images, labels):
        if asked.conversion_in_timer:
            images, labels = as_tensors(images, labels)
        loss, logits = update(images, labels)
        shapes[:] = [logits.shape]
        return loss

    job.steps(step, batches, items=asked.batch)
    job.check("parameters", sum(int(v.numpy().size) for v in model.weights))
    job.check("output_shape", list(shapes[0]))
    job.check("optimizer", describe_optimizer(asked, optimizer))


def build(tensorflow, tensorlayer, data, asked, seed):
    """Return the network with its initial weights, in training mode."""
    layers = tensorlayer.layers
    network = asked.network
    if asked.initial_weights == "seeded":
        kernels = data.initial_weights(networks.kernel_shapes(network), seed)
        own = iter([{"W_init": initialiser(kernel)} for kernel in kernels])
    else:
        own = itertools.repeat({})
    images = layers.Input((asked.batch,) + network.input_shape)
    tensor = images
    for layer, _, _ in networks.walk(network):
        kind = layer[0]
        if kind == "convolution":
            _, filters, size, padding = layer
            made = layers.Conv2d(filters, (size, size), padding=padding.upper(), **next(own))
        elif kind == "dense":
            made = layers.Dense(layer[1], **next(own))
        elif kind == "relu":
            made = layers.Lambda(tensorflow.nn.relu)
        elif kind == "max-pooling":
            window = (layer[1], layer[1])
            padding = "SAME" if layer[2:] == ("same",) else "VALID"
            made = layers.MaxPool2d(window, window, padding=padding)
        elif kind == "dropout":
            made = layers.Dropout(keep=1 - layer[1])
        elif kind == "flatten":
            made = layers.Flatten()
        else:
            raise bench.Unsupported("layer %s" % kind)
        tensor = made(tensor)
    model = tensorlayer.models.Model(inputs=images, outputs=tensor)
    model.train()
    return model


def initialiser(kernel):
    """Return what TensorLayer calls for a kernel of the shape that it has."""

    def draw(shape):
        if tuple(shape) != kernel.shape:
            raise RuntimeError("the model's kernel is %s, not %s" % (shape, kernel.shape))
        return kernel

    return draw


def build_optimizer(tensorflow, asked):
    optimizers = tensorflow.optimizers
    if asked.optimizer == "sgd":
        return optimizers.SGD(asked.learning_rate)
    if asked.optimizer == "adam":
        beta1, beta2 = training.BETAS
        return optimizers.Adam(asked.learning_rate, beta1, beta2, asked.adam_epsilon)
    return optimizers.RMSprop(asked.learning_rate, rho=asked.rmsprop_rho, epsilon=training.EPSILON)


def build_update(tensorflow, tensorlayer, asked, model, optimizer):
    """Return the step: (images, labels) -> (loss, logits). The softmax is in the loss."""
    weights = model.weights  # of 2.0.0: the trained ones

    def update(images, labels):
        if asked.preprocess:
            images = images * 255.0 - tensorflow.constant(MEAN_COLOUR)
        with tensorflow.GradientTape() as tape:
            logits = model(images)
            loss = tensorlayer.cost.cross_entropy(logits, labels)
        slopes = tape.gradient(loss, weights)
        optimizer.apply_gradients(zip(slopes, weights))
        return loss, logits

    return update


def describe_optimizer(asked, optimizer):
    """Return the check `optimizer`, from what TensorFlow's own object holds."""
    held = optimizer.get_config()
    rate, epsilon = held["learning_rate"], held.get("epsilon")
    if asked.optimizer == "sgd":
        return training.optimizer_words("sgd", rate)
    if asked.optimizer == "adam":
        where = "to the root before its correction"
        betas = (held["beta_1"], held["beta_2"])
        return training.optimizer_words("adam", rate, epsilon=epsilon, where=where, betas=betas)
    # 2.0.0 adds it behind the root; its fused kernel, which only momentum takes, under the root.
    return training.optimizer_words("rmsprop", rate, held["rho"], epsilon, "to the root")


if __name__ == "__main__":
    bench.main(train)
