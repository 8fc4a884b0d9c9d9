"""A job in a container: its output, its end, and what the kernel says of it."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound
from requests.exceptions import RequestException

from runner.backends.docker_cgroup import Counters, Groups, Meter, groups
from runner.errors import BackendUnavailable
from runner.model import Cgroup, MemoryReading, Outcome, Output

_GRACE_S = 2
# A job that closed its output has ended but for what its interpreter takes down.
_END_S = 10
_PIECES = 256
_RECEIVE_BYTES = 65536
_STREAMS = {1: "stdout", 2: "stderr"}


class ContainerJob:
    """One started container. A thread reads its output, and holds it back where nobody takes it.

    Not so once it is to end: an engine whose output is not taken does not notice the end.
    """

    def __init__(
        self, api: APIClient, container: str, command: tuple[str, ...], local: bool
    ) -> None:
        """Attach to a container that is created and not started, so that nothing is missed."""
        self._api = api
        self._container = container
        self._command = command
        self._local = local
        self._groups: Groups | None = None
        self._meter: Meter | None = None
        self._is_located = False
        self._pieces: queue.Queue[Output | None] = queue.Queue(_PIECES)
        self._is_ending = threading.Event()
        self._connection = Connection(api.attach_socket(container))
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    @property
    def command(self) -> tuple[str, ...]:
        """``docker run`` with all options, image id and arguments."""
        return self._command

    @property
    def cgroup(self) -> Cgroup | None:
        """Where the kernel accounts for it, where the engine is on this machine."""
        self._locate()
        return None if self._groups is None else self._groups.cgroup

    @property
    def memory_method(self) -> str:
        """How ``poll_memory`` reads."""
        return "the engine's statistics: anonymous and shared memory"

    def read(self, timeout_s: float) -> Output | None:
        """Return the next piece of output; take a reading of the counters before waiting."""
        try:
            piece = self._pieces.get_nowait()
        except queue.Empty:
            self._count()
            try:
                piece = self._pieces.get(timeout=timeout_s)
            except queue.Empty:
                return None
        if piece is None:
            self._pieces.put(None)  # for whoever asks again
            raise EOFError
        return piece

    def poll_memory(self) -> MemoryReading | None:
        """Ask the engine, where its machine's control groups cannot be seen from here."""
        if self.cgroup is not None:
            return None
        try:
            stats = self._api.stats(self._container, stream=False, one_shot=True)
        except (APIError, RequestException):
            return None
        return memory_reading(stats.get("memory_stats") or {})

    def poll_pids(self) -> None:
        """Return nothing: without a control group its processes are on another machine."""

    def stop(self) -> None:
        """End the container: asked, forced after 2 s."""
        self._count()
        self._is_ending.set()
        with contextlib.suppress(NotFound), engine_errors("ending a job"):
            self._api.stop(self._container, timeout=_GRACE_S)

    def finish(self) -> Outcome:
        """Wait for the end, remove the container, say how it ended."""
        counters = self._count()
        self._is_ending.set()
        try:
            with engine_errors("waiting for a job's end, and removing its container"):
                try:
                    state = self._ended_state()
                finally:
                    remove(self._api, self._container)
        finally:
            self._close()
        return outcome(int(state["ExitCode"]), bool(state["OOMKilled"]), counters)

    def abandon(self) -> None:
        """Take back a container that could not be started."""
        self._is_ending.set()
        with engine_errors("removing a container"):
            remove(self._api, self._container)
        self._close()

    def _close(self) -> None:
        self._connection.close()
        self._thread.join()
        if self._meter is not None:
            self._meter.close()

    def _ended_state(self) -> dict[str, Any]:
        try:
            self._api.wait(self._container, timeout=_END_S)
        except RequestException:
            # It runs on with its output closed. An engine that is gone fails here again.
            self._api.kill(self._container)
            self._api.wait(self._container, timeout=_END_S)
        state: dict[str, Any] = self._api.inspect_container(self._container)["State"]
        return state

    def _locate(self) -> None:
        if self._is_located or not self._local:
            return
        self._is_located = True
        try:
            pid = self._api.inspect_container(self._container)["State"]["Pid"]
            text = Path(f"/proc/{pid}/cgroup").read_text()
            found = groups(text, self._container)
            self._meter = None if found is None else Meter(found)
            self._groups = None if self._meter is None else found
        except (OSError, APIError, RequestException):
            return  # it has ended already, or its machine is not this one

    def _count(self) -> Counters:
        self._locate()
        return Counters() if self._meter is None else self._meter.read()

    def _receive(self) -> None:
        with contextlib.suppress(OSError):  # the engine is gone, which finish() will tell
            for number, data in frames(self._connection.receive):
                self._put(Output(stream=_STREAMS.get(number, "stderr"), data=data))
        self._put(None)

    def _put(self, piece: Output | None) -> None:
        while True:
            with contextlib.suppress(queue.Full):
                self._pieces.put(piece, timeout=0 if self._is_ending.is_set() else 0.2)
                return
            if self._is_ending.is_set():
                with contextlib.suppress(queue.Empty):
                    self._pieces.get_nowait()  # the oldest: the last words tell more


class Connection:
    """The raw connection of an attached container, without the client's time limit."""

    def __init__(self, raw: Any) -> None:  # noqa: ANN401 - differs with the transport
        self._raw = raw
        self._socket = raw
        if isinstance(raw, socket.SocketIO):
            self._socket = socket.socket(fileno=os.dup(raw.fileno()))
        self._socket.settimeout(None)

    def receive(self) -> bytes:
        """Return the next bytes; none at the end."""
        data: bytes = self._socket.recv(_RECEIVE_BYTES)
        return data

    def close(self) -> None:
        """Close it for whoever still reads it, too."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        # The library hangs the response on what it returns, where it can; it closes the rest.
        response = getattr(self._raw, "_response", None)
        (self._raw if response is None else response).close()


def frames(receive: Callable[[], bytes]) -> Iterator[tuple[int, bytes]]:
    """Take the engine's two streams apart: (1 for standard output or 2, data) in order.

    Each frame is one byte for the stream, three of nothing, four for the length (big-endian),
    and the data. A frame that the end cuts short is returned as far as it came. Source: Docker
    Engine API, "Attach to a container", stream format.
    """
    buffer = bytearray()
    while data := receive():
        buffer += data
        while len(buffer) >= 8:
            number, size = struct.unpack_from(">BxxxL", buffer)
            if len(buffer) < 8 + size:
                break
            yield number, bytes(buffer[8 : 8 + size])
            del buffer[: 8 + size]
    if len(buffer) > 8:
        yield buffer[0], bytes(buffer[8:])


def outcome(status: int, was_out_of_memory: bool, counters: Counters) -> Outcome:
    """Return how a container ended.

    Args:
        status: exit status of the container's first process: 128 and the signal's number where
            a signal ended the job.
        was_out_of_memory: the engine's word, true if any process was ended for memory; it also
            tells of those after the last reading of `counters`.
    """
    has_signal = 128 < status <= 128 + 64
    return Outcome(
        exit_code=None if has_signal else status,
        signal=status - 128 if has_signal else None,
        oom_kills=max(counters.oom_kills or 0, int(was_out_of_memory)),
        process_limit_hits=counters.process_limit_hits,
        memory_peak_bytes=counters.memory_peak_bytes,
    )


def memory_reading(memory_stats: dict[str, Any]) -> MemoryReading | None:
    """Return what the engine's statistics say, of cgroup version 1 or 2; None without any."""
    detail = memory_stats.get("stats") or {}
    if "total_rss" in detail:
        anonymous = detail["total_rss"] + detail.get("total_shmem", detail.get("shmem", 0))
    elif "anon" in detail:
        anonymous = detail["anon"] + detail.get("shmem", 0)
    else:
        return None
    return MemoryReading(anonymous_bytes=anonymous, total_bytes=memory_stats.get("usage"))


def remove(api: APIClient, container: str) -> None:
    """Remove a container, whatever it does, with the volumes that have no name."""
    try:
        api.remove_container(container, v=True, force=True)
    except NotFound:
        return
    except APIError as error:
        # 409: another runner's sweep is removing it at this moment.
        if error.status_code != HTTPStatus.CONFLICT:
            raise


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Tell of an engine that fails amid the work as a backend that does not answer."""
    try:
        yield
    except (APIError, RequestException) as error:
        msg = f"the container engine failed: {what}: {engine_words(error)}"
        raise BackendUnavailable(msg) from error


def engine_words(error: APIError | RequestException) -> str:
    """Return what an engine said on one line, without the request that it answered."""
    said = error.explanation if isinstance(error, APIError) else None
    return " ".join(str(said or cause(error)).split())


def cause(error: BaseException) -> str:
    """Return the system's words where it is behind an error: the rest names urllib3's pools."""
    pending: list[object] = [error]
    seen: list[object] = []
    while pending:
        found = pending.pop()
        if isinstance(found, OSError) and found.errno is not None:
            return found.strerror or str(found)
        if isinstance(found, BaseException) and found not in seen:
            seen.append(found)
            pending += [found.__cause__, found.__context__, *found.args]
    return str(error)
