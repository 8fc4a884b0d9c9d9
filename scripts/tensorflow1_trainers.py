"""The ways in which TensorFlow 1 trains: a plain graph, its own Keras in a graph, and eagerly.

Each gives a Trainer. In a graph a step is one `session.run`, which is fed NumPy arrays, so that
their conversion is always in its time. `softmax: twice` ends the network in a softmax and
hands that to a loss that applies another. `input: drawn` feeds labels alone; the images are an
operation of the graph. RMSprop would begin with accumulators of 1; they are set to 0, as the
other frameworks have it.
"""

import collections

import layouts
import networks
import sessions
import tensorflow1_graph
import train_keras2

# step and evaluate: (images, labels) -> (loss, logits). `evaluate` drops nothing. `convert`
# makes of a batch of arrays what a step takes. `count`: of trained numbers.
Trainer = collections.namedtuple("Trainer", "step evaluate convert count optimizer")


def make_graph_trainer(tensorflow, data, asked, settings, channels_first):
    """Return the Trainer of the mode `native`."""
    steps = networks.walk(asked.network)
    kernels = data.initial_weights(networks.kernel_shapes(asked.network), settings.seed)
    kernels = layouts.turn_kernels(data, steps, kernels, channels_first)
    layers = tensorflow1_graph.Layers(tensorflow, asked, channels_first, kernels)
    images, labels = make_placeholders(tensorflow, asked, channels_first)
    fed = images
    if asked.input == "drawn":
        fed, images = None, tensorflow.random_uniform(images.get_shape())
    logits = layers.apply(images, drops=True)
    variables = tensorflow.trainable_variables()
    optimizer = sessions.build_optimizer(tensorflow, asked)
    loss = make_loss(tensorflow, asked, labels, logits)
    update = tensorflow.group(optimizer.minimize(loss), *layers.updates)
    evaluated = ()
    if evaluates(asked):
        again = layers.apply(images, drops=False)
        evaluated = (make_loss(tensorflow, asked, labels, again), again)
    session = tensorflow.Session(config=configure(tensorflow, settings.threads, asked.compiler))
    session.run(tensorflow.global_variables_initializer(), layers.initial)
    session.run(zero_accumulators(tensorflow, optimizer, variables))
    ends = (fed, labels, loss, logits, update) + evaluated
    return run_in_session(session, ends, variables, optimizer)


def make_keras_trainer(tensorflow, data, asked, settings, channels_first):
    """Return the Trainer of the mode `graph`."""
    config = configure(tensorflow, settings.threads, asked.compiler)
    session = tensorflow.Session(config=config)
    tensorflow.keras.backend.set_session(session)
    model = make_keras_model(tensorflow, data, asked, settings, channels_first)
    tensorflow.keras.backend.get_session()  # initialises what has no weights yet
    images, labels = make_placeholders(tensorflow, asked, channels_first)
    logits = model(images, training=True)
    optimizer = sessions.build_optimizer(tensorflow, asked)
    loss = make_loss(tensorflow, asked, labels, logits)
    minimize = optimizer.minimize(loss, var_list=model.trainable_variables)
    update = tensorflow.group(minimize, *model.get_updates_for(images))
    evaluated = ()
    if evaluates(asked):
        again = model(images, training=False)
        evaluated = (make_loss(tensorflow, asked, labels, again), again)
    session.run(tensorflow.variables_initializer(optimizer.variables()))
    session.run(zero_accumulators(tensorflow, optimizer, model.trainable_variables))
    ends = (images, labels, loss, logits, update) + evaluated
    return run_in_session(session, ends, model.trainable_variables, optimizer)


def make_eager_trainer(tensorflow, data, asked, settings, channels_first):
    """Return the Trainer of the mode `eager`."""
    model = make_keras_model(tensorflow, data, asked, settings, channels_first)
    variables = model.trainable_variables
    optimizer = sessions.build_optimizer(tensorflow, asked)
    optimizer._create_slots(variables)  # else the first step makes them, of ones
    zero_accumulators(tensorflow, optimizer, variables)

    def step(images, labels):
        with tensorflow.GradientTape() as tape:
            logits = model(images, training=True)
            loss = make_loss(tensorflow, asked, labels, logits)
        slopes = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(slopes, variables))
        return loss, logits

    def evaluate(images, labels):
        logits = model(images, training=False)
        return make_loss(tensorflow, asked, labels, logits), logits

    def convert(images, labels):
        return tensorflow.constant(images), tensorflow.constant(labels)

    return Trainer(step, evaluate, convert, count(variables), optimizer)


TRAINERS = {
    "native": make_graph_trainer,
    "graph": make_keras_trainer,
    "eager": make_eager_trainer,
}


def make_keras_model(tensorflow, data, asked, settings, channels_first):
    keras = tensorflow.keras
    keras.backend.set_image_data_format("channels_first" if channels_first else "channels_last")
    return train_keras2.build(
        keras,
        data,
        asked,
        channels_first,
        flips=False,
        seed=settings.seed,
        ends_in_softmax=asked.softmax == "twice",
    )


def make_placeholders(tensorflow, asked, channels_first):
    """Return those of images and labels; a size that never changes is fixed, for compilers."""
    size = sessions.batch_dimension(asked)
    shape = layouts.shape_of(asked.network, channels_first)
    images = tensorflow.placeholder("float32", (size,) + shape)
    return images, tensorflow.placeholder("int32", (size,))


def make_loss(tensorflow, asked, labels, outputs):
    if asked.softmax == "twice" and asked.mode == "native":
        outputs = tensorflow.nn.softmax(outputs)
    losses = tensorflow.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=outputs)
    return tensorflow.reduce_mean(losses)


def evaluates(asked):
    return asked.second_forward or asked.validation != "none"


def run_in_session(session, ends, variables, optimizer):
    """Return the Trainer of a graph.

    Args:
        ends: placeholders of images (None: they are not fed) and labels, loss, logits, update;
            loss and logits without dropout, where they are asked for.
    """
    images, labels, loss, logits, update = ends[:5]

    def feed(some, theirs):
        return {labels: theirs} if images is None else {images: some, labels: theirs}

    def step(some, theirs, **options):
        return session.run((loss, logits, update), feed(some, theirs), **options)[:2]

    def evaluate(some, theirs):
        return session.run(ends[5:], feed(some, theirs))

    return Trainer(step, evaluate, lambda *batch: batch, count(variables), optimizer)


def count(variables):
    return sum(variable.get_shape().num_elements() for variable in variables)


def zero_accumulators(tensorflow, optimizer, variables):
    """Return the operations, which have been done already where there is no graph."""
    if "rms" not in optimizer.get_slot_names():
        return []
    slots = [optimizer.get_slot(variable, "rms") for variable in variables]
    return [tensorflow.assign(slot, tensorflow.zeros_like(slot)) for slot in slots]


def configure(tensorflow, threads, compiler):
    """Return the session's configuration."""
    config = sessions.configure(tensorflow, threads)
    if compiler == "xla":
        options = config.graph_options.optimizer_options
        options.global_jit_level = tensorflow.OptimizerOptions.ON_1
    return config
