"""Numbers that others published, digit for digit, with how they were made and what is wrong.

results/published/<suite>/ holds one document in three files: document.yaml (its tables in the
document's own order), revisions.yaml (the same numbers at other commits, on other cards) and
defects.yaml. Layout and rules: results/published/README.md; form: schemas/published.schema.json.

Everything here is pure but `load`.
"""

from runner.published.asking import (
    all_numbers,
    find,
    find_table,
    numbers,
    row_labels,
    row_names,
    touched,
    unknown,
)
from runner.published.defects import defects_page
from runner.published.loading import SCHEMA, load, load_document
from runner.published.model import (
    Checksum,
    Defect,
    Document,
    Evidence,
    Facts,
    Override,
    PublishedNumber,
    PublishedTable,
    Revision,
    Source,
    Touch,
)
from runner.published.pages import list_page, suite_page

__all__ = [
    "SCHEMA",
    "Checksum",
    "Defect",
    "Document",
    "Evidence",
    "Facts",
    "Override",
    "PublishedNumber",
    "PublishedTable",
    "Revision",
    "Source",
    "Touch",
    "all_numbers",
    "defects_page",
    "find",
    "find_table",
    "list_page",
    "load",
    "load_document",
    "numbers",
    "row_labels",
    "row_names",
    "suite_page",
    "touched",
    "unknown",
]
