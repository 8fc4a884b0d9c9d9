"""Images and kernels in the order that a layout asks for, where a framework keeps its kernels
as (height, width, inputs, outputs) in every layout, as Keras 2 and TensorFlow do.
"""


def shape_of(network, channels_first):
    """Return the shape of one image."""
    height, width, channels = network.input_shape
    return (channels, height, width) if channels_first else network.input_shape


def turn_images(images, channels_first):
    """Return images (count, height, width, channels) in the layout's order."""
    return images.transpose(0, 3, 1, 2).copy() if channels_first else images


def turn_kernels(data, steps, kernels, channels_first):
    """Return kernels that make the same network of images in the layout's order.

    Only the first dense layer behind the flattened images differs: its rows.

    Args:
        steps: of the network, as `networks.walk` gives them.
    """
    if not channels_first:
        return kernels
    turned = data.channels_first(steps, kernels)
    return [one.transpose(2, 3, 1, 0) if one.ndim == 4 else one.T for one in turned]
