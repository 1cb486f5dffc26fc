"""A search as people and programs read it: search.md, search.svg and search.json."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlpcompress.core.markdown import markdown_table
from nlpcompress.core.whole import write_whole
from nlpcompress.recipe.search.plot import front_svg
from nlpcompress.recipe.search.record import CO2, KWH, ResultRecord, SearchRecord, TrialRecord
from nlpcompress.recipe.search.trial_table import trial_table

FILE, PAGE, PICTURE = "search.json", "search.md", "search.svg"
FORMAT_VERSION = 1


def write_record(out: Path, record: SearchRecord) -> None:
    """search.json, search.md and search.svg, each whole or not at all."""
    best = record.best
    values: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "best": best and best.number,
        "seconds": record.seconds,
        **record.estimates(record.seconds),
        **record.to_json(),
    }
    for trial in values["trials"]:
        trial.update(record.estimates(trial["seconds"]))
    picture = front_svg(record)
    if picture:
        write_whole(out / PICTURE, picture)
    write_whole(out / FILE, json.dumps(values, indent=1))
    write_whole(out / PAGE, "\n".join(_page(record, has_picture=picture is not None)) + "\n")


def _page(record: SearchRecord, *, has_picture: bool) -> Iterator[str]:
    best, judged = record.best, [trial for trial in record.trials if trial.costs]
    yield "# Search\n"
    if best:
        yield f"**Trial {best.number} is best: {_said(record, best)}.**\n"
    else:
        yield "**No trial holds the budget.**\n"
    for result in record.results:
        yield f"Made whole, trial {result.number} {_told(record, result)}.\n"
    counts = f"{len(record.trials)} trials, {len(judged)} of them judged"
    yield f"{counts}, in {record.seconds:.0f} s{_estimates(record)}."
    if has_picture:
        yield f"\n![what each trial costs and is worth]({PICTURE})"
    if record.importances:
        shares = [[knob, f"{share:.2f}"] for knob, share in record.importances.items()]
        yield "\n## What mattered\n"
        yield markdown_table(["knob", "share of the spread"], shares)
    yield "\n## Trials\n"
    yield trial_table(record)


def broken(record: SearchRecord, result: ResultRecord) -> str:
    """Each bound that a result breaks, by how much."""
    bounds = record.budget.bounds
    return ", ".join(
        f"{name} by {share:.1%} ({result.costs[name]:.6g}, bound {bounds[name]:g})"
        for name, share in result.breaks.items()
    )


def _told(record: SearchRecord, result: ResultRecord) -> str:
    if result.breaks:
        return f"breaks {broken(record, result)}"
    verdict = "holds the budget" if record.budget.bounds else "is the result"
    told = [f"{name} {result.costs[name]:.6g}" for name in record.counted if name in result.costs]
    return f"{verdict}: {', '.join(told)}" if told else verdict


def _estimates(record: SearchRecord) -> str:
    found = record.estimates(record.seconds)
    if not found:
        return ""
    energy = f", about {found[KWH]:.3g} kWh"
    if CO2 not in found:
        return f"{energy} (an estimate)"
    return f"{energy} and {found[CO2]:.3g} g of CO2 (estimates)"


def _said(record: SearchRecord, trial: TrialRecord) -> str:
    return ", ".join(f"{name} {trial.costs[name]:.6g}" for name in record.counted)
