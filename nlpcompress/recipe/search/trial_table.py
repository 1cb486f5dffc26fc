"""The trials of a search as a table."""

from collections.abc import Iterator

from nlpcompress.core.markdown import markdown_table
from nlpcompress.recipe.search.record import CO2, KWH, SearchRecord, TrialRecord

ESTIMATES = {KWH: "kWh (estimate)", CO2: "g of CO2 (estimate)"}


def trial_table(record: SearchRecord) -> str:
    """A line a trial: its point, what counts, whether it holds, what it took."""
    knobs = list(dict.fromkeys(name for trial in record.trials for name in trial.point))
    took = ["seconds", *(ESTIMATES[name] for name in record.estimates(0.0))]
    lines = [
        [
            _title(record, trial),
            *(_short(trial.point.get(knob, "")) for knob in knobs),
            *(_short(trial.costs.get(cost, "")) for cost in record.counted),
            _verdict(record, trial),
            *_took(record, trial, len(took)),
        ]
        for trial in record.trials
    ]
    return markdown_table(["trial", *knobs, *record.counted, "holds", *took], lines)


def _title(record: SearchRecord, trial: TrialRecord) -> str:
    best = record.best
    return f"{trial.number}{' (best)' if best and trial.number == best.number else ''}"


def _verdict(record: SearchRecord, trial: TrialRecord) -> str:
    if not trial.costs:
        return trial.state
    return "yes" if trial.holds(record.budget) else "no"


def _took(record: SearchRecord, trial: TrialRecord, columns: int) -> Iterator[str]:
    if trial.seconds is None:
        yield from [""] * columns
        return
    yield f"{trial.seconds:.1f}"
    yield from (f"{value:.3g}" for value in record.estimates(trial.seconds).values())


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
