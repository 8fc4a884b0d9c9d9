"""What every training script asks of its job, and how it words its answers."""

import collections

import bench
import networks

RHO = 0.9
EPSILON = 1e-8

Training = collections.namedtuple(
    "Training", "network batch compiler optimizer learning_rate precision layout gpus"
)

# Relative errors of a product of 512 x 512 numbers, as single precision, products of TF32's 11
# bits and of bfloat16's 8 bits leave them: about 1e-7, 2e-4 and 2e-3.
COARSEST = {"float32": 1e-5, "tf32": 1e-3, "bfloat16": 1e-1}
FINEST = {"float32": 0.0, "tf32": 1e-5, "bfloat16": 1e-3}
PROBE = 512


def ask(
    job,
    compilers,
    devices=("cpu",),
    precisions=("float32",),
    layouts=("native",),
    parallel=False,
):
    """Return the Training that the job asks for.

    Args:
        compilers: what `compiler` may be; `default` is what the framework does by itself.
        devices: what the script can train on.
        precisions, layouts: what these may be; `native` is what the framework is made for.
        parallel: whether it can train on several GPUs; `batch` is that of each.

    Raises:
        bench.Unsupported: something else was asked for.
    """
    job.require("protocol", ("fair",))
    job.require("device", devices)
    network = networks.NETWORKS[job.require("workload", networks.NETWORKS)]
    kinds = {
        "batch": int,
        "compiler": compilers,
        "optimizer": ("rmsprop", "sgd"),
        "learning_rate": float,
        "precision": precisions,
        "layout": layouts,
        "gpus": int,
    }
    defaults = {"compiler": "default", "precision": "float32", "layout": "native", "gpus": "1"}
    given = job.parameters(kinds, defaults=defaults)
    if given.gpus < 1 or (given.gpus > 1 and not (parallel and job.settings.device == "cuda")):
        raise bench.Unsupported("gpus: %d; this script trains on one device" % given.gpus)
    return Training(network=network, **given._asdict())


def hold_precision(precision, errors):
    """Hold what the framework computes with to what was asked for.

    Args:
        errors: {operation: ||found - exact|| / ||exact||} of PROBE x PROBE numbers.

    Raises:
        bench.Unsupported: any error is larger than the precision allows, or all are so small
            that the framework went on in single precision.
    """
    said = ", ".join("%s %.1e" % pair for pair in sorted(errors.items()))
    if max(errors.values()) > COARSEST[precision]:
        raise bench.Unsupported("%s was asked for, and relative errors are %s" % (precision, said))
    if max(errors.values()) < FINEST[precision]:
        raise bench.Unsupported(
            "%s was asked for, and the framework ignored it: relative errors are %s"
            % (precision, said)
        )
    return said


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
