"""What a job's container may do: from a launch to the engine's options. Pure functions.

Everything is denied that a script does not need; DESIGN's limits are the only ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from docker.types import LogConfig, Mount, Ulimit

from runner.backends import docker_gpus
from runner.backends.docker_gpus import Injection
from runner.backends.job_state import Owner
from runner.backends.process_tree import Process
from runner.model import Launch

JOB_LABEL = "runner.job"
OWNER_LABEL = "runner.owner"
IMAGE_LABEL = "runner.image"
CONTENT_LABEL = "runner.content"
DATA_LABEL = "runner.data"
SUBSTITUTE_LABEL = "runner.base.substitute"

SCRATCH = "/tmp"
DATA_FOLDER = "/data"
DATA_FILE = "/data/file"
NOBODY = "65534:65534"
OPEN_FILES = 4096
USER_PROCESSES = 32768


# Host options of whatever runs a job's image.
APART: dict[str, Any] = {"network_mode": "none", "ipc_mode": "private", "read_only": True}
WITHOUT_PRIVILEGES: dict[str, Any] = {
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Keyword arguments of docker's ``create_container`` and ``create_host_config``."""

    container: dict[str, Any]
    host: dict[str, Any]


def options(
    launch: Launch, owner: str, data_volume: str | None = None, gpus: Injection | None = None
) -> Options:
    """Return the options of a job's container.

    Args:
        owner: text of the process that looks after it, from `owner_text`.
        data_volume: name of the volume that holds `launch.data_file`.
        gpus: how it gets `launch.gpus`.
    """
    gpus = gpus or Injection()
    variables = {**launch.environment.image.environment, **launch.variables, **gpus.variables}
    variables["HOME"] = SCRATCH
    if data_volume is not None:
        variables["RUNNER_DATA_FILE"] = DATA_FILE
    return Options(
        container={
            "image": launch.environment.digest,
            "command": None if launch.command is None else list(launch.command),
            "environment": variables,
            "user": NOBODY,
            "working_dir": SCRATCH,
            "labels": {JOB_LABEL: launch.id, OWNER_LABEL: owner},
            # A base's own health check would compute beside the job.
            "healthcheck": {"test": ["NONE"]},
        },
        host={**_host_options(launch, data_volume), **gpus.host},
    )


def _host_options(launch: Launch, data_volume: str | None) -> dict[str, Any]:
    limits = launch.limits
    host: dict[str, Any] = {
        **APART,
        # exec: Theano and TorchInductor compile into it and load what they compiled.
        "tmpfs": {SCRATCH: f"rw,exec,nosuid,nodev,mode=1777,size={limits.scratch_bytes}"},
        "shm_size": limits.shared_memory_bytes,
        **WITHOUT_PRIVILEGES,
        "mem_limit": limits.memory_bytes,
        # Memory and swap together: the same number leaves no swap on top.
        "memswap_limit": limits.memory_bytes,
        "pids_limit": limits.processes,
        "cpuset_cpus": ",".join(map(str, launch.cores)),
        # Engines' defaults differ: Podman's may be more than a machine grants, and with Docker's
        # million open files Python 2.7 closes as many before it starts a child. The limit on a
        # user's processes is shared by all containers, and so only a ceiling: pids_limit counts.
        "ulimits": [
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="nofile", soft=OPEN_FILES, hard=OPEN_FILES),
            Ulimit(name="nproc", soft=USER_PROCESSES, hard=USER_PROCESSES),
        ],
        # A first process that reaps orphans and hands on how the job ended. A script that is
        # the first process itself cannot even abort: the kernel keeps its signals from it.
        "init": True,
        # Output is read by attaching before the start; the engine's disk need not hold it too.
        "log_config": LogConfig(type=LogConfig.types.NONE),
    }
    if data_volume is not None:
        host["mounts"] = [Mount(DATA_FOLDER, data_volume, type="volume", read_only=True)]
    return host


def _mount(mount: Mount) -> str:
    read_only = ",readonly" if mount["ReadOnly"] else ""
    return f"--mount=type={mount['Type']},src={mount['Source']},dst={mount['Target']}{read_only}"


_HOST_FLAGS: dict[str, Callable[[Any], list[str]]] = {
    "network_mode": lambda value: [f"--network={value}"],
    "ipc_mode": lambda value: [f"--ipc={value}"],
    "read_only": lambda value: ["--read-only"] if value else [],
    "tmpfs": lambda value: [f"--tmpfs={path}:{text}" for path, text in value.items()],
    "shm_size": lambda value: [f"--shm-size={value}"],
    "cap_drop": lambda value: [f"--cap-drop={name}" for name in value],
    "security_opt": lambda value: [f"--security-opt={name}" for name in value],
    "mem_limit": lambda value: [f"--memory={value}"],
    "memswap_limit": lambda value: [f"--memory-swap={value}"],
    "pids_limit": lambda value: [f"--pids-limit={value}"],
    "cpuset_cpus": lambda value: [f"--cpuset-cpus={value}"],
    "ulimits": lambda value: [f"--ulimit={u['Name']}={u['Soft']}:{u['Hard']}" for u in value],
    "init": lambda value: ["--init"] if value else [],
    "log_config": lambda value: [f"--log-driver={value['Type']}"],
    "mounts": lambda value: [_mount(mount) for mount in value],
    "device_requests": docker_gpus.flags,
    "runtime": lambda value: [f"--runtime={value}"],
}


def command_line(made: Options) -> tuple[str, ...]:
    """Return the argv of ``docker run`` that starts the same container by hand."""
    container = made.container
    return (
        "docker",
        "run",
        "--rm",
        *(flag for key, value in made.host.items() for flag in _HOST_FLAGS[key](value)),
        f"--user={container['user']}",
        f"--workdir={container['working_dir']}",
        "--no-healthcheck",
        *(f"--env={name}={value}" for name, value in container["environment"].items()),
        container["image"],
        *(container["command"] or ()),
    )


def owner_text(owner: Owner) -> str:
    """Return an owner as a label's value."""
    process = owner.process
    words = (owner.node, owner.boot_id, owner.pid_namespace, process.pid, process.started)
    return " ".join(map(str, words))


def parse_owner(text: str) -> Owner | None:
    """Return the owner of a label's value, or None where it is none of ours."""
    words = text.split(" ")
    if len(words) != 5 or not (words[3].isdecimal() and words[4].isdecimal()):
        return None
    return Owner(
        node=words[0],
        boot_id=words[1],
        pid_namespace=words[2],
        process=Process(pid=int(words[3]), started=int(words[4])),
    )


def abandoned(
    owner: Owner, here: Owner, *, is_running: bool, alive: Callable[[Process], bool]
) -> bool:
    """Tell whether a container's owner is dead for certain, as seen from the process `here`.

    Another machine's owner, or one in another pid namespace, cannot be seen, and is left alone.
    So is a running container of another boot: it would not have lived through the boot.
    """
    if owner.node != here.node:
        return False
    if owner.boot_id != here.boot_id:
        return not is_running
    return owner.pid_namespace == here.pid_namespace and not alive(owner.process)
