"""Why an engine could not have an image, in the words that a reader of a record needs.

An engine's own words name its registry's hosts, this machine's resolver and each wrapped error.
"""

from __future__ import annotations

import re

# What is found in the engine's words, in this order, to what is said of it. Docker 20.10 and 28
# (with its own store and with containerd's) and Podman say the same in different wrappings.
_CAUSES = (
    ("toomanyrequests", "its registry gives no more for now: too many pulls"),
    ("denied", "denied: its registry has none of that name, or asks for a login"),
    ("unauthorized", "denied: its registry asks for a login"),
    ("authorization failed", "denied: its registry has none of that name, or asks for a login"),
    ("authentication required", "denied: its registry asks for a login"),
    ("x509", "no network: its registry's certificate is not trusted"),
    ("no such host", "no network: no such host"),
    ("name resolution", "no network: names are not resolved"),
    ("server misbehaving", "no network: names are not resolved"),
    ("connection refused", "no network: connection refused"),
    ("connection reset", "no network: connection reset"),
    ("unreachable", "no network: unreachable"),
    ("no route to host", "no network: no route to host"),
    ("proxyconnect", "no network: the proxy does not answer"),
    ("timeout", "no network: no answer in time"),
    ("deadline exceeded", "no network: no answer in time"),
    ("no matching manifest", "not found: its registry has it for other platforms only"),
    ("manifest unknown", "not found in its registry"),
    ("name unknown", "not found in its registry"),
    ("not found", "not found in its registry"),
)
_ADDRESS = re.compile(
    r'"?https?://[^\s"]+"?'  # with or without the engine's quotes
    r"|\[?[0-9a-f:.]*[0-9a-f]\]?:\d+\b"  # of a resolver, with its port
    r"|\b(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?\b(?=[/ :,]|$)",
    re.IGNORECASE,
)


def refusal(words: str) -> str:
    """Return why an image could not be had, without the address of any machine.

    >>> refusal('Get "https://registry.test/v2/": dial tcp: lookup registry.test: no such host')
    'no network: no such host'
    """
    lower = words.lower()
    known = next((said for mark, said in _CAUSES if mark in lower), None)
    return known or " ".join(_ADDRESS.sub("its registry", words).split())
