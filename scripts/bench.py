"""The script's half of the contract with the host; docs/contract.md is the whole of it.

One file for Python 2.7 and 3.5 to 3.13, standard library only. It must be imported before
any framework, and a script is used so:

    import bench

    def train(job):
        with job.phase("import"):
            import framework
        job.hello("framework", framework.__version__, ...)
        with job.phase("data"):
            batches = [(images, labels), ...]
        with job.phase("build"):
            step = ...
        job.steps(step, batches, items=128)

    if __name__ == "__main__":
        bench.main(train)
"""

import collections
import contextlib
import ctypes
import fcntl
import json
import os
import platform
import subprocess
import sys
import time
import traceback

CONTRACT = 1
PREFIX = "RUNNER_PARAMETER_"
PHASES = ("import", "data", "build", "first-step", "warm-up", "measure")
SYNCHRONISED = ("implicit", "synchronise", "event", "none")
FEWEST_MEASURED = 5  # steps that are measured even when the limit has passed
PROGRESS_INTERVAL_S = 0.25
LONGEST_MESSAGE = 4000  # characters; the log has the rest

# How the frameworks' allocators say that there is no memory left; types are compared by
# name, since no framework may be imported here.
OUT_OF_MEMORY_TYPES = ("MemoryError", "OutOfMemoryError", "ResourceExhaustedError")
OUT_OF_MEMORY_WORDS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "RESOURCE_EXHAUSTED",
    "OOM when allocating",
)


class BadRequest(Exception):
    """The host's variables break the contract; every problem is in the message."""


class Unsupported(Exception):
    """The framework, its wheel or the script cannot do what was asked."""


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def _clock_of_libc():
    """Return seconds of CLOCK_MONOTONIC, for Python 2.7, which has no monotonic clock."""
    now = _Timespec()
    if _libc.clock_gettime(1, ctypes.byref(now)) != 0:
        raise OSError(ctypes.get_errno(), "clock_gettime")
    return now.seconds + now.nanoseconds * 1e-9


if hasattr(time, "monotonic"):
    clock = time.monotonic
else:
    _libc = ctypes.CDLL(None, use_errno=True)
    clock = _clock_of_libc

STARTED = clock()

Settings = collections.namedtuple(
    "Settings",
    "workload protocol parameters warmup_steps measure_steps measure_limit_s"
    " seed device threads data_file",
)


def read_settings(environment):
    """Return the Settings that `environment`, a mapping of strings, holds.

    Raises:
        BadRequest: another version of the contract, or variables missing or malformed.
    """
    found = environment.get("RUNNER_CONTRACT")
    if found != str(CONTRACT):
        raise BadRequest(
            "RUNNER_CONTRACT: found %s; this script knows version %d" % (_quoted(found), CONTRACT)
        )
    problems = []

    def read(name, convert, accept, expected):
        text = environment.get(name)
        try:
            value = convert(text)
            if accept(value):
                return value
        except (TypeError, ValueError):
            pass
        problems.append("%s: found %s, expected %s" % (name, _quoted(text), expected))
        return None

    def among(*words):
        return (lambda text: text, lambda text: text in words, " or ".join(words))

    def at_least(lowest):
        return (int, lambda number: number >= lowest, "an integer of at least %d" % lowest)

    settings = Settings(
        workload=read("RUNNER_WORKLOAD", lambda text: text, bool, "a name"),
        protocol=read("RUNNER_PROTOCOL", *among("fair", "as-published")),
        parameters={
            name[len(PREFIX) :].lower(): value
            for name, value in environment.items()
            if name.startswith(PREFIX)
        },
        warmup_steps=read("RUNNER_WARMUP_STEPS", *at_least(0)),
        measure_steps=read("RUNNER_MEASURE_STEPS", *at_least(1)),
        measure_limit_s=read(
            "RUNNER_MEASURE_LIMIT_S", float, lambda seconds: seconds > 0, "seconds above 0"
        ),
        seed=read("RUNNER_SEED", int, lambda seed: 0 <= seed < 2**32, "an integer in [0, 2^32)"),
        device=read("RUNNER_DEVICE", *among("cpu", "cuda")),
        threads=read("RUNNER_THREADS", *at_least(1)),
        data_file=environment.get("RUNNER_DATA_FILE"),
    )
    if problems:
        raise BadRequest("; ".join(problems))
    return settings


def read_parameters(given, kinds, defaults):
    """Return {name: value} for exactly the parameters of `kinds`.

    Args:
        given: {name: text} as the host gave it.
        kinds: {name: kind}; a kind is int, float, bool (`0` or `1`) or a tuple of the words
            that are known.
        defaults: {name: text} of those that need not be given.

    Raises:
        Unsupported: any parameter is missing, malformed, or not among `kinds`: what is asked
            for must be what is measured, so nothing is passed over.
    """
    problems = [
        "unknown parameter %s; known: %s" % (_quoted(name), ", ".join(sorted(kinds)))
        for name in sorted(set(given) - set(kinds))
    ]
    values = {}
    for name, kind in sorted(kinds.items()):
        text = given.get(name, defaults.get(name))
        words = ("0", "1") if kind is bool else kind if isinstance(kind, tuple) else None
        try:
            if words is not None and text not in words:
                raise ValueError(text)
            values[name] = text == "1" if kind is bool else text if words else kind(text)
        except (TypeError, ValueError):
            expected = " or ".join(words) if words else kind.__name__
            problem = "parameter %s: %s; expected %s" % (name, _quoted(text), expected)
            problems.append(problem)
    if problems:
        raise Unsupported("; ".join(problems))
    return values


def clocked_call(step, batch):
    """Return what `step` returns for a batch, and the seconds of the clock that it took."""
    begun = clock()
    result = step(*batch)
    ended = clock()
    return result, ended - begun


def versions(*names):
    """Return {name: version} of modules already imported, as each says it of itself."""
    return {name: str(sys.modules[name].__version__) for name in names}


class Events(object):
    """Descriptor 1 taken apart: events go to a private copy, all else written there to 2."""

    def __init__(self):
        self._descriptor = os.dup(1)
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFD)
        fcntl.fcntl(self._descriptor, fcntl.F_SETFD, flags | fcntl.FD_CLOEXEC)
        os.dup2(2, 1)
        sys.stdout = sys.stderr  # one buffer, so that the log is in the order of writing

    def write(self, event, **fields):
        """Write one line; numbers that JSON has not become text."""
        line = collections.OrderedDict(event=event)
        line["time_s"] = clock() - STARTED
        for name in sorted(fields):
            line[name] = _finite(fields[name])
        rest = (json.dumps(line, allow_nan=False) + "\n").encode("ascii")
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


class Job(object):
    """One launch as the script sees it: what was asked, and the events that answer.

    Attributes:
        settings: a Settings.
    """

    def __init__(self, settings, events):
        self.settings = settings
        self._events = events
        self._phase = None
        self._last_progress = None

    def parameters(self, kinds, defaults):
        """Return the parameters as a namedtuple; see `read_parameters`."""
        values = read_parameters(self.settings.parameters, kinds, defaults)
        return collections.namedtuple("Parameters", sorted(values))(**values)

    def require(self, setting, known):
        """Return a setting that must be among `known`.

        Raises:
            Unsupported: it is not; the message lists what is.
        """
        value = getattr(self.settings, setting)
        if value not in known:
            listed = ", ".join(sorted(known))
            raise Unsupported("%s: %s; known: %s" % (setting, _quoted(value), listed))
        return value

    @contextlib.contextmanager
    def phase(self, name):
        """Mark a phase; phases do not nest."""
        if name not in PHASES or self._phase is not None:
            raise RuntimeError("phase %s cannot begin inside %s" % (name, self._phase))
        self._phase = name
        self._events.write("phase", name=name, state="begin")
        try:
            yield
        finally:
            self._phase = None
            self._events.write("phase", name=name, state="end")

    def hello(
        self, framework, framework_version, libraries, threads, threads_source, data, device=None
    ):
        """Say who measures; right after the import phase. `threads` may be None.

        Args:
            device: what the framework says of the device, after its kind and a colon; by
                default the kind that was asked for.
        """
        self._events.write(
            "hello",
            contract=CONTRACT,
            framework=framework,
            framework_version=str(framework_version),
            language="python",
            language_version=platform.python_version(),
            libraries=libraries,
            device=device or self.settings.device,
            threads=threads,
            threads_source=threads_source,
            data=data,
        )

    def check(self, name, value):
        """Give a number that says the work was done right; the host holds it to its own."""
        self._events.write("check", name=name, value=value)

    def memory(self, allocator_peak_bytes):
        """Give the peak of the framework's own allocator, in bytes."""
        self._events.write("memory", allocator_peak_bytes=allocator_peak_bytes)

    def communication(self, reduced_bytes, alone_s, all_reduce_s, probe_bytes, probe_s):
        """Give what working together costs the devices of one job; docs/contract.md says what."""
        self._events.write(
            "communication",
            reduced_bytes=reduced_bytes,
            alone_s=alone_s,
            all_reduce_s=all_reduce_s,
            probe_bytes=probe_bytes,
            probe_s=probe_s,
        )

    def progress(self, done, total):
        """Say how far the phase is; what comes too soon after the last is left out."""
        now = clock()
        if self._last_progress is None or now - self._last_progress >= PROGRESS_INTERVAL_S:
            self._last_progress = now
            self._events.write("progress", phase=self._phase, done=done, total=total)

    def steps(
        self,
        step,
        batches,
        items,
        read_loss=float,
        synchronised="implicit",
        timed_call=None,
        name="train_step",
        prepare=None,
    ):
        """Do the first step, the warm-up and the measured steps; give samples and losses.

        Args:
            step: called with the members of a batch; returns when its work is done, with
                something that `read_loss` turns into a float. Only this call is timed.
            batches: list of tuples, in memory; taken in order, again and again.
            items: images in each batch.
            read_loss: called outside the timed region. None: the work has no loss.
            synchronised: how `step` knows that its work is done, one of SYNCHRONISED.
            timed_call: called with `step` and a batch; returns the step's result and its
                seconds. By default, the clock is read before and after.
            name: of the samples: what is timed.
            prepare: called with the members of a batch before each step, outside its time;
                returns the tuple that `step` is called with.
        """
        run = self._timer(step, synchronised, timed_call, prepare)
        losses = []
        done = [0]

        def timed():
            result, seconds = run(batches[done[0] % len(batches)])
            done[0] += 1
            if read_loss is not None:
                losses.append(float(read_loss(result)))
            return seconds

        with self.phase("first-step"):
            first_s = timed()
        with self.phase("warm-up"):
            warmup_s = self._repeat(timed, self.settings.warmup_steps, float("inf"))
        with self.phase("measure"):
            limit_s = self.settings.measure_limit_s
            measured_s = self._repeat(timed, self.settings.measure_steps, limit_s)
        self._samples(name, items, synchronised, first_s, warmup_s, measured_s)
        if read_loss is not None:
            self.check("losses", losses)

    def epochs(
        self,
        step,
        batches,
        epochs,
        sizes,
        read,
        synchronised="implicit",
        timed_call=None,
        validate=None,
    ):
        """Do every batch of every epoch, in order; give the samples of all steps, and checks.

        There is no warm-up and no limit: the very first step is apart, the rest are measured.

        Args:
            step, batches, synchronised, timed_call: as `steps` has them.
            epochs: how often to go through the batches.
            sizes: images in each batch.
            read: called with what a step returned, outside the timed region; returns its loss
                and how many of its images it got right.
            validate: called after each epoch with nothing, timed apart; returns how many images
                it went through. None: there is no validation.
        """
        run = self._timer(step, synchronised, timed_call, None)
        seconds, validation_s, told = [], [], []
        validated = 0
        total = epochs * len(batches)

        def timed(batch):
            result, took = run(batch)
            seconds.append(took)
            told.append(read(result))

        with self.phase("first-step"):
            timed(batches[0])
        with self.phase("measure"):
            for epoch in range(epochs):
                for batch in batches[1 if epoch == 0 else 0 :]:
                    timed(batch)
                    self.progress(len(seconds), total)
                if validate is not None:
                    validated, took = clocked_call(validate, ())
                    validation_s.append(took)
        self._samples("step", max(sizes), synchronised, seconds[0], [], seconds[1:])
        if validate is not None:
            first_s, rest_s = validation_s[0], validation_s[1:]
            self._samples("validation", validated, synchronised, first_s, [], rest_s)
        self.check("losses", [float(loss) for loss, _ in told])
        last = list(zip(told[-len(batches) :], sizes))
        images = float(sum(sizes))
        self.check("loss", sum(float(loss) * size for (loss, _), size in last) / images)
        self.check("accuracy", sum(int(right) for (_, right), _ in last) / images)
        self.check("epoch_steps", len(batches))
        self.check("epoch_images", sum(sizes))

    def _timer(self, step, synchronised, timed_call, prepare):
        """Return what does a step with a batch: its result, and the seconds that it took."""
        if synchronised not in SYNCHRONISED:
            raise ValueError("synchronised: %r; known: %s" % (synchronised, SYNCHRONISED))
        timed_call = timed_call or clocked_call
        if prepare is None:
            return lambda batch: timed_call(step, batch)
        return lambda batch: timed_call(step, prepare(*batch))

    def _samples(self, name, items, synchronised, first_s, warmup_s, measured_s):
        self._events.write(
            "samples",
            name=name,
            items=items,
            synchronised=synchronised,
            first_s=first_s,
            warmup_s=warmup_s,
            measured_s=measured_s,
        )

    def _repeat(self, timed, count, limit_s):
        begun = clock()
        seconds = []
        while len(seconds) < count:
            if len(seconds) >= FEWEST_MEASURED and clock() - begun >= limit_s:
                break
            seconds.append(timed())
            self.progress(len(seconds), count)
        return seconds


def main(work):
    """Take the output apart, call `work` with a Job, say how it ended, exit with 0 or 1."""
    events = Events()
    noise = os.environ.get("RUNNER_NOISE")
    try:
        _make_noise(noise)
        work(Job(read_settings(os.environ), events))
    except BaseException as error:  # noqa: BLE001 - a framework that exits is reported, too
        traceback.print_exc()
        _make_noise(noise)
        events.write("error", kind=_kind(error), message=_message(error))
        sys.exit(1)
    sys.stderr.flush()
    _make_noise(noise)
    events.write("result")
    sys.exit(0)


def _make_noise(text):
    """Write where frameworks write, for the host to see that it lands in the log."""
    if text is None:
        return
    os.write(1, (os.fsencode(text) if hasattr(os, "fsencode") else text) + b"\n")
    subprocess.call([sys.executable, "-c", "import sys; print(sys.argv[1])", text])


def _kind(error):
    if isinstance(error, BadRequest):
        return "contract"
    if isinstance(error, Unsupported):
        return "unsupported"
    words = _message(error)
    if type(error).__name__ in OUT_OF_MEMORY_TYPES:
        return "out-of-memory"
    return "out-of-memory" if any(w in words for w in OUT_OF_MEMORY_WORDS) else "exception"


def _message(error):
    """Return what the error says; its type goes in front where it is none of ours."""
    ours = isinstance(error, (BadRequest, Unsupported))
    lines = traceback.format_exception_only(type(error), error)
    text = str(error) if ours else "".join(lines).strip()
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return text[:LONGEST_MESSAGE]


def _quoted(text):
    return "none" if text is None else "'%s'" % text


def _finite(value):
    """Return `value` with "nan", "inf" or "-inf" for each number that JSON cannot hold."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return repr(float(value))
    return value
