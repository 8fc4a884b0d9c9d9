"""Data-parallel training with PyTorch: one process a GPU, over NCCL.

The process that the host started is rank 0; it starts the others, which run the same script.
"""

import datetime
import os
import subprocess
import sys
import threading

RANK = "RUNNER_RANK"
STORE_PORT = "RUNNER_STORE_PORT"
LONGEST_WAIT = datetime.timedelta(minutes=30)


class Ranks(object):
    """The other ranks of a data-parallel job: processes of `script`, one a GPU.

    They take part in every step that rank 0 announces, and end when it says so.
    """

    def __init__(self, torch, gpus, script):
        self.torch = torch
        self.gpus = gpus
        self.steps = 0
        self.ending = threading.Event()
        self.store = torch.distributed.TCPStore(
            "127.0.0.1", 0, gpus, is_master=True, wait_for_workers=False, timeout=LONGEST_WAIT
        )
        told = dict(os.environ, **{STORE_PORT: str(self.store.port)})
        command = [sys.executable, os.path.abspath(script)]
        self.processes = [
            subprocess.Popen(command, env=dict(told, **{RANK: str(rank)}))
            for rank in range(1, gpus)
        ]
        for rank, process in enumerate(self.processes, start=1):
            threading.Thread(target=self._watch, args=(rank, process), daemon=True).start()

    def _watch(self, rank, process):
        """End this process with a rank that fails: the others would wait for it for ever."""
        status = process.wait()
        if status and not self.ending.is_set():
            sys.stderr.write("rank %d ended with status %d\n" % (rank, status))
            sys.stderr.flush()
            os._exit(1)

    def meet(self):
        join(self.torch, self.store, 0, self.gpus)

    def wait(self):
        self.torch.distributed.barrier()
        self.torch.cuda.synchronize()

    def begin_step(self):
        """Announce a step, and return when every rank is about to begin it."""
        self.store.set("step/%d" % self.steps, "go")
        self.steps += 1
        self.wait()

    def count(self):
        """Return how many ranks add up, as NCCL says."""
        self.store.set("step/%d" % self.steps, "count")
        return count_ranks(self.torch)

    def end(self):
        self.ending.set()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


def connect(torch, gpus):
    """Return the store through which rank 0 talks to this other rank."""
    port = int(os.environ[STORE_PORT])
    return torch.distributed.TCPStore(
        "127.0.0.1", port, gpus, is_master=False, timeout=LONGEST_WAIT
    )


def join(torch, store, rank, gpus):
    """Join the group of all ranks. All are on this machine, so they talk over its loopback."""
    os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    torch.cuda.set_device(rank)
    torch.distributed.init_process_group(
        "nccl",
        store=torch.distributed.PrefixStore("nccl", store),
        rank=rank,
        world_size=gpus,
        timeout=LONGEST_WAIT,
        device_id=torch.device("cuda:%d" % rank),
    )


def count_ranks(torch):
    one = torch.ones(1, device="cuda")
    torch.distributed.all_reduce(one)
    return int(one.item())


def follow(torch, store, update, batches):
    """Take part in every step that rank 0 announces, as another rank."""
    torch.distributed.barrier()
    torch.cuda.synchronize()
    done = 0
    while store.get("step/%d" % done) == b"go":
        torch.distributed.barrier()
        torch.cuda.synchronize()
        update(*batches[done % len(batches)])
        torch.cuda.synchronize()
        done += 1
    count_ranks(torch)
