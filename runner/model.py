"""The nouns of the project as frozen types. Imports nothing of ours, and the standard library only.

Units are in the names: ``_s`` seconds, ``_bytes`` bytes. A field that may be None says when.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

Scalar = str | int | float | bool


class Status(StrEnum):
    """How a job ended. Every record has one; every one but ``ok`` comes with a reason."""

    OK = "ok"
    BUILD_FAILED = "build-failed"
    BASE_UNAVAILABLE = "base-unavailable"
    UNAVAILABLE = "unavailable"
    UNSUPPORTED = "unsupported"
    UNSUPPORTED_DEVICE = "unsupported-device"
    DRIVER_TOO_OLD = "driver-too-old"
    OOM_HOST = "oom-host"
    OOM_GPU = "oom-gpu"
    TIMEOUT = "timeout"
    SILENT = "silent"
    CRASHED = "crashed"
    BAD_OUTPUT = "bad-output"
    CHECK_FAILED = "check-failed"
    DISTURBED = "disturbed"
    KILLED = "killed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class HostNeeds:
    """What the process backend must find on the host, since no container brings it.

    Attributes:
        programs: executables looked up on PATH.
        libraries: shared libraries by linker name (``openblas`` for libopenblas.so).
        packages: Debian packages that hold them, for the message.
    """

    programs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """Where an image was seen to work: a sentence, and the day (ISO 8601)."""

    where: str
    date: str


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownDefect:
    """What is known to be wrong with a release, and where that is told.

    Attributes:
        what: a sentence without its full stop.
        link: the thread or page that says so.
        stops: the cells that it keeps from having a number: ``device``, ``workload`` and
            parameters, which must all agree. Empty: it stops none.
    """

    what: str
    link: str
    stops: dict[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class CudaVariant:
    """What an image is made of for GPUs, where its folder makes one for processors.

    Its CUDA, cuDNN, GPU architectures and driver are the image's own facts. Folder cuda/ of the
    image's has its Dockerfile and its lock; without that folder it is the image itself, where base
    and packages are the same, or cannot be built.

    Attributes:
        base: tag of the base, with a digest where two sources agree on it; without one, the
            record has the digest that the tag had when it was pulled.
        newest_major: major compute capability of the newest GPUs that its CUDA has code for.
        base_sources: those that agree on the digest.
        packages: ``name==version``: in place of the lock's package of that name without
            ``-gpu``, or beyond the lock; the rest is the lock's.
        language_version: that of the base, where it is not the image's.
        trains: whether the image's script trains on a GPU; until it does, its cells are refused.
        verified: as of an image.
    """

    base: str
    newest_major: int
    base_sources: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    language_version: str = ""
    trains: bool = False
    verified: tuple[Verification, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """A folder under images/: one framework release in a pinned environment.

    Attributes:
        folder: the folder itself; holds image.yaml, Dockerfile, requirements.lock.
        released: the framework's release date, ISO 8601.
        language_version: ``major.minor``, as the interpreter is asked for.
        script: file name under scripts/.
        base_licence: under which terms the base image is given, in words.
        distribution: the package that brings the framework; empty where it has its name.
        environment: variables set in both backends before the script starts.
        python_versions: the Pythons that the release is for, as a version specifier (PEP 440):
            those of its wheels, or what its metadata asks for. Empty: not of Python.
        cuda_variant: where the folder makes an image for processors only; None: as far as is
            known there is none.
        known_defects: those that bear on what is measured here.
        verified: empty means never verified, and every listing says so.
        variant: folder below the image's own that this is made of, such as ``cuda``; empty: none.
    """

    name: str
    folder: Path
    framework: str
    framework_version: str
    released: str
    language: str
    language_version: str
    script: str
    workloads: tuple[str, ...]
    base_licence: str = ""
    distribution: str = ""
    devices: tuple[str, ...] = ("cpu",)
    environment: dict[str, str] = field(default_factory=dict)
    host_needs: HostNeeds = HostNeeds()
    cpu_instructions: tuple[str, ...] = ()
    cuda: str | None = None
    cudnn: str | None = None
    gpu_architectures: tuple[str, ...] = ()
    minimum_driver: str | None = None
    cuda_variant: CudaVariant | None = None
    python_versions: str = ""
    known_defects: tuple[KnownDefect, ...] = ()
    verified: tuple[Verification, ...] = ()
    notes: str = ""
    variant: str = ""

    @property
    def full_name(self) -> str:
        """Name with the variant's, as the folder has it below images/."""
        return f"{self.name}/{self.variant}" if self.variant else self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a job may use. Fixed by the matrix, never taken from what happens to be free.

    Attributes:
        timeout_s: wall-clock seconds from start to end.
        silence_s: seconds without any output, on either stream.
        memory_bytes: of the whole container or process tree; there is no swap on top.
        processes: processes and threads together, as the kernel's pids controller counts.
        shared_memory_bytes: size of /dev/shm in a container.
        scratch_bytes: size of the tmpfs at /tmp in a container; counts towards memory.
        cores: how many whole cores; which ones is in the job.
    """

    timeout_s: float = 900.0
    silence_s: float = 300.0
    memory_bytes: int = 8 * 1024**3
    processes: int = 512
    shared_memory_bytes: int = 1024**3
    scratch_bytes: int = 2 * 1024**3
    cores: int = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildLimits:
    """Bounds of one image build: seconds in all, and seconds without a line of progress."""

    timeout_s: float = 1800.0
    silence_s: float = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a cell is sampled.

    Attributes:
        launches: fresh processes a cell.
        warmup_steps: steps after the first that are recorded apart and not estimated from.
        measure_steps: steps that are estimated from.
        measure_limit_s: seconds after which measuring ends early, once 5 steps are in.
        precision: half-width of a cell's interval, as a share of its value, that launching goes
            on for: `launches` are then the first batch, whose spread fixes the number. None:
            `launches` it is.
        max_launches: launches of a cell at the most, where there is a precision.
        budget_s: wall seconds of a cell's jobs after which it is launched no more; None: any.
    """

    launches: int = 3
    warmup_steps: int = 5
    measure_steps: int = 20
    measure_limit_s: float = 60.0
    precision: float | None = None
    max_launches: int = 50
    budget_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """How much a job may be disturbed while it measures, and count all the same.

    Shares are of the time of the job's cores, or of the stretch in which it measured. None
    (False for what is one): never mind.

    Attributes:
        others_share: used by processes that are neither the job's nor the runner's.
        steal_share: taken away by the hypervisor.
        stall_share: in which some process waited for memory (the kernel's PSI).
        swapped_bytes: moved to and from swap, by the whole machine.
        frequency_share: of the nominal clock, below which the mean clock may not be.
        throttled: whether being slowed for heat or power disturbs.
        shared_gpu: whether another process on the job's GPU disturbs.
        repeats: launches of a cell that are repeated in a run because they were disturbed.
    """

    others_share: float | None = 0.10
    steal_share: float | None = 0.05
    stall_share: float | None = 0.05
    swapped_bytes: int | None = 1024**2
    frequency_share: float | None = 0.75
    throttled: bool = True
    shared_gpu: bool = True
    repeats: int = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One image on one workload with one set of parameters: one box of a table.

    Attributes:
        parameters: every parameter of the workload, defaults filled in.
        variant: what the suite varies within image and workload, such as ``compiler=xla``;
            empty where it varies nothing.
    """

    suite: str
    image: str
    workload: str
    protocol: str
    parameters: dict[str, Scalar]
    device: str = "cpu"
    variant: str = ""

    @property
    def label(self) -> str:
        """Name for people and filters: ``image/workload`` or ``image/workload/variant``."""
        name = f"{self.image}/{self.workload}"
        return f"{name}/{self.variant}" if self.variant else name


@dataclass(frozen=True, kw_only=True, slots=True)
class Exclusion:
    """Cells that a suite leaves out, and why: globs, and parameters that must all agree."""

    image: str
    workload: str
    parameters: dict[str, Scalar]
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Inclusion:
    """Cells that a suite has beyond its product of images, workloads and axes."""

    images: tuple[str, ...]
    workload: str
    parameters: dict[str, Scalar]


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuNeeds:
    """What a suite asks of each GPU; None and empty: nothing.

    Attributes:
        memory_bytes: the least that will do, as the driver says.
        architectures: such as ``sm_90``; one of them.
    """

    memory_bytes: int | None = None
    architectures: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """The cells of one table: images x workload parameters x protocol.

    Attributes:
        images: globs over image names.
        workloads: name to the parameters that the suite fixes.
        axes: parameter to the values that it takes, in the order of the table.
        device: ``cpu`` or ``cuda``: what every cell is measured on.
        gpu: which GPUs will do, where that is ``cuda``.
        precision, max_launches, budget_s: take the place of the profile's; None: the profile's.
        published: name of a folder of results/published/, whose rows are the cells, in both
            protocols; images, workloads and axes are then empty. Empty: they are the cells.
        batches: of a published suite, the most images a step of a workload, where the
            document's batch is too large for the machine.
        stand_ins: of a published suite, an image to the one that is taken in its place, under its
            own name, where the document's cannot run on what the suite measures on.
        profiles: take the place of the matrix's profiles of the same names.
    """

    name: str
    title: str
    protocol: str
    images: tuple[str, ...]
    workloads: dict[str, dict[str, Scalar]]
    axes: dict[str, tuple[Scalar, ...]] = field(default_factory=dict)
    include: tuple[Inclusion, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    limits: Limits = Limits()
    device: str = "cpu"
    gpu: GpuNeeds = GpuNeeds()
    precision: float | None = None
    max_launches: int | None = None
    budget_s: float | None = None
    published: str = ""
    batches: dict[str, int] = field(default_factory=dict)
    stand_ins: dict[str, str] = field(default_factory=dict)
    profiles: dict[str, Sampling] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """A whole matrix.yaml, checked.

    Attributes:
        text: the file's own text, kept in every run made from it.
        build_parallel: images built at once.
        tolerance: what disturbs a job too much for it to count.
    """

    text: str
    default_suite: str
    default_profile: str
    suites: dict[str, Suite]
    profiles: dict[str, Sampling]
    build: BuildLimits
    build_parallel: int
    order_seed: int
    seed: int
    tolerance: Tolerance = Tolerance()


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One launch of a cell, in a process of its own; leaves one record.

    Attributes:
        gpus: UUIDs of the GPUs that are the job's alone; empty for a job on processors.
    """

    id: str
    cell: Cell
    launch: int
    sampling: Sampling
    limits: Limits
    cores: tuple[int, ...]
    seed: int = 1
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """The base image that was used, and what stood in for it where it could not be had.

    Attributes:
        reference: as the Dockerfile pins it, ``tag@sha256:...``.
        substituted_by: tag and id of the stand-in, or None where the pinned base was used.
    """

    reference: str
    substituted_by: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """An image made ready on a backend.

    Attributes:
        digest: content identity: the engine's image id, or for the process backend a hash
            over lock, interpreter and installer.
        location: where it is: an image tag, or the folder of the virtual environment.
        lock_sha256: of requirements.lock.
        scripts_sha256: over every file of scripts/ that the image holds.
        facts: what else a reader may ask (interpreter, apt versions, engine's image size).
    """

    image: Image
    digest: str
    location: str
    lock_sha256: str
    scripts_sha256: str
    base: Base | None = None
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """All that a backend needs to start a process in an environment.

    Attributes:
        id: unique on this machine; labels whatever the backend makes.
        variables: the whole contract and thread counts; the image's own are added first.
        command: argv to run instead of the image's script, or None for the script.
        data_file: a file of the host that the script may read, or None.
        gpus: UUIDs of the GPUs that the process may use.
    """

    id: str
    environment: Environment
    variables: dict[str, str]
    limits: Limits
    cores: tuple[int, ...]
    command: tuple[str, ...] | None = None
    data_file: Path | None = None
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Cgroup:
    """Where the kernel accounts for a job, on this host.

    Attributes:
        version: 1 or 2.
        memory: folder of the memory controller.
        cpu: folder of the cpu accounting controller (the same one on version 2).
    """

    version: int
    memory: Path
    cpu: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryReading:
    """Bytes in use at one moment.

    Attributes:
        anonymous_bytes: anonymous and shared memory: what the job itself holds.
        total_bytes: with page cache, as the memory controller charges it; None if unknown.
    """

    anonymous_bytes: int
    total_bytes: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """A piece of what a job wrote. ``stream`` is ``stdout`` or ``stderr``."""

    stream: str
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How the process ended, as the kernel and the engine say it.

    Attributes:
        exit_code: None when a signal ended it.
        signal: None when it exited by itself.
        oom_kills: processes that the kernel ended for memory (the cgroup's own counter,
            or the engine's word); None where nothing counts.
        process_limit_hits: forks that the kernel refused; None where nothing counts.
        memory_peak_bytes: the kernel's own high-water mark of charged memory; None where
            there is none.
    """

    exit_code: int | None
    signal: int | None
    oom_kills: int | None = None
    process_limit_hits: int | None = None
    memory_peak_bytes: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """A stretch of a job, in seconds of the script's own monotonic clock since its start."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """Raw timings of one kind of step, in the order they were taken.

    Attributes:
        name: what was timed, such as ``train_step``.
        items: things one step processed (images); a rate is items / seconds.
        synchronised: how the timed region is closed: ``implicit``, ``synchronise``, ``event``.
        first_s: seconds of the very first step, with whatever it compiles.
        warmup_s: seconds of each warm-up step; shown, never estimated from.
        measured_s: seconds of each measured step.
    """

    name: str
    items: int
    synchronised: str
    first_s: float
    warmup_s: tuple[float, ...]
    measured_s: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Communication:
    """What working together costs the devices of one job, raw, taken after its measured steps.

    Attributes:
        reduced_bytes: of the gradients that a step sums over all devices.
        alone_s: seconds of the same step on all devices without summing.
        all_reduce_s: seconds in which all-reduce kernels ran on the first device, in one step
            each, the wait for the others included; empty where nothing tells.
        probe_bytes, probe_s: an all-reduce of so many bytes, and nothing else.
    """

    reduced_bytes: int
    alone_s: tuple[float, ...]
    all_reduce_s: tuple[float, ...]
    probe_bytes: int
    probe_s: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A number that says the work was done right, what it was held to, and the verdict."""

    name: str
    value: str
    expected: str
    passed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Hello:
    """What the script says of itself before it measures. Threads as the framework says them,
    or None where it does not say; ``threads_source`` tells where the number came from.
    """

    contract: int
    framework: str
    framework_version: str
    language: str
    language_version: str
    libraries: dict[str, str]
    device: str
    threads: int | None
    threads_source: str
    data: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryUse:
    """Memory of the whole job seen from outside, while it measured.

    Attributes:
        peak_bytes: largest anonymous memory among the readings.
        average_bytes: mean of the readings.
        readings: how many were taken while the job measured.
        interval_s: seconds between two readings.
        method: what was read, such as ``cgroup v1 memory.stat total_rss``.
        kernel_peak_bytes: the kernel's high-water mark over the whole job, page cache
            included; None where there is none.
        allocator_peak_bytes: the framework allocator's own peak; None where it has none.
    """

    peak_bytes: int
    average_bytes: int
    readings: int
    interval_s: float
    method: str
    kernel_peak_bytes: int | None = None
    allocator_peak_bytes: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What else happened to a job's cores while it measured. None: it is not to be seen here.

    Shares and clocks are over the job's cores and the whole stretch, so that 2 cores of which
    others had one for half of it come to 0.25.

    Attributes:
        window_s: how long the job measured, as the host heard of it.
        others_share: processor time that was neither idle, nor stolen, nor the job's or the
            runner's own. None in a stretch too short for the kernel's clock ticks.
        steal_share: processor time that the hypervisor gave to other machines.
        stall_share: part of the stretch in which some process waited for memory.
        swapped_bytes: moved to and from swap, by the whole machine.
        frequency_hz: mean of the readings of the clock.
        nominal_hz: the clock that the processor is sold with.
        throttle_events: times that the processor slowed itself down for heat or power.
        readings: of the clock.
    """

    window_s: float
    others_share: float | None = None
    steal_share: float | None = None
    stall_share: float | None = None
    swapped_bytes: int | None = None
    frequency_hz: float | None = None
    nominal_hz: float | None = None
    throttle_events: int | None = None
    readings: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuMemory:
    """A peak of GPU memory, never without how it was come by.

    Attributes:
        method: ``accounting``: the driver's own high-water mark of each process; ``sampling``:
            the largest of the readings of what the job's processes hold; ``allocator``: the
            framework's word, of its own pool, which leaves out the context and libraries.
        interval_s: seconds between two readings; None where nothing was sampled.
    """

    peak_bytes: int
    method: str
    interval_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuUse:
    """A GPU while a job measured on it, read from outside. None: the driver does not say.

    Attributes:
        uuid: which GPU.
        memory: each way to know the peak that there was.
        energy_j: growth of the GPU's total-energy counter over the stretch.
        energy_caveat: what is known of that counter's error; empty without one.
        clock_hz, nominal_hz: mean of the readings of the SM clock, and the default application
            clock, or the highest where there is none.
        throttle_reasons: those seen in any reading, as NVML names them.
        utilisation_share: mean of the readings; the share of time in which any kernel ran.
        others: processes on the job's GPUs that are not its own; None where its own are not to
            be seen among them.
    """

    uuid: str
    memory: tuple[GpuMemory, ...] = ()
    energy_j: float | None = None
    energy_caveat: str = ""
    clock_hz: float | None = None
    nominal_hz: float | None = None
    throttle_reasons: tuple[str, ...] = ()
    power_w: float | None = None
    temperature_c: float | None = None
    utilisation_share: float | None = None
    others: int | None = None
    readings: int = 0
    interval_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentFacts:
    """What of an environment is kept in a record."""

    digest: str
    lock_sha256: str
    scripts_sha256: str
    base: Base | None = None
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What is kept of a job, whether it succeeded or not. One line of records.jsonl.

    Attributes:
        identity: hash over everything that must agree for two results to be the same one;
            None where no environment could be made.
        status, reason: how it ended; reason is empty only for ``ok``.
        evidence: last lines of its log, where it failed.
        cpu_s: processor seconds used while it measured, over all cores; None if unknown.
        losses: loss of every step, first and warm-up steps included; None where not finite.
        load: what else happened meanwhile; None where it never measured.
        gpu: the GPU meanwhile; None for a job without one, or without a driver that says.
        communication: None for a job on one device.
    """

    schema: int
    job: str
    cell: Cell
    launch: int
    backend: str
    status: Status
    reason: str
    started_at: str
    wall_s: float
    sampling: Sampling
    limits: Limits
    cores: tuple[int, ...]
    seed: int
    identity: str | None = None
    evidence: str = ""
    environment: EnvironmentFacts | None = None
    command: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    outcome: Outcome | None = None
    hello: Hello | None = None
    phases: tuple[Phase, ...] = ()
    samples: tuple[Samples, ...] = ()
    losses: tuple[float | None, ...] = ()
    checks: tuple[Check, ...] = ()
    memory: MemoryUse | None = None
    cpu_s: float | None = None
    load: Load | None = None
    gpu: GpuUse | None = None
    communication: Communication | None = None
    log: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peak:
    """The fastest that a machine was seen to compute: an upper bound for what frameworks reach.

    Attributes:
        flops: floating-point operations a second.
        method: what was computed, with what, on which cores.
    """

    flops: float
    method: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One invocation of ``runner matrix``: the contents of run.json.

    Attributes:
        backend_reason: why this backend was taken.
        cells: every cell of the suite that was selected, in the order of the table.
        host: facts of the machine, as telemetry/host.py reads them.
        fingerprint: hash of those facts that must agree for absolute comparison.
        engine: facts of the backend.
        peak: measured on the jobs' cores before the first of them; None where it could not be.
    """

    schema: int
    id: str
    suite: str
    title: str
    profile: str
    sampling: Sampling
    backend: str
    backend_reason: str
    started_at: str
    command: tuple[str, ...]
    matrix_sha256: str
    matrix_text: str
    order_seed: int
    only: tuple[str, ...]
    cells: tuple[Cell, ...]
    fingerprint: str
    host: dict[str, object] = field(default_factory=dict)
    engine: dict[str, str] = field(default_factory=dict)
    peak: Peak | None = None
