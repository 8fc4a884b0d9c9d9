"""How GPUs get into a container of an engine: found out from what it says, nothing tried.

In this order: the Container Device Interface (CDI), the NVIDIA toolkit's hook (what
``docker run --gpus`` asks for), the runtime ``nvidia``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from docker.types import DeviceRequest

KIND = "nvidia.com/gpu"
ALL = "all"
REMEDY = (
    "install the NVIDIA Container Toolkit, then 'nvidia-ctk cdi generate --output="
    "/etc/cdi/nvidia.yaml' with an engine of 25 or newer that has the feature 'cdi' on, or "
    "'nvidia-ctk runtime configure' for an older one"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """A way to GPUs.

    Attributes:
        method: ``cdi``, ``toolkit``, ``runtime``; empty where there is none.
        reason: what it was told from, in words.
        devices: names of CDI's devices of `KIND`, without the kind.
    """

    method: str
    reason: str
    devices: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Both, for people."""
        return f"{self.method or 'none'}: {self.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Injection:
    """What a container is made with, for its GPUs: host options and variables."""

    host: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


def access(info: Mapping[str, Any], local_devices: Iterable[str], *, has_hook: bool) -> Access:
    """Decide from the engine's facts.

    Args:
        info: what the engine's ``/info`` returns.
        local_devices: from `spec_devices` of the folders that `info` names; none where the
            engine is on another machine.
        has_hook: whether the toolkit's hook is on the engine's PATH, as far as that can be seen.
    """
    told = [entry.get("ID", "") for entry in info.get("DiscoveredDevices") or ()]
    named = [name.removeprefix(f"{KIND}=") for name in told if name.startswith(f"{KIND}=")]
    devices = tuple(dict.fromkeys((*named, *local_devices)))
    folders = info.get("CDISpecDirs") or ()
    if folders and devices:
        reason = f"CDI devices {', '.join(devices)} of {', '.join(folders)}"
        return Access(method="cdi", reason=reason, devices=devices)
    if has_hook:
        return Access(method="toolkit", reason="the NVIDIA toolkit's hook is on PATH")
    if "nvidia" in (info.get("Runtimes") or {}):
        return Access(method="runtime", reason="the engine has a runtime nvidia")
    looked = f"no {KIND} in {', '.join(folders)}" if folders else "CDI is off"
    return Access(method="", reason=f"{looked}, no hook of the toolkit, no runtime nvidia")


def no_way(found: Access) -> str:
    """Return what to tell of an engine that hands on no GPU; empty where it does."""
    if found.method:
        return ""
    return (
        f"no GPU gets into a container here: {found.reason}; {REMEDY}; or measure with "
        "--backend process"
    )


def spec_devices(folders: Iterable[Path]) -> tuple[str, ...]:
    """Return the names of `KIND`'s devices in CDI's specifications.

    Source: github.com/cncf-tags/container-device-interface, SPEC.md.
    """
    found: dict[str, None] = {}
    for folder in folders:
        for path in sorted((*folder.glob("*.json"), *folder.glob("*.yaml"))):
            found |= dict.fromkeys(_names(path))
    return tuple(found)


def _names(path: Path) -> Iterable[str]:
    try:
        text = path.read_text(encoding="utf-8")
        spec = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):
        return ()  # the engine passes over what it cannot read, too
    if not isinstance(spec, dict) or spec.get("kind") != KIND:
        return ()
    return [str(device.get("name")) for device in spec.get("devices") or ()]


def minors(root: Path) -> dict[str, str]:
    """Return {UUID: number of /dev/nvidiaN} as the kernel's driver says below `root`."""
    found = {}
    for path in (root / "proc/driver/nvidia/gpus").glob("*/information"):
        text = path.read_text(errors="replace")
        uuid = re.search(r"^GPU UUID:\s*(\S+)", text, re.MULTILINE)
        minor = re.search(r"^Device Minor:\s*(\d+)", text, re.MULTILINE)
        if uuid and minor:
            found[uuid[1]] = minor[1]
    return found


def injection(way: Access, uuids: Sequence[str], numbers: Mapping[str, str]) -> Injection:
    """Return how a container gets the GPUs `uuids`, and, where it can be, no other.

    Args:
        numbers: from `minors`.
    """
    if not uuids:
        return Injection()
    # Where devices cannot be told apart, all are let in, and CUDA shows these alone.
    variables = {"CUDA_VISIBLE_DEVICES": ",".join(uuids)}
    if way.method == "cdi":
        names = [_cdi_name(uuid, way.devices, numbers) for uuid in uuids]
        wanted = [f"{KIND}={name}" for name in dict.fromkeys(names)]
        request = DeviceRequest(driver="cdi", device_ids=wanted)
        return Injection(host={"device_requests": [request]}, variables=variables)
    if way.method == "toolkit":
        request = DeviceRequest(device_ids=list(uuids), capabilities=[["gpu"]])
        return Injection(host={"device_requests": [request]}, variables=variables)
    visible = {"NVIDIA_VISIBLE_DEVICES": ",".join(uuids)}
    capabilities = {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
    return Injection(host={"runtime": "nvidia"}, variables=variables | visible | capabilities)


def _cdi_name(uuid: str, devices: Sequence[str], numbers: Mapping[str, str]) -> str:
    minor = numbers.get(uuid)
    return uuid if uuid in devices else minor if minor in devices and minor is not None else ALL


def flags(requests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the options of ``docker run`` for device requests."""
    made = []
    for request in requests:
        names = request["DeviceIDs"]
        if request["Driver"] == "cdi":
            made += [f"--device={name}" for name in names]
        else:
            made.append(f'--gpus="device={",".join(names)}"')
    return made
