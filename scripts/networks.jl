"""
The networks, each described once: networks.py in Julia, to which a test holds it. A layer is a
tuple of its kind and its settings, as there; shapes are (height, width, channels) or
(features,). AlexNet is not here: nothing that is measured in Julia has it.

The variants of a published comparison, which only Julia's frameworks had, are in originals.jl.
They know two kinds more: ("softmax",), and ("copy",), which computes a copy of its input.
"""
module Networks

struct Network
    input_shape::Tuple
    classes::Int
    layers::Vector{Tuple}
end

const CONVOLUTIONS = ("convolution", "strided-convolution")
const NORMALISATION = ("batch-normalisation",)

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

"Return the network on 224 x 224 images with 1000 classes."
large(layers) = Network((224, 224, 3), 1000, layers)

# Simonyan and Zisserman, 2014 (arXiv:1409.1556), configurations D and E, without their dropout.
function vgg(blocks, is_normalised)
    layers = Tuple[]
    for (place, convolutions) in enumerate(blocks)
        for _ = 1:convolutions
            push!(layers, ("convolution", 64 * 2^min(place - 1, 3), 3, "same"))
            is_normalised && push!(layers, NORMALISATION)
            push!(layers, ("relu",))
        end
        push!(layers, ("max-pooling", 2))
    end
    push!(layers, ("flatten",))
    for _ = 1:2
        append!(layers, Tuple[("dense", 4096), ("relu",)])
    end
    return large(push!(layers, ("dense", 1000)))
end

basic(filters, stride) = ((filters, 3, stride), (filters, 3, 1))
bottleneck(filters, stride) = ((filters, 1, stride), (filters, 3, 1), (4 * filters, 1, 1))

normalised(filters, size, stride) =
    Tuple[("strided-convolution", filters, size, stride, size ÷ 2, false), NORMALISATION]

# He, Zhang, Ren and Sun, 2015 (arXiv:1512.03385), table 1; see networks.py.
function resnet(blocks, block)
    layers = Tuple[normalised(64, 7, 2)..., ("relu",), ("strided-max-pooling", 3, 2, 1)]
    channels = 64
    for (stage, count) in enumerate(blocks), place = 1:count
        stride = stage > 1 && place == 1 ? 2 : 1
        main = block(64 * 2^(stage - 1), stride)
        outputs = main[end][1]
        append!(layers, Tuple[("fork",), normalised(main[1]...)...])
        for settings in main[2:end]
            append!(layers, Tuple[("relu",), normalised(settings...)...])
        end
        if stride > 1 || outputs != channels
            append!(layers, Tuple[("swap",), normalised(outputs, 1, stride)...])
        end
        append!(layers, Tuple[("add",), ("relu",)])
        channels = outputs
    end
    return large(append!(layers, Tuple[("average-pooling",), ("dense", 1000)]))
end

const NETWORKS = Dict(
    "cifar10-cnn" => CIFAR10_CNN,
    "resnet101" => resnet((3, 4, 23, 3), bottleneck),
    "resnet152" => resnet((3, 8, 36, 3), bottleneck),
    "resnet18" => resnet((2, 2, 2, 2), basic),
    "resnet34" => resnet((3, 4, 6, 3), basic),
    "resnet50" => resnet((3, 4, 6, 3), bottleneck),
    "vgg16" => vgg((2, 2, 3, 3, 3), false),
    "vgg16-bn" => vgg((2, 2, 3, 3, 3), true),
    "vgg19" => vgg((2, 2, 4, 4, 4), false),
    "vgg19-bn" => vgg((2, 2, 4, 4, 4), true),
)

# Layers alone, by the shape that goes in.
const LAYERS = Dict(
    "batchnorm" => ((224, 224, 3), NORMALISATION),
    "conv3x3" => ((224, 224, 3), ("strided-convolution", 64, 3, 1, 1, true)),
    "conv5x5" => ((224, 224, 3), ("strided-convolution", 64, 5, 1, 2, true)),
    "dense" => ((1024,), ("dense", 512)),
)

"Return a Network of one layer, a convolution with this stride; all its labels are 0."
function layer_alone(name, stride)
    input_shape, layer = LAYERS[name]
    if layer[1] == "strided-convolution"
        layer = (layer[1:3]..., stride, layer[5:end]...)
    end
    return Network(input_shape, 1, [layer])
end

"Return [(layer, shape that goes in, shape that comes out)] in order."
function walk(network)
    steps = Tuple{Tuple,Tuple,Tuple}[]
    aside = Tuple[]
    shape = network.input_shape
    for layer in network.layers
        before = shape
        if layer[1] == "fork"
            push!(aside, shape)
        elseif layer[1] == "swap"
            shape, aside[end] = aside[end], shape
        elseif layer[1] == "add"
            kept = pop!(aside)
            kept == shape || error("cannot add $shape and $kept")
        else
            shape = shape_after(layer, shape)
        end
        push!(steps, (layer, before, shape))
    end
    return steps
end

function shape_after(layer, shape)
    kind = layer[1]
    if kind == "convolution"
        _, filters, size, padding = layer
        lost = padding == "same" ? 0 : size - 1
        return (shape[1] - lost, shape[2] - lost, filters)
    elseif kind == "strided-convolution"
        _, filters, size, stride, padding, _ = layer
        return (slid(shape, size, stride, padding)..., filters)
    end
    kind == "max-pooling" && return (shape[1] ÷ layer[2], shape[2] ÷ layer[2], shape[3])
    kind == "strided-max-pooling" && return (slid(shape, layer[2:end]...)..., shape[3])
    kind == "average-pooling" && return shape[3:3]
    kind == "flatten" && return (prod(shape),)
    kind == "dense" && return (layer[2],)
    kind in ("relu", "dropout", "batch-normalisation", "softmax", "copy") && return shape
    error("unknown layer $layer")
end

"Return height and width of what a window leaves of a shape."
slid(shape, size, stride, padding) =
    map(length -> (length + 2 * padding - size) ÷ stride + 1, shape[1:2])

"""
Return the kernels' shapes in order, (height, width, inputs, outputs) of a convolution and
(inputs, outputs) of a dense layer; a bias has the length of the last.
"""
function kernel_shapes(network)
    shapes = Tuple[]
    for (layer, before, after) in walk(network)
        if layer[1] in CONVOLUTIONS
            push!(shapes, (layer[3], layer[3], before[end], after[end]))
        elseif layer[1] == "dense"
            push!(shapes, (before[1], after[1]))
        end
    end
    return shapes
end

"Return how many numbers are trained; if `is_biased`, every convolution has a bias."
function count_parameters(network; is_biased = false)
    total = 0
    for shape in kernel_shapes(network)
        total += prod(shape)
    end
    for (layer, before, after) in walk(network)
        if layer[1] == "batch-normalisation"
            total += 2 * before[end]
        elseif layer[1] == "dense" || layer[1] in CONVOLUTIONS
            total += is_biased || layer[end] !== false ? after[end] : 0
        end
    end
    return total
end

end
