"""The site of documents is built as its readers get it, and every link of it is followed."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import jsonschema
import msgspec
import pytest

from runner import cli, report_commands, store
from runner.model import Status
from runner.report import pictures
from runner.report.source import source as report_source
from runner.workloads import WORKLOADS
from tests.makers import make_record, make_run

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def reference() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")  # as MkDocs does for a hook
        yield importlib.import_module("reference")


@pytest.fixture(scope="module")
def files(reference: ModuleType) -> ModuleType:
    found: ModuleType = reference.reference_files
    return found


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


def test_every_key_of_the_files_is_in_their_page(files: ModuleType) -> None:
    sections = re.split(r"^#+ (.+)$", files.files_page(), flags=re.MULTILINE)
    under = dict(zip(sections[1::2], sections[2::2], strict=True))

    for name in ("matrix", "image"):
        whole = files.schema(name)
        jsonschema.Draft202012Validator.check_schema(whole)
        parts = {f"{name}.yaml": whole}
        for part, inner in whole.get("$defs", {}).items():
            if "properties" in inner:
                parts[f"{name}.yaml: {part}"] = inner
        for heading, part in parts.items():
            for key, one in part["properties"].items():
                must = " (required)" if key in part.get("required", ()) else ""
                line = next(x for x in under[heading].splitlines() if x.startswith(f"| `{key}`"))
                assert line.startswith(f"| `{key}`{must} |")
                assert one.get("description", "").replace("<", "&lt;") in line
    assert "| `build.timeout_s` | number, above 0 |" in under["matrix.yaml"]
    assert "| `suites` (required) | name to `suite`, below |" in under["matrix.yaml"]


def test_every_workload_and_parameter_is_in_their_page(files: ModuleType) -> None:
    page = files.workloads_page()

    for work in WORKLOADS.values():
        (line,) = (line for line in page.splitlines() if line.startswith(f"| `{work.name}` |"))
        assert f"{work.parameter_count:,}" in line
        for one in work.parameters:
            (about,) = (line for line in page.splitlines() if line.startswith(f"| `{one.name}` |"))
            default = str(one.default).lower() if isinstance(one.default, bool) else one.default
            assert f"`{one.name}={default}`" in line or f"| `{default}` |" in about
            assert ("`as-published` only" in about) == (one.kind == "switch")


def test_the_picture_of_the_documents_is_drawn_from_its_run() -> None:
    """`runner plot results/reference/decade-docker --kind decade -o docs/decade.svg` makes it."""
    folder = ROOT / "results" / "reference" / "decade-docker"
    run, records = store.load_run(folder), store.load_records(folder)
    source = report_source(run, records, report_commands.releases(ROOT))
    drawn = pictures.draw(pictures.lite_specification(source, "decade"), "svg")

    kept = (ROOT / "docs" / "decade.svg").read_bytes()
    # What a screen reader is told names defects too, which are told of at any time.
    told = re.compile(rb' aria-label="[^"]*"')
    assert told.sub(b"", kept) == told.sub(b"", drawn)
