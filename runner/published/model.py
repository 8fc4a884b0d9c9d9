"""What the registry holds, as frozen types: documents, tables, facts, defects."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from runner.model import Scalar


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What holds for a cell or for many; whatever is None or empty is inherited.

    Attributes:
        better: which way is better, where a comparison makes sense.
        estimator: how the number was made from timings: mean, minimum, sum, maximum ...
        statistic: that estimator as stats/as_published.py names it; None for what is no time.
        iterations: what the estimator saw, in words; documents rarely give a plain count.
        steps: as a count, the first included, where the document gives one.
        images_counted: images that the original counts to an epoch, whatever it trained.
        software_stated: name to version, as the document says.
        software_found: name to version, or bounds, as found in the original's repository.
        image, workload, parameters: what to launch to reproduce it; image is a name under images/.
        stands_in_for: what the image replaces, where the version itself cannot be had.
        reference: name of the row or column that this one is a ratio to.
    """

    metric: str | None = None
    unit: str | None = None
    better: Literal["larger", "smaller"] | None = None
    estimator: str | None = None
    statistic: str | None = None
    hardware: str | None = None
    device: Literal["cpu", "cuda"] | None = None
    batch: int | None = None
    iterations: str | None = None
    steps: int | None = None
    images_counted: int | None = None
    software_stated: dict[str, str] = field(default_factory=dict)
    software_found: dict[str, str] = field(default_factory=dict)
    image: str | None = None
    stands_in_for: str | None = None
    workload: str | None = None
    parameters: dict[str, Scalar] = field(default_factory=dict)
    reference: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One file of one commit; `sha256` of its bytes where the whole document is digitised."""

    repository: str
    commit: str
    path: str
    date: str
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Override:
    """Facts of one cell, or of a column's cells in every row that has `row` among its labels."""

    row: str
    column: str
    facts: Facts


@dataclass(frozen=True, kw_only=True, slots=True)
class Checksum:
    """What a table must hold: cells with a number, cells without, and the SHA-256 of its text.

    The text is the header and the rows as printed, cells joined by tabs, lines by line feeds.
    """

    numbers: int
    absent: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedTable:
    """A table, a log or a list of settings, its cells exactly as printed.

    Attributes:
        kind: ``results``; ``log`` (epochs of an output listing); ``model``; ``settings`` (a
            table of the document); ``text`` (numbers of its prose, described in our words).
        name_columns: columns that name the row; blank means the same as above.
        subjects: whether the things compared are the rows or the columns.
        commented_out: the document holds it inside an HTML comment, so that no reader sees it.
    """

    id: str
    kind: Literal["results", "log", "model", "settings", "text"]
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    name_columns: tuple[str, ...]
    checksum: Checksum
    subjects: Literal["rows", "columns"] = "rows"
    commented_out: bool = False
    shared: Facts = Facts()
    labels: dict[str, Facts] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """Other numbers than the document's own: an older or newer commit, another card.

    Attributes:
        inherits: whether the document's facts hold here too. Versions of software never do.
    """

    id: str
    relation: Literal["older", "newer", "other"]
    what: str
    source: Source
    tables: tuple[PublishedTable, ...]
    inherits: bool = True
    shared: Facts = Facts()
    labels: dict[str, Facts] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Where a reader can see a defect; `commit` and `file` are absent where only text says it."""

    shows: str
    repository: str | None = None
    commit: str | None = None
    file: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Touch:
    """Cells of a table. A row goes by its name or by any label of it; empty means all.

    Attributes:
        revision: id of the revision that holds the table, or None for the document itself.
        recomputed: what the number should read, for slips of arithmetic; then one cell.
    """

    table: str
    revision: str | None = None
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    recomputed: str | None = None


# How a defect without a parameter comes back, or does not: what its `otherwise` begins with.
WAYS = (
    "by the estimator",
    "by the protocol",
    "by itself",
    "not brought back",
    "nothing to bring back",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Defect:
    """A known flaw of published numbers.

    Attributes:
        effect: which way the printed number is pushed: ``up``, ``down``, ``unknown``; ``none``
            where the number stands and only its label or its description is wrong.
        found_by: ``code`` (read in the benchmark), ``library`` (read in the library's source),
            ``history`` (of the repository), ``calculation`` or ``inference``.
        parameters: workload parameters that reproduce it; empty where none can.
        otherwise: without parameters one of WAYS, a semicolon, and how or why.
    """

    id: str
    kind: str
    what: str
    effect: Literal["up", "down", "unknown", "none"]
    found_by: tuple[Literal["code", "library", "history", "calculation", "inference"], ...]
    evidence: tuple[Evidence, ...]
    touches: tuple[Touch, ...]
    parameters: dict[str, Scalar] = field(default_factory=dict)
    otherwise: str | None = None

    @property
    def way(self) -> str:
        """Which of WAYS it comes back by, or not; empty for one with parameters."""
        return (self.otherwise or "").partition("; ")[0]

    @property
    def reason(self) -> str:
        """How it comes back without a parameter, or why not; empty for one with parameters."""
        return (self.otherwise or "").partition("; ")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A published comparison; `suite` is also the name of the suite that reproduces it."""

    suite: str
    file: str
    title: str
    source: Source
    protocol: str
    tables: tuple[PublishedTable, ...]
    shared: Facts = Facts()
    labels: dict[str, Facts] = field(default_factory=dict)
    not_found: tuple[str, ...] = ()
    revisions: tuple[Revision, ...] = ()
    defects: tuple[Defect, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedNumber:
    """One cell with all that is known of it.

    Attributes:
        revision: None for the document itself.
        printed: the cell as the document has it, emphasis and unit included.
        value: its digits as printed, or None where the document gives no number.
        unit: as printed in the cell, else as its column or row says.
        defects: ids of the defects that touch it.
    """

    suite: str
    revision: str | None
    table: str
    row: str
    column: str
    printed: str
    value: str | None
    unit: str | None
    emphasised: bool
    facts: Facts
    defects: tuple[str, ...]

    @property
    def number(self) -> Decimal | None:
        """The exact value; None where it is absent, or not a single number (a shape, a version)."""
        plain = (self.value or "").replace(",", "")
        return Decimal(plain) if re.fullmatch(r"\d+(\.\d+)?", plain) else None
