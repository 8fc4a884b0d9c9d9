"""requirements.in and requirements.lock as values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from runner.pins import normalised_name

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_ASKED = re.compile(rf"^({_NAME})(?:\[[^]]*\])?\s*(?:==\s*([^\s;,]+))?")
_LOCKED = re.compile(rf"^({_NAME})==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})(?![0-9a-f])")
_OPTIONS = re.compile(r"^# lock: (.+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Locked:
    """A package of a lock: the version, and the SHA-256 of each file that may be it."""

    name: str
    version: str
    hashes: frozenset[str]


def asked(text: str) -> dict[str, str]:
    """Return {normalised name: version, or "" where it is left open} of a requirements.in."""
    found = {}
    for line in _lines(text):
        if match := _ASKED.match(line):
            found[normalised_name(match[1])] = match[2] or ""
    return found


def lock_options(text: str) -> tuple[str, ...]:
    """Return the resolver's options that a requirements.in gives in its line ``# lock: ...``."""
    found = _OPTIONS.search(text)
    return tuple(found[1].split()) if found else ()


def locked(text: str) -> dict[str, Locked]:
    """Return {normalised name: package} of a lock."""
    found = {}
    for line in _lines(text):
        if match := _LOCKED.match(line):
            name = normalised_name(match[1])
            hashes = frozenset(_HASH.findall(line))
            found[name] = Locked(name=name, version=match[2], hashes=hashes)
    return found


def loose(text: str) -> Iterator[str]:
    """Return what is wrong with each line of a lock that is not ``name==version`` and hashes."""
    for line in _lines(text):
        match = _LOCKED.match(line)
        if match is None:
            yield f"{line.split(' --hash')[0]!r} is not 'name==version' with hashes"
        elif not _HASH.search(line):
            yield f"{match[1]}=={match[2]} has no hash"


def header(lock_text: str) -> tuple[str, ...]:
    """Return the comment lines that a lock begins with."""
    lines = []
    for line in lock_text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line)
    return tuple(lines)


def _lines(text: str) -> Iterator[str]:
    """Return requirements, continuations joined, comments and empty lines left out."""
    joined = re.sub(r"\\[ \t]*\n", " ", text)
    for line in joined.splitlines():
        bare = re.sub(r"(^|\s)#.*", "", line).strip()
        if bare:
            yield " ".join(bare.split())
