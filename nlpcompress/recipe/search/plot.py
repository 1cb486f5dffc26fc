"""The picture of a search: every trial by what it costs and what it is worth."""

import matplotlib
from matplotlib.figure import Figure

from nlpcompress.bench.plots import to_svg
from nlpcompress.bench.style import COLOURS, FAINT, STYLE
from nlpcompress.recipe.search.config import METRIC
from nlpcompress.recipe.search.record import DROP, SearchRecord
from nlpcompress.search.pareto import front


def front_svg(record: SearchRecord) -> str | None:
    """The metric over the cost that is sought, or the first that is bounded; those that none beats
    are joined.

    None where fewer than two trials were judged, or nothing but the metric counts.
    """
    judged = [trial for trial in record.trials if trial.costs]
    costs = [name for name in record.counted if name not in (METRIC, DROP)]
    if len(judged) < 2 or not costs:
        return None
    (cost, *_), figure = costs, Figure(figsize=(7.0, 4.0), layout="constrained")
    sign = -1 if record.greater_is_better else 1
    places = front([(trial.costs[cost], sign * trial.costs[METRIC]) for trial in judged])
    with matplotlib.rc_context(STYLE):
        axes = figure.subplots()
        if cost in record.budget.bounds:
            axes.axvline(record.budget.bounds[cost], color=FAINT, lw=1, ls=":")
        edge = sorted((judged[i].costs[cost], judged[i].costs[METRIC]) for i in places)
        axes.plot(*zip(*edge, strict=True), color=FAINT, lw=1)
        for holds, colour, label in ((False, COLOURS[0], "breaks"), (True, COLOURS[1], "holds")):
            own = [t.costs for t in judged if t.holds(record.budget) == holds]
            if own:
                found = [c[cost] for c in own], [c[METRIC] for c in own]
                axes.scatter(*found, color=colour, label=f"{label} the budget", zorder=2)
        axes.set_xlabel(cost)
        axes.set_ylabel(METRIC)
        axes.legend(frameon=False)
        return to_svg(figure)
