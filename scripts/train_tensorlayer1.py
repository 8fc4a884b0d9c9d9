"""Train a network with TensorLayer 1 on TensorFlow 1, and one session that is fed NumPy arrays.

TensorLayer's own layers and loss, TensorFlow's optimizer: a step is one `session.run`, which
returns when the update is done, with the loss and the logits. Dropout's shares are fed, as its
`all_drop` has them, and are 1 where the network is only evaluated. Channels last. Initial
weights are Glorot uniform from `data`.

What the published comparison did: `initial_weights: library` are those of TensorLayer's own
CIFAR-10 example; `second_forward` evaluates the batch again after its update, inside the step,
and that loss and accuracy are told.
"""

import bench
import networks
import sessions


def train(job):
    asked = sessions.ask(job, sessions.ABLE_IN_EPOCHS, {"second_forward": True})
    with job.phase("import"):
        import tensorflow
        import tensorlayer
        import data
    sessions.greet(job, data, asked, "tensorlayer", tensorlayer.__version__)
    with job.phase("data"):
        batches = data.load(job.settings, asked.network, asked.batch, asked)
    with job.phase("build"):
        tensorflow.set_random_seed(job.settings.seed)
        batch = sessions.batch_dimension(asked)
        images = tensorflow.placeholder("float32", (batch,) + asked.network.input_shape)
        labels = tensorflow.placeholder("int32", (batch,))
        network = build(tensorflow, tensorlayer, asked, images)
        logits = network.outputs
        loss = tensorlayer.cost.cross_entropy(logits, labels, name="loss")
        told = (loss, logits)
        if asked.metrics == "accuracy":
            told += (sessions.accuracy(tensorflow, logits, labels),)
        optimizer = sessions.build_optimizer(tensorflow, asked)
        update = optimizer.minimize(loss, var_list=network.all_params)
        session = tensorflow.Session(config=sessions.configure(tensorflow, job.settings.threads))
        initialise(tensorflow, data, session, optimizer, asked, job.settings.seed)

    kept = network.all_drop
    all_kept = tensorlayer.utils.dict_to_one(kept)

    def evaluate(batch_images, batch_labels):
        feed = dict(all_kept)
        feed.update({images: batch_images, labels: batch_labels})
        found = session.run(told, feed)
        return sessions.Outcome(found[0], found[1], batch_labels)

    def step(batch_images, batch_labels):
        feed = dict(kept)
        feed.update({images: batch_images, labels: batch_labels})
        if asked.second_forward:
            session.run(update, feed)
            return evaluate(batch_images, batch_labels)
        found = session.run(told + (update,), feed)
        return sessions.Outcome(found[0], found[1], batch_labels)

    shape = sessions.measure(job, asked, data, batches, step, evaluate)
    job.check("parameters", network.count_params())
    job.check("output_shape", list(shape))
    job.check("optimizer", sessions.describe_optimizer(asked, optimizer))


def build(tensorflow, tensorlayer, asked, images):
    """Return TensorLayer's last layer, which knows of all before it."""
    layers = tensorlayer.layers
    network = layers.InputLayer(images, name="images")
    weights = iter(library_weights(tensorflow, asked))
    for place, (layer, before, after) in enumerate(networks.walk(asked.network)):
        kind = layer[0]
        name = "%s-%d" % (kind, place)
        if kind == "convolution":
            shape = [layer[2], layer[2], before[-1], after[-1]]
            network = layers.Conv2dLayer(
                network, shape=shape, padding=layer[3].upper(), name=name, **next(weights)
            )
        elif kind == "dense":
            network = layers.DenseLayer(network, n_units=layer[1], name=name, **next(weights))
        elif kind == "relu":
            network = layers.LambdaLayer(network, tensorflow.nn.relu, name=name)
        elif kind == "max-pooling":
            window = [1, layer[1], layer[1], 1]
            padding = sessions.pooling_padding(layer)
            network = layers.PoolLayer(network, window, window, padding, name=name)
        elif kind == "dropout":
            network = layers.DropoutLayer(network, keep=1 - layer[1], name=name)
        elif kind == "flatten":
            network = layers.FlattenLayer(network, name=name)
        else:
            raise bench.Unsupported("layer %s" % kind)
    return network


def library_weights(tensorflow, asked):
    """Return each kernel's initialisers: those of the CIFAR-10 example, or the layers' own.

    The example (tutorial_cifar10.py of TensorLayer 1.6) draws convolutions with a deviation of
    0.05, hidden dense layers with 0.04 and a bias of 0.1, the last with 1/192.
    """
    shapes = networks.kernel_shapes(asked.network)
    if asked.initial_weights == "seeded" or asked.workload != "cifar10-cnn":
        return [{} for _ in shapes]
    normal = tensorflow.truncated_normal_initializer
    constant = tensorflow.constant_initializer
    hidden = {"W_init": normal(stddev=0.04), "b_init": constant(0.1)}
    found = [
        {"W_init": normal(stddev=0.05), "b_init": constant(0.0)} if len(shape) == 4 else hidden
        for shape in shapes
    ]
    found[-1] = {"W_init": normal(stddev=1 / 192.0), "b_init": constant(0.0)}
    return found


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
