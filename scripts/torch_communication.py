"""What all-reduce costs a data-parallel step with PyTorch, taken after the measured steps.

All ranks do the same at the same time. A step `alone` is the same step under DDP's `no_sync`:
nothing is summed, and no buffers are sent round. A `probe` is one all-reduce by itself. How long
the all-reduce kernels of a step ran is from torch.profiler; a kernel waits for the other ranks
from its start on. On processors gloo's calls take the place of the kernels.
"""

import bench
import torch_steps

SETTLING = 2  # of each kind, left out: the first may compile, and allocate
ALONE_STEPS = 10
PROBES = 10
PROFILED_STEPS = 3
PROBE_BYTES = {"cuda": 256 * 1024**2, "cpu": 1024**2}


def tell(job, torch, place, ranks, update, batches):
    """Say it, as rank 0."""
    taken = actions(torch, place, update)

    def series(what, count):
        timed_call = timed_together(torch, place, ranks, what)
        steps = range(SETTLING + count)
        pairs = [timed_call(taken[what], batches[step % len(batches)]) for step in steps]
        return [seconds for _, seconds in pairs[SETTLING:]]

    parameters = update.trained.parameters()
    alone_s = series("alone", ALONE_STEPS)
    probe_s = series("probe", PROBES)
    profiled = [
        profile(torch, place, ranks, taken["step"], batches[step % len(batches)])
        for step in range(PROFILED_STEPS)
    ]
    job.communication(
        reduced_bytes=sum(p.numel() * p.element_size() for p in parameters if p.requires_grad),
        alone_s=alone_s,
        all_reduce_s=[seconds for seconds in profiled if seconds],
        probe_bytes=PROBE_BYTES[place.device.type],
        probe_s=probe_s,
    )


def actions(torch, place, update):
    """Return what every rank does, by the word with which rank 0 announces it."""
    held = []

    def alone(images, labels):
        with update.trained.no_sync():
            return update(images, labels)

    def probe(*_):
        if not held:
            held.append(torch.zeros(PROBE_BYTES[place.device.type] // 4, device=place.device))
        torch.distributed.all_reduce(held[0])

    return {"step": update, "alone": alone, "probe": probe}


def timed_together(torch, place, ranks, what):
    """Return what times a call that all ranks begin at once, having been told what."""
    if place.on_gpu:
        return torch_steps.timed_by_events(torch, lambda: ranks.begin(what))

    def timed_call(step, batch):
        ranks.begin(what)
        return bench.clocked_call(step, batch)

    return timed_call


def profile(torch, place, ranks, step, batch):
    """Return the seconds of all-reduce in one step; 0 where the profiler saw none."""
    activity = torch.profiler.ProfilerActivity
    kinds = [activity.CUDA if place.on_gpu else activity.CPU]
    with torch.profiler.profile(activities=kinds) as seen:
        ranks.begin("step")
        step(*batch)
        place.finish()
    spans = [one.time_range for one in seen.events() if is_all_reduce(one.name, place.on_gpu)]
    spans.sort(key=lambda span: span.start)
    if place.on_gpu:
        spans = spans[1:]  # NCCL's barrier is an all-reduce, too, and comes first
    return sum(span.elapsed_us() for span in spans) / 1e6


def is_all_reduce(name, on_gpu):
    """Return whether a profiler's event is an all-reduce itself, not what asked for it."""
    if not on_gpu:
        return name == "gloo:all_reduce"
    return "nccl" in name and "AllReduce" in name
