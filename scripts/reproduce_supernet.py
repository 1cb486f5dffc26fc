"""Does a network's place inside a supernet say how good it is when it is trained alone?

    python scripts/reproduce_supernet.py --out out/supernet --seeds 0 1 2
    python scripts/reproduce_supernet.py --out out/supernet --report

A cell is a network: a share of the heads and of the neurons of each layer, drawn by its number. It
is judged inside, taken out of the supernet without any training, and alone, cut out of the model
that the supernet started from and taught by it. The table has the rank correlation (Spearman) of
both accuracies, and that of the parameters, which a supernet must beat to be of use.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from cells import Result, grouped, mean_and_deviation, run_cells
from movies import TASK, fine_tuned, train, whole
from scipy.stats import spearmanr
from supernets import LAYERS, QUARTERS, slice_stage, supernet_of, supernet_parser

from nlpcompress import run_recipe
from nlpcompress.bench import Row
from nlpcompress.recipe.load import parse_recipe


class Cell(NamedTuple):
    """One network inside one supernet."""

    seed: int
    number: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"network_{self.seed}_{self.number}"


def main() -> None:
    arguments = parse_arguments()
    print(table(run_cells(cells(arguments), partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = supernet_parser(__doc__, "out/supernet")
    parser.add_argument("--count", type=int, default=12, help="networks of each supernet")
    return parser.parse_args()


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    for seed in arguments.seeds:
        for number in range(arguments.count):
            yield Cell(seed, number)


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    chance = random.Random(cell.number)
    heads, neurons = (tuple(chance.choices(QUARTERS, k=LAYERS)) for _ in range(2))
    cut = slice_stage(heads, neurons)
    taught = {
        "method": "logits",
        "config": {"alpha_ce": 0.9},
        **train(arguments.steps, arguments.learning_rate, arguments),
    }
    inside = judged(cell, "inside", supernet_of(cell.seed, arguments), [cut], arguments)
    alone = judged(
        cell,
        "alone",
        fine_tuned(cell.seed, arguments),
        [{"method": "sort"}, cut, taught],
        arguments,
    )
    return {
        **cell._asdict(),
        "accuracy": inside.metrics["accuracy"],
        "alone": alone.metrics["accuracy"],
        "parameters": inside.parameters,
    }


def judged(
    cell: Cell, how: str, start: Any, stages: list[dict[str, Any]], arguments: argparse.Namespace
) -> Row:
    """The result's row of the recipe's report."""
    model = {"id": str(start), "task": TASK}
    recipe = whole(f"{cell.name}_{how}", cell.seed, model, stages, arguments)
    recipe["evaluate"] = {"before": False}
    return run_recipe(parse_recipe(recipe), arguments.out / "runs" / recipe["name"]).rows[-1]


def table(results: Sequence[Result]) -> str:
    """A line a supernet: its networks' accuracies, and what ranks them as training alone does."""
    lines = [
        "| seed | networks | inside | alone | Spearman, inside | Spearman, parameters |",
        f"|---|{'---:|' * 5}",
    ]
    groups = grouped(results, lambda result: result["seed"])
    found = [line(seed, group) for seed, group in sorted(groups.items()) if len(group) > 2]
    return "\n".join([*lines, *found])


def line(seed: int, group: Sequence[Result]) -> str:
    alone = [result["alone"] for result in group]
    inside, sizes = ([result[key] for result in group] for key in ("accuracy", "parameters"))
    spreads = " | ".join(
        "{:.4f} ± {:.4f}".format(*mean_and_deviation(values)) for values in (inside, alone)
    )
    ranks = " | ".join(f"{spearmanr(values, alone).statistic:.2f}" for values in (inside, sizes))
    return f"| {seed} | {len(group)} | {spreads} | {ranks} |"


if __name__ == "__main__":
    main()
