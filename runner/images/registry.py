"""The package registry that pip is configured with: asked of pip itself, never named here."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.errors import RunnerError

_PIP_TIMEOUT_S = 120.0
_SETTING = re.compile(r"^(?P<section>.+)\.(?P<key>[a-z-]+)=(?P<value>.*)$")
_SECTIONS = ("global", "install", ":env:")  # later ones win, as pip has it


class RegistryError(RunnerError):
    """The registry cannot be asked; the message is pip's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """Where pip takes packages from.

    Attributes:
        index: the main index, or None for the resolver's default.
        extra: further indexes that can be reached over a network.
        left_out: further indexes that are folders of this machine. A lock must be good
            elsewhere, and such folders do not say which Pythons a package is for.
        certificates: file of the certificates to trust, or None for the default.
    """

    index: str | None = None
    extra: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    certificates: str | None = None

    def uv_variables(self) -> dict[str, str]:
        """Return the environment that has uv use it; in no command line, so in no header."""
        made = {}
        if self.index:
            made["UV_DEFAULT_INDEX"] = self.index
        if self.extra:
            made["UV_INDEX"] = " ".join(self.extra)
            made["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip's: the best of all indexes
        if self.certificates:
            made["SSL_CERT_FILE"] = self.certificates
        return made


def configured() -> Registry:
    """Ask pip for its configuration.

    Raises:
        RegistryError: this environment has no pip, or it fails.
    """
    return parse(_pip(("config", "list")))


def parse(listing: str) -> Registry:
    """Return what ``pip config list`` says."""
    found: dict[str, dict[str, str]] = {}
    for line in listing.splitlines():
        if match := _SETTING.match(line):
            value = str(ast.literal_eval(match["value"]))
            found.setdefault(match["key"], {})[match["section"]] = value

    def setting(key: str) -> str | None:
        by_section = found.get(key, {})
        return next((by_section[s] for s in reversed(_SECTIONS) if s in by_section), None)

    extra = (setting("extra-index-url") or "").split()
    return Registry(
        index=setting("index-url"),
        extra=tuple(url for url in extra if not url.startswith("file:")),
        left_out=tuple(url for url in extra if url.startswith("file:")),
        certificates=setting("cert"),
    )


def releases(distribution: str) -> tuple[str, ...]:
    """Return the versions of a package that pip's index offers, newest first.

    Raises:
        RegistryError: there is no such package, or the index does not answer.
    """
    text = _pip(("index", "versions", distribution))
    found = re.search(r"^Available versions: (.+)$", text, re.MULTILINE)
    return tuple(word.strip() for word in found[1].split(",")) if found else ()


def _pip(arguments: Sequence[str]) -> str:
    command = (sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PIP_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        msg = f"pip {' '.join(arguments)}: {' '.join(last) or f'status {done.returncode}'}"
        raise RegistryError(msg)
    return done.stdout


def clean_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return an environment in which another Python starts as if by hand."""
    hidden = ("PYTHON", "VIRTUAL_ENV", "CONDA")
    return {name: value for name, value in environment.items() if not name.startswith(hidden)}
