"""The picture of what was tried: every model by its time and its quality."""

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from nlpcompress.bench.colours import colours_of
from nlpcompress.bench.rows import Bound, Report
from nlpcompress.bench.style import FAINT, WIDTH
from nlpcompress.bench.verdict import timed_shape
from nlpcompress.search.pareto import front

LEAST = 3
"""Models that make a picture worth drawing."""


class Point(NamedTuple):
    """A model."""

    name: str
    colour: str
    milliseconds: float
    quality: float


def front_figure(report: Report) -> Figure | None:
    """The metric over milliseconds at the last shape that all were timed at; those that none beats
    in both are joined and named, and the least quality allowed is dotted.

    None where fewer than three models have both numbers, or the first has not.
    """
    bound = report.bound
    told = [row.latency_ms and bound and bound.metric in row.metrics for row in report.rows]
    rows = list(compress(report.rows, told))
    shape = timed_shape(rows) if len(rows) >= LEAST else None
    if bound is None or shape is None or rows[0] is not report.rows[0]:
        return None
    points = [
        Point(row.name, colour, row.latency_ms[shape].median, row.metrics[bound.metric])
        for row, colour in zip(rows, compress(colours_of(report), told), strict=True)
    ]
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    _draw(axes, points, bound)
    _label(axes, f"milliseconds at {shape}", bound)
    return figure


def _draw(axes: Axes, points: Sequence[Point], bound: Bound) -> None:
    """The first point is the model before."""
    sign = -1 if bound.greater_is_better else 1
    places = front([(point.milliseconds, sign * point.quality) for point in points])
    best = sorted((points[place] for place in places), key=lambda point: point.milliseconds)
    if bound.max_drop is not None:
        axes.axhline(points[0].quality + sign * bound.max_drop, color=FAINT, lw=1, ls=":")
    axes.plot([p.milliseconds for p in best], [p.quality for p in best], color=FAINT, lw=1)
    for point in points:
        axes.scatter(point.milliseconds, point.quality, color=point.colour, zorder=2)
    for point in best:
        place = (point.milliseconds, point.quality)
        axes.annotate(point.name, place, (-4, 5), textcoords="offset points", ha="right")


def _label(axes: Axes, time: str, bound: Bound) -> None:
    """The better the higher; the numbers stand at the right, where no name reaches."""
    axes.set_xlabel(time)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel(bound.metric)
    axes.yaxis.set_label_position("right")
    axes.yaxis.tick_right()
    axes.margins(0.1, 0.15)
    if not bound.greater_is_better:
        axes.invert_yaxis()
