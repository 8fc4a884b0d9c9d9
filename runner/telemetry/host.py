"""Facts of this machine that decide what a measurement is worth, read from /proc and /sys.

What is not there is None, never guessed. Sources: proc(5), Documentation/admin-guide/pm/
{cpufreq,intel_pstate,amd-pstate}.rst and ABI/testing/sysfs-devices-system-cpu of the kernel.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

_GIB = 1024**3
_CPUS = "sys/devices/system/cpu"

# what must agree before two results may be compared absolutely
_FINGERPRINT = (
    "cpu_model",
    "physical_cores",
    "logical_cores",
    "smt",
    "numa_nodes",
    "memory_gib",
    "governor",
    "turbo",
    "frequency_min_hz",
    "frequency_max_hz",
    "kernel",
    "mitigations",
    "transparent_hugepages",
    "virtualised",
)
_GPU_FINGERPRINT = (
    "name",
    "driver",
    "cuda",
    "memory_bytes",
    "compute_capability",
    "power_limit_w",
    "sm_clock_hz",
    "highest_sm_clock_hz",
    "highest_memory_clock_hz",
    "ecc",
    "mig",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuFacts:
    """A GPU as its driver describes it. Each field is None where the driver does not say.

    Attributes:
        cuda: the newest version of CUDA that the driver bears.
        power_limit_w: enforced now.
        sm_clock_hz: application clock set now.
        mig: whether it is divided into instances.
        persistence: whether the driver stays loaded without a client.
        accounting: whether the driver keeps high-water marks of each process.
    """

    name: str
    uuid: str
    driver: str | None = None
    cuda: str | None = None
    memory_bytes: int | None = None
    compute_capability: str | None = None
    power_limit_w: float | None = None
    default_power_limit_w: float | None = None
    sm_clock_hz: float | None = None
    default_sm_clock_hz: float | None = None
    highest_sm_clock_hz: float | None = None
    highest_memory_clock_hz: float | None = None
    ecc: bool | None = None
    mig: bool | None = None
    persistence: bool | None = None
    accounting: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HostFacts:
    """A machine as its kernel describes it. Each field is None where the kernel does not say.

    Attributes:
        siblings: the logical cores of each physical one.
        logical_cores: those online.
        smt: whether physical cores run several threads at once now.
        governor: of frequency scaling; several names, joined by commas, where cores differ.
        turbo: whether the processor may go above its nominal frequency.
        frequency_min_hz, frequency_max_hz: between which the governor may choose.
        mitigations: vulnerability to what is done about it.
        cgroup_version: of the memory controller.
        transparent_hugepages: ``always``, ``madvise`` or ``never``.
        virtualised: whether the processor says that a hypervisor is below; x86 only.
        load_average: runnable or blocked tasks, averaged over the last minute.
        gpus: in NVML's order; empty where no driver answers.
    """

    cpu_model: str | None
    physical_cores: int | None
    siblings: tuple[tuple[int, ...], ...]
    logical_cores: int | None
    smt: bool | None
    governor: str | None
    turbo: bool | None
    frequency_min_hz: int | None
    frequency_max_hz: int | None
    numa_nodes: int | None
    memory_bytes: int | None
    swap_bytes: int | None
    kernel: str | None
    mitigations: dict[str, str]
    cgroup_version: int | None
    transparent_hugepages: str | None
    virtualised: bool | None
    load_average: float | None
    os_release: str | None
    gpus: tuple[GpuFacts, ...] = ()

    @property
    def memory_gib(self) -> int | None:
        """Memory in whole GiB: the kernel keeps a little back, more or less of it each time."""
        return None if self.memory_bytes is None else round(self.memory_bytes / _GIB)


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """Something that will disturb a measurement, and what can be done about it."""

    problem: str
    remedy: str


def read(root: Path = Path("/"), gpus: tuple[GpuFacts, ...] = ()) -> HostFacts:
    """Read the facts below `root`, which tests replace; `gpus` come from ``nvml.facts``."""
    processor = _text(root / "proc/cpuinfo")
    memory = _sizes(_text(root / "proc/meminfo"))
    siblings = _siblings(root)
    online = _text(root / _CPUS / "online")
    return HostFacts(
        cpu_model=_cpu_model(processor),
        physical_cores=len(siblings) or None,
        siblings=siblings,
        logical_cores=len(parse_list(online)) if online else None,
        smt=_smt(root, siblings),
        governor=",".join(sorted(set(_policies(root, "scaling_governor")))) or None,
        turbo=_turbo(root),
        frequency_min_hz=_hertz(_policies(root, "scaling_min_freq"), lowest=True),
        frequency_max_hz=_hertz(_policies(root, "scaling_max_freq"), lowest=False),
        numa_nodes=len(list((root / "sys/devices/system/node").glob("node[0-9]*"))) or None,
        memory_bytes=memory.get("MemTotal"),
        swap_bytes=memory.get("SwapTotal"),
        kernel=_text(root / "proc/sys/kernel/osrelease"),
        mitigations=_mitigations(root),
        cgroup_version=_cgroup_version(_text(root / "proc/mounts")),
        transparent_hugepages=_chosen(root / "sys/kernel/mm/transparent_hugepage/enabled"),
        virtualised=_virtualised(processor),
        load_average=_load(_text(root / "proc/loadavg")),
        os_release=_os_release(_text(root / "etc/os-release")),
        gpus=gpus,
    )


def _text(path: Path) -> str | None:
    """Return a file's text without the line end, or None where it is not there or empty."""
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None


def parse_list(text: str) -> tuple[int, ...]:
    """Parse the kernel's list format: ``0-2,5`` is (0, 1, 2, 5)."""
    numbers: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return tuple(numbers)


def _cpu_model(processor: str | None) -> str | None:
    found = re.search(r"^model name\s*:\s*(.+)$", processor or "", re.MULTILINE)
    return None if found is None else found.group(1)


def _virtualised(processor: str | None) -> bool | None:
    found = re.search(r"^flags\s*:(.*)$", processor or "", re.MULTILINE)
    return None if found is None else "hypervisor" in found.group(1).split()


def _siblings(root: Path) -> tuple[tuple[int, ...], ...]:
    folders = (root / _CPUS).glob("cpu[0-9]*/topology")
    texts = (_text(folder / "thread_siblings_list") for folder in folders)
    return tuple(sorted({parse_list(text) for text in texts if text}))


def _smt(root: Path, siblings: tuple[tuple[int, ...], ...]) -> bool | None:
    active = _text(root / _CPUS / "smt/active")
    if active is not None:
        return active == "1"
    return any(len(group) > 1 for group in siblings) if siblings else None


def _policies(root: Path, name: str) -> list[str]:
    """Return one attribute of every frequency policy; cores that scale together share one."""
    texts = (_text(path / name) for path in (root / _CPUS / "cpufreq").glob("policy[0-9]*"))
    return [text for text in texts if text is not None]


def _hertz(kilohertz: Iterable[str], *, lowest: bool) -> int | None:
    values = [int(text) * 1000 for text in kilohertz]
    return (min(values) if lowest else max(values)) if values else None


def _turbo(root: Path) -> bool | None:
    """Ask the driver: intel_pstate says it the other way round, others offer ``boost``."""
    no_turbo = _text(root / _CPUS / "intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == "0"
    boost = _text(root / _CPUS / "cpufreq/boost")
    boosts = [boost] if boost is not None else _policies(root, "boost")
    return "1" in boosts if boosts else None


def _mitigations(root: Path) -> dict[str, str]:
    folder = root / _CPUS / "vulnerabilities"
    texts = ((path.name, _text(path)) for path in sorted(folder.glob("*")))
    return {name: text for name, text in texts if text is not None}


def _sizes(meminfo: str | None) -> dict[str, int]:
    lines = (line.split() for line in (meminfo or "").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1:] == ["kB"]}


def _cgroup_version(mounts: str | None) -> int | None:
    """Return 1 where the memory controller is on version 1, though version 2 may be there too."""
    lines = [line.split() for line in (mounts or "").splitlines()]
    if any(words[2] == "cgroup" and "memory" in words[3].split(",") for words in lines):
        return 1
    return 2 if any(words[2] == "cgroup2" for words in lines) else None


def _chosen(path: Path) -> str | None:
    """Return the word in brackets of ``always [madvise] never``."""
    found = re.search(r"\[(\w+)\]", _text(path) or "")
    return None if found is None else found.group(1)


def _load(loadavg: str | None) -> float | None:
    return None if loadavg is None else float(loadavg.split()[0])


def _os_release(text: str | None) -> str | None:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)"?$', text or "", re.MULTILINE)
    return None if found is None else found.group(1)


def from_plain(stored: Mapping[str, object]) -> HostFacts:
    """Return facts from what a run stored of them; what it lacks is unknown."""
    unknown = dict.fromkeys((field.name for field in dataclasses.fields(HostFacts)), None)
    empty: dict[str, object] = {"siblings": (), "mitigations": {}, "gpus": ()}
    return msgspec.convert({**unknown, **empty, **stored}, HostFacts, strict=False)


def fingerprint(facts: HostFacts) -> str:
    """Return a short hash over what must agree for two results to be of like hardware."""
    agreed = _agreed(facts)
    text = "\n".join(f"{name}={agreed[name]!r}" for name in sorted(agreed))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _agreed(facts: HostFacts) -> dict[str, object]:
    """Return each fact of the fingerprint by its name; those of a part by ``part.name``."""
    found: dict[str, object] = {}
    for name in _FINGERPRINT:
        value = getattr(facts, name)
        if isinstance(value, dict):
            found |= {f"{name}.{key}": part for key, part in value.items()}
        else:
            found[name] = value
    for number, gpu in enumerate(facts.gpus):
        found |= {f"gpu{number}.{name}": getattr(gpu, name) for name in _GPU_FINGERPRINT}
    return found


def differences(one: HostFacts, other: HostFacts) -> tuple[str, ...]:
    """Name each fact of the fingerprint that differs, with both values; empty if none does."""
    left, right = _agreed(one), _agreed(other)
    return tuple(
        f"{name}: {left.get(name)!r} and {right.get(name)!r}"
        for name in sorted(left.keys() | right.keys())
        if left.get(name) != right.get(name)
    )
