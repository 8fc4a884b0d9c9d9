"""Preflight: from facts to a refusal, before anything is built."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.model import GpuNeeds, Image, KnownDefect, Status
from runner.preflight import fits, holds, just_in_time, numbers, refuse, refuse_all
from runner.telemetry.host import GpuFacts

from .makers import make_image

H100 = GpuFacts(
    name="NVIDIA H100 80GB HBM3",
    uuid="GPU-1",
    driver="580.159.04",
    cuda="13.0",
    memory_bytes=80 * 1024**3,
    compute_capability="9.0",
)


def cuda_image() -> Image:
    return replace(
        make_image(),
        devices=("cuda",),
        cuda="13.0",
        gpu_architectures=("sm_80", "sm_90"),
        minimum_driver="580",
    )


def test_an_image_that_fits_is_not_refused() -> None:
    assert refuse(cuda_image(), "vgg16", (H100,), 1) is None


def test_an_image_without_cuda_is_refused_whatever_gpus_there_are() -> None:
    for gpus in ((H100,), ()):
        found = refuse(make_image("tensorflow-1.0.0"), "vgg16", gpus, 1)

        assert found is not None
        assert found.status is Status.UNSUPPORTED_DEVICE
        assert "tensorflow-1.0.0 is for cpu only" in found.reason
        assert found.reason.endswith("a build without CUDA")
    unseen = refuse(replace(make_image("torch-1.0"), cuda="9.0"), "vgg16", (H100,), 1)
    assert unseen is not None
    assert unseen.reason.endswith("on a GPU, with CUDA 9.0, it was never verified")


@pytest.mark.parametrize(
    ("gpus", "count", "reason"),
    [
        ((), 1, "asked for 1, found no NVIDIA GPU or driver (NVML) here"),
        ((H100,), 2, "asked for 2, found 1 NVIDIA GPUs here"),
    ],
)
def test_too_few_gpus_are_told(gpus: tuple[GpuFacts, ...], count: int, reason: str) -> None:
    found = refuse(cuda_image(), "vgg16", gpus, count)

    assert found is not None
    assert (found.status, found.reason) == (Status.UNSUPPORTED_DEVICE, reason)


A100 = replace(H100, name="NVIDIA A100-SXM4-40GB", memory_bytes=40 * 1024**3)
A100 = replace(A100, compute_capability="8.0")


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (GpuNeeds(), [True, True]),
        (GpuNeeds(memory_bytes=40 * 1024**3), [True, True]),
        (GpuNeeds(memory_bytes=41 * 1024**3), [True, False]),
        (GpuNeeds(architectures=("sm_80",)), [False, True]),
        (GpuNeeds(memory_bytes=41 * 1024**3, architectures=("sm_80", "sm_90")), [True, False]),
    ],
)
def test_a_gpu_fits_what_a_suite_asks_for(needs: GpuNeeds, expected: list[bool]) -> None:
    assert [fits(needs, gpu) for gpu in (H100, A100)] == expected


def test_a_gpu_whose_driver_says_too_little_fits_no_wish() -> None:
    silent = replace(H100, memory_bytes=None, compute_capability=None)

    assert fits(GpuNeeds(), silent)
    assert not fits(GpuNeeds(memory_bytes=1), silent)
    assert not fits(GpuNeeds(architectures=("sm_90",)), silent)


def test_where_no_gpu_fits_the_suite_it_is_told_what_there_is() -> None:
    needs = GpuNeeds(memory_bytes=100 * 1024**3, architectures=("sm_90", "sm_100"))
    found = refuse_all(needs, (H100, A100))

    assert found is not None
    assert found.status is Status.UNSUPPORTED_DEVICE
    assert found.reason == (
        "the suite asks for a GPU with 100 GiB of memory and sm_90 or sm_100; found NVIDIA H100 "
        "80GB HBM3 with 80.0 GiB, sm_90; NVIDIA A100-SXM4-40GB with 40.0 GiB, sm_80"
    )
    assert refuse_all(GpuNeeds(architectures=("sm_80",)), (H100, A100)) is None
    assert refuse_all(needs, ()) is None  # refuse() says that there is none


def test_gpus_that_were_passed_over_are_told() -> None:
    found = refuse(cuda_image(), "vgg16", (H100,), 2, passed_over=1)

    assert found is not None
    assert found.reason.startswith(
        "asked for 2, found 1 NVIDIA GPUs that fit the suite, and 1 that"
    )


def test_intermediate_code_alone_is_told_as_compiled_in_the_cold_start() -> None:
    image = replace(cuda_image(), gpu_architectures=("sm_70", "compute_70", "compute_80"))

    assert just_in_time(image, (H100,)) == (
        "torch-1.0 has no machine code for NVIDIA H100 80GB HBM3, sm_90: the driver compiles "
        "compute_80 in the cold start of each job"
    )
    assert just_in_time(cuda_image(), (H100, A100)) == ""
    assert just_in_time(replace(image, gpu_architectures=("sm_70",)), (H100,)) == ""
    assert just_in_time(image, (replace(H100, compute_capability=None),)) == ""


def test_an_old_driver_is_told_with_both_versions() -> None:
    found = refuse(cuda_image(), "vgg16", (replace(H100, driver="575.57.08"),), 1)

    assert found is not None
    assert found.status is Status.DRIVER_TOO_OLD
    assert "needs driver 580 or newer" in found.reason
    assert "has driver 575.57.08" in found.reason


def test_a_gpu_that_the_binaries_do_not_know_is_told() -> None:
    old = replace(H100, name="Tesla P100", compute_capability="6.0")

    found = refuse(cuda_image(), "vgg16", (H100, old), 2)

    assert found is not None
    assert found.status is Status.UNSUPPORTED_DEVICE
    assert "Tesla P100 is of compute capability 6.0" in found.reason
    assert "hold sm_80, sm_90" in found.reason


def test_a_gpu_too_small_for_weights_and_gradients_is_told() -> None:
    found = refuse(cuda_image(), "vgg16", (replace(H100, memory_bytes=1024**3),), 1)

    assert found is not None
    assert found.status is Status.UNSUPPORTED_DEVICE
    assert f"take {8 * 138_357_544}" in found.reason


def test_a_known_defect_stops_the_cells_that_it_names_and_no_others() -> None:
    defect = KnownDefect(
        what="products in TF32 are wrong",
        link="https://example.org/1",
        stops={"workload": "vgg16", "precision": "tf32"},
    )
    told = KnownDefect(what="the import warns", link="https://example.org/2")
    image = replace(cuda_image(), known_defects=(told, defect))

    found = refuse(image, "vgg16", (H100,), 1, {"precision": "tf32", "batch": 64})

    assert found is not None
    assert found.status is Status.UNSUPPORTED
    assert "products in TF32 are wrong (https://example.org/1)" in found.reason
    assert refuse(image, "vgg16", (H100,), 1, {"precision": "float32"}) is None
    assert refuse(image, "resnet50", (H100,), 1, {"precision": "tf32"}) is None


@pytest.mark.parametrize(
    ("architecture", "capability", "expected"),
    [
        ("sm_90", "9.0", True),
        ("sm_80", "8.6", True),
        ("sm_86", "8.0", False),
        ("sm_80", "9.0", False),
        ("sm_90a", "9.0", True),
        ("sm_100a", "10.3", False),
        ("compute_90", "10.0", True),
        ("compute_100", "9.0", False),
        ("sm_120", "12.1", True),
    ],
)
def test_machine_code_runs_within_its_major_version(
    architecture: str, capability: str, expected: bool
) -> None:
    assert holds(architecture, capability) is expected


def test_versions_are_compared_as_numbers() -> None:
    assert numbers("580.9") < numbers("580.65.06") < numbers("580.159.04")
