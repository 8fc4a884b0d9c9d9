"""What is known of releases: as a table, in the decade plot, and on a cell's page."""

from __future__ import annotations

from dataclasses import replace

from runner.model import KnownDefect
from runner.report import plot_speeds, releases
from runner.report.source import releases_of, source
from tests.makers import make_cell, make_image, make_record, make_run

DEFECT = KnownDefect(what="threads a|b", link="https://github.com/pytorch/pytorch/issues/16358")
OLD = replace(make_image("torch-1.0"), known_defects=(DEFECT,), python_versions=">=3.5,<3.8")
NEW = replace(
    make_image("torch-2.0"),
    released="2023-03-15",
    devices=("cuda",),
    cuda="11.7",
    cudnn="8.5",
    gpu_architectures=("sm_80", "sm_90"),
)


def test_a_table_has_a_row_a_release_oldest_first() -> None:
    julia = replace(make_image("flux-0.6"), language="julia", language_version="1.0")

    _, _, first, second, third = releases.markdown([NEW, OLD, julia]).splitlines()

    assert first == "| flux-0.6 | 2018-12-07 | julia 1.0 | - | cpu | - | - | - | - |"
    assert second == (
        "| torch-1.0 | 2018-12-07 | 3.6 | >=3.5,<3.8 | cpu | - | - | - | threads a\\|b "
        "([pytorch/pytorch#16358](https://github.com/pytorch/pytorch/issues/16358)) |"
    )
    assert third == "| torch-2.0 | 2023-03-15 | 3.6 | - | cuda | 11.7 | 8.5 | sm_80, sm_90 | - |"


def test_a_link_that_is_no_thread_is_shown_whole() -> None:
    assert releases.link(replace(DEFECT, link="https://example.org/x")) == "<https://example.org/x>"


def test_the_decade_plot_names_the_defects_of_each_release() -> None:
    cells = (make_cell("torch-1.0"), make_cell("torch-2.0"))
    records = [make_record(cell, launch) for cell in cells for launch in range(3)]
    images = releases_of({image.name: image for image in (OLD, NEW)})

    [panel] = plot_speeds.decade(source(make_run(cells), records, images))

    told = {row["image"]: row["defects"] for row in panel.rows}
    assert told == {"torch-1.0": f"threads a|b: {DEFECT.link}", "torch-2.0": "none"}
