"""What each criterion for channels is worth: right after the cut, and after a short training.

    python scripts/reproduce_channels.py --out out/channels --model resnet --seeds 0 1 2
    python scripts/reproduce_channels.py --out out/channels --worker 0 --workers 2
    python scripts/reproduce_channels.py --out out/channels --report

A cell is a recipe: a trained network loses channels by one criterion until a share of its
multiplications is left. `slimming` is cut by the scales of batch norms like `batch_norm`, but comes
from a training under their L1 penalty. Source of the shape to expect: Liu et al. 2017, tables 1 and
6: without sparse training accuracy collapses with the cut, and training brings it back.
"""

import argparse
import shutil
import statistics
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cells import Result, grouped, run_cells, spread
from pictures import TASK, picture_parser, train, trained, whole

from nlpcompress import run_recipe
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.workspace import PARTS

CRITERIA = ("taylor", "taylor_weight", "l1", "l2", "batch_norm", "hrank", "two_layer", "random")
SLIMMING = "slimming"
CUT, TUNED = "cut", "tuned"


class Cell(NamedTuple):
    """One recipe."""

    way: str
    left: float
    how: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file and its recipe."""
        return f"{self.way}_{self.left:g}_{self.how}_{self.seed}"


def main() -> None:
    arguments = parse_arguments()
    print(table(run_cells(cells(arguments), partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = picture_parser(__doc__, "out/channels")
    ways = (*CRITERIA, SLIMMING)
    parser.add_argument("--ways", nargs="+", default=ways, choices=ways)
    parser.add_argument("--left", type=float, nargs="+", default=[0.5], help="of multiplications")
    parser.add_argument("--penalty", type=float, default=1e-4, help="on scales, for slimming")
    parser.add_argument("--round-to", type=int, default=4)
    return parser.parse_args()


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """Seed by seed, so that a run that is stopped has whole columns."""
    for seed in arguments.seeds:
        for left in arguments.left:
            for way in arguments.ways:
                for how in (CUT, TUNED):
                    yield Cell(way, left, how, seed)


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    penalty = arguments.penalty if cell.way == SLIMMING else 0.0
    start = trained(cell.seed, arguments, penalty=penalty)
    out = arguments.out / "runs" / cell.name
    report = run_recipe(parse_recipe(recipe(cell, start, arguments)), out)
    shutil.rmtree(out / PARTS, ignore_errors=True)
    rows = {row.name: row.to_json() for row in report.rows}
    accuracy = rows["compressed"]["metrics"]["accuracy"]
    return {**cell._asdict(), "accuracy": accuracy, "rows": rows}


def recipe(cell: Cell, start: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Cut, and perhaps train."""
    config = {
        "criterion": "batch_norm" if cell.way == SLIMMING else cell.way,
        "keep_macs": cell.left,
        "round_to": arguments.round_to,
    }
    stages: list[dict[str, Any]] = [{"method": "channels", "config": config}]
    if cell.how == TUNED:
        stages += [{"method": "fine_tune"} | train(arguments.epochs, 1e-3, arguments)]
    made = whole(cell.name, cell.seed, {"id": str(start), "task": TASK}, stages, arguments)
    if cell.how == CUT:  # only its accuracy is read
        made |= {"evaluate": {"before": False}, "export": {}, "bench": {"batch_sizes": [1]}}
    return made


def table(results: list[Result]) -> str:
    """Mean and standard deviation over seeds; of sizes and times the medians."""
    titles = "criterion, left, after the cut, after training, lost, MACs, weights, times faster"
    lines = [f"| {titles.replace(', ', ' | ')} | seeds |", f"|---|{'---:|' * 8}"]
    groups = grouped(results, lambda result: (result["left"], result["way"]))
    for (left, way), group in sorted(groups.items(), key=lambda item: -item[0][0]):
        if any(result["how"] == TUNED for result in group):
            lines.append(f"| {way} | {left:g} | {_line(group)} |")
    return "\n".join(lines)


def _line(group: list[Result]) -> str:
    by_how = grouped(group, lambda result: result["how"])
    accuracies = [
        spread([r["accuracy"] for r in by_how[how]]) if how in by_how else ""
        for how in (CUT, TUNED)
    ]
    last = by_how[TUNED]
    lost = [r["rows"]["teacher"]["metrics"]["accuracy"] - r["accuracy"] for r in last]
    ratios = [
        f"{statistics.median(_ratio(result, key) for result in last):.2f}"
        for key in ("macs", "size_bytes")
    ]
    faster = sorted(_time(r["rows"]["teacher"]) / _time(r["rows"]["compressed"]) for r in last)
    times = f"{statistics.median(faster):.2f} ({faster[0]:.2f} to {faster[-1]:.2f})"
    return " | ".join([*accuracies, spread(lost), *ratios, times, str(len(last))])


def _ratio(result: Result, key: str) -> float:
    rows = result["rows"]
    return rows["compressed"][key] / rows["teacher"][key]


def _time(row: dict[str, Any]) -> float:
    """Milliseconds of the one shape that is timed."""
    (timing,) = row["latency_ms"].values()
    return float(timing["median"])


if __name__ == "__main__":
    main()
