"""Which searcher finds the best network of a supernet within a budget, with equally many trials?

    python scripts/reproduce_searchers.py --out out/searchers --seeds 0 1 2 3 4
    python scripts/reproduce_searchers.py --out out/searchers --report

A cell is a searcher with a seed. A trial takes a network out of one supernet (a share of the heads
and of the neurons of each layer: twelve knobs) and judges it on training rows that the supernet and
its teacher have not seen; a network above the budget of parameters does not count. All searchers
share what was judged before, so that a network's accuracy is one number. The table has the best
accuracy found so far.
"""

import argparse
import copy
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cells import Result, grouped, run_cells, spread
from movies import TASK
from supernets import LAYERS, slice_stage, supernet_of, supernet_parser

from nlpcompress import apply_plan
from nlpcompress.bench.ledger import parameter_count
from nlpcompress.core.method import Context
from nlpcompress.core.whole import write_whole
from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.evaluation.evaluate import evaluate, torch_predictor
from nlpcompress.io.load import load_model_folder
from nlpcompress.methods import make_method
from nlpcompress.models.examples import example_inputs
from nlpcompress.models.load import load_processor
from nlpcompress.search.judged import Judged
from nlpcompress.search.space import Integer, Point
from nlpcompress.search.study import How, open_study, run_trials

SEARCHERS = ("random", "evolution", "tpe")
KINDS = ("heads", "neurons")
SPACE = {f"{kind}.{layer}": Integer(low=1, high=4) for kind in KINDS for layer in range(LAYERS)}
"""Quarters of each layer's heads and neurons."""
MARKS = (10, 20, 40)
SUPERNET_SEED = 0


class Cell(NamedTuple):
    """One search."""

    searcher: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.searcher}_{self.seed}"


def main() -> None:
    arguments = parse_arguments()
    print(table(run_cells(cells(arguments), partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = supernet_parser(__doc__, "out/searchers")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--share", type=float, default=0.6, help="of what heads and neurons take")
    parser.add_argument("--trial-samples", type=int, default=1000, help="rows that trials see")
    parser.set_defaults(validation=True)
    return parser.parse_args()


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    for seed in arguments.seeds:
        for searcher in SEARCHERS:
            yield Cell(searcher, seed)


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    judge = Networks(supernet_of(SUPERNET_SEED, arguments), arguments)
    folder = arguments.out / "studies" / cell.name
    study = open_study(folder / "journal.log", name=cell.name, maximize=True)
    how = How(cell.searcher, cell.seed, arguments.trials)
    run_trials(study, SPACE, lambda _, point, __: judge(point), how=how, lock=folder / "lock")
    trials = sorted(study.get_trials(), key=lambda trial: trial.number)
    values = [t.value if t.value and max(t.constraints.values()) <= 0 else 0.0 for t in trials]
    best = [max(values[: number + 1]) for number in range(len(values))]
    return {**cell._asdict(), "accuracy": best[-1], "best": best}


class Networks:
    """Judges points; what was judged lies in a file that all searches share."""

    def __init__(self, supernet: Path, arguments: argparse.Namespace) -> None:
        self.model = load_model_folder(supernet)
        self.file = arguments.out / "judged.json"
        data = DataConfig(
            name=arguments.data,
            max_length=arguments.max_length,
            validation=True,
            test_samples=arguments.trial_samples,
        )
        self.data = load_data(data, task=TASK, processor=load_processor(str(supernet), task=TASK))
        self.inputs = example_inputs(self.model)
        whole, least = (self._sliced(dict.fromkeys(SPACE, quarters)) for quarters in (4, 0))
        self.bound = parameter_count(least) + arguments.share * (
            parameter_count(whole) - parameter_count(least)
        )

    def __call__(self, point: Point) -> Judged:
        found = self._known().get(key(point)) or self._judge(point)
        return Judged(
            found["accuracy"], {"parameters": found["parameters"] / self.bound - 1}, found
        )

    def _judge(self, point: Point) -> dict[str, float]:
        model = self._sliced(point)
        values = evaluate(
            torch_predictor(model), self.data.test, self.data.collate, metrics=("accuracy",)
        )
        found = {"accuracy": values["accuracy"], "parameters": parameter_count(model)}
        write_whole(self.file, json.dumps(self._known() | {key(point): found}))
        return found

    def _sliced(self, point: Point) -> Any:
        model = copy.deepcopy(self.model)
        shares = (
            tuple(max(float(point[f"{kind}.{n}"]), 0.01) / 4 for n in range(LAYERS))
            for kind in KINDS
        )
        method = make_method("slice", slice_stage(*shares)["config"])
        return apply_plan(model, method.plan(model, Context(self.inputs)), self.inputs)

    def _known(self) -> dict[str, dict[str, float]]:
        return json.loads(self.file.read_text()) if self.file.exists() else {}


def key(point: Point) -> str:
    return " ".join(str(point[name]) for name in SPACE)


def table(results: Sequence[Result]) -> str:
    """A line a searcher: the best accuracy so far, over seeds, after some numbers of trials."""
    groups = grouped(results, lambda result: result["searcher"])
    titles = " | ".join(f"after {mark}" for mark in MARKS)
    lines = [f"| searcher | {titles} | seeds |", f"|---|{'---:|' * (len(MARKS) + 1)}"]
    for searcher in (name for name in SEARCHERS if name in groups):
        curves = [result["best"] for result in groups[searcher]]
        bests = (spread([curve[min(mark, len(curve)) - 1] for curve in curves]) for mark in MARKS)
        lines.append(f"| {searcher} | {' | '.join(bests)} | {len(curves)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
