"""What a test needs of its machine and may not find there.

RUNNER_REQUIRE lists what the one who started the tests relies on: `engine`, `cgroup`, `browser`,
`gpu`; and what is tested only on demand, for it takes long: `frameworks` (minutes), `releases`
(half an hour).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from runner.backends import PrepareError
from runner.errors import BackendUnavailable


def lack(what: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where what it needs is required."""
    if _required(what):
        pytest.fail(f"RUNNER_REQUIRE has {what}: {reason}")
    pytest.skip(reason)


def demand(what: str, reason: str) -> None:
    """Skip the test where it is not asked for."""
    if not _required(what):
        pytest.skip(f"{reason}: RUNNER_REQUIRE={what} asks for it")


@contextlib.contextmanager
def skipping_where_it_is_not(backend: str) -> Iterator[None]:
    """Skip where a backend or an image on it is not there; fail where `gpu` is required."""
    try:
        yield
    except (BackendUnavailable, PrepareError) as error:
        lack("gpu", f"{backend}: {error}")


def _required(what: str) -> bool:
    """Return whether RUNNER_REQUIRE names it."""
    return what in os.environ.get("RUNNER_REQUIRE", "").split(",")
