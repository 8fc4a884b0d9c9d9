"""The verbs of ``runner images`` and ``runner check``: options, and what each does."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from runner.model import Image

OK, BROKEN = 0, 1

Action = Callable[[argparse.Namespace, "Console"], int]


def add_root(command: argparse.ArgumentParser) -> None:
    """Add the option that names the project's folder."""
    command.add_argument("--root", type=Path, default=Path(), help="the project's folder")


def add_verbs(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    add_backend: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add every verb of this module below ``runner images``."""
    new = verbs.add_parser("new", help="make the folder of a new release")
    new.add_argument("framework", metavar="FRAMEWORK", help="such as pytorch")
    new.add_argument("version", metavar="VERSION", help="such as 2.14.0")
    new.add_argument("--from", dest="source", metavar="NAME", help="an image to start from")
    new.add_argument(
        "--with",
        dest="companions",
        action="append",
        default=[],
        metavar="PACKAGE==VERSION",
        help="a further part of the name, such as theano==1.0.4; repeatable",
    )
    new.add_argument("--python", default="", metavar="X.Y", help="without --from: its Python")
    new.add_argument("--script", default="", metavar="FILE", help="without --from: its script")
    new.add_argument(
        "--distribution", default="", metavar="PACKAGE", help="where the package has another name"
    )
    add_root(new)
    lock = verbs.add_parser("lock", help="resolve requirements.in and write requirements.lock")
    lock.add_argument("name", metavar="NAME", help="an image")
    lock.add_argument("--upgrade", action="store_true", help="to the newest versions that fit")
    _variant(lock)
    _wheels(lock)
    add_root(lock)
    build = verbs.add_parser("build", help="build an image, or find it built, and launch nothing")
    build.add_argument("name", metavar="NAME", help="an image")
    _variant(build)
    add_root(build)
    add_backend(build)
    check = verbs.add_parser("check", help="rules, build, conformance and a launch a workload")
    check.add_argument("names", nargs="+", metavar="NAME", help="images")
    check.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="where runs are kept"
    )
    add_root(check)
    add_backend(check)
    outdated = verbs.add_parser("outdated", help="newer releases in the registry, how to add them")
    add_root(outdated)
    verify = verbs.add_parser("verify", help="rebuild from nothing and compare with the lock")
    verify.add_argument("name", metavar="NAME", help="an image")
    verify.add_argument("--sbom", type=Path, metavar="FILE", help="write the CycloneDX SBOM here")
    _wheels(verify)
    add_root(verify)
    archive = verbs.add_parser("archive", help="write an image with all that it was made of")
    archive.add_argument("name", metavar="NAME", help="an image")
    archive.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the archive"
    )
    _wheels(archive)
    add_root(archive)
    restore = verbs.add_parser("restore", help="load an archive into the engine")
    restore.add_argument("file", type=Path, metavar="FILE", help="an archive")
    add_root(restore)


def _wheels(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--wheels",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="one more folder of wheels (also: pip's find-links)",
    )


def _variant(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--variant", metavar="VARIANT", help="'cuda': what the image is made of for GPUs"
    )


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _folders(asked: argparse.Namespace) -> tuple[Path, ...]:
    from runner.config import wheel_folders

    return (*asked.wheels, *wheel_folders(os.environ, Path.home()))


def _image(asked: argparse.Namespace) -> Image:
    from runner.config import load_images
    from runner.documents import hint

    images = load_images(asked.root.resolve())
    if asked.name not in images:
        source = "images/"
        raise ConfigurationError(source, [f"no image {asked.name!r}; {hint(asked.name, images)}"])
    return images[asked.name]


def _wanted(asked: argparse.Namespace) -> Image:
    """Return the image that was asked for, as its variant where one was."""
    from runner import pins
    from runner.documents import hint
    from runner.images import variants

    image = _image(asked)
    if asked.variant is None:
        return image
    if asked.variant not in pins.VARIANTS:
        problem = f"no variant {asked.variant!r}; {hint(asked.variant, pins.VARIANTS)}"
        raise ConfigurationError(image.name, [problem])
    return variants.required(image)


def check_all(asked: argparse.Namespace, console: Console) -> int:
    """Hold all images to the static rules: ``runner check``."""
    from runner.images import static

    root = asked.root.resolve()
    count, problems = static.check(root)
    for problem in problems:
        _say(console, problem)
    for name in static.never_verified(root):
        _say(console, f"never verified: {name}")
    images = "1 image" if count == 1 else f"{count} images"
    many = "problem" if len(problems) == 1 else "problems"
    _say(console, f"{images}, {len(problems) or 'no'} {many}")
    return BROKEN if problems else OK


def _new(asked: argparse.Namespace, console: Console) -> int:
    from runner.config import load_images
    from runner.images import scaffold

    root = asked.root.resolve()
    pairs = [text.partition("==") for text in asked.companions]
    if bad := [text for text in asked.companions if "==" not in text]:
        source = "runner images new"
        raise ConfigurationError(source, [f"--with {text}: expected NAME==VERSION" for text in bad])
    wish = scaffold.Wish(
        framework=asked.framework,
        version=asked.version,
        source=asked.source,
        companions=tuple((name, version) for name, _, version in pairs),
        language_version=asked.python,
        script=asked.script,
        distribution=asked.distribution,
    )
    made = scaffold.new(wish, root, load_images(root))
    _say(console, f"made images/{made.folder.name}; still to fill:")
    for mark in made.marks:
        _say(console, f"  {mark}")
    _say(console, f"then: runner images check {made.folder.name}")
    return OK


def _lock(asked: argparse.Namespace, console: Console) -> int:
    from rich.table import Table

    from runner.images import locking, registry

    image = _wanted(asked)
    known = registry.configured()
    if known.left_out:
        many = len(known.left_out)
        _say(console, f"left out: {many} of pip's indexes, which are folders of this machine")
    changes = locking.lock(
        image, asked.root.resolve(), known, _folders(asked), upgrade=asked.upgrade
    )
    if not changes:
        _say(console, f"{image.full_name}: nothing changed; the lock is as it was")
        return OK
    shown = Table("package", "old", "new", "hashes")
    for change in changes:
        hashes = "changed" if change.hashes_changed else ""
        shown.add_row(change.name, change.old or "-", change.new or "-", hashes)
    console.print(shown)
    _say(console, f"{image.full_name}: {len(changes)} packages changed; lock written")
    return OK


def _build(asked: argparse.Namespace, console: Console) -> int:
    from runner import session
    from runner.backends import PrepareError
    from runner.model import BuildLimits

    image = _wanted(asked)
    connected = session.connect_backend(asked.backend, asked.root.resolve(), asked.wheels)
    backend = connected.backend
    _say(console, f"backend {backend.name}: {connected.reason}")
    if image.variant and backend.name != "docker":
        problem = f"the {image.variant} variant is built by a container engine: --backend docker"
        raise ConfigurationError(image.full_name, [problem])
    try:
        made = backend.prepare(image, BuildLimits(), lambda line: _say(console, line))
    except PrepareError as error:
        _say(console, f"{image.full_name}: {error.status}: {error.reason}")
        return BROKEN
    base = () if made.base is None else [("base", made.base.reference)]
    if made.base is not None and made.base.substituted_by is not None:
        base = [*base, ("in its place", made.base.substituted_by)]
    verified = max((each.date for each in image.verified), default="never")
    facts = (*base, ("digest", made.digest), *sorted(made.facts.items()), ("verified", verified))
    _say(console, f"{image.full_name}: {made.location}")
    for name, value in facts:
        _say(console, f"  {name}: {value}")
    return OK


def _check(asked: argparse.Namespace, console: Console) -> int:
    from runner import acceptance, session
    from runner.report import formats
    from runner.view import view

    root = asked.root.resolve()
    connected = session.connect_backend(asked.backend, root, asked.wheels)
    _say(console, f"backend {connected.backend.name}: {connected.reason}")
    failed = 0
    for name in asked.names:
        with view(console) as observer:
            setting = acceptance.Setting(
                root=root,
                connected=connected,
                wheels=tuple(asked.wheels),
                results=asked.results,
                observer=observer,
                command=("runner", *sys.argv[1:]),
            )
            found = acceptance.check(name, setting, lambda text: _say(console, text))
        _say(console, found.text())
        if found.passed:
            for made in found.rows:
                console.print(formats.rich_table(made, console.width))
        failed += not found.passed
    return BROKEN if failed else OK


def _outdated(asked: argparse.Namespace, console: Console) -> int:
    from runner.config import load_images
    from runner.images import outdated

    found = outdated.find(load_images(asked.root.resolve()))
    for row in found:
        _say(console, row.text())
    return OK


def _verify(asked: argparse.Namespace, console: Console) -> int:
    from runner.images import verifying

    root = asked.root.resolve()
    outcome = verifying.verify(
        _image(asked), root, _folders(asked), lambda text: _say(console, text)
    )
    if asked.sbom is not None:
        asked.sbom.write_text(outcome.sbom, encoding="utf-8")
    _say(console, outcome.text())
    return BROKEN if outcome.differences else OK


def _archive(asked: argparse.Namespace, console: Console) -> int:
    from runner.images import archiving

    made = archiving.archive(
        _image(asked),
        asked.root.resolve(),
        _folders(asked),
        asked.output,
        lambda text: _say(console, text),
    )
    _say(console, made)
    return OK


def _restore(asked: argparse.Namespace, console: Console) -> int:
    from runner.images import archiving

    root = asked.root.resolve()
    _say(console, archiving.restore(asked.file, root, lambda text: _say(console, text)))
    return OK


ACTIONS: dict[str, Action] = {
    "new": _new,
    "lock": _lock,
    "build": _build,
    "check": _check,
    "outdated": _outdated,
    "verify": _verify,
    "archive": _archive,
    "restore": _restore,
}
