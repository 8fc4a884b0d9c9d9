"""What an image needs of the host when no container brings it, found out by trying."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile

from runner.model import HostNeeds

_LIMIT_S = 30.0


def missing(needs: HostNeeds) -> tuple[str, ...]:
    """Return what is not there, in words; empty where all is."""
    programs = (f"program {name!r}" for name in needs.programs if shutil.which(name) is None)
    libraries = (f"library 'lib{name}.so'" for name in needs.libraries if not linkable(name))
    return (*programs, *libraries)


def linkable(library: str) -> bool:
    """Tell whether ``-l<library>`` links, which is what a framework that compiles will do.

    The runtime's ``lib<library>.so.0`` is not enough: the linker wants the name without a
    number, which Debian puts into the -dev package. Without a compiler the loader's cache is
    asked for that very name.
    """
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "g++", "clang"))), None)
    if compiler is None:
        name = f"lib{library}.so"
        listed = _output(("ldconfig", "-p")) or _output(("/sbin/ldconfig", "-p")) or ""
        return any(line.split()[:1] == [name] for line in listed.splitlines())
    with tempfile.TemporaryDirectory() as folder:
        command = (compiler, "-x", "c", "-", "-o", f"{folder}/linked", f"-l{library}")
        return _output(command, "int main(void) { return 0; }\n") is not None


def facts(needs: HostNeeds) -> dict[str, str]:
    """Return the versions of what is needed, as each says itself; what does not say is left out."""
    told = {}
    for program in needs.programs:
        lines = (_output((program, "--version")) or "").splitlines()
        if lines:
            told[program] = lines[0]
    if "openblas" in needs.libraries and (text := _openblas()):
        told["openblas"] = text
    return told


def libc_version() -> str | None:
    """Return such as ``glibc 2.36``; None where libc does not say."""
    with contextlib.suppress(ValueError, OSError):
        return os.confstr("CS_GNU_LIBC_VERSION")
    return None


def _openblas() -> str | None:
    # in a process of its own: loading it starts a thread for each core
    code = (
        "import ctypes; library = ctypes.CDLL('libopenblas.so'); "
        "library.openblas_get_config.restype = ctypes.c_char_p; "
        "print(library.openblas_get_config().decode())"
    )
    return (_output((sys.executable, "-I", "-c", code)) or "").strip() or None


def _output(command: tuple[str, ...], fed: str = "") -> str | None:
    """Return what a program printed, or None where it failed."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            command,
            input=fed,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_LIMIT_S,
            check=True,
            text=True,
        ).stdout
    return None
