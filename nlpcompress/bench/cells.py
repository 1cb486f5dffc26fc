"""The numbers of a report as short texts, the same in Markdown and HTML."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from nlpcompress.bench.interval import interval
from nlpcompress.bench.latency import Timing
from nlpcompress.bench.rows import ALL, Bits, Report, Row
from nlpcompress.core.titles import macs_title

UNMEASURED = "not measured"
DENSE = "100.0%"
Interval = Callable[[float], tuple[float, float]]
SHARES = ("accuracy",)
"""Metrics that are the share of rows with a right answer."""


class Column(NamedTuple):
    """A title, and how a row's value is read, as a number or None, and written."""

    title: str
    value: Callable[[Row], Any]
    text: Callable[[Any], str]


def table(report: Report) -> tuple[list[str], list[list[str]]]:
    """Titles and lines of the main table. A quantity that no row has makes no column."""
    return _filled(_columns(report), report.rows)


def pass_table(report: Report) -> tuple[list[str], list[list[str]]]:
    """Titles and lines of what one pass takes by its traced graph, for the rows that have it."""
    return _filled(
        _of_a_pass(report.rows), [row for row in report.rows if row.bytes_moved is not None]
    )


def stage_table(report: Report) -> tuple[list[str], list[list[str]]]:
    """Titles and lines of the stages, one column a key that any stage has."""
    keys = list(dict.fromkeys(key for stage in report.stages for key in stage))
    return keys, [[plain(stage.get(key)) for key in keys] for stage in report.stages]


def ledger_table(report: Report) -> tuple[list[str], list[list[str]]]:
    """Titles and lines of the weights by part, for the rows that have them; like ones once."""
    rows = first_of_each(report.rows, lambda row: row.ledger)
    parts = list(dict.fromkeys(p for row in rows for p, size in row.ledger.items() if size))
    lines = [
        [row.name, *map(_kilobytes, (*map(row.ledger.get, parts), sum(row.ledger.values())))]
        for row in rows
    ]
    return ["model", *parts, "total"], lines


def first_of_each(rows: Sequence[Row], value: Callable[[Row], Any]) -> list[Row]:
    """The rows with a value that is not empty and no earlier row has."""
    values = [value(row) for row in rows]
    return [row for i, row in enumerate(rows) if values[i] and values[i] not in values[:i]]


def plain(value: Any) -> str:
    """Any JSON value as a cell."""
    if value is None:
        return UNMEASURED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value)) or "none"
    return str(value)


def value_and_spread(cell: str) -> tuple[str, str]:
    """A number with something in brackets, and else the cell and nothing.

    >>> value_and_spread("25.00 (24.00 to 27.00)")
    ('25.00', '24.00 to 27.00')
    >>> value_and_spread("fine_tune (2 epochs)")
    ('fine_tune (2 epochs)', '')
    """
    found = re.fullmatch(r"([-\d.,]+) \((.+)\)", cell)
    return (found[1], found[2]) if found else (cell, "")


def interval_of(metric: str, samples: int | None) -> Interval | None:
    """Value → the ends of its 95 % interval; None for metrics that are no share of the rows."""
    return partial(interval, samples=samples) if metric in SHARES and samples else None


def metric_names(rows: Sequence[Row]) -> list[str]:
    """All metrics that any row has, in order of appearance."""
    return list(dict.fromkeys(name for row in rows for name in row.metrics))


def shape_names(rows: Sequence[Row]) -> list[str]:
    """All input shapes that any row was timed at, in order of appearance."""
    return list(dict.fromkeys(shape for row in rows for shape in row.latency_ms))


def density_parts(rows: Sequence[Row]) -> list[str]:
    """All parts that a density was counted over; none where every density shows as whole."""
    shares = [(part, share) for row in rows for part, share in row.density.items()]
    thinned = any(_percent(share) != DENSE for _, share in shares)
    return list(dict.fromkeys(part for part, _ in shares)) if thinned else []


def _columns(report: Report) -> Iterator[Column]:
    rows = report.rows
    for name in metric_names(rows):
        text = partial(_metric, interval_of(name, report.samples))
        yield Column(name, _under(name, "metrics"), text)
    yield Column("parameters", lambda row: row.parameters, "{:,}".format)
    for part in density_parts(rows):
        yield Column(f"density, {part}", _under(part, "density"), _percent)
    if any(row.bits for row in rows):
        yield Column("bits, quantized", lambda row: row.bits, _bits)
    yield Column("weights, MB", lambda row: row.size_bytes, _megabytes)
    yield Column("ONNX file, MB", lambda row: row.onnx_size_bytes, _megabytes)
    yield _macs(rows)
    for shape in shape_names(rows):
        yield Column(f"ms at {shape}", _under(shape, "latency_ms"), _timing)


def _of_a_pass(rows: Sequence[Row]) -> Iterator[Column]:
    yield _macs(rows)
    yield Column("peak activations, millions", lambda row: row.peak_activations, _millions)
    yield Column("MB moved", lambda row: row.bytes_moved, _megabytes)
    yield Column("energy, mJ (estimate)", lambda row: row.energy_mj_estimate, "{:.3g}".format)


def _under(key: str, field: str) -> Callable[[Row], Any]:
    """Reads one value of a field that has several."""
    return lambda row: getattr(row, field).get(key)


def _macs(rows: Sequence[Row]) -> Column:
    title = macs_title(row.pass_shape for row in rows if row.macs is not None)
    return Column(title, lambda row: row.macs, _millions)


def _filled(columns: Iterable[Column], rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Of the columns, those that any row has a value for."""
    shown = [c for c in columns if any(c.value(row) is not None for row in rows)]
    lines = [[row.name, *(_cell(column, column.value(row)) for column in shown)] for row in rows]
    return ["model", *(column.title for column in shown)], lines


def _cell(column: Column, value: Any) -> str:
    return UNMEASURED if value is None else column.text(value)


def _metric(ends_of: Interval | None, value: float) -> str:
    text = f"{value:.4f}"
    return text if ends_of is None else "{} ({:.4f} to {:.4f})".format(text, *ends_of(value))


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _bits(bits: Mapping[str, Bits]) -> str:
    return f"{bits[ALL].effective:.2f}" if bits else "none"


def _kilobytes(size: int | None) -> str:
    return UNMEASURED if size is None else f"{size / 1e3:,.1f}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.2f}"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.2f}"


def _timing(timing: Timing) -> str:
    return f"{timing.median:.2f} ({timing.p5:.2f} to {timing.p95:.2f})"


def times(before: float, after: float, less: str, more: str) -> str:
    """`2.00 times smaller`, or `2.00 times larger` where it got twice as much."""
    if after <= before:
        return f"{before / after:.2f} times {less}"
    return f"{after / before:.2f} times {more}"
