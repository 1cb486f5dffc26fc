"""A search as people and programs read it: search.md, search.svg and search.json."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlpcompress.core.markdown import markdown_table
from nlpcompress.core.whole import write_whole
from nlpcompress.recipe.search.config import METRIC
from nlpcompress.recipe.search.plot import front_svg
from nlpcompress.recipe.search.record import ResultRecord, SearchRecord, TrialRecord

FILE, PAGE, PICTURE = "search.json", "search.md", "search.svg"
FORMAT_VERSION = 1


def write_record(out: Path, record: SearchRecord) -> None:
    """search.json, search.md and search.svg, each whole or not at all."""
    best = record.best
    values: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "best": best and best.number,
        "seconds": record.seconds,
        "kwh_estimate": record.kwh_estimate,
        "co2_grams_estimate": record.co2_grams_estimate,
        **record.to_json(),
    }
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
    yield _table(record)


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
    told = [
        f"{name} {result.costs[name]:.6g}" for name in record.budget.bounds if name in result.costs
    ]
    return f"holds the budget: {', '.join(told)}" if told else "is the result"


def _estimates(record: SearchRecord) -> str:
    if record.kwh_estimate is None:
        return ""
    energy = f", about {record.kwh_estimate:.3g} kWh"
    if record.co2_grams_estimate is None:
        return f"{energy} (an estimate)"
    return f"{energy} and {record.co2_grams_estimate:.3g} g of CO2 (estimates)"


def _said(record: SearchRecord, trial: TrialRecord) -> str:
    shown = [METRIC, *record.budget.bounds]
    return ", ".join(f"{name} {trial.costs[name]:.6g}" for name in shown)


def _table(record: SearchRecord) -> str:
    """A line a trial: its point, the metric, what is bounded, whether it holds."""
    knobs = list(dict.fromkeys(name for trial in record.trials for name in trial.point))
    costs, best = [METRIC, *record.budget.bounds], record.best
    lines = []
    for trial in record.trials:
        told = [_short(trial.point[knob]) if knob in trial.point else "" for knob in knobs]
        found = [_short(trial.costs[name]) if trial.costs else "" for name in costs]
        holds = ("yes" if trial.holds(record.budget) else "no") if trial.costs else trial.state
        mark = " (best)" if best and trial.number == best.number else ""
        seconds = "" if trial.seconds is None else f"{trial.seconds:.1f}"
        lines.append([f"{trial.number}{mark}", *told, *found, holds, seconds])
    return markdown_table(["trial", *knobs, *costs, "holds", "seconds"], lines)


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
