"""Which colour each model of a report has in its pictures."""

from nlpcompress.bench.rows import Report
from nlpcompress.bench.style import COLOURS
from nlpcompress.bench.verdict import best_of, rows_after


def colours_of(report: Report) -> list[str]:
    """Row by row: grey the model before in all its files, and the best of the result its own."""
    after = rows_after(report)
    best, names = best_of(after, report), {row.name for row in after}
    return [
        COLOURS[2] if row is best else COLOURS[1] if row.name in names else COLOURS[0]
        for row in report.rows
    ]
