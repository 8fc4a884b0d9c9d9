"""What every training script asks of its job, and how it words its answers."""

import collections

import networks

RHO = 0.9
EPSILON = 1e-8

Training = collections.namedtuple("Training", "network batch compiler optimizer learning_rate")


def ask(job, compilers):
    """Return the Training that the job asks for.

    Args:
        compilers: what `compiler` may be; `default` is what the framework does by itself.

    Raises:
        bench.Unsupported: something else was asked for.
    """
    job.require("protocol", ("fair",))
    job.require("device", ("cpu",))
    network = networks.NETWORKS[job.require("workload", networks.NETWORKS)]
    kinds = {
        "batch": int,
        "compiler": compilers,
        "optimizer": ("rmsprop", "sgd"),
        "learning_rate": float,
    }
    given = job.parameters(kinds, defaults={"compiler": "default"})
    return Training(network=network, **given._asdict())


def optimizer_words(name, learning_rate, rho=None, epsilon=None, where=""):
    """Return the check `optimizer`, from what the framework's own object holds.

    Args:
        where: how epsilon enters, as frameworks differ: what it is added to.
    """
    if name == "sgd":
        return "sgd: learning rate %.6g, no momentum" % learning_rate
    return "rmsprop: learning rate %.6g, rho %.6g, epsilon %.6g added %s, accumulators from 0" % (
        learning_rate,
        rho,
        epsilon,
        where,
    )
