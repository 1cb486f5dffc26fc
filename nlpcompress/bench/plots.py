"""A report as bars: quality, size on disk, latency; one bar a row."""

import io
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from nlpcompress.bench.cells import metric_names, shape_names
from nlpcompress.bench.latency import Timing
from nlpcompress.bench.rows import Report, Row

COLOURS = ("#8a8f98", "#b9bdc4", "#1f6feb", "#7fb0ff", "#2da44e", "#8bd3a0")
SIZE = (4.2, 3.2)


class Bar(NamedTuple):
    """A row's name and value; `spread` is how far the 5th and the 95th percentile lie from it."""

    name: str
    value: float
    spread: tuple[float, float] = (0.0, 0.0)


def draw(report: Report) -> dict[str, Figure]:
    """Title → figure: one for each metric, one for the file size, one for each timed shape."""
    rows = report.rows
    groups = {name: _metric_bars(rows, name) for name in metric_names(rows)}
    groups["ONNX file, MB"] = _size_bars(rows)
    groups |= {f"ms at {shape}": _time_bars(rows, shape) for shape in shape_names(rows)}
    return {title: _figure(bars, title) for title, bars in groups.items() if bars}


def to_svg(figure: Figure) -> str:
    """The figure as one `<svg>` element, to stand inside a page."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _metric_bars(rows: Sequence[Row], metric: str) -> list[Bar]:
    return [Bar(row.name, row.metrics[metric]) for row in rows if metric in row.metrics]


def _size_bars(rows: Sequence[Row]) -> list[Bar]:
    return [Bar(r.name, r.onnx_size_bytes / 1e6) for r in rows if r.onnx_size_bytes is not None]


def _time_bars(rows: Sequence[Row], shape: str) -> list[Bar]:
    return [_time_bar(row.name, row.latency_ms[shape]) for row in rows if shape in row.latency_ms]


def _time_bar(name: str, time: Timing) -> Bar:
    return Bar(name, time.median, (time.median - time.p5, time.p95 - time.median))


def _figure(bars: Sequence[Bar], title: str) -> Figure:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11)
    _bars(axes, bars)
    return figure


def _bars(axes: Axes, bars: Sequence[Bar]) -> None:
    places = range(len(bars))
    values = [bar.value for bar in bars]
    axes.bar(places, values, color=[COLOURS[place % len(COLOURS)] for place in places])
    if any(bar.spread != (0.0, 0.0) for bar in bars):
        below, above = zip(*(bar.spread for bar in bars), strict=True)
        axes.errorbar(places, values, (below, above), fmt="none", capsize=3, ecolor="#555555")
    for place, value in zip(places, values, strict=True):
        axes.annotate(f"{value:.4g}", (place, value / 2), ha="center", va="center", fontsize=9)
    axes.set_xticks(places, [bar.name for bar in bars], rotation=20, ha="right", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
