"""Try everything that a job must not be able to do; say what came of each as one JSON object."""

import ctypes
import errno
import json
import os
import resource
import socket
import stat
import subprocess
from collections.abc import Callable

libc = ctypes.CDLL(None, use_errno=True)


def attempt(action: Callable[..., object], *arguments: object) -> str:
    """Return ``done``, or the name of the error that came instead."""
    try:
        action(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def write(path: str) -> None:
    with open(path, "w") as file:
        file.write("x")


def call(name: str, *arguments: object) -> None:
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


def connect(family: socket.AddressFamily, address: tuple[str, int]) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as outward:
        outward.settimeout(3)
        outward.connect(address)


def raw_socket() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


def execute_in_scratch() -> None:
    with open("/tmp/program", "w") as file:
        file.write("#!/bin/sh\nexit 0\n")
    os.chmod("/tmp/program", 0o755)
    subprocess.check_call(["/tmp/program"])


def give_to_root() -> None:
    write("/tmp/given")
    os.chown("/tmp/given", 0, 0)


def status() -> dict[str, str]:
    with open("/proc/self/status") as file:
        pairs = (line.rstrip("\n").partition(":\t") for line in file)
        return {name: value for name, _, value in pairs}


def sockets_of_engines() -> list[str]:
    found = []
    for folder in ("/run", "/var/run", "/tmp", "/data"):
        for parent, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(parent, name)
                if stat.S_ISSOCK(os.lstat(path).st_mode):
                    found.append(path)
    return found


PLACES = [
    "/x",
    "/runner/x",
    "/etc/passwd",
    "/usr/local/bin/python",
    "/var/tmp/x",
    "/root/x",
    "/home/x",
    "/opt/x",
    "/proc/sys/kernel/core_pattern",
    "/sys/fs/cgroup/x",
    "/dev/x",
]
said = status()
print(
    json.dumps(
        {
            "written": [place for place in PLACES if attempt(write, place) == "done"],
            "scratch": attempt(write, "/tmp/x"),
            "execute_in_scratch": attempt(execute_in_scratch),
            "network": attempt(connect, socket.AF_INET, ("192.0.2.1", 80)),
            "network6": attempt(connect, socket.AF_INET6, ("2001:db8::1", 80)),
            "interfaces": sorted(os.listdir("/sys/class/net")),
            "raw_socket": attempt(raw_socket),
            "become_root": attempt(os.setuid, 0),
            "become_root_group": attempt(os.setgid, 0),
            "give_to_root": attempt(give_to_root),
            "mount": attempt(call, "mount", b"none", b"/tmp", b"tmpfs", 0, None),
            "new_user_namespace": attempt(call, "unshare", 0x10000000),
            "chroot": attempt(os.chroot, "/tmp"),
            "device": attempt(os.mknod, "/tmp/sda", stat.S_IFBLK | 0o666, os.makedev(8, 0)),
            "user": os.getuid(),
            "group": os.getgid(),
            "groups": os.getgroups(),
            "capabilities": {
                name: said[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
            },
            "no_new_privileges": said["NoNewPrivs"],
            "system_call_filter": said["Seccomp"],
            "cores": sorted(os.sched_getaffinity(0)),
            "core_dump": resource.getrlimit(resource.RLIMIT_CORE),
            "sockets_of_engines": sockets_of_engines(),
            "first_process": open("/proc/1/comm").read().strip(),
            "home": os.environ["HOME"],
            "folder": os.getcwd(),
        }
    )
)
