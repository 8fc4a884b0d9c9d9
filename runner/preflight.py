"""Whether an image can run on a GPU at all, told from facts alone, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.model import GpuNeeds, Image, Scalar, Status
from runner.telemetry.host import GpuFacts
from runner.workloads import WORKLOADS

# weights and their gradients, in single precision
_BYTES_A_PARAMETER = 8
_GIB = 1024**3


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a cell has no number: a status, and the facts that decide it."""

    status: Status
    reason: str


def fits(needs: GpuNeeds, gpu: GpuFacts) -> bool:
    """Tell whether a GPU has what a suite asks for; what the driver does not say, it has not."""
    least, wanted = needs.memory_bytes, needs.architectures
    enough = least is None or (gpu.memory_bytes or 0) >= least
    return enough and (not wanted or _architecture_of(gpu) in wanted)


def refuse_all(needs: GpuNeeds, gpus: tuple[GpuFacts, ...]) -> Refusal | None:
    """Return why no cell of a suite can be measured, where there are GPUs and none fits."""
    if not gpus or any(fits(needs, gpu) for gpu in gpus):
        return None
    asked = [f"{needs.memory_bytes / _GIB:g} GiB of memory"] if needs.memory_bytes else []
    asked += [" or ".join(needs.architectures)] if needs.architectures else []
    found = "; ".join(
        f"{gpu.name} with {(gpu.memory_bytes or 0) / _GIB:.1f} GiB, {_architecture_of(gpu)}"
        for gpu in gpus
    )
    return Refusal(
        status=Status.UNSUPPORTED_DEVICE,
        reason=f"the suite asks for a GPU with {' and '.join(asked)}; found {found}",
    )


def _architecture_of(gpu: GpuFacts) -> str:
    """Return such as ``sm_90``; a word that none has where the driver does not say."""
    if gpu.compute_capability is None:
        return "unknown architecture"
    return f"sm_{gpu.compute_capability.replace('.', '')}"


def refuse(
    image: Image,
    workload: str,
    gpus: tuple[GpuFacts, ...],
    count: int,
    parameters: Mapping[str, Scalar] | None = None,
    passed_over: int = 0,
) -> Refusal | None:
    """Return why `image` cannot do `workload` on `count` of these GPUs, or None.

    Args:
        gpus: those that were chosen; empty where no driver answers.
        parameters: the cell's, which a known defect of the release may bear on.
        passed_over: GPUs that would have been there, but do not fit the suite.
    """
    return (
        _no_cuda(image, workload, gpus)
        or _defect(image, {**(parameters or {}), "workload": workload, "device": "cuda"})
        or _too_few(gpus, count, passed_over)
        or next((found for gpu in gpus if (found := _on(image, workload, gpu))), None)
    )


def _no_cuda(image: Image, workload: str, gpus: tuple[GpuFacts, ...]) -> Refusal | None:
    """Refuse an image for processors, first of all for what keeps its variant from a GPU here."""
    if "cuda" in image.devices:
        return None
    if image.cuda_variant is not None:
        unfit = next((found for gpu in gpus if (found := _on(image, workload, gpu))), None)
        if unfit is not None:
            return unfit
    why = f"its {image.framework} {image.framework_version} is a build without CUDA"
    if image.cuda is not None:
        why = f"on a GPU, with CUDA {image.cuda}, it was never verified"
    return Refusal(
        status=Status.UNSUPPORTED_DEVICE,
        reason=f"{image.name} is for {', '.join(image.devices)} only: {why}",
    )


def _defect(image: Image, cell: Mapping[str, Scalar]) -> Refusal | None:
    for defect in image.known_defects:
        if defect.stops and defect.stops.items() <= cell.items():
            return Refusal(
                status=Status.UNSUPPORTED,
                reason=f"a known defect of {image.framework} {image.framework_version}: "
                f"{defect.what} ({defect.link})",
            )
    return None


def _too_few(gpus: tuple[GpuFacts, ...], count: int, passed_over: int) -> Refusal | None:
    if len(gpus) >= max(1, count):
        return None
    found = f"{len(gpus)} NVIDIA GPUs" if gpus else "no NVIDIA GPU or driver (NVML)"
    if passed_over:
        found += f" that fit the suite, and {passed_over} that do not,"
    return Refusal(
        status=Status.UNSUPPORTED_DEVICE, reason=f"asked for {count}, found {found} here"
    )


def _on(image: Image, workload: str, gpu: GpuFacts) -> Refusal | None:
    return (
        _driver(image, gpu)
        or _too_new(image, gpu)
        or _architecture(image, gpu)
        or _memory(workload, gpu)
    )


def _driver(image: Image, gpu: GpuFacts) -> Refusal | None:
    least = image.minimum_driver
    if least is None or gpu.driver is None or numbers(gpu.driver) >= numbers(least):
        return None
    return Refusal(
        status=Status.DRIVER_TOO_OLD,
        reason=f"{image.name} holds CUDA {image.cuda}, which needs driver {least} or newer; "
        f"{gpu.name} has driver {gpu.driver}",
    )


def _too_new(image: Image, gpu: GpuFacts) -> Refusal | None:
    """Refuse a GPU that came after a variant's CUDA, whose libraries have no code for it, whatever
    the framework's own intermediate code would do.
    """
    variant, capability = image.cuda_variant, gpu.compute_capability
    if variant is None or capability is None or numbers(capability)[0] <= variant.newest_major:
        return None
    return Refusal(
        status=Status.UNSUPPORTED_DEVICE,
        reason=f"{gpu.name} is of compute capability {capability}, and the CUDA {image.cuda} and "
        f"cuDNN {image.cudnn} of {image.name} have code up to {variant.newest_major}.x",
    )


def _architecture(image: Image, gpu: GpuFacts) -> Refusal | None:
    if not image.gpu_architectures or gpu.compute_capability is None:
        return None
    if any(holds(name, gpu.compute_capability) for name in image.gpu_architectures):
        return None
    return Refusal(
        status=Status.UNSUPPORTED_DEVICE,
        reason=f"{gpu.name} is of compute capability {gpu.compute_capability}, and "
        f"{image.name}'s binaries hold {', '.join(image.gpu_architectures)}",
    )


def just_in_time(image: Image, gpus: tuple[GpuFacts, ...]) -> str:
    """Tell that the driver will compile for a GPU what an image brings; empty where it need not.

    So it is where the image holds intermediate code for the GPU and no machine code, and each job
    pays for it in its cold start, as its caches are its own.
    """
    for gpu in gpus:
        able = [
            name
            for name in image.gpu_architectures
            if gpu.compute_capability is not None and holds(name, gpu.compute_capability)
        ]
        if able and all(name.startswith("compute_") for name in able):
            return (
                f"{image.name} has no machine code for {gpu.name}, {_architecture_of(gpu)}: the "
                f"driver compiles {able[-1]} in the cold start of each job"
            )
    return ""


def holds(architecture: str, capability: str) -> bool:
    """Tell whether code of an architecture runs on a GPU of a compute capability.

    Machine code (``sm_86``) runs within its major version on the same minor one or a later, and
    with a suffix (``sm_90a``) on that very one; intermediate code (``compute_90``) on any later.
    Source: CUDA C++ Programming Guide, "Binary Compatibility" and "PTX Compatibility".

    >>> [holds(name, "9.0") for name in ("sm_86", "sm_90", "compute_80", "sm_100")]
    [False, True, True, False]
    """
    kind, _, digits = architecture.partition("_")
    exact = digits.rstrip("af") != digits
    digits = digits.rstrip("af")
    built, found = (int(digits[:-1]), int(digits[-1])), numbers(capability)
    if exact:
        return built == found
    if kind == "compute":
        return built <= found
    return built[0] == found[0] and built[1] <= found[1]


def _memory(workload: str, gpu: GpuFacts) -> Refusal | None:
    needed = _BYTES_A_PARAMETER * WORKLOADS[workload].parameter_count
    if gpu.memory_bytes is None or gpu.memory_bytes >= needed:
        return None
    return Refusal(
        status=Status.UNSUPPORTED_DEVICE,
        reason=f"{gpu.name} has {gpu.memory_bytes} bytes of memory, and {workload}'s weights and "
        f"gradients alone take {needed}",
    )


def numbers(version: str) -> tuple[int, ...]:
    """Return a dotted version as numbers, to compare.

    >>> numbers("580.159.04") > numbers("580.65.06")
    True
    """
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
