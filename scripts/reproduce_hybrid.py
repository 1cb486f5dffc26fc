"""Hybrid block pruning, really cut: accuracy, bytes and time at three sizes.

    python scripts/reproduce_hybrid.py --out out/hybrid --seeds 0 1 2
    python scripts/reproduce_hybrid.py --out out/hybrid --worker 0 --workers 2
    python scripts/reproduce_hybrid.py --out out/hybrid --report

A cell is a recipe: a fine-tuned encoder loses 32 × 32 blocks of its attentions and neurons of its
feed-forward networks while it learns from what it was; what is empty leaves, and the rest runs in
ONNX Runtime. Source of the method: Lagunas et al. 2021, section 3.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from cells import Result, run_cells
from exported import exported_table, run_exported
from movies import TASK, fine_tuned, movie_parser, train, whole

HYBRID = {"mask": "topk", "block": [32, 32], "neurons": True}
LEFT = (0.5, 0.33, 0.2)
"""The shares of blocks and of neurons that are left."""


class Cell(NamedTuple):
    """One recipe."""

    way: float
    seed: int

    @property
    def name(self) -> str:
        """Of its file and its recipe."""
        return f"{self.way:g}_{self.seed}"


def main() -> None:
    arguments = parse_arguments()
    results = run_cells(cells(arguments), partial(run, arguments=arguments), arguments)
    print(exported_table(results, arguments.left))


def parse_arguments() -> argparse.Namespace:
    parser = movie_parser(__doc__, "out/hybrid", steps=600)
    parser.add_argument("--left", type=float, nargs="+", default=LEFT)
    return parser.parse_args()


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """Seed by seed, so that a run that is stopped has whole columns."""
    for seed in arguments.seeds:
        for left in arguments.left:
            yield Cell(left, seed)


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    return cell._asdict() | run_exported(cell, recipe(cell, arguments), arguments)


def recipe(cell: Cell, arguments: argparse.Namespace) -> dict[str, Any]:
    """Prune, and learn from the model as it was."""
    stage: dict[str, Any] = {
        "method": "movement",
        "config": {**HYBRID, "final_threshold": cell.way},
        "also": [{"method": "logits", "config": {"temperature": 2.0, "alpha_ce": 0.9}}],
        "cache_teacher": str(arguments.out / "answers"),
    }
    steps = arguments.steps
    stage |= train(steps, arguments.learning_rate, arguments, warmup_steps=steps // 10)
    model = {"id": str(fine_tuned(cell.seed, arguments)), "task": TASK}
    return whole(cell.name, cell.seed, model, [stage], arguments)


if __name__ == "__main__":
    main()
