"""The picture of a model's layers: how large each one's attention and feed-forward network are."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nlpcompress.bench.rows import Row
from nlpcompress.bench.style import COLOURS, WIDTH

PLAIN: dict[str, Any] = {"frameon": False, "fontsize": 9}
PARTS = {"attention": COLOURS[1], "ffn": COLOURS[2], "rest": COLOURS[3]}


def layers_figure(rows: Sequence[Row]) -> Figure:
    """A panel a model, all of one scale: a bar a layer, its parts one after another."""
    reach = max(sum(layer.values()) for row in rows for layer in row.layers)
    most = max(len(row.layers) for row in rows)
    figure = Figure(figsize=(WIDTH, 0.24 * most + 1.15), layout="constrained")
    panels = figure.subplots(1, max(len(rows), 2), squeeze=False)[0]
    for panel, row in zip(panels, rows, strict=False):
        _draw(panel, row)
        panel.set_xlim(0, 1.02 * reach / 1e6)
        panel.set_ylim(most - 0.5, -0.5)
    for panel in panels[len(rows) :]:
        panel.set_axis_off()
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower left", ncols=3, **PLAIN
    )
    return figure


def _draw(axes: Axes, row: Row) -> None:
    axes.set_title(f"{row.name}, MB a layer")
    start = [0.0] * len(row.layers)
    for part, colour in PARTS.items():
        sizes = [layer.get(part, 0) / 1e6 for layer in row.layers]
        if any(sizes):
            axes.barh(range(len(sizes)), sizes, 0.62, start, color=colour, label=part)
            start = [begin + size for begin, size in zip(start, sizes, strict=True)]
    axes.set_yticks(range(len(row.layers)), [f"{number}" for number in range(len(row.layers))])
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
