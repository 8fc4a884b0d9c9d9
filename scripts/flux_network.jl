"""
The networks as chains of Flux 0.6's layers, included once Flux can be named: an activation
belongs to the layer before it where that has a place for one, as Flux has it. Its convolutions
always have a bias.
"""

"Two ways for a tensor, and their sum; Flux finds the layers of both."
struct Residual
    main::Flux.Chain
    shortcut::Flux.Chain
end

(residual::Residual)(maps) = residual.main(maps) .+ residual.shortcut(maps)

Flux.@treelike Residual

"""
Return the network as a Chain in training mode, all numbers of type `T`.

# Arguments
- `seed`: of the initial weights; see data.jl.
- `is_original`: a ReLU behind a normalisation is a step of its own, as the published networks
  had it.
"""
function build(network, seed, T; is_original)
    steps = Networks.walk(network)
    kernels = Data.initial_weights(Networks.kernel_shapes(network), seed)
    rest = Iterators.Stateful(Data.flux_kernels(steps, kernels))
    outside = []  # for each fork: the layers before it, and those of its first way
    layers = []
    for (place, (layer, _, after)) in enumerate(steps)
        kind = layer[1]
        is_followed = place < length(steps) && steps[place+1][1] == ("relu",)
        activation = is_followed ? Flux.relu : identity
        if kind == "fork"
            push!(outside, (layers, nothing))
            layers = []
        elseif kind == "swap"
            outside[end] = (outside[end][1], layers)
            layers = []
        elseif kind == "add"
            ahead, main = pop!(outside)
            ways = main === nothing ? (layers, []) : (main, layers)
            layers = push!(ahead, Residual(map(way -> Flux.Chain(way...), ways)...))
        elseif kind in Networks.CONVOLUTIONS || kind == "dense"
            kernel = Flux.param(T.(popfirst!(rest)))
            push!(layers, weighted(layer, kernel, Flux.param(zeros(T, after[end])), activation))
        elseif kind == "batch-normalisation"
            push!(layers, normalisation(layer, after[end], T, is_original ? identity : activation))
            is_original && is_followed && push!(layers, rectify)
        elseif kind != "relu"
            push!(layers, plain(layer))
        elseif steps[place-1][1][1] == "add"
            push!(layers, rectify)
        end
    end
    return Flux.Chain(layers...)
end

rectify(maps) = Flux.relu.(maps)

function weighted(layer, kernel, bias, activation)
    layer[1] == "dense" && return Flux.Dense(kernel, bias, activation)
    if layer[1] == "convolution"
        padding = layer[4] == "same" ? layer[3] ÷ 2 : 0
        return Flux.Conv(kernel, bias, activation; pad = padding)
    end
    _, _, _, stride, padding, _ = layer
    return Flux.Conv(kernel, bias, activation; pad = padding, stride = stride)
end

function normalisation(layer, channels, T, activation)
    epsilon = length(layer) > 1 ? layer[2] : 1e-5
    shift, scale = Flux.param(zeros(T, channels)), Flux.param(ones(T, channels))
    running = zeros(T, channels), ones(T, channels)
    return Flux.BatchNorm(activation, shift, scale, running..., epsilon, 0.1, true)
end

function plain(layer)
    kind = layer[1]
    kind == "max-pooling" && return Flux.MaxPool((layer[2], layer[2]))
    if kind == "strided-max-pooling"
        _, size, stride, padding = layer
        return Flux.MaxPool((size, size); stride = stride, pad = padding)
    end
    kind == "average-pooling" && return average
    kind == "dropout" && return Flux.Dropout(layer[2])
    kind == "flatten" && return flatten
    kind == "softmax" && return Flux.softmax
    kind == "copy" && return maps -> copy.(maps)
    throw(Bench.Unsupported("layer $kind"))
end

flatten(maps) = reshape(maps, :, size(maps, 4))
average(maps) = flatten(Flux.meanpool(maps, size(maps)[1:2]))
