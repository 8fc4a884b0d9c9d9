"""Statuses, columns and protocols in sentences, for pages that strangers read."""

from __future__ import annotations

from runner.model import Status

STATUSES: dict[Status, str] = {
    Status.OK: "It was measured, and every check of the work was passed.",
    Status.BUILD_FAILED: "The image could not be built; the reason is the builder's last word.",
    Status.BASE_UNAVAILABLE: "The base image that the image pins could not be had on this machine.",
    Status.UNAVAILABLE: "An interpreter or a package that the image pins is missing here.",
    Status.UNSUPPORTED: "The framework, or the build of it that the image pins, cannot do what was "
    "asked; a switch that it ignores in silence counts as that.",
    Status.UNSUPPORTED_DEVICE: "The framework does not know this device, or was not built for it.",
    Status.DRIVER_TOO_OLD: "The GPU's driver is older than the image needs.",
    Status.OOM_HOST: "It needed more memory than the matrix allows, and the kernel ended it.",
    Status.OOM_GPU: "It needed more memory than the GPU has, in the framework's own words.",
    Status.TIMEOUT: "It was not done within the time that the matrix allows, and was ended.",
    Status.SILENT: "It wrote nothing for longer than the matrix allows, and was ended.",
    Status.CRASHED: "It ended by a signal or an exception; the log's last lines say more.",
    Status.BAD_OUTPUT: "What it said broke the contract between host and script, so that nothing "
    "of it can be trusted.",
    Status.CHECK_FAILED: "It did other work than was asked: parameter count, shapes or losses are "
    "wrong. A time for other work is no result.",
    Status.DISTURBED: "The machine was busy with something else while it measured.",
    Status.KILLED: "It was ended from outside before it was done, or its turn never came.",
    Status.SKIPPED: "The matrix leaves it out, by a rule that gives its reason.",
}

COLUMNS: dict[str, str] = {
    "median_ms": "Milliseconds of one training step: the median over launches of each launch's "
    "median, of the steps from where the launch is steady.",
    "interval_percent": "How far the true median may be from that, at 95 % confidence, as a share "
    "of it. Over launches: steps of one process are not independent of each other.",
    "images_per_s": "Images of a step divided by its median time. More is better.",
    "between_launches_percent": "Standard deviation of the launches' medians over their mean.",
    "within_launch_percent": "Standard deviation of a launch's steps over their mean.",
    "cold_start_s": "Seconds from the start of the script to the end of its first step: importing, "
    "making data, building, compiling. Median over launches.",
    "memory_peak_mib": "Largest anonymous and shared memory of the whole job while it measured, "
    "read from outside. Median over launches.",
    "gpu_memory_peak_mib": "Largest memory of its (first) GPU that the job held while it measured; "
    "the remarks say how it was read. Median over launches.",
    "gflops": "Arithmetic that the network needs for a step, counted from its layers, over the "
    "median time. What a framework does beside that is not counted.",
    "peak_percent": "That arithmetic as a share of the most that this machine was seen to do.",
}

BACKENDS = {
    "docker": "each job in a container of its own, without network, on a read-only root",
    "process": "each job in a virtual environment on the machine itself, without a container",
}

PROTOCOLS = {
    "fair": "measured our way, the same for all",
    "as-published": "measured as the original did, with its known defects",
}
