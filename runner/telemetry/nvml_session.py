"""What was asked of NVML and what it answered, kept as JSON lines and played back without a GPU.

A line is a function's name, its arguments, and its result or the number of its error. A handle
is written ``{"handle": N}``, a structure ``{"fields": {...}}``, so that what comes back is used
just as what came from ``pynvml``.
"""

from __future__ import annotations

import ctypes
import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from runner.telemetry.nvml import Library, binding


class Recorder:
    """Stands before ``pynvml`` and keeps every call; ``NVMLError`` and constants pass through."""

    def __init__(self, library: Library) -> None:
        """Take the library to ask."""
        self._library = library
        self._handles: list[object] = []
        self.lines: list[str] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - ctypes' own results
        """Return the function, with a pen."""
        asked = getattr(self._library, name)
        if not name.startswith("nvml") or not callable(asked):
            return asked

        def call(*arguments: object) -> object:
            line: dict[str, object] = {
                "function": name,
                "arguments": [self._plain(argument) for argument in arguments],
            }
            try:
                result: object = asked(*arguments)
            except self._library.NVMLError as error:
                self.lines.append(json.dumps(line | {"error": error.value}))
                raise
            self.lines.append(json.dumps(line | {"result": self._plain(result)}))
            return result

        return call

    def _plain(self, value: object) -> object:
        if isinstance(value, bytes):
            return value.decode()
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, list | tuple):
            return [self._plain(item) for item in value]
        names = [field[0] for field in getattr(value, "_fields_", ())]
        if isinstance(value, ctypes.Structure) and names:
            return {"fields": {name: self._plain(getattr(value, name)) for name in names}}
        if hasattr(value, "__dict__") and vars(value):  # the binding's own copies of structures
            return {"fields": {name: self._plain(item) for name, item in vars(value).items()}}
        return {"handle": self._number(value)}

    def _number(self, handle: object) -> int:
        """Return a handle's number; the binding gives a new pointer to it at each call."""
        address = ctypes.cast(handle, ctypes.c_void_p).value  # type: ignore[arg-type]
        if address not in self._handles:
            self._handles.append(address)
        return self._handles.index(address)

    def save(self, path: Path) -> None:
        """Write what was asked so far, a call a line."""
        path.write_text("".join(f"{line}\n" for line in self.lines), encoding="utf-8")


class Session:
    """Plays a recorded session: the same question gets the recorded answers in their order.

    The last answer to a question is given again and again; what was never asked is not supported.
    """

    def __init__(self, path: Path) -> None:
        """Read a file that a recorder saved."""
        self.NVMLError = binding().NVMLError
        self._answers: dict[str, deque[dict[str, Any]]] = {}
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            question = json.dumps([line["function"], line["arguments"]])
            self._answers.setdefault(question, deque()).append(line)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a function that answers from the file."""

        def call(*arguments: object) -> object:
            question = json.dumps([name, [_asked(argument) for argument in arguments]])
            answers = self._answers.get(question)
            if not answers:
                raise self.NVMLError(binding().NVML_ERROR_NOT_SUPPORTED)
            line = answers.popleft() if len(answers) > 1 else answers[0]
            if "error" in line:
                raise self.NVMLError(line["error"])
            return _object(line["result"])

        return call


def _asked(argument: object) -> object:
    return {"handle": argument.handle} if isinstance(argument, SimpleNamespace) else argument


def _object(value: Any) -> Any:  # noqa: ANN401 - plain JSON
    if isinstance(value, list):
        return [_object(item) for item in value]
    if isinstance(value, dict):
        if "fields" in value:
            return SimpleNamespace(
                **{name: _object(item) for name, item in value["fields"].items()}
            )
        return SimpleNamespace(**value)
    return value
