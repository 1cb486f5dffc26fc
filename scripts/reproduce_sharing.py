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
import shutil
import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from cells import Result, run_cells, spread
from movies import TASK, fine_tuned, movie_parser, train, whole

from nlpcompress import run_recipe
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.workspace import PARTS

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
    print(table(run_cells(cells(arguments), partial(run, arguments=arguments), arguments)))


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
    out = arguments.out / "runs" / cell.name
    report = run_recipe(parse_recipe(recipe(cell, arguments)), out)
    shutil.rmtree(out / PARTS, ignore_errors=True)
    rows = {row.name: row.to_json() for row in report.rows}
    return {**cell._asdict(), "accuracy": rows["compressed"]["metrics"]["accuracy"], "rows": rows}


def recipe(cell: Cell, arguments: argparse.Namespace) -> dict[str, Any]:
    """Share, then learn from the model as it was."""
    config = {"initial": arguments.initial, "embedding_weighting": "frequency", **WAYS[cell.way]}
    recovery = {"method": "logits", "config": {"alpha_ce": 0.9}, "cache_teacher": True}
    steps = arguments.steps
    stages = [
        {"method": "albert", "config": config},
        recovery | train(steps, arguments.learning_rate, arguments, warmup_steps=steps // 10),
    ]
    model = {"id": str(fine_tuned(cell.seed, arguments)), "task": TASK}
    made = whole(cell.name, cell.seed, model, stages, arguments)
    made["export"] = {"onnx": True, "quantize": "dynamic-int8"}
    made["bench"] = {"batch_sizes": [8], "sequence_lengths": [64], "rounds": 20}
    return made


def table(results: list[Result]) -> str:
    """Mean and standard deviation over seeds; sizes are the same for all, times their median."""
    titles = "way, accuracy, of the teacher's, int8, parameters, weights, ONNX, int8, times faster"
    lines = [f"| {titles.replace(', ', ' | ')} |", f"|---|{'---:|' * titles.count(',')}"]
    for way in WAYS:
        group = [result["rows"] for result in results if result["way"] == way]
        if group:
            lines.append(line(way, group))
    return "\n".join(lines)


def line(way: str, group: list[dict[str, Any]]) -> str:
    accuracies = [rows["compressed"]["metrics"]["accuracy"] for rows in group]
    teachers = [rows["teacher"]["metrics"]["accuracy"] for rows in group]
    small = [rows["compressed-int8"]["metrics"]["accuracy"] for rows in group]
    whole, quantized = group[0]["compressed"], group[0]["compressed-int8"]
    faster = statistics.median(
        median(rows["teacher"]) / median(rows["compressed"]) for rows in group
    )
    ratios = [own / teacher for own, teacher in zip(accuracies, teachers, strict=True)]
    sizes = (whole["size_bytes"], whole["onnx_size_bytes"], quantized["onnx_size_bytes"])
    megabytes = " | ".join(f"{size / 1e6:.2f} MB" for size in sizes)
    return (
        f"| {way} | {spread(accuracies)} | {spread(ratios)} | {spread(small)} "
        f"| {whole['parameters'] / 1e6:.2f} M | {megabytes} | {faster:.2f} |"
    )


def median(row: dict[str, Any]) -> float:
    """Milliseconds of the one shape that is timed."""
    (timing,) = row["latency_ms"].values()
    return float(timing["median"])


if __name__ == "__main__":
    main()
