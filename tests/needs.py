"""What a test needs of its machine and may not find there.

RUNNER_REQUIRE lists what the one who started the tests relies on: `engine`, `cgroup`, `browser`,
`gpu`; and what is tested only on demand, for it takes long: `frameworks` (minutes), `releases`
(half an hour).
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def required(what: str) -> bool:
    """Return whether RUNNER_REQUIRE names it."""
    return what in os.environ.get("RUNNER_REQUIRE", "").split(",")


def lack(what: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where what it needs is required."""
    if required(what):
        pytest.fail(f"RUNNER_REQUIRE has {what}: {reason}")
    pytest.skip(reason)


def demand(what: str, reason: str) -> None:
    """Skip the test where it is not asked for."""
    if not required(what):
        pytest.skip(f"{reason}: RUNNER_REQUIRE={what} asks for it")
