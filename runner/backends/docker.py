"""Jobs in containers of any engine that answers the Docker API: Docker, Podman, local or remote.

Nothing is shared with the engine's machine but its API: no folder, no bind mount.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import BackendUnavailable

if TYPE_CHECKING:
    from docker import APIClient

    from runner.backends.docker_engine import DockerBackend

_CONNECT_S = 10
_CALL_S = 60


def connect(root: Path, wheel_folders: tuple[Path, ...]) -> DockerBackend:
    """Reach the engine that DOCKER_HOST, docker's context or a usual socket leads to."""
    # The engine's library takes a tenth of a second to import, which no other command needs.
    from docker import APIClient
    from docker.context import ContextAPI
    from docker.errors import DockerException
    from docker.utils import kwargs_from_env
    from requests.exceptions import RequestException

    from runner.backends.docker_engine import DockerBackend
    from runner.backends.docker_job import cause

    def answering(host: str) -> APIClient:
        named: dict[str, Any] = {"base_url": host}
        if host == os.environ.get("DOCKER_HOST"):
            named |= kwargs_from_env()  # with the certificates of DOCKER_CERT_PATH
        api = APIClient(version="auto", timeout=_CONNECT_S, **named)
        api.timeout = _CALL_S
        return api

    context = ContextAPI.get_current_context()
    hosts = candidates(os.environ, None if context is None else context.Host)
    tried = []
    for host in hosts:
        if problem := _closed(host):
            tried.append(f"  {host}: {problem}")
            continue
        try:
            return DockerBackend(answering(host), host, root, wheel_folders)
        except (DockerException, RequestException, ValueError) as error:
            tried.append(f"  {host}: {cause(error)}")
    msg = "\n".join(
        [
            "no container engine answers; tried",
            *tried,
            "start one (dockerd, or 'podman system service --time 0'), or set DOCKER_HOST;"
            " '--backend process' needs none",
        ]
    )
    raise BackendUnavailable(msg)


def candidates(environment: Mapping[str, str], context_host: str | None) -> tuple[str, ...]:
    """Return where an engine may listen, in the order to try: what the user set, and only that.

    Args:
        context_host: the host of docker's current context; None where there is none.
    """
    if named := environment.get("DOCKER_HOST"):
        return (named,)
    runtime = environment.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    usual = (
        "unix:///var/run/docker.sock",
        f"unix://{runtime}/docker.sock",
        f"unix://{runtime}/podman/podman.sock",
        "unix:///run/podman/podman.sock",
    )
    if context_host and context_host not in usual[:1]:
        return (context_host,)
    return usual


def _closed(host: str) -> str:
    """Return why nobody listens on a Unix socket, or nothing; the library leaks it there."""
    if not host.startswith("unix://"):
        return ""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_CONNECT_S)
        try:
            probe.connect(host.removeprefix("unix://"))
        except OSError as error:
            return error.strerror or str(error)
    return ""
