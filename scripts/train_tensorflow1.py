"""Train a network with TensorFlow 1; tensorflow1_trainers.py has its ways of doing that.

The mode `native` is a plain graph in a session, `graph` TensorFlow's own Keras in one, `eager`
the same layers under a gradient tape; the last two came with later releases of 1. The compiler
`xla` asks for XLA's just-in-time compilation of the whole graph; whether clusters really were
compiled is counted in the trace of one more step, outside the measured ones.

Channels last is the order that its processor kernels have. Channels first is tried on a small
network of the same layers in a process of its own, since release 1.0 may end the whole process
there; what that says is the reason why there is no number.
"""

import operator
import os
import re
import subprocess
import sys

import bench
import layouts
import networks
import sessions
import tensorflow1_trainers
import training

COMPILED_OPERATIONS = re.compile(r" = (_XlaRun|_?XlaLaunch)\(")
TRIAL = "RUNNER_TRIAL"  # set in the process that tries a small network
FATAL = re.compile(r"\bF tensorflow/\S+\] (.*)")  # how it says why it ends its process
NEEDS = {"graph": "keras", "eager": "enable_eager_execution"}

ABLE = {
    "adam_epsilon": True,
    "batch_norm": ("none", "unfused", "fused"),
    "conversion_in_timer": True,
    "drop_remainder": True,
    "dropout": ("network", "none", "keep-prob", "after-dense"),
    "epochs": True,
    "images": True,
    "initial_weights": ("seeded", "library"),
    "input": ("random", "zeros", "drawn"),
    "labels": ("random", "zeros"),
    "mode": ("native", "graph", "eager"),
    "optimizer": ("rmsprop", "sgd", "adam"),
    "pool_padding": ("valid", "same"),
    "rmsprop_rho": True,
    "second_forward": True,
    "softmax": ("once", "twice"),
    "validation": ("none", "first-400-of-training", "training-images"),
    "validation_in_timer": True,
}


def ask(job):
    return training.ask(
        job,
        compilers=("default", "xla"),
        layouts=("native", "channels_first", "channels_last"),
        protocols=("fair", "as-published"),
        originals={"vgg16": networks.VGG16},
        able=ABLE,
    )


def train(job):
    asked = ask(job)
    settings = job.settings
    with job.phase("import"):
        tensorflow, data = load(asked)
    start(tensorflow, asked, settings)
    job.hello(
        framework="tensorflow",
        framework_version=tensorflow.__version__,
        libraries=bench.versions("tensorflow", "numpy"),
        threads=None,
        threads_source="TensorFlow 1 does not say; the session asks for %d (intra_op and"
        " inter_op_parallelism_threads)" % settings.threads,
        data=data.describe(settings, asked.network, asked),
    )
    refuse_what_is_missing(tensorflow, asked)
    channels_first = asked.layout == "channels_first"
    if channels_first:
        try_apart()
    with job.phase("data"):
        loaded = data.load(settings, asked.network, asked.batch, asked)
        batches, validation = (
            [(layouts.turn_images(images, channels_first), labels) for images, labels in some]
            for some in (loaded, data.load_validation(loaded, asked))
        )
    with job.phase("build"):
        make = tensorflow1_trainers.TRAINERS[asked.mode]
        trainer = make(tensorflow, data, asked, settings, channels_first)
    shape = work(job, asked, trainer, batches, validation)
    job.check("parameters", trainer.count)
    job.check("output_shape", shape)
    job.check("optimizer", sessions.describe_optimizer(asked, trainer.optimizer))
    if asked.compiler == "xla":
        job.check("compiled", count_compiled(tensorflow, trainer.step, batches[0]))


def load(asked):
    """Import the framework, and return it with the module `data`."""
    if asked.compiler == "xla":
        # Without it, 1.13 does not compile for a processor, whatever the session asks for.
        os.environ["TF_XLA_FLAGS"] = "--tf_xla_cpu_global_jit"
    import tensorflow
    import data

    return tensorflow, data


def start(tensorflow, asked, settings):
    """Set what must be set before anything is computed."""
    if asked.mode == "eager" and hasattr(tensorflow, NEEDS["eager"]):
        config = tensorflow1_trainers.configure(tensorflow, settings.threads, asked.compiler)
        tensorflow.enable_eager_execution(config=config)
    tensorflow.set_random_seed(settings.seed)


def refuse_what_is_missing(tensorflow, asked):
    needed = NEEDS.get(asked.mode)
    if needed is not None and not hasattr(tensorflow, needed):
        raise bench.Unsupported(
            "mode %s: TensorFlow %s has no tensorflow.%s"
            % (asked.mode, tensorflow.__version__, needed)
        )
    if asked.input == "drawn" and (asked.mode != "native" or asked.epochs):
        raise bench.Unsupported("input drawn: only in mode native, and not over epochs")
    if asked.mode != "native" and asked.batch_norm != "none":
        raise bench.Unsupported("batch_norm %(batch_norm)s in mode %(mode)s" % asked._asdict())
    if asked.mode == "eager" and asked.compiler == "xla":
        raise bench.Unsupported("xla: TensorFlow 1 compiles graphs, and mode eager makes none")


def work(job, asked, trainer, batches, validation):
    """Do the steps, or the epochs, and return the shape of what the network gave."""
    shapes = []

    def step(*batch):
        if asked.conversion_in_timer:
            batch = trainer.convert(*batch)
        loss, logits = trainer.step(*batch)
        if asked.second_forward:
            loss, logits = trainer.evaluate(*batch)
        shapes.append(logits.shape)
        return loss, logits, batch[1]

    prepare = None if asked.conversion_in_timer else trainer.convert
    if not asked.epochs:
        first = operator.itemgetter(0)
        job.steps(step, batches, items=asked.batch, read_loss=first, prepare=prepare)
        return [int(length) for length in shapes[0]]
    if prepare is not None:
        batches, validation = ([prepare(*b) for b in some] for some in (batches, validation))

    def validate():
        for batch in validation:
            trainer.evaluate(*batch)
        return sum(int(labels.shape[0]) for _, labels in validation)

    job.epochs(
        step,
        batches,
        asked.epochs,
        sizes=[int(labels.shape[0]) for _, labels in batches],
        read=read_epoch,
        validate=validate if validation else None,
    )
    return [int(length) for length in shapes[0]]


def try_apart():
    """Take a step of a small network in a process of its own.

    Raises:
        bench.Unsupported: it ended badly; the message is TensorFlow's own.
    """
    process = subprocess.Popen(
        [sys.executable, os.path.abspath(__file__)],
        env=dict(os.environ, **{TRIAL: "1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    said, log = process.communicate()
    sys.stderr.write(log)
    if process.returncode == 0:
        return
    fatal = FATAL.search(log)
    words = said.strip() or (fatal.group(1) if fatal else "exit status %d" % process.returncode)
    raise bench.Unsupported("channels_first: a small network was tried, and it said: %s" % words)


def make_trial():
    """Be the process that takes a step of a small network; print what TensorFlow says."""
    job = bench.Job(bench.read_settings(os.environ), None)
    asked = ask(job)
    normalisation = [layer for layer in asked.network.layers if layer[0] == "batch-normalisation"]
    layers = [("convolution", 4, 3, "same")] + normalisation[:1]
    layers += [("relu",), ("max-pooling", 2), ("flatten",), ("dense", 2)]
    small = networks.Network(input_shape=(8, 8, 3), classes=2, layers=tuple(layers))
    asked = asked._replace(network=small, images=0, epochs=0, batch=1)
    tensorflow, data = load(asked)
    make = tensorflow1_trainers.TRAINERS[asked.mode]
    try:
        start(tensorflow, asked, job.settings)
        trainer = make(tensorflow, data, asked, job.settings, True)
        for images, labels in data.load(job.settings, small, asked.batch, asked):
            batch = (layouts.turn_images(images, True), labels)
            trainer.step(*trainer.convert(*batch))
    except (tensorflow.errors.OpError, ValueError) as error:
        told = getattr(error, "message", None) or str(error)
        print("%s: %s" % (type(error).__name__, told.splitlines()[0]))
        sys.exit(1)


def read_epoch(told):
    """Return the loss of a step, and how many of its images it got right."""
    loss, logits, labels = told
    logits, labels = (getattr(one, "numpy", lambda one=one: one)() for one in (logits, labels))
    return float(loss), int((logits.argmax(axis=1) == labels).sum())


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
    if os.environ.get(TRIAL):
        make_trial()
    else:
        bench.main(train)
