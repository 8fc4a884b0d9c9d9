"""Train a network with TensorFlow 1: a plain graph, and a session that is fed NumPy arrays.

Channels last, the only order that its processor kernels have. A step is one `session.run`,
which returns when the update is done, with the loss and the logits. The compiler `xla` asks
for XLA's just-in-time compilation of the whole graph; whether clusters really were compiled
is counted in the trace of one more step, outside the measured ones. Initial weights are
Glorot uniform from `data`; dropout draws from TensorFlow's own generator. The RMSprop here
would begin with accumulators of 1; they are set to 0, as the other frameworks have it.
"""

import os
import re

import bench
import networks
import training

COMPILED_OPERATIONS = re.compile(r" = (_XlaRun|_?XlaLaunch)\(")


def train(job):
    asked = training.ask(job, compilers=("default", "xla"))
    if asked.compiler == "xla":
        # Without it, 1.13 does not compile for a processor, whatever the session asks for.
        os.environ["TF_XLA_FLAGS"] = "--tf_xla_cpu_global_jit"
    with job.phase("import"):
        import tensorflow
        import data
    threads = job.settings.threads
    job.hello(
        framework="tensorflow",
        framework_version=tensorflow.__version__,
        libraries=bench.versions("tensorflow", "numpy"),
        threads=None,
        threads_source="TensorFlow 1 does not say; the session asks for %d (intra_op and"
        " inter_op_parallelism_threads)" % threads,
        data=data.describe(job.settings, asked.network),
    )
    with job.phase("data"):
        batches = data.load(job.settings, asked.network, asked.batch)
    with job.phase("build"):
        tensorflow.set_random_seed(job.settings.seed)
        kernels = data.initial_weights(networks.kernel_shapes(asked.network), job.settings.seed)
        graph = build(tensorflow, asked.network, asked.batch, kernels)
        optimizer = build_optimizer(tensorflow, asked)
        update = optimizer.minimize(graph["loss"])
        session = tensorflow.Session(config=configure(tensorflow, threads, asked.compiler))
        initialise(tensorflow, session, optimizer, graph["initial_kernels"])

    fetches = (graph["loss"], graph["logits"], update)
    shapes = []

    def step(images, labels, **options):
        feed = {graph["images"]: images, graph["labels"]: labels}
        loss, logits, _ = session.run(fetches, feed, **options)
        shapes[:] = [logits.shape]
        return loss

    job.steps(step, batches, items=asked.batch)
    trained = [session.run(tensorflow.size(v)) for v in tensorflow.trainable_variables()]
    job.check("parameters", int(sum(trained)))
    job.check("output_shape", list(shapes[0]))
    job.check("optimizer", describe_optimizer(asked.optimizer, optimizer))
    if asked.compiler == "xla":
        job.check("compiled", count_compiled(tensorflow, step, batches[0]))


def build(tensorflow, network, batch, kernels):
    """Return the graph's ends, and the placeholders by which `kernels` come in, by name.

    A graph cannot hold more than 2 GiB, so the kernels are fed to their initialisers.
    """
    nn = tensorflow.nn
    images = tensorflow.placeholder("float32", (batch,) + network.input_shape)
    labels = tensorflow.placeholder("int32", (batch,))
    rest = iter(kernels)
    initial = {}
    tensor = images
    for layer, _, after in networks.walk(network):
        kind = layer[0]
        if kind in ("convolution", "dense"):
            values = next(rest)
            value = tensorflow.placeholder("float32", values.shape)
            initial[value] = values
            kernel = tensorflow.Variable(value)
            bias = tensorflow.Variable(tensorflow.zeros(after[-1:]))
        if kind == "convolution":
            padding = layer[3].upper()
            tensor = nn.bias_add(nn.conv2d(tensor, kernel, (1, 1, 1, 1), padding), bias)
        elif kind == "dense":
            tensor = nn.bias_add(tensorflow.matmul(tensor, kernel), bias)
        elif kind == "relu":
            tensor = nn.relu(tensor)
        elif kind == "max-pooling":
            window = (1, layer[1], layer[1], 1)
            tensor = nn.max_pool(tensor, window, window, "VALID")
        elif kind == "dropout":
            tensor = nn.dropout(tensor, keep_prob=1 - layer[1])
        elif kind == "flatten":
            tensor = tensorflow.reshape(tensor, (batch, -1))
        else:
            raise bench.Unsupported("layer %s" % kind)
    losses = nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=tensor)
    loss = tensorflow.reduce_mean(losses)
    ends = {"images": images, "labels": labels, "logits": tensor, "loss": loss}
    return dict(ends, initial_kernels=initial)


def build_optimizer(tensorflow, asked):
    if asked.optimizer == "sgd":
        return tensorflow.train.GradientDescentOptimizer(asked.learning_rate)
    return tensorflow.train.RMSPropOptimizer(
        asked.learning_rate, decay=training.RHO, epsilon=training.EPSILON
    )


def configure(tensorflow, threads, compiler):
    """Return the session's configuration."""
    config = tensorflow.ConfigProto(
        intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads
    )
    if compiler == "xla":
        options = config.graph_options.optimizer_options
        options.global_jit_level = tensorflow.OptimizerOptions.ON_1
    return config


def initialise(tensorflow, session, optimizer, initial_kernels):
    session.run(tensorflow.global_variables_initializer(), initial_kernels)
    if "rms" in optimizer.get_slot_names():
        variables = tensorflow.trainable_variables()
        slots = [optimizer.get_slot(variable, "rms") for variable in variables]
        session.run([tensorflow.assign(slot, tensorflow.zeros_like(slot)) for slot in slots])


def describe_optimizer(name, optimizer):
    rate = optimizer._learning_rate
    if name == "sgd":
        return training.optimizer_words(name, rate)
    return training.optimizer_words(
        name, rate, optimizer._decay, optimizer._epsilon, "under the root"
    )


def count_compiled(tensorflow, step, batch):
    """Return how many clusters that XLA compiled ran in one more step."""
    metadata = tensorflow.RunMetadata()
    options = tensorflow.RunOptions(trace_level=tensorflow.RunOptions.FULL_TRACE)
    step(*batch, options=options, run_metadata=metadata)
    devices = metadata.step_stats.dev_stats
    labels = [node.timeline_label for device in devices for node in device.node_stats]
    if not labels:
        raise RuntimeError("the trace of the step is empty")
    return sum(1 for label in labels if COMPILED_OPERATIONS.search(label))


if __name__ == "__main__":
    bench.main(train)
