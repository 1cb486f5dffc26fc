"""The pictures of a report: size, time and quality, a bar a model, and others beside them."""

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from nlpcompress.bench.cells import (
    UNMEASURED,
    Interval,
    first_of_each,
    interval_of,
    metric_names,
    shape_names,
)
from nlpcompress.bench.colours import colours_of
from nlpcompress.bench.front_plot import front_figure
from nlpcompress.bench.latency import Timing
from nlpcompress.bench.layer_plot import layers_figure
from nlpcompress.bench.rows import Report, Row
from nlpcompress.bench.style import FAINT, INK, STYLE, WIDTH

COLUMNS = 2
Draw = Callable[[Axes, Sequence["Bar"], Sequence[str]], None]


class Bar(NamedTuple):
    """A row's value (None: not measured), and the 5th and 95th percentile of a time, or the ends of
    a metric's interval.
    """

    value: float | None
    spread: tuple[float, float] | None = None


def draw(report: Report) -> dict[str, Figure]:
    """Title → figure, for what was measured: one panel a size, an input shape, a metric."""
    rows = report.rows
    groups = {"Size": _sizes(rows), "Time": _times(rows), "Quality": _metrics(report)}
    lines = [(row.name, colour) for row, colour in zip(rows, colours_of(report), strict=True)]
    figures = {}
    with matplotlib.rc_context(STYLE):
        for title, panels in groups.items():
            shown = {name: bars for name, bars in panels.items() if _measured(bars)}
            if shown:
                figures[title] = _figure(lines, shown, _points if title == "Quality" else _bars)
        if (tried := front_figure(report)) is not None:
            figures["Quality against time"] = tried
        if layered := first_of_each(rows, lambda row: row.layers):
            figures["Layers"] = layers_figure(layered)
    return figures


def to_svg(figure: Figure) -> str:
    """The figure as one `<svg>` element, the same text for the same report.

    Its ink is that of the text around it, on a light page or a dark one.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")


def _sizes(rows: Sequence[Row]) -> dict[str, list[Bar]]:
    return {
        "ONNX file, MB": [_millions(row.onnx_size_bytes) for row in rows],
        "parameters, millions": [_millions(row.parameters) for row in rows],
    }


def _times(rows: Sequence[Row]) -> dict[str, list[Bar]]:
    return {
        f"milliseconds at {shape}": [_time(row.latency_ms.get(shape)) for row in rows]
        for shape in shape_names(rows)
    }


def _metrics(report: Report) -> dict[str, list[Bar]]:
    return {
        name: [
            _metric(row.metrics.get(name), interval_of(name, report.samples)) for row in report.rows
        ]
        for name in metric_names(report.rows)
    }


def _metric(value: float | None, ends_of: Interval | None) -> Bar:
    return Bar(value) if value is None or ends_of is None else Bar(value, ends_of(value))


def _millions(count: int | None) -> Bar:
    return Bar(None if count is None else count / 1e6)


def _time(timing: Timing | None) -> Bar:
    return Bar(None) if timing is None else Bar(timing.median, (timing.p5, timing.p95))


def _measured(bars: Sequence[Bar]) -> bool:
    return any(bar.value is not None for bar in bars)


def _figure(lines: Sequence[tuple[str, str]], panels: dict[str, list[Bar]], draw: Draw) -> Figure:
    """Panels side by side, the models' names at the left of each line, each in its colour."""
    names, colours = zip(*lines, strict=True)
    height = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(WIDTH, height * (0.42 * len(names) + 0.75)), layout="constrained")
    grid = figure.subplots(height, COLUMNS, squeeze=False)
    for place, (title, bars) in zip(grid.flat, panels.items(), strict=False):
        place.set_title(title)
        draw(place, bars, colours)
        place.set_ylim(len(names) - 0.5, -0.5)
        place.tick_params(axis="y", length=0)
        place.tick_params(axis="x", colors=FAINT, labelsize=8)
        place.set_yticks(range(len(names)), names)
    for place in grid[:, 1:].flat:
        place.set_yticklabels([])
    for place in list(grid.flat)[len(panels) :]:
        place.set_axis_off()
    return figure


def _bars(axes: Axes, bars: Sequence[Bar], colours: Sequence[str]) -> None:
    """From zero, each with its number; a missing one says so."""
    ends = [max(bar.value, *(bar.spread or (0.0,))) for bar in bars if bar.value is not None]
    reach, low = max([*ends, 1e-9]), min([0.0, *(bar.value or 0.0 for bar in bars)])
    axes.set_xlim(low * 1.1, reach * 1.18)
    for place, (bar, colour) in enumerate(zip(bars, colours, strict=True)):
        if bar.value is None:
            _absent(axes, place)
            continue
        axes.barh(place, bar.value, 0.62, color=colour)
        if bar.spread:
            axes.plot(bar.spread, (place, place), color=INK, lw=1.2, solid_capstyle="butt")
        end = max(bar.value, *(bar.spread or (0.0,)))
        axes.text(end + 0.015 * reach, place, f"{bar.value:.3g}", va="center", color=INK)


def _points(axes: Axes, bars: Sequence[Bar], colours: Sequence[str]) -> None:
    """With their intervals, as near as they lie: what overlaps is seen."""
    ends = [end for bar in bars if bar.value is not None for end in (bar.spread or (bar.value,))]
    reach = max(max(ends) - min(ends), 1e-3)
    axes.set_xlim(min(ends) - 0.05 * reach, max(ends) + 0.3 * reach)
    for place, (bar, colour) in enumerate(zip(bars, colours, strict=True)):
        if bar.value is None:
            _absent(axes, place)
            continue
        if bar.spread:
            axes.plot(bar.spread, (place, place), color=FAINT, lw=1.2, zorder=1)
        axes.scatter(bar.value, place, color=colour, zorder=2)
        end = max(bar.value, *(bar.spread or (bar.value,)))
        axes.text(end + 0.03 * reach, place, f"{bar.value:.3f}", va="center", color=INK)


def _absent(axes: Axes, place: int) -> None:
    low, _ = axes.get_xlim()
    axes.text(max(low, 0), place, f" {UNMEASURED}", va="center", color=FAINT, style="italic")
