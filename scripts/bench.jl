"""
The script's half of the contract with the host, for Julia from 1.0, its standard library
only; docs/contract.md is the whole of it. The twin of bench.py, included before any framework
is loaded:

    include("bench.jl")

    function train(job)
        Bench.phase(job, "import") do
            @eval import Framework
        end
        Base.invokelatest(measure, job)  # what was loaded can only be called from here
    end

    Bench.main(train)
"""
module Bench

using Printf

const STARTED = time_ns()
const CONTRACT = 1
const PREFIX = "RUNNER_PARAMETER_"
const PHASES = ("import", "data", "build", "first-step", "warm-up", "measure")
const SYNCHRONISED = ("implicit", "synchronise", "event", "none")
const FEWEST_MEASURED = 5  # steps that are measured even when the limit has passed
const PROGRESS_INTERVAL_S = 0.25
const LONGEST_MESSAGE = 4000  # characters; the log has the rest
const DUPLICATE_CLOSED_ON_EXEC = 1030  # Linux: F_DUPFD_CLOEXEC

# How Julia and the libraries below it say that there is no memory left.
const OUT_OF_MEMORY_WORDS =
    ("OutOfMemoryError", "out of memory", "not enough memory", "can't allocate memory")

"The host's variables break the contract; every problem is in the message."
struct BadRequest <: Exception
    message::String
end

"The framework, its package or the script cannot do what was asked."
struct Unsupported <: Exception
    message::String
end

Base.showerror(io::IO, error::Union{BadRequest,Unsupported}) = print(io, error.message)

"Return seconds since the script started, of the monotonic clock."
clock() = (time_ns() - STARTED) * 1e-9

"What the host asks for; `data_file` is nothing where the data are generated."
struct Settings
    workload::String
    protocol::String
    parameters::Dict{String,String}
    warmup_steps::Int
    measure_steps::Int
    measure_limit_s::Float64
    seed::Int
    device::String
    threads::Int
    data_file::Union{String,Nothing}
end

"""
Return the Settings that `environment`, a dictionary of strings, holds; throw BadRequest for
another version of the contract, and for variables missing or malformed.
"""
function read_settings(environment)
    found = get(environment, "RUNNER_CONTRACT", nothing)
    if found != string(CONTRACT)
        words = "RUNNER_CONTRACT: found $(quoted(found)); this script knows version $CONTRACT"
        throw(BadRequest(words))
    end
    problems = String[]
    function read(name, convert, accept, expected)
        text = get(environment, name, nothing)
        value = text === nothing ? nothing : convert(text)
        value !== nothing && accept(value) && return value
        push!(problems, "$name: found $(quoted(text)), expected $expected")
        return nothing
    end
    among(name, words...) = read(name, identity, text -> text in words, join(words, " or "))
    at_least(name, lowest) =
        read(name, whole, number -> number >= lowest, "an integer of at least $lowest")
    given = [
        read("RUNNER_WORKLOAD", identity, text -> !isempty(text), "a name"),
        among("RUNNER_PROTOCOL", "fair", "as-published"),
        given_parameters(environment),
        at_least("RUNNER_WARMUP_STEPS", 0),
        at_least("RUNNER_MEASURE_STEPS", 1),
        read("RUNNER_MEASURE_LIMIT_S", decimal, seconds -> seconds > 0, "seconds above 0"),
        read("RUNNER_SEED", whole, seed -> 0 <= seed < 2^32, "an integer in [0, 2^32)"),
        among("RUNNER_DEVICE", "cpu", "cuda"),
        at_least("RUNNER_THREADS", 1),
        get(environment, "RUNNER_DATA_FILE", nothing),
    ]
    isempty(problems) || throw(BadRequest(join(problems, "; ")))
    return Settings(given...)
end

given_parameters(environment) = Dict{String,String}(
    lowercase(name[length(PREFIX)+1:end]) => value
    for (name, value) in environment if startswith(name, PREFIX)
)

whole(text) = tryparse(Int, text; base = 10)
decimal(text) = tryparse(Float64, text)

"""
Return a NamedTuple of exactly the parameters of `kinds`; throw Unsupported if any is missing,
malformed or not among them: what is asked for must be what is measured.

# Arguments
- `given`: name to text, as the host gave it.
- `kinds`: name to kind: Int, Float64, Bool (`0` or `1`) or a tuple of the words that are known.
- `defaults`: name to text, of those that need not be given.
"""
function read_parameters(given, kinds, defaults)
    known = join(sort(collect(keys(kinds))), ", ")
    unknown = sort(setdiff(collect(keys(given)), keys(kinds)))
    problems = ["unknown parameter $(quoted(name)); known: $known" for name in unknown]
    values = Pair{Symbol,Any}[]
    for (name, kind) in sort(collect(kinds); by = first)
        text = get(given, name, get(defaults, name, nothing))
        value = text === nothing ? nothing : parameter(text, kind)
        value === nothing &&
            push!(problems, "parameter $name: $(quoted(text)); expected $(kind_words(kind))")
        push!(values, Symbol(name) => value)
    end
    isempty(problems) || throw(Unsupported(join(problems, "; ")))
    return (; values...)
end

parameter(text, ::Type{Int}) = whole(text)
parameter(text, ::Type{Float64}) = decimal(text)
parameter(text, ::Type{Bool}) = text in ("0", "1") ? text == "1" : nothing
parameter(text, words::Tuple) = text in words ? text : nothing

kind_words(::Type{Int}) = "int"
kind_words(::Type{Float64}) = "float"
kind_words(::Type{Bool}) = "0 or 1"
kind_words(words::Tuple) = join(words, " or ")

quoted(::Nothing) = "none"
quoted(text) = "'$text'"

"""
Return name to version of packages, as the active project's Manifest has them: a Julia package
does not say its version itself, and the Manifest decides what is loaded.
"""
versions(names...) = manifest_versions(
    read(joinpath(dirname(Base.active_project()), "Manifest.toml"), String),
    names,
)

function manifest_versions(manifest, names)
    found = Dict{String,String}()
    for block in split(manifest, r"^\[\["m)[2:end]
        name = block[1:first(findfirst("]]", block))-1]
        version = match(r"^version = \"([^\"]+)\""m, block)
        name in names && version !== nothing && (found[name] = version[1])
    end
    missing_names = setdiff(collect(names), keys(found))
    isempty(missing_names) || error("the Manifest has no version of $(join(missing_names, ", "))")
    return found
end

"Descriptor 1 taken apart: events go to a private copy, all else written there to 2."
mutable struct Events
    descriptor::Int32
    phase::Union{String,Nothing}
    is_over::Bool
    last_progress::Float64
end

function take_output_apart()
    descriptor = ccall(:fcntl, Cint, (Cint, Cint, Cint...), 1, DUPLICATE_CLOSED_ON_EXEC, 3)
    descriptor < 0 && error("fcntl: $(Libc.strerror())")
    # Julia writes to a copy of descriptor 1 of its own, which children would inherit.
    julias = stdout
    redirect_stdout(stderr)  # descriptor 1 itself, too
    close(julias)
    return Events(descriptor, nothing, false, -Inf)
end

"Write one line; numbers that JSON has not become text."
function say(events, event; fields...)
    line = IOBuffer()
    print(line, "{\"event\":")
    json(line, event)
    print(line, ",\"time_s\":")
    json(line, clock())
    for (name, value) in sort(collect(fields); by = first)
        print(line, ",")
        json(line, string(name))
        print(line, ":")
        json(line, value)
    end
    print(line, "}\n")
    write_all(events.descriptor, take!(line))
end

function write_all(descriptor, bytes)
    written = 0
    while written < length(bytes)
        count = GC.@preserve bytes ccall(
            :write,
            Cssize_t,
            (Cint, Ptr{UInt8}, Csize_t),
            descriptor,
            pointer(bytes) + written,
            length(bytes) - written,
        )
        if count >= 0
            written += count
        elseif Libc.errno() == Libc.EAGAIN  # Julia made the pipe one that does not block
            Libc.systemsleep(0.001)
        elseif Libc.errno() != Libc.EINTR
            error("writing to descriptor $descriptor: $(Libc.strerror())")
        end
    end
end

json(io, ::Nothing) = print(io, "null")
json(io, value::Union{Bool,Integer}) = print(io, value)
json(io, value::Union{Tuple,AbstractVector}) = json_list(json, io, "[", value, "]")
json(io, value::AbstractDict) =
    json_list(json_member, io, "{", sort(collect(value); by = first), "}")

function json(io, value::AbstractFloat)
    isfinite(value) && return print(io, Float64(value))
    return print(io, isnan(value) ? "\"nan\"" : value > 0 ? "\"inf\"" : "\"-inf\"")
end

function json(io, value::AbstractString)
    print(io, '"')
    for character in value
        if character in ('"', '\\')
            print(io, '\\', character)
        elseif ' ' <= character <= '~'
            print(io, character)
        else
            json_escape(io, isvalid(character) ? UInt32(character) : 0x0000fffd)
        end
    end
    print(io, '"')
end

function json_escape(io, code)
    if code < 0x10000
        @printf(io, "\\u%04x", code)
    else
        high, low = divrem(code - 0x10000, 0x400)
        @printf(io, "\\u%04x\\u%04x", 0xd800 + high, 0xdc00 + low)
    end
end

function json_member(io, (name, value))
    json(io, string(name))
    print(io, ":")
    json(io, value)
end

function json_list(write_one, io, opening, items, closing)
    print(io, opening)
    for (place, item) in enumerate(items)
        place > 1 && print(io, ",")
        write_one(io, item)
    end
    print(io, closing)
end

"One launch as the script sees it: what was asked, and the events that answer."
struct Job
    settings::Settings
    events::Events
end

"Return the parameters as a NamedTuple; see `read_parameters`."
parameters(job, kinds, defaults) = read_parameters(job.settings.parameters, kinds, defaults)

"Return a setting that must be among `known`; throw Unsupported, which lists them, if not."
function require(job, setting, known)
    value = getfield(job.settings, Symbol(setting))
    value in known && return value
    listed = join(sort(collect(known)), ", ")
    throw(Unsupported("$setting: $(quoted(value)); known: $listed"))
end

"Mark a phase around `work()`; phases do not nest."
function phase(work, job, name)
    events = job.events
    if !(name in PHASES) || events.phase !== nothing
        error("phase $name cannot begin inside $(events.phase)")
    end
    events.phase = name
    say(events, "phase"; name = name, state = "begin")
    try
        return work()
    finally
        end_phase(events)
    end
end

function end_phase(events)
    name, events.phase = events.phase, nothing
    say(events, "phase"; name = name, state = "end")
end

"Say who measures; right after the import phase. `threads` may be nothing."
function hello(job; framework, framework_version, libraries, threads, threads_source, data)
    say(
        job.events,
        "hello";
        contract = CONTRACT,
        framework = framework,
        framework_version = framework_version,
        language = "julia",
        language_version = string(VERSION),
        libraries = libraries,
        device = job.settings.device,
        threads = threads,
        threads_source = threads_source,
        data = data,
    )
end

"Give a number that says the work was done right; the host holds it to its own."
check(job, name, value) = say(job.events, "check"; name = name, value = value)

"Give the peak of the framework's own allocator, in bytes."
memory(job, allocator_peak_bytes) =
    say(job.events, "memory"; allocator_peak_bytes = allocator_peak_bytes)

"Say how far the phase is; what comes too soon after the last is left out."
function progress(job, done, total)
    events = job.events
    if clock() - events.last_progress >= PROGRESS_INTERVAL_S
        say(events, "progress"; phase = events.phase, done = done, total = total)
        events.last_progress = clock()  # the first is compiled before it is said
    end
end

"""
Do the first step, the warm-up and the measured steps; give samples and losses.

# Arguments
- `step`: called with the members of a batch; returns when its work is done, with something
  that `read_loss` turns into a number. Only this call is timed.
- `batches`: tuples, in memory; taken in order, again and again.
- `items`: images in each batch.
- `read_loss`: called outside the timed region. nothing: the work has no loss.
- `synchronised`: how `step` knows that its work is done, one of SYNCHRONISED.
- `name`: of the samples: what is timed.
- `prepare`: called with the members of a batch before each step, outside its time; returns
  the tuple that `step` is called with.
"""
function steps(
    job,
    step,
    batches;
    items,
    read_loss = identity,
    synchronised = "implicit",
    name = "train_step",
    prepare = tuple,
)
    synchronised in SYNCHRONISED || error("synchronised: $synchronised; known: $SYNCHRONISED")
    settings = job.settings
    losses = Float64[]
    done = 0
    function timed()
        arguments = prepare(batches[done%length(batches)+1]...)
        begun = time_ns()
        result = step(arguments...)
        ended = time_ns()
        done += 1
        read_loss === nothing || push!(losses, read_loss(result))
        return (ended - begun) * 1e-9
    end
    first_s = phase(timed, job, "first-step")
    warmup_s = phase(job, "warm-up") do
        repeat_timed(timed, job, settings.warmup_steps, Inf)
    end
    measured_s = phase(job, "measure") do
        repeat_timed(timed, job, settings.measure_steps, settings.measure_limit_s)
    end
    say(
        job.events,
        "samples";
        name = name,
        items = items,
        synchronised = synchronised,
        first_s = first_s,
        warmup_s = warmup_s,
        measured_s = measured_s,
    )
    read_loss === nothing || check(job, "losses", losses)
end

function repeat_timed(timed, job, count, limit_s)
    begun = clock()
    seconds = Float64[]
    while length(seconds) < count
        length(seconds) >= FEWEST_MEASURED && clock() - begun >= limit_s && break
        push!(seconds, timed())
        progress(job, length(seconds), count)
    end
    return seconds
end

"Take the output apart, call `work` with a Job, say how it ended, exit with 0 or 1."
function main(work)
    events = take_output_apart()
    noise = get(ENV, "RUNNER_NOISE", nothing)
    atexit(() -> events.is_over || end_early(events, noise))
    try
        make_noise(noise)
        work(Job(read_settings(ENV), events))
    catch error
        showerror(stderr, error, catch_backtrace())
        println(stderr)
        make_noise(noise)
        fail(events, kind_of(error), message_of(error))
        exit(1)
    end
    make_noise(noise)
    events.is_over = true
    say(events, "result")
    exit(0)
end

function fail(events, kind, message)
    events.is_over = true
    say(events, "error"; kind = kind, message = message)
end

"Report a framework that exits: Julia's exit cannot be caught, and its status is changed here."
function end_early(events, noise)
    events.phase === nothing || end_phase(events)
    make_noise(noise)
    fail(events, "exception", "exit() was called before the end")
    Libc.flush_cstdio()
    ccall(:_exit, Cvoid, (Cint,), 1)
end

"Write where frameworks write, for the host to see that it lands in the log."
function make_noise(text)
    text === nothing && return
    write_all(1, Vector{UInt8}(codeunits(text * "\n")))
    run(`printf '%s\n' $text`)
end

"Return what is inside the errors of including and of loading."
unwrapped(error) = error
unwrapped(error::Union{LoadError,InitError}) = unwrapped(error.error)

function kind_of(wrapped)
    error = unwrapped(wrapped)
    error isa BadRequest && return "contract"
    error isa Unsupported && return "unsupported"
    words = message_of(error)
    return any(occursin(w, words) for w in OUT_OF_MEMORY_WORDS) ? "out-of-memory" : "exception"
end

"Return what the error says; its type goes in front where it is none of ours."
function message_of(wrapped)
    error = unwrapped(wrapped)
    text = sprint(showerror, error)
    type = string(typeof(error))
    ours = error isa Union{BadRequest,Unsupported}
    ours || startswith(text, type) || (text = "$type: $text")
    return length(text) <= LONGEST_MESSAGE ? text : text[1:nextind(text, 0, LONGEST_MESSAGE)]
end

end
