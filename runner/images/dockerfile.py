"""A Dockerfile as a list of instructions, as far as the rules of images need it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

_BASE = re.compile(r"^ARG BASE=", re.MULTILINE)
_SOURCE = re.compile(r"^# source: (\S.*)$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Instruction:
    """One instruction: its word in upper case, and the rest with continuations joined."""

    word: str
    rest: str


def instructions(text: str) -> tuple[Instruction, ...]:
    """Return the instructions in order, comments and empty lines left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\[ \t]*\n", " ", "\n".join(lines))
    found = []
    for line in joined.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word:
            found.append(Instruction(word=word.upper(), rest=" ".join(rest.split())))
    return tuple(found)


def environment(text: str) -> dict[str, str]:
    """Return what the ENV instructions set, in both of their forms."""
    found: dict[str, str] = {}
    for instruction in instructions(text):
        if instruction.word != "ENV":
            continue
        words = shlex.split(instruction.rest)
        if "=" in words[0]:
            found |= dict(word.split("=", 1) for word in words if "=" in word)
        else:
            found[words[0]] = " ".join(words[1:])
    return found


def base_sources(text: str) -> tuple[str, ...]:
    """Return what the comment right above ``ARG BASE`` cites in its lines ``# source: ...``."""
    found = _BASE.search(text)
    if found is None:
        return ()
    cited = []
    for line in reversed(text[: found.start()].splitlines()):
        if not line.startswith("#"):
            break
        if source := _SOURCE.match(line):
            cited.append(source[1].strip())
    return tuple(reversed(cited))
