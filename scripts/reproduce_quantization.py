"""What few bits cost: rounded as they are and after a training, in one group and in many, mixed by
the Hessian and in the reversed order.

    python scripts/reproduce_quantization.py --out out/quantization --seeds 0 1 2
    python scripts/reproduce_quantization.py --out out/quantization --worker 0 --workers 2
    python scripts/reproduce_quantization.py --out out/quantization --report

A cell is a recipe: a fine-tuned encoder is quantized in one of the ways below, post-training, by
itself or with compensated errors, or with a training of so many steps that starts from either. The
shape to expect (Shen et al. 2020, tables 1 to 4): 4 bits within half a point, 2 and 3 mixed within
2.3, 2 bits collapse, groups bring most of the loss back, and the reversed order is clearly worse.
"""

import argparse
import shutil
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from cells import Result, mean_and_deviation, run_cells, spread
from movies import TASK, fine_tuned, movie_parser, train, whole

from nlpcompress import run_recipe
from nlpcompress.bench import read_report
from nlpcompress.bench.ledger import size_ledger
from nlpcompress.io.load import load_model_folder
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.workspace import PARTS

WAYS: dict[str, dict[str, Any]] = {
    "8": {"bits": 8},
    "4": {"bits": 4},
    "4, one group": {"bits": 4, "groups": 1},
    "4, tables 4": {"bits": 4, "embedding_bits": 4},
    "3": {"bits": 3},
    "3, one group": {"bits": 3, "groups": 1},
    "2/4": {"bits": [2, 4]},
    "2/4 reversed": {"bits": [2, 4], "order": "reversed"},
    "2/3": {"bits": [2, 3]},
    "2/3 reversed": {"bits": [2, 3], "order": "reversed"},
    "2": {"bits": 2},
    "2, one group": {"bits": 2, "groups": 1},
}
AS_THEY_ARE, COMPENSATED, TRAINED = "post-training", "compensated", "trained"
BOTH = "compensated, trained"
HOW = (AS_THEY_ARE, COMPENSATED, TRAINED, BOTH)


class Cell(NamedTuple):
    """One recipe."""

    way: str
    how: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file and its recipe."""
        way = self.way.replace(", ", "-").replace(" ", "-").replace("/", "")
        return f"{way}_{self.how.replace(', ', '-')}_{self.seed}"


def main() -> None:
    arguments = parse_arguments()
    print(table(run_cells(cells(arguments), partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = movie_parser(__doc__, "out/quantization", steps=300)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--how", nargs="+", default=list(HOW), choices=HOW)
    parser.add_argument("--runs", type=int, default=3, help="parts of the data for the Hessian")
    parser.add_argument("--samples", type=int, default=128, help="examples of each")
    return parser.parse_args()


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """Seed by seed, so that a run that is stopped has whole columns."""
    for seed in arguments.seeds:
        for how in arguments.how:
            for way in arguments.ways:
                yield Cell(way, how, seed)


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    out = arguments.out / "runs" / cell.name
    teacher = read_report(fine_tuned(cell.seed, arguments)).rows[-1]
    (compressed,) = run_recipe(parse_recipe(recipe(cell, arguments)), out).rows
    shutil.rmtree(out / PARTS, ignore_errors=True)
    return {
        **cell._asdict(),
        "accuracy": compressed.metrics["accuracy"],
        "teacher": teacher.metrics["accuracy"],
        "bytes": {
            "teacher": teacher.size_bytes,
            **size_ledger(load_model_folder(out), out),
        },
    }


def recipe(cell: Cell, arguments: argparse.Namespace) -> dict[str, Any]:
    """Quantize, with a training or without."""
    config = {"runs": arguments.runs, "num_samples": arguments.samples, **WAYS[cell.way]}
    stage: dict[str, Any] = {
        "method": "hessian_mixed",
        "config": config,
        "cache_scores": str(arguments.out / "scores"),
    }
    if cell.how in (COMPENSATED, BOTH):
        config["compensate"] = True
    if cell.how in (TRAINED, BOTH):
        steps = arguments.steps
        stage |= train(steps, arguments.learning_rate, arguments, warmup_steps=steps // 10)
    model = {"id": str(fine_tuned(cell.seed, arguments)), "task": TASK}
    made = whole(cell.name, cell.seed, model, [stage], arguments)
    return made | {"evaluate": {"before": False}}


def table(results: list[Result]) -> str:
    """Points against the same seed's teacher; mean and standard deviation over seeds."""
    lines = [f"| bits | {' | '.join(HOW)} | encoder |", f"|---|{'---:|' * (len(HOW) + 1)}"]
    teachers = {result["seed"]: result["teacher"] for result in results}
    lines.append(f"| float | {spread(list(teachers.values()))} |{' |' * len(HOW)}")
    for way in WAYS:
        by_how = [
            [result for result in results if result["way"] == way and result["how"] == how]
            for how in HOW
        ]
        found = [result for group in by_how for result in group]
        if found:
            size = found[0]["bytes"]["encoder"] / 1e6
            lines.append(f"| {way} | {' | '.join(map(_points, by_how))} | {size:.2f} MB |")
    return "\n".join(lines)


def _points(group: list[Result]) -> str:
    if not group:
        return ""
    lost = [100 * (result["accuracy"] - result["teacher"]) for result in group]
    points = "{:+.1f} ± {:.1f}".format(*mean_and_deviation(lost))
    return f"{spread([result['accuracy'] for result in group])} ({points})"


if __name__ == "__main__":
    main()
