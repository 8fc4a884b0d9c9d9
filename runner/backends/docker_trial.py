"""Whether GPUs get into containers here: one is started with them, and looked at from inside.

It needs their devices, and the driver's library where programs look for it: a toolkit may bring in
the one without the other (an ``ldconfig`` of its configuration that the host has elsewhere, say).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from docker import APIClient
from docker.errors import APIError
from docker.types import LogConfig
from requests.exceptions import RequestException

from runner.backends.docker_gpus import Injection
from runner.backends.docker_job import engine_words, remove
from runner.backends.docker_options import (
    APART,
    IMAGE_LABEL,
    JOB_LABEL,
    NOBODY,
    OWNER_LABEL,
    WITHOUT_PRIVILEGES,
)

_WAIT_S = 60
# /dev/dxg is how the Windows Subsystem for Linux hands a GPU on.
_DEVICE = re.compile(r"nvidia\d+|dxg")
_LIBRARY = "libcuda.so.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What came of it.

    Attributes:
        image: the container's; empty where nothing was tried, since no image is built yet.
        devices: names of GPUs in its /dev.
        problem: why they cannot be used, in the engine's words where it refused; empty: they can.
    """

    image: str
    devices: tuple[str, ...] = ()
    problem: str = ""


def newest_image(api: APIClient) -> str:
    """Return the name of the image that was built last for a benchmark; empty: there is none."""
    found = [entry for entry in api.images(filters={"label": IMAGE_LABEL}) if entry["RepoTags"]]
    if not found:
        return ""
    return str(max(found, key=lambda entry: entry["Created"])["RepoTags"][0])


def attempt(api: APIClient, image: str, gpus: Injection, owner: str) -> Trial:
    """Start a container with GPUs, as hardened as a job's, look at it, and remove it.

    Args:
        owner: text of this process, from `owner_text`: should it be killed, the next runner
            removes the container.
    """
    try:
        said = _look(api, image, gpus, owner)
    except (APIError, RequestException) as error:
        return Trial(image=image, problem=engine_words(error))
    devices = tuple(name for name in said.split() if _DEVICE.fullmatch(name))
    return Trial(image=image, devices=devices, problem=_problem(devices, said))


def _look(api: APIClient, image: str, gpus: Injection, owner: str) -> str:
    """Return the names in a container's /dev, and what the dynamic linker said."""
    host = {
        **APART,
        **WITHOUT_PRIVILEGES,
        "log_config": LogConfig(type=LogConfig.types.JSON),
        **gpus.host,
    }
    container = api.create_container(
        image,
        ["/dev"],
        entrypoint=["ls"],
        user=NOBODY,
        # Any program with the C library then says whether the driver's library was found.
        environment={**gpus.variables, "LD_PRELOAD": _LIBRARY},
        labels={JOB_LABEL: "doctor", OWNER_LABEL: owner},
        host_config=api.create_host_config(**host),
    )["Id"]
    try:
        api.start(container)
        api.wait(container, timeout=_WAIT_S)
        return str(api.logs(container).decode(errors="replace"))
    finally:
        remove(api, container)


def _problem(devices: tuple[str, ...], said: str) -> str:
    if not devices:
        return "no GPU is among its devices"
    if _LIBRARY in said:  # only the dynamic linker speaks of it
        return f"its devices are there, but {_LIBRARY} is not found in it"
    return ""
