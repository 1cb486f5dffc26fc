"""What a small student learns from its teacher: labels, soft targets, triple loss, layers.

    python scripts/reproduce_distillation.py --out out/distillation --seeds 0 1 2
    python scripts/reproduce_distillation.py --out out/distillation --worker 0 --workers 2
    python scripts/reproduce_distillation.py --out out/distillation --report

A cell is a recipe: a student, cut out of a fine-tuned encoder, learns in one of the ways below, all
in the same number of steps. Its result is a file of its own, and a killed recipe goes on where it
was. Augmented copies come from a masked language model that is the same encoder, trained here on
the same texts. Source of the shape to expect: Sanh et al. 2019, table 4; Jiao et al. 2020, table 3.
"""

import argparse
import json
import shutil
import statistics
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cells import Result, run_cells, spread
from movies import TASK, Stages, fine_tuned, movie_parser, run_whole, train, whole

from nlpcompress import run_recipe
from nlpcompress.models import load_model
from nlpcompress.models.weights import body_weights
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.workspace import PARTS

STUDENTS: dict[str, Stages] = {
    "half": [{"method": "keep_layers", "config": {"layers": "every_other", "count": 3}}],
    "quarter": [
        {"method": "head_importance", "config": {"keep": 0.5}},
        {"method": "neuron_importance", "config": {"keep": 1 / 3}},
        {"method": "keep_layers", "config": {"layers": "spread", "count": 4}},
    ],
    "tenth": [
        {"method": "head_importance", "config": {"keep": 0.25}},
        {"method": "neuron_importance", "config": {"keep": 0.172}},
        {"method": "keep_layers", "config": {"layers": "spread", "count": 3}},
    ],
    "narrow": [],
}
"""Of the encoder's weights: 50 %, 26 %, 10 %; and a new one, half as wide, of 6 layers (25 %)."""
NARROW = {
    "model_type": "bert",
    "hidden_size": 192,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "intermediate_size": 768,
}
LAYERS = {"method": "layerwise", "config": {"phase": "layers"}}
PREDICTION = {"method": "layerwise", "config": {"phase": "prediction", "temperature": 2.0}}
STATES = {
    "method": "features",
    "config": {
        "intermediate_matches": [{"feature": "hidden", "layers": "uniform", "proj": "auto"}]
    },
}
WAYS: dict[str, Stages] = {
    "labels": [{"method": "fine_tune"}],
    "soft targets": [{"method": "logits", "config": {"alpha_ce": 0.9}}],
    "soft targets, states": [{"method": "logits", "config": {"alpha_ce": 0.9}, "also": [STATES]}],
    "triple loss": [{"method": "triple_loss", "config": {"proj": "auto"}}],
    "layerwise": [LAYERS, PREDICTION],
    "layerwise, augmented": [LAYERS, PREDICTION],
}
LAYERS_SHARE = 0.6
"""Of the steps, where there are two trainings."""


class Cell(NamedTuple):
    """One recipe."""

    student: str
    way: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file and its recipe."""
        return f"{self.student}_{self.way.replace(', ', '-').replace(' ', '-')}_{self.seed}"


def main() -> None:
    arguments = parse_arguments()
    print(table(run_cells(cells(arguments), partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = movie_parser(__doc__, "out/distillation", steps=1250)
    parser.add_argument("--students", nargs="+", default=list(STUDENTS), choices=STUDENTS)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--language-model-steps", type=int, default=1000)
    parser.add_argument("--copies", type=int, default=5)
    return parser.parse_args()


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """Seed by seed, so that a run that is stopped has whole rows."""
    for seed in arguments.seeds:
        for student in arguments.students:
            for way in arguments.ways:
                yield Cell(student, way, seed)


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    teacher = fine_tuned(cell.seed, arguments)
    out = arguments.out / "runs" / cell.name
    (*_, row) = run_recipe(parse_recipe(recipe(cell, teacher, arguments)), out).rows
    result = {
        **cell._asdict(),
        "accuracy": row.metrics["accuracy"],
        "teacher": json.loads((teacher / "report.json").read_text())["rows"][-1]["metrics"],
        "share": encoder_size(out) / encoder_size(teacher),
    }
    shutil.rmtree(out / PARTS, ignore_errors=True)
    return result


def encoder_size(folder: Path) -> int:
    """Weights of the layers."""
    model = load_model(str(folder), task=TASK)
    return sum(weight.numel() for weight in body_weights(model).values())


def recipe(cell: Cell, teacher: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The student is cut out of the teacher; only the narrow one is new."""
    model: dict[str, Any] = {"id": "random", "processor": str(teacher), "config": NARROW}
    if cell.student != "narrow":
        model = {"id": str(cut(cell, teacher, arguments))}
    stages = [stage | trained(stage, arguments) for stage in WAYS[cell.way]]
    for stage in stages:
        if cell.way != "labels":
            stage["teacher"] = str(teacher)
        if "augmented" not in cell.way:
            stage["cache_teacher"] = cell.way != "labels" and str(arguments.out / "answers")
        else:
            stage["augment"] = {
                "copies": arguments.copies,
                "masked_lm": str(language_model(arguments)),
                "cache": str(arguments.out / "proposals"),
            }
    return whole(cell.name, cell.seed, {**model, "task": TASK}, stages, arguments)


def cut(cell: Cell, teacher: Path, arguments: argparse.Namespace) -> Path:
    """The student before it learns, made once for all ways."""
    name, model = f"{cell.student}_{cell.seed}", {"id": str(teacher), "task": TASK}
    stages = STUDENTS[cell.student]
    return run_whole(whole(name, cell.seed, model, stages, arguments), arguments)


def trained(stage: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """The stage's `train`: layers at a constant rate, all else falling to 0 after a warm-up."""
    if stage == LAYERS:
        steps = round(LAYERS_SHARE * arguments.steps)
        return train(steps, arguments.learning_rate, arguments, lr_scheduler_type="constant")
    share = 1 - LAYERS_SHARE if stage == PREDICTION else 1.0
    steps = round(share * arguments.steps)
    return train(steps, arguments.learning_rate, arguments, warmup_steps=steps // 10)


def language_model(arguments: argparse.Namespace) -> Path:
    """What augments: the encoder with a masked language model's head, trained on the texts."""
    stage = {"method": "fine_tune", **train(arguments.language_model_steps, 1e-4, arguments)}
    model = {"id": arguments.model, "task": "masked-lm"}
    recipe = whole("language_model", 0, model, [stage], arguments)
    recipe["data"]["masking"] = {"group": False}
    return run_whole(recipe, arguments)


def table(results: list[Result]) -> str:
    """Mean and standard deviation over the seeds, and the share of the teacher's accuracy."""
    lines = [
        "| student | encoder | way | accuracy | of the teacher's | seeds |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for student in STUDENTS:
        for way in WAYS:
            group = [r for r in results if (r["student"], r["way"]) == (student, way)]
            if group:
                lines.append(line(student, way, group))
    return "\n".join(lines)


def line(student: str, way: str, group: list[Result]) -> str:
    accuracies = [result["accuracy"] for result in group]
    ratios = [result["accuracy"] / result["teacher"]["accuracy"] for result in group]
    share = statistics.mean(result["share"] for result in group)
    return (
        f"| {student} | {share:.1%} | {way} | {spread(accuracies)} | {spread(ratios)} "
        f"| {len(group)} |"
    )


if __name__ == "__main__":
    main()
