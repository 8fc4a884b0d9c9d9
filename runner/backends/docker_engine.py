"""The docker backend: sweeps, prepares, starts. Made by ``docker.connect``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.errors import APIError
from requests.exceptions import RequestException

from runner import pins
from runner.backends import PrepareError, docker_bases, docker_build, docker_gpus, docker_trial
from runner.backends.docker_data import Volumes
from runner.backends.docker_gpus import Access
from runner.backends.docker_job import ContainerJob, engine_errors, remove
from runner.backends.docker_options import (
    CONTENT_LABEL,
    IMAGE_LABEL,
    JOB_LABEL,
    OWNER_LABEL,
    abandoned,
    command_line,
    options,
    owner_text,
    parse_owner,
)
from runner.backends.docker_trial import Trial
from runner.backends.job_state import this_owner
from runner.backends.process_tree import alive
from runner.errors import BackendUnavailable
from runner.model import BuildLimits, Environment, Image, Launch, Status

# What the engine itself looks for before it offers --gpus.
_TOOLKIT_HOOK = "nvidia-container-runtime-hook"
_LIMITS = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "PidsLimit": "processes",
    "CPUSet": "cores",
}


class DockerBackend:
    """An engine that answered once."""

    name = "docker"

    def __init__(
        self, api: APIClient, host: str, root: Path, wheel_folders: tuple[Path, ...]
    ) -> None:
        self._api = api
        self._host = host
        self._local = host.startswith("unix://")
        self._root = root
        self._wheel_folders = wheel_folders
        self._owner = this_owner()
        self._bases = docker_bases.Bases(api)
        self._volumes = Volumes(api, owner_text(self._owner))
        self._way: Access | None = None

    def describe(self) -> dict[str, str]:
        """Facts of the engine; ``not limited`` names what its kernel cannot limit."""
        with engine_errors("asking for its facts"):
            info, version = self._api.info(), self._api.version()
        engine = str((version.get("Components") or [{}])[0].get("Name", "unknown"))
        unlimited = [name for key, name in _LIMITS.items() if info.get(key) is False]
        return {
            "engine": "Docker" if engine == "Engine" else engine,
            "version": str(version.get("Version", "")),
            "api": str(self._api.api_version),
            "socket": self._host,
            "runtime": str(info.get("DefaultRuntime", "")),
            "storage_driver": str(info.get("Driver", "")),
            "cgroup_version": str(info.get("CgroupVersion", "1")),
            "cgroup_driver": str(info.get("CgroupDriver", "")),
            "security": ", ".join(info.get("SecurityOptions") or ()),
            "kernel": str(info.get("KernelVersion", "")),
            "builder": "classic",
            "gpus": self._gpu_words(info),
            "not limited": ", ".join(unlimited),
        }

    def gpu_access(self) -> Access:
        """Return how GPUs get into a container here, found out by asking the engine."""
        if self._way is None:
            with engine_errors("asking for its devices"):
                self._way = self._gpu_access(self._api.info())
        return self._way

    def no_way_to_gpus(self) -> str:
        """Say why no GPU gets into a container here, and what to do; empty where they do."""
        return docker_gpus.no_way(self.gpu_access())

    def _gpu_access(self, info: dict[str, Any]) -> Access:
        folders = map(Path, info.get("CDISpecDirs") or ())
        return docker_gpus.access(
            info,
            docker_gpus.spec_devices(folders) if self._local else (),
            has_hook=self._local and shutil.which(_TOOLKIT_HOOK) is not None,
        )

    def _gpu_words(self, info: dict[str, Any]) -> str:
        return self._gpu_access(info).words

    def sweep(self) -> list[str]:
        """Remove the containers of runners that are dead for certain; images and volumes stay."""
        with engine_errors("sweeping"):
            found = self._api.containers(all=True, filters={"label": JOB_LABEL})
            said = [self._swept(entry) for entry in found]
        return [sentence for sentence in said if sentence]

    def _swept(self, found: dict[str, Any]) -> str:
        owner = parse_owner(found["Labels"].get(OWNER_LABEL, ""))
        is_running = found["State"] == "running" or not self._local
        if owner is None or not abandoned(owner, self._owner, is_running=is_running, alive=alive):
            return ""
        remove(self._api, found["Id"])
        return (
            f"removed container {found['Id'][:12]} of job {found['Labels'][JOB_LABEL]},"
            f" {found['State']}: its runner (process {owner.process.pid}) is dead"
        )

    def prepare(self, image: Image, limits: BuildLimits, say: Callable[[str], None]) -> Environment:
        """Build an image, or find the very same one built before."""
        with engine_errors(f"preparing {image.name}"):
            return self._prepared(image, limits, say)

    def _prepared(
        self, image: Image, limits: BuildLimits, say: Callable[[str], None]
    ) -> Environment:
        base = self._bases.resolve(image, limits, say)
        recipe = docker_build.recipe(image, self._root, base)
        tag = f"runner/{image.full_name.lower()}:{recipe.content[:12]}"
        made = {IMAGE_LABEL: image.full_name, CONTENT_LABEL: recipe.content}
        found = docker_bases.inspect(self._api, tag)
        if found is not None and made.items() <= docker_bases.labels(found).items():
            say(f"{tag} is here")
        else:
            order = docker_build.Order(
                image=image,
                recipe=recipe,
                wheels=pins.admitted_wheels(image, self._wheel_folders),
                tag=tag,
                labels=made,
                limits=limits,
            )
            docker_build.build(self._api, order, say)
            found = docker_bases.inspect(self._api, tag)
            if found is None:
                msg = f"the engine has no image {tag} after building it without an error"
                raise PrepareError(Status.BUILD_FAILED, msg)
        facts = {"image_size_bytes": str(found["Size"])}
        if image.variant:
            facts["variant"] = image.full_name
        if recipe.apt:
            facts["apt"] = docker_build.apt_versions(self._api, found["Id"], recipe.apt)
        return Environment(
            image=image,
            digest=found["Id"],
            location=tag,
            lock_sha256=pins.lock_sha256(image),
            scripts_sha256=pins.scripts_sha256(self._root),
            base=base.base,
            facts=facts,
        )

    def start(self, launch: Launch) -> ContainerJob:
        """Start a container.

        Raises:
            BackendUnavailable: the engine refused; the message is its own.
        """
        with engine_errors(f"starting job {launch.id}"):
            volume = None
            if launch.data_file is not None:
                volume = self._volumes.holding(launch.data_file, launch.environment.digest)
            gpus = self._injection(launch.gpus)
            made = options(launch, owner_text(self._owner), volume, gpus)
            host = self._api.create_host_config(**made.host)
            container = self._api.create_container(**made.container, host_config=host)["Id"]
            return self._started(container, command_line(made))

    def try_gpus(self, uuids: Sequence[str]) -> Trial:
        """Start a container of an image that was built here, with these GPUs.

        Raises:
            BackendUnavailable: no way to GPUs was found.
        """
        with engine_errors("starting a container with GPUs"):
            image = docker_trial.newest_image(self._api)
            if not image:
                return Trial(image="")
            gpus = self._injection(uuids)
            return docker_trial.attempt(self._api, image, gpus, owner_text(self._owner))

    def _injection(self, uuids: Sequence[str]) -> docker_gpus.Injection:
        if not uuids:
            return docker_gpus.Injection()
        if words := self.no_way_to_gpus():
            raise BackendUnavailable(words)
        return docker_gpus.injection(self.gpu_access(), uuids, docker_gpus.minors(Path("/")))

    def _started(self, container: str, command: tuple[str, ...]) -> ContainerJob:
        try:
            job = ContainerJob(self._api, container, command, self._local)
        except (APIError, RequestException):
            remove(self._api, container)
            raise
        try:
            self._api.start(container)
        except (APIError, RequestException, KeyboardInterrupt):
            job.abandon()
            raise
        return job
