"""The site of documents is built as its readers get it, and every link of it is followed."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import jsonschema
import msgspec
import pytest

from runner import cli, report_commands
from runner.model import Status
from tests.makers import make_record, make_run

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    found = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert found is not None
    assert found.loader is not None
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    pages = [path for path in site.rglob("*.html") if path.name != "404.html"]
    assert len(pages) >= 10
    for path in pages:
        text = path.read_text(encoding="utf-8")
        for link in re.findall(r'<a[^>]+href="([^"]+)"', text):
            if re.match(r"https?:|mailto:", link):
                continue
            target, _, anchor = unquote(link).partition("#")
            goal = (path.parent / target).resolve() if target else path
            assert goal.exists(), f"{path.name}: {link}"
            if anchor and goal.suffix == ".html":
                assert f'id="{anchor}"' in goal.read_text(encoding="utf-8"), f"{path.name}: {link}"


def test_the_site_brings_its_own_scripts_and_styles(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', text)
        assert loaded == [], path.name


def test_every_command_and_option_is_in_the_reference(reference: ModuleType) -> None:
    page = reference.cli_page()

    for name, command in reference._commands(cli.parser(), "runner"):
        assert f"## {name}\n" in page
        for action in command._actions:
            for option in action.option_strings:
                assert option in ("-h", "--help") or f"`{option}`" in page
    for form in report_commands.FORMATS:
        assert form in page


def test_records_are_what_the_published_schema_says(reference: ModuleType) -> None:
    schemas = {name: json.loads(text) for name, text in reference.schemas().items()}

    for name, value in (("record", make_record()), ("run", make_run())):
        stored = json.loads(msgspec.json.encode(value))
        jsonschema.validate(stored, schemas[name])
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**stored, "started_at": 7}, schemas[name])


def test_the_schemas_page_has_every_status_and_field(reference: ModuleType) -> None:
    page = reference.schema_page()

    for status in Status:
        assert f"| `{status}` |" in page
    for kind in reference._kinds(type(make_record()), type(make_run())):
        assert f"## {kind.__name__}\n" in page
    assert "seconds of the very first step" in page


def test_every_form_is_documented() -> None:
    text = (ROOT / "docs" / "exports.md").read_text(encoding="utf-8")

    for form in set(report_commands.FORMATS) - {"table"}:
        assert f"`{form}`" in text
