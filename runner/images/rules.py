"""What every image's folder must keep, as far as its files alone can tell.

A rule is a function from the folder's files to what is wrong with them, each a sentence that
begins with the file's name. Nothing is started, nothing outside the folder is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from runner import pins
from runner.documents import hint
from runner.images import dockerfile, requirements
from runner.model import Image
from runner.workloads import WORKLOADS

MARK = "FILL"

_DIGEST = re.compile(r"^[^@\s]+:[^@\s:/]+@sha256:[0-9a-f]{64}$")
_PAIR = re.compile(r"([a-z][a-z_]*(?:-[a-z][a-z_]*)*)-(\d[^-]*)(?:-|$)")
_MARKED = re.compile(rf"#.*\b{MARK}\b:? ?(.*)$")
# What a comment says where a digest can be cited but once, for a reader to see.
_ONE_SOURCE = "Only one source was found"
_BUILDS = ("cpu", "gpu")


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """An image and the texts of its folder, by file name."""

    image: Image
    texts: dict[str, str]

    @property
    def dockerfile(self) -> str:
        """The Dockerfile's text; empty where there is none, which config.py tells."""
        return self.texts.get("Dockerfile", "")

    @property
    def lock(self) -> str | None:
        """The lock's text, or None where it is still to be made, which one rule tells."""
        text = self.texts.get("requirements.lock", "")
        return None if _MARKED.match(text.partition("\n")[0]) else text


Rule = Callable[[Files], Iterator[str]]


def read(image: Image) -> Files:
    """Read the files of an image's folder that are text."""
    texts = {}
    for path in sorted(image.folder.iterdir()):
        if path.is_file():
            texts[path.name] = path.read_text(encoding="utf-8", errors="replace")
    return Files(image=image, texts=texts)


def problems(files: Files) -> tuple[str, ...]:
    """Return all that is wrong with a folder, every rule applied."""
    rules = COMMON + (PYTHON if files.image.language == "python" else ())
    if files.image.variant:
        rules = VARIANT
    return tuple(problem for rule in rules for problem in rule(files))


def name_pairs(name: str) -> tuple[tuple[str, str], ...]:
    """Return the packages and versions that an image's name is made of; none if it is not.

    >>> name_pairs("keras-1.2.2-theano-0.9.0")
    (('keras', '1.2.2'), ('theano', '0.9.0'))
    """
    pairs = _PAIR.findall(name)
    whole = "-".join(f"{word}-{version}" for word, version in pairs)
    return tuple(pairs) if whole == name else ()


def _nothing_left_to_fill(files: Files) -> Iterator[str]:
    for name, text in files.texts.items():
        for number, line in enumerate(text.splitlines(), start=1):
            if found := _MARKED.search(line):
                yield f"{name}: line {number}: still to fill: {found[1].strip() or line.strip()}"


def _base_is_pinned(files: Files) -> Iterator[str]:
    reference = pins.dockerfile_argument(files.dockerfile, "BASE")
    if not reference:
        yield "Dockerfile: no line 'ARG BASE=tag@sha256:...'"
        return
    if not _DIGEST.match(reference):
        yield f"Dockerfile: BASE is {reference!r}, expected a tag and @sha256: with 64 hex digits"
    sources = len(set(dockerfile.base_sources(files.dockerfile)))
    needed = 1 if _ONE_SOURCE in files.dockerfile else 2
    if sources < needed:
        yield (
            f"Dockerfile: {sources} of {needed} lines '# source: ...' in the comment right above "
            f"BASE; cite two that agree on the digest, or one and say {_ONE_SOURCE!r}"
        )


def _base_is_as_stated(files: Files) -> Iterator[str]:
    """A variant's base is what image.yaml says of it, where its digest and sources are held."""
    stated = files.image.cuda_variant
    reference = pins.dockerfile_argument(files.dockerfile, "BASE")
    if stated is not None and reference != stated.base:
        yield f"Dockerfile: BASE is {reference!r}, and cuda_variant's base {stated.base!r}"


def _asks_for_the_packages(files: Files) -> Iterator[str]:
    stated = files.image.cuda_variant
    asked = requirements.asked(files.texts.get("requirements.in", ""))
    for package in () if stated is None else stated.packages:
        name, _, version = package.partition("==")
        if asked.get(pins.normalised_name(name)) != version:
            yield f"requirements.in: no {package!r}, which image.yaml's cuda_variant has"


def _last_layers(files: Files) -> Iterator[str]:
    script = files.image.script
    suffix = script.rpartition(".")[2]
    copy = f"scripts/*.{suffix} /runner/"
    last = dockerfile.instructions(files.dockerfile)[-2:]
    if len(last) < 2 or (last[0].word, last[0].rest) != ("COPY", copy):
        yield f"Dockerfile: the last instruction but one must be 'COPY {copy}'"
    started = f'/runner/{script}"]'
    if not last or last[-1].word != "CMD" or not last[-1].rest.endswith(started):
        yield f"Dockerfile: the last instruction must be CMD with {started[:-2]!r}, image.yaml's"


def _environment_agrees(files: Files) -> Iterator[str]:
    inside, said = dockerfile.environment(files.dockerfile), files.image.environment
    for name in sorted(inside.keys() | said.keys()):
        if inside.get(name) != said.get(name):
            yield (
                f"Dockerfile: ENV {name} is {inside.get(name)!r}, and image.yaml's environment "
                f"has {said.get(name)!r}"
            )


def _folder_is_named_by_versions(files: Files) -> Iterator[str]:
    image = files.image
    pairs = name_pairs(image.name)
    release = image.framework_version.partition("+")[0]
    if not pairs or pairs[0] != (pins.normalised_name(image.framework.split(" ")[0]), release):
        yield (
            f"image.yaml: {image.framework} {image.framework_version} does not fit the folder's "
            f"name; expected it to begin with '{image.framework}-{release}'"
        )


def _base_has_the_language(files: Files) -> Iterator[str]:
    image = files.image
    reference = pins.dockerfile_argument(files.dockerfile, "BASE") or ""
    found = re.search(r"(?:^|/)python:(\d+\.\d+)", reference)
    if found and found[1] != ".".join(image.language_version.split(".")[:2]):
        yield f"Dockerfile: BASE has Python {found[1]}, image.yaml says {image.language_version}"


def _release_is_for_the_python(files: Files) -> Iterator[str]:
    image = files.image
    try:
        known = SpecifierSet(image.python_versions)
    except InvalidSpecifier:
        shown = image.python_versions
        yield f"image.yaml: python_versions is {shown!r}, expected such as '>=3.6,<3.8'"
        return
    if image.language_version not in known:
        yield (
            f"image.yaml: the image has Python {image.language_version}, and the release is for "
            f"{image.python_versions}"
        )


def _defects_name_cells(files: Files) -> Iterator[str]:
    workloads = [WORKLOADS[name] for name in files.image.workloads if name in WORKLOADS]
    known = {parameter.name for workload in workloads for parameter in workload.parameters}
    known |= {"device", "workload"}
    for defect in files.image.known_defects:
        for name in sorted(defect.stops.keys() - known):
            yield f"image.yaml: known_defects: stops: {name!r}: {hint(name, known)}"


def _cuda_variant_is_defined(files: Files) -> Iterator[str]:
    """Where the folder makes an image for processors, its facts of CUDA are those of a variant."""
    image, variant = files.image, files.image.cuda_variant
    if variant is None:
        if image.cuda is not None and "cuda" not in image.devices:
            yield "image.yaml: cuda is stated, and neither devices nor a cuda_variant is for it"
        return
    if "cuda" in image.devices:
        yield "image.yaml: cuda_variant: devices has cuda already, so the folder makes it"
    facts = {"cuda": image.cuda, "cudnn": image.cudnn, "minimum_driver": image.minimum_driver}
    yield from (f"image.yaml: cuda_variant: {n} is not stated" for n, v in facts.items() if not v)
    if ("@" in variant.base) != bool(variant.base_sources):
        yield (
            f"image.yaml: cuda_variant: base is {variant.base!r} with "
            f"{len(variant.base_sources)} base_sources; expected a digest and two that agree on "
            "it, or a tag alone"
        )
    asked = requirements.asked(files.texts.get("requirements.in", ""))
    for package in variant.packages:
        name, _, version = package.partition("==")
        replaced = pins.normalised_name(name).removesuffix("-gpu")
        if asked.get(replaced, version) not in ("", version):
            yield (
                f"image.yaml: cuda_variant: {package}, and requirements.in asks for "
                f"{replaced}=={asked[replaced]}"
            )


def _lock_has_hashes(files: Files) -> Iterator[str]:
    loose = requirements.loose(files.lock or "")
    yield from (f"requirements.lock: {problem}" for problem in loose)


def _lock_says_how_it_was_made(files: Files) -> Iterator[str]:
    if files.lock is None:
        return
    lines = requirements.header(files.lock)
    made_of = f"images/{files.image.full_name}/requirements.in"
    if not any(made_of in line for line in lines):
        yield f"requirements.lock: its header does not name the command that made it of {made_of}"
    for line in lines:
        if "://" in line or re.search(r"\s/", line):
            yield f"requirements.lock: its header has a host or an absolute path: {line!r}"


def _versions_agree(files: Files) -> Iterator[str]:
    image = files.image
    asked = requirements.asked(files.texts.get("requirements.in", ""))
    if "requirements.in" not in files.texts:
        yield "requirements.in: the folder has none"
        return
    yield from _lock_agrees(asked, files.lock)
    brought = pins.normalised_name(image.distribution or image.framework)
    found = asked.get(brought, asked.get(f"{brought}-gpu") if image.variant else None)
    if found != image.framework_version:
        yield (
            f"requirements.in: no '{brought}=={image.framework_version}', which image.yaml names"
        )
    for word, version in name_pairs(image.name)[1:]:
        names = (word, *(f"{word}-{build}" for build in _BUILDS))
        if not any(asked.get(name, "").partition("+")[0] == version for name in names):
            yield f"requirements.in: no '{word}=={version}', which the folder's name has"


def _lock_agrees(asked: Mapping[str, str], lock: str | None) -> Iterator[str]:
    if lock is None:
        return
    locked = requirements.locked(lock)
    for name, version in asked.items():
        if name not in locked:
            yield f"requirements.lock: {name} of requirements.in is missing"
        elif version not in ("", found := locked[name].version):
            yield f"requirements.lock: {name} is {found}, and requirements.in asks for {version}"


def _installs_its_lock(files: Files) -> Iterator[str]:
    text = files.dockerfile
    for name in re.findall(r"images/([^/\s]+)/", text):
        if name != files.image.name:
            yield f"Dockerfile: copies from images/{name}/, which is another image's"
    made = " ".join(step.rest for step in dockerfile.instructions(text) if step.word == "RUN")
    if "pip install" in made:
        for flag in ("--require-hashes", "--no-deps"):
            if flag not in made:
                yield f"Dockerfile: pip installs without {flag}"
        if f"'{files.image.framework_version}'" not in made:
            yield (
                f"Dockerfile: no smoke test that asserts '{files.image.framework_version}' "
                "after the installation"
            )


COMMON: tuple[Rule, ...] = (
    _nothing_left_to_fill,
    _base_is_pinned,
    _last_layers,
    _environment_agrees,
    _folder_is_named_by_versions,
    _defects_name_cells,
    _cuda_variant_is_defined,
)
PYTHON: tuple[Rule, ...] = (
    _base_has_the_language,
    _release_is_for_the_python,
    _lock_has_hashes,
    _lock_says_how_it_was_made,
    _versions_agree,
    _installs_its_lock,
)
VARIANT: tuple[Rule, ...] = (
    _nothing_left_to_fill,
    _base_is_as_stated,
    _last_layers,
    _environment_agrees,
    _release_is_for_the_python,
    _asks_for_the_packages,
    _lock_has_hashes,
    _lock_says_how_it_was_made,
    _versions_agree,
    _installs_its_lock,
)
