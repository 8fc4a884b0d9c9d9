"""The arrows of the architecture, held against every import of the package."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "runner"

# A room may import the rooms on lines below its own, never one on its own line or above.
LINES = (
    ("cli",),
    ("image_commands", "published_commands", "report_commands", "trust_commands"),
    ("reproduce_json", "reproduce_summary"),
    ("reproduce_text",),
    ("launching",),
    ("acceptance",),
    ("view", "conform", "doctor", "selftest"),
    ("session",),
    ("abreast", "request"),
    ("execute", "report", "images"),
    ("watching", "reproduce"),
    ("backends", "store", "published"),
    ("plan", "verdict", "stopping", "compare", "scaling", "agreement", "gpus", "preflight"),
    ("cells", "checks"),
    ("contract", "telemetry", "stats", "config", "cifar10"),
    ("matrix_rules",),
    ("documents", "pins", "workloads"),
    ("parameters",),
    ("model", "errors"),
)
# Rooms that must not know of each other, whatever their lines.
APART = ("backends", "telemetry", "store", "report")
LEVEL = {room: number for number, line in enumerate(LINES) for room in line}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("runner."))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_one_way(path: Path) -> None:
    room = room_of(path)
    assert room in LEVEL, f"{room} has no place in the architecture"
    wrong = {
        other
        for other in imported_rooms(path)
        if other != room and (LEVEL[other] <= LEVEL[room] or (room in APART and other in APART))
    }
    assert not wrong, f"{room} must not import {', '.join(sorted(wrong))}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    if path.name == "cli.py":
        return
    calls = [
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    ]
    called = {ast.unparse(function) for function in calls}
    assert not called & {"print", "exit", "quit", "sys.exit", "os._exit", "sys.stdout.write"}


def test_the_model_needs_the_standard_library_only() -> None:
    for name in ("model.py", "errors.py"):
        tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.module is not None
                assert node.module.split(".")[0] in sys.stdlib_module_names
            elif isinstance(node, ast.Import):
                assert all(
                    alias.name.split(".")[0] in sys.stdlib_module_names for alias in node.names
                )


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from runner.cli import parser\n"
        "parser()\n"
        "heavy = {'pandas', 'numpy', 'scipy', 'docker', 'rich', 'jsonschema', 'yaml', 'pynvml'}\n"
        "print(*sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []


def test_reading_results_needs_no_engine() -> None:
    program = (
        "import sys\n"
        "import runner.session, runner.report.table, runner.report.formats, runner.store\n"
        "print(*sorted({'docker', 'pynvml', 'pandas', 'jsonschema'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []
