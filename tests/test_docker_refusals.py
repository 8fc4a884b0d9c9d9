"""What is left of an engine's words where it could not have an image.

The words are those of Docker 20.10 and 28 (its own store's, then containerd's), with another host.
"""

from __future__ import annotations

import re

import pytest

from runner.backends.docker_bases import base_unavailable
from runner.backends.docker_refusals import refusal

HOST = "registry-9.example.io"
NO_DIGEST = "sha256:" + "0" * 64
WORDS = {
    "20.10, no resolver": (
        f'Get "https://{HOST}/v2/": dial tcp: lookup {HOST} on 192.0.2.53:53: no such host',
        "no network: no such host",
    ),
    "20.10, resolver silent": (
        f"Get https://{HOST}/v2/: dial tcp: lookup {HOST} on 192.0.2.53:53: "
        "read udp 192.0.2.15:54567->192.0.2.53:53: i/o timeout",
        "no network: no answer in time",
    ),
    "20.10, no way out": (
        f'Get "https://{HOST}/v2/": net/http: request canceled while waiting for connection '
        "(Client.Timeout exceeded while awaiting headers)",
        "no network: no answer in time",
    ),
    "20.10, refused": (
        f'Get "https://{HOST}/v2/": dial tcp 192.0.2.7:443: connect: connection refused',
        "no network: connection refused",
    ),
    "20.10, own certificate": (
        f'Get "https://{HOST}/v2/": x509: certificate signed by unknown authority',
        "no network: its registry's certificate is not trusted",
    ),
    "20.10, no such tag": (
        "manifest for python:3.99 not found: manifest unknown: manifest unknown",
        "not found in its registry",
    ),
    "20.10, no such name": (
        "pull access denied for nosuch/none, repository does not exist or may require "
        "'docker login': denied: requested access to the resource is denied",
        "denied: its registry has none of that name, or asks for a login",
    ),
    "20.10, rate": (
        "toomanyrequests: You have reached your pull rate limit. You may increase the limit by "
        f"authenticating and upgrading: https://{HOST}/increase-rate-limit",
        "its registry gives no more for now: too many pulls",
    ),
    "28, no resolver": (
        f'failed to resolve reference "{HOST}/library/python:3.6-slim@{NO_DIGEST}": failed to do '
        f'request: Head "https://{HOST}/v2/library/python/manifests/{NO_DIGEST}": dial tcp: '
        f"lookup {HOST} on 192.0.2.53:53: no such host",
        "no network: no such host",
    ),
    "28, no way out": (
        f'Get "https://{HOST}/v2/": context deadline exceeded',
        "no network: no answer in time",
    ),
    "28, no such tag": (
        f'failed to resolve reference "{HOST}/library/python:3.99": '
        f"{HOST}/library/python:3.99: not found",
        "not found in its registry",
    ),
    "28, no such name": (
        "pull access denied, repository does not exist or may require authorization: server "
        "message: insufficient_scope: authorization failed",
        "denied: its registry has none of that name, or asks for a login",
    ),
    "28, other platform": (
        "no matching manifest for linux/amd64 in the manifest list entries: no match for "
        f"platform in manifest: {HOST}/nosuch/none:1: not found",
        "not found: its registry has it for other platforms only",
    ),
    "unknown": (
        f'Get "https://{HOST}/v2/": dial tcp 192.0.2.7:443: a new kind of trouble at {HOST}',
        "Get its registry: dial tcp its registry: a new kind of trouble at its registry",
    ),
}


@pytest.mark.parametrize(("words", "expected"), WORDS.values(), ids=WORDS)
def test_the_cause_is_told_and_no_machine_is_named(words: str, expected: str) -> None:
    said = refusal(words)

    assert said == expected
    assert not re.search(r"example|192\.0\.2|https?:", said)


def test_the_reason_of_a_record_names_the_base_and_no_registry() -> None:
    words, _ = WORDS["28, no resolver"]
    reference = f"python:3.6-slim@{NO_DIGEST}"

    said = base_unavailable(reference, refusal(words), "runner-base/python:3.6")

    assert said.startswith(f"base {reference} is not here and cannot be pulled (no network: ")
    assert HOST not in said
