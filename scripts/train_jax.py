"""Train a network with JAX: plain `jax` and `lax`, the whole step under `jax.jit`.

Channels last. The step's old weights are donated, so that they are updated in place, as
other frameworks do. JAX has no other way on a processor than XLA, so `default` and `xla`
are the same; what XLA compiled is counted from JAX's own monitoring events. Initial weights
are Glorot uniform from `data`; dropout draws from JAX's generator, one key a step.
"""

import os

import bench
import networks
import training

COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"
POOL_THREAD = "tf_XLAEigen"  # the name that jaxlib gives to the threads that compute


def train(job):
    asked = training.ask(job, compilers=("default", "xla"))
    # The size of the thread pool; jaxlib takes it from nowhere else.
    os.environ["NPROC"] = str(job.settings.threads)
    with job.phase("import"):
        import jax
        import data

        jax.config.update("jax_platforms", "cpu")
        jax.devices()  # makes the thread pool, which is counted next
    job.hello(
        framework="jax",
        framework_version=jax.__version__,
        libraries=bench.versions("jax", "jaxlib", "numpy"),
        threads=count_threads(),
        threads_source="threads named %s in /proc/self/task" % POOL_THREAD,
        data=data.describe(job.settings, asked.network),
    )
    with job.phase("data"):
        batches = [
            (jax.device_put(images), jax.device_put(labels))
            for images, labels in data.load(job.settings, asked.network, asked.batch)
        ]
        jax.block_until_ready(batches)
    with job.phase("build"):
        kernels = data.initial_weights(networks.kernel_shapes(asked.network), job.settings.seed)
        state = {
            "weights": [(jax.device_put(k), jax.numpy.zeros(k.shape[-1])) for k in kernels],
            "key": jax.random.key(job.settings.seed),
        }
        if asked.optimizer == "rmsprop":
            state["squares"] = jax.tree.map(jax.numpy.zeros_like, state["weights"])
        jax.block_until_ready(state)
        update = jax.jit(build_update(jax, asked), donate_argnums=0)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **about: event == COMPILE_EVENT and compiled.append(about)
    )
    held = [state, None]
    del state, kernels

    def step(images, labels):
        held[0], loss, held[1] = jax.block_until_ready(update(held[0], images, labels))
        return loss

    job.steps(step, batches, items=asked.batch, synchronised="synchronise")
    job.check("parameters", sum(leaf.size for leaf in jax.tree.leaves(held[0]["weights"])))
    job.check("output_shape", list(held[1].shape))
    job.check("optimizer", describe_optimizer(asked))
    if asked.compiler == "xla":
        job.check("compiled", len(compiled))


def count_threads():
    """Return how many threads compute, by their names, or None where none has that name."""
    names = []
    for task in os.listdir("/proc/self/task"):
        with open("/proc/self/task/%s/comm" % task) as name:
            names.append(name.read().strip())
    return sum(1 for name in names if name.startswith(POOL_THREAD)) or None


def build_logits(jax, network):
    """Return the function from weights, images and a key to logits."""

    def logits(weights, images, key):
        rest = iter(weights)
        tensor = images
        for place, (layer, _, _) in enumerate(networks.walk(network)):
            kind = layer[0]
            if kind == "convolution":
                kernel, bias = next(rest)
                order = ("NHWC", "HWIO", "NHWC")
                padding = layer[3].upper()
                tensor = bias + jax.lax.conv_general_dilated(
                    tensor, kernel, (1, 1), padding, dimension_numbers=order
                )
            elif kind == "dense":
                kernel, bias = next(rest)
                tensor = tensor @ kernel + bias
            elif kind == "relu":
                tensor = jax.nn.relu(tensor)
            elif kind == "max-pooling":
                window = (1, layer[1], layer[1], 1)
                lowest = -jax.numpy.inf
                tensor = jax.lax.reduce_window(tensor, lowest, jax.lax.max, window, window, "VALID")
            elif kind == "dropout":
                kept = jax.random.bernoulli(
                    jax.random.fold_in(key, place), 1 - layer[1], tensor.shape
                )
                tensor = jax.numpy.where(kept, tensor / (1 - layer[1]), 0)
            elif kind == "flatten":
                tensor = tensor.reshape(tensor.shape[0], -1)
            else:
                raise bench.Unsupported("layer %s" % kind)
        return tensor

    return logits


def build_update(jax, asked):
    """Return the step: (state, images, labels) -> (state, loss, logits)."""
    logits_of = build_logits(jax, asked.network)

    def loss_and_logits(weights, images, labels, key):
        logits = logits_of(weights, images, key)
        chosen = jax.numpy.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
        return -chosen.mean(), logits

    def update(state, images, labels):
        key, next_key = jax.random.split(state["key"])
        gradient = jax.value_and_grad(loss_and_logits, has_aux=True)
        (loss, logits), slopes = gradient(state["weights"], images, labels, key)
        after = dict(state, key=next_key)
        if asked.optimizer == "rmsprop":
            after["squares"] = jax.tree.map(
                lambda old, slope: training.RHO * old + (1 - training.RHO) * slope**2,
                state["squares"],
                slopes,
            )
            slopes = jax.tree.map(
                lambda slope, mean: slope / (jax.numpy.sqrt(mean) + training.EPSILON),
                slopes,
                after["squares"],
            )
        after["weights"] = jax.tree.map(
            lambda old, slope: old - asked.learning_rate * slope, state["weights"], slopes
        )
        return after, loss, logits

    return update


def describe_optimizer(asked):
    """The optimizer is written out above, so what was asked for is what it holds."""
    return training.optimizer_words(
        asked.optimizer, asked.learning_rate, training.RHO, training.EPSILON, "to the root"
    )


if __name__ == "__main__":
    bench.main(train)
