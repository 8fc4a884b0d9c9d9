"""NVIDIA GPUs as their driver's library (NVML) describes them: facts, and readings of a moment.

What a GPU or a driver does not support is None. Everything goes through a `Library`: the module
``pynvml``, or a session that was recorded from it (``nvml_session``).
Source: docs.nvidia.com/deploy/nvml-api, device queries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from runner.telemetry.host import GpuFacts

_MHZ = 1e6
# numbers of NVML's enumerations, which are part of its interface
SM_CLOCK, MEMORY_CLOCK, TEMPERATURE_OF_GPU = 1, 2, 0

# nvmlClocksEventReasons: bit to name. Idle is none: it says that there was nothing to do.
REASONS = {
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake",
    0x100: "display_clock_setting",
}

Value = TypeVar("Value")


class Library(Protocol):
    """What is used of ``pynvml``: its functions by their names, which raise its ``NVMLError``."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - ctypes' own results
        """Return a function of the library."""


def binding() -> Library:
    """Return ``pynvml``, which can be imported where there is no driver, and needs 30 ms for it."""
    import pynvml  # type: ignore[import-untyped]

    library: Library = pynvml
    return library


def connect() -> Library | None:
    """Return the driver's library, made ready; None where there is none, or no GPU answers."""
    library = binding()
    return None if asked(lambda: library.nvmlInit() or True) is None else library


def asked(question: Callable[[], Value]) -> Value | None:
    """Ask the driver; None where it, or this version of it, has no answer."""
    error: type[Exception] = binding().NVMLError
    try:
        return question()
    except (error, AttributeError):  # AttributeError: older than the function
        return None


def text(value: bytes | str) -> str:
    """Return what older versions of the library give as bytes."""
    return value.decode() if isinstance(value, bytes) else value


def facts(library: Library) -> tuple[GpuFacts, ...]:
    """Return the facts of every GPU, in NVML's order."""
    count = asked(library.nvmlDeviceGetCount) or 0
    return tuple(_facts(library, library.nvmlDeviceGetHandleByIndex(i)) for i in range(count))


def _facts(library: Library, handle: object) -> GpuFacts:
    def get(name: str, *arguments: object) -> Any:  # noqa: ANN401 - ctypes' own results
        return asked(lambda: getattr(library, name)(handle, *arguments))

    memory, ecc = get("nvmlDeviceGetMemoryInfo"), get("nvmlDeviceGetEccMode")
    mig, persistence = get("nvmlDeviceGetMigMode"), get("nvmlDeviceGetPersistenceMode")
    capability = get("nvmlDeviceGetCudaComputeCapability")
    driver = asked(library.nvmlSystemGetDriverVersion)
    cuda = asked(library.nvmlSystemGetCudaDriverVersion_v2)
    accounting = get("nvmlDeviceGetAccountingMode")
    return GpuFacts(
        name=text(get("nvmlDeviceGetName") or "unknown"),
        uuid=text(get("nvmlDeviceGetUUID") or ""),
        driver=None if driver is None else text(driver),
        cuda=None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        memory_bytes=None if memory is None else memory.total,
        compute_capability=None if capability is None else ".".join(map(str, capability)),
        power_limit_w=_scaled(get("nvmlDeviceGetEnforcedPowerLimit"), 1e-3),
        default_power_limit_w=_scaled(get("nvmlDeviceGetPowerManagementDefaultLimit"), 1e-3),
        sm_clock_hz=_scaled(get("nvmlDeviceGetApplicationsClock", SM_CLOCK), _MHZ),
        default_sm_clock_hz=_scaled(get("nvmlDeviceGetDefaultApplicationsClock", SM_CLOCK), _MHZ),
        highest_sm_clock_hz=_scaled(get("nvmlDeviceGetMaxClockInfo", SM_CLOCK), _MHZ),
        highest_memory_clock_hz=_scaled(get("nvmlDeviceGetMaxClockInfo", MEMORY_CLOCK), _MHZ),
        ecc=None if ecc is None else bool(ecc[0]),
        mig=None if mig is None else bool(mig[0]),
        persistence=None if persistence is None else bool(persistence),
        accounting=None if accounting is None else bool(accounting),
    )


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value * unit


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process on a GPU: its number on the host, and what it holds; None if not told."""

    pid: int
    memory_bytes: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A GPU at one moment. None: the driver does not say."""

    clock_hz: float | None
    reasons: tuple[str, ...]
    power_w: float | None
    temperature_c: float | None
    utilisation_share: float | None
    processes: tuple[Process, ...] | None


class Gpu:
    """One GPU, to be read again and again."""

    def __init__(self, library: Library, handle: object) -> None:
        """Take a handle of NVML's."""
        self._library = library
        self._handle = handle
        self.facts = _facts(library, handle)

    def read(self) -> Reading:
        """Return the GPU as it is now."""
        rates = self._get("nvmlDeviceGetUtilizationRates")
        bits = self._get("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:  # its name before driver 535
            bits = self._get("nvmlDeviceGetCurrentClocksThrottleReasons")
        return Reading(
            clock_hz=_scaled(self._get("nvmlDeviceGetClockInfo", SM_CLOCK), _MHZ),
            reasons=tuple(name for bit, name in REASONS.items() if (bits or 0) & bit),
            power_w=_scaled(self._get("nvmlDeviceGetPowerUsage"), 1e-3),
            temperature_c=self._get("nvmlDeviceGetTemperature", TEMPERATURE_OF_GPU),
            utilisation_share=None if rates is None else rates.gpu / 100,
            processes=self.processes(),
        )

    def processes(self) -> tuple[Process, ...] | None:
        """Return who computes on the GPU now; None if the driver does not say."""
        return processes(self._library, self._handle)

    def energy_j(self) -> float | None:
        """Return the energy that the GPU has used since its driver was loaded."""
        return _scaled(self._get("nvmlDeviceGetTotalEnergyConsumption"), 1e-3)

    def accounted_bytes(self, pid: int) -> int | None:
        """Return the driver's own high-water mark of a process that is or was on the GPU."""
        if not self.facts.accounting:
            return None
        stats = self._get("nvmlDeviceGetAccountingStats", pid)
        return None if stats is None else stats.maxMemoryUsage

    def _get(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - ctypes' own results
        return asked(lambda: getattr(self._library, name)(self._handle, *arguments))


def _process(found: Any) -> Process:  # noqa: ANN401 - a structure of ctypes
    return Process(pid=found.pid, memory_bytes=found.usedGpuMemory)


def processes(library: Library, handle: object) -> tuple[Process, ...] | None:
    """Return who computes on the GPU of a handle now; None if the driver does not say."""
    running = asked(lambda: library.nvmlDeviceGetComputeRunningProcesses(handle))
    return None if running is None else tuple(map(_process, running))


def gpu(library: Library, which: str) -> Gpu | None:
    """Return a GPU by its index or UUID; None where there is no such."""
    if which.isdecimal():
        handle = asked(lambda: library.nvmlDeviceGetHandleByIndex(int(which)))
    else:
        handle = asked(lambda: library.nvmlDeviceGetHandleByUUID(which))
    return None if handle is None else Gpu(library, handle)
