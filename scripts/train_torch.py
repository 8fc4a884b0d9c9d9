"""Train a network with PyTorch, from 1.0.

Eager; with the compiler `inductor` the forward pass and the loss, and with them the backward
pass, go through torch.compile, the optimizer stays eager. Channels first, unless the layout
says otherwise. Initial weights are Glorot uniform from `data`, the same in every framework.
Dropout draws from PyTorch's own generator.

On a GPU a step is timed by its device events. `tf32` lets products and convolutions take
TF32; `bfloat16` is PyTorch's autocast: products in bfloat16, weights and update in single
precision. cuDNN tries its algorithms in the first step. On several GPUs it is
DistributedDataParallel over NCCL: this process is rank 0 and starts one more for each GPU.
"""

import contextlib
import datetime
import os
import shutil
import subprocess
import sys
import threading

import bench
import networks
import training

RANK = "RUNNER_RANK"
STORE_PORT = "RUNNER_STORE_PORT"
LONGEST_WAIT = datetime.timedelta(minutes=30)


def ask(job):
    return training.ask(
        job,
        compilers=("default", "inductor"),
        devices=("cpu", "cuda"),
        precisions=("float32", "tf32", "bfloat16"),
        layouts=("native", "channels_first", "channels_last"),
        parallel=True,
    )


def train(job):
    asked = ask(job)
    with job.phase("import"):
        torch, data = load(job.settings)
    on_gpu = job.settings.device == "cuda"
    job.hello(
        framework="pytorch",
        framework_version=torch.__version__,
        libraries=describe_libraries(torch, on_gpu),
        threads=torch.get_num_threads(),
        threads_source="torch.get_num_threads()",
        data=data.describe(job.settings, asked.network),
        device="cuda: " + torch.cuda.get_device_name(0) if on_gpu else None,
    )
    refuse_what_is_missing(torch, asked, on_gpu)
    ranks = Ranks(torch, asked.gpus) if asked.gpus > 1 else None
    try:
        work(job, asked, torch, data, ranks)
    finally:
        if ranks is not None:
            ranks.end()


def work(job, asked, torch, data, ranks):
    place = Place(torch, job.settings.device, asked)
    with job.phase("data"):
        torch.manual_seed(job.settings.seed)
        batches = load_batches(torch, data, place, asked, job.settings)
    with job.phase("build"):
        job.check("precision", place.probe(data.numpy))
        if ranks is not None:
            ranks.meet()
        model, update = build_update(torch, data, asked, place, job.settings.seed)
        if ranks is not None:
            ranks.wait()
    shapes = []

    def step(images, labels):
        loss, logits = update(images, labels)
        shapes[:] = [logits.shape]
        return loss

    timing = {}
    if job.settings.device == "cuda":
        meet = (lambda: None) if ranks is None else ranks.begin_step
        timing = {"synchronised": "event", "timed_call": timed_by_events(torch, meet)}
    items = asked.batch * asked.gpus
    job.steps(step, batches, items=items, read_loss=lambda loss: loss.item(), **timing)
    job.check("parameters", sum(p.numel() for p in model.parameters() if p.requires_grad))
    job.check("output_shape", list(shapes[0]))
    job.check("optimizer", describe_optimizer(asked.optimizer, update.optimizer.param_groups[0]))
    if asked.compiler == "inductor":
        job.check("compiled", torch._dynamo.utils.counters["stats"]["unique_graphs"])
    if ranks is not None:
        job.check("ranks", ranks.count())
    if job.settings.device == "cuda":
        job.memory(torch.cuda.max_memory_allocated())


def load(settings):
    """Import the framework, and return it with the module `data`."""
    # Below HOME, as cold or warm as the host makes that; by default both outlive the job.
    home = os.path.expanduser("~")
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(home, "inductor")
    os.environ["TRITON_CACHE_DIR"] = os.path.join(home, "triton")
    import torch
    import data

    torch.set_num_threads(settings.threads)
    if settings.device == "cuda" and not torch.cuda.is_available():
        torch.zeros(1, device="cuda")  # says why
        raise bench.Unsupported("torch.cuda.is_available() is False")
    return torch, data


def describe_libraries(torch, on_gpu):
    libraries = bench.versions("torch", "numpy")
    if on_gpu:
        libraries["cuda"] = str(torch.version.cuda)
        libraries["cudnn"] = str(torch.backends.cudnn.version())
        libraries["nccl"] = ".".join(map(str, torch.cuda.nccl.version()))
        libraries["architectures"] = " ".join(torch.cuda.get_arch_list())
    return libraries


def refuse_what_is_missing(torch, asked, on_gpu):
    if asked.compiler == "inductor" and not hasattr(torch, "compile"):
        raise bench.Unsupported("PyTorch %s has no torch.compile" % torch.__version__)
    compilers = ("cc", "gcc", "clang") if on_gpu else ("g++",)
    if asked.compiler == "inductor" and not any(map(shutil.which, compilers)):
        raise bench.Unsupported("torch.compile needs %s, not on PATH" % " or ".join(compilers))
    if asked.precision == "bfloat16" and not hasattr(torch, "autocast"):
        raise bench.Unsupported("PyTorch %s has no torch.autocast" % torch.__version__)
    found = torch.cuda.device_count() if on_gpu else 0
    if asked.gpus > max(1, found):
        raise bench.Unsupported("gpus: %d; PyTorch sees %d" % (asked.gpus, found))


class Place(object):
    """Where and in which precision to compute; setting it up changes PyTorch's own switches."""

    def __init__(self, torch, device, asked, rank=0):
        self.torch = torch
        self.precision = asked.precision
        self.on_gpu = device == "cuda"
        self.device = torch.device("cuda:%d" % rank if self.on_gpu else "cpu")
        self.options = {}
        if asked.layout == "channels_last":
            if not hasattr(torch, "channels_last"):
                raise bench.Unsupported("PyTorch %s has no channels_last" % torch.__version__)
            self.options = {"memory_format": torch.channels_last}
        if self.on_gpu:
            torch.cuda.set_device(self.device)
            torch.backends.cuda.matmul.allow_tf32 = asked.precision == "tf32"
            torch.backends.cudnn.allow_tf32 = asked.precision == "tf32"
            torch.backends.cudnn.benchmark = True

    def computing(self):
        """Return the context in which the forward pass is done."""
        if self.precision != "bfloat16":
            return contextlib.suppress()  # does nothing, and old releases trace nothing
        return self.torch.autocast(self.device.type, self.torch.bfloat16)

    def probe(self, numpy):
        """Return the errors of a product and a convolution, held to the precision."""
        random = numpy.random.RandomState(1)
        left, right = (random.randn(training.PROBE, training.PROBE) for _ in range(2))
        exact = left.dot(right)
        one, other = (
            self.torch.from_numpy(numpy.ascontiguousarray(array, "float32")).to(self.device)
            for array in (left, right.T)
        )
        columns = one.t().contiguous().view(1, training.PROBE, 16, -1)
        with self.torch.no_grad(), self.computing():
            product = one.matmul(other.t())
            convolved = self.torch.nn.functional.conv2d(columns, other[:, :, None, None])
        found = {
            "product": product,
            "convolution": convolved.view(training.PROBE, training.PROBE).t(),
        }
        errors = {
            name: float(numpy.linalg.norm(tensor.float().cpu().numpy() - exact))
            / float(numpy.linalg.norm(exact))
            for name, tensor in found.items()
        }
        return training.hold_precision(self.precision, errors)


def load_batches(torch, data, place, asked, settings):
    return [
        (
            torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(place.device, **place.options),
            torch.from_numpy(labels).long().to(place.device),
        )
        for images, labels in data.load(settings, asked.network, asked.batch)
    ]


def build_update(torch, data, asked, place, seed):
    """Return the model, and the step: (images, labels) -> (loss, logits)."""
    model = build(torch, data, asked.network, seed).to(place.device)
    if place.options:
        model = model.to(**place.options)
    trained = model
    if asked.gpus > 1:
        trained = torch.nn.parallel.DistributedDataParallel(
            model, device_ids=[place.device.index], gradient_as_bucket_view=True
        )
    optimizer = build_optimizer(torch, asked, model)
    forward = forward_and_loss(torch, trained, place)
    if asked.compiler == "inductor":
        forward = torch.compile(forward)

    def update(images, labels):
        optimizer.zero_grad()
        loss, logits = forward(images, labels)
        loss.backward()
        optimizer.step()
        return loss, logits

    update.optimizer = optimizer
    return model, update


def timed_by_events(torch, meet):
    """Return what times a call by events that the GPU itself records before and after it.

    Args:
        meet: called before each step, outside its time.
    """

    def timed_call(step, batch):
        meet()
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        result = step(*batch)
        ended.record()
        ended.synchronize()
        return result, begun.elapsed_time(ended) / 1000.0

    return timed_call


class Ranks(object):
    """The other ranks of a data-parallel job: processes of this script, one a GPU.

    They take part in every step that rank 0 announces, and end when it says so.
    """

    def __init__(self, torch, gpus):
        self.torch = torch
        self.gpus = gpus
        self.steps = 0
        self.ending = threading.Event()
        self.store = torch.distributed.TCPStore(
            "127.0.0.1", 0, gpus, is_master=True, wait_for_workers=False, timeout=LONGEST_WAIT
        )
        told = dict(os.environ, **{STORE_PORT: str(self.store.port)})
        command = [sys.executable, os.path.abspath(__file__)]
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


def follow(rank):
    """Take part in every step as another rank than 0. Each trains on images of its own."""
    job = bench.Job(bench.read_settings(os.environ), None)
    asked = ask(job)
    settings = job.settings._replace(seed=(job.settings.seed + rank) % 2**32)
    torch, data = load(settings)
    store = torch.distributed.TCPStore(
        "127.0.0.1", int(os.environ[STORE_PORT]), asked.gpus, is_master=False, timeout=LONGEST_WAIT
    )
    place = Place(torch, settings.device, asked, rank)
    torch.manual_seed(settings.seed)
    batches = load_batches(torch, data, place, asked, settings)
    join(torch, store, rank, asked.gpus)
    _, update = build_update(torch, data, asked, place, job.settings.seed)
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


def build(torch, data, network, seed):
    """Return the network as a Sequential with its initial weights, in training mode."""
    nn = torch.nn

    class Flatten(nn.Module):  # torch.nn.Flatten came with 1.2
        def forward(self, images):
            return images.reshape(images.size(0), -1)

    class Average(nn.Module):
        def forward(self, images):
            return images.mean((2, 3))

    class Sum(nn.Module):
        def __init__(self, main, shortcut):
            super(Sum, self).__init__()
            self.main = nn.Sequential(*main)
            self.shortcut = nn.Sequential(*shortcut)

        def forward(self, images):
            return self.main(images) + self.shortcut(images)

    steps = networks.walk(network)
    kernels = data.initial_weights(networks.kernel_shapes(network), seed)
    rest = iter(data.channels_first(steps, kernels))
    outside = []  # for each fork: the modules before it, and those of its first way
    modules = []
    for layer, before, _ in steps:
        kind = layer[0]
        if kind == "fork":
            outside.append((modules, None))
            modules = []
            continue
        if kind == "swap":
            outside[-1] = (outside[-1][0], modules)
            modules = []
            continue
        if kind == "add":
            ahead, main = outside.pop()
            module = Sum(modules, ()) if main is None else Sum(main, modules)
            modules = ahead
        elif kind == "convolution":
            padding = layer[2] // 2 if layer[3] == "same" else 0
            module = nn.Conv2d(before[-1], layer[1], layer[2], padding=padding)
        elif kind == "strided-convolution":
            _, filters, size, stride, padding, bias = layer
            module = nn.Conv2d(before[-1], filters, size, stride, padding, bias=bias)
        elif kind == "batch-normalisation":
            module = nn.BatchNorm2d(before[-1])
        elif kind == "dense":
            module = nn.Linear(before[0], layer[1])
        elif kind == "relu":
            module = nn.ReLU(inplace=True)
        elif kind == "max-pooling":
            module = nn.MaxPool2d(layer[1])
        elif kind == "strided-max-pooling":
            module = nn.MaxPool2d(*layer[1:])
        elif kind == "average-pooling":
            module = Average()
        elif kind == "dropout":
            module = nn.Dropout(layer[1])
        elif kind == "flatten":
            module = Flatten()
        else:
            raise bench.Unsupported("layer %s" % kind)
        if kind in ("convolution", "strided-convolution", "dense"):
            module.weight.data = torch.from_numpy(next(rest))
            if networks.has_bias(layer):
                module.bias.data.zero_()
        modules.append(module)
    return nn.Sequential(*modules).train()


def build_optimizer(torch, asked, model):
    if asked.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=asked.learning_rate)
    return torch.optim.RMSprop(
        model.parameters(), lr=asked.learning_rate, alpha=training.RHO, eps=training.EPSILON
    )


def describe_optimizer(name, group):
    if name == "sgd":
        return training.optimizer_words(name, group["lr"])
    return training.optimizer_words(name, group["lr"], group["alpha"], group["eps"], "to the root")


def forward_and_loss(torch, model, place):
    """Return the function that is compiled: the softmax is in the cross entropy."""
    if place.precision != "bfloat16":

        def forward(images, labels):
            logits = model(images)
            return torch.nn.functional.cross_entropy(logits, labels), logits

    else:

        def forward(images, labels):
            with place.computing():
                logits = model(images)
            logits = logits.float()  # in bfloat16 the loss would move by 0.03 or not at all
            return torch.nn.functional.cross_entropy(logits, labels), logits

    return forward


if __name__ == "__main__":
    if os.environ.get(RANK):
        follow(int(os.environ[RANK]))
    else:
        bench.main(train)
