"""Train a network with Keras 3 on JAX: Keras' layers, loss and optimizer, one step jitted.

Channels last. The step is Keras' stateless form under `jax.jit`, with the old state donated,
so that it is updated in place. JAX has no other way on a processor than XLA, so `default` and
`xla` are the same; what XLA compiled is counted from JAX's own monitoring events. Initial
weights are Glorot uniform from `data`; dropout draws from Keras' own generator.
"""

import os

import bench
import training
from train_jax import COMPILE_EVENT, POOL_THREAD, count_threads
from train_tensorflow2 import build, build_optimizer, describe_optimizer


def train(job):
    asked = training.ask(job, compilers=("default", "xla"))
    # The size of the thread pool; jaxlib takes it from nowhere else.
    os.environ["NPROC"] = str(job.settings.threads)
    with job.phase("import"):
        import jax
        import keras
        import data

        if keras.backend.backend() != "jax":
            raise bench.Unsupported("KERAS_BACKEND: %s; known: jax" % keras.backend.backend())
        jax.config.update("jax_platforms", "cpu")
        jax.devices()  # makes the thread pool, which is counted next
    job.hello(
        framework="keras",
        framework_version=keras.__version__,
        libraries=bench.versions("keras", "jax", "jaxlib", "numpy"),
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
        keras.utils.set_random_seed(job.settings.seed)
        model = build(keras, data, asked.network, job.settings.seed)
        optimizer = build_optimizer(keras, asked)
        optimizer.build(model.trainable_variables)
        held = [values_of(model, optimizer), None]
        update = jax.jit(build_update(keras, jax, model, optimizer), donate_argnums=0)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **about: event == COMPILE_EVENT and compiled.append(about)
    )

    def step(images, labels):
        held[0], loss, held[1] = jax.block_until_ready(update(held[0], images, labels))
        return loss

    job.steps(step, batches, items=asked.batch, synchronised="synchronise")
    job.check("parameters", sum(leaf.size for leaf in held[0]["trainable"]))
    job.check("output_shape", list(held[1].shape))
    job.check("optimizer", describe_optimizer(asked.optimizer, optimizer))
    if asked.compiler == "xla":
        job.check("compiled", len(compiled))


def values_of(model, optimizer):
    """Return the arrays of all variables, which the step takes and gives back.

    Copies: the step gives its arrays up, and the model keeps the ones that it was built with.
    """
    return {
        "trainable": [variable.value.copy() for variable in model.trainable_variables],
        "other": [variable.value.copy() for variable in model.non_trainable_variables],
        "optimizer": [variable.value.copy() for variable in optimizer.variables],
    }


def build_update(keras, jax, model, optimizer):
    """Return the step: (state, images, labels) -> (state, loss, logits). The softmax is in the
    loss."""
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss_and_rest(trainable, other, images, labels):
        logits, other = model.stateless_call(trainable, other, images, training=True)
        return loss_of(labels, logits), (logits, other)

    def update(state, images, labels):
        gradient = jax.value_and_grad(loss_and_rest, has_aux=True)
        (loss, (logits, other)), slopes = gradient(
            state["trainable"], state["other"], images, labels
        )
        trainable, kept = optimizer.stateless_apply(state["optimizer"], slopes, state["trainable"])
        return {"trainable": trainable, "other": other, "optimizer": kept}, loss, logits

    return update


if __name__ == "__main__":
    bench.main(train)
