"""A reproduction for machines: one JSON object with full digits."""

from __future__ import annotations

import json
from typing import Any

from runner.reproduce import Found, Reproduction
from runner.reproduce_text import ALL, Choice
from runner.stats.compare import Comparison


def as_json(made: Reproduction, choice: Choice = ALL) -> str:
    """Return one JSON object: what was held against what, every number, every table's order."""
    whole = {
        "suite": made.suite.name,
        "document": made.document.suite,
        "run": made.run.id,
        "margin": made.margin,
        "numbers": [
            _flat(each) for again in made.tables for each in again.found if choice.has(each.box)
        ],
        "ranks": [
            {
                "table": again.table.id,
                "protocol": again.protocol,
                "metric": ranks.metric,
                "numbers": ranks.numbers,
                "rows": ranks.found.rows,
                "tau": ranks.found.value,
                "low": ranks.found.low,
                "high": ranks.found.high,
                "method": ranks.found.method,
            }
            for again in made.tables
            for ranks in again.ranks
        ],
        "worths": [
            {
                "table": each.box.table.id,
                "row": each.box.number.row,
                "column": each.box.number.column,
                "defects": list(each.box.number.defects),
                "parameters": dict(each.box.switches),
                "work": _ratio(each.switches),
                "estimator": _ratio(each.estimator),
                "each": {name: _ratio(found) for name, found in each.each.items()},
            }
            for each in made.worths
            if choice.has(each.box)
        ],
    }
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


def _flat(found: Found) -> dict[str, Any]:
    number = found.box.number
    return {
        "table": number.table,
        "row": number.row,
        "column": number.column,
        "protocol": found.protocol,
        "metric": number.facts.metric,
        "unit": number.unit,
        "published": number.printed,
        "cell": None if found.cell is None else found.cell.label,
        "here": None if found.here is None else found.here.value,
        "low": None if found.here is None else found.here.low,
        "high": None if found.here is None else found.here.high,
        "launches": list(found.launches),
        "ratio_there": found.there,
        "ratio_here": _ratio(found.ratio),
        "verdict": str(found.outcome),
        "missing": found.missing,
        "reason": found.reason,
        "remark": found.box.remark,
    }


def _ratio(found: Comparison | None) -> dict[str, float | None] | None:
    if found is None:
        return None
    return {"ratio": found.ratio, "low": found.low, "high": found.high, "level": found.level}
