"""As `reproduce_supernet.py`, with the widths of a small ResNet on pictures of clothes.

    python scripts/reproduce_picture_supernet.py --out out/picture-supernet --seeds 0 1 2
    python scripts/reproduce_picture_supernet.py --out out/picture-supernet --report

A cell is a network: a share of the channels of each layer, drawn by its number. Inside the supernet
it is taken out without any training, with new statistics of its batch norms; alone it is cut out
of the network that the supernet started from, and taught by it for an epoch.
"""

import argparse
import random
from functools import partial
from pathlib import Path
from typing import Any

from cells import Result, run_cells
from pictures import TASK, picture_parser, train, trained, whole
from reproduce_supernet import Cell, cells, table
from supernets import QUARTERS

from nlpcompress import run_recipe
from nlpcompress.bench import Row
from nlpcompress.recipe.load import parse_recipe

AXES = 7
"""Of channels that can be cut in the small ResNet."""
SORT, RENEWED = {"method": "sort"}, {"method": "recalibrate_norms"}


def main() -> None:
    arguments = parse_arguments()
    print(table(run_cells(cells(arguments), partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = picture_parser(__doc__, "out/picture-supernet")
    parser.add_argument("--supernet-epochs", type=float, default=2.0)
    parser.add_argument("--count", type=int, default=24, help="networks of each supernet")
    return parser.parse_args()


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    shares = random.Random(cell.number).choices(QUARTERS, k=AXES)
    cut = {"method": "slice", "config": {"channels": shares, "round_to": 8}}
    taught = {"method": "logits", "config": {"temperature": 2.0, "alpha_ce": 0.5}}
    taught |= train(arguments.epochs, arguments.learning_rate / 2, arguments)
    teacher = trained(cell.seed, arguments)
    supernet = supernet_of(cell, arguments)
    inside = judged(f"{cell.name}_inside", supernet, [cut, RENEWED], cell, arguments)
    alone = judged(f"{cell.name}_alone", teacher, [SORT, cut, taught], cell, arguments)
    return {
        **cell._asdict(),
        "accuracy": inside.metrics["accuracy"],
        "alone": alone.metrics["accuracy"],
        "parameters": inside.parameters,
    }


def supernet_of(cell: Cell, arguments: argparse.Namespace) -> Path:
    """The seed's trained network, in order, and trained in all its widths; made once."""
    learning = {"method": "supernet", "config": {"channels": list(QUARTERS), "round_to": 8}}
    learning |= train(arguments.supernet_epochs, arguments.learning_rate / 2, arguments)
    name = f"supernet_{cell.seed}"
    model = {"id": str(trained(cell.seed, arguments)), "task": TASK}
    folder: Path = arguments.out / name
    run_recipe(parse_recipe(whole(name, cell.seed, model, [SORT, learning], arguments)), folder)
    return folder


def judged(
    name: str, start: Path, stages: list[dict[str, Any]], cell: Cell, arguments: argparse.Namespace
) -> Row:
    """The result's row of the recipe's report."""
    recipe = whole(name, cell.seed, {"id": str(start), "task": TASK}, stages, arguments)
    recipe |= {"evaluate": {"before": False}, "export": {}}
    return run_recipe(parse_recipe(recipe), arguments.out / "runs" / name).rows[-1]


if __name__ == "__main__":
    main()
