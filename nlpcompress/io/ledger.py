"""The rows of a report as a Markdown table."""

from collections.abc import Mapping, Sequence
from typing import Any

from nlpcompress.core.markdown import markdown_table
from nlpcompress.core.titles import macs_title

UNMEASURED = "not measured"
DENSE = "100.0%"
BITS = "bits, quantized"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line a row of the report, one column a quantity that any row has.

    Densities are left out where all of them are 100 %, bits where no row has any.

    >>> print(table([{"name": "teacher", "parameters": 1200}]).splitlines()[2])
    | teacher | 1,200 | not measured | not measured | not measured |
    """
    columns: dict[str, dict[int, str]] = {}
    if all(cell == DENSE for row in rows for _, cell in _densities(row)):
        rows = [{**row, "density": {}} for row in rows]
    macs = macs_title(row.get("pass_shape") for row in rows if row.get("macs") is not None)
    for line, row in enumerate(rows):
        for title, cell in _cells(row, macs):
            columns.setdefault(title, {})[line] = cell
    if not any(row.get("bits") for row in rows):
        columns.pop(BITS, None)
    lines = [
        [str(row.get("name")), *(column.get(line, UNMEASURED) for column in columns.values())]
        for line, row in enumerate(rows)
    ]
    return markdown_table(["model", *columns], lines)


def part_table(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Megabytes of the weights by part, a line a row that has them, like ones once; else None.

    >>> print(part_table([{"name": "teacher", "ledger": {"head": 3080}}]).splitlines()[2])
    | teacher | 0.003 |
    """
    ledgers = [row.get("ledger") for row in rows]
    told = [row for i, row in enumerate(rows) if ledgers[i] and ledgers[i] not in ledgers[:i]]
    parts = list(dict.fromkeys(p for row in told for p, size in row["ledger"].items() if size))
    lines = [
        [str(row.get("name")), *(f"{row['ledger'].get(part, 0) / 1e6:.3f}" for part in parts)]
        for row in told
    ]
    titles = ["model", *(f"{part}, MB" for part in parts)]
    return markdown_table(titles, lines) if told else None


def _cells(row: Mapping[str, Any], macs: str) -> list[tuple[str, str]]:
    """(column, text) of each quantity of a row, in the order of the columns."""
    cells = [(name, _number(value)) for name, value in (row.get("metrics") or {}).items()]
    cells.append(("parameters", _number(row.get("parameters"))))
    cells += _densities(row)
    cells.append((BITS, _bits(row.get("bits"))))
    cells.append(("weights, MB", _scaled(row.get("size_bytes"), 1e6)))
    cells.append(("ONNX file, MB", _scaled(row.get("onnx_size_bytes"), 1e6)))
    cells.append((macs, _scaled(row.get("macs"), 1e6)))
    latencies = row.get("latency_ms") or {}
    return cells + [(f"ms at {shape}", _timing(value)) for shape, value in latencies.items()]


def _densities(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    shares = (row.get("density") or {}).items()
    return [(f"density, {part}", f"{share:.1%}") for part, share in shares]


def _bits(bits: Mapping[str, Mapping[str, float]] | None) -> str:
    return f"{bits['all']['effective']:.2f}" if bits else "none"


def _number(value: float | None) -> str:
    if value is None:
        return UNMEASURED
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _scaled(value: float | None, unit: float) -> str:
    return UNMEASURED if value is None else f"{value / unit:,.2f}"


def _timing(value: Mapping[str, Any] | float | None) -> str:
    if isinstance(value, Mapping):
        low, high = _number(value.get("p5")), _number(value.get("p95"))
        return f"{_number(value.get('median'))} ({low} to {high})"
    return _number(value)
