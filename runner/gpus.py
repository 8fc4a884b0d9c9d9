"""Which GPUs a run measures on, and one job a GPU at a time, in respect of other runners.

A GPU is held by a lock on a file with its UUID in a folder of the whole machine, so that any
program may respect it: ``flock --exclusive /run/lock/runner-gpu-<UUID>.lock COMMAND``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.documents import hint
from runner.errors import ConfigurationError
from runner.telemetry import nvml
from runner.telemetry.host import GpuFacts, parse_list
from runner.telemetry.nvml import Library

_FOLDERS = (Path("/run/lock"), Path("/var/lock"))
_LOOK_S = 0.5
_WORD_BITS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """A GPU of this machine.

    Attributes:
        index: place in NVML's order, which ``nvidia-smi`` shows.
        cores: of the processor that it is attached to, which this process may use.
    """

    index: int
    facts: GpuFacts
    cores: tuple[int, ...]

    @property
    def uuid(self) -> str:
        """What locks and jobs go by."""
        return self.facts.uuid


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """A GPU together with its share of cores."""

    uuid: str
    cores: tuple[int, ...]


def read(library: Library, root: Path = Path("/")) -> tuple[Gpu, ...]:
    """Return the GPUs of this machine, in NVML's order.

    Args:
        root: stands for ``/`` where the machine's topology is read.
    """
    mine = tuple(sorted(os.sched_getaffinity(0)))
    found = []
    for index, facts in enumerate(nvml.facts(library)):
        handle = library.nvmlDeviceGetHandleByIndex(index)
        near = _affinity(library, handle, root)
        cores = tuple(core for core in mine if core in near) or mine
        found.append(Gpu(index=index, facts=facts, cores=cores))
    return tuple(found)


def _affinity(library: Library, handle: object, root: Path) -> frozenset[int]:
    """Return the cores near a GPU, as NVML says, or its PCI device's NUMA node; else none."""
    words = (os.cpu_count() or 1) // _WORD_BITS + 1
    mask = nvml.asked(lambda: library.nvmlDeviceGetCpuAffinity(handle, words))
    if mask is not None:
        return cores_of_mask(tuple(mask))
    pci = nvml.asked(lambda: library.nvmlDeviceGetPciInfo(handle))
    if pci is None:
        return frozenset()
    # NVML gives the domain eight digits, the kernel four
    place = nvml.text(pci.busId).lower()[-12:]
    try:
        node = int((root / "sys/bus/pci/devices" / place / "numa_node").read_text())
        listed = (root / f"sys/devices/system/node/node{node}/cpulist").read_text()
    except (OSError, ValueError):
        return frozenset()
    return frozenset(parse_list(listed.strip()))


def users(library: Library, uuid: str) -> tuple[str, ...]:
    """Return in words each process that computes on a GPU now."""
    handle = nvml.asked(lambda: library.nvmlDeviceGetHandleByUUID(uuid))
    running = nvml.processes(library, handle)
    return tuple(f"process {found.pid} computed on {uuid}" for found in running or ())


def cores_of_mask(words: Sequence[int]) -> frozenset[int]:
    """Return the numbers of the bits that are set, of words of 64 bits, the lowest first.

    >>> sorted(cores_of_mask((0b101, 1)))
    [0, 2, 64]
    """
    return frozenset(
        place * _WORD_BITS + bit
        for place, word in enumerate(words)
        for bit in range(_WORD_BITS)
        if word >> bit & 1
    )


def select(gpus: Sequence[Gpu], wanted: Sequence[str]) -> tuple[Gpu, ...]:
    """Return the GPUs that are asked for by index, UUID or part of their model's name.

    None asked for means all of them.

    Raises:
        ConfigurationError: one matches none; the message lists what there is.
    """
    if not wanted:
        return tuple(gpus)
    chosen: dict[str, Gpu] = {}
    problems = []
    for text in wanted:
        matched = [gpu for gpu in gpus if _matches(gpu, text)]
        chosen |= {gpu.uuid: gpu for gpu in matched}
        if not matched:
            known = [f"{gpu.index}: {gpu.facts.name} {gpu.uuid}" for gpu in gpus]
            problems.append(f"no GPU {text!r}; {hint(text, known) if known else 'there is none'}")
    if problems:
        raise ConfigurationError("--gpu", problems)  # noqa: EM101 - a source, not a message
    return tuple(sorted(chosen.values(), key=lambda gpu: gpu.index))


def _matches(gpu: Gpu, text: str) -> bool:
    if text.isdecimal():
        return gpu.index == int(text)
    return text == gpu.uuid or text.lower() in gpu.facts.name.lower()


def share_cores(gpus: Sequence[Gpu], each: int) -> tuple[Slot, ...]:
    """Give each GPU `each` cores of its own, of those near it as long as there are any.

    Raises:
        ConfigurationError: there are too few; fewer would be another measurement.
    """
    every = sorted({core for gpu in gpus for core in gpu.cores})
    if len(every) < each * len(gpus):
        problem = (
            f"limits.cores is {each} a GPU, {each * len(gpus)} for {len(gpus)} GPUs, and this "
            f"machine has {len(every)}; set it lower, or choose fewer with --gpu"
        )
        raise ConfigurationError("matrix", [problem])  # noqa: EM101 - a source, not a message
    free = list(every)
    slots: dict[str, list[int]] = {}
    for gpu in gpus:
        near = [core for core in free if core in gpu.cores][:each]
        slots[gpu.uuid] = near
        free = [core for core in free if core not in near]
    for cores in slots.values():  # what is left goes to those whose own processor is too small
        while len(cores) < each:
            cores.append(free.pop(0))
    return tuple(Slot(uuid=uuid, cores=tuple(sorted(cores))) for uuid, cores in slots.items())


def lock_folder(environment: Mapping[str, str]) -> Path:
    """Return where locks of the whole machine are: a folder that every user may write to."""
    for folder in _FOLDERS:
        if folder.is_dir() and os.access(folder, os.W_OK):
            return folder
    return Path(environment.get("XDG_RUNTIME_DIR") or "/tmp")


@contextlib.contextmanager
def held(
    uuids: Sequence[str],
    folder: Path,
    say: Callable[[str], None],
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Hold GPUs against every other runner of the machine; wait for who has one.

    Locks are taken in the UUIDs' order, so that two runners cannot wait for each other, and end
    with the process, however it ends.

    Raises:
        InterruptedError: `cancelled` said so while it waited.
    """
    waiting = threading.Event()
    with contextlib.ExitStack() as opened:
        for uuid in sorted(uuids):
            path = folder / f"runner-gpu-{uuid}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            opened.callback(os.close, descriptor)
            with contextlib.suppress(PermissionError):  # another user's, as open to all
                path.chmod(0o666)
            said = False
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not said:
                        say(f"waiting for another runner's job on {uuid} (it holds {path})")
                        said = True
                if cancelled():
                    raise InterruptedError(uuid)
                waiting.wait(_LOOK_S)
        yield


class Pool:
    """GPUs that jobs take and give back. A job's cores are those of its GPUs, together."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        """Take every slot as free."""
        self._free = list(slots)
        self._size = len(slots)
        self._changed = threading.Condition()

    @property
    def size(self) -> int:
        """How many GPUs there are, free or not."""
        return self._size

    @contextlib.contextmanager
    def taken(self, count: int) -> Iterator[tuple[Slot, ...]]:
        """Wait until `count` GPUs are free, and have them for a while.

        Raises:
            ValueError: there are not so many, free or not.
        """
        if count > self._size:
            msg = f"{count} of {self._size} GPUs"
            raise ValueError(msg)
        with self._changed:
            self._changed.wait_for(lambda: len(self._free) >= count)
            mine, self._free = tuple(self._free[:count]), self._free[count:]
        try:
            yield mine
        finally:
            with self._changed:
                self._free = sorted((*self._free, *mine), key=lambda slot: slot.uuid)
                self._changed.notify_all()
