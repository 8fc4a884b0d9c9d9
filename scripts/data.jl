"""
Images, labels and initial weights: the same arrays as data.py's, where the numbers are
explained; a test holds them to the same checksums. Images are (width, height, channel, image),
as Julia's frameworks have them.
"""
module Data

const LABELS, PATTERNS, NOISE = 1, 2, 3  # streams
const WEIGHTS = 16  # stream of the first kernel; the next kernel's is one more
const PATCHES = 8  # a class's pattern is PATCHES x PATCHES patches of one colour
const CIFAR10_IMAGES = 2000  # as many as the images that are generated for 32 x 32
const CIFAR10_RECORD_BYTES = 1 + 3072  # a label, then 1024 bytes of each of red, green and blue

"Scramble a UInt32: the finaliser of MurmurHash3's 32-bit variant; see data.py."
function mix(number::UInt32)
    number ⊻= number >> 16
    number *= 0x85ebca6b
    number ⊻= number >> 13
    number *= 0xc2b2ae35
    return number ⊻ number >> 16
end

"Return the UInt32 that selects a sequence."
key(seed, stream) = mix(mix(seed % UInt32) + stream % UInt32)

"Return the UInt32 at an index, from 0, of a sequence."
number(key::UInt32, index) = mix(mix(index % UInt32) ⊻ key)

"""
Return UInt8 images (width, height, channel, image) and Int32 labels, from 0: an image is its
class's pattern of coloured patches, three parts, with one part noise. Where a network takes
(features,), they are noise, UInt8 (features, count).
"""
function generate(network, count, seed)
    if length(network.input_shape) == 1
        features = network.input_shape[1]
        noise = key(seed, NOISE)
        grains = [number(noise, index) & 0xff for index = 0:features*count-1]
        return UInt8.(reshape(grains, features, count)), zeros(Int32, count)
    end
    height, width, channels = network.input_shape
    labels_key = key(seed, LABELS)
    labels = [Int32(number(labels_key, image) % network.classes) for image = 0:count-1]
    images = Array{UInt8}(undef, width, height, channels, count)
    fill_images!(images, labels, key(seed, PATTERNS), key(seed, NOISE))
    return images, labels
end

function fill_images!(images, labels, patterns, noise)
    width, height, channels, count = size(images)
    index = 0  # of the noise: in the order image, row, column, channel
    for image = 1:count, row = 1:height, column = 1:width, channel = 1:channels
        down, across = (row - 1) * PATCHES ÷ height, (column - 1) * PATCHES ÷ width
        patch = ((labels[image] * PATCHES + down) * PATCHES + across) * channels + channel - 1
        colour = number(patterns, patch) & 0xff
        grain = number(noise, index) & 0xff
        images[column, row, channel, image] = (3 * colour + grain) >> 2
        index += 1
    end
end

"""
Return the first images of a file in CIFAR-10's binary format, as `generate` does; throw an
ArgumentError if it is not such a file or holds fewer than CIFAR10_IMAGES images.

Format: www.cs.toronto.edu/~kriz/cifar.html, "Binary version".
"""
function read_cifar10(path)
    found = filesize(path)
    expected = CIFAR10_IMAGES * CIFAR10_RECORD_BYTES
    if found < expected || found % CIFAR10_RECORD_BYTES != 0
        bytes = "records of $CIFAR10_RECORD_BYTES bytes, at least $CIFAR10_IMAGES of them"
        throw(ArgumentError("$path: found $found bytes, expected $bytes"))
    end
    records = reshape(read(path, expected), CIFAR10_RECORD_BYTES, CIFAR10_IMAGES)
    labels = Int32.(records[1, :])
    if maximum(labels) > 9
        throw(ArgumentError("$path: found label $(maximum(labels)), expected 0 to 9"))
    end
    return reshape(records[2:end, :], 32, 32, 3, CIFAR10_IMAGES), labels
end

"""
Return [(images, labels)], whole batches in memory; what remains is left out.

Images are Float32 (width, height, channel, image) in [-1, 1], labels Int32 from 0; what goes
into a network of (features,) is (features, image). There are 2000 images of 32 x 32; of
others, one batch. Throws an ArgumentError if the batch is larger than the data, or the file
cannot be used.
"""
function load(settings, network, batch)
    if !(1 <= batch <= CIFAR10_IMAGES)
        throw(ArgumentError("batch: found $batch, expected 1 to $CIFAR10_IMAGES"))
    end
    if is_from_file(settings, network)
        images, labels = read_cifar10(settings.data_file)
    else
        count = is_small(network) ? CIFAR10_IMAGES : batch
        images, labels = generate(network, count, settings.seed)
    end
    scaled = Float32.(images) ./ 127.5f0 .- 1.0f0
    starts = 1:batch:length(labels)-batch+1
    whole = ntuple(_ -> :, ndims(scaled) - 1)
    return [(scaled[whole..., at:at+batch-1], labels[at:at+batch-1]) for at in starts]
end

"Return in words what `load` gives."
function describe(settings, network)
    if is_from_file(settings, network)
        return "the first $CIFAR10_IMAGES images of $(basename(settings.data_file)), in memory"
    end
    count = is_small(network) ? "$CIFAR10_IMAGES images" : "one batch"
    return "$count generated from seed $(settings.seed), in memory"
end

is_small(network) = network.input_shape == (32, 32, 3)
is_from_file(settings, network) =
    settings.data_file !== nothing && is_small(network) && network.classes == 10

"""
Return [kernel], Float32 and uniform as Glorot and Bengio (2010) have it; biases begin at 0.

A kernel has the dimensions of its shape in reverse, so that it lies in memory as data.py's
does.

# Arguments
- `shapes`: of the kernels, as `kernel_shapes` of networks.jl gives them.
"""
initial_weights(shapes, seed) =
    [glorot(shape, key(seed, WEIGHTS + place - 1)) for (place, shape) in enumerate(shapes)]

function glorot(shape, stream)
    field = prod(shape[1:end-2])
    limit = Float32((6.0 / (field * (shape[end-1] + shape[end])))^0.5)
    kernel = Array{Float32}(undef, reverse(shape)...)
    for place = 1:length(kernel)
        drawn = Float32(number(stream, place - 1) >> 8)
        kernel[place] = (drawn * 2.0f0^-23 - 1.0f0) * limit  # 24 bits in [-1, 1), exact
    end
    return kernel
end

"""
Return the kernels as Flux wants them: a convolution's (width, height, inputs, outputs), turned
about since Flux convolves where others correlate; a dense one's (outputs, inputs), behind the
flattening with its inputs in Flux's order.

# Arguments
- `steps`: as `walk` of networks.jl gives them.
- `kernels`: as `initial_weights` gives them.
"""
function flux_kernels(steps, kernels)
    rest = Iterators.Stateful(kernels)
    flattened = nothing
    turned = Array{Float32}[]
    for (layer, before, _) in steps
        if layer[1] in ("convolution", "strided-convolution")
            kernel = permutedims(popfirst!(rest), (3, 4, 2, 1))
            push!(turned, kernel[end:-1:1, end:-1:1, :, :])
        elseif layer[1] == "flatten"
            flattened = before
        elseif layer[1] == "dense"
            kernel = popfirst!(rest)
            if flattened !== nothing
                pixels = reshape(kernel, :, reverse(flattened)...)
                kernel = reshape(permutedims(pixels, (1, 3, 4, 2)), size(kernel))
                flattened = nothing
            end
            push!(turned, kernel)
        end
    end
    return turned
end

end
