"""Do cheap trials first find what random whole ones find, and in how much of their time?

    python scripts/reproduce_fidelity.py --out out/fidelity --seeds 0 1 2 3 4
    python scripts/reproduce_fidelity.py --out out/fidelity --report

A cell is a search for how a small ResNet is trained on pictures of clothes (learning rate and its
schedule, weight decay, strength of RandAugment), judged on training pictures held out for that. One
has random trials, all of them whole; the other the Parzen estimator, whose trials go on from a
ninth of the steps to a third and to all of them while they are among the best third (successive
halving). The table has how soon the second was as good as the best of the first, in shares of what
all trials of that took: steps of training, and seconds, in which are exports and judging, too.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cells import Result, run_cells, spread
from pictures import MODELS, TASK, picture_parser, train

from nlpcompress import run_recipe
from nlpcompress.recipe.load import load_recipe, parse_recipe
from nlpcompress.recipe.search.page import FILE
from nlpcompress.recipe.workspace import PARTS, RESOLVED

STAGE = "stages.0.train"
SPACE: dict[str, Any] = {
    f"{STAGE}.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    f"{STAGE}.weight_decay": {"low": 1e-5, "high": 1e-1, "log": True},
    f"{STAGE}.lr_scheduler_type": {"choices": ["linear", "cosine", "constant"]},
    "data.randaugment.magnitude": {"low": 0.0, "high": 20.0},
}
RANDOM, CHEAP = "random", "fidelity"


class Cell(NamedTuple):
    """One search."""

    way: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file and its recipe."""
        return f"{self.way}_{self.seed}"


def main() -> None:
    arguments = parse_arguments()
    print(table(run_cells(cells(arguments), partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = picture_parser(__doc__, "out/fidelity")
    parser.add_argument("--steps", type=int, default=600, help="of a whole trial")
    parser.add_argument("--trials", type=int, default=16, help="of the random search")
    parser.add_argument("--cheap-trials", type=int, default=40, help="of the other, at most")
    return parser.parse_args()


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    for seed in arguments.seeds:
        for way in (RANDOM, CHEAP):
            yield Cell(way, seed)


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    out = arguments.out / "runs" / cell.name
    run_recipe(parse_recipe(recipe(cell, arguments)), out)
    trials = told_trials(out)
    best = max(trial["metric"] or 0.0 for trial in trials)
    return {**cell._asdict(), "accuracy": best, "trials": trials}


def told_trials(out: Path) -> list[dict[str, Any]]:
    """What each trial took, in seconds and in steps of training, and came to, if it was whole."""
    return [
        {
            "seconds": trial["seconds"],
            "steps": sum(load_recipe(path).stages[-1].train["max_steps"] for path in ran),
            "metric": trial["costs"].get("metric"),
        }
        for trial in json.loads((out / FILE).read_text())["trials"]
        for ran in [out.glob(f"{PARTS}/search/*/{trial['number']:04d}/[0-9]/{RESOLVED}")]
    ]


def recipe(cell: Cell, arguments: argparse.Namespace) -> dict[str, Any]:
    """A search, whose result is trained once more as a whole."""
    steps = arguments.steps
    stage = {"method": "fine_tune", **train(1, arguments.learning_rate, arguments)}
    stage["train"] = {**stage["train"], "max_steps": steps, "warmup_steps": steps // 20}
    search: dict[str, Any] = {"space": SPACE, "searcher": "random", "trials": arguments.trials}
    if cell.way == CHEAP:
        values = [max(1, steps // 9), max(2, steps // 3), steps]
        search |= {"searcher": "tpe", "trials": arguments.cheap_trials}
        search["fidelity"] = {"path": f"{STAGE}.max_steps", "values": values}
    return {
        "version": 1,
        "name": cell.name,
        "seed": cell.seed,
        "model": {"id": "random", "task": TASK, "config": MODELS[arguments.model]},
        "data": {
            "name": arguments.data,
            "train_samples": arguments.train_samples,
            "randaugment": {"num_ops": 1, "magnitude": 5},
        },
        "stages": [stage],
        "bench": {"batch_sizes": [1], "rounds": 1},
        "search": search,
    }


def table(results: Sequence[Result]) -> str:
    """A line a seed, then both ways over all seeds."""
    lines = [
        "| seed | best of random | steps | seconds | best with fidelity | as good after |",
        f"|---|{'---:|' * 5}",
    ]
    by_name = {(result["way"], result["seed"]): result for result in results}
    seeds = sorted(seed for way, seed in by_name if way == RANDOM and (CHEAP, seed) in by_name)
    lines += [line(seed, by_name[RANDOM, seed], by_name[CHEAP, seed]) for seed in seeds]
    for way in (RANDOM, CHEAP) if seeds else ():
        lines += ["", f"{way}: {spread([by_name[way, seed]['accuracy'] for seed in seeds])}"]
    return "\n".join(lines)


def line(seed: int, whole: Result, cheap: Result) -> str:
    steps, seconds = taken(whole["trials"])
    good = until(whole["accuracy"], cheap["trials"])
    after = "never"
    if good:
        own_steps, own_seconds = taken(good)
        after = f"{own_steps / steps:.2f} of the steps, {own_seconds / seconds:.2f} of the time"
    return (
        f"| {seed} | {whole['accuracy']:.4f} | {steps} | {seconds:.0f} | {cheap['accuracy']:.4f} "
        f"| {after} |"
    )


def taken(trials: Sequence[dict[str, Any]]) -> tuple[int, float]:
    """Steps and seconds."""
    return sum(one["steps"] for one in trials), sum(one["seconds"] or 0.0 for one in trials)


def until(good: float, trials: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The trials up to the first that is as good; none where none is."""
    found = (place for place, trial in enumerate(trials) if (trial["metric"] or 0.0) >= good)
    place = next(found, None)
    return () if place is None else trials[: place + 1]


if __name__ == "__main__":
    main()
