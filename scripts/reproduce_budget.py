"""Does a search find a model that holds a budget, and a better one than a recipe written by hand?

    python scripts/reproduce_budget.py --out out/budget --data movies --seeds 0 1 2
    python scripts/reproduce_budget.py --out out/budget --data clothes
    python scripts/reproduce_budget.py --out out/budget --report

A cell is a seed. A recipe by hand cuts a trained network and teaches it for so many steps; what its
file takes, and how long a batch takes, is the budget of a search over the same cuts, whose result
trains for as many steps. Most trials are short. The search must lose at most a point (or what the
recipe by hand loses, if that is more), and is to be as fast as it can then be.
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pictures
from cells import Result, mean_and_deviation, parser_of, run_cells
from movies import TASK, fine_tuned, movie_parser

from nlpcompress import run_recipe
from nlpcompress.bench import Report
from nlpcompress.recipe.load import parse_recipe

DATA = ("movies", "clothes")
SHOWN = {"movies": ("compressed-int8", "8x64"), "clothes": ("compressed-static-int8", "8x1x28x28")}
"""Which row of a report counts, and the shape of its times."""
POINT = 0.01
HAND, SEARCHED = "by hand", "searched"


class Cell(NamedTuple):
    """One budget."""

    data: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file and its recipes."""
        return f"{self.data}_{self.seed}"


class Way(NamedTuple):
    """The recipe by hand, and what a search may change of it."""

    start: Path
    recipe: dict[str, Any]
    space: dict[str, Any]
    fidelity: dict[str, Any]


def main() -> None:
    arguments = parse_arguments()
    cells = [Cell(data, seed) for seed in arguments.seeds for data in arguments.data]
    print(table(run_cells(cells, partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "out/budget")
    parser.add_argument("--data", nargs="+", default=DATA, choices=DATA)
    parser.add_argument("--steps", type=int, default=750)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--train-samples", type=int, default=None)
    return parser.parse_args()


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    way = (movies if cell.data == "movies" else clothes)(cell.seed, arguments)
    out, (row, shape) = arguments.out / "runs", SHOWN[cell.data]
    hand = run_recipe(parse_recipe(way.recipe), out / f"{cell.name}_hand")
    found = figures(hand, row, shape)
    budget = {
        "size_bytes": int(found["bytes"]),
        "latency_ms": found["ms"],
        "metric_drop": max(POINT, round(found["drop"], 4)),
    }
    search = {
        "space": way.space,
        "budget": budget,
        "objective": "latency_ms",
        "row": row,
        "shape": shape,
        "searcher": "tpe",
        "trials": arguments.trials,
        "fidelity": way.fidelity,
    }
    searched = run_recipe(
        parse_recipe(way.recipe | {"search": search}), out / f"{cell.name}_searched"
    )
    rows = {HAND: found, SEARCHED: figures(searched, row, shape)}
    return {
        **cell._asdict(),
        "accuracy": rows[SEARCHED]["accuracy"],
        "budget": budget,
        "rows": rows,
    }


def figures(report: Report, row: str, shape: str) -> dict[str, float]:
    """What counts, of the model in 8 bits."""
    rows = {own.name: own for own in report.rows}
    small, accuracy = rows[row], rows[row].metrics["accuracy"]
    return {
        "accuracy": accuracy,
        "drop": rows["teacher"].metrics["accuracy"] - accuracy,
        "bytes": small.onnx_size_bytes,
        "ms": small.latency_ms[shape].median,
    }


def movies(seed: int, arguments: argparse.Namespace) -> Way:
    """Half of the heads and neurons; heads, neurons and layers may change."""
    defaults = movie_parser(None, "", steps=arguments.steps).parse_args([])
    plain = argparse.Namespace(**vars(defaults) | vars(arguments) | {"data": "movie-snippets"})
    start = fine_tuned(seed, plain)
    steps, states = arguments.steps, [{"feature": "hidden", "layers": "uniform", "proj": "auto"}]
    train = {"max_steps": steps, "learning_rate": 1e-4, "per_device_train_batch_size": 32}
    stages = [
        {"method": "head_importance", "config": {"keep": 0.5}},
        {"method": "neuron_importance", "config": {"keep": 0.5}},
        {"method": "keep_layers", "config": {"layers": "spread", "count": 6}},
        {
            "method": "logits",
            "config": {"alpha_ce": 0.9},
            "also": [{"method": "features", "config": {"intermediate_matches": states}}],
            "train": {**train, "warmup_steps": steps // 10, "bf16": arguments.bf16},
        },
    ]
    space = {
        "stages.0.config.keep": {"low": 0.25, "high": 1.0, "step": 0.25},
        "stages.1.config.keep": {"low": 0.125, "high": 1.0, "step": 0.125},
        "stages.2.config.count": {"low": 3, "high": 6},
    }
    recipe = _recipe(f"movies_{seed}", seed, start, TASK, stages) | {
        "data": {"name": "movie-snippets", "max_length": 64},
        "export": {"onnx": True, "quantize": "dynamic-int8"},
    }
    return Way(start, recipe, space, _fidelity(3, steps))


def clothes(seed: int, arguments: argparse.Namespace) -> Way:
    """Half of the multiplications by Taylor's criterion; both may change."""
    defaults = pictures.picture_parser(None, "").parse_args([])
    plain = argparse.Namespace(**vars(defaults) | vars(arguments) | {"data": "fashion-mnist"})
    start = pictures.trained(seed, plain)
    steps = arguments.steps
    train = {"max_steps": steps, "learning_rate": 1e-3, "per_device_train_batch_size": 64}
    stages = [
        {
            "method": "channels",
            "config": {"criterion": "taylor", "keep_macs": 0.5, "round_to": 4},
        },
        {
            "method": "logits",
            "config": {"alpha_ce": 0.5, "temperature": 2.0},
            "train": {**train, "lr_scheduler_type": "cosine"},
        },
    ]
    space = {
        "stages.0.config.keep_macs": {"low": 0.1, "high": 0.6},
        "stages.0.config.criterion": {"choices": ["taylor", "l2", "taylor_weight", "hrank"]},
        "stages.0.config.per_layer": {"choices": [False, True]},
    }
    recipe = _recipe(f"clothes_{seed}", seed, start, pictures.TASK, stages) | {
        "data": {"name": "fashion-mnist", "train_samples": arguments.train_samples},
        "export": {"onnx": True, "quantize": "static-int8"},
    }
    return Way(start, recipe, space, _fidelity(1, steps))


def _recipe(
    name: str, seed: int, start: Path, task: str, stages: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "version": 1,
        "name": name,
        "seed": seed,
        "model": {"id": str(start), "task": task},
        "stages": stages,
        "bench": {"batch_sizes": [8], "sequence_lengths": [64], "rounds": 20},
    }


def _fidelity(stage: int, steps: int) -> dict[str, Any]:
    """A ninth and a third of the steps first."""
    values = [max(1, steps // 9), max(2, steps // 3), steps]
    return {"path": f"stages.{stage}.train.max_steps", "values": values}


def table(results: Sequence[Result]) -> str:
    """A line a data set and a way: points lost, bytes and times, against the recipe by hand."""
    lines = [
        "| data | way | points lost | file | times faster than by hand |",
        "|---|---|---:|---:|---:|",
    ]
    return "\n".join([*lines, *(text for data in DATA for text in told(data, results))])


def told(data: str, results: Sequence[Result]) -> Iterator[str]:
    group = [result["rows"] for result in results if result["data"] == data]
    for way in (HAND, SEARCHED) if group else ():
        lost = spread_of([100 * rows[way]["drop"] for rows in group])
        size = spread_of([rows[way]["bytes"] / 1e6 for rows in group])
        faster = spread_of([rows[HAND]["ms"] / rows[way]["ms"] for rows in group])
        yield f"| {data} | {way} | {lost} | {size} MB | {faster} |"


def spread_of(values: list[float]) -> str:
    return "{:.2f} ± {:.2f}".format(*mean_and_deviation(values))


if __name__ == "__main__":
    main()
