"""How GPUs get into a container: a decision from an engine's facts, and what it makes of a launch.

The engine's facts are those of an engine 26.1.5 with an H100, shortened.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner.backends.docker_gpus import Access, access, injection, minors, no_way, spec_devices
from runner.backends.docker_options import command_line, options
from runner.model import Environment, Launch, Limits

from .makers import make_image

CDI: dict[str, Any] = {
    "CDISpecDirs": ["/etc/cdi"],
    "Runtimes": {"runc": {}},
    "DiscoveredDevices": None,
}
UUID = "GPU-72e5bffa-a35b-63af-5a8b-b0ba84f0688e"


def launch(*gpus: str) -> Launch:
    environment = Environment(
        image=make_image(), digest="sha256:1", location="", lock_sha256="", scripts_sha256=""
    )
    return Launch(
        id="job", environment=environment, variables={}, limits=Limits(), cores=(0,), gpus=gpus
    )


def test_cdi_comes_first() -> None:
    info = {**CDI, "Runtimes": {"runc": {}, "nvidia": {}}}

    found = access(info, ("0", "all"), has_hook=True)

    assert (found.method, found.devices) == ("cdi", ("0", "all"))
    assert found.reason == "CDI devices 0, all of /etc/cdi"


def test_an_engine_that_lists_its_devices_is_believed() -> None:
    told = [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}, {"Source": "cdi", "ID": "x.com/y=1"}]

    found = access({**CDI, "DiscoveredDevices": told}, (), has_hook=False)

    assert (found.method, found.devices) == ("cdi", ("0",))


def test_the_toolkit_then_the_runtime_where_cdi_knows_no_gpu() -> None:
    info = {**CDI, "Runtimes": {"nvidia": {}}}

    assert access(info, (), has_hook=True).method == "toolkit"
    assert access(info, (), has_hook=False).method == "runtime"


def test_no_way_is_told_with_what_was_looked_for() -> None:
    off = access({"Runtimes": {"runc": {}}}, (), has_hook=False)
    empty = access(CDI, (), has_hook=False)

    assert off == Access(method="", reason="CDI is off, no hook of the toolkit, no runtime nvidia")
    assert empty.reason.startswith("no nvidia.com/gpu in /etc/cdi, no hook")
    told = no_way(off)
    assert told.startswith("no GPU gets into a container here: CDI is off, no hook of the toolkit")
    assert "install the NVIDIA Container Toolkit" in told
    assert told.endswith("or measure with --backend process")
    assert no_way(access({**CDI, "Runtimes": {"nvidia": {}}}, (), has_hook=False)) == ""


def test_devices_are_read_from_json_and_yaml_and_others_are_passed_over(tmp_path: Path) -> None:
    spec = {"kind": "nvidia.com/gpu", "devices": [{"name": "0"}, {"name": "all"}]}
    (tmp_path / "nvidia.json").write_text(json.dumps(spec))
    (tmp_path / "more.yaml").write_text(f"kind: nvidia.com/gpu\ndevices: [{{name: {UUID}}}]\n")
    (tmp_path / "other.yaml").write_text("kind: vendor.com/net\ndevices: [{name: a}]\n")
    (tmp_path / "torn.json").write_text("{")

    assert spec_devices([tmp_path, tmp_path / "missing"]) == (UUID, "0", "all")


def test_the_kernels_driver_tells_each_gpus_device(tmp_path: Path) -> None:
    place = tmp_path / "proc/driver/nvidia/gpus/0000:00:06.0"
    place.mkdir(parents=True)
    text = f"Model: \t\t NVIDIA H100\nGPU UUID: \t {UUID}\nDevice Minor: \t 3\n"
    (place / "information").write_text(text)

    assert minors(tmp_path) == {UUID: "3"}
    assert minors(tmp_path / "elsewhere") == {}


def test_a_job_gets_its_own_gpu_by_its_uuid_or_its_device_or_all_are_let_in() -> None:
    way = Access(method="cdi", reason="", devices=("0", "3", "all"))
    by_uuid = Access(method="cdi", reason="", devices=(UUID, "all"))

    def devices(found: Access, numbers: dict[str, str]) -> list[str]:
        made = injection(found, (UUID,), numbers)
        assert made.variables["CUDA_VISIBLE_DEVICES"] == UUID
        ids: list[str] = made.host["device_requests"][0]["DeviceIDs"]
        return ids

    assert devices(by_uuid, {}) == [f"nvidia.com/gpu={UUID}"]
    assert devices(way, {UUID: "3"}) == ["nvidia.com/gpu=3"]
    assert devices(way, {}) == ["nvidia.com/gpu=all"]


def test_a_container_with_a_gpu_is_as_hardened_as_any_other() -> None:
    way = Access(method="cdi", reason="", devices=("0",))
    plain = options(launch(), "owner")

    made = options(launch(UUID), "owner", None, injection(way, (UUID,), {UUID: "0"}))

    requests = made.host.pop("device_requests")
    assert requests[0]["Driver"] == "cdi"
    assert made.host == plain.host
    assert made.container["environment"]["CUDA_VISIBLE_DEVICES"] == UUID


def test_every_way_has_a_command_line() -> None:
    def line(method: str) -> tuple[str, ...]:
        way = Access(method=method, reason="", devices=("0",))
        return command_line(options(launch(UUID), "owner", None, injection(way, (UUID,), {})))

    assert "--device=nvidia.com/gpu=all" in line("cdi")
    assert f'--gpus="device={UUID}"' in line("toolkit")
    assert "--runtime=nvidia" in line("runtime")
    assert f"--env=NVIDIA_VISIBLE_DEVICES={UUID}" in line("runtime")


def test_a_job_without_gpus_asks_for_none() -> None:
    made = injection(Access(method="cdi", reason="", devices=("0",)), (), {})

    assert (made.host, made.variables) == ({}, {})
