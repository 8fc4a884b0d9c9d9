"""``runner images new``: the folder of a new release, from its predecessor's or from templates.

What only a person can know is marked with a comment FILL, which ``runner check`` refuses.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from runner import pins
from runner.documents import hint
from runner.errors import ConfigurationError
from runner.images import requirements
from runner.images.rules import MARK, name_pairs
from runner.model import Image
from runner.workloads import WORKLOADS

TEMPLATES = Path(__file__).parent / "templates"
_NO_DATE = "1970-01-01"
_VERSION = re.compile(r"^\d[0-9A-Za-z.]*(\+[0-9A-Za-z.]+)?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What the user asked for.

    Attributes:
        source: name of the image to start from, or None.
        companions: further packages that the name has, to their versions: (theano, 0.9.0).
        language_version, script, distribution: for an image without a source; the last is
            empty where the package has the framework's name.
    """

    framework: str
    version: str
    source: str | None = None
    companions: tuple[tuple[str, str], ...] = ()
    language_version: str = ""
    script: str = ""
    distribution: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A new folder, and the lines in it that are still to fill: ``FILE: line N: what``."""

    folder: Path
    marks: tuple[str, ...]


def new(wish: Wish, root: Path, images: Mapping[str, Image]) -> Made:
    """Make the folder of an image.

    Raises:
        ConfigurationError: it exists, or the wish names something that is not there.
    """
    source = None if wish.source is None else images.get(wish.source)
    problems = _problems(wish, root, images)
    companions = dict(wish.companions)
    if source is not None:
        kept = dict(name_pairs(source.name)[1:])
        problems += [
            f"--with {name}: {source.name} has no such part; {hint(name, kept)}"
            for name in companions
            if name not in kept
        ]
        companions = kept | companions
    name = "-".join(
        f"{part}-{version}"
        for part, version in ((wish.framework, wish.version.partition("+")[0]), *companions.items())
    )
    folder = root / "images" / name
    if folder.exists():
        problems.append(f"images/{name} exists; 'runner images lock {name}' updates its lock")
    if problems:
        source_name = "runner images new"
        raise ConfigurationError(source_name, problems)
    texts = (
        _moved(wish, name, companions, source)
        if source is not None
        else _rendered(wish, name, companions, images)
    )
    texts["requirements.lock"] = f"# {MARK}: runner images lock {name}\n"
    return _written(folder, texts)


def _problems(wish: Wish, root: Path, images: Mapping[str, Image]) -> list[str]:
    found = [
        f"version {version!r}: expected such as 2.14.0"
        for version in (wish.version, *(version for _, version in wish.companions))
        if not _VERSION.match(version)
    ]
    if not re.match(r"^[a-z][a-z_-]*$", wish.framework):
        found.append(f"framework {wish.framework!r}: expected lower-case letters, such as mxnet")
    if wish.source is not None:
        if wish.source not in images:
            found.append(f"--from: no image {wish.source!r}; {hint(wish.source, images)}")
        elif name_pairs(wish.source)[0][0] != wish.framework:
            found.append(f"--from: {wish.source} is of another framework than {wish.framework}")
        return found
    if not re.match(r"^\d+\.\d+$", wish.language_version):
        found.append("without --from, --python is needed: the newest that the release is for")
    scripts = [path.name for path in (root / "scripts").glob("train_*.py")]
    if wish.script not in scripts:
        near = hint(wish.script, scripts)
        found.append(f"without --from, --script is needed, found {wish.script!r}; {near}")
    return found


def _written(folder: Path, texts: Mapping[str, str]) -> Made:
    """Write the files outside images/, of which every folder counts, and move them there whole."""
    staged = folder.parent.with_name(f".{folder.name}.partial")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    for file_name, text in texts.items():
        (staged / file_name).write_text(text, encoding="utf-8")
    staged.rename(folder)
    marks = [
        f"{file_name}: line {number}: {line.partition(MARK)[2].lstrip(': ')}"
        for file_name, text in sorted(texts.items())
        for number, line in enumerate(text.splitlines(), start=1)
        if MARK in line
    ]
    return Made(folder=folder, marks=tuple(marks))


def _moved(wish: Wish, name: str, companions: Mapping[str, str], source: Image) -> dict[str, str]:
    """Return the source's texts with names and versions moved on."""
    local = source.framework_version.partition("+")[1:]
    version = wish.version if "+" in wish.version else wish.version + "".join(local)
    versions = {source.framework_version: version}
    versions |= {old: companions[part] for part, old in name_pairs(source.name)[1:]}
    texts = {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted(source.folder.iterdir())
        if path.is_file() and path != pins.lock_path(source)
    }
    moved = {
        "Dockerfile": _moved_dockerfile(texts.pop("Dockerfile"), source.name, name, versions),
        "image.yaml": _moved_yaml(texts.pop("image.yaml"), source, version),
        "requirements.in": _moved_requirements(texts.pop("requirements.in", ""), versions),
    }
    return texts | moved


def _moved_dockerfile(text: str, old: str, new: str, versions: Mapping[str, str]) -> str:
    text = text.replace(f"images/{old}/", f"images/{new}/")
    return re.sub(r"'(\d[^'\s]*)'", lambda found: f"'{versions.get(found[1], found[1])}'", text)


def _moved_yaml(text: str, source: Image, version: str) -> str:
    text = re.sub(r"(?m)^framework_version: .*$", f'framework_version: "{version}"', text)
    day = f'released: "{_NO_DATE}"  # {MARK}: the day of the release'
    text = re.sub(r"(?m)^released: .*$", day, text)
    # The new one was seen nowhere yet, and has defects of its own.
    text = re.sub(r"(?m)^(?:verified|known_defects):\n(?:[ -].*\n)*", "", text)
    pythons = rf"\1  # {MARK}: whether it is for the same ones still"
    text = re.sub(r"(?m)^(python_versions: .*)$", pythons, text)
    notes = f"# {MARK}: whether the notes of {source.name} hold for it; then drop this line\nnotes:"
    return re.sub(r"(?m)^notes:", notes, text)


def _moved_requirements(text: str, versions: Mapping[str, str]) -> str:
    def pin(found: re.Match[str]) -> str:
        return f"=={versions.get(found[1], found[1])}"

    text = re.sub(r"(?m)(?<=\w)==([^\s;#]+)", pin, text)
    if requirements.lock_options(text):
        text = f"# {MARK}: whether the line below holds for it; then drop this line\n{text}"
    return text


def _rendered(
    wish: Wish, name: str, companions: Mapping[str, str], images: Mapping[str, Image]
) -> dict[str, str]:
    """Return the texts of an image that has no predecessor."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,
    )
    python = [image for image in images.values() if image.language == "python"]
    # Those on a GPU name CUDA's licence, too.
    plain = sorted(python, key=lambda image: "cuda" in image.devices)
    like = next((i for i in plain if i.language_version == wish.language_version), None)
    values = {
        "mark": MARK,
        "name": name,
        "framework": wish.framework,
        "version": wish.version,
        "module": wish.framework.replace("-", "_"),
        "distribution": wish.distribution or wish.framework,
        "companions": companions,
        "language_version": wish.language_version,
        "script": wish.script,
        "workloads": [name for name in WORKLOADS if all(name in i.workloads for i in python)],
        "no_date": _NO_DATE,
        "base": "" if like is None else _base(like),
        "base_licence": next((i.base_licence for i in (like, *plain) if i is not None), ""),
    }
    return {
        path.name.removesuffix(".j2"): environment.get_template(path.name).render(values)
        for path in sorted(TEMPLATES.glob("*.j2"))
    }


def _base(image: Image) -> str:
    """Return the lines of an image's BASE, with the comment above it."""
    text = (image.folder / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"(?m)((?:^#.*\n)*)^ARG BASE=.*\n", text)
    return found[0] if found else ""
