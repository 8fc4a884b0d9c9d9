"""PyTorch itself, and where and how precisely it computes."""

import contextlib
import ctypes
import glob
import os
import shutil

import bench
import training


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


def tell_threads(torch):
    own = sorted(glob.glob(os.path.join(os.path.dirname(torch.__file__), "lib", "libgomp*.so*")))
    if torch.__version__ == "1.0.0" and own:
        said = "omp_get_max_threads() of PyTorch's libgomp; torch.get_num_threads() says %d"
        return {
            "threads": ctypes.CDLL(own[0]).omp_get_max_threads(),
            "threads_source": said % torch.get_num_threads(),
        }
    return {"threads": torch.get_num_threads(), "threads_source": "torch.get_num_threads()"}


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

    def move(self, tensor):
        """Return a tensor of the host on the device, images in the layout that was asked for."""
        return tensor.to(self.device, **(self.options if tensor.dim() == 4 else {}))

    def hold(self, tensor):
        """Return a tensor of the host as it is."""
        return tensor

    def finish(self):
        """Return when the device has done all that it was given."""
        if self.on_gpu:
            self.torch.cuda.synchronize()

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
