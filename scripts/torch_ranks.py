"""Data-parallel training with PyTorch: one process a GPU, over NCCL; on processors over gloo.

The process that the host started is rank 0; it starts the others, which run the same script.
"""

import datetime
import os
import subprocess
import sys
import threading

RANK = "RUNNER_RANK"
STORE_PORT = "RUNNER_STORE_PORT"
COUNT = "count"
LONGEST_WAIT = datetime.timedelta(minutes=30)


class Ranks(object):
    """The other ranks of a data-parallel job: processes of `script`, one a GPU.

    They take part in every step that rank 0 announces, and end when it says so.
    """

    def __init__(self, torch, place, gpus, script):
        self.torch = torch
        self.place = place
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
        join(self.torch, self.place, self.store, 0, self.gpus)

    def wait(self):
        wait(self.torch, self.place)

    def begin(self, what):
        """Announce what all ranks do next; return when every one is about to begin it."""
        self.store.set("step/%d" % self.steps, what)
        self.steps += 1
        self.wait()

    def count(self):
        """Return how many ranks add up, as NCCL says. It is the last that they do."""
        self.store.set("step/%d" % self.steps, COUNT)
        return count_ranks(self.torch, self.place)

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


def join(torch, place, store, rank, gpus):
    """Join the group of all ranks. All are on this machine, so they talk over its loopback."""
    for interface in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"):
        os.environ.setdefault(interface, "lo")
    torch.distributed.init_process_group(
        "nccl" if place.on_gpu else "gloo",
        store=torch.distributed.PrefixStore("group", store),
        rank=rank,
        world_size=gpus,
        timeout=LONGEST_WAIT,
        device_id=place.device if place.on_gpu else None,
    )


def wait(torch, place):
    """Return when every rank is here, and this one's device has nothing left to do."""
    torch.distributed.barrier()
    place.finish()


def count_ranks(torch, place):
    one = torch.ones(1, device=place.device)
    torch.distributed.all_reduce(one)
    return int(one.item())


def follow(torch, place, store, actions, batches):
    """Take part, as another rank, in all that rank 0 announces.

    Args:
        actions: {what rank 0 may announce: called with the members of a batch}.
    """
    wait(torch, place)
    done = 0
    while True:
        what = store.get("step/%d" % done).decode()
        if what == COUNT:
            break
        wait(torch, place)
        actions[what](*batches[done % len(batches)])
        place.finish()
        done += 1
    count_ranks(torch, place)
