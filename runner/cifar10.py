"""Real CIFAR-10 images, where the user has them: verified, then unpacked once into a cache."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from runner.errors import ConfigurationError
from runner.pins import file_sha256

# The data set's binary version, as its authors serve it. The same sum stands in gomlx/gomlx
# (examples/cifar) and red-data-tools/red-datasets (lib/datasets/cifar.rb), which also has the
# member's; the authors' own page gives the archive's MD5, c32a1d4ab5d03f1284b67883e8d87530.
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
MEMBER = "cifar-10-batches-bin/data_batch_1.bin"
MEMBER_SHA256 = "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"


def verified(
    path: Path,
    cache: Path,
    archive_sha256: str = ARCHIVE_SHA256,
    member_sha256: str = MEMBER_SHA256,
) -> Path:
    """Return the first training batch: 10,000 records of one label and 3,072 bytes of pixels.

    Args:
        path: the archive ``cifar-10-binary.tar.gz``, or its member ``data_batch_1.bin``.
        cache: folder where the member is unpacked to.

    Raises:
        ConfigurationError: the file is not there, or is not that one.
    """
    if not path.is_file():
        raise ConfigurationError(str(path), ["no such file; --cifar10 takes a file"])
    found = file_sha256(path)
    if found == member_sha256:
        return path
    if found != archive_sha256:
        expected = (
            f"its SHA-256 is {found}; expected {archive_sha256} (cifar-10-binary.tar.gz) "
            f"or {member_sha256} ({Path(MEMBER).name})"
        )
        raise ConfigurationError(str(path), [expected])
    target = cache / f"{member_sha256}.bin"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _unpack(path, target)
    if file_sha256(target) != member_sha256:
        target.unlink()
        raise ConfigurationError(str(path), [f"{MEMBER} unpacked wrongly; try again"])
    return target


def _unpack(archive: Path, target: Path) -> None:
    staged = target.with_suffix(".tmp")
    with tarfile.open(archive) as tar:
        try:
            member = tar.extractfile(MEMBER)
        except KeyError:
            member = None
        if member is None:
            raise ConfigurationError(str(archive), [f"has no file {MEMBER}"])
        with staged.open("wb") as file:
            shutil.copyfileobj(member, file)
    staged.replace(target)
