"""A report's models against the first, a sentence each."""

from nlpcompress.bench.cells import density_parts, shape_names, times
from nlpcompress.bench.rows import Report, Row
from nlpcompress.bench.verdict import best_by_runtime

MANY = 5
"""Models beyond which the best one of each runtime is enough; the table has them all."""


def headlines(report: Report) -> list[str]:
    """How models compare with the first: all others, or of many the best of each runtime."""
    first, *others = report.rows
    told = others if len(others) <= MANY else list(best_by_runtime(report).values())
    return [f"{row.name}: {', '.join(parts)}" for row in told if (parts := _comparison(first, row))]


def _comparison(first: Row, row: Row) -> list[str]:
    parts = []
    for what, before, after in (
        ("parameters", first.parameters, row.parameters),
        ("weights", *_packed_sizes(first, row)),
        ("ONNX file", first.onnx_size_bytes, row.onnx_size_bytes),
    ):
        if before and after and before != after:
            parts.append(f"{what} {times(before, after, 'smaller', 'larger')}")
    for shape in shape_names([first]):
        if shape in row.latency_ms:
            slow, fast = (one.latency_ms[shape].median for one in (first, row))
            parts.append(f"{times(slow, fast, 'faster', 'slower')} at {shape}")
    for name in first.metrics:
        if name in row.metrics:
            parts.append(f"{name} {row.metrics[name]:.4f} ({first.metrics[name]:.4f} before)")
    return parts


def _packed_sizes(first: Row, row: Row) -> tuple[int | None, int | None]:
    """Both sizes where zeros are counted or bits: elsewhere the parameters tell as much."""
    told = density_parts([first, row]) or first.bits or row.bits
    return (first.size_bytes, row.size_bytes) if told else (None, None)
