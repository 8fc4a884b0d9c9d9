from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from runner import cifar10
from runner.errors import ConfigurationError

RECORDS = bytes(range(256)) * 36


def archive(path: Path, member: str = cifar10.MEMBER) -> str:
    """Write an archive shaped like the data set's, and return its SHA-256."""
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo(member)
        entry.size = len(RECORDS)
        tar.addfile(entry, io.BytesIO(RECORDS))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def verified(path: Path, cache: Path, archive_sha256: str) -> Path:
    return cifar10.verified(path, cache, archive_sha256, hashlib.sha256(RECORDS).hexdigest())


def test_the_archive_is_verified_and_unpacked_once(tmp_path: Path) -> None:
    known = archive(tmp_path / "cifar.tar.gz")

    first = verified(tmp_path / "cifar.tar.gz", tmp_path / "cache", known)
    stamp = first.stat().st_mtime_ns
    again = verified(tmp_path / "cifar.tar.gz", tmp_path / "cache", known)

    assert first.read_bytes() == RECORDS
    assert again == first
    assert again.stat().st_mtime_ns == stamp


def test_the_member_itself_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1.bin").write_bytes(RECORDS)

    assert verified(tmp_path / "data_batch_1.bin", tmp_path, "0" * 64).name == "data_batch_1.bin"


def test_another_file_is_refused_with_both_sums(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"x")

    with pytest.raises(ConfigurationError) as caught:
        cifar10.verified(tmp_path / "other", tmp_path)

    assert hashlib.sha256(b"x").hexdigest() in caught.value.problems[0]
    assert cifar10.ARCHIVE_SHA256 in caught.value.problems[0]


def test_a_damaged_cache_is_not_believed(tmp_path: Path) -> None:
    known = archive(tmp_path / "cifar.tar.gz")
    made = verified(tmp_path / "cifar.tar.gz", tmp_path / "cache", known)
    made.write_bytes(b"damaged")

    with pytest.raises(ConfigurationError, match="unpacked wrongly"):
        verified(tmp_path / "cifar.tar.gz", tmp_path / "cache", known)
    assert verified(tmp_path / "cifar.tar.gz", tmp_path / "cache", known).read_bytes() == RECORDS


def test_an_archive_without_the_batch_is_refused(tmp_path: Path) -> None:
    known = archive(tmp_path / "cifar.tar.gz", "elsewhere/data_batch_1.bin")

    with pytest.raises(ConfigurationError, match="has no file cifar-10-batches-bin/data_batch_1"):
        verified(tmp_path / "cifar.tar.gz", tmp_path / "cache", known)
