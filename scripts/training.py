"""What every training script asks of its job, and how it words its answers."""

import collections

import bench
import networks
import variants

RHO = 0.9
EPSILON = 1e-8
BETAS = (0.9, 0.999)  # of Adam

# What a workload may have: every word that there is, or a type, and the default; None: it must
# be given. A script names what it can do.
PARAMETERS = {
    "batch": (int, None),
    "batch_norm": (("none", "unfused", "fused", "keras-mode-0", "keras-mode-2"), "none"),
    "compiler": (("default", "xla", "inductor"), "default"),
    "epochs": (int, 0),
    "gpus": (int, 1),
    "images": (int, 0),
    "layout": (("native", "channels_first", "channels_last"), "native"),
    "learning_rate": (float, None),
    "mode": (("native", "graph", "eager"), "native"),
    "optimizer": (("rmsprop", "sgd", "adam"), None),
    "part": (("step", "forward", "backward", "forward-backward", "inference"), "step"),
    "precision": (("float32", "tf32", "bfloat16", "float64"), "float32"),
    "stride": (int, 1),
}
# What published benchmarks did; under the protocol `fair` these are at their defaults.
SWITCHES = {
    "adam_epsilon": (float, EPSILON),
    "architecture": (("reference", "original"), "reference"),
    "conv_padding": (("network", "same-same-valid-valid"), "network"),
    "conversion_in_timer": (bool, False),
    "drop_remainder": (bool, False),
    "dropout": (("network", "none", "keep-prob", "after-dense", "half"), "network"),
    "fed_as": (("float32", "float64"), "float32"),
    "initial_weights": (("seeded", "library"), "seeded"),
    "input": (("random", "zeros", "drawn"), "random"),
    "labels": (("random", "zeros"), "random"),
    "metrics": (("none", "accuracy"), "none"),
    "pool_padding": (("valid", "same"), "valid"),
    "preprocess": (bool, False),
    "rmsprop_rho": (float, RHO),
    "second_forward": (bool, False),
    "softmax": (("once", "twice"), "once"),
    "synchronise": (bool, True),
    "validation": (("none", "first-400-of-training", "training-images"), "none"),
    "validation_in_timer": (bool, False),
    "zero_grad": (bool, True),
}
PARAMETERS.update(SWITCHES)

# What only some workloads have; a layer alone has no more than these.
ONLY = {"batch_norm": ("vgg16",), "stride": ("conv3x3", "conv5x5")}
EPOCHS = ("epochs", "images", "drop_remainder", "validation", "validation_in_timer")
ONLY.update(dict.fromkeys(EPOCHS + ("conv_padding",), ("cifar10-cnn",)))
OF_LAYERS = ("batch", "layout", "part", "precision", "synchronise", "zero_grad")
DEFAULTS_OF_LAYERS = {"batch": 1, "learning_rate": 0.0, "optimizer": "sgd", "part": "forward"}

Training = collections.namedtuple("Training", ["workload", "network"] + sorted(PARAMETERS))

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
    protocols=("fair",),
    originals=None,
    able=None,
):
    """Return the Training that the job asks for, every change that it asks for in its network.

    Args:
        compilers: what `compiler` may be; `default` is what the framework does by itself.
        devices: what the script can train on.
        precisions, layouts: what these may be; `native` is what the framework is made for.
        parallel: whether it can train on several GPUs; `batch` is that of each.
        protocols: with `as-published`, where the script has switches of it.
        originals: {workload: Network} that `architecture: original` means to this script.
        able: {name: what it may be} for any other of PARAMETERS: a tuple of words, or True for
            any number and for both of false and true. What is not there stays at its default.

    Raises:
        bench.Unsupported: something else was asked for; every such thing is in the message.
    """
    job.require("protocol", protocols)
    job.require("device", devices)
    workload = job.require("workload", sorted(networks.NETWORKS) + sorted(networks.LAYERS))
    asked = _read(job.settings.parameters, workload)
    can = {"batch": True, "gpus": True, "learning_rate": True, "stride": True}
    can.update(compiler=compilers, precision=precisions, layout=layouts)
    can.update({"optimizer": ("rmsprop", "sgd")}, **(able or {}))
    original = (originals or {}).get(workload)
    if original is not None:
        can["architecture"] = ("reference", "original")
    problems = _beyond(asked, can)
    if job.settings.protocol == "fair":
        problems += _unfair(asked)
    problems += _contradictions(asked, workload)
    if asked["gpus"] > 1 and not (parallel and job.settings.device == "cuda"):
        problems.append("gpus: %d; this script trains on one device" % asked["gpus"])
    if problems:
        raise bench.Unsupported("; ".join(problems))
    own = original if asked["architecture"] == "original" else None
    return Training(workload=workload, network=variants.network(workload, asked, own), **asked)


def _read(given, workload):
    """Return {name: value} for all PARAMETERS; what the workload lacks is at its default."""
    defaults = {name: default for name, (_, default) in PARAMETERS.items()}
    if workload in networks.LAYERS:
        defaults.update(DEFAULTS_OF_LAYERS)
    kinds = {name: kind for name, (kind, _) in PARAMETERS.items() if _has(workload, name)}
    stated = {name: _text(defaults[name]) for name in kinds if defaults[name] is not None}
    return dict(defaults, **bench.read_parameters(given, kinds, stated))


def _has(workload, name):
    if name in ONLY:
        return workload in ONLY[name]
    return workload not in networks.LAYERS or name in OF_LAYERS


def _beyond(asked, can):
    """Return in words what was asked for and is neither a default nor what the script can do."""
    problems = []
    for name, value in sorted(asked.items()):
        known = can.get(name, (PARAMETERS[name][1],))
        if known is not True and value not in known:
            expected = " or ".join(map(_text, known))
            found = _text(value)
            problems.append(
                "parameter %s: '%s'; expected %s, all that this script can do"
                % (name, found, expected)
            )
    return problems


def _unfair(asked):
    return [
        "parameter %s: '%s'; under the protocol fair it is %s"
        % (name, _text(asked[name]), _text(default))
        for name, (_, default) in sorted(SWITCHES.items())
        if asked[name] != default
    ]


def _contradictions(asked, workload):
    """Return in words what was asked for and cannot be together."""
    problems = []
    if asked["batch"] < 1 or asked["gpus"] < 1:
        problems.append("batch: %(batch)d, gpus: %(gpus)d; expected 1 or more" % asked)
    if workload in networks.LAYERS and asked["part"] == "step":
        problems.append("part: 'step'; a layer alone has no loss and no optimizer")
    layers = () if workload in networks.LAYERS else networks.NETWORKS[workload].layers
    if asked["pool_padding"] == "same" and ("max-pooling", 2) not in layers:
        problems.append("pool_padding: 'same'; %s has no pooling without overlap" % workload)
    if asked["stride"] not in (1, 2):
        problems.append("stride: %(stride)d; expected 1 or 2" % asked)
    if (asked["images"] > 0) != (asked["epochs"] > 0):
        problems.append("images: %(images)d, epochs: %(epochs)d; expected both or none" % asked)
    alone = [name for name in EPOCHS if asked[name] != PARAMETERS[name][1]]
    if alone and not asked["epochs"]:
        problems.append("%s: only with images and epochs" % ", ".join(alone))
    if asked["epochs"] and (asked["part"] != "step" or asked["gpus"] > 1):
        problems.append("epochs: %(epochs)d; of whole steps, on one device" % asked)
    if asked["part"] != "step" and asked["gpus"] > 1:
        problems.append("part: '%(part)s'; on one device, found gpus: %(gpus)d" % asked)
    return problems


def _text(value):
    """Return a value as the host words it."""
    return str(int(value)) if isinstance(value, bool) else str(value)


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


def openmp_threads(names):
    """Return how many threads OpenMP gives this process, and where that was read.

    Args:
        names: of OpenMP libraries; the first that is loaded is asked. Without one: (None, why).
    """
    import ctypes  # most scripts have no use for it, and start-up is timed

    with open("/proc/self/maps") as maps:
        loaded = {line.split()[-1] for line in maps}
    for name in names:
        for path in sorted(path for path in loaded if name in path):
            return ctypes.CDLL(path).omp_get_max_threads(), "omp_get_max_threads() of %s" % name
    return None, "no %s among the loaded libraries" % " or ".join(names)


def optimizer_words(name, learning_rate, rho=None, epsilon=None, where="", betas=BETAS):
    """Return the check `optimizer`, from what the framework's own object holds.

    Args:
        where: how epsilon enters, as frameworks differ: what it is added to.
        betas: of Adam, of its first and its second moment.
    """
    if name == "sgd":
        return "sgd: learning rate %.6g, no momentum" % learning_rate
    if name == "adam":
        return "adam: learning rate %.6g, beta %.6g and %.6g, epsilon %.6g added %s" % (
            learning_rate,
            betas[0],
            betas[1],
            epsilon,
            where,
        )
    return "rmsprop: learning rate %.6g, rho %.6g, epsilon %.6g added %s, accumulators from 0" % (
        learning_rate,
        rho,
        epsilon,
        where,
    )
