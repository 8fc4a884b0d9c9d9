"""What an engine saved, as an OCI image layout that old engines load, too."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from runner.images import oci

LAYERS = {"aa/layer.tar": b"one layer", "bb/layer.tar": b"another"}


def pack(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, goal in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, goal
            tar.addfile(member)
    return path


def docker_saved(folder: Path) -> Path:
    """As Docker 20.10 does: two images that share a layer, the second without a name."""
    manifest = [
        {
            "Config": "11.json",
            "RepoTags": ["runner/x:1"],
            "Layers": ["aa/layer.tar", "bb/layer.tar"],
        },
        {"Config": "22.json", "RepoTags": None, "Layers": ["cc/layer.tar"]},
    ]
    files = {"11.json": b"{}", "22.json": b'{"a": 1}', **LAYERS}
    files["manifest.json"] = json.dumps(manifest).encode()
    return pack(folder / "saved.tar", files, {"cc/layer.tar": "../aa/layer.tar"})


def unpack(path: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(path) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None, member.name
            assert member.name not in found
            found[member.name] = file.read()
    return found


def test_what_docker_saved_becomes_an_image_layout(tmp_path: Path) -> None:
    oci.rewrite(docker_saved(tmp_path), tmp_path / "image.tar")

    files = unpack(tmp_path / "image.tar")
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    for name, content in files.items():
        if name.startswith("blobs/sha256/"):
            assert name.removeprefix("blobs/sha256/") == hashlib.sha256(content).hexdigest()
    first, second = json.loads(files["index.json"])["manifests"]
    assert first["annotations"] == {"org.opencontainers.image.ref.name": "runner/x:1"}
    assert "annotations" not in second
    assert [layers(files, image) for image in (first, second)] == [
        [b"one layer", b"another"],
        [b"one layer"],
    ]


def layers(files: dict[str, bytes], image: dict[str, Any]) -> list[bytes]:
    def blob(descriptor: dict[str, Any]) -> bytes:
        content = files["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]
        assert descriptor["size"] == len(content)
        return content

    return [blob(layer) for layer in json.loads(blob(image))["layers"]]


def test_old_engines_find_the_same_files(tmp_path: Path) -> None:
    oci.rewrite(docker_saved(tmp_path), tmp_path / "image.tar")

    files = unpack(tmp_path / "image.tar")
    named, unnamed = json.loads(files["manifest.json"])
    assert named["RepoTags"] == ["runner/x:1"]
    assert unnamed["RepoTags"] is None
    assert [files[path] for path in named["Layers"]] == list(LAYERS.values())
    assert (files[named["Config"]], files[unnamed["Config"]]) == (b"{}", b'{"a": 1}')


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    saved = docker_saved(tmp_path)
    oci.rewrite(saved, tmp_path / "one.tar")
    oci.rewrite(saved, tmp_path / "other.tar")

    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()


def test_an_image_layout_stays_one(tmp_path: Path) -> None:
    files = {"oci-layout": b"{}", "index.json": b"{}", "blobs/sha256/00": b"x"}

    oci.rewrite(pack(tmp_path / "saved.tar", files), tmp_path / "image.tar")

    assert unpack(tmp_path / "image.tar") == files


def test_what_no_engine_saved_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"manifest\.json"):
        oci.rewrite(pack(tmp_path / "saved.tar", {"x": b""}), tmp_path / "image.tar")
