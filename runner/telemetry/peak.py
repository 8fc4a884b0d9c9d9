"""The fastest that this machine multiplies matrices on given cores, outside any container.

It is the upper bound that a table's share of peak refers to (Hoefler and Belli, SC 2015, rule
11), and named for what it is: NumPy's product, not the processor's data sheet.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys

from runner.model import Peak

SIZE = 1024
PRODUCTS = 25
_LIMIT_S = 60.0
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# In a process of its own: pinned before NumPy makes its threads, which then stay where they are.
_PROGRAM = """
import json, os, sys, time
os.sched_setaffinity(0, json.loads(sys.argv[1]))
import numpy
size, products = int(sys.argv[2]), int(sys.argv[3])
one = numpy.random.default_rng(1).random((size, size), dtype="float32")
two = one.T.copy()
out = one @ two
times = []
for _ in range(products):
    start = time.perf_counter()
    numpy.matmul(one, two, out=out)
    times.append(time.perf_counter() - start)
blas = numpy.__config__.CONFIG.get("Build Dependencies", {}).get("blas", {}).get("name", "its BLAS")
print(json.dumps({"s": min(times), "numpy": numpy.__version__, "blas": blas}))
"""


def measure(cores: tuple[int, ...], size: int = SIZE, products: int = PRODUCTS) -> Peak | None:
    """Multiply matrices on `cores`, one thread each, and keep the fastest; None if that fails."""
    threads = dict.fromkeys(_POOLS, str(len(cores)))
    command = (sys.executable, "-c", _PROGRAM, json.dumps(cores), str(size), str(products))
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run(
            command,
            env={**os.environ, **threads},
            capture_output=True,
            check=True,
            timeout=_LIMIT_S,
            text=True,
        )
        said = json.loads(done.stdout)
        return Peak(
            flops=2 * size**3 / said["s"],
            method=(
                f"float32 matrix product of {size} x {size}, NumPy {said['numpy']} with "
                f"{said['blas']}, {len(cores)} threads outside any container, best of {products}"
            ),
        )
    return None
