"""Records what NVML answers on a machine with a GPU, for tests to play back without one.

    python -m benchmarks.record_nvml FILE [--gpu 0] [--seconds 5] [-- COMMAND ...]

Every question that the runner asks is asked: facts of all GPUs, and, while COMMAND is under
way, the readings of one. COMMAND should use the GPU, such as a training script; its own
process, and only it, counts as the job.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from runner.telemetry import nvml
from runner.telemetry.gpu import GpuWatcher
from runner.telemetry.nvml_session import Recorder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("--gpu", default="0", help="index or UUID")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("command", nargs="*")
    asked = parser.parse_args()
    library = nvml.connect()
    if library is None:
        sys.exit("no NVIDIA driver answers on this machine")
    recorder = Recorder(library)
    for facts in nvml.facts(recorder):
        print(facts)
    gpu = nvml.gpu(recorder, asked.gpu)
    if gpu is None:
        sys.exit(f"no GPU {asked.gpu!r}")
    child = subprocess.Popen(asked.command) if asked.command else None
    pids = frozenset() if child is None else frozenset({child.pid})
    watcher = GpuWatcher(gpu, lambda: pids)
    watcher.start()
    time.sleep(asked.seconds / 4)
    watcher.begin()
    time.sleep(asked.seconds)
    watcher.end()
    watcher.stop()
    if child is not None:
        child.terminate()
        child.wait()
    print(watcher.result())
    recorder.save(asked.file)
    print(f"{len(recorder.lines)} calls in {asked.file}")


if __name__ == "__main__":
    main()
