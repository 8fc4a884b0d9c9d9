"""matrix.yaml and image.yaml -> model. Reports every problem at once, each with its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from runner.documents import Document, hint, read
from runner.errors import ConfigurationError
from runner.matrix_rules import matrix_problems
from runner.matrix_rules import sampling_problem as sampling_problem
from runner.matrix_rules import share as share
from runner.model import (
    BuildLimits,
    Exclusion,
    GpuNeeds,
    Image,
    Inclusion,
    Limits,
    Matrix,
    Sampling,
    Suite,
    Tolerance,
)
from runner.workloads import WORKLOADS

_GIB = 1024**3


def load_images(root: Path) -> dict[str, Image]:
    """Read every images/*/image.yaml below the project's folder `root`.

    Raises:
        ConfigurationError: any of them is wrong; the problems of all files at once.
    """
    problems: list[str] = []
    images: dict[str, Image] = {}
    for folder in sorted((root / "images").glob("*/")):
        shown = f"images/{folder.name}/image.yaml"
        try:
            document = read(folder / "image.yaml", shown, "image.schema.json")
        except ConfigurationError as error:
            problems += [f"{shown}: {problem}" for problem in error.problems]
            continue
        problems += [f"{shown}: {problem}" for problem in _image_problems(document, folder, root)]
        data = document.data | {"name": folder.name, "folder": folder}
        images[folder.name] = msgspec.convert(data, Image)
    if problems:
        source = "images/"
        raise ConfigurationError(source, problems)
    return images


def _image_problems(document: Document, folder: Path, root: Path) -> Iterator[str]:
    data = document.data
    if not (root / "scripts" / data["script"]).is_file():
        have = [path.name for path in (root / "scripts").glob("*.*")]
        message = f"no file scripts/{data['script']}; {hint(data['script'], have)}"
        yield document.problem(("script",), message)
    for index, name in enumerate(data["workloads"]):
        if name not in WORKLOADS:
            message = f"no workload {name!r}; {hint(name, WORKLOADS)}"
            yield document.problem(("workloads", index), message)
    lock = "Manifest.toml" if data["language"] == "julia" else "requirements.lock"
    for needed in ("Dockerfile", lock):
        if not (folder / needed).is_file():
            yield document.problem((), f"the folder has no {needed}")


def load_matrix(path: Path, images: Collection[str]) -> Matrix:
    """Read a matrix; `images` are the names that its globs may match.

    Raises:
        ConfigurationError: it is wrong; every problem at once, with its line.
    """
    document = read(path, path.name, "matrix.schema.json")
    there = {folder.name for folder in path.parent.glob("results/published/*/")}
    problems = list(matrix_problems(document, images, there))
    if problems:
        raise ConfigurationError(path.name, problems)
    data = document.data
    build = dict(data.get("build", {}))
    parallel = build.pop("parallel", 2)
    common = data.get("limits", {})
    profiles = data["profiles"]
    return Matrix(
        text=document.text,
        default_suite=data["default_suite"],
        default_profile=data["default_profile"],
        suites={
            name: _suite(name, suite, common, profiles) for name, suite in data["suites"].items()
        },
        profiles={name: _sampling(profile) for name, profile in profiles.items()},
        build=msgspec.convert(build, BuildLimits, strict=False),
        build_parallel=parallel,
        order_seed=data.get("order_seed", 1),
        seed=data.get("seed", 1),
        tolerance=_tolerance(data.get("disturbance", {})),
    )


def _sampling(data: Mapping[str, Any]) -> Sampling:
    return msgspec.convert({**data, **_precision(data)}, Sampling)


def _precision(data: Mapping[str, Any]) -> dict[str, float | None]:
    return {"precision": share(data["precision"])} if "precision" in data else {}


def _tolerance(data: Mapping[str, Any]) -> Tolerance:
    names = ("others", "steal", "stall", "frequency")
    given = {name: data[f"{name}_percent"] for name in names if f"{name}_percent" in data}
    shares = {f"{name}_share": value and value / 100 for name, value in given.items()}
    plain = {key: data[key] for key in ("throttled", "shared_gpu", "repeats") if key in data}
    if "swapped_mib" in data:
        mib = data["swapped_mib"]
        plain["swapped_bytes"] = None if mib is None else int(mib * 1024**2)
    return dataclasses.replace(Tolerance(), **shares, **plain)


def _suite(
    name: str,
    data: Mapping[str, Any],
    common: Mapping[str, Any],
    profiles: Mapping[str, Mapping[str, Any]],
) -> Suite:
    workloads = {workload: fixed or {} for workload, fixed in data.get("workloads", {}).items()}
    include = [
        Inclusion(
            images=tuple(more["images"]),
            workload=more["workload"],
            parameters=more.get("parameters", {}),
        )
        for more in data.get("include", [])
    ]
    exclude = [
        Exclusion(
            image=rule.get("image", "*"),
            workload=rule.get("workload", "*"),
            parameters=rule.get("parameters", {}),
            reason=rule["reason"],
        )
        for rule in data.get("exclude", [])
    ]
    return Suite(
        name=name,
        title=data["title"],
        protocol=data.get("protocol", "fair"),
        images=tuple(data.get("images", ())),
        workloads=workloads,
        axes={key: tuple(values) for key, values in data.get("axes", {}).items()},
        include=tuple(include),
        exclude=tuple(exclude),
        limits=_limits({**common, **data.get("limits", {})}),
        device=data.get("device", "cpu"),
        gpu=_gpu(data.get("gpu", {})),
        precision=_precision(data).get("precision"),
        max_launches=data.get("max_launches"),
        budget_s=data.get("budget_s"),
        published=data.get("published", ""),
        batches=data.get("batches", {}),
        stand_ins=data.get("stand_ins", {}),
        profiles={
            profile: _sampling({**profiles[profile], **changes})
            for profile, changes in data.get("profiles", {}).items()
        },
    )


def _gpu(data: Mapping[str, Any]) -> GpuNeeds:
    least = data.get("memory_gib")
    return GpuNeeds(
        memory_bytes=None if least is None else int(least * _GIB),
        architectures=tuple(data.get("architectures", ())),
    )


def _limits(data: Mapping[str, Any]) -> Limits:
    sizes = ("memory", "shared_memory", "scratch")
    known = {
        f"{size}_bytes": int(data[f"{size}_gib"] * _GIB) for size in sizes if f"{size}_gib" in data
    }
    plain = {key: data[key] for key in ("timeout_s", "silence_s") if key in data}
    counts = {key: data[key] for key in ("processes", "cores") if key in data}
    return dataclasses.replace(Limits(), **known, **plain, **counts)


def wheel_folders(environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Return the local folders that pip is configured to find wheels in.

    Read from PIP_FIND_LINKS and pip's configuration files, as pip documents them; addresses
    are passed over. A wheel from there is used only where a lock admits its hash.
    """
    import configparser

    found = environment.get("PIP_FIND_LINKS", "").split()
    files = [home / ".config/pip/pip.conf", home / ".pip/pip.conf", Path("/etc/pip.conf")]
    if "PIP_CONFIG_FILE" in environment:
        files = [Path(environment["PIP_CONFIG_FILE"])]
    for file in files:
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself will complain of it
        for section in ("global", "install"):
            found += parser.get(section, "find-links", fallback="").split()
    folders = (Path(item.removeprefix("file://")) for item in found if "://" not in item[7:])
    return tuple(dict.fromkeys(folder for folder in folders if folder.is_dir()))
