"""What ends a command early: one class for each exit status that the README documents."""

from __future__ import annotations


class RunnerError(Exception):
    """A mistake or a lack that the user can mend; the message is all that he is shown."""

    exit_status = 2


class ConfigurationError(RunnerError):
    """Something that the user wrote cannot be used; every problem of the file at once."""

    exit_status = 2

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {line}" for line in problems)]))


class NothingSelected(RunnerError):
    """The selection left no cell to measure."""

    exit_status = 3


class BackendUnavailable(RunnerError):
    """The backend that was asked for does not answer on this machine."""

    exit_status = 4
