"""Numbers of a table here -> each one's ratio, outcome, and the order of the whole. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from runner.model import Run
from runner.reproduce.model import Found, Outcome, Ranks
from runner.reproduce.values import Values
from runner.stats.agreement import rank_correlation
from runner.stats.compare import Verdict, compare_all, judge


def judged(found: Sequence[Found], run: Run, margin: float) -> tuple[Found, ...]:
    """Give each number of a table its ratio to the reference, there and here, and an outcome."""
    references = [_reference(each, found) for each in found]
    pairs: dict[int, tuple[list[list[float]], list[list[float]]]] = {}
    for index, (each, base) in enumerate(zip(found, references, strict=True)):
        if base is not None and base is not each and base.launches and each.launches:
            pairs[index] = (apart(base.launches), apart(each.launches))
    compared = dict(zip(pairs, compare_all(list(pairs.values()), margin=margin), strict=True))
    return tuple(
        _outcome(
            replace(each, ratio=compared.get(index), there=_ratio_there(each, base)),
            base,
            run,
            margin,
        )
        for index, (each, base) in enumerate(zip(found, references, strict=True))
    )


def apart(launches: Values) -> list[list[float]]:
    """Return launches of one value each, as ``compare_all`` takes them."""
    return [[value] for value in launches]


def _reference(each: Found, found: Sequence[Found]) -> Found | None:
    """Return what a number is a ratio to: the document's own reference, or, where that has no
    value here, the first of its companions that has.
    """
    companions = [other for other in found if _axis(other) == _axis(each)]
    own = [other for other in companions if other.box.place == each.box.reference]
    able = [other for other in companions if other.launches and other.box.number.number is not None]
    return next((other for other in (*own, *able) if other in able), own[0] if own else None)


def _axis(each: Found) -> tuple[str, str | None]:
    """What a number and the one that it is a ratio to have in common."""
    number = each.box.number
    common = number.column if each.box.table.subjects == "rows" else number.row
    return common, number.facts.reference


def _ratio_there(each: Found, base: Found | None) -> float | None:
    own = each.box.number.number
    other = None if base is None else base.box.number.number
    return None if own is None or not other else float(own / other)


def _outcome(each: Found, base: Found | None, run: Run, margin: float) -> Found:
    if each.here is None or each.box.number.number is None:
        return each
    if _is_absolute(each, run, margin):
        return replace(each, outcome=Outcome.ABSOLUTE)
    if base is None or each.there is None:
        return replace(each, reason="the document has no reference for it")
    if base.box is each.box:
        return replace(each, outcome=Outcome.REFERENCE, reason=_of_reference(each))
    if each.ratio is None:
        return replace(each, reason=f"its reference has no value here: {base.reason}")
    low, high = each.ratio.low, each.ratio.high
    if low is None or high is None:
        return replace(each, reason="one launch has no interval")
    verdict = judge(low / each.there, high / each.there, margin)
    if verdict is Verdict.SAME:
        return replace(each, outcome=Outcome.SHAPE)
    if low / each.there <= 1 + margin and high / each.there >= 1 / (1 + margin):
        undecided = "undecided by these launches: the interval reaches the margin"
        return replace(each, outcome=Outcome.AMBIGUOUS, reason=undecided)
    return replace(each, outcome=Outcome.DIFFERS)


def _of_reference(each: Found) -> str:
    name = each.box.number.facts.reference
    is_own = each.box.place == each.box.reference
    instead = "" if is_own else f", in place of {name}, which has no value here"
    return f"the others are ratios to it{instead}"


def _is_absolute(each: Found, run: Run, margin: float) -> bool:
    """On like hardware, at the document's batch: the interval lies within the margin."""
    printed, here, facts = each.box.number.number, each.here, each.box.number.facts
    if each.box.remark or printed is None or here is None or here.low is None or here.high is None:
        return False
    low, high = here.low / float(printed), here.high / float(printed)
    like = is_like(facts.hardware or "", run, facts.device or "")
    return like and judge(low, high, margin) is Verdict.SAME


def is_like(hardware: str, run: Run, device: str) -> bool:
    """Tell whether a run's machine is the published one, by the designation of its processor.

    A designation is a word with three digits in a row: 8700, 4114, V100. A machine without one
    is like none.
    """
    gpus = run.host.get("gpus")
    first = gpus[0] if isinstance(gpus, list | tuple) and gpus else {}
    name = first.get("name", "") if isinstance(first, Mapping) else ""
    said = name if device == "cuda" else str(run.host.get("cpu_model") or "")
    words = re.findall(r"[A-Za-z0-9]+", said)
    own = next((word.lower() for word in words if re.search(r"\d{3}", word)), None)
    published = re.sub(r"[^a-z0-9]", "", hardware.lower())
    return own is not None and own in published


def ranks(found: Sequence[Found]) -> tuple[Ranks, ...]:
    """Correlate the order of all numbers of a metric, published against measured."""
    by_metric: dict[str, list[Found]] = {}
    for each in found:
        by_metric.setdefault(each.box.number.facts.metric or "", []).append(each)
    made = []
    for metric, own in by_metric.items():
        both = [
            (float(each.box.number.number), apart(each.launches))
            for each in own
            if each.launches and each.box.number.number is not None
        ]
        printed = sum(each.box.number.number is not None for each in own)
        correlation = rank_correlation([there for there, _ in both], [here for _, here in both])
        made.append(Ranks(metric=metric, numbers=printed, found=correlation))
    return tuple(made)
