"""Several devices as one with JAX: images sharded over them, weights on each; and what it costs."""

import bench

AXIS = "gpus"
SETTLING = 2  # of each kind, left out: the first is compiled
ALONE_STEPS = 10
PROBES = 10
PROBE_BYTES = 256 * 1024**2
PROBE_BYTES_ON_PROCESSORS = 1024**2


class Devices(object):
    """The devices of a job.

    Attributes:
        everywhere, shared: where an array goes that each device has whole, or a part of.
    """

    def __init__(self, jax, devices):
        self.jax = jax
        self.devices = devices
        self.spec = jax.sharding.PartitionSpec
        self.mesh = jax.sharding.Mesh(devices, (AXIS,))
        self.everywhere = self.shared = devices[0]
        if len(devices) > 1:
            self.everywhere = jax.sharding.NamedSharding(self.mesh, self.spec())
            self.shared = jax.sharding.NamedSharding(self.mesh, self.spec(AXIS))

    def compiled(self, update):
        """Return a step (state, images, labels) -> (state, loss, logits) that compiles when
        first called, and gives its old state's memory to the new.
        """
        if len(self.devices) > 1:
            whole, part = self.spec(), self.spec(AXIS)
            update = self.jax.shard_map(
                update,
                mesh=self.mesh,
                in_specs=(whole, part, part),
                out_specs=(whole, whole, part),
                check_vma=False,
            )
        return self.jax.jit(update, donate_argnums=0)

    def index(self):
        """Return, inside a step, which device it is."""
        return self.jax.lax.axis_index(AXIS)

    def mean(self, tree):
        """Return, inside a step, the mean over all devices."""
        return self.jax.lax.pmean(tree, AXIS)

    def probe(self):
        """Return an all-reduce by itself, to be called with nothing, and its bytes."""
        on_processors = self.devices[0].platform == "cpu"
        size = PROBE_BYTES_ON_PROCESSORS if on_processors else PROBE_BYTES
        shape = (len(self.devices), size // 4)
        part = self.spec(AXIS)
        zeros = self.jax.device_put(self.jax.numpy.zeros(shape), self.shared)
        reduce = self.jax.jit(
            self.jax.shard_map(
                lambda array: self.jax.lax.psum(array, AXIS),
                mesh=self.mesh,
                in_specs=part,
                out_specs=self.spec(),
                check_vma=False,
            )
        )
        return lambda: reduce(zeros), size


def tell_communication(job, where, alone, state, batches):
    """Say what working together costs, after the measured steps; by the clock.

    Args:
        alone: the step without any sum over devices.
        state: what it begins from, and uses up.
    """
    held = [state]
    probe, probe_bytes = where.probe()

    def step(images, labels):
        held[0], _, _ = where.jax.block_until_ready(alone(held[0], images, labels))

    def series(call, count, *arguments):
        taken = range(SETTLING + count)
        return [bench.clocked_call(call, arguments)[1] for _ in taken][SETTLING:]

    weights = where.jax.tree.leaves(state["weights"])
    reduced_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in weights)
    del weights, state
    job.communication(
        reduced_bytes=reduced_bytes,
        alone_s=series(step, ALONE_STEPS, *batches[0]),
        all_reduce_s=[],
        probe_bytes=probe_bytes,
        probe_s=series(lambda: where.jax.block_until_ready(probe()), PROBES),
    )
