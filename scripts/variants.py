"""What a job may ask to be changed in a network: its normalisation, dropout and paddings.

Each function takes a network's layers, as networks.py has them, and returns others.
"""

import networks


def network(workload, asked, original=None):
    """Return the Network of a workload with every change that was asked.

    Args:
        asked: {parameter: value}, as `training.ask` reads it.
        original: a Network to take in place of the workload's own, or None.
    """
    if workload in networks.LAYERS:
        return networks.layer_alone(workload, asked["stride"])
    found = original or networks.NETWORKS[workload]
    layers = found.layers
    if asked["batch_norm"] != "none":
        layers = normalised(layers)
    if asked["conv_padding"] == "same-same-valid-valid":
        layers = padded(layers, ("same", "same", "valid", "valid"))
    if asked["pool_padding"] == "same":
        layers = pooled_to_the_edge(layers)
    if asked["dropout"] in CHANGES_OF_DROPOUT:
        layers = CHANGES_OF_DROPOUT[asked["dropout"]](layers)
    return found._replace(layers=layers)


def normalised(layers):
    """Put a batch normalisation behind each convolution, before its ReLU."""
    changed = []
    for layer in layers:
        changed.append(layer)
        if layer[0] in networks.CONVOLUTIONS:
            changed.append(("batch-normalisation",))
    return tuple(changed)


def padded(layers, paddings):
    """Give the convolutions these paddings, in order."""
    rest = iter(paddings)
    return tuple(
        layer[:3] + (next(rest),) if layer[0] == "convolution" else layer for layer in layers
    )


def pooled_to_the_edge(layers):
    """Let max-pooling take the last row and column too, where the size does not divide them."""
    return tuple(layer[:2] + ("same",) if layer[0] == "max-pooling" else layer for layer in layers)


def without_dropout(layers):
    return tuple(layer for layer in layers if layer[0] != "dropout")


def kept_in_place_of_dropped(layers):
    """Take the rate of each dropout for the share that is kept."""
    return tuple(("dropout", 1 - layer[1]) if layer[0] == "dropout" else layer for layer in layers)


def dropped_after_dense(layers):
    """Drop half behind each hidden dense layer and its ReLU, and nothing elsewhere."""
    changed = []
    for layer in without_dropout(layers):
        is_hidden = layer == ("relu",) and changed[-1][0] == "dense"
        changed.append(layer)
        if is_hidden:
            changed.append(("dropout", 0.5))
    return tuple(changed)


def half_dropped(layers):
    """Drop half wherever something is dropped."""
    return tuple(("dropout", 0.5) if layer[0] == "dropout" else layer for layer in layers)


CHANGES_OF_DROPOUT = {
    "none": without_dropout,
    "keep-prob": kept_in_place_of_dropped,
    "after-dense": dropped_after_dense,
    "half": half_dropped,
}
