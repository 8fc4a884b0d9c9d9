"""Train a network with PaddlePaddle, from 3.0: its layers, its optimizer, eager.

Channels first. A step ends when its loss is a number in NumPy, for which Paddle waits. Initial
weights are Glorot uniform from `data`, the same in every framework; dropout draws from Paddle's
own generator.
"""

import bench
import networks
import training


def train(job):
    asked = training.ask(job, compilers=("default",))
    with job.phase("import"):
        import paddle
        import data
    paddle.set_device("cpu")
    threads, source = training.openmp_threads(("libiomp5", "libgomp"))
    job.hello(
        framework="paddle",
        framework_version=paddle.__version__,
        libraries=bench.versions("paddle", "numpy"),
        threads=threads,
        threads_source=source,
        data=data.describe(job.settings, asked.network),
    )
    with job.phase("data"):
        paddle.seed(job.settings.seed)
        batches = [
            (paddle.to_tensor(images.transpose(0, 3, 1, 2)), paddle.to_tensor(labels))
            for images, labels in data.load(job.settings, asked.network, asked.batch)
        ]
    with job.phase("build"):
        model = build(paddle, data, asked.network, job.settings.seed)
        loss_of = paddle.nn.CrossEntropyLoss()
        optimizer = build_optimizer(paddle.optimizer, asked, model)
    shapes = []

    def step(images, labels):
        logits = model(images)
        loss = loss_of(logits, labels)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        shapes[:] = [logits.shape]
        return loss.numpy()

    job.steps(step, batches, items=asked.batch, read_loss=float, synchronised="synchronise")
    job.check("parameters", sum(int(p.size) for p in model.parameters() if not p.stop_gradient))
    job.check("output_shape", list(shapes[0]))
    job.check("optimizer", describe_optimizer(asked.optimizer, optimizer))


def build(paddle, data, network, seed):
    """Return the network with its initial weights."""
    nn = paddle.nn
    steps = networks.walk(network)
    kernels = data.initial_weights(networks.kernel_shapes(network), seed)
    rest = iter(data.channels_first(steps, kernels))
    layers = []
    for layer, before, _ in steps:
        kind = layer[0]
        if kind == "convolution":
            padding = layer[2] // 2 if layer[3] == "same" else 0
            made = nn.Conv2D(before[-1], layer[1], layer[2], padding=padding)
            fill(data, made, next(rest))
        elif kind == "dense":
            made = nn.Linear(before[0], layer[1])
            fill(data, made, next(rest).T)
        elif kind == "relu":
            made = nn.ReLU()
        elif kind == "max-pooling":
            made = nn.MaxPool2D(layer[1])
        elif kind == "dropout":
            made = nn.Dropout(layer[1])
        elif kind == "flatten":
            made = nn.Flatten()
        else:
            raise bench.Unsupported("layer %s" % kind)
        layers.append(made)
    return nn.Sequential(*layers)


def fill(data, layer, kernel):
    layer.weight.set_value(data.numpy.ascontiguousarray(kernel))
    layer.bias.set_value(data.numpy.zeros(layer.bias.shape, "float32"))


def build_optimizer(optimizers, asked, model):
    if asked.optimizer == "sgd":
        return optimizers.SGD(asked.learning_rate, parameters=model.parameters())
    return optimizers.RMSProp(
        asked.learning_rate,
        rho=training.RHO,
        epsilon=training.EPSILON,
        parameters=model.parameters(),
    )


def describe_optimizer(name, optimizer):
    rate = optimizer.get_lr()
    if name == "sgd":
        return training.optimizer_words(name, rate)
    return training.optimizer_words(
        name, rate, optimizer._rho, optimizer._epsilon, "under the root"
    )


if __name__ == "__main__":
    bench.main(train)
