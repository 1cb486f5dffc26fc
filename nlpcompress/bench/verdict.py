"""The first line of a report: the fastest of its models that keeps the quality asked for."""

from collections.abc import Sequence

from nlpcompress.bench.cells import times
from nlpcompress.bench.rows import Bound, Report, Row
from nlpcompress.core.budget import keeps


def verdict(report: Report) -> str | None:
    """One sentence on the best of the report's `rows_after`, and whether the bound holds for it;
    None where nothing but the model before was timed.

    Times are compared at the last shape that all have.
    """
    first, ours = report.rows[0], rows_after(report)
    shape, best = timed_shape([first, *ours]), best_of(ours, report)
    if shape is None or best is None:
        return None
    before, after = (row.latency_ms[shape].median for row in (first, best))
    text = f"{_named(best)} is {times(before, after, 'faster', 'slower')} at {shape}"
    sizes = _sizes(first, best)
    text += f" and {times(*sizes, 'smaller', 'larger')}" if sizes else ""
    return f"{text} than {first.name}{_quality(report.bound, first, best)}."


def best_of(rows: Sequence[Row], report: Report) -> Row | None:
    """Of those within the report's bound the fastest, or, if none is, the fastest at all.

    None where there are no rows, or no shape at which they and the model before were timed.
    """
    first = report.rows[0]
    shape = timed_shape([first, *rows])
    if shape is None or not rows:
        return None
    within = [row for row in rows if _holds(report.bound, first, row)]
    return min(within or rows, key=lambda row: row.latency_ms[shape].median)


def best_by_runtime(report: Report) -> dict[str | None, Row]:
    """Of the report's `rows_after` the one that `best_of` takes of each runtime."""
    rows = rows_after(report)
    found = {
        runtime: best_of([row for row in rows if row.runtime == runtime], report)
        for runtime in dict.fromkeys(row.runtime for row in rows)
    }
    return {runtime: row for runtime, row in found.items() if row is not None}


def rows_after(report: Report) -> list[Row]:
    """All but the first and its own variants (`teacher-int8`)."""
    first, *others = report.rows
    model = first.name.removesuffix(f"-{first.runtime}")
    return [row for row in others if not row.name.startswith(f"{model}-")]


def timed_shape(rows: Sequence[Row]) -> str | None:
    """The last shape that all rows were timed at; None where there is none."""
    shapes = [s for s in rows[0].latency_ms if all(s in row.latency_ms for row in rows)]
    return shapes[-1] if shapes else None


def _named(row: Row) -> str:
    return f"{row.name} (onnx/{row.onnx_file})" if row.onnx_file else row.name


def _holds(bound: Bound | None, first: Row, row: Row) -> bool:
    drop = None if bound is None else bound.drop(first.metrics, row.metrics)
    if bound is None or drop is None or bound.max_drop is None:
        return True
    return keeps(bound.max_drop - drop)


def _sizes(first: Row, row: Row) -> tuple[int, int] | None:
    """Of the files that are run."""
    for before, after in (
        (first.onnx_size_bytes, row.onnx_size_bytes),
        (first.size_bytes, row.size_bytes),
    ):
        if before and after:
            return before, after
    return None


def _quality(bound: Bound | None, first: Row, row: Row) -> str:
    if bound is None or bound.drop(first.metrics, row.metrics) is None:
        return ""
    before, after = first.metrics[bound.metric], row.metrics[bound.metric]
    text = f"; {bound.metric} {after:.4f}, {before:.4f} before"
    if bound.max_drop is None:
        return text
    holds = _holds(bound, first, row)
    return f"{text}, {'within' if holds else 'beyond'} the {bound.max_drop:g} allowed"
