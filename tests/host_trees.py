"""Lays recorded/hosts/*.tree out as files."""

from __future__ import annotations

from pathlib import Path

HOSTS = Path(__file__).parent / "recorded" / "hosts"


def unpack(name: str, root: Path) -> Path:
    """Write every file of a recorded machine below `root`; return `root`."""
    texts: dict[str, str] = {}
    for line in (HOSTS / f"{name}.tree").read_text().splitlines():
        path, _, text = line.partition(":")
        texts[path] = texts.get(path, "") + text + "\n"
    for path, text in texts.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return root
