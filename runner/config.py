"""matrix.yaml and image.yaml -> model. Reports every problem at once, each with its place."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from runner.documents import Document, Location, hint, read
from runner.errors import ConfigurationError
from runner.model import (
    BuildLimits,
    Exclusion,
    Image,
    Inclusion,
    Limits,
    Matrix,
    Sampling,
    Scalar,
    Suite,
    Tolerance,
)
from runner.workloads import WORKLOADS, Parameter

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
    problems = list(_matrix_problems(document, images))
    if problems:
        raise ConfigurationError(path.name, problems)
    data = document.data
    build = dict(data.get("build", {}))
    parallel = build.pop("parallel", 2)
    common = data.get("limits", {})
    return Matrix(
        text=document.text,
        default_suite=data["default_suite"],
        default_profile=data["default_profile"],
        suites={name: _suite(name, suite, common) for name, suite in data["suites"].items()},
        profiles={name: _sampling(profile) for name, profile in data["profiles"].items()},
        build=msgspec.convert(build, BuildLimits, strict=False),
        build_parallel=parallel,
        order_seed=data.get("order_seed", 1),
        seed=data.get("seed", 1),
        tolerance=_tolerance(data.get("disturbance", {})),
    )


def _matrix_problems(document: Document, images: Collection[str]) -> Iterator[str]:
    data = document.data
    for key, known in (("default_suite", "suites"), ("default_profile", "profiles")):
        if data[key] not in data[known]:
            message = f"no {known[:-1]} {data[key]!r}; {hint(data[key], data[known])}"
            yield document.problem((key,), message)
    for name, profile in data["profiles"].items():
        for message in _precision_problems(profile):
            yield document.problem(("profiles", name, "precision"), message)
    for name, suite in data["suites"].items():
        place: Location = ("suites", name)
        for message in _precision_problems(suite):
            yield document.problem((*place, "precision"), message)
        for where, message in _suite_problems(suite, images):
            yield document.problem(place + where, message)


def _precision_problems(data: Mapping[str, Any]) -> Iterator[str]:
    if "precision" in data and share(data["precision"]) is None:
        yield f"expected a share such as 1% or 0.01, found {data['precision']!r}"


def share(value: str | float) -> float | None:
    """Return a share between 0 and 1, given as ``1%`` or as a number; None if it is neither."""
    text = str(value).strip()
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None
    return number if 0 < number < 1 else None


def sampling_problem(sampling: Sampling) -> str | None:
    """Return why launching cannot stop by precision with these numbers, or None."""
    first, most = sampling.launches, sampling.max_launches
    if sampling.precision is None or 2 <= first <= most:
        return None
    return (
        f"precision: the first batch, launches {first}, must be at least 2 and at most "
        f"max_launches {most}"
    )


def _suite_problems(
    suite: Mapping[str, Any], images: Collection[str]
) -> Iterator[tuple[Location, str]]:
    yield from _glob_problems(("images",), suite["images"], images)
    axes = suite.get("axes", {})
    for name, fixed in suite["workloads"].items():
        yield from _parameter_problems(("workloads", name), name, fixed or {})
        for parameter, values in axes.items():
            for index, value in enumerate(values):
                at = ("axes", parameter, index)
                yield from _parameter_problems(at, name, {parameter: value}, whole=True)
            if parameter in (fixed or {}):
                yield ("axes", parameter), f"is fixed by workload {name!r} too; keep one of them"
    for index, more in enumerate(suite.get("include", [])):
        yield from _glob_problems(("include", index, "images"), more["images"], images)
        inside = ("include", index, "parameters")
        yield from _parameter_problems(inside, more["workload"], more.get("parameters", {}))
    for index, rule in enumerate(suite.get("exclude", [])):
        place = ("exclude", index)
        yield from _glob_problems((*place, "image"), [rule.get("image", "*")], images)
        pattern = rule.get("workload", "*")
        if not fnmatch.filter(suite["workloads"], pattern):
            message = f"matches no workload of the suite; {hint(pattern, suite['workloads'])}"
            yield (*place, "workload"), message


def _glob_problems(
    place: Location, patterns: list[str], images: Collection[str]
) -> Iterator[tuple[Location, str]]:
    for index, pattern in enumerate(patterns):
        if not fnmatch.filter(images, pattern):
            where = (*place, index) if len(place) == 1 or place[-1] == "images" else place
            yield where, f"no image matches {pattern!r}; {hint(pattern, images)}"


def _parameter_problems(
    place: Location, workload: str, parameters: Mapping[str, Scalar], *, whole: bool = False
) -> Iterator[tuple[Location, str]]:
    if workload not in WORKLOADS:
        yield place, f"no workload {workload!r}; {hint(workload, WORKLOADS)}"
        return
    known = {parameter.name: parameter for parameter in WORKLOADS[workload].parameters}
    for name, value in parameters.items():
        where = place if whole else (*place, name)
        if name not in known:
            yield where, f"{workload} has no parameter {name!r}; {hint(name, known)}"
        else:
            yield from ((where, message) for message in _value_problems(known[name], value))


def _value_problems(parameter: Parameter, value: Scalar) -> Iterator[str]:
    if parameter.choices:
        if value not in parameter.choices:
            known = [str(choice) for choice in parameter.choices]
            yield f"{parameter.name} cannot be {value!r}; {hint(str(value), known)}"
        return
    wanted = type(parameter.default)
    positive = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    numeric = wanted in (int, float)
    if numeric and not (positive and (wanted is float or isinstance(value, int))):
        kind = "a whole number above 0" if wanted is int else "a number above 0"
        yield f"{parameter.name} must be {kind}, found {value!r}"


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


def _suite(name: str, data: Mapping[str, Any], common: Mapping[str, Any]) -> Suite:
    workloads = {workload: fixed or {} for workload, fixed in data["workloads"].items()}
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
        images=tuple(data["images"]),
        workloads=workloads,
        axes={key: tuple(values) for key, values in data.get("axes", {}).items()},
        include=tuple(include),
        exclude=tuple(exclude),
        limits=_limits({**common, **data.get("limits", {})}),
        device=data.get("device", "cpu"),
        precision=_precision(data).get("precision"),
        max_launches=data.get("max_launches"),
        budget_s=data.get("budget_s"),
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
