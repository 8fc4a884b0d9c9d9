"""
The networks as a comparison published in 2018 had them for Flux, in the words of networks.jl:
avik-pal/DeepLearningBenchmarks, src/flux/vggmodels.jl and resnetmodels.jl, ef5c1e45. Against
the reference networks:

- All end in a softmax, through which a gradient of ones vanishes; the VGGs have dropout.
- VGG16-BN pools 3 x 3 with overlap. VGG19-BN normalises after the ReLU, and not at all after
  the last convolution of its last three blocks.
- The ResNets have neither normalisation nor ReLU after the first convolution, a bias in each
  convolution, a copy of its input in each block, and their strides in the last convolution; the
  shortcut between stages of basic blocks is 3 x 3.
- The normalisation's epsilon is Flux's own, 1e-8.
"""
module Originals

using ..Networks: large

const NORMALISATION = ("batch-normalisation", 1e-8)

classifier() = Tuple[
    ("flatten",),
    ("dense", 4096),
    ("relu",),
    ("dropout", 0.5),
    ("dense", 4096),
    ("relu",),
    ("dropout", 0.5),
    ("dense", 1000),
    ("softmax",),
]

function vgg(blocks, convolve, pool)
    layers = Tuple[]
    for (block, convolutions) in enumerate(blocks)
        for place = 1:convolutions
            is_bare = block > 2 && place == convolutions
            append!(layers, convolve(64 * 2^min(block - 1, 3), is_bare))
        end
        push!(layers, pool)
    end
    return large(append!(layers, classifier()))
end

convolution(filters) = ("convolution", filters, 3, "same")
plain(filters, _) = Tuple[convolution(filters), ("relu",)]
normalised_before(filters, _) = Tuple[convolution(filters), NORMALISATION, ("relu",)]
normalised_after(filters, is_bare) =
    Tuple[convolution(filters), ("relu",), (is_bare ? () : (NORMALISATION,))...]

"Return a block: (filters, size, stride) of its convolutions, and of its shortcut's or nothing."
basic(filters, stride, is_first) =
    stride == 1 ? (((filters, 3, 1), (filters, 3, 1)), nothing) :
    (((filters, 3, 1), (filters, 3, stride)), (filters, 3, stride))
bottleneck(filters, stride, is_first) = (
    ((filters, 1, 1), (filters, 3, 1), (4 * filters, 1, stride)),
    is_first ? (4 * filters, 1, stride) : nothing,
)

strided(filters, size, stride) =
    ("strided-convolution", filters, size, stride, size ÷ 2, true)

function resnet(blocks, make)
    layers = Tuple[strided(64, 7, 2), ("strided-max-pooling", 3, 2, 1)]
    for (stage, count) in enumerate(blocks), place = 1:count
        stride = stage > 1 && place == 1 ? 2 : 1
        main, shortcut = make(64 * 2^(stage - 1), stride, place == 1)
        append!(layers, Tuple[("fork",), ("copy",)])
        for (step, settings) in enumerate(main)
            append!(layers, Tuple[strided(settings...), NORMALISATION])
            step < length(main) && push!(layers, ("relu",))
        end
        shortcut === nothing ||
            append!(layers, Tuple[("swap",), strided(shortcut...), NORMALISATION])
        append!(layers, Tuple[("add",), ("relu",)])
    end
    return large(
        append!(layers, Tuple[("average-pooling",), ("dense", 1000), ("softmax",)]),
    )
end

const NETWORKS = Dict(
    "resnet101" => resnet((3, 4, 23, 3), bottleneck),
    "resnet152" => resnet((3, 8, 36, 3), bottleneck),
    "resnet18" => resnet((2, 2, 2, 2), basic),
    "resnet34" => resnet((3, 4, 6, 3), basic),
    "resnet50" => resnet((3, 4, 6, 3), bottleneck),
    "vgg16" => vgg((2, 2, 3, 3, 3), plain, ("max-pooling", 2)),
    "vgg16-bn" => vgg((2, 2, 3, 3, 3), normalised_before, ("strided-max-pooling", 3, 2, 1)),
    "vgg19" => vgg((2, 2, 4, 4, 4), plain, ("max-pooling", 2)),
    "vgg19-bn" => vgg((2, 2, 4, 4, 4), normalised_after, ("max-pooling", 2)),
)

end
