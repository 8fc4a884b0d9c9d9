"""
The networks, each described once: networks.py in Julia, to which a test holds it. A layer is a
tuple of its kind and its settings, as there; shapes are (height, width, channels) or
(features,).
"""
module Networks

struct Network
    input_shape::NTuple{3,Int}
    classes::Int
    layers::Vector{Tuple}
end

function vgg_block(convolutions, filters)
    one = Tuple[("convolution", filters, 3, "same"), ("relu",)]
    return vcat(repeat(one, convolutions), Tuple[("max-pooling", 2)])
end

# The example network of early Keras releases (examples/cifar10_cnn.py).
const CIFAR10_CNN = Network(
    (32, 32, 3),
    10,
    [
        ("convolution", 32, 3, "same"),
        ("relu",),
        ("convolution", 32, 3, "valid"),
        ("relu",),
        ("max-pooling", 2),
        ("dropout", 0.25),
        ("convolution", 64, 3, "same"),
        ("relu",),
        ("convolution", 64, 3, "valid"),
        ("relu",),
        ("max-pooling", 2),
        ("dropout", 0.25),
        ("flatten",),
        ("dense", 512),
        ("relu",),
        ("dropout", 0.5),
        ("dense", 10),
    ],
)

# Simonyan and Zisserman, 2014 (arXiv:1409.1556), configuration D, without its dropout.
const VGG16 = Network(
    (224, 224, 3),
    1000,
    vcat(
        vgg_block(2, 64),
        vgg_block(2, 128),
        vgg_block(3, 256),
        vgg_block(3, 512),
        vgg_block(3, 512),
        Tuple[("flatten",), ("dense", 4096), ("relu",)],
        Tuple[("dense", 4096), ("relu",), ("dense", 1000)],
    ),
)

const NETWORKS = Dict("cifar10-cnn" => CIFAR10_CNN, "vgg16" => VGG16)

"Return [(layer, shape that goes in, shape that comes out)] in order."
function walk(network)
    steps = Tuple{Tuple,Tuple,Tuple}[]
    shape = network.input_shape
    for layer in network.layers
        after = shape_after(layer, shape)
        push!(steps, (layer, shape, after))
        shape = after
    end
    return steps
end

function shape_after(layer, shape)
    kind = layer[1]
    if kind == "convolution"
        _, filters, size, padding = layer
        lost = padding == "same" ? 0 : size - 1
        return (shape[1] - lost, shape[2] - lost, filters)
    end
    kind == "max-pooling" && return (shape[1] ÷ layer[2], shape[2] ÷ layer[2], shape[3])
    kind == "flatten" && return (prod(shape),)
    kind == "dense" && return (layer[2],)
    kind in ("relu", "dropout") && return shape
    error("unknown layer $layer")
end

"""
Return the kernels' shapes in order, (height, width, inputs, outputs) of a convolution and
(inputs, outputs) of a dense layer; the bias has the length of the last.
"""
function kernel_shapes(network)
    shapes = Tuple[]
    for (layer, before, after) in walk(network)
        if layer[1] == "convolution"
            push!(shapes, (layer[3], layer[3], before[end], after[end]))
        elseif layer[1] == "dense"
            push!(shapes, (before[1], after[1]))
        end
    end
    return shapes
end

end
