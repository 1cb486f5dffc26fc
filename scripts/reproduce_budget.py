"""Does a search find a model that holds a budget, and a better one than a recipe written by hand?

    python scripts/reproduce_budget.py --out out/budget --data movies --once --trials 40 --bf16
    python scripts/reproduce_budget.py --out out/budget --data clothes --trials 40
    python scripts/reproduce_budget.py --out out/budget --report

A cell is a seed. One of the recipes that come with the package cuts a trained network by numbers
written by hand; a search over these numbers has the same stages, and its result trains for as many
epochs. Its first trial is the recipe by hand. For clothes it seeks the network that loses least of
those that are small and fast enough, for movies the fastest that is small enough and loses no more
than it may. Trials are judged on other rows than the test set, and must hold with a margin of a
twentieth: the result is trained and scored on more rows, and timed anew. In the end both results
are timed in turns, with the model before. With `--once` the first seed searches, and the others
run what it found.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cells import Result, mean_and_deviation, parser_of, run_cells

from nlpcompress import run_recipe
from nlpcompress.bench import Report
from nlpcompress.bench.decision import costs
from nlpcompress.core.budget import Budget
from nlpcompress.recipe.artefacts import TEACHER
from nlpcompress.recipe.load import load_recipe, parse_recipe
from nlpcompress.recipe.measuring import latencies
from nlpcompress.recipe.result import open_result, result_rows
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.search.config import METRIC

RECIPES = Path(__file__).parents[1] / "recipes"
POINT = 0.01
MARGIN = 0.05
HAND, SEARCHED = "by hand", "searched"


class Way(NamedTuple):
    """A recipe by hand, what must hold, and how a search changes the recipe."""

    recipe: str
    changes: tuple[str, ...]
    budget: Budget
    objective: str
    space: dict[str, Any]
    fidelity: dict[str, Any]
    row: str
    shape: str


WAYS = {
    "movies": Way(
        "text/movies-fastest.yaml",
        (
            "stages.4.train.num_train_epochs=3",
            "stages.4.train.warmup_steps=50",
            "export.quantize=dynamic-int8",
            "export.runtimes=onnxruntime",
            "bench.batch_sizes=[8]",
        ),
        Budget(size_bytes=16_000_000, metric_drop=2 * POINT),
        "latency_ratio",
        {
            "stages.1.config.keep": {"low": 0.25, "high": 0.75, "step": 0.25},
            "stages.2.config.keep": {"low": 0.125, "high": 0.5},
            "stages.3.config.layers": {"choices": ["spread", "every_other", "first"]},
            "stages.3.config.count": {"low": 2, "high": 4},
            "stages.4.train.learning_rate": {"low": 1e-4, "high": 8e-4, "log": True},
            "stages.4.train.per_device_train_batch_size": {"choices": [16, 32]},
        },
        {"path": "stages.4.train.num_train_epochs", "values": [1, 3]},
        "compressed-int8",
        "8x64",
    ),
    "clothes": Way(
        "vision/taylor-fashion.yaml",
        ("bench.batch_sizes=[32]",),
        Budget(size_bytes=105_000, latency_ratio=0.55, metric_drop=POINT),
        METRIC,
        {
            "stages.1.config.keep_macs": {"low": 0.1, "high": 0.6},
            "stages.1.config.criterion": {"choices": ["taylor", "l2", "taylor_weight", "hrank"]},
            "stages.1.config.per_layer": {"choices": [False, True]},
            "stages.2.config.alpha_ce": {"low": 0.3, "high": 0.9},
            "stages.2.train.learning_rate": {"low": 5e-4, "high": 5e-3, "log": True},
        },
        {"path": "stages.2.train.num_train_epochs", "values": [0.1, 0.3, 1]},
        "compressed-static-int8",
        "32x1x28x28",
    ),
}
"""Movies are taught for three epochs of five, by hand and searched: whole trials take minutes."""


class Cell(NamedTuple):
    """One budget."""

    data: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file and its recipes."""
        return f"{self.data}_{self.seed}"


def main() -> None:
    arguments = parse_arguments()
    cells = [Cell(data, seed) for seed in arguments.seeds for data in arguments.data]
    print(table(run_cells(cells, partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "out/budget")
    parser.add_argument("--data", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument(
        "--once", action="store_true", help="search with the first seed alone (with one worker)"
    )
    parser.add_argument("--train-samples", type=int, default=None)
    parser.add_argument("--test-samples", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.once and arguments.workers > 1:
        parser.error("--once: the other seeds run what the first has found; leave --workers out")
    return arguments


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    way, recipe = WAYS[cell.data], by_hand(cell, arguments)
    folders = runs_of(cell, arguments)
    hand = run_recipe(parse_recipe(recipe), folders[HAND])
    report = run_recipe(searched(cell, recipe, arguments), folders[SEARCHED])
    ratios = latency_ratios(folders, way)
    rows = {HAND: costs_of(hand, way), SEARCHED: costs_of(report, way)}
    rows = {name: found | {"latency_ratio": ratios[name]} for name, found in rows.items()}
    return {
        **cell._asdict(),
        "accuracy": {row.name: row for row in report.rows}[way.row].metrics["accuracy"],
        "holds": {name: way.budget.allows(found) for name, found in rows.items()},
        "rows": rows,
    }


def runs_of(cell: Cell, arguments: argparse.Namespace) -> dict[str, Path]:
    """Where its two recipes are run."""
    out = arguments.out / "runs"
    return {HAND: out / f"{cell.name}_hand", SEARCHED: out / f"{cell.name}_searched"}


def searched(cell: Cell, recipe: dict[str, Any], arguments: argparse.Namespace) -> Recipe:
    """The recipe with a search, or, where another seed has searched, what that one found."""
    way, first = WAYS[cell.data], cell._replace(seed=arguments.seeds[0])
    if arguments.once and cell != first:
        found = runs_of(first, arguments)[SEARCHED] / "recipe.yaml"
        return load_recipe(found, [f"name={cell.name}", f"seed={cell.seed}", "out=null"])
    search = {
        "space": way.space,
        "budget": of_trials(way),
        "objective": way.objective,
        "row": way.row,
        "shape": way.shape,
        "searcher": "tpe",
        "trials": arguments.trials,
        "fidelity": way.fidelity,
    }
    return parse_recipe(recipe | {"search": search})


def of_trials(way: Way) -> dict[str, float]:
    """What trials must hold; the drop is left out where there is to be as little as can be."""
    bounds = dict(way.budget.bounds)
    if way.objective == METRIC:
        del bounds["metric_drop"]
    return {name: type(bound)((1 - MARGIN) * bound) for name, bound in bounds.items()}


def by_hand(cell: Cell, arguments: argparse.Namespace) -> dict[str, Any]:
    """The recipe as it comes, with its few changes."""
    way = WAYS[cell.data]
    changes = [*way.changes, f"name={cell.name}", f"seed={cell.seed}"]
    samples = {"train_samples": arguments.train_samples, "test_samples": arguments.test_samples}
    changes += [f"data.{name}={count}" for name, count in samples.items() if count is not None]
    recipe = load_recipe(RECIPES / way.recipe, changes).to_json()
    for stage in recipe["stages"]:
        if stage["train"] and arguments.bf16:
            stage["train"]["bf16"] = True
    return recipe


def costs_of(report: Report, way: Way) -> dict[str, float]:
    """What a budget can bound, of the row that counts."""
    row = next(row for row in report.rows if row.name == way.row)
    return costs(report, row, shape=way.shape)


def latency_ratios(folders: dict[str, Path], way: Way) -> dict[str, float]:
    """The times of both results as shares of that of the model before, all taken in turns."""
    jobs = {name: open_result(folder) for name, folder in folders.items()}
    own = {name: {row.name: row for row in result_rows(job)} for name, job in jobs.items()}
    rows = [replace(found[way.row], name=name) for name, found in own.items()]
    times = latencies(jobs[HAND], [own[HAND][TEACHER], *rows])
    before = times[TEACHER][way.shape].median
    return {name: times[name][way.shape].median / before for name in folders}


def table(results: Sequence[Result]) -> str:
    """A line a data set and a way, over seeds, with how many hold their budgets."""
    lines = [
        "| data | way | points lost | file | times faster than before | holds |",
        f"|---|---|{'---:|' * 4}",
    ]
    return "\n".join([*lines, *(line for data in WAYS for line in told(data, results))])


def told(data: str, results: Sequence[Result]) -> Iterator[str]:
    group = [result for result in results if result["data"] == data]
    for way in (HAND, SEARCHED) if group else ():
        found = [result["rows"][way] for result in group]
        shown = (
            spread_of([100 * own["metric_drop"] for own in found], ""),
            spread_of([own["size_bytes"] / 1e6 for own in found], " MB"),
            spread_of([1 / own["latency_ratio"] for own in found], ""),
            f"{sum(result['holds'][way] for result in group)} of {len(group)}",
        )
        yield f"| {data} | {way} | {' | '.join(shown)} |"


def spread_of(values: list[float], unit: str) -> str:
    return "{:.3f} ± {:.3f}".format(*mean_and_deviation(values)) + unit


if __name__ == "__main__":
    main()
