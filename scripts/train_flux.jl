"""
Train a network with Flux 0.6, from Julia 1.0: width, height, channels, images; automatic
differentiation by its Tracker; all numbers Float32.

Initial weights are Glorot uniform from data.jl, the same in every framework. An activation
belongs to its layer, as Flux has it. Dropout draws from Julia's own generator.
"""

include("bench.jl")
include("networks.jl")
include("data.jl")

using Libdl, LinearAlgebra, Printf, Random

const RHO = 0.9
const EPSILON = 1e-8
const WEIGHTED = ("convolution", "dense")
const KINDS = Dict(
    "batch" => Int,
    "compiler" => ("default",),
    "optimizer" => ("rmsprop", "sgd"),
    "learning_rate" => Float64,
    "precision" => ("float32",),
    "layout" => ("native",),
    "gpus" => Int,
)
const DEFAULTS =
    Dict("compiler" => "default", "precision" => "float32", "layout" => "native", "gpus" => "1")

function train(job)
    asked = ask(job)
    Bench.phase(job, "import") do
        @eval import Flux
        BLAS.set_num_threads(job.settings.threads)
    end
    Base.invokelatest(measure, job, asked...)  # knows what was just loaded
end

"Return the network and the parameters that the job asks for; throw Unsupported for others."
function ask(job)
    Bench.require(job, "protocol", ("fair",))
    Bench.require(job, "device", ("cpu",))
    workload = Bench.require(job, "workload", keys(Networks.NETWORKS))
    asked = Bench.parameters(job, KINDS, DEFAULTS)
    if asked.gpus != 1
        throw(Bench.Unsupported("gpus: $(asked.gpus); this script trains on one device"))
    end
    return Networks.NETWORKS[workload], asked
end

function measure(job, network, asked)
    libraries = Bench.versions("Flux", "NNlib")
    Bench.hello(
        job;
        framework = "flux",
        framework_version = libraries["Flux"],
        libraries = libraries,
        threads = blas_threads(),
        threads_source = "openblas_get_num_threads(); the rest of Flux has one thread",
        data = Data.describe(job.settings, network),
    )
    batches = Bench.phase(job, "data") do
        Random.seed!(job.settings.seed)
        loaded = Data.load(job.settings, network, asked.batch)
        [(images, Flux.onehotbatch(labels, 0:network.classes-1)) for (images, labels) in loaded]
    end
    model, update = Bench.phase(job, "build") do
        model = build(network, job.settings.seed)
        model, build_optimizer(asked, Flux.params(model))
    end
    shape = nothing
    function step(images, labels)
        logits = model(images)
        loss = Flux.logitcrossentropy(logits, labels)
        Flux.back!(loss)
        update()
        shape = size(logits)
        return loss
    end
    Bench.steps(job, step, batches; items = asked.batch, read_loss = Flux.Tracker.data)
    Bench.check(job, "parameters", sum(length, Flux.params(model)))
    Bench.check(job, "output_shape", reverse(shape))  # (classes, images) in Flux
    Bench.check(job, "optimizer", describe_optimizer(asked))
end

"Return what BLAS says, or nothing where it is not OpenBLAS."
function blas_threads()
    library = Libdl.dlopen(Base.libblas_name)
    for name in (:openblas_get_num_threads64_, :openblas_get_num_threads)
        address = Libdl.dlsym_e(library, name)
        address == C_NULL || return Int(ccall(address, Cint, ()))
    end
    return nothing
end

"Return the network as a Chain with its initial weights, in training mode."
function build(network, seed)
    steps = Networks.walk(network)
    kernels = Data.initial_weights(Networks.kernel_shapes(network), seed)
    rest = Iterators.Stateful(Data.flux_kernels(steps, kernels))
    layers = Any[]
    for (place, (layer, _, after)) in enumerate(steps)
        kind = layer[1]
        if kind in WEIGHTED
            is_followed = place < length(steps) && steps[place+1][1] == ("relu",)
            activation = is_followed ? Flux.relu : identity
            kernel, bias = Flux.param(popfirst!(rest)), Flux.param(zeros(Float32, after[end]))
            if kind == "convolution"
                padding = layer[4] == "same" ? layer[3] ÷ 2 : 0
                push!(layers, Flux.Conv(kernel, bias, activation; pad = padding))
            else
                push!(layers, Flux.Dense(kernel, bias, activation))
            end
        elseif kind == "max-pooling"
            push!(layers, Flux.MaxPool((layer[2], layer[2])))
        elseif kind == "dropout"
            push!(layers, Flux.Dropout(layer[2]))
        elseif kind == "flatten"
            push!(layers, maps -> reshape(maps, :, size(maps, 4)))
        elseif !(kind == "relu" && steps[place-1][1][1] in WEIGHTED)
            throw(Bench.Unsupported("layer $kind"))
        end
    end
    return Flux.Chain(layers...)
end

function build_optimizer(asked, parameters)
    asked.optimizer == "sgd" && return Flux.SGD(parameters, asked.learning_rate)
    return Flux.RMSProp(parameters, asked.learning_rate; ρ = RHO, ϵ = EPSILON)
end

"Return the check `optimizer`: what Flux was given, as its own objects show nothing."
function describe_optimizer(asked)
    if asked.optimizer == "sgd"
        return @sprintf("sgd: learning rate %.6g, no momentum", asked.learning_rate)
    end
    return @sprintf(
        "rmsprop: learning rate %.6g, rho %.6g, epsilon %.6g added under the root, accumulators from 0",
        asked.learning_rate,
        RHO,
        EPSILON,
    )
end

if abspath(PROGRAM_FILE) == @__FILE__
    Bench.main(train)
end
