"""What a MobileNetV2 learns from a ResNet: labels, soft targets, attention maps, relations.

    python scripts/reproduce_picture_distillation.py --out out/pictures --seeds 0 1 2
    python scripts/reproduce_picture_distillation.py --out out/pictures --worker 0 --workers 2
    python scripts/reproduce_picture_distillation.py --out out/pictures --report

A cell is a recipe: a new MobileNetV2 learns in one of the ways below, all in the same number of
steps, from a ResNet that was trained on the same pictures. Attention maps are compared where both
networks have maps of one size. Source of the ways: Hinton et al. 2015; Zagoruyko and Komodakis 2017
(attention transfer); Park et al. 2019 (RKD).
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cells import Result, run_cells, spread
from pictures import MODELS, TASK, Stages, picture_parser, train, trained, whole

from nlpcompress import run_recipe
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.workspace import PARTS

TEACHER, STUDENT = "resnet", "mobilenet_v2"
SAME_SIZE = [("layer.1", "stages.0"), ("layer.4", "stages.1"), ("layer.11", "stages.2")]
"""The student's layer and the teacher's stage whose maps are 7, 4 and 2 pixels wide."""
SOFT: dict[str, Any] = {"method": "logits", "config": {"temperature": 4.0, "alpha_ce": 0.9}}


def features(matches: list[dict[str, Any]]) -> dict[str, Any]:
    return {"method": "features", "config": {"intermediate_matches": matches}}


MAPS = features(
    [
        {
            "loss": "attention_transfer",
            "layer_S": f"mobilenet_v2.{student}",
            "layer_T": f"resnet.encoder.{teacher}",
            "weight": 1000.0,
        }
        for student, teacher in SAME_SIZE
    ]
)
POOLED = {"layer_S": "mobilenet_v2.pooler", "layer_T": "resnet.pooler"}
RELATIONS = features(
    [
        {"loss": "relation_distance", "weight": 25.0, **POOLED},
        {"loss": "relation_angle", "weight": 50.0, **POOLED},
    ]
)
WAYS: dict[str, Stages] = {
    "labels": [{"method": "fine_tune"}],
    "soft targets": [SOFT],
    "soft targets, maps": [SOFT | {"also": [MAPS]}],
    "soft targets, relations": [SOFT | {"also": [RELATIONS]}],
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
    parser = picture_parser(__doc__, "out/pictures")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.set_defaults(model=TEACHER, epochs=3.0)
    return parser.parse_args()


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """Seed by seed, so that a run that is stopped has whole rows."""
    for seed in arguments.seeds:
        for way in arguments.ways:
            yield Cell(way, seed)


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    teacher, out = trained(cell.seed, arguments), arguments.out / "runs" / cell.name
    (row,) = run_recipe(parse_recipe(recipe(cell, teacher, arguments)), out).rows
    shutil.rmtree(out / PARTS, ignore_errors=True)
    (above,) = json.loads((teacher / "report.json").read_text())["rows"]
    return {
        **cell._asdict(),
        "accuracy": row.metrics["accuracy"],
        "teacher": above["metrics"]["accuracy"],
        "macs": [row.macs, above["macs"]],
    }


def recipe(cell: Cell, teacher: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """A new student learns."""
    stages = [
        stage | train(arguments.epochs, arguments.learning_rate, arguments)
        for stage in WAYS[cell.way]
    ]
    for stage in stages:
        if cell.way != "labels":
            stage |= {"teacher": str(teacher), "cache_teacher": str(arguments.out / "answers")}
    model = {"id": "random", "task": TASK, "config": MODELS[STUDENT]}
    return whole(cell.name, cell.seed, model, stages, arguments)


def table(results: list[Result]) -> str:
    """Mean and standard deviation over the seeds."""
    lines = ["| way | accuracy | the teacher's less that | seeds |", "|---|---:|---:|---:|"]
    for way in WAYS:
        group = [result for result in results if result["way"] == way]
        if group:
            lost = [result["teacher"] - result["accuracy"] for result in group]
            accuracies = spread([result["accuracy"] for result in group])
            lines.append(f"| {way} | {accuracies} | {spread(lost)} | {len(group)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
