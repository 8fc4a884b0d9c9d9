"""
Train a network with Flux 0.6, from Julia 1.0, or run a part of that: width, height, channels,
images; automatic differentiation by its Tracker; all numbers Float32 unless Float64 is asked
for.

Initial weights are Glorot uniform from data.jl, the same in every framework. Dropout draws from
Julia's own generator. `inference` is in test mode, without tracking.
"""

include("bench.jl")
include("networks.jl")
include("originals.jl")
include("data.jl")

using Libdl, LinearAlgebra, Printf, Random

const RHO = 0.9
const BETAS = (0.9, 0.999)
const EPSILON = 1e-8
const TYPES = Dict("float32" => Float32, "float64" => Float64)
const PARTS = ("step", "forward", "backward", "forward-backward", "inference")

# What a layer alone has, and what the others have beside it.
const KINDS_OF_LAYERS = Dict(
    "batch" => Int,
    "part" => PARTS,
    "precision" => ("float32", "float64"),
    "layout" => ("native",),
    "zero_grad" => Bool,
    "synchronise" => Bool,
)
const KINDS = merge(
    KINDS_OF_LAYERS,
    Dict(
        "compiler" => ("default",),
        "mode" => ("native", "eager"),
        "optimizer" => ("rmsprop", "sgd", "adam"),
        "learning_rate" => Float64,
        "architecture" => ("reference", "original"),
        "gpus" => Int,
    ),
)
const DEFAULTS = Dict(
    "part" => "step",
    "precision" => "float32",
    "layout" => "native",
    "zero_grad" => "1",
    "synchronise" => "1",
    "compiler" => "default",
    "mode" => "native",
    "architecture" => "reference",
    "gpus" => "1",
)
const DEFAULTS_OF_LAYERS = merge(DEFAULTS, Dict("batch" => "1", "part" => "forward"))

function train(job)
    asked = ask(job)
    Bench.phase(job, "import") do
        @eval import Flux
        @eval include(joinpath(@__DIR__, "flux_network.jl"))
        BLAS.set_num_threads(job.settings.threads)
    end
    Base.invokelatest(measure, job, asked...)  # knows what was just loaded
end

"Return the network and the parameters that the job asks for; throw Unsupported for others."
function ask(job)
    Bench.require(job, "protocol", ("fair", "as-published"))
    Bench.require(job, "device", ("cpu",))
    known = union(keys(Networks.NETWORKS), keys(Networks.LAYERS))
    workload = Bench.require(job, "workload", known)
    asked = ask_parameters(job, workload)
    problems = contradictions(asked, workload)
    job.settings.protocol == "fair" && append!(problems, unfair(asked))
    isempty(problems) || throw(Bench.Unsupported(join(problems, "; ")))
    haskey(asked, :optimizer) || return Networks.layer_alone(workload, asked.stride), asked
    is_original = asked.architecture == "original"
    return (is_original ? Originals : Networks).NETWORKS[workload], asked
end

"Return the parameters of a workload; what only others have is at its default."
function ask_parameters(job, workload)
    haskey(Networks.LAYERS, workload) || return Bench.parameters(job, KINDS, DEFAULTS)
    kinds, defaults = copy(KINDS_OF_LAYERS), DEFAULTS_OF_LAYERS
    if startswith(workload, "conv")
        kinds["stride"] = Int
        defaults = merge(defaults, Dict("stride" => "1"))
    end
    return merge((stride = 1, architecture = "reference"), Bench.parameters(job, kinds, defaults))
end

function contradictions(asked, workload)
    problems = String[]
    is_layer = !haskey(asked, :optimizer)
    asked.batch >= 1 || push!(problems, "batch: $(asked.batch); expected 1 or more")
    is_layer || asked.gpus == 1 ||
        push!(problems, "gpus: $(asked.gpus); this script trains on one device")
    is_layer && asked.part == "step" &&
        push!(problems, "part: 'step'; a layer alone has no loss and no optimizer")
    is_layer && !(asked.stride in (1, 2)) &&
        push!(problems, "stride: $(asked.stride); expected 1 or 2")
    if asked.architecture == "original" && !haskey(Originals.NETWORKS, workload)
        push!(problems, "architecture: 'original'; this script has none of $workload")
    end
    if asked.architecture == "original" && asked.part == "step"
        push!(problems, "part: 'step'; the originals were not trained, and end in a softmax")
    end
    return problems
end

unfair(asked) = [
    "parameter $name: '$(getfield(asked, name))'; under the protocol fair it is $fair" for
    (name, fair) in ((:architecture, "reference"), (:zero_grad, true), (:synchronise, true)) if
    getfield(asked, name) != fair
]

function measure(job, network, asked)
    T = TYPES[asked.precision]
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
        [(T.(images), Flux.onehotbatch(labels, 0:network.classes-1)) for (images, labels) in loaded]
    end
    model = Bench.phase(job, "build") do
        build(network, job.settings.seed, T; is_original = asked.architecture == "original")
    end
    Bench.check(job, "parameters", sum(length, Flux.params(model)))
    output = (asked.part == "step" ? measure_steps : measure_part)(job, asked, model, batches, T)
    if eltype(output) != T
        throw(Bench.Unsupported("$T was asked for, and the output is of $(eltype(output))"))
    end
    width_first = size(output)  # (classes, images) or (width, height, channels, images)
    shape = length(width_first) == 2 ? reverse(width_first) : width_first[[4, 2, 1, 3]]
    Bench.check(job, "output_shape", shape)
end

"Measure training steps; return the last logits."
function measure_steps(job, asked, model, batches, T)
    parameters = Flux.params(model)
    update = build_optimizer(asked, parameters)
    logits = nothing
    function step(images, labels)
        logits = model(images)
        loss = Flux.logitcrossentropy(logits, labels)
        Flux.back!(loss)
        update()  # sets the slopes to 0, too
        return loss
    end
    Bench.steps(job, step, batches; items = asked.batch, read_loss = Flux.Tracker.data)
    Bench.check(job, "optimizer", describe_optimizer(asked))
    return Flux.Tracker.data(logits)
end

"Measure a pass without loss and update; return its last output."
function measure_part(job, asked, model, batches, T)
    parameters = Flux.params(model)
    if asked.part == "inference"
        model = Flux.testmode!(Flux.mapleaves(Flux.Tracker.data, model))
    end
    output = nothing
    function prepare(images, _)
        asked.zero_grad && foreach(each -> Flux.Tracker.grad(each) .= 0, parameters)
        output = nothing  # with it goes all that was kept for its gradient
        return (asked.part == "backward" ? model(images) : images,)
    end
    forward(images) = output = model(images)
    function backward(found)
        Flux.back!(found, ones(T, size(found)))
        output = found
    end
    take = Dict(
        "forward" => forward,
        "inference" => forward,
        "backward" => backward,
        "forward-backward" => images -> backward(model(images)),
    )[asked.part]
    named = (items = asked.batch, read_loss = nothing, name = asked.part, prepare = prepare)
    Bench.steps(job, take, batches; named...)
    Bench.check(job, "finite", all(isfinite, Flux.Tracker.data(output)))
    if occursin("backward", asked.part)
        slopes = map(Flux.Tracker.grad, parameters)
        found = count(slope -> all(isfinite, slope) && any(!iszero, slope), slopes)
        Bench.check(job, "gradients", (found, length(slopes)))
    end
    return Flux.Tracker.data(output)
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

function build_optimizer(asked, parameters)
    rate = asked.learning_rate
    asked.optimizer == "sgd" && return Flux.SGD(parameters, rate)
    if asked.optimizer == "adam"
        return Flux.ADAM(parameters, rate; β1 = BETAS[1], β2 = BETAS[2], ϵ = EPSILON)
    end
    return Flux.RMSProp(parameters, rate; ρ = RHO, ϵ = EPSILON)
end

"Return the check `optimizer`: what Flux was given, as its own objects show nothing."
function describe_optimizer(asked)
    if asked.optimizer == "sgd"
        return @sprintf("sgd: learning rate %.6g, no momentum", asked.learning_rate)
    end
    if asked.optimizer == "adam"
        return @sprintf(
            "adam: learning rate %.6g, beta %.6g and %.6g, epsilon %.6g added under the root",
            asked.learning_rate,
            BETAS...,
            EPSILON,
        )
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
