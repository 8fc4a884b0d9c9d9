"""Train a network with JAX: plain `jax` and `lax`, the whole step under `jax.jit`.

Channels last, unless the layout says otherwise. The step's old weights are donated, so that
they are updated in place, as other frameworks do. JAX has no other way than XLA, so `default`
and `xla` are the same; what XLA compiled is counted from JAX's own monitoring events. Initial
weights are Glorot uniform from `data`; dropout draws from JAX's generator, one key a step.

JAX has no device events, so a step is waited for on a GPU, too. `tf32` and `float32` are JAX's
own precisions of products and convolutions; `bfloat16` casts images and weights for the
forward pass, and keeps weights, means and update in single precision. On several GPUs the
step is sharded over images by `shard_map`, normalised on each GPU by itself; weights are on
every GPU, and XLA sums the gradients through NCCL.
"""

import os

import bench
import jax_devices
import networks
import training

COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"
POOL_THREAD = "tf_XLAEigen"  # the name that jaxlib gives to the threads that compute
MATMUL = {"float32": "float32", "tf32": "tensorfloat32", "bfloat16": "default"}


def train(job):
    asked = training.ask(
        job,
        compilers=("default", "xla"),
        devices=("cpu", "cuda"),
        precisions=tuple(MATMUL),
        layouts=("native", "channels_first", "channels_last"),
        parallel=True,
    )
    # The size of the thread pool; jaxlib takes it from nowhere else.
    os.environ["NPROC"] = str(job.settings.threads)
    os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")  # all GPUs are of this machine
    on_gpu = job.settings.device == "cuda"
    with job.phase("import"):
        import jax
        import data

        jax.config.update("jax_platforms", job.settings.device)
        jax.config.update("jax_default_matmul_precision", MATMUL[asked.precision])
        devices = jax.devices()  # makes the thread pool, which is counted next
    job.hello(
        framework="jax",
        framework_version=jax.__version__,
        libraries=bench.versions("jax", "jaxlib", "numpy"),
        threads=None if on_gpu else count_threads(),
        threads_source="threads named %s in /proc/self/task" % POOL_THREAD,
        data=data.describe(job.settings, asked.network),
        device="cuda: " + devices[0].device_kind if on_gpu else None,
    )
    if asked.gpus > len(devices):
        raise bench.Unsupported("gpus: %d; JAX sees %d" % (asked.gpus, len(devices)))
    try:
        work(job, asked, jax, data, devices[: asked.gpus])
    except jax.errors.JaxRuntimeError as error:
        if not on_gpu or "RESOURCE_EXHAUSTED" not in str(error):
            raise
        stats = devices[0].memory_stats()
        raise RuntimeError(
            "%s The GPU's pool may hold %d bytes, of which %d are in use."
            % (str(error).split("\n")[0], stats["bytes_limit"], stats["bytes_in_use"])
        )


def work(job, asked, jax, data, devices):
    on_gpu = job.settings.device == "cuda"
    where = jax_devices.Devices(jax, devices)
    with job.phase("data"):
        batches = [
            tuple(jax.device_put(array, where.shared) for array in batch)
            for batch in load(data, job.settings, asked)
        ]
        jax.block_until_ready(batches)
    with job.phase("build"):
        job.check("precision", probe(jax, data.numpy, asked))
        kernels = data.initial_weights(networks.kernel_shapes(asked.network), job.settings.seed)
        weights, running = initial_state(jax, asked.network, kernels)
        state = {"weights": weights, "running": running, "key": jax.random.key(job.settings.seed)}
        if asked.optimizer == "rmsprop":
            state["squares"] = jax.tree.map(jax.numpy.zeros_like, state["weights"])
        # Where the step will leave it: elsewhere, the second step would be compiled anew.
        state = jax.device_put(state, where.everywhere)
        jax.block_until_ready(state)
        update = where.compiled(build_update(jax, asked, where))
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **about: event == COMPILE_EVENT and compiled.append(about)
    )
    held = [state, None]
    del state, kernels, weights, running

    def step(images, labels):
        held[0], loss, held[1] = jax.block_until_ready(update(held[0], images, labels))
        return loss

    job.steps(step, batches, items=asked.batch * asked.gpus, synchronised="synchronise")
    job.check("parameters", sum(leaf.size for leaf in jax.tree.leaves(held[0]["weights"])))
    job.check("output_shape", [held[1].shape[0] // asked.gpus, held[1].shape[1]])
    job.check("optimizer", describe_optimizer(asked))
    if asked.compiler == "xla":
        job.check("compiled", len(compiled))
    if asked.gpus > 1:
        job.check("ranks", len(held[1].sharding.device_set))
    if on_gpu:
        job.memory(devices[0].memory_stats()["peak_bytes_in_use"])
    if asked.gpus > 1:
        alone = where.compiled(build_update(jax, asked, where, is_reduced=False))
        jax_devices.tell_communication(job, where, alone, held.pop(0), batches)


def load(data, settings, asked):
    """Return whole batches, those of all GPUs one after another, in the layout asked for."""
    seeds = [(settings.seed + rank) % 2**32 for rank in range(asked.gpus)]
    parts = [data.load(settings._replace(seed=s), asked.network, asked.batch) for s in seeds]
    joined = [tuple(map(data.numpy.concatenate, zip(*batch))) for batch in zip(*parts)]
    if asked.layout == "channels_first":
        return [(images.transpose(0, 3, 1, 2), labels) for images, labels in joined]
    return joined


def probe(jax, numpy, asked):
    """Return the errors of a product and a convolution, held to the precision."""
    random = numpy.random.RandomState(1)
    left, right = (random.randn(training.PROBE, training.PROBE) for _ in range(2))
    exact = left.dot(right)
    kind = "bfloat16" if asked.precision == "bfloat16" else "float32"
    one, other = (jax.numpy.asarray(array, kind) for array in (left, right))
    images = one.reshape(1, 16, -1, training.PROBE)
    convolve = jax.jit(
        lambda images, kernel: jax.lax.conv_general_dilated(
            images, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    )
    found = {
        "product": jax.jit(jax.numpy.matmul)(one, other),
        "convolution": convolve(images, other[None, None]).reshape(exact.shape),
    }
    errors = {
        name: float(numpy.linalg.norm(numpy.asarray(array, "float64") - exact))
        / float(numpy.linalg.norm(exact))
        for name, array in found.items()
    }
    return training.hold_precision(asked.precision, errors)


def count_threads():
    """Return how many threads compute, by their names, or None where none has that name."""
    names = []
    for task in os.listdir("/proc/self/task"):
        with open("/proc/self/task/%s/comm" % task) as name:
            names.append(name.read().strip())
    return sum(1 for name in names if name.startswith(POOL_THREAD)) or None


def initial_state(jax, network, kernels):
    """Return ([what is trained of each layer that is], [(means, variances) of each normalised])."""
    rest = iter(kernels)
    weights, running = [], []
    for layer, before, _ in networks.walk(network):
        if layer[0] in ("convolution", "strided-convolution", "dense"):
            kernel = jax.device_put(next(rest))
            bias = (jax.numpy.zeros(kernel.shape[-1]),) if networks.has_bias(layer) else ()
            weights.append((kernel,) + bias)
        elif layer[0] == "batch-normalisation":
            zeros, ones = jax.numpy.zeros(before[-1]), jax.numpy.ones(before[-1])
            weights.append((ones, zeros))
            running.append((zeros + 0, ones + 0))  # donated, too, so arrays of their own
    return weights, running


def build_logits(jax, asked):
    """Return the function from weights, running means, images and a key to (logits, means)."""
    channels_first = asked.layout == "channels_first"
    order = ("NCHW", "HWIO", "NCHW") if channels_first else ("NHWC", "HWIO", "NHWC")
    channel = 1 if channels_first else 3
    plane = (2, 3) if channels_first else (1, 2)

    def along(vector, tensor):
        """Return what is added to each channel, in the tensor's precision."""
        shape = [1] * tensor.ndim
        shape[channel if tensor.ndim == 4 else 1] = -1
        return vector.reshape(shape).astype(tensor.dtype)

    def window(size, others):
        return tuple(size if axis in plane else others for axis in range(4))

    def convolve(tensor, kernel, stride, padding):
        return jax.lax.conv_general_dilated(
            tensor,
            kernel.astype(tensor.dtype),
            (stride, stride),
            padding,
            dimension_numbers=order,
        )

    def pool(tensor, size, stride, padding):
        lowest = -jax.numpy.inf
        edges = [(padding, padding) if axis in plane else (0, 0) for axis in range(4)]
        sizes, strides = window(size, 1), window(stride, 1)
        return jax.lax.reduce_window(tensor, lowest, jax.lax.max, sizes, strides, edges)

    def normalise(tensor, scale, shift, kept):
        """Return the tensor and the running (means, variances); sums in single precision."""
        axes = (0,) + plane
        wide = tensor.astype("float32")
        mean = wide.mean(axes)
        variance = (wide**2).mean(axes) - mean**2
        factor = scale * jax.lax.rsqrt(variance + 1e-5)
        normal = wide * along(factor, wide) + along(shift - mean * factor, wide)
        count = tensor.size / mean.size
        seen = (mean, variance * (count / (count - 1)))
        kept = tuple(0.9 * old + 0.1 * new for old, new in zip(kept, seen))
        return normal.astype(tensor.dtype), kept

    def logits(weights, running, images, key):
        rest, normalised, means = iter(weights), iter(running), []
        aside = []
        tensor = images.astype("bfloat16") if asked.precision == "bfloat16" else images
        for place, (layer, _, _) in enumerate(networks.walk(asked.network)):
            kind = layer[0]
            if kind == "convolution":
                kernel, bias = next(rest)
                tensor = convolve(tensor, kernel, 1, layer[3].upper())
                tensor = tensor + along(bias, tensor)
            elif kind == "strided-convolution":
                kernel = next(rest)
                tensor = convolve(tensor, kernel[0], layer[3], [(layer[4], layer[4])] * 2)
                tensor = tensor + along(kernel[1], tensor) if networks.has_bias(layer) else tensor
            elif kind == "batch-normalisation":
                tensor, kept = normalise(tensor, *next(rest), kept=next(normalised))
                means.append(kept)
            elif kind == "dense":
                kernel, bias = next(rest)
                tensor = tensor @ kernel.astype(tensor.dtype) + along(bias, tensor)
            elif kind == "relu":
                tensor = jax.nn.relu(tensor)
            elif kind == "max-pooling":
                tensor = pool(tensor, layer[1], layer[1], 0)
            elif kind == "strided-max-pooling":
                tensor = pool(tensor, *layer[1:])
            elif kind == "average-pooling":
                tensor = tensor.mean(plane)
            elif kind == "dropout":
                kept = jax.random.bernoulli(
                    jax.random.fold_in(key, place), 1 - layer[1], tensor.shape
                )
                tensor = jax.numpy.where(kept, tensor / (1 - layer[1]), 0)
            elif kind == "flatten":
                if channels_first:  # the kernel behind it is for channels last
                    tensor = tensor.transpose(0, 2, 3, 1)
                tensor = tensor.reshape(tensor.shape[0], -1)
            elif kind == "fork":
                aside.append(tensor)
            elif kind == "swap":
                tensor, aside[-1] = aside[-1], tensor
            elif kind == "add":
                tensor = tensor + aside.pop()
            else:
                raise bench.Unsupported("layer %s" % kind)
        return tensor.astype("float32"), means

    return logits


def build_update(jax, asked, where, is_reduced=True):
    """Return the step: (state, images, labels) -> (state, loss, logits).

    Args:
        is_reduced: whether gradients are averaged over the devices, where there are several.
    """
    logits_of = build_logits(jax, asked)

    def loss_and_logits(weights, running, images, labels, key):
        logits, means = logits_of(weights, running, images, key)
        chosen = jax.numpy.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
        return -chosen.mean(), (logits, means)

    def update(state, images, labels):
        key, next_key = jax.random.split(state["key"])
        if asked.gpus > 1:
            key = jax.random.fold_in(key, where.index())
        gradient = jax.value_and_grad(loss_and_logits, has_aux=True)
        (loss, (logits, means)), slopes = gradient(
            state["weights"], state["running"], images, labels, key
        )
        if asked.gpus > 1 and is_reduced:
            loss, means, slopes = where.mean((loss, means, slopes))
        after = dict(state, key=next_key, running=means)
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
