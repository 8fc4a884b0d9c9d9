"""Train a network with Apache MXNet 1: Gluon layers, hybridised, its Trainer.

Channels first. MXNet computes behind the call, so that a step waits for all that is under way.
Initial weights are Glorot uniform from `data`, the same in every framework; dropout draws from
MXNet's own generator. The Trainer divides the slopes by the batch, so the loss is a mean.
"""

import bench
import networks
import training


def train(job):
    asked = training.ask(job, compilers=("default",))
    with job.phase("import"):
        import mxnet
        import data
    threads, source = training.openmp_threads(("libgomp",))
    job.hello(
        framework="mxnet",
        framework_version=mxnet.__version__,
        libraries=bench.versions("mxnet", "numpy"),
        threads=threads,
        threads_source=source,
        data=data.describe(job.settings, asked.network),
    )
    with job.phase("data"):
        mxnet.random.seed(job.settings.seed)
        batches = [
            (mxnet.nd.array(images.transpose(0, 3, 1, 2)), mxnet.nd.array(labels))
            for images, labels in data.load(job.settings, asked.network, asked.batch)
        ]
        mxnet.nd.waitall()
    with job.phase("build"):
        network = build(mxnet.gluon.nn, data, asked.network, job.settings.seed)
        network.hybridize(static_alloc=True)
        loss_of = mxnet.gluon.loss.SoftmaxCrossEntropyLoss()
        trainer = build_trainer(mxnet.gluon, asked, network)
    shapes = []

    def step(images, labels):
        with mxnet.autograd.record():
            logits = network(images)
            loss = loss_of(logits, labels)
        loss.backward()
        trainer.step(asked.batch)
        mxnet.nd.waitall()
        shapes[:] = [logits.shape]
        return loss

    job.steps(
        step,
        batches,
        items=asked.batch,
        read_loss=lambda loss: loss.mean().asscalar(),
        synchronised="synchronise",
    )
    trained = [p for p in network.collect_params().values() if p.grad_req != "null"]
    job.check("parameters", sum(int(data.numpy.prod(p.shape)) for p in trained))
    job.check("output_shape", list(shapes[0]))
    job.check("optimizer", describe_optimizer(asked.optimizer, trainer.optimizer))


def build(nn, data, network, seed):
    """Return the network with its initial weights."""
    steps = networks.walk(network)
    kernels = data.initial_weights(networks.kernel_shapes(network), seed)
    rest = iter(data.channels_first(steps, kernels))
    model = nn.HybridSequential()
    for layer, before, _ in steps:
        kind = layer[0]
        if kind == "convolution":
            padding = layer[2] // 2 if layer[3] == "same" else 0
            made = nn.Conv2D(layer[1], layer[2], padding=padding, in_channels=before[-1])
        elif kind == "dense":
            made = nn.Dense(layer[1], in_units=before[0], flatten=False)
        elif kind == "relu":
            made = nn.Activation("relu")
        elif kind == "max-pooling":
            made = nn.MaxPool2D(layer[1])
        elif kind == "dropout":
            made = nn.Dropout(layer[1])
        elif kind == "flatten":
            made = nn.Flatten()
        else:
            raise bench.Unsupported("layer %s" % kind)
        made.initialize()
        if kind in ("convolution", "dense"):
            made.weight.set_data(next(rest))
            made.bias.set_data(data.numpy.zeros(made.bias.shape, "float32"))
        model.add(made)
    return model


def build_trainer(gluon, asked, network):
    settings = {"learning_rate": asked.learning_rate}
    if asked.optimizer == "rmsprop":
        settings.update(gamma1=training.RHO, epsilon=training.EPSILON, centered=False)
    return gluon.Trainer(network.collect_params(), asked.optimizer, settings)


def describe_optimizer(name, optimizer):
    rate = optimizer.learning_rate
    if name == "sgd":
        return training.optimizer_words(name, rate)
    return training.optimizer_words(
        name, rate, optimizer.gamma1, optimizer.epsilon, "under the root"
    )


if __name__ == "__main__":
    bench.main(train)
