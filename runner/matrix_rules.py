"""What a matrix may say, beyond its schema: names that there are, numbers that fit. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from runner.documents import Document, Location, hint
from runner.model import Sampling, Scalar
from runner.parameters import SWITCHES_OF_ALL, Parameter
from runner.workloads import WORKLOADS


def matrix_problems(
    document: Document, images: Collection[str], published: Collection[str]
) -> Iterator[str]:
    """Yield each thing that is wrong with a matrix, and that its schema cannot say.

    Args:
        images: names that there are.
        published: folders of results/published/.
    """
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
        for profile, changes in suite.get("profiles", {}).items():
            for message in _profile_problems(profile, changes, data["profiles"]):
                yield document.problem((*place, "profiles", profile), message)
        for where, message in _problems_of(suite, images, published):
            yield document.problem(place + where, message)


def _problems_of(
    suite: Mapping[str, Any], images: Collection[str], published: Collection[str]
) -> Iterator[tuple[Location, str]]:
    if "gpu" in suite and suite.get("device", "cpu") != "cuda":
        yield ("gpu",), "the suite measures on processors; add 'device: cuda', or leave it out"
    if "published" in suite:
        yield from _published_problems(suite, images, published)
    elif lacking := [name for name in ("images", "workloads") if name not in suite]:
        yield (), f"{' and '.join(map(repr, lacking))} missing; or name a 'published' suite"
    else:
        yield from _suite_problems(suite, images)


def _profile_problems(
    name: str, changes: Mapping[str, Any], known: Mapping[str, Any]
) -> Iterator[str]:
    if name not in known:
        yield f"no profile {name!r}; {hint(name, known)}"
    yield from _precision_problems(changes)


def _published_problems(
    suite: Mapping[str, Any], images: Collection[str], published: Collection[str]
) -> Iterator[tuple[Location, str]]:
    name = suite["published"]
    if name not in published:
        yield ("published",), f"no folder {name!r} in results/published; {hint(name, published)}"
    for own in ("images", "workloads", "axes", "include", "exclude", "protocol"):
        if own in suite:
            yield (own,), "the rows of 'published' say this; leave it out"
    for workload in suite.get("batches", {}):
        if workload not in WORKLOADS:
            message = f"no workload {workload!r}; {hint(workload, WORKLOADS)}"
            yield ("batches", workload), message
    for image, other in suite.get("stand_ins", {}).items():
        for name in (image, other):
            if name not in images:
                yield ("stand_ins", image), f"no image {name!r}; {hint(name, images)}"


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
    if suite.get("protocol", "fair") == "fair":
        yield from _unfair(suite)
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


def _unfair(suite: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """Find what only an original did, set under the protocol that does the same for all."""
    fixed: list[tuple[Location, Mapping[str, Scalar]]]
    fixed = [(("workloads", name), values or {}) for name, values in suite["workloads"].items()]
    for index, more in enumerate(suite.get("include", [])):
        fixed.append((("include", index, "parameters"), more.get("parameters", {})))
    given = [((*place, name), name, value) for place, had in fixed for name, value in had.items()]
    for name, values in suite.get("axes", {}).items():
        given += [(("axes", name, index), name, value) for index, value in enumerate(values)]
    fair = {switch.name: switch.default for switch in SWITCHES_OF_ALL}
    for place, name, value in given:
        if name in fair and value != fair[name]:
            yield place, f"{name} is {fair[name]!r} under the protocol 'fair', found {value!r}"


def _glob_problems(
    place: Location, patterns: list[str], images: Collection[str]
) -> Iterator[tuple[Location, str]]:
    for index, pattern in enumerate(patterns):
        if not fnmatch.filter(images, pattern.removeprefix("!")):
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
        if value not in parameter.choices or isinstance(value, bool) != isinstance(
            parameter.default, bool
        ):
            known = [str(choice) for choice in parameter.choices]
            yield f"{parameter.name} cannot be {value!r}; {hint(str(value), known)}"
        return
    wanted = type(parameter.default)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = number and (wanted is float or isinstance(value, int))
    lowest = parameter.lowest
    if not (fits and isinstance(value, int | float) and _reaches(value, lowest)):
        what = "a whole number" if wanted is int else "a number"
        bound = "above 0" if lowest is None else f"of at least {lowest:g}"
        yield f"{parameter.name} must be {what} {bound}, found {value!r}"


def _reaches(value: float, lowest: float | None) -> bool:
    return value > 0 if lowest is None else value >= lowest
