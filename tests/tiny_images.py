"""A project with one image whose only package is a wheel made here: nothing is downloaded."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from tests.makers import TINY_SCRIPT, make_project

NAME = "runner-tiny"
IMAGE = "runner-tiny-1.0"
DIGEST = "0" * 64

IMAGE_YAML = """\
framework: runner-tiny
framework_version: "1.0"
released: "2018-12-07"
language: python
language_version: "3.11"
python_versions: ">=3.6"
script: train_tiny.py
base_licence: none; it is made up
workloads: [cifar10-cnn]
environment:
  TINY: "1"
"""

DOCKERFILE = f"""\
# Two sources agree:
# source: one/repository, Dockerfile @1
# source: another/repository, Dockerfile @2
ARG BASE=python:3.11-slim@sha256:{DIGEST}
FROM ${{BASE}}

COPY images/{IMAGE}/requirements.lock wheel[s]/*.whl /wheels/
RUN python -m pip install --no-cache-dir --no-deps --require-hashes --no-index \\
      --find-links /wheels --requirement /wheels/requirements.lock \\
    && python -c "import runner_tiny; assert runner_tiny.__version__ == '1.0'"

ENV TINY=1

COPY scripts/*.py /runner/
CMD ["python", "/runner/train_tiny.py"]
"""


# Keeps the contract, refusals too, which the script of makers.py does not.
SCRIPT = (
    TINY_SCRIPT.replace('framework="torch"', 'framework="runner-tiny"')
    .replace("def train(job):\n", "def train(job):\n    batch = asked_batch(job)\n")
    .replace("[128, 10]", "[batch, 10]")
    .replace("items=128", "items=batch")
    .replace(
        "def train(job):",
        """def asked_batch(job):
    job.require("workload", ("cifar10-cnn",))
    kinds = {
        "batch": int, "learning_rate": float, "compiler": ("default",),
        "optimizer": ("rmsprop", "sgd"), "precision": ("float32",), "layout": ("native",),
        "gpus": int,
    }
    return job.parameters(kinds, defaults={}).batch


def train(job):""",
    )
)


def make_wheel(folder: Path, version: str = "1.0", requires: str = "") -> Path:
    """Write a wheel of one module: the same bytes for the same version."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"runner_tiny-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        "runner_tiny.py": f'__version__ = "{version}"\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py2.py3-none-any\n",
    }
    record = "".join(f"{name},{_record_hash(text)},{len(text)}\n" for name, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    path = folder / f"runner_tiny-{version}-py2.py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return path


def _record_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def make_index(folder: Path, *wheels: Path) -> str:
    """Write a package index (PEP 503) of wheels; return its address."""
    place = folder / "simple" / NAME
    place.mkdir(parents=True)
    links = []
    for wheel in wheels:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        links.append(f'<a href="{wheel.as_uri()}#sha256={digest}">{wheel.name}</a>')
    (place / "index.html").write_text("<!DOCTYPE html>" + "".join(links), encoding="utf-8")
    return (folder / "simple").as_uri()


def lock_text(wheel: Path) -> str:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return (
        f"# Made in the repository's root by\n#   a test of images/{IMAGE}/requirements.in\n"
        f"{NAME}==1.0 \\\n    --hash=sha256:{digest}\n"
    )


def make_tiny(root: Path) -> Path:
    """Write the project below `root`; its wheel is in root/wheels. Every rule is kept."""
    make_project(root, SCRIPT, images=())
    folder = root / "images" / IMAGE
    folder.mkdir(parents=True)
    wheel = make_wheel(root / "wheels")
    for name, text in {
        "image.yaml": IMAGE_YAML,
        "Dockerfile": DOCKERFILE,
        "requirements.in": f"{NAME}==1.0\n",
        "requirements.lock": lock_text(wheel),
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    return root
