"""Pictures of Hessians: how sensitive each block is, and where its eigenvalues lie.

found = sensitivities(model, blocks, batches_of_run)
save_png(draw_sensitivities({block: s.values for block, s in found.items()}), path)
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nlpcompress.bench.plots import COLUMNS
from nlpcompress.bench.style import COLOURS, FAINT, INK, STYLE, WIDTH
from nlpcompress.core.whole import whole_file
from nlpcompress.errors import DataError

POINTS = 512
"""Of the line that draws a density."""
BROAD = 0.01
"""Width of each eigenvalue's bell, as a share of the span of them all."""
LEAST = 1e-9
"""Of a density's greatest value: what is drawn, one eigenvalue of a hundred million still is."""

Nodes = tuple[Sequence[float], Sequence[float]]
"""Points of a spectrum, and the share of all eigenvalues near each."""


def draw_sensitivities(
    values: Mapping[str, Sequence[float]], *, label: str = "greatest eigenvalue"
) -> Figure:
    """Block → value in each run: a point each, and a line through the means.

    Raises `DataError` for no blocks, and for one without values or with one that is no number.
    """
    _check(values)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        axes = figure.subplots()
        for place, own in enumerate(values.values()):
            runs = f"{len(own)} runs" if place == 0 else None
            axes.plot([place] * len(own), own, "o", color=COLOURS[1], ms=4, alpha=0.5, label=runs)
        means = [float(np.mean(own)) for own in values.values()]
        axes.plot(range(len(means)), means, "D-", color=COLOURS[2], ms=5, lw=1, label="mean")
        axes.axhline(0, color=FAINT, lw=0.8)
        axes.set_title(f"{label}, by block")
        axes.set_xticks(range(len(values)), list(values), rotation=45, ha="right", fontsize=8)
        axes.legend(frameon=False)
    return figure


def draw_spectra(nodes: Mapping[str, Nodes]) -> Figure:
    """Block → what `spectral_nodes` finds: the density of its eigenvalues, a panel a block.

    Each eigenvalue is a bell (a hundredth of the span wide), on a logarithmic scale: a few large
    ones stand far off from a great many near 0. Raises as `draw_sensitivities` does.
    """
    _check({block: values for block, (values, _) in nodes.items()})
    lines = -(-len(nodes) // COLUMNS)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.2 * lines), layout="constrained")
        grid = figure.subplots(lines, COLUMNS, squeeze=False)
        for axes, (block, own) in zip(grid.flat, nodes.items(), strict=False):
            _draw_density(axes, block, *density_line(*own))
        for axes in list(grid.flat)[len(nodes) :]:
            axes.set_axis_off()
    return figure


def density_line(values: Sequence[float], shares: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """λ, float64 `(POINTS,)`, and the density there: the bells' sum, of area 1 as the shares."""
    places = np.asarray(values, dtype=np.float64)
    span = float(np.ptp(places)) or max(abs(float(places[0])), 1.0)
    width = BROAD * span
    line = np.linspace(places.min() - 5 * width, places.max() + 5 * width, POINTS)
    bells = np.exp(-0.5 * ((line[:, None] - places) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    return line, bells @ np.asarray(shares, dtype=np.float64)


def save_png(figure: Figure, path: str | Path, *, dots_per_inch: int = 150) -> None:
    """Write the figure as a PNG that is whole or not there; no display is needed."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.set_dpi(dots_per_inch)
        FigureCanvasAgg(figure).print_png(buffer)
    with whole_file(Path(path)) as temporary:
        temporary.write_bytes(buffer.getvalue())


def _draw_density(axes: Axes, block: str, line: np.ndarray, density: np.ndarray) -> None:
    axes.set_title(f"{block}: density of eigenvalues", fontsize=9)
    axes.semilogy(line, density, color=INK, lw=1)
    axes.fill_between(line, density, color=COLOURS[1], alpha=0.4, lw=0)
    axes.set_ylim(LEAST * float(density.max()), 3 * float(density.max()))
    axes.tick_params(colors=FAINT, labelsize=8)


def _check(values: Mapping[str, Sequence[float]]) -> None:
    if not values:
        raise DataError("there are no blocks to draw; give at least one")
    for block, own in values.items():
        found = np.asarray(own, dtype=np.float64)
        if not found.size:
            raise DataError(f"'{block}' has no values to draw; give at least one")
        if not np.isfinite(found).all():
            wrong = found[~np.isfinite(found)][0]
            raise DataError(f"'{block}' has the value {wrong}; only finite numbers can be drawn")
