"""What sharing layers and factoring the token table cost and save, after training again.

    python scripts/reproduce_sharing.py --out out/sharing --seeds 0 1 2
    python scripts/reproduce_sharing.py --out out/sharing --worker 0 --workers 2
    python scripts/reproduce_sharing.py --out out/sharing --report

A cell is a recipe: a fine-tuned encoder shares in one of the ways below and learns from what it
was, all for as many steps. Files and times are of ONNX Runtime, each beside its teacher's in one
run. The shape to expect (Lan et al. 2020, table 4): attentions share for little, feed-forward
networks do not; narrow tokens cost little; nothing is faster.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from cells import Result, run_cells
from exported import exported_table, run_exported
from movies import TASK, fine_tuned, movie_parser, train, whole

WAYS: dict[str, dict[str, Any]] = {
    "attention": {"share": "attention"},
    "ffn": {"share": "ffn"},
    "all": {"share": "all"},
    "all, 2 groups": {"share": "all", "groups": 2},
    "E 128": {"share": "none", "embedding_size": 128},
    "E 64": {"share": "none", "embedding_size": 64},
    "attention, E 128": {"share": "attention", "embedding_size": 128},
}


class Cell(NamedTuple):
    """One recipe."""

    way: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file and its recipe."""
        return f"{self.way.replace(', ', '-').replace(' ', '-')}_{self.seed}"


def main() -> None:
    arguments = parse_arguments()
    results = run_cells(cells(arguments), partial(run, arguments=arguments), arguments)
    print(exported_table(results, WAYS))


def parse_arguments() -> argparse.Namespace:
    parser = movie_parser(__doc__, "out/sharing", steps=750)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--initial", default="best", choices=["mean", "first", "best"])
    return parser.parse_args()


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """Seed by seed, so that a run that is stopped has whole columns."""
    for seed in arguments.seeds:
        for way in arguments.ways:
            yield Cell(way, seed)


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    return cell._asdict() | run_exported(cell, recipe(cell, arguments), arguments)


def recipe(cell: Cell, arguments: argparse.Namespace) -> dict[str, Any]:
    """Share, then learn from the model as it was."""
    config = {"initial": arguments.initial, "embedding_weighting": "frequency", **WAYS[cell.way]}
    states = [{"feature": "hidden", "layers": "uniform", "proj": None}]
    recovery = {
        "method": "logits",
        "config": {"alpha_ce": 0.9},
        "also": [{"method": "features", "config": {"intermediate_matches": states}}],
        "cache_teacher": str(arguments.out / "answers"),
    }
    steps = arguments.steps
    stages = [
        {"method": "albert", "config": config},
        recovery | train(steps, arguments.learning_rate, arguments, warmup_steps=steps // 10),
    ]
    model = {"id": str(fine_tuned(cell.seed, arguments)), "task": TASK}
    return whole(cell.name, cell.seed, model, stages, arguments)


if __name__ == "__main__":
    main()
