"""A registry of one image on this machine, for tests that pull: what an engine saved, served."""

from __future__ import annotations

import hashlib
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from docker import APIClient

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@contextmanager
def serving(api: APIClient, image: str, folder: Path) -> Iterator[str]:
    """Serve an image that the engine has; lend the reference by which it is pulled.

    Only an engine on this machine reaches it: engines speak plain HTTP to 127.0.0.0/8 alone.
    """
    blobs, manifest = saved(api, image, folder)
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            if "/manifests/" in self.path:
                self.answer(MANIFEST, len(manifest))
                self.wfile.write(manifest)
            elif name in blobs:
                self.answer("application/octet-stream", blobs[name].stat().st_size)
                self.wfile.write(blobs[name].read_bytes())
            else:
                self.answer("application/json", 2)
                self.wfile.write(b"{}")

        def do_HEAD(self) -> None:
            self.answer(MANIFEST, len(manifest))

        def answer(self, kind: str, size: int) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(size))
            self.send_header("Docker-Content-Digest", digest)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}/python:3.11-slim@{digest}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def saved(api: APIClient, image: str, folder: Path) -> tuple[dict[str, Path], bytes]:
    """Save an image; return its blobs by digest, and the manifest over them."""
    path = folder / "saved.tar"
    with path.open("wb") as file:
        for piece in api.get_image(image):
            file.write(piece)
    with tarfile.open(path) as tar:
        tar.extractall(folder / "saved", filter="data")
    path.unlink()
    [listed] = json.loads((folder / "saved" / "manifest.json").read_bytes())
    files = [folder / "saved" / name for name in (listed["Config"], *listed["Layers"])]
    digests = [f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    parts = [
        {"mediaType": kind, "size": file.stat().st_size, "digest": digest}
        for kind, file, digest in zip(
            (CONFIG, *(LAYER for _ in listed["Layers"])), files, digests, strict=True
        )
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": parts[0],
        "layers": parts[1:],
    }
    return dict(zip(digests, files, strict=True)), json.dumps(manifest).encode()
