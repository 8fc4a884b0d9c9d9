"""Whether scripts are programs of the Pythons that images have, where those are on this machine."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runner.model import Image

_TIMEOUT_S = 20.0

# Of every Python from 2.7 on: a line for each file that is no program of it.
_COMPILE = """
import sys
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        text = file.read()
    try:
        compile(text, path, "exec")
    except SyntaxError as error:
        print("%s: line %s: %s" % (path, error.lineno, error.msg))
"""


def problems(images: Sequence[Image], root: Path) -> dict[str, tuple[str, ...]]:
    """Return {image's name: what its Python says of its script and of what that imports}.

    An image whose Python is not here has no problems; `interpreter` tells whether it is.
    """
    wanted: dict[str, set[str]] = {}
    read: dict[Path, set[str]] = {}  # scripts share modules, and each is read but once
    needs = {image.name: needed(root / "scripts", image.script, read) for image in images}
    for image in images:
        if image.language == "python":
            wanted.setdefault(image.language_version, set()).update(needs[image.name])
    with ThreadPoolExecutor() as pool:
        said = dict(
            zip(
                wanted,
                pool.map(lambda version: _compile(version, wanted[version], root), wanted),
                strict=True,
            )
        )
    return {
        image.name: tuple(
            f"{line}: not of Python {image.language_version}"
            for line in said.get(image.language_version, ())
            if Path(line.split(":")[0]).name in needs[image.name]
        )
        for image in images
    }


def needed(scripts: Path, name: str, read: dict[Path, set[str]] | None = None) -> frozenset[str]:
    """Return a script's file name with those of all that it imports from its own folder.

    Args:
        read: what each file imports, as far as it is known; the rest is added.
    """
    read = {} if read is None else read
    found: set[str] = set()
    left = [name]
    while left:
        current = left.pop()
        path = scripts / current
        if current in found or path.suffix != ".py" or not path.is_file():
            continue
        found.add(current)
        if path not in read:
            read[path] = _imported(path)
        left += [f"{module}.py" for module in read[path]]
    return frozenset(found)


def _imported(path: Path) -> set[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return set()  # its own Python is asked next, and says where
    return {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }


def _compile(version: str, names: set[str], root: Path) -> tuple[str, ...]:
    program = interpreter(version, os.environ)
    if program is None:
        return ()
    paths = [f"scripts/{name}" for name in sorted(names)]
    done = subprocess.run(
        [program, "-c", _COMPILE, *paths],
        cwd=root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        return (f"{paths[0]}: Python {version} failed: {done.stderr.strip()}",)
    return tuple(done.stdout.splitlines())


def interpreter(version: str, environment: Mapping[str, str]) -> Path | None:
    """Return a Python without asking any program, or None; ten times as fast as the backends'.

    A shim of pyenv's is passed over: it is there for every version, and starts an active one.
    """
    minor = ".".join(version.split(".")[:2])
    kept = Path(environment.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for folder in sorted(kept.glob(f"{minor}.*"), key=lambda path: len(path.name)):
        if (folder / "bin" / f"python{minor}").is_file():
            return folder / "bin" / f"python{minor}"
    places = [
        place
        for place in environment.get("PATH", os.defpath).split(os.pathsep)
        if Path(place).name != "shims"
    ]
    found = shutil.which(f"python{minor}", path=os.pathsep.join(places))
    return None if found is None else Path(found)
