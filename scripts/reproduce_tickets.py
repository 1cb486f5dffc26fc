"""Lottery tickets against their controls: accuracy of LeNet-300-100 on scikit-learn's digits.

    python scripts/reproduce_tickets.py --out out/tickets

For each seed one model is pruned in rounds, as the method `lottery_ticket` does it, and its last
round is trained three times: as it is, with a mask of as many weights of each matrix at random
places, and with weights drawn anew. Source of the ordering to expect, tickets first: Frankle and
Carbin 2019, figures 1, 4 and 5; Frankle et al. 2020, figure 5. What is done is kept in one JSON a
seed, and a killed training goes on from its round.
"""

import argparse
import json
import shutil
import statistics
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel, TrainingArguments, set_seed
from transformers.modeling_outputs import ImageClassifierOutput

from nlpcompress.methods import make_method
from nlpcompress.models.weights import body_weights
from nlpcompress.training import CompressionTrainer

TICKET, CONTROLS = "ticket", ("random_mask", "random_reinit")
KINDS = ("whole", TICKET, *CONTROLS)
SETTINGS = ("rounds", "prune", "steps", "rewind_to", "scope", "learning_rate")
PIXELS, DARKEST = 64, 16.0


class LeNetConfig(PretrainedConfig):
    """Pixels in, two hidden layers, digits out."""

    model_type = "lenet-300-100"


class LeNet(PreTrainedModel):
    """The fully connected network of Frankle and Carbin 2019, figure 2, for pictures of 8 × 8."""

    config_class = LeNetConfig
    base_model_prefix = "body"

    def __init__(self, config: LeNetConfig) -> None:
        super().__init__(config)
        layers = [nn.Linear(PIXELS, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.classifier = nn.Linear(100, 10)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None
    ) -> ImageClassifierOutput:
        logits = self.classifier(self.body(pixel_values))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


class Pictures(torch.utils.data.Dataset):
    """Digits of 8 × 8 pixels, from 0 to 1, in one row."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.pictures = torch.tensor(images, dtype=torch.float32).flatten(1) / DARKEST
        self.labels = torch.tensor(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"pixel_values": self.pictures[index], "labels": self.labels[index]}


def main() -> None:
    arguments = parse_arguments()
    results = [of_seed(seed, arguments) for seed in range(arguments.seeds)]
    print(table(results))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--prune", type=float, default=0.3)
    parser.add_argument("--steps", type=int, default=800, help="of each training")
    parser.add_argument("--rewind-to", type=int, default=0)
    parser.add_argument("--scope", default="matrix", choices=["matrix", "global"])
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--out", type=Path, default=Path("out/tickets"))
    return parser.parse_args()


def of_seed(seed: int, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Kind → accuracy and density, from the file of an earlier run where there is one."""
    settings = {key: getattr(arguments, key) for key in SETTINGS}
    file = arguments.out / f"seed-{seed}.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    if kept.get("settings", settings) != settings:
        raise SystemExit(f"{file} is of other settings: {kept['settings']}; choose another --out")
    found = kept.get("results", {})
    for kind in (k for k in KINDS if k not in found):
        found[kind] = train(kind, seed, arguments)
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".partial")
        unfinished.write_text(json.dumps({"settings": settings, "results": found}, indent=1))
        unfinished.replace(file)
        print(f"seed {seed} {kind}: {found[kind]}", flush=True)
    shutil.rmtree(arguments.out / f"seed-{seed}", ignore_errors=True)
    return found


def train(kind: str, seed: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Accuracy on the half that was not trained on, and the share of the body's weights left."""
    work = arguments.out / f"seed-{seed}"
    folder = work / kind
    if kind in CONTROLS and not folder.exists():
        take_rounds_before_last(work / TICKET, folder, arguments.rounds)
    trainer = make_trainer(kind, seed, folder, arguments)
    trainer.train(resume_from_checkpoint=trainer.last_checkpoint())
    weights = body_weights(trainer.model).values()
    left = sum(int((weight != 0).sum()) for weight in weights)
    return {
        "accuracy": trainer.evaluate()["eval_accuracy"],
        "density": left / sum(weight.numel() for weight in weights),
    }


def take_rounds_before_last(ticket: Path, folder: Path, rounds: int) -> None:
    """All that a last round is made from: the step to go back to, and the end of the one before."""
    before = f"round-{rounds - 1}"
    unfinished = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    for part in ("rewind", before):
        shutil.copytree(ticket / part, unfinished / part)
    unfinished.replace(folder)


def make_trainer(
    kind: str, seed: int, folder: Path, arguments: argparse.Namespace
) -> CompressionTrainer:
    trained, tested = halves()
    set_seed(seed)
    return CompressionTrainer(
        LeNet(LeNetConfig(num_labels=10)),
        TrainingArguments(
            str(folder),
            max_steps=arguments.steps,
            per_device_train_batch_size=64,
            per_device_eval_batch_size=256,
            learning_rate=arguments.learning_rate,
            lr_scheduler_type="linear",
            save_strategy="steps",
            save_steps=arguments.steps,
            save_total_limit=1,
            logging_steps=arguments.steps,
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            seed=seed,
        ),
        train_dataset=trained,
        eval_dataset=tested,
        compute_metrics=lambda p: {
            "accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())
        },
        methods=[] if kind == "whole" else [method(kind, arguments)],
    )


def method(kind: str, arguments: argparse.Namespace):
    keys = ("rounds", "prune", "rewind_to", "scope")
    values = {key: getattr(arguments, key) for key in keys}
    control = kind if kind in CONTROLS else "none"
    return make_method("lottery_ticket", {**values, "control": control})


def halves() -> tuple[Pictures, Pictures]:
    """The same two halves for every seed, with as many of each digit."""
    digits = load_digits()
    parts = train_test_split(
        digits.images, digits.target, test_size=0.5, stratify=digits.target, random_state=0
    )
    return Pictures(parts[0], parts[2]), Pictures(parts[1], parts[3])


def table(results: list[dict[str, dict[str, float]]]) -> str:
    """One line a kind: density, mean and spread of the accuracy over the seeds."""
    lines = [f"{'':>14} {'density':>8} {'accuracy':>9} {'± sd':>7}  of each seed"]
    for kind in KINDS:
        accuracies = [result[kind]["accuracy"] for result in results]
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else float("nan")
        lines.append(
            f"{kind:>14} {results[0][kind]['density']:8.4f} {statistics.mean(accuracies):9.4f} "
            f"{spread:7.4f}  {' '.join(f'{accuracy:.4f}' for accuracy in accuracies)}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
